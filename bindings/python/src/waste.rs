//! What was paid for nothing, what failure cost, and what was bought.

use outlay::{Id, report};
use pyo3::prelude::*;

use crate::convert::Money;

/// An attempt or a call behind a kind of waste.
#[pyclass(frozen, get_all, module = "outlay")]
#[derive(Clone)]
pub(crate) struct WasteItem {
    /// How much of it.
    usd: Money,
    /// The id the caller gave the task, else its name.
    task: Option<String>,
    /// The task's id in the ledger.
    task_id: Option<String>,
    /// The number of the attempt.
    attempt: u32,
    /// The call; None where it is the whole attempt.
    call_id: Option<String>,
    /// Input tokens that might have been read from the cache and were not, at most.
    missed_tokens: u64,
    /// Where a request that missed the cache differs from the one before: which message, and how
    /// many bytes into it.
    differs_at: Option<(u32, u64)>,
}

impl WasteItem {
    fn of(item: &report::WasteItem) -> Self {
        Self {
            usd: Money(item.usd),
            task: item.task.clone(),
            task_id: shown(item.task_id),
            attempt: item.attempt,
            call_id: shown(item.call),
            missed_tokens: item.missed_tokens,
            differs_at: item.differs_at,
        }
    }
}

fn shown(id: Option<Id>) -> Option<String> {
    id.map(|id| id.to_string())
}

#[pymethods]
impl WasteItem {
    fn __repr__(&self) -> String {
        let task = self.task.as_deref().unwrap_or("-");
        format!("<WasteItem {task} #{}: {}>", self.attempt, self.usd.0)
    }
}

/// One kind of waste.
#[pyclass(frozen, get_all, module = "outlay")]
#[derive(Clone)]
pub(crate) struct Waste {
    /// "failed attempts", "stopped attempts", "lost attempts", "repeated requests", "broken
    /// streams", "prompt-cache misses" or "outside any task".
    kind: &'static str,
    /// How much was wasted.
    usd: Money,
    /// Of it, in tasks a later attempt at which succeeded.
    redone: Money,
    /// How many calls of a model.
    calls: u64,
    /// What to do about it.
    advice: &'static str,
    /// The dearest attempts or calls of it, at most 20.
    items: Vec<WasteItem>,
}

impl Waste {
    fn of(waste: &report::Waste) -> Self {
        Self {
            kind: waste.kind.name(),
            usd: Money(waste.usd),
            redone: Money(waste.redone),
            calls: waste.calls,
            advice: waste.kind.advice(),
            items: waste.items.iter().map(WasteItem::of).collect(),
        }
    }
}

#[pymethods]
impl Waste {
    fn __repr__(&self) -> String {
        format!("<Waste {}: {}, {} calls>", self.kind, self.usd.0, self.calls)
    }
}

/// What was paid for nothing. `str()` is a table with advice.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct WasteReport(pub(crate) report::WasteReport);

#[pymethods]
impl WasteReport {
    /// Where the most was wasted first; no cent is in two kinds.
    #[getter]
    fn kinds(&self) -> Vec<Waste> {
        self.0.kinds.iter().map(Waste::of).collect()
    }

    /// All kinds together.
    #[getter]
    fn wasted(&self) -> Money {
        Money(self.0.wasted())
    }

    /// All that was settled.
    #[getter]
    fn settled(&self) -> Money {
        Money(self.0.settled)
    }

    /// What definitions of tools cost. Not waste: the ledger cannot tell what of them was needed.
    #[getter]
    fn tool_usd(&self) -> Money {
        Money(self.0.context.tool_usd)
    }

    /// What part of the input they were, per mille.
    #[getter]
    fn tools_per_mille(&self) -> u32 {
        self.0.context.tools_per_mille()
    }

    /// How many input tokens a call has more than the one before it in its attempt.
    #[getter]
    fn growth_per_call(&self) -> i64 {
        self.0.context.growth_per_call
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
        format!("<WasteReport: {} of {} wasted>", self.0.wasted(), self.0.settled)
    }
}

/// What failure cost the tasks of one name.
#[pyclass(frozen, get_all, module = "outlay")]
#[derive(Clone)]
pub(crate) struct TaxRow {
    /// The name of the tasks that lie in no other; None in the totals.
    task: Option<String>,
    /// First runs of tasks that have ended.
    first_runs: u64,
    /// Of them those that failed, were stopped or were lost.
    first_lost: u64,
    /// All runs that have ended.
    runs: u64,
    /// Of them those that succeeded.
    succeeded: u64,
    /// Runs for each that succeeded, per mille; None where none did.
    runs_per_success_per_mille: Option<u64>,
    /// The most runs one task needed so far.
    deepest: u32,
    /// What runs that succeeded spent, without what was lost inside them.
    useful: Money,
    /// What attempts spent that bought nothing.
    lost: Money,
    /// What runs spent that are not over, or of which nobody knows how they ended.
    open: Money,
    /// What was lost over what was useful, per mille; None where nothing was useful.
    tax_per_mille: Option<u64>,
}

impl TaxRow {
    fn of(task: Option<&str>, tax: &report::Tax) -> Self {
        Self {
            task: task.map(str::to_owned),
            first_runs: tax.first_runs,
            first_lost: tax.first_lost,
            runs: tax.runs,
            succeeded: tax.succeeded,
            runs_per_success_per_mille: tax.runs_per_success(),
            deepest: tax.deepest,
            useful: Money(tax.useful.usd),
            lost: Money(tax.lost.usd),
            open: Money(tax.open.usd),
            tax_per_mille: tax.per_mille(),
        }
    }
}

#[pymethods]
impl TaxRow {
    fn __repr__(&self) -> String {
        let task = self.task.as_deref().unwrap_or("-");
        format!("<TaxRow {task}: {} lost, {} useful>", self.lost.0, self.useful.0)
    }
}

/// What failure cost. `str()` is a table.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct TaxReport(pub(crate) report::TaxReport);

#[pymethods]
impl TaxReport {
    /// By the name of the task, where the most was lost first.
    #[getter]
    fn rows(&self) -> Vec<TaxRow> {
        self.0.rows.iter().map(|row| TaxRow::of(row.task.as_deref(), &row.tax)).collect()
    }

    /// All rows together.
    #[getter]
    fn totals(&self) -> TaxRow {
        TaxRow::of(None, &self.0.totals)
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
        format!("<TaxReport: {} lost>", self.0.totals.lost.usd)
    }
}
