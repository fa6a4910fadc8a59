//! Reports and summaries.

use outlay::report;
use pyo3::prelude::*;

use crate::convert::Money;

/// What became of some calls.
#[pyclass(frozen, subclass, module = "outlay")]
pub(crate) struct Figures(report::Figures);

#[pymethods]
impl Figures {
    /// Model calls that were made or may have been: settled, in doubt and pending.
    #[getter]
    fn calls(&self) -> u64 {
        self.0.calls()
    }

    /// Calls of tools.
    #[getter]
    fn tool_calls(&self) -> u64 {
        self.0.tool_calls()
    }

    /// Calls that were reserved and not billed.
    #[getter]
    fn voided_calls(&self) -> u64 {
        self.0.voided_calls
    }

    /// Calls without a known price: their cost is unknown, and in no sum.
    #[getter]
    fn unpriced_calls(&self) -> u64 {
        self.0.unpriced_calls
    }

    /// How many settled calls are estimated.
    #[getter]
    fn estimated_calls(&self) -> u64 {
        self.0.estimated_calls
    }

    /// How many calls used more money or tokens than they had reserved.
    #[getter]
    fn overrun_calls(&self) -> u64 {
        self.0.overrun_calls
    }

    /// All input tokens, with what was read from and written to a cache.
    #[getter]
    fn input_tokens(&self) -> u64 {
        self.0.tokens.input
    }

    /// Input read from a cache.
    #[getter]
    fn cache_read_tokens(&self) -> u64 {
        self.0.tokens.cache_read
    }

    /// Input written to a cache.
    #[getter]
    fn cache_write_tokens(&self) -> u64 {
        self.0.tokens.cache_write
    }

    /// All output tokens, with reasoning.
    #[getter]
    fn output_tokens(&self) -> u64 {
        self.0.tokens.output
    }

    /// Output the caller does not see.
    #[getter]
    fn reasoning_tokens(&self) -> u64 {
        self.0.tokens.reasoning
    }

    /// Settled and in doubt together.
    #[getter]
    fn spent(&self) -> Money {
        Money(self.0.spent())
    }

    /// What was used.
    #[getter]
    fn settled(&self) -> Money {
        Money(self.0.settled())
    }

    /// What calls hold whose outcome nobody knows.
    #[getter]
    fn in_doubt(&self) -> Money {
        Money(self.0.in_doubt())
    }

    /// What open calls hold.
    #[getter]
    fn pending(&self) -> Money {
        Money(self.0.pending())
    }

    /// Of what is settled: our count, not the provider's.
    #[getter]
    fn estimated(&self) -> Money {
        Money(self.0.estimated)
    }

    /// What calls cost above their reservations.
    #[getter]
    fn overrun(&self) -> Money {
        Money(self.0.overrun)
    }

    fn __repr__(&self) -> String {
        format!("<Figures {} spent by {} calls>", self.0.spent(), self.0.calls())
    }
}

/// One line of a report.
#[pyclass(frozen, extends = Figures, module = "outlay")]
pub(crate) struct ReportRow {
    key: Option<String>,
    task: Option<outlay::Id>,
    attempt: Option<u32>,
    share_per_mille: u32,
    text: String,
}

impl ReportRow {
    fn make(py: Python<'_>, row: &report::Row) -> PyResult<Py<Self>> {
        let text = format!("<ReportRow {}: {} spent>", row.label(), row.figures.spent());
        let (key, attempt, share_per_mille) = (row.key.clone(), row.attempt, row.share_per_mille);
        let own = Self { key, task: row.task, attempt, share_per_mille, text };
        Py::new(py, PyClassInitializer::from(Figures(row.figures)).add_subclass(own))
    }
}

#[pymethods]
impl ReportRow {
    /// The task's own id or name, the model or the value of the tag; "erased" where it was
    /// forgotten, None where there is none.
    #[getter]
    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The task's id in the ledger, in a report by task or attempt.
    #[getter]
    fn task_id(&self) -> Option<String> {
        self.task.map(|id| id.to_string())
    }

    /// The number of the attempt, in a report by attempt.
    #[getter]
    fn attempt(&self) -> Option<u32> {
        self.attempt
    }

