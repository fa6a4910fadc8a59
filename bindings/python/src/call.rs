//! Calls.

use pyo3::prelude::*;

use crate::{
    convert::Money,
    error::waiting,
    tracing::{Names, Trace, names},
    usage::Usage,
};

/// One reserved call. End it with `settle` or `void`.
#[pyclass(frozen, module = "outlay")]
#[allow(clippy::struct_field_names)]
pub(crate) struct Call {
    pub(crate) call: outlay::Call,
    pub(crate) blocking: bool,
    pub(crate) trace: Trace,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.trace.dropped(&self.call);
    }
}

#[pymethods]
impl Call {
    /// Its id in the ledger.
    #[getter]
    fn id(&self) -> String {
        self.call.id().to_string()
    }

    /// The model it is reserved for; this must go into the request.
    #[getter]
    fn model(&self) -> &str {
        self.call.model()
    }

    /// The most output tokens each answer may have; this must go into the request.
    #[getter]
    fn max_output_tokens(&self) -> u64 {
        self.call.max_output_tokens()
    }

    /// Is this the first reservation under its id? Only then may the call be sent.
    #[getter]
    fn created(&self) -> bool {
        self.call.created()
    }

    /// What is held for it.
    #[getter]
    fn reserved(&self) -> Money {
        Money(self.call.reserved())
    }

    /// Does it pass a soft limit?
    #[getter]
    fn over_soft(&self) -> bool {
        self.call.over_soft()
    }

    /// Why it would have been denied, under a task that only observes.
    #[getter]
    fn would_deny(&self) -> Option<String> {
        self.call.would_deny().map(|denial| denial.clone().into_error().to_string())
    }

    /// How it stands: "open", "settled", "voided" or "in_doubt".
    #[getter]
    fn state(&self) -> &'static str {
        state_of(&self.call)
    }

    /// Ends the call with what it used.
    ///
    /// A usage that was read from a response is charged at the provider's own charge if it told one,
    /// else by the service tier and the region it was served in.
    ///
    /// Args:
    ///     usage: what the provider reported.
    ///
    /// Raises:
    ///     InvalidInput: a usage that cannot be; the call is still open.
    ///     Unpriced: nobody knows what the tier or the region it was served in costs; still open.
    ///     Conflict: it ended otherwise before.
    ///     StoreUnavailable: the ledger could not answer; settle it again.
    ///
    /// Example:
    ///     >>> import outlay
    ///     >>> with outlay.task("t", usd=1, store="memory:") as t:
    ///     ...     call = t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=500)
    ///     ...     call.settle(outlay.Usage(1000, 500)).charge
    ///     Money('0.0075')
    fn settle(&self, py: Python<'_>, usage: &Usage) -> PyResult<Settled> {
        let settled = waiting(py, self.blocking, || usage.settle(&self.call))?;
        self.trace.ended(py, &self.call, None);
        Ok(Settled(settled))
    }

    /// Ends the call as not billed.
    ///
    /// Raises:
    ///     Conflict: it ended otherwise before.
    ///     StoreUnavailable: the ledger could not answer; the call is still open.
    fn void(&self, py: Python<'_>) -> PyResult<()> {
        waiting(py, self.blocking, || self.call.void())?;
        self.trace.ended(py, &self.call, None);
        Ok(())
    }

    /// Ends the call as one of which nobody knows whether it was billed.
    ///
    /// Raises:
    ///     Conflict: it ended otherwise before.
    ///     StoreUnavailable: the ledger could not answer; the call is still open.
    fn doubt(&self, py: Python<'_>) -> PyResult<()> {
        waiting(py, self.blocking, || self.call.doubt())?;
        self.trace.ended(py, &self.call, None);
        Ok(())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        waiting(py, self.blocking, || self.call.leave())?;
        self.trace.ended(py, &self.call, None);
        Ok(false)
    }

    /// Tells `callback` of its end; returns what OpenTelemetry calls it, its provider and its model.
    #[pyo3(name = "_trace")]
    fn trace(&self, callback: Py<PyAny>) -> Names {
        self.trace.set(&self.call, callback);
        names("chat", &self.call, "")
    }

    fn __repr__(&self) -> String {
        format!("<Call {} {} reserved {}>", self.call.model(), self.state(), self.call.reserved())
    }
}

/// What a call came to.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Settled(pub(crate) outlay::Settled);

#[pymethods]
impl Settled {
    /// What it cost.
    #[getter]
    fn charge(&self) -> Money {
        Money(self.0.charge)
    }

    /// What the charge was above the reservation.
    #[getter]
    fn overrun(&self) -> Money {
        Money(self.0.overrun)
    }

    /// Is it our count, not the provider's?
    #[getter]
    fn estimated(&self) -> bool {
        self.0.estimated
    }

    fn __repr__(&self) -> String {
        format!("<Settled {}>", self.0.charge)
    }
}

/// How a call stands, in the words of the documentation.
pub(crate) fn state_of(call: &outlay::Call) -> &'static str {
    match call.outcome() {
        None => "open",
        Some(outlay::Outcome::Settled(_)) => "settled",
        Some(outlay::Outcome::Voided) => "voided",
        Some(outlay::Outcome::InDoubt) => "in_doubt",
    }
}
