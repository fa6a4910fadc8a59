//! Who may have more?
//!
//! A task that was refused can ask a person. What it asks for is an entry and a row; it holds
//! nothing meanwhile. Approving it raises the limit that refused, which is a grant like any other.

use super::{
    commit::intern,
    deadline::add_wait,
    entry::{Entry, Kind},
    held::{Views, held_under, read_views},
    open::name_of,
    store::{Account, Tx, present},
};
use crate::{
    error::{Error, ErrorKind, Result},
    policy::{Amounts, Denial, Unit, View},
    sync::Arc,
    value::{Id, Millis},
};

/// The most requests that are listed.
const LISTED_MAX: usize = 1_000;

/// What a task asks for, and what it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AskRow {
    pub id: Id,
    pub task: u32,
    pub account: u32,
    pub unit: Unit,
    /// How much more the call needed.
    pub needed: i64,
    pub at_ms: Millis,
    /// By how much the limit was raised; 0 as long as nobody did.
    pub granted: i64,
    /// Dictionary id of who raised it.
    pub by: u32,
}

/// A request of a task for more than its limits allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Its id.
    pub id: Id,
    /// The name of the task that asks.
    pub task: String,
    /// Whose limit is in the way, as in ``task `refund` ``.
    pub budget: String,
    /// What is limited.
    pub unit: Unit,
    /// How much of it is allowed now.
    pub limit: i64,
    /// How much more the refused call needed.
    pub needed: i64,
    /// Since when it asks.
    pub asked_at: Millis,
    /// By how much the limit was raised, once somebody did.
    pub granted: Option<i64>,
    /// Who did.
    pub by: Option<String>,
}

/// Asks for what `denial` lacks, once however often it is refused; returns the id of the request,
/// which is `id` if it is new.
pub(crate) fn ask(tx: &mut dyn Tx, task: u32, attempt: u32, id: Id, denial: &Denial) -> Result<Id> {
    let unit = denial.unit;
    let held = held_under(tx, task)?;
    let mut views = Views::new();
    read_views(tx, &held, &mut views)?;
    let Some((index, needed)) = refusing(&views, denial) else {
        return Err(Error::conflict("the limit was raised meanwhile; ask for the call again"));
    };
    let account = held.accounts[index].0.no;
    let before = tx.open_ask(task, account, unit)?;
    if let Some(row) = before.as_ref().filter(|row| row.needed >= needed) {
        return Ok(row.id);
    }
    let id = before.map_or(id, |row| row.id);
    let at_ms = tx.now()?;
    let mut entry = Entry { kind: Kind::Verdict, at_ms, task, attempt, subject: account, ..Entry::default() };
    entry.set_amounts(&only(unit, needed));
    entry.evidence = intern(tx, &mut entry, "approval", &id.to_string())?;
    tx.put_ask(&AskRow { id, task, account, unit, needed, at_ms, granted: 0, by: 0 })?;
    tx.append(&mut entry)?;
    Ok(id)
}

/// Which of these a denial is about, and how much more it would have needed.
pub(super) fn refusing(views: &[View<'_>], denial: &Denial) -> Option<(usize, i64)> {
    if denial.deadline.is_some() {
        let late = |view: &View<'_>| {
            view.label == denial.budget && view.deadline.and_then(|times| times.hard) == denial.deadline
        };
        return views.iter().position(late).map(|index| (index, 0));
    }
    views.iter().enumerate().find_map(|(index, view)| {
        let needed = denial.requested.saturating_sub(view.available(denial.unit)?);
        let same = view.label == denial.budget && *view.window == denial.window;
        (same && needed > 0).then_some((index, needed))
    })
}

fn only(unit: Unit, amount: i64) -> Amounts {
    let mut amounts = Amounts::ZERO;
    amounts.0[unit as usize] = amount;
    amounts
}

