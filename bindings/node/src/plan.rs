//! What will a flow cost?

use napi::{Env, bindgen_prelude::Object};
use napi_derive::napi;
use outlay::{
    Clock,
    report::{self, Flow},
    run::process,
};

use crate::outcome::later;

/// What a policy comes to.
#[napi(object)]
pub struct PlanRow {
    /// `restart`, `checkpoint` or `abort`.
    pub policy: String,
    /// How many of the tasks succeed, from 0 to 1.
    pub success: f64,
    /// Where that lies 19 times of 20: two numbers, or none where it has a formula.
    pub success_interval: Vec<f64>,
    /// What a task costs in USD, whether it succeeds or not.
    pub usd: f64,
    /// Where that lies 19 times of 20.
    pub usd_interval: Vec<f64>,
    /// What a task that succeeds costs in USD, with those that did not.
    pub usd_per_success: f64,
    /// What a task costs beside a run in which nothing fails.
    pub overhead: f64,
    /// What half of the tasks, 95 and 99 of a hundred cost at most in USD.
    pub usd_quantiles: Vec<f64>,
}

/// What a flow will cost.
#[napi(object)]
pub struct Plan {
    /// How many tasks.
    pub tasks: f64,
    /// The chance that a run succeeds at once, from 0 to 1.
    pub run_success: f64,
    /// What a run costs in USD in which nothing fails.
    pub ideal_usd: f64,
    /// Each policy.
    pub rows: Vec<PlanRow>,
    /// What checkpoints may cost a task more in USD before they do not pay.
    pub checkpoint_gain_usd: Option<f64>,
    /// From which failure rate of a run on checkpoints pay.
    pub checkpoint_failure_rate: Option<f64>,
    /// The same as a table.
    pub text: String,
}

/// What a flow will cost, given as JSON or TOML.
#[napi(ts_return_type = "Promise<Plan | Failure>")]
pub fn plan(env: &Env, flow: String, is_json: bool) -> napi::Result<Object<'_>> {
    later(env, move || {
        let flow = if is_json { Flow::from_json(&flow)? } else { Flow::from_toml(&flow)? };
        flow.plan(&process::config()?.prices, Clock::System.now()).map(|plan| plan_of(&plan))
    })
}

fn plan_of(plan: &report::Plan) -> Plan {
    Plan {
        tasks: plan.tasks as f64,
        run_success: plan.run_success,
        ideal_usd: plan.ideal_usd,
        rows: plan.rows.iter().map(row_of).collect(),
        checkpoint_gain_usd: plan.break_even.map(|even| even.usd_per_task),
        checkpoint_failure_rate: plan.break_even.and_then(|even| even.failure_rate),
        text: plan.to_string(),
    }
}

fn row_of(row: &report::PlanRow) -> PlanRow {
    let interval = |found: Option<(f64, f64)>| found.map_or_else(Vec::new, |(low, high)| vec![low, high]);
    PlanRow {
        policy: row.policy.name().to_owned(),
        success: row.success.value,
        success_interval: interval(row.success.interval),
        usd: row.usd.value,
        usd_interval: interval(row.usd.interval),
        usd_per_success: row.usd_per_success(),
        overhead: row.overhead(),
        usd_quantiles: row.quantiles.iter().map(|quantile| quantile.value).collect(),
    }
}
