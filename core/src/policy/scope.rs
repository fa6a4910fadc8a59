//! What does a person's order hold for?
//!
//! For everything, for the tasks with a tag, or for a task and all that lies below it.

use std::fmt;

use crate::{
    error::Result,
    value::{Tags, tags::checked_text},
};

/// What a halt holds for.
///
/// ```
/// use outlay::policy::Scope;
///
/// assert_eq!(Scope::parse("all")?, Scope::All);
/// assert_eq!(Scope::parse("tenant=acme")?, Scope::Tag("tenant".into(), "acme".into()));
/// assert_eq!(Scope::parse("refund-4711")?, Scope::Task("refund-4711".into()));
/// # Ok::<(), outlay::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every task of the ledger.
    All,
    /// The tasks with this tag: key and value.
    Tag(String, String),
    /// The tasks of this name, and the one of this id: its caller's or the ledger's.
    Task(String),
}

impl Scope {
    /// Reads `all`, `KEY=VALUE`, or the name or id of a task.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: no tag and no name of a task can be written so.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((key, value)) => {
                Tags::new().set(key, value)?;
                Ok(Self::Tag(key.to_owned(), value.to_owned()))
            }
            None if text == "all" => Ok(Self::All),
            None => {
                checked_text("scope", text)?;
                Ok(Self::Task(text.to_owned()))
            }
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Tag(key, value) => write!(f, "{key}={value}"),
            Self::Task(name) => f.write_str(name),
        }
    }
}