    /// Its part of all that was spent, per mille.
    #[getter]
    fn share_per_mille(&self) -> u32 {
        self.share_per_mille
    }

    fn __repr__(&self) -> &str {
        &self.text
    }
}

/// Where the money went. `str()` is a table.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Report(pub(crate) report::Report);

#[pymethods]
impl Report {
    /// What the rows are.
    #[getter]
    fn by(&self) -> String {
        self.0.by.to_string()
    }

    /// The rows, the largest spender first.
    #[getter]
    fn rows(&self, py: Python<'_>) -> PyResult<Vec<Py<ReportRow>>> {
        self.0.rows.iter().map(|row| ReportRow::make(py, row)).collect()
    }

    /// All rows together.
    #[getter]
    fn totals(&self) -> Figures {
        Figures(self.0.totals)
    }

    /// Entries a ledger in memory keeps no longer: their calls are not in the report.
    #[getter]
    fn dropped_entries(&self) -> u64 {
        self.0.dropped_entries
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Report by {}: {} rows, {} spent>", self.0.by, self.0.rows.len(), self.0.totals.spent())
    }
}

/// How far counts and bounds of one kind of call were from the truth.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct MeterRow(report::MeterRow);

#[pymethods]
impl MeterRow {
    /// Who billed them, where the price list says.
    #[getter]
    fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// The model that was asked for.
    #[getter]
    fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// Did they offer tools?
    #[getter]
    fn has_tools(&self) -> bool {
        self.0.has_tools
    }

    /// How their input was bounded, such as "exact" or "calibrated".
    #[getter]
    fn method(&self) -> &'static str {
        self.0.method.name()
    }

    /// How many calls.
    #[getter]
    fn calls(&self) -> u64 {
        self.0.calls
    }

    /// How many of them had more input than their bound.
    #[getter]
    fn overruns(&self) -> u64 {
        self.0.overruns
    }

    /// What the provider counted over what was counted here, both per mille: 995 gives what 99.5 % of
    /// the calls stay within, 1000 the most.
    fn truth_over_count(&self, quantile: u64) -> u32 {
        self.0.truth_over_count.quantile(quantile)
    }

    /// The bound over what the provider counted, likewise.
    fn bound_over_truth(&self, quantile: u64) -> u32 {
        self.0.bound_over_truth.quantile(quantile)
    }

    fn __repr__(&self) -> String {
        let model = self.0.model.as_deref().unwrap_or("?");
        format!("<MeterRow {model}: {} calls, {} overruns>", self.0.calls, self.0.overruns)
    }
}

/// How far bounds were from the truth. `str()` is a table.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct MeterReport(pub(crate) report::MeterReport);

#[pymethods]
impl MeterReport {
    /// One for each provider, model, with tools or without, and method.
    #[getter]
    fn rows(&self) -> Vec<MeterRow> {
        self.0.rows.iter().cloned().map(MeterRow).collect()
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
        format!("<MeterReport: {} rows>", self.0.rows.len())
    }
}

/// One attempt in a summary.
#[pyclass(frozen, extends = Figures, module = "outlay")]
pub(crate) struct AttemptLine {
    number: u32,
    outcome: &'static str,
    reason: Option<String>,
}

#[pymethods]
impl AttemptLine {
    /// Its number, from 1.
    #[getter]
    fn number(&self) -> u32 {
        self.number
    }

    /// "running", "succeeded", "failed", "stopped" or "lost".
    #[getter]
    fn outcome(&self) -> &'static str {
        self.outcome
    }

    /// What was said of its end.
    #[getter]
    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    fn __repr__(&self) -> String {
        format!("<AttemptLine {} {}>", self.number, self.outcome)
    }
}

/// Spending that bought nothing, or of which nobody knows whether it did.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Loss(report::Loss);

#[pymethods]
impl Loss {
    /// "failed attempts", "stopped attempts", "lost attempts", "calls in doubt" or "estimated".
    #[getter]
    fn what(&self) -> &'static str {
        self.0.what
    }

    /// How much of it.
    #[getter]
    fn spent(&self) -> Money {
        Money(self.0.usd)
    }

    /// How many calls of a model.
    #[getter]
    fn calls(&self) -> u64 {
        self.0.calls
    }

    fn __repr__(&self) -> String {
        format!("<Loss {}: {}>", self.0.what, self.0.usd)
    }
}

