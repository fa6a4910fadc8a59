//! What the money bought.

use outlay::report;
use pyo3::prelude::*;

use crate::convert::Money;

/// What one kind of task, agent, model or run was worth.
#[pyclass(frozen, get_all, module = "outlay")]
#[derive(Clone)]
pub(crate) struct Worth {
    /// "kind", "agent", "model", "run" or "total".
    by: &'static str,
    /// Which one; "erased" where it was forgotten, None where there is none.
    key: Option<String>,
    /// The number of the attempt, of a run.
    attempt: Option<u32>,
    /// What it was worth in the caller's own unit, in exact decimals.
    value: String,
    /// What was settled.
    settled: Money,
    /// The tokens of it, input and output.
    tokens: i64,
    /// Value for each USD; None where nothing was spent.
    per_usd: Option<f64>,
    /// Value for each million tokens; None where none was used.
    per_million_tokens: Option<f64>,
}

impl Worth {
    fn of(by: &'static str, key: Option<&str>, attempt: Option<u32>, worth: &report::Worth) -> Self {
        Self {
            by,
            key: key.map(str::to_owned),
            attempt,
            value: worth.value(),
            settled: Money(worth.usd),
            tokens: worth.tokens,
            per_usd: worth.per_usd(),
            per_million_tokens: worth.per_million_tokens(),
        }
    }
}

#[pymethods]
impl Worth {
    fn __repr__(&self) -> String {
        let key = self.key.as_deref().unwrap_or("-");
        format!("<Worth of {} {key}: {} for {}>", self.by, self.value, self.settled.0)
    }
}

/// What the money bought. `str()` is a table.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct ValueReport(pub(crate) report::ValueReport);

#[pymethods]
impl ValueReport {
    /// By kind, by agent and by model; of each what was worth the least for its money first.
    #[getter]
    fn rows(&self) -> Vec<Worth> {
        let row = |row: &report::ValueRow| Worth::of(row.by.name(), row.key.as_deref(), None, &row.worth);
        self.0.rows.iter().map(row).collect()
    }

    /// The runs that were worth the least for their money, the dearer first, at most 20.
    #[getter]
    fn runs(&self) -> Vec<Worth> {
        let run =
            |run: &report::RunWorth| Worth::of("run", run.task.as_deref(), Some(run.attempt), &run.worth);
        self.0.runs.iter().map(run).collect()
    }

    /// All runs together.
    #[getter]
    fn totals(&self) -> Worth {
        Worth::of("total", None, None, &self.0.totals)
    }

    /// Entries a ledger in memory keeps no longer: calls reserved by them are not in the report.
    #[getter]
    fn dropped_entries(&self) -> u64 {
        self.0.dropped_entries
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        let totals = &self.0.totals;
        format!("<ValueReport: {} for {}>", totals.value(), totals.usd)
    }
}
