//! HTTP exchanges, for the integrations.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use outlay::run::{Exchange as Core, Failure, Outgoing as CoreOutgoing};
use pyo3::{
    exceptions::PyRuntimeWarning,
    prelude::*,
    types::{PyBytes, PyDict},
};

use crate::{
    convert::Money,
    error::{invalid, patiently, waiting},
    tracing::{Names, Trace, names},
    usage::Usage,
};

/// From this size on, text is read and counted without the interpreter's lock.
pub(crate) const LARGE_BYTES: usize = 16 << 10;

/// So many fields are warned of, each once in a process.
const WARNED_MAX: usize = 1_000;

/// Warns of what a usage has that we do not know. A warning made an error must not cost the answer.
fn warn_unknown(py: Python<'_>, fields: Vec<String>) {
    static WARNED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    for field in fields {
        let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() >= WARNED_MAX || !warned.insert(field.clone()) {
            continue;
        }
        drop(warned);
        let message = format!(
            "outlay: the usage of an answer has `{field}`, which outlay does not know: it is perhaps billed, \
             and was not charged"
        );
        let warn =
            || py.import("warnings")?.call_method1("warn", (message, py.get_type::<PyRuntimeWarning>()));
        if let Err(error) = warn() {
            error.write_unraisable(py, None);
        }
    }
}

/// A request that was read and counted once, for all its HTTP attempts; it holds nothing.
#[pyclass(frozen, module = "outlay._native")]
pub(crate) struct Outgoing {
    pub(crate) outgoing: CoreOutgoing,
    pub(crate) blocking: bool,
}

#[pymethods]
impl Outgoing {
    /// How long an attempt of it waits for money that other calls hold, in milliseconds.
    #[getter]
    fn wait_ms(&self) -> u64 {
        self.outgoing.wait_ms()
    }

    /// Does an attempt of it wait for a file?
    #[getter]
    fn blocking(&self) -> bool {
        self.blocking
    }

    /// Reserves for one attempt, waiting for money that other calls hold.
    #[pyo3(signature = (wait_ms=None))]
    fn reserve(&self, py: Python<'_>, wait_ms: Option<u64>) -> PyResult<Exchange> {
        let reserve = || self.outgoing.reserve(Some(0));
        let exchange = match wait_ms.unwrap_or(self.outgoing.wait_ms()) {
            0 => waiting(py, self.blocking, reserve)?,
            wait_ms => patiently(py, wait_ms, || self.outgoing.poll(), reserve)?,
        };
        Ok(self.held(exchange))
    }

    /// Reserves for one attempt without waiting; None if other calls hold the money: ask again.
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Exchange>> {
        let exchange = waiting(py, self.blocking, || self.outgoing.poll())?;
        Ok(exchange.map(|exchange| self.held(exchange)))
    }
}

impl Outgoing {
    fn held(&self, exchange: Core) -> Exchange {
        Exchange { exchange, blocking: self.blocking, trace: Trace::default() }
    }
}

/// One HTTP attempt under a reservation; what an integration holds between request and response.
#[pyclass(frozen, module = "outlay._native")]
#[allow(clippy::struct_field_names)]
pub(crate) struct Exchange {
    pub(crate) exchange: Core,
    pub(crate) blocking: bool,
    trace: Trace,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.trace.dropped(self.exchange.call());
    }
}

#[pymethods]
impl Exchange {
    /// Does ending it wait for a file?
    #[getter]
    fn blocking(&self) -> bool {
        self.blocking
    }

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
        waiting(py, self.blocking || large, || self.exchange.answered(status, body))?;
        let failed = (status >= 400).then(|| status.to_string());
        self.trace.ended(py, self.exchange.call(), failed.as_deref());
        warn_unknown(py, self.exchange.take_unknown_fields());
        Ok(())
    }

    /// Ends it without a response: "not_sent", "given_back" (and never was to be), "timeout",
    /// "connection" or "cancelled".
    fn fail(&self, py: Python<'_>, kind: &str) -> PyResult<()> {
        let failure = match kind {
            "not_sent" | "given_back" => Failure::NotSent,
            "timeout" | "connection" | "cancelled" => Failure::Unknown,
            other => return Err(invalid(py, format!("failure `{other}` is not known"))),
        };
        waiting(py, self.blocking, || self.exchange.failed(failure))?;
        self.trace.ended(py, self.exchange.call(), Some(kind));
        Ok(())
    }

    /// Ends it with what it used, as a framework reports it.
    fn settle(&self, py: Python<'_>, usage: &Usage) -> PyResult<()> {
        waiting(py, self.blocking, || self.exchange.call().settle_told(&usage.told())).map(drop)?;
        self.trace.ended(py, self.exchange.call(), None);
        warn_unknown(py, usage.unknown_fields());
        Ok(())
    }

    /// Takes bytes of the stream; returns those to hand on, None if they are the same.
    fn stream_push<'py>(&self, py: Python<'py>, chunk: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut out = Vec::with_capacity(chunk.len());
        // Only a cut waits for a file, once; reading and counting a chunk is short.
        waiting(py, chunk.len() > LARGE_BYTES, || self.exchange.push(chunk, &mut out)).inspect_err(
            |cut| {
                let code = cut.value(py).getattr("code").and_then(|code| code.extract::<String>());
                self.trace.ended(py, self.exchange.call(), Some(code.as_deref().unwrap_or("_OTHER")));
            },
        )?;
        Ok((out != chunk).then(|| PyBytes::new(py, &out)))
    }

    /// Takes the end of the stream's bytes; returns what was kept back.
    fn stream_rest<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let mut out = Vec::new();
        self.exchange.rest(&mut out);
        (!out.is_empty()).then(|| PyBytes::new(py, &out))
    }

    /// Ends the stream, read to its end or not; only the first end counts.
    fn stream_end(&self, py: Python<'_>) -> PyResult<()> {
        waiting(py, self.blocking, || self.exchange.ended())?;
        self.trace.ended(py, self.exchange.call(), None);
        warn_unknown(py, self.exchange.take_unknown_fields());
        Ok(())
    }

    /// Tells `callback` of its end; returns what OpenTelemetry calls it, its provider and its model.
    #[pyo3(name = "_trace")]
    fn trace(&self, callback: Py<PyAny>) -> Names {
        let (call, api) = (self.exchange.call(), self.exchange.api());
        self.trace.set(call, callback);
        names(api.genai_operation(), call, api.provider())
    }

    fn __repr__(&self) -> String {
        format!("<Exchange {} {}>", self.exchange.call().model(), self.state())
    }
}
