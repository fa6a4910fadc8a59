//! What an audit found.

use outlay::report::{self, Place};
use pyo3::prelude::*;

/// Something that is not as it was written.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Problem(report::Problem);

#[pymethods]
impl Problem {
    /// "entry", "owner", "name", "task" or "balance".
    #[getter]
    fn place(&self) -> &'static str {
        match self.0.place {
            Place::Entries(..) => "entry",
            Place::Owner(_) => "owner",
            Place::Name(_) => "name",
            Place::Task(_) => "task",
            Place::Balance(..) => "balance",
        }
    }

    /// The number of the entry, owner, name or task, or of the balance's account.
    #[getter]
    fn number(&self) -> u64 {
        match self.0.place {
            Place::Entries(no, _) => no,
            Place::Owner(no) | Place::Name(no) | Place::Task(no) | Place::Balance(no, _) => no.into(),
        }
    }

    /// The last entry that may be the bad one; for a balance its slot.
    #[getter]
    fn until(&self) -> Option<i64> {
        match self.0.place {
            Place::Entries(_, last) => i64::try_from(last).ok(),
            Place::Balance(_, slot) => Some(slot),
            Place::Owner(_) | Place::Name(_) | Place::Task(_) => None,
        }
    }

    /// What is wrong there.
    #[getter]
    fn what(&self) -> &str {
        &self.0.what
    }

    fn __str__(&self) -> String {
        format!("{}: {}", self.0.place, self.0.what)
    }

    fn __repr__(&self) -> String {
        format!("<Problem {}: {}>", self.0.place, self.0.what)
    }
}

/// What an audit found. It is true when everything is as it was written.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Audit(pub(crate) report::Audit);

#[pymethods]
impl Audit {
    /// How many entries were read.
    #[getter]
    fn entries(&self) -> u64 {
        self.0.entries
    }

    /// How many of them lie before the checkpoint; None without one.
    #[getter]
    fn checkpoint_entries(&self) -> Option<u64> {
        self.0.checkpoint_entries
    }

    /// How many names are erased, as entries say.
    #[getter]
    fn erased_names(&self) -> u64 {
        self.0.erased
    }

    /// What is wrong, the first bad entry first; at most twenty.
    #[getter]
    fn problems(&self) -> Vec<Problem> {
        self.0.problems.iter().cloned().map(Problem).collect()
    }

    fn __bool__(&self) -> bool {
        self.0.is_sound()
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        let word = if self.0.is_sound() { "sound" } else { "not sound" };
        format!("<Audit of {} entries: {word}>", self.0.entries)
    }
}
