//! What did the breaker say of a run, when, and on what grounds?

use super::names::Names;
use crate::{
    error::{Error, ErrorKind, Result},
    ledger::{
        Entry, Kind,
        store::{Filter, Tx},
    },
    policy::Verdict,
    run::Ledger,
    value::{Id, Millis},
};

/// A verdict of the breaker, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// When it was said.
    pub at: Millis,
    /// Of which attempt, from 1.
    pub attempt: u32,
    /// What was said, and on what grounds.
    pub verdict: Verdict,
}

impl Ledger {
    /// What breakers said of a task, oldest first, at most `most`.
    ///
    /// # Errors
    ///
    /// * `NotFound`: no such task.
    /// * `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    ///
    /// ```
    /// let ledger = outlay::Ledger::in_memory();
    /// let task = ledger.task("search", [])?;
    /// assert!(ledger.verdicts(&task.id(), 10)?.is_empty());
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn verdicts(&self, task: &Id, most: usize) -> Result<Vec<Judged>> {
        let missing = || Error::new(ErrorKind::NotFound, format!("task `{task}` is not in the ledger"));
        self.read(|tx| {
            let no = tx.task_by_id(task)?.ok_or_else(missing)?;
            let mut entries = Vec::new();
            tx.entries(Filter { task: Some(no), ..Filter::default() }, &mut |entry| {
                if is_of_breaker(&entry) && entries.len() < most {
                    entries.push(entry);
                }
                entries.len() < most
            })?;
            let mut names = Names::default();
            entries.iter().map(|entry| judged(tx, &mut names, entry)).collect()
        })
    }
}

/// A request for approval is a verdict too, about an account.
pub(super) fn is_of_breaker(entry: &Entry) -> bool {
    entry.kind == Kind::Verdict && entry.subject == 0
}

fn judged(tx: &mut dyn Tx, names: &mut Names, entry: &Entry) -> Result<Judged> {
    let tool = names.text(tx, entry.tool)?.unwrap_or_default();
    let text = names.text(tx, entry.evidence)?.unwrap_or_default();
    let unreadable = || Error::corrupt("a verdict of the ledger cannot be read");
    let verdict = Verdict::read(&text, tool).ok_or_else(unreadable)?;
    Ok(Judged { at: entry.at_ms, attempt: entry.attempt, verdict })
}
