//! What is left of what was earned.

use outlay::report;
use pyo3::prelude::*;

use crate::convert::Money;

/// One customer, or whatever else rows are.
#[pyclass(frozen, get_all, module = "outlay")]
#[derive(Clone)]
pub(crate) struct MarginRow {
    /// Which one; None for calls of none, and in the totals.
    key: Option<String>,
    /// By how many calls of a model.
    calls: u64,
    /// What was earned; None where that was not said.
    revenue: Option<Money>,
    /// What was spent.
    spent: Money,
    /// What is left; None where nobody said what was earned.
    margin: Option<Money>,
    /// What is left of a thousand that was earned; None where nothing was.
    margin_per_mille: Option<i64>,
}

impl MarginRow {
    fn of(row: &report::MarginRow) -> Self {
        Self {
            key: row.key.clone(),
            calls: row.calls,
            revenue: row.revenue.map(Money),
            spent: Money(row.spent),
            margin: row.margin().map(Money),
            margin_per_mille: row.margin_per_mille(),
        }
    }
}

#[pymethods]
impl MarginRow {
    fn __repr__(&self) -> String {
        let margin = self.margin.map_or_else(|| "no revenue".to_owned(), |left| format!("{} left", left.0));
        format!("<MarginRow {}: {margin}>", self.key.as_deref().unwrap_or("-"))
    }
}

/// What is left of what was earned. `str()` is a table.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct MarginReport(pub(crate) report::MarginReport);

#[pymethods]
impl MarginReport {
    /// What the rows are.
    #[getter]
    fn by(&self) -> String {
        self.0.by.to_string()
    }

    /// The largest loss first; those whose revenue nobody said come last.
    #[getter]
    fn rows(&self) -> Vec<MarginRow> {
        self.0.rows.iter().map(MarginRow::of).collect()
    }

    /// All rows with revenue together.
    #[getter]
    fn totals(&self) -> MarginRow {
        MarginRow::of(&self.0.totals)
    }

    /// What was spent in the other rows, which have no margin.
    #[getter]
    fn unearned(&self) -> Money {
        Money(self.0.unearned)
    }

    /// What the figures do not say.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.0.notes()
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
        format!("<MarginReport by {}: {} rows>", self.0.by, self.0.rows.len())
    }
}
