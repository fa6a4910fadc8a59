//! Who was told to stop?
//!
//! A halt is a person's order over a scope: no call in it starts until somebody undoes it. Rows say
//! what is in force, entries who ordered it and why. What a task's calls are held under (`held`)
//! knows its halt, so a reserve looks nothing up.

use super::{
    approval::AskRow,
    commit::intern,
    entry::{Entry, Kind},
    open::{DEPTH_MAX, name_of},
    store::{Account, TaskRow, Tx, present},
};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    policy::{Scope, Unit},
    sync::Arc,
    value::{Id, Millis, tags::checked_text},
};

/// The key a name or id of a task stands under in the dictionary.
const TASK: &str = "task";

/// A halt in force: dictionary ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HaltRow {
    /// The tag, or the name or id of a task; 0 for everything.
    pub scope: u32,
    pub by: u32,
    pub reason: u32,
    pub at_ms: Millis,
}

/// What a store keeps of people's orders.
pub(crate) trait Orders {
    /// The halts in force, oldest first.
    fn halts(&mut self) -> Result<Vec<HaltRow>>;
    /// Keeps a halt, in place of one over the same scope.
    fn put_halt(&mut self, row: &HaltRow) -> Result<()>;
    /// Drops the halt over a scope; was there one?
    fn drop_halt(&mut self, scope: u32) -> Result<bool>;

    fn ask(&mut self, id: &Id) -> Result<Option<AskRow>>;
    /// The request of a task about a limit that nobody has approved.
    fn open_ask(&mut self, task: u32, account: u32, unit: Unit) -> Result<Option<AskRow>>;
    /// The requests nobody has approved, oldest first, at most `most`.
    fn open_asks(&mut self, most: usize) -> Result<Vec<AskRow>>;
    /// Every request about an account.
    fn asks_of(&mut self, account: u32) -> Result<Vec<AskRow>>;
    /// Keeps a request, in place of what it was before.
    fn put_ask(&mut self, row: &AskRow) -> Result<()>;
    fn account(&mut self, no: u32) -> Result<Option<Account>>;
}

/// A halt in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// What it holds for, as [`Scope`] is written.
    pub scope: String,
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at_ms: Millis,
}

impl Halt {
    /// The error of a call that may not start.
    pub(crate) fn error(&self) -> Error {
        let Self { scope, by, reason, .. } = self;
        Error::new(ErrorKind::Halted, format!("`{scope}` was halted by `{by}`: {reason}"))
            .with("scope", Field::Text(scope.clone()))
            .with("by", Field::Text(by.clone()))
            .with("reason", Field::Text(reason.clone()))
    }
}

/// Halts a scope; returns how many open attempts lie in it.
pub(crate) fn halt(tx: &mut dyn Tx, scope: &Scope, by: &str, reason: &str) -> Result<usize> {
    checked_text("name", by)?;
    checked_text("reason", reason)?;
    let mut entry = Entry { kind: Kind::Halted, at_ms: tx.now()?, ..Entry::default() };
    entry.subject = match scope {
        Scope::All => 0,
        Scope::Tag(key, value) => intern(tx, &mut entry, key, value)?,
        Scope::Task(name) => intern(tx, &mut entry, TASK, name)?,
    };
    entry.note = intern(tx, &mut entry, "by", by)?;
    entry.evidence = intern(tx, &mut entry, "reason", reason)?;
    let (scope, by, reason, at_ms) = (entry.subject, entry.note, entry.evidence, entry.at_ms);
    tx.put_halt(&HaltRow { scope, by, reason, at_ms })?;
    tx.append(&mut entry)?;
    tx.bump()?;
    open_attempts(tx, scope)
}

/// Undoes the halt over a scope.
pub(crate) fn unhalt(tx: &mut dyn Tx, scope: &Scope, by: &str) -> Result<()> {
    checked_text("name", by)?;
    let subject = match scope {
        Scope::All => Some(0),
        Scope::Tag(key, value) => tx.find_name(key, value)?,
        Scope::Task(name) => tx.find_name(TASK, name)?,
    };
    let halted = tx.halts()?.into_iter().map(|row| row.scope).find(|halted| Some(*halted) == subject);
    let missing = || Error::new(ErrorKind::NotFound, format!("`{scope}` is not halted"));
    let subject = halted.ok_or_else(missing)?;
    let mut entry = Entry { kind: Kind::Unhalted, at_ms: tx.now()?, subject, ..Entry::default() };
    entry.note = intern(tx, &mut entry, "by", by)?;
    tx.drop_halt(subject)?;
    tx.append(&mut entry)?;
    tx.bump()
}

/// Every halt in force, oldest first.
pub(crate) fn halts(tx: &mut dyn Tx) -> Result<Vec<Halt>> {
    tx.halts()?.into_iter().map(|row| shown(tx, &row)).collect()
}

/// The halt a task lies under, by its tags or by itself and the tasks above it.
pub(crate) fn halt_of(tx: &mut (impl Tx + ?Sized), task: u32) -> Result<Option<Arc<Halt>>> {
    for row in tx.halts()? {
        if covers(tx, row.scope, task)? {
            return shown(tx, &row).map(Arc::new).map(Some);
        }
    }
    Ok(None)
}

fn covers(tx: &mut (impl Tx + ?Sized), scope: u32, task: u32) -> Result<bool> {
    if scope == 0 {
        return Ok(true);
    }
    let row = present(tx.task(task)?, "task", task)?;
    if row.tags.contains(&scope) {
        return Ok(true);
    }
    let Some((key, Some(name))) = tx.name(scope)? else { return Ok(false) };
    let mut above = (key == TASK).then_some(row);
    for _ in 0..=DEPTH_MAX {
        let Some(row) = above else { break };
        if is_called(tx, &row, scope, &name)? {
            return Ok(true);
        }
        above = if row.parent == 0 { None } else { tx.task(row.parent)? };
    }
    Ok(false)
}

/// Does a task have this name, as its own, as its caller's id or as its id in the ledger?
fn is_called(tx: &mut (impl Tx + ?Sized), row: &TaskRow, no: u32, name: &str) -> Result<bool> {
    let same_id = || name.parse::<Id>().is_ok_and(|id| row.id == Some(id));
    Ok(row.caller == no || name_of(tx, row.name)?.as_deref() == Some(name) || same_id())
}

fn open_attempts(tx: &mut dyn Tx, scope: u32) -> Result<usize> {
    let mut owners: Vec<u32> = tx.owners()?.iter().map(|row| row.no).collect();
    if !owners.contains(&tx.owner()) {
        owners.push(tx.owner());
    }
    let mut open = 0;
    for owner in owners {
        for row in tx.tasks_of(owner)? {
            open += usize::from(covers(tx, scope, row.no)?);
        }
    }
    Ok(open)
}

fn shown(tx: &mut (impl Tx + ?Sized), row: &HaltRow) -> Result<Halt> {
    let scope = match tx.name(row.scope)? {
        _ if row.scope == 0 => "all".to_owned(),
        Some((key, Some(value))) if key == TASK => value,
        Some((key, Some(value))) => format!("{key}={value}"),
        _ => "erased".to_owned(),
    };
    let text = |text: Option<Arc<str>>| text.map(|text| text.to_string()).unwrap_or_default();
    let (by, reason) = (text(name_of(tx, row.by)?), text(name_of(tx, row.reason)?));
    Ok(Halt { scope, by, reason, at_ms: row.at_ms })
}
