//! What will it cost, before anything runs?
//!
//! A flow is a chain of steps, each with what it costs and how often it succeeds. Steps fail
//! independently of each other. A run that failed is begun again (*restart*), goes on from where it
//! stood (*checkpoint*), or is given up (*abort*). What has a formula is computed; the rest is
//! simulated, from a seed, and comes with the interval the truth lies in 19 times of 20.
//!
//! ```
//! use outlay::{Clock, meter::PriceBook, report::plan::{Flow, Policy}};
//!
//! let flow = Flow::from_toml(r#"
//!     failed_run_cost = "full"
//!     resume_cost = 0.3
//!     step = [{ name = "refund", usd = 0.10, success = 0.9 }]
//! "#)?;
//! let plan = flow.plan(PriceBook::bundled(), Clock::System.now())?;
//! let overheads = plan.rows.iter().map(|row| (row.policy, format!("{:.3}", row.overhead())));
//! assert_eq!(overheads.collect::<Vec<_>>(), [
//!     (Policy::Restart, "1.111".to_owned()),
//!     (Policy::Checkpoint, "1.033".to_owned()),
//!     (Policy::Abort, "1.000".to_owned()),
//! ]);
//! # Ok::<(), outlay::Error>(())
//! ```

mod cost;
mod exact;
mod flow;
mod simulated;

use std::fmt;

pub use flow::{FailedRunCost, Flow, Retries, Step};
pub(super) use simulated::wilson;

use super::text::Table;
use crate::{error::Result, meter::PriceBook, value::Millis};
use exact::Exact;

/// What is done about a run that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It is begun again.
    Restart,
    /// It goes on from the step that failed.
    Checkpoint,
    /// It is given up.
    Abort,
}

impl Policy {
    /// The word reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Checkpoint => "checkpoint",
            Self::Abort => "abort",
        }
    }
}

/// A figure, exact or simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The most likely value.
    pub value: f64,
    /// Where the truth lies 19 times of 20; nothing where the value has a formula.
    pub interval: Option<(f64, f64)>,
}

impl Estimate {
    const fn exact(value: f64) -> Self {
        Self { value, interval: None }
    }

    fn shown(&self, digits: usize) -> String {
        let half = self.interval.map(|(low, high)| format!(" ±{:.digits$}", (high - low) / 2.0));
        format!("{:.digits$}{}", self.value, half.unwrap_or_default())
    }
}

/// What a policy comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanRow {
    /// What is done about a run that failed.
    pub policy: Policy,
    /// How many of the tasks succeed, from 0 to 1.
    pub success: Estimate,
    /// What a task costs in USD, whether it succeeds or not.
    pub usd: Estimate,
    /// What half of the tasks, 95 and 99 of a hundred cost at most, in USD.
    pub quantiles: [Estimate; 3],
    /// What a run costs in USD in which nothing fails.
    pub ideal_usd: f64,
}

impl PlanRow {
    /// What a task costs beside a run in which nothing fails: 1.18 is a tax of 18 %.
    pub fn overhead(&self) -> f64 {
        self.usd.value / self.ideal_usd
    }

    /// What a task that succeeds costs in USD, with those that did not.
    pub fn usd_per_success(&self) -> f64 {
        self.usd.value / self.success.value
    }
}

/// When checkpoints are worth what they cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakEven {
    /// What they may cost a task at most, in USD, beside what they cost already.
    pub usd_per_task: f64,
    /// From which failure rate of a run on they pay, all steps failing more or less often in
    /// proportion; nothing where that has no formula, or no rate is enough.
    pub failure_rate: Option<f64>,
}

/// What a flow will cost. `Display` is a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// How many tasks.
    pub tasks: u64,
    /// The chance that a run succeeds at once, from 0 to 1.
    pub run_success: f64,
    /// What a run costs in USD in which nothing fails.
    pub ideal_usd: f64,
    /// Each policy. Checkpoint is left out where nobody knows what a resume costs.
    pub rows: Vec<PlanRow>,
    /// When checkpoints pay; nothing without their row.
    pub break_even: Option<BreakEven>,
}

