//! Until when may a task make calls?
//!
//! A deadline stands on the account of the task's life: it holds for all attempts and for the tasks
//! below. The time a person takes to approve what a task asks for does not count: it moves the
//! deadline of that task and of those above it.

use super::{
    commit::intern,
    entry::{Entry, Kind},
    open::DEPTH_MAX,
    store::{Account, TaskRow, Tx, present},
};
use crate::{
    error::{Error, Result},
    policy::{Deadline, Window, limit::show_time},
    value::Millis,
};

/// The deadline of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Until {
    /// When the last call may start, waits added; nothing without a deadline.
    pub at: Option<Millis>,
    /// How much of that was added for waits.
    pub waited_ms: Millis,
    /// Up to when waits were added: two at a time count once.
    pub counted_ms: Millis,
}

impl Until {
    /// The deadline of a task opened now.
    pub fn of(deadline: Option<Deadline>, now: Millis) -> Self {
        Self { at: deadline.map(|deadline| deadline.at(now)), ..Self::default() }
    }

    fn moved(self, by: Millis) -> Self {
        Self { at: self.at.map(|at| at.saturating_add(by)), ..self }
    }
}

/// By how much a deadline declared again lies after the one there is.
pub(super) fn check_later(tx: &mut dyn Tx, row: &TaskRow, want: Option<Deadline>) -> Result<Millis> {
    let (Some(want), Some(account)) = (want, life_of(tx, row.no)?) else { return Ok(0) };
    let label = &account.label;
    let Some(there) = account.until.moved(-account.until.waited_ms).at else {
        return Err(Error::conflict(format!("{label} exists without a deadline")));
    };
    let declared = want.at(row.opened_ms);
    if declared < there {
        let [there, declared] = [there, declared].map(show_time);
        let message = format!("{label} exists with a deadline at {there}, later than {declared}");
        return Err(Error::conflict(message));
    }
    Ok(declared.saturating_sub(there))
}

/// Moves the deadline of a task, which is a grant.
pub(super) fn extend(tx: &mut dyn Tx, task: u32, more: Millis, by: Option<&str>) -> Result<()> {
    let Some(mut account) = life_of(tx, task)?.filter(|_| more > 0) else { return Ok(()) };
    account.until = account.until.moved(more);
    let (at_ms, subject) = (tx.now()?, account.no);
    let mut entry = Entry { kind: Kind::Granted, at_ms, task, subject, ..Entry::default() };
    let until = account.until.at.map(show_time).unwrap_or_default();
    entry.evidence = intern(tx, &mut entry, "deadline", &until)?;
    if let Some(by) = by {
        entry.note = intern(tx, &mut entry, "by", by)?;
    }
    tx.put_account(&account)?;
    tx.append(&mut entry)?;
    tx.bump()
}

/// Adds what `task` has waited since `since` for a person to the deadlines over it. Whoever calls
/// this makes every process read accounts anew.
pub(super) fn add_wait(tx: &mut dyn Tx, task: u32, since: Millis) -> Result<()> {
    let now = tx.now()?;
    let mut above = tx.task(task)?;
    for _ in 0..=DEPTH_MAX {
        let Some(row) = above else { break };
        if let Some(mut account) = life_of(tx, row.no)?.filter(|account| account.until.at.is_some()) {
            let waited = now.saturating_sub(since.max(account.until.counted_ms)).max(0);
            account.until = account.until.moved(waited);
            account.until.waited_ms += waited;
            account.until.counted_ms = now;
            tx.put_account(&account)?;
        }
        above = if row.parent == 0 { None } else { Some(present(tx.task(row.parent)?, "task", row.parent)?) };
    }
    Ok(())
}

/// The account of a task's life; a ledger in memory drops it when the task is long gone.
fn life_of(tx: &mut dyn Tx, task: u32) -> Result<Option<Account>> {
    Ok(tx.accounts_of_task(task)?.into_iter().find(|account| account.window == Window::Life))
}
