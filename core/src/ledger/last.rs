//! What pays for the last call of an attempt?
//!
//! Money put by when the attempt starts: held like a call's, but no call. The last call takes its
//! place in one act, so nobody can have the money in between; it goes back when the attempt ends.
//! Once it is taken, the attempt makes no further call.

use super::{
    commit::{self, Ending, Reserve, Verdict, check_attempt, end, reserve_under, sum},
    held::{Views, held_in_turn, held_under, read_views},
    store::{CallRow, State, Tx},
};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    policy::{Balance, Window, decide},
    value::Id,
};

/// What an attempt has put by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PutBy {
    /// What holds it.
    pub id: Id,
    pub task: u32,
    pub attempt: u32,
    /// The last call, if it was made.
    pub last: Option<Id>,
}

/// Reserves for a call of an attempt under which money was put by: its own first, then of those above.
pub(crate) fn reserve(tx: &mut dyn Tx, want: &Reserve, put_by: &[PutBy], is_last: bool) -> Result<Verdict> {
    if want.named && tx.call(&want.id)?.is_some() {
        return commit::reserve(tx, want);
    }
    check_attempt(tx, want.task, want.attempt)?;
    let own = put_by.first().filter(|_| is_last);
    let again = match own.and_then(|own| own.last) {
        Some(last) => tx.call(&last)?.is_some_and(|row| row.state == State::Voided),
        None => false,
    };
    check(tx, want, if again { &put_by[1..] } else { put_by })?;
    let kept = own.map_or(Ok(None), |own| tx.call(&own.id))?.filter(|row| row.state == State::Kept);
    match kept {
        Some(kept) => take(tx, want, &kept),
        None => {
            let verdict = commit::reserve(tx, want)?;
            uncontended(tx, put_by, verdict)
        }
    }
}

/// No waiting frees what the attempt itself has put by.
fn uncontended(tx: &mut dyn Tx, put_by: &[PutBy], mut verdict: Verdict) -> Result<Verdict> {
    if let Verdict::Denied(denial) = &mut verdict
        && denial.contended
    {
        let mut used = denial.spent.saturating_add(denial.requested);
        for each in put_by {
            let kept = tx.call(&each.id)?.filter(|row| row.state == State::Kept);
            used = used.saturating_add(kept.map_or(0, |row| row.held.get(denial.unit)));
        }
        denial.contended = used <= denial.limit;
    }
    Ok(verdict)
}

/// Refuses a call if the last one of its attempt, or of one above, was made.
pub(crate) fn check(tx: &mut dyn Tx, want: &Reserve, put_by: &[PutBy]) -> Result<()> {
    for each in put_by {
        let is_kept = tx.call(&each.id)?.is_some_and(|row| row.state == State::Kept);
        // What was put by is gone too when its attempt has ended, which ends nothing below it.
        let is_open = tx.attempt(each.task)?.is_some_and(|(no, owner)| no == each.attempt && owner != 0);
        if !is_kept && is_open {
            let held = held_under(tx, want.task)?;
            let own = held.accounts.iter().find(|(account, _)| account.task == each.task);
            return Err(over(own.map_or("the task", |(account, _)| &account.label)));
        }
    }
    Ok(())
}

fn over(label: &str) -> Error {
    Error::new(ErrorKind::BudgetExceeded, format!("{label} has made its last call"))
        .with("budget", Field::Text(label.to_owned()))
        .with("unit", Field::Text("last_call".to_owned()))
        .with("limit", Field::Absent)
        .with("spent", Field::Absent)
        .with("pending", Field::Absent)
        .with("requested", Field::Absent)
        .with("affordable_output_tokens", Field::Integer(0))
        .with("contended", Field::Flag(false))
        .with("window", Field::Absent)
        .with("resets_at", Field::Absent)
}

/// Puts the call in the place of what is kept for it.
fn take(tx: &mut dyn Tx, want: &Reserve, kept: &CallRow) -> Result<Verdict> {
    let held = held_in_turn(tx, want.task, want.turn.as_deref())?;
    if let Some(halt) = &held.halt {
        return Err(halt.error());
    }
    let now = tx.now()?;
    let mut views = Views::new();
    read_views(tx, &held, &mut views)?;
    let freed = kept.state.freed(&kept.held);
    for ((account, slot), view) in held.accounts.iter().zip(&mut views) {
        let oldest = match account.window {
            Window::Rolling(_) => account.window.oldest(now),
            _ => slot.start,
        };
        let counts = oldest..=slot.start;
        if kept.under.iter().any(|(no, start)| *no == account.no && counts.contains(start)) {
            view.balance = sum(&view.balance, &freed)?;
        }
    }
    // Judged as it will be once the money is free, because an act that refuses has written nothing.
    let grant = match decide(&views, &want.ask, now) {
        Ok(grant) => grant,
        Err(denial) => return Ok(Verdict::Denied(denial)),
    };
    for view in &views {
        sum(&view.balance, &Balance { pending: grant.amounts, ..Balance::default() })?;
    }
    end(tx, &kept.id, &Ending::Void { by: None })?;
    reserve_under(tx, want, &held)
}
