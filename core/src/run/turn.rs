//! What is a turn called, where nobody names it?

use super::task::Task;
use crate::error::Result;

impl Task {
    /// A name for the turn that answers what the user said: the same for the same texts in every
    /// process on the ledger, and without its key nobody can tell the texts from it.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer.
    ///
    /// ```
    /// use outlay::Ledger;
    ///
    /// let task = Ledger::in_memory().task("chat", [])?;
    /// let turn = task.turn_of(&["rain?"])?;
    /// assert_eq!(turn, task.turn_of(&["rain?"])?);
    /// assert_ne!(turn, task.turn_of(&["and tomorrow?"])?);
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn turn_of(&self, said: &[&str]) -> Result<String> {
        let texts: Vec<&[u8]> = said.iter().map(|text| text.as_bytes()).collect();
        Ok(format!("{:016x}", self.ledger().current()?.keyed_hash(&texts)))
    }
}
