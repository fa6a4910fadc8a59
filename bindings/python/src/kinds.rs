//! What a run of each kind costs, with which model, and whether it is what it may cost.

use outlay::{report, run::Rates};
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
    /// How long those took that have ended, each from its beginning to its end.
    runtime_ms: i64,
    /// How many entries the ledger has about their calls.
    entries: u64,
    /// What the time costs; None without `compute_usd_per_hour`.
    compute: Option<Money>,
    /// What the entries cost; None without `orchestration_usd_per_entry`.
    orchestration: Option<Money>,
}

impl KindRow {
    fn of(kind: Option<&str>, model: Option<&str>, figures: &report::RunFigures, rates: &Rates) -> Self {
        let [compute, orchestration] = figures.beside_models(rates).unwrap_or_default();
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
            runtime_ms: figures.runtime_ms,
            entries: figures.entries,
            compute: compute.map(Money),
            orchestration: orchestration.map(Money),
        }
    }

    fn all(rows: &[report::KindRow], rates: &Rates) -> Vec<Self> {
        let of =
            |row: &report::KindRow| Self::of(row.kind.as_deref(), row.model.as_deref(), &row.figures, rates);
        rows.iter().map(of).collect()
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
        KindRow::all(&self.0.rows, &self.0.rates)
    }

    /// By kind and model; of each kind the model first that is cheapest for every success. A run of
    /// several models stands under the one it spent the most on.
    #[getter]
    fn models(&self) -> Vec<KindRow> {
        KindRow::all(&self.0.models, &self.0.rates)
    }

    /// All runs together.
    #[getter]
    fn totals(&self) -> KindRow {
        KindRow::of(None, None, &self.0.totals, &self.0.rates)
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

/// One amount that runs of a kind may cost, and what became of it.
#[pyclass(frozen, get_all, module = "outlay")]
#[derive(Clone)]
pub(crate) struct SloRow {
    /// The kind of run.
    kind: String,
    /// "target": what all runs spent for each that succeeded; "p95": what 95 of 100 do not pass; "cap":
    /// the dearest; "month": what was settled in this month, in UTC.
    what: &'static str,
    /// How many runs it is made of; None for a month.
    runs: Option<u64>,
    /// How much it may be.
    allowed: Money,
    /// How much it is; None where that is not known.
    actual: Option<Money>,
    /// How much more it is than it may be, negative where it is less.
    over: Option<Money>,
    /// Is it as it may be? None where that is not known.
    is_met: Option<bool>,
    /// Will the month be too dear by its end, if it goes on as expected?
    will_be_over: bool,
    /// What the month will have cost in USD by its end: expected, low and high.
    month_end: Option<(f64, f64, f64)>,
}

#[pymethods]
impl SloRow {
    fn __repr__(&self) -> String {
        let actual = self.actual.map_or_else(|| "-".to_owned(), |usd| usd.0.to_string());
        format!("<SloRow {} {}: {actual} of {}>", self.kind, self.what, self.allowed.0)
    }
}

/// Whether runs cost what they may. `str()` is a table.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct SloReport(pub(crate) report::SloReport);

#[pymethods]
impl SloReport {
    /// By kind: target, p95, cap, month, of those that are configured.
    #[getter]
    fn rows(&self) -> Vec<SloRow> {
        let of = |row: &report::SloRow| SloRow {
            kind: row.kind.clone(),
            what: row.what.name(),
            runs: row.runs,
            allowed: Money(row.allowed),
            actual: row.actual.map(Money),
            over: row.over().map(Money),
            is_met: row.is_met(),
            will_be_over: row.will_be_over(),
            month_end: row.month_end.map(|end| (end.expected, end.low, end.high)),
        };
        self.0.rows.iter().map(of).collect()
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
        let met = self.0.rows.iter().filter(|row| row.is_met() == Some(true)).count();
        format!("<SloReport: {met} of {} met>", self.0.rows.len())
    }
}