/// Raises the limit a request asks about; `proof` is what was signed, if anything. Approving it
/// again with the same amount changes nothing.
pub(crate) fn approve(tx: &mut dyn Tx, id: &Id, add: i64, by: &str, proof: Option<&str>) -> Result<Approval> {
    let mut row = asked(tx, id)?;
    if row.granted != 0 {
        if row.granted == add {
            return shown(tx, &row);
        }
        return Err(Error::conflict(format!("`{id}` was approved already, with another amount")));
    }
    let account = account_of(tx, &row)?;
    let mut raised = account.clone();
    let limit = &mut raised.ceiling.hard[row.unit as usize];
    let more = limit.and_then(|limit| limit.checked_add(add)).filter(|_| add > 0);
    *limit = Some(more.ok_or_else(|| Error::invalid(format!("a limit cannot be raised by `{add}`")))?);

    let at_ms = tx.now()?;
    let (task, subject) = (account.task, account.no);
    let mut entry = Entry { kind: Kind::Granted, at_ms, task, subject, ..Entry::default() };
    entry.set_amounts(&only(row.unit, add));
    entry.note = intern(tx, &mut entry, "by", by)?;
    let why = proof.map_or_else(|| id.to_string(), |proof| format!("{id} {proof}"));
    entry.evidence = intern(tx, &mut entry, "approval", &why)?;
    (row.granted, row.by) = (add, entry.note);
    tx.put_account(&raised)?;
    add_wait(tx, row.task, row.at_ms)?;
    tx.put_ask(&row)?;
    tx.append(&mut entry)?;
    tx.bump()?;
    shown(tx, &row)
}

/// What approvals have added to the hard limits of an account.
pub(crate) fn granted(tx: &mut dyn Tx, account: u32) -> Result<Amounts> {
    let mut sum = Amounts::ZERO;
    for row in tx.asks_of(account)? {
        let added = sum.checked_add(&only(row.unit, row.granted));
        sum = added.ok_or_else(|| Error::corrupt("the approved amounts do not fit"))?;
    }
    Ok(sum)
}

/// One request.
pub(crate) fn approval(tx: &mut dyn Tx, id: &Id) -> Result<Approval> {
    let row = asked(tx, id)?;
    shown(tx, &row)
}

/// The task a request is of, and whether it was approved.
pub(crate) fn standing(tx: &mut dyn Tx, id: &Id) -> Result<(u32, bool)> {
    asked(tx, id).map(|row| (row.task, row.granted != 0))
}

/// The requests nobody has approved yet, oldest first.
pub(crate) fn approvals(tx: &mut dyn Tx) -> Result<Vec<Approval>> {
    tx.open_asks(LISTED_MAX)?.iter().map(|row| shown(tx, row)).collect()
}

/// The unit a request is about.
pub(crate) fn unit_of(tx: &mut dyn Tx, id: &Id) -> Result<Unit> {
    asked(tx, id).map(|row| row.unit)
}

fn asked(tx: &mut dyn Tx, id: &Id) -> Result<AskRow> {
    let missing = || Error::new(ErrorKind::NotFound, format!("approval `{id}` is not in the ledger"));
    tx.ask(id)?.ok_or_else(missing)
}

fn account_of(tx: &mut dyn Tx, row: &AskRow) -> Result<Account> {
    let gone = || Error::new(ErrorKind::NotFound, "the budget it asks about is kept no longer");
    tx.account(row.account)?.ok_or_else(gone)
}

fn shown(tx: &mut dyn Tx, row: &AskRow) -> Result<Approval> {
    let account = account_of(tx, row)?;
    let task = present(tx.task(row.task)?, "task", row.task)?.name;
    let text = |text: Option<Arc<str>>| text.map(|text| text.to_string());
    Ok(Approval {
        id: row.id,
        task: text(name_of(tx, task)?).unwrap_or_default(),
        budget: account.label.clone(),
        unit: row.unit,
        limit: account.ceiling.hard[row.unit as usize].unwrap_or(0),
        needed: row.needed,
        asked_at: row.at_ms,
        granted: (row.granted != 0).then_some(row.granted),
        by: text(name_of(tx, row.by)?),
    })
}
