//! Whose is it?
//!
//! Tags are `key=value` pairs on a task, inherited by everything below it. The key `kind` is the
//! class of the task.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// The most tags one task can have.
pub const TAGS_MAX: usize = 16;
/// The longest key or value, in bytes.
pub const TEXT_MAX: usize = 256;

/// A set of tags, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// No tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: a key that is empty or not of `a-z 0-9 _ - .`; an empty or overlong value;
    /// more than sixteen tags.
    ///
    /// ```
    /// use outlay::Tags;
    ///
    /// let mut tags = Tags::new();
    /// tags.set("tenant", "acme")?;
    /// assert_eq!(tags.get("tenant"), Some("acme"));
    /// assert!(tags.set("Ten ant", "acme").is_err());
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
        if key.is_empty() || key.len() > TEXT_MAX || !key.bytes().all(letter) {
            return Err(Error::invalid(format!(
                "tag key `{key}` must be lower-case letters, digits, `_`, `-` or `.`"
            )));
        }
        checked_text("tag value", value)?;
        self.0.insert(key.to_owned(), value.to_owned());
        if self.0.len() > TAGS_MAX {
            return Err(Error::invalid(format!("a task can have {TAGS_MAX} tags")));
        }
        Ok(())
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All tags, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Is it without tags?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Does it hold every tag of `other`?
    pub fn contains(&self, other: &Self) -> bool {
        other.iter().all(|(key, value)| self.get(key) == Some(value))
    }
}

/// Refuses a name or value that is empty, overlong or has control characters.
pub(crate) fn checked_text(what: &str, text: &str) -> Result<()> {
    if text.is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
        let shown: String = text.chars().take(40).flat_map(char::escape_default).collect();
        return Err(Error::invalid(format!(
            "{what} `{shown}` must be 1 to {TEXT_MAX} bytes without control characters"
        )));
    }
    Ok(())
}
