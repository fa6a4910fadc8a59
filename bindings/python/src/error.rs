//! Errors of the core as the exceptions of `outlay.errors`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread::sleep,
    time::{Duration, Instant},
};

use outlay::{Error, ErrorKind, Field};
use pyo3::{prelude::*, sync::PyOnceLock, types::PyDict};

use crate::{breaker::dict_of, convert::Money};

const PAUSE_MAX: Duration = Duration::from_millis(50);

/// The exception of an error, with its fields as attributes.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make = || -> PyResult<Py<PyAny>> {
        let make = MAKE.get_or_try_init(py, || {
            PyResult::Ok(py.import("outlay.errors")?.getattr("from_native")?.unbind())
        })?;
        let fields = PyDict::new(py);
        for (name, value) in error.fields() {
            match value {
                Field::Text(text) => fields.set_item(name, text)?,
                Field::Integer(count) => fields.set_item(name, count)?,
                Field::Money(money) => fields.set_item(name, Money(*money))?,
                Field::Flag(flag) => fields.set_item(name, flag)?,
                Field::Object(members) => fields.set_item(name, dict_of(py, members)?)?,
                _ => fields.set_item(name, py.None())?,
            }
        }
        make.call1(py, (error.kind().code(), error.to_string(), fields))
    };
    match make() {
        Ok(exception) => PyErr::from_value(exception.into_bound(py)),
        Err(error) => error,
    }
}

/// Runs something of the core: its error becomes an exception, and so does a panic.
pub(crate) fn guard<T>(py: Python<'_>, run: impl FnOnce() -> Result<T, Error>) -> PyResult<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(raise(py, &error)),
        Err(_) => {
            Err(raise(py, &Error::new(ErrorKind::Corrupt, "the core of outlay panicked; please report it")))
        }
    }
}

/// The same for what may wait for a file: other threads run meanwhile.
pub(crate) fn waiting<T: Send>(
    py: Python<'_>,
    blocking: bool,
    run: impl FnOnce() -> Result<T, Error> + Send,
) -> PyResult<T> {
    if !blocking {
        return guard(py, run);
    }
    let result = py.detach(|| catch_unwind(AssertUnwindSafe(run)));
    guard(py, move || match result {
        Ok(result) => result,
        Err(_) => Err(Error::new(ErrorKind::Corrupt, "the core of outlay panicked; please report it")),
    })
}

/// Holds money, and where other calls hold it waits until they end, `wait_ms` are over or somebody
/// presses Ctrl-C. `poll` and `reserve` do not wait themselves.
pub(crate) fn patiently<T: Send>(
    py: Python<'_>,
    wait_ms: u64,
    poll: impl Fn() -> Result<Option<T>, Error> + Sync,
    reserve: impl FnOnce() -> Result<T, Error> + Send,
) -> PyResult<T> {
    let until = Instant::now().checked_add(Duration::from_millis(wait_ms));
    let mut pause = Duration::from_millis(1);
    while until.is_none_or(|until| Instant::now() < until) {
        if let Some(held) = waiting(py, true, &poll)? {
            return Ok(held);
        }
        py.detach(|| sleep(pause));
        py.check_signals()?;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    waiting(py, true, reserve)
}

/// The exception of an argument that has no meaning.
pub(crate) fn invalid(py: Python<'_>, message: String) -> PyErr {
    raise(py, &Error::new(ErrorKind::InvalidInput, message))
}
