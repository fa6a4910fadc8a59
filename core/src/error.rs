//! What went wrong, and what can be done about it?
//!
//! One error type for the whole crate. Its [`kind`](Error::kind) has a stable `code` that is the
//! same in Rust, Python and TypeScript; what a caller may want to act on stands in
//! [`fields`](Error::fields), never only in the message.
//!
//! ```
//! use outlay::{ErrorKind, Money};
//!
//! let error = Money::parse("lots").unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::InvalidInput);
//! assert_eq!(error.kind().code(), "invalid_input");
//! assert_eq!(error.to_string(), "amount `lots` is not a decimal number");
//! ```

use std::fmt;

use crate::value::Money;

/// What an error is about. The codes never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A hard limit would be passed.
    BudgetExceeded,
    /// The loop breaker stopped the run.
    BreakerTripped,
    /// An operator halted a scope.
    Halted,
    /// A person has to approve before the run may go on.
    ApprovalRequired,
    /// An argument has no meaning here.
    InvalidInput,
    /// What was named does not exist.
    NotFound,
    /// It exists already with other content, or somebody else holds it.
    Conflict,
    /// We cannot meter or do this.
    Unsupported,
    /// The model has no known price.
    Unpriced,
    /// The worst case of the call cannot be known.
    Unbounded,
    /// The ledger could not answer.
    StoreUnavailable,
    /// The exclusive right ran out.
    LeaseLost,
    /// The ledger holds what it cannot hold.
    Corrupt,
}

/// What kind of answer an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// A verdict: the run should stop.
    Stopped,
    /// The program should be changed.
    Misuse,
    /// A price or a bound is missing.
    Unknowable,
    /// Something below us failed.
    Fault,
}

impl ErrorKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::BudgetExceeded,
        Self::BreakerTripped,
        Self::Halted,
        Self::ApprovalRequired,
        Self::InvalidInput,
        Self::NotFound,
        Self::Conflict,
        Self::Unsupported,
        Self::Unpriced,
        Self::Unbounded,
        Self::StoreUnavailable,
        Self::LeaseLost,
        Self::Corrupt,
    ];

    /// The stable code, in snake case.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BudgetExceeded => "budget_exceeded",
            Self::BreakerTripped => "breaker_tripped",
            Self::Halted => "halted",
            Self::ApprovalRequired => "approval_required",
            Self::InvalidInput => "invalid_input",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Unsupported => "unsupported",
            Self::Unpriced => "unpriced",
            Self::Unbounded => "unbounded",
            Self::StoreUnavailable => "store_unavailable",
            Self::LeaseLost => "lease_lost",
            Self::Corrupt => "corrupt",
        }
    }

    /// The family the kind belongs to.
    pub const fn family(self) -> Family {
        match self {
            Self::BudgetExceeded | Self::BreakerTripped | Self::Halted | Self::ApprovalRequired => {
                Family::Stopped
            }
            Self::InvalidInput | Self::NotFound | Self::Conflict | Self::Unsupported => Family::Misuse,
            Self::Unpriced | Self::Unbounded => Family::Unknowable,
            Self::StoreUnavailable | Self::LeaseLost | Self::Corrupt => Family::Fault,
        }
    }
}

/// A value an error carries beside its message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// A name or a description.
    Text(String),
    /// A count.
    Integer(i64),
    /// An amount of money.
    Money(Money),
    /// A yes or a no.
    Flag(bool),
    /// Several values by name, as a JSON object.
    Object(serde_json::Map<String, serde_json::Value>),
    /// Known not to exist.
    Absent,
}

/// The error of every fallible function of this crate.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    fields: Vec<(&'static str, Field)>,
}

impl Error {
    /// What the error is about.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What kind of answer it asks for.
    pub fn family(&self) -> Family {
        self.0.kind.family()
    }

    /// What the error knows beside its message, by name.
    pub fn fields(&self) -> &[(&'static str, Field)] {
        &self.0.fields
    }

    /// One field by its name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.0.fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// An error of this kind; `message` is one lower-case line with user values in backticks.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), fields: Vec::new() }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    pub(crate) fn store(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::StoreUnavailable, message)
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: Field) -> Self {
        self.0.fields.push((name, value));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.code(), self.0.message)
    }
}

impl std::error::Error for Error {}

/// What every fallible function returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_cross_threads() {
        fn check<T: Send + Sync>() {}
        check::<Error>();
    }

    #[test]
    fn codes_are_distinct() {
        let codes: std::collections::HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
    }
}
