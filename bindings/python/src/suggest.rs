//! Limits that runs would have kept within.

use outlay::{Unit, report};
use pyo3::prelude::*;

use crate::convert::Money;

/// What is suggested for tasks of one kind.
#[pyclass(frozen, module = "outlay")]
#[derive(Clone)]
pub(crate) struct SuggestedLimits(report::SuggestedLimits);

#[pymethods]
impl SuggestedLimits {
    /// The kind.
    #[getter]
    fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Runs that have ended: tasks in no other.
    #[getter]
    fn runs(&self) -> u64 {
        self.0.runs
    }

    /// Attempts at them.
    #[getter]
    fn attempts(&self) -> u64 {
        self.0.attempts
    }

    /// Of the runs those that succeeded, by which the limits go.
    #[getter]
    fn succeeded(&self) -> u64 {
        self.0.succeeded
    }

    /// The most it may cost; None where no run cost anything.
    #[getter]
    fn usd(&self) -> Option<Money> {
        self.amount(Unit::Usd).map(|nanos| Money(outlay::Money::from_nanos(nanos)))
    }

    /// The most tokens; None where no run used any, as of the units below.
    #[getter]
    fn tokens(&self) -> Option<i64> {
        self.amount(Unit::Tokens)
    }

    /// The most calls of a model.
    #[getter]
    fn llm_calls(&self) -> Option<i64> {
        self.amount(Unit::LlmCalls)
    }

    /// The most calls of a tool.
    #[getter]
    fn tool_calls(&self) -> Option<i64> {
        self.amount(Unit::ToolCalls)
    }

    /// How many of the runs that succeeded used more of some unit.
    #[getter]
    fn refused(&self) -> u64 {
        self.0.refused
    }

    /// Why not to rely on it: too few runs. None where there are enough.
    #[getter]
    fn warning(&self) -> Option<String> {
        self.0.warning()
    }

    fn __repr__(&self) -> String {
        format!("<SuggestedLimits of {}: {} runs, {} succeeded>", self.0.kind, self.0.runs, self.0.succeeded)
    }
}

impl SuggestedLimits {
    fn amount(&self, unit: Unit) -> Option<i64> {
        self.0.limits.iter().find(|limit| limit.unit == unit).map(|limit| limit.amount)
    }
}

/// Limits from what runs have used. `str()` is the part of `outlay.toml` that sets them.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Suggestions(pub(crate) report::Suggestions);

#[pymethods]
impl Suggestions {
    /// By kind, in the order of their names.
    #[getter]
    fn kinds(&self) -> Vec<SuggestedLimits> {
        self.0.kinds.iter().cloned().map(SuggestedLimits).collect()
    }

    /// Runs that have ended and have no kind.
    #[getter]
    fn without_kind(&self) -> u64 {
        self.0.without_kind
    }

    /// Were there more runs than are read? Then the newest are in it.
    #[getter]
    fn is_cut(&self) -> bool {
        self.0.is_cut
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Suggestions for {} kinds>", self.0.kinds.len())
    }
}
