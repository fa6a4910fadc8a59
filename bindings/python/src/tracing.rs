//! Who is told that a call has ended? Whoever traces it, if anybody does.

use std::sync::OnceLock;

use outlay::{
    Outcome,
    meter::{Api, genai_provider},
};
use pyo3::prelude::*;

use crate::{convert::Money, error::guard, usage::Usage};

/// What OpenTelemetry calls an operation, its provider and its model.
pub(crate) type Names = (String, String, String);

/// The one callback of a call, or none. It may be called again: the first time counts.
#[derive(Default)]
pub(crate) struct Trace(OnceLock<Py<PyAny>>);

impl Trace {
    /// Tells `callback` of the end of `call`.
    pub(crate) fn set(&self, call: &outlay::Call, callback: Py<PyAny>) {
        call.keep();
        let _ = self.0.set(callback);
    }

    /// Tells that `call` has ended, if it has, and of what it failed.
    pub(crate) fn ended(&self, py: Python<'_>, call: &outlay::Call, error: Option<&str>) {
        if let Some(callback) = self.0.get() {
            tell(py, callback, call, error);
        }
    }

    /// Ends a call nobody can reach any more as its drop would, and tells that.
    pub(crate) fn dropped(&self, call: &outlay::Call) {
        let Some(callback) = self.0.get() else { return };
        if call.abandon() {
            Python::attach(|py| tell(py, callback, call, Some("abandoned")));
        }
    }
}

fn tell(py: Python<'_>, callback: &Py<PyAny>, call: &outlay::Call, error: Option<&str>) {
    let settled = match call.outcome() {
        None => return,
        Some(Outcome::Settled(settled)) => Some(settled),
        Some(_) => None,
    };
    let (usage, model) = match call.kept() {
        Some(kept) => (Some(Usage::from(kept.usage)), Some(kept.model.to_string())),
        None => (None, None),
    };
    let charge = settled.map(|settled| Money(settled.charge));
    let overrun = settled.map(|settled| Money(settled.overrun));
    let estimated = settled.is_some_and(|settled| settled.estimated);
    let told = (crate::call::state_of(call), charge, overrun, estimated, usage, model, error);
    if let Err(error) = callback.call1(py, told) {
        error.write_unraisable(py, None);
    }
}

/// The names of a call by what was asked for, and of whom by the price list or the protocol.
pub(crate) fn names(operation: &str, call: &outlay::Call, protocol: &str) -> Names {
    let provider = Some(call.provider()).filter(|known| !known.is_empty()).unwrap_or(protocol);
    (operation.to_owned(), genai_provider(provider).to_owned(), call.model().to_owned())
}

/// What OpenTelemetry calls the operation and the provider of a request of this protocol.
#[pyfunction]
#[pyo3(signature = (api, host=None))]
pub(crate) fn genai_names(
    py: Python<'_>,
    api: &str,
    host: Option<&str>,
) -> PyResult<(&'static str, &'static str)> {
    let api = guard(py, || api.parse::<Api>())?;
    let api = host.map_or(api, |host| api.at(host));
    Ok((api.genai_operation(), genai_provider(api.provider())))
}