impl Plan {
    /// The row of a policy.
    pub fn row(&self, policy: Policy) -> Option<&PlanRow> {
        self.rows.iter().find(|row| row.policy == policy)
    }

    /// What all tasks cost in USD under a policy.
    pub fn total_usd(&self, policy: Policy) -> Option<f64> {
        self.row(policy).map(|row| row.usd.value * self.tasks as f64)
    }
}

impl Flow {
    /// What the flow will cost. Prices of models are those at `now`.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: a flow that cannot be, or that hardly ever succeeds.
    /// * `Unpriced`: a model without a known price.
    pub fn plan(&self, prices: &PriceBook, now: Millis) -> Result<Plan> {
        self.planned(prices, now, true)
    }

    /// The same with every figure simulated, as if nothing had a formula.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan).
    pub fn simulate(&self, prices: &PriceBook, now: Millis) -> Result<Plan> {
        self.planned(prices, now, false)
    }

    fn planned(&self, prices: &PriceBook, now: Millis, by_formula: bool) -> Result<Plan> {
        let model = self.model(prices, now)?;
        let exact = Exact::of(&model);
        let mut rows = Vec::new();
        for policy in [Policy::Restart, Policy::Checkpoint, Policy::Abort] {
            if policy == Policy::Checkpoint && !model.can_resume() {
                continue;
            }
            let simulated = simulated::run(&model, policy);
            let (success, usd) = match exact.of_policy(policy).filter(|_| by_formula) {
                Some((success, usd)) => (Estimate::exact(success), Estimate::exact(usd)),
                None => (simulated.success, simulated.usd),
            };
            let quantiles = simulated.quantiles;
            rows.push(PlanRow { policy, success, usd, quantiles, ideal_usd: model.ideal() });
        }
        let mut plan = Plan {
            tasks: self.tasks,
            run_success: model.run_success(),
            ideal_usd: model.ideal(),
            rows,
            break_even: None,
        };
        if let (Some(restart), Some(checkpoint)) = (plan.row(Policy::Restart), plan.row(Policy::Checkpoint)) {
            let usd_per_task = restart.usd.value - checkpoint.usd.value;
            let failure_rate = exact::break_even(&model);
            plan.break_even = Some(BreakEven { usd_per_task, failure_rate });
        }
        Ok(plan)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (runs, ideal) = (self.run_success * 100.0, self.ideal_usd);
        writeln!(f, "a run costs {ideal:.4} USD if nothing fails, and {runs:.1} % of runs succeed\n")?;
        let headings =
            ["if a run fails", "succeed", "USD a task", "a success", "overhead", "p50", "p95", "p99"];
        let mut table = Table::new(headings.iter().copied().chain(["all tasks"])).left(1);
        for row in &self.rows {
            let quantiles = row.quantiles.map(|quantile| format!("{:.4}", quantile.value));
            let succeed =
                Estimate { value: row.success.value * 100.0, interval: row.success.interval.map(percent) };
            let cells = [
                row.policy.name().to_owned(),
                format!("{} %", succeed.shown(1)),
                row.usd.shown(4),
                format!("{:.4}", row.usd_per_success()),
                format!("{:.3}", row.overhead()),
            ];
            let total = format!("{:.2}", row.usd.value * self.tasks as f64);
            table.row(cells.into_iter().chain(quantiles).chain([total]));
        }
        write!(f, "{table}")?;
        let Some(BreakEven { usd_per_task, failure_rate }) = self.break_even else { return Ok(()) };
        if usd_per_task.abs() < 0.000_05 {
            write!(f, "\n\ncheckpoints cost a task as much as they save")?;
        } else if usd_per_task > 0.0 {
            write!(f, "\n\ncheckpoints pay while they cost a task less than {usd_per_task:.4} USD more")?;
        } else {
            write!(f, "\n\ncheckpoints cost a task {:.4} USD more than they save", -usd_per_task)?;
        }
        match failure_rate {
            Some(rate) if rate >= 0.000_5 => {
                write!(f, ", and from a failure rate of {:.1} % on", rate * 100.0)
            }
            _ => Ok(()),
        }
    }
}

fn percent((low, high): (f64, f64)) -> (f64, f64) {
    (low * 100.0, high * 100.0)
}
