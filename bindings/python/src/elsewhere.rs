//! What it would have cost elsewhere.

use outlay::report;
use pyo3::prelude::*;

use crate::convert::Money;

/// What some calls cost, and would have cost elsewhere.
#[pyclass(frozen, get_all, module = "outlay")]
#[derive(Clone)]
pub(crate) struct WhatIfRow {
    /// The name of the tasks; None in the totals.
    task: Option<String>,
    /// The model that was asked for; None for tools and in the totals.
    model: Option<String>,
    /// The provider and model they would have gone to; None where it has no price.
    target: Option<String>,
    /// How many calls are compared.
    calls: u64,
    /// What they cost.
    recorded: Money,
    /// What they would have cost at least, if answered in as much text.
    least: Money,
    /// And at most; the same where both models read with the same tokenizer.
    most: Money,
    /// How many tokens the target has at least for a thousand of the recorded ones.
    tokens_low_per_mille: Option<u32>,
    /// And at most.
    tokens_high_per_mille: Option<u32>,
    /// How that is known: "same tokenizer", "sample texts" or "family bounds".
    ratio_source: Option<&'static str>,
    /// Calls that cannot be compared.
    left_out_calls: u64,
    /// What these cost, as far as that is known.
    left_out: Money,
    /// Why calls are left out, each reason with how many.
    missing: Vec<(String, u64)>,
}

impl WhatIfRow {
    fn of(row: &report::WhatIfRow) -> Self {
        let ratio = row.ratio;
        Self {
            task: row.task.clone(),
            model: row.model.clone(),
            target: row.target.clone(),
            tokens_low_per_mille: ratio.map(|ratio| ratio.low_per_mille),
            tokens_high_per_mille: ratio.map(|ratio| ratio.high_per_mille),
            ratio_source: ratio.map(|ratio| ratio.source.name()),
            missing: row.missing.clone(),
            ..Self::figures(&row.figures)
        }
    }

    fn figures(figures: &report::Repriced) -> Self {
        Self {
            task: None,
            model: None,
            target: None,
            calls: figures.calls,
            recorded: Money(figures.recorded),
            least: Money(figures.least),
            most: Money(figures.most),
            tokens_low_per_mille: None,
            tokens_high_per_mille: None,
            ratio_source: None,
            left_out_calls: figures.left_out_calls,
            left_out: Money(figures.left_out),
            missing: Vec::new(),
        }
    }
}

#[pymethods]
impl WhatIfRow {
    fn __repr__(&self) -> String {
        let (recorded, least, most) = (self.recorded.0, self.least.0.decimal(), self.most.0);
        let model = self.model.as_deref().unwrap_or("-");
        format!("<WhatIfRow {model}: {recorded} would be {least} to {most}>")
    }
}

/// What calls would have cost elsewhere. `str()` is a table with notes.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct WhatIfReport(pub(crate) report::WhatIfReport);

#[pymethods]
impl WhatIfReport {
    /// By the name of the task and the model; what cost the most first.
    #[getter]
    fn rows(&self) -> Vec<WhatIfRow> {
        self.0.rows.iter().map(WhatIfRow::of).collect()
    }

    /// All rows together.
    #[getter]
    fn totals(&self) -> WhatIfRow {
        WhatIfRow::figures(&self.0.totals)
    }

    /// What the figures do not say, and what nobody can know.
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
        let totals = &self.0.totals;
        format!("<WhatIfReport: {} would be {} to {}>", totals.recorded, totals.least.decimal(), totals.most)
    }
}
