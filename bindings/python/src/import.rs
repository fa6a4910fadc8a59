//! What became of logs that were imported.

use std::path::PathBuf;

use outlay::{report, run::process};
use pyo3::prelude::*;

use crate::{convert::Money, error::waiting};

/// What became of logs that were imported. `str()` is some lines of text.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Imported(report::Imported);

#[pymethods]
impl Imported {
    /// Calls that are in the ledger now and were not before.
    #[getter]
    fn calls(&self) -> u64 {
        self.0.calls
    }

    /// What these cost.
    #[getter]
    fn spent(&self) -> Money {
        Money(self.0.spent)
    }

    /// Calls that were in the ledger already.
    #[getter]
    fn known_calls(&self) -> u64 {
        self.0.known_calls
    }

    /// Files that were read.
    #[getter]
    fn files(&self) -> u64 {
        self.0.files
    }

    /// Lines, or records of a file that is no lines.
    #[getter]
    fn lines(&self) -> u64 {
        self.0.lines
    }

    /// Lines about a call that another line told of too.
    #[getter]
    fn repeated_lines(&self) -> u64 {
        self.0.repeated_lines
    }

    /// Lines that cannot be read.
    #[getter]
    fn malformed_lines(&self) -> u64 {
        self.0.malformed_lines
    }

    /// Lines that tell of no call.
    #[getter]
    fn other_lines(&self) -> u64 {
        self.0.other_lines
    }

    /// Calls that were in the ledger with less than they used in the end, and are corrected.
    #[getter]
    fn corrected_calls(&self) -> u64 {
        self.0.corrected_calls
    }

    /// Records of calls that nobody billed: failed, or answered from a cache.
    #[getter]
    fn unbilled_calls(&self) -> u64 {
        self.0.unbilled_calls
    }

    /// Calls whose model has no known price: their cost is unknown, and in no sum.
    #[getter]
    fn unpriced_calls(&self) -> u64 {
        self.0.unpriced_calls
    }

    /// Calls older than the ledger's last entry, which they are dated as.
    #[getter]
    fn redated_calls(&self) -> u64 {
        self.0.redated_calls
    }

    /// Where the first lines that cannot be read are, and why.
    #[getter]
    fn first_malformed(&self) -> Vec<String> {
        self.0.first_malformed.clone()
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Imported: {} calls of {}>", self.0.calls, self.0.spent)
    }
}

/// Brings in logs; see `outlay.import_logs`.
#[pyfunction]
#[pyo3(signature = (source, path, store=None))]
pub(crate) fn import_logs(
    py: Python<'_>,
    source: &str,
    path: PathBuf,
    store: Option<&str>,
) -> PyResult<Imported> {
    let read = || {
        let store = process::store_name(store)?;
        report::import(source.parse()?, &path, &store, process::config()?)
    };
    waiting(py, true, read).map(Imported)
}
