//! Alerts, and who is told of them.

use outlay::{Unit, policy::limit::show_time, report::Since, run::process};
use pyo3::prelude::*;

use crate::{
    convert::{Money, decimal_text},
    error::{guard, waiting},
    ledger::Ledger,
};

/// The most alerts that are listed.
const LISTED_MAX: usize = 10_000;

/// That a share of a limit was spent: told once per window over all processes.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Alert(outlay::ledger::Alert);

#[pymethods]
impl Alert {
    /// The same however often it is delivered.
    #[getter]
    fn id(&self) -> String {
        self.0.id.to_string()
    }

    /// Whose limit it is, as in "budget `tenant=acme`".
    #[getter]
    fn budget(&self) -> &str {
        &self.0.budget
    }

    /// What is limited: "usd", "tokens", "llm_calls" or "tool_calls".
    #[getter]
    fn unit(&self) -> &'static str {
        self.0.unit.name()
    }

    /// How much of it: Money, or a count.
    #[getter]
    fn limit(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        amount(py, self.0.unit, self.0.limit)
    }

    /// What had been spent then, settled and in doubt: Money, or a count.
    #[getter]
    fn spent(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        amount(py, self.0.unit, self.0.spent)
    }

    /// The share of the limit, as in "80%" or "90% for 10m".
    #[getter]
    fn threshold(&self) -> String {
        self.0.threshold.to_string()
    }

    /// Over which time: "life", "day", "week", "month" or "rolling:24h".
    #[getter]
    fn window(&self) -> String {
        self.0.window.to_string()
    }

    /// Since when, in RFC 3339; None where the window is no part of the calendar.
    #[getter]
    fn window_start(&self) -> Option<String> {
        self.0.window_start.map(show_time)
    }

    /// The name of the task whose call passed it.
    #[getter]
    fn task(&self) -> &str {
        &self.0.task
    }

    /// When, in RFC 3339.
    #[getter]
    fn at(&self) -> String {
        show_time(self.0.at)
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Alert {} of {} of {}>", self.0.threshold, self.0.unit.name(), self.0.budget)
    }
}

fn amount(py: Python<'_>, unit: Unit, amount: i64) -> PyResult<Py<PyAny>> {
    Ok(match unit {
        Unit::Usd => Money(outlay::Money::from_nanos(amount)).into_pyobject(py)?.into_any().unbind(),
        _ => amount.into_pyobject(py)?.into_any().unbind(),
    })
}

/// Thresholds as people write them: numbers or texts.
pub(crate) fn thresholds(
    py: Python<'_>,
    alerts: Option<Vec<Bound<'_, PyAny>>>,
) -> PyResult<Option<outlay::policy::Thresholds>> {
    let Some(alerts) = alerts else { return Ok(None) };
    let texts = alerts.iter().map(|share| decimal_text(share, "alerts")).collect::<PyResult<Vec<_>>>()?;
    guard(py, || outlay::policy::Thresholds::parse(texts.iter().map(String::as_str))).map(Some)
}

/// Hands each alert to a callable, under the name of a consumer.
#[pyfunction]
pub(crate) fn on_alert(py: Python<'_>, consumer: &str, callback: Py<PyAny>) -> PyResult<()> {
    let hand = move |alert: &outlay::ledger::Alert| {
        Python::attach(|py| {
            if let Err(error) = callback.call1(py, (Alert(alert.clone()),)) {
                error.write_unraisable(py, Some(callback.bind(py)));
            }
        });
    };
    waiting(py, true, || process::on_alert(consumer, hand))
}

/// The alerts recorded by whatever process, oldest first.
#[pyfunction]
#[pyo3(signature = (ledger, since=None))]
pub(crate) fn alerts(py: Python<'_>, ledger: &Ledger, since: Option<&str>) -> PyResult<Vec<Alert>> {
    let read = || {
        let since: Option<Since> = since.map(str::parse).transpose()?;
        let now = outlay::Clock::System.now();
        ledger.0.alerts(since.map_or(0, |since| since.at(now)), LISTED_MAX)
    };
    Ok(waiting(py, true, read)?.into_iter().map(Alert).collect())
}
