//! HTTP exchanges, for the integrations.

use outlay::run::{Exchange as Core, Failure, StreamEnd};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};

use crate::{
    convert::Money,
    error::{invalid, waiting},
};

/// From this size on, text is read and counted without the interpreter's lock.
pub(crate) const LARGE_BYTES: usize = 16 << 10;

/// One HTTP attempt under a reservation; what an integration holds between request and response.
#[pyclass(frozen, module = "outlay._native")]
pub(crate) struct Exchange {
    pub(crate) exchange: Core,
    pub(crate) blocking: bool,
}

#[pymethods]
impl Exchange {
    /// Its call's id in the ledger.
    #[getter]
    fn id(&self) -> String {
        self.exchange.call().id().to_string()
    }

    /// What is held for it.
    #[getter]
    fn reserved(&self) -> Money {
        Money(self.exchange.call().reserved())
    }

    /// The most output tokens each answer may have.
    #[getter]
    fn max_output_tokens(&self) -> u64 {
        self.exchange.call().max_output_tokens()
    }

    /// How its call stands: "open", "settled", "voided" or "in_doubt".
    #[getter]
    fn state(&self) -> &'static str {
        crate::call::state_of(self.exchange.call())
    }

    /// The top-level fields to set in the body, or None.
    #[getter]
    fn body_patch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        if self.exchange.patch().is_empty() {
            return Ok(None);
        }
        let patch = PyDict::new(py);
        let loads = py.import("json")?.getattr("loads")?;
        for (key, value) in self.exchange.patch() {
            patch.set_item(key, loads.call1((value.to_string(),))?)?;
        }
        Ok(Some(patch))
    }

    /// Notes that the request is about to be sent.
    fn sent(&self) {
        self.exchange.call().set_sent(true);
    }

    /// Ends it by the response.
    fn settle_http(&self, py: Python<'_>, status: u16, body: &str) -> PyResult<()> {
        let large = body.len() > LARGE_BYTES;
        waiting(py, self.blocking || large, || self.exchange.answered(status, body))
    }

    /// Ends it without a response: "not_sent", "timeout", "connection" or "cancelled".
    fn fail(&self, py: Python<'_>, kind: &str) -> PyResult<()> {
        let failure = match kind {
            "not_sent" => Failure::NotSent,
            "timeout" | "connection" | "cancelled" => Failure::Unknown,
            other => return Err(invalid(py, format!("failure `{other}` is not known"))),
        };
        waiting(py, self.blocking, || self.exchange.failed(failure))
    }

    /// Ends it with what it used, as a framework reports it.
    fn settle(&self, py: Python<'_>, usage: &crate::convert::Usage) -> PyResult<()> {
        waiting(py, self.blocking, || self.exchange.call().settle(&usage.0)).map(drop)
    }

    /// Takes bytes of the stream; returns those to hand on, None if they are the same.
    fn stream_push<'py>(&self, py: Python<'py>, chunk: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut out = Vec::with_capacity(chunk.len());
        // Only a cut waits for a file, once; reading and counting a chunk is short.
        let result = waiting(py, chunk.len() > LARGE_BYTES, || self.exchange.push(chunk, &mut out));
        result?;
        Ok((out != chunk).then(|| PyBytes::new(py, &out)))
    }

    /// Ends the stream: "done", "closed", "error" or "cancelled"; returns what was kept back.
    fn stream_end<'py>(&self, py: Python<'py>, how: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let end = match how {
            "done" => StreamEnd::Done,
            "closed" | "error" | "cancelled" => StreamEnd::Left,
            other => return Err(invalid(py, format!("end `{other}` is not known"))),
        };
        let mut out = Vec::new();
        waiting(py, self.blocking, || self.exchange.ended(end, &mut out))?;
        Ok((!out.is_empty()).then(|| PyBytes::new(py, &out)))
    }

    fn __repr__(&self) -> String {
        format!("<Exchange {} {}>", self.exchange.call().model(), self.state())
    }
}