/// What a task spent, over all attempts and everything inside it. `str()` is a few lines of text.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Summary(pub(crate) report::Summary);

#[pymethods]
impl Summary {
    /// The task's name.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// Its id in the ledger.
    #[getter]
    fn id(&self) -> String {
        self.0.id.to_string()
    }

    /// The id the caller gave it.
    #[getter]
    fn caller_id(&self) -> Option<&str> {
        self.0.caller_id.as_deref()
    }

    /// How its latest attempt stands: "running", "succeeded", "failed", "stopped" or "lost".
    #[getter]
    fn outcome(&self) -> &'static str {
        self.0.standing.name()
    }

    /// Settled and in doubt.
    #[getter]
    fn spent(&self) -> Money {
        Money(self.0.spent())
    }

    /// What open calls hold.
    #[getter]
    fn pending(&self) -> Money {
        Money(self.0.balance.pending.usd())
    }

    /// What calls hold whose outcome nobody knows.
    #[getter]
    fn in_doubt(&self) -> Money {
        Money(self.0.balance.in_doubt.usd())
    }

    /// Calls of this process, under whatever task, that went through while the ledger could not
    /// answer, as `on_unavailable="allow"` says: they are in no figure here.
    #[getter]
    fn unrecorded_calls(&self) -> u64 {
        self.0.unrecorded_calls
    }

    /// What is left for a call: the least over every hard limit on money; None without any.
    #[getter]
    fn available(&self) -> Option<Money> {
        self.0.available.map(Money)
    }

    /// All its calls together.
    #[getter]
    fn totals(&self) -> Figures {
        Figures(self.0.figures)
    }

    /// Its attempts, the first one first.
    #[getter]
    fn attempts(&self, py: Python<'_>) -> PyResult<Vec<Py<AttemptLine>>> {
        let make = |line: &report::AttemptLine| {
            let (outcome, reason) = (line.standing.name(), line.reason.clone());
            let own = AttemptLine { number: line.number, outcome, reason };
            Py::new(py, PyClassInitializer::from(Figures(line.figures)).add_subclass(own))
        };
        self.0.attempts.iter().map(make).collect()
    }

    /// The models its calls asked for, the largest spender first.
    #[getter]
    fn by_model(&self, py: Python<'_>) -> PyResult<Vec<Py<ReportRow>>> {
        self.0.by_model.iter().map(|row| ReportRow::make(py, row)).collect()
    }

    /// Which part bought nothing, by kind; no cent is in two kinds.
    #[getter]
    fn bought_nothing(&self) -> Vec<Loss> {
        self.0.bought_nothing.iter().cloned().map(Loss).collect()
    }

    /// Calls without a known price: their cost is unknown, and in no sum.
    #[getter]
    fn unpriced_calls(&self) -> u64 {
        self.0.figures.unpriced_calls
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Summary of {:?}: {} spent>", self.0.name, self.0.spent())
    }
}

/// The calls of one task name that one limit would have refused, had it been enforced.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct ObservedRow(pub(crate) report::ObservedRow);

#[pymethods]
impl ObservedRow {
    /// The name of the tasks.
    #[getter]
    fn task(&self) -> Option<&str> {
        self.0.task.as_deref()
    }

    /// Whose limit it is, as in "budget `tenant=acme`".
    #[getter]
    fn budget(&self) -> Option<&str> {
        self.0.budget.as_deref()
    }

    /// What is limited: "usd", "tokens", "llm_calls" or "tool_calls".
    #[getter]
    fn unit(&self) -> Option<&str> {
        self.0.unit.as_deref()
    }

    /// How many calls, of models and tools.
    #[getter]
    fn calls(&self) -> u64 {
        self.0.calls
    }

    /// What they cost.
    #[getter]
    fn settled(&self) -> Money {
        Money(self.0.settled)
    }

    fn __repr__(&self) -> String {
        let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let (task, budget, unit) = (text(self.task()), text(self.budget()), text(self.unit()));
        let (calls, settled) = (self.0.calls, self.0.settled);
        format!("<ObservedRow {task}: {calls} calls over the {unit} of {budget}, {settled}>")
    }
}
