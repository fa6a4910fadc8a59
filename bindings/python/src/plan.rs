//! What a flow will cost.

use outlay::{
    Clock,
    report::{self, Flow},
    run::process,
};
use pyo3::prelude::*;

use crate::error::{guard, waiting};

type Interval = Option<(f64, f64)>;

/// What a policy comes to.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct PlanRow(report::PlanRow);

#[pymethods]
impl PlanRow {
    /// What is done about a run that failed: "restart", "checkpoint" or "abort".
    #[getter]
    fn policy(&self) -> &'static str {
        self.0.policy.name()
    }

    /// How many of the tasks succeed, from 0 to 1.
    #[getter]
    fn success(&self) -> f64 {
        self.0.success.value
    }

    /// Where that lies 19 times of 20; None where it has a formula.
    #[getter]
    fn success_interval(&self) -> Interval {
        self.0.success.interval
    }

    /// What a task costs in USD, whether it succeeds or not.
    #[getter]
    fn usd(&self) -> f64 {
        self.0.usd.value
    }

    /// Where that lies 19 times of 20; None where it has a formula.
    #[getter]
    fn usd_interval(&self) -> Interval {
        self.0.usd.interval
    }

    /// What a task that succeeds costs in USD, with those that did not.
    #[getter]
    fn usd_per_success(&self) -> f64 {
        self.0.usd_per_success()
    }

    /// What a task costs beside a run in which nothing fails: 1.18 is a tax of 18 %.
    #[getter]
    fn overhead(&self) -> f64 {
        self.0.overhead()
    }

    /// What half of the tasks, 95 and 99 of a hundred cost at most in USD, by simulation.
    #[getter]
    fn usd_quantiles(&self) -> (f64, f64, f64) {
        let [p50, p95, p99] = self.0.quantiles;
        (p50.value, p95.value, p99.value)
    }

    fn __repr__(&self) -> String {
        format!("<PlanRow {}: {:.4} USD a task>", self.0.policy.name(), self.0.usd.value)
    }
}

/// What a flow will cost. `str()` is a table.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Plan(report::Plan);

#[pymethods]
impl Plan {
    /// How many tasks.
    #[getter]
    fn tasks(&self) -> u64 {
        self.0.tasks
    }

    /// The chance that a run succeeds at once, from 0 to 1.
    #[getter]
    fn run_success(&self) -> f64 {
        self.0.run_success
    }

    /// What a run costs in USD in which nothing fails.
    #[getter]
    fn ideal_usd(&self) -> f64 {
        self.0.ideal_usd
    }

    /// Each policy: restart, checkpoint, abort. Checkpoint is left out where nobody knows what a
    /// resume costs.
    #[getter]
    fn rows(&self) -> Vec<PlanRow> {
        self.0.rows.iter().cloned().map(PlanRow).collect()
    }

    /// What checkpoints may cost a task more in USD before they do not pay; None without their row.
    #[getter]
    fn checkpoint_gain_usd(&self) -> Option<f64> {
        self.0.break_even.map(|even| even.usd_per_task)
    }

    /// From which failure rate of a run on checkpoints pay; None where no formula or rate says.
    #[getter]
    fn checkpoint_failure_rate(&self) -> Option<f64> {
        self.0.break_even.and_then(|even| even.failure_rate)
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Plan of {} tasks, {:.4} USD a run>", self.0.tasks, self.0.ideal_usd)
    }
}

/// What a flow will cost, given as JSON or TOML.
#[pyfunction]
pub(crate) fn plan(py: Python<'_>, flow: &str, is_json: bool) -> PyResult<Plan> {
    let config = waiting(py, true, process::config)?;
    guard(py, || {
        let flow = if is_json { Flow::from_json(flow)? } else { Flow::from_toml(flow)? };
        flow.plan(&config.prices, Clock::System.now()).map(Plan)
    })
}
