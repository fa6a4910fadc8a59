//! Until when may a task make calls?
//!
//! A deadline stands on the account of the task's life: it holds for all attempts and for the tasks
//! below. A soft one stands beside it, is told and refuses nothing. The time a person takes to approve
//! what a task asks for does not count: it moves the deadlines of that task and of those above it.

use super::{
    commit::intern,
    entry::{Entry, Kind, flag},
    open::DEPTH_MAX,
    store::{Account, TaskRow, Tx, present},
};
use crate::{
    error::{Error, Result},
    policy::{Deadline, Deadlines, Window, limit::show_time},
    value::Millis,
};

/// The deadline of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Until {
    /// The deadlines, waits added.
    pub times: Deadlines,
    /// How much of them was added for waits.
    pub waited_ms: Millis,
    /// Up to when waits were added: two at a time count once.
    pub counted_ms: Millis,
}

impl Until {
    /// The deadlines of a task opened now: the hard and the soft one.
    pub fn of(declared: [Option<Deadline>; 2], now: Millis) -> Self {
        let [hard, soft] = declared.map(|one| one.map(|deadline| deadline.at(now)));
        Self { times: Deadlines { hard, soft }, ..Self::default() }
    }

    fn moved(self, [hard, soft]: [Millis; 2]) -> Self {
        let moved = |time: Option<Millis>, by: Millis| time.map(|at| at.saturating_add(by));
        let times = Deadlines { hard: moved(self.times.hard, hard), soft: moved(self.times.soft, soft) };
        Self { times, ..self }
    }
}

/// By how much deadlines declared again, the hard and the soft one, lie after those there are.
pub(super) fn check_later(
    tx: &mut dyn Tx,
    row: &TaskRow,
    want: [Option<Deadline>; 2],
) -> Result<[Millis; 2]> {
    let Some(account) = life_of(tx, row.no)?.filter(|_| want != [None; 2]) else { return Ok([0; 2]) };
    let Deadlines { hard, soft } = account.until.moved([-account.until.waited_ms; 2]).times;
    let label = &account.label;
    let later = |want: Option<Deadline>, there: Option<Millis>, word: &str| {
        let Some(want) = want else { return Ok(0) };
        let missing = || Error::conflict(format!("{label} exists without a {word}"));
        let (there, declared) = (there.ok_or_else(missing)?, want.at(row.opened_ms));
        if declared < there {
            let [there, declared] = [there, declared].map(show_time);
            let message = format!("{label} exists with a {word} at {there}, later than {declared}");
            return Err(Error::conflict(message));
        }
        Ok(declared.saturating_sub(there))
    };
    Ok([later(want[0], hard, "deadline")?, later(want[1], soft, "soft deadline")?])
}

/// Moves the deadlines of a task, the hard and the soft one, which is a grant.
pub(super) fn extend(tx: &mut dyn Tx, task: u32, more: [Millis; 2], by: Option<&str>) -> Result<()> {
    let Some(mut account) = life_of(tx, task)?.filter(|_| more != [0; 2]) else { return Ok(()) };
    account.until = account.until.moved(more);
    tx.put_account(&account)?;
    let Deadlines { hard, soft } = account.until.times;
    let moved = [(hard, more[0], "deadline", 0), (soft, more[1], "soft deadline", flag::OVER_SOFT)];
    for (until, _, key, flags) in moved.into_iter().filter(|(_, more, ..)| *more > 0) {
        let (at_ms, subject) = (tx.now()?, account.no);
        let mut entry = Entry { kind: Kind::Granted, at_ms, task, subject, flags, ..Entry::default() };
        entry.evidence = intern(tx, &mut entry, key, &until.map(show_time).unwrap_or_default())?;
        if let Some(by) = by {
            entry.note = intern(tx, &mut entry, "by", by)?;
        }
        tx.append(&mut entry)?;
    }
    tx.bump()
}

/// Adds what `task` has waited since `since` for a person to the deadlines over it. Whoever calls
/// this makes every process read accounts anew.
pub(super) fn add_wait(tx: &mut dyn Tx, task: u32, since: Millis) -> Result<()> {
    let now = tx.now()?;
    let mut above = tx.task(task)?;
    for _ in 0..=DEPTH_MAX {
        let Some(row) = above else { break };
        if let Some(mut account) = life_of(tx, row.no)?.filter(|account| account.until.times.any()) {
            let waited = now.saturating_sub(since.max(account.until.counted_ms)).max(0);
            account.until = account.until.moved([waited; 2]);
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
