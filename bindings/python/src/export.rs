//! The ledger as a file.

use std::{io::Write as _, path::PathBuf};

use outlay::{
    report::{self, ExportOptions, Since},
    run::process,
};
use pyo3::prelude::*;

use crate::{convert::Money, error::waiting};

/// What stands in an export, and what does not. `str()` is some lines of text.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Exported(report::Exported);

#[pymethods]
impl Exported {
    /// Rows or lines, without the heading.
    #[getter]
    fn rows(&self) -> u64 {
        self.0.rows
    }

    /// What was settled in the period: the sum of its rows.
    #[getter]
    fn settled(&self) -> Money {
        Money(self.0.settled)
    }

    /// Calls without a known price: their cost is unknown, and in no sum.
    #[getter]
    fn unpriced_calls(&self) -> u64 {
        self.0.unpriced_calls
    }

    /// Older entries that a ledger in memory keeps no longer.
    #[getter]
    fn dropped_entries(&self) -> u64 {
        self.0.dropped_entries
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Exported: {} rows of {}>", self.0.rows, self.0.settled)
    }
}

/// Writes the ledger to a file; see `outlay.export`.
#[pyfunction]
#[pyo3(signature = (format, path, *, since=None, until=None, account=None, store=None))]
pub(crate) fn export(
    py: Python<'_>,
    format: &str,
    path: PathBuf,
    since: Option<&str>,
    until: Option<&str>,
    account: Option<String>,
    store: Option<&str>,
) -> PyResult<Exported> {
    let time = |text: Option<&str>| text.map(str::parse::<Since>).transpose();
    let read = || {
        let all = ExportOptions::new(format.parse()?);
        let options = ExportOptions { since: time(since)?, until: time(until)?, account, ..all };
        let ledger = process::ledger(store)?;
        outlay_cli::write_whole(&path, |file| {
            let mut failure = None;
            let exported = ledger.export(&options, &mut |text| {
                failure = file.write_all(text.as_bytes()).err();
                failure.is_none()
            });
            failure.map_or(Ok(exported), Err)
        })
    };
    waiting(py, true, read).map(Exported)
}
