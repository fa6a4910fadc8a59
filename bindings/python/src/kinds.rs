//! What a run of each kind costs, and with which model.

use outlay::report;
use pyo3::prelude::*;

use crate::convert::Money;

/// The runs of one kind, or those of them that spent the most on one model.
#[pyclass(frozen, get_all, module = "outlay")]
#[derive(Clone)]
pub(crate) struct KindRow {
    /// The tag `kind` of the outermost task, else its name; None in the totals.
    kind: Option<String>,
    /// The model; None in a row of all runs of a kind, and of runs that asked none.
    model: Option<String>,
    /// All runs that made a call.
    runs: u64,
    /// Of them those that succeeded.
    succeeded: u64,
    /// Of them those that failed, were stopped or were lost. The rest are open.
    lost: u64,
    /// Of them those that spent on several models.
    mixed: u64,
    /// Have fewer than 20 ended, so that the rate of success says little?
    is_few: bool,
    /// How many of those that ended succeeded, per mille; None where none has ended.
    success_per_mille: Option<u64>,
    /// Where the rate of success lies, 19 times of 20: shares from 0 to 1.
    success_interval: Option<(f64, f64)>,
    /// What all of them spent.
    spent: Money,
    /// What all of them spent for each that succeeded; None where none did.
    usd_per_success: Option<Money>,
    /// Half of them cost no more.
    p50: Money,
    /// 95 of 100 cost no more.
    p95: Money,
    /// 99 of 100 cost no more.
    p99: Money,
    /// The dearest.
    max: Money,
}

impl KindRow {
    fn of(kind: Option<&str>, model: Option<&str>, figures: &report::RunFigures) -> Self {
        Self {
            kind: kind.map(str::to_owned),
            model: model.map(str::to_owned),
            runs: figures.runs,
            succeeded: figures.succeeded,
            lost: figures.lost,
            mixed: figures.mixed,
            is_few: figures.is_few(),
            success_per_mille: figures.success_per_mille(),
            success_interval: figures.success_interval(),
            spent: Money(figures.spent),
            usd_per_success: figures.usd_per_success().map(Money),
            p50: Money(figures.p50),
            p95: Money(figures.p95),
            p99: Money(figures.p99),
            max: Money(figures.max),
        }
    }

    fn all(rows: &[report::KindRow]) -> Vec<Self> {
        rows.iter().map(|row| Self::of(row.kind.as_deref(), row.model.as_deref(), &row.figures)).collect()
    }
}

#[pymethods]
impl KindRow {
    fn __repr__(&self) -> String {
        let kind = self.kind.as_deref().unwrap_or("-");
        let model = self.model.as_deref().map_or_else(String::new, |model| format!(" {model}"));
        format!("<KindRow {kind}{model}: {} of {} succeeded, {}>", self.succeeded, self.runs, self.spent.0)
    }
}

/// What runs of each kind cost. `str()` is two tables.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct KindsReport(pub(crate) report::KindsReport);

#[pymethods]
impl KindsReport {
    /// By kind, where the most was spent first.
    #[getter]
    fn rows(&self) -> Vec<KindRow> {
        KindRow::all(&self.0.rows)
    }

    /// By kind and model; of each kind the model first that is cheapest for every success. A run of
    /// several models stands under the one it spent the most on.
    #[getter]
    fn models(&self) -> Vec<KindRow> {
        KindRow::all(&self.0.models)
    }

    /// All runs together.
    #[getter]
    fn totals(&self) -> KindRow {
        KindRow::of(None, None, &self.0.totals)
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
        format!("<KindsReport: {} kinds, {} runs>", self.0.rows.len(), self.0.totals.runs)
    }
}
