//! How do tasks, attempts and budgets begin and end?
//!
//! Declaring a task or a budget again with the same limits changes nothing; with larger ones it
//! is a grant, recorded with who made it; with smaller ones it is a conflict.

use super::{
    alert::set_thresholds,
    approval::granted,
    chain::task_hash,
    commit::{Ending, end, intern},
    deadline::{self, Until},
    entry::{Entry, Kind, flag},
    held::shared_budgets,
    store::{Account, Budget, State, TaskRow, Tx, present},
};
use crate::{
    error::{Error, ErrorKind, Result},
    policy::{Amounts, Ceiling, Deadline, Limit, Thresholds, Unit, Window},
    sync::Arc,
    value::{Id, Tags},
};

/// The deepest a task can lie under others.
pub(crate) const DEPTH_MAX: u32 = 8;

/// A task as its caller declares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenTask {
    pub id: Option<Id>,
    pub caller: Option<String>,
    pub name: String,
    pub parent: u32,
    /// All tags, inherited ones too.
    pub tags: Tags,
    pub limits: Vec<Limit>,
    /// The hard and the soft one.
    pub deadlines: [Option<Deadline>; 2],
    /// Nothing leaves what there is.
    pub alerts: Option<Thresholds>,
    pub observes: bool,
    pub by: Option<String>,
}

/// What opening a task came to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Opened {
    Yes {
        no: u32,
        id: Id,
        attempt: u32,
    },
    /// Its attempt is open in this owner.
    Held {
        owner: u32,
    },
}

/// The limits of each window.
pub(crate) fn ceilings(limits: &[Limit]) -> Result<Vec<(Window, Ceiling)>> {
    let mut ceilings: Vec<(Window, Ceiling)> = Vec::new();
    for limit in limits {
        let index = match ceilings.iter().position(|(window, _)| *window == limit.window) {
            Some(index) => index,
            None => {
                ceilings.push((limit.window.clone(), Ceiling::default()));
                ceilings.len() - 1
            }
        };
        let ceiling = &mut ceilings[index].1;
        let side = if limit.hard { &mut ceiling.hard } else { &mut ceiling.soft };
        if side[limit.unit as usize].replace(limit.amount).is_some() {
            let (unit, window) = (limit.unit.name(), &limit.window);
            return Err(Error::invalid(format!("two limits of {unit} for the window `{window}`")));
        }
    }
    Ok(ceilings)
}

/// Opens an attempt at a task, and the task itself if it is new.
pub(crate) fn open_task(tx: &mut dyn Tx, want: &OpenTask) -> Result<Opened> {
    let ceilings = ceilings(&want.limits)?;
    // An owner swept or closed would keep the attempt open for ever.
    if !tx.is_running()? {
        return Err(Error::store("this ledger was closed"));
    }
    let existing = match &want.caller {
        Some(caller) => match tx.find_name("task", caller)? {
            Some(name) => tx.task_by_caller(name)?,
            None => None,
        },
        None => None,
    };
    let Some(no) = existing else { return new_task(tx, want, &ceilings) };
    let mut row = present(tx.task(no)?, "task", no)?;
    if row.owner != 0 {
        return Ok(Opened::Held { owner: row.owner });
    }
    if row.parent != want.parent {
        return Err(Error::conflict(format!("task `{}` lies under another task", want.name)));
    }
    let accounts = tx.accounts_of_task(no)?;
    let later = deadline::check_later(tx, &row, want.deadlines)?;
    raise(tx, accounts, &ceilings, want.by.as_deref(), no)?;
    deadline::extend(tx, no, later, want.by.as_deref())?;
    if let Some(alerts) = &want.alerts {
        let accounts = tx.accounts_of_task(no)?;
        set_thresholds(tx, accounts, alerts)?;
    }
    row.attempts += 1;
    row.owner = tx.owner();
    row.outcome = 0;
    row.observes = want.observes;
    tx.put_task(&row)?;
    // From the second attempt on there may be a limit more, over what is open inside it too, wherever.
    if row.attempts == 2 && tx.accounts_of_task(no)?.iter().any(|account| account.window == Window::Retries) {
        tx.bump()?;
    }
    start_attempt(tx, &row)
}

fn new_task(tx: &mut dyn Tx, want: &OpenTask, ceilings: &[(Window, Ceiling)]) -> Result<Opened> {
    let now = tx.now()?;
    let parent = match want.parent {
        0 => None,
        no => Some(present(tx.task(no)?, "task", no)?),
    };
    let depth = parent.map_or(0, |parent| parent.depth + 1);
    if depth > DEPTH_MAX {
        return Err(Error::invalid(format!("tasks can lie {DEPTH_MAX} deep, not deeper")));
    }
    let mut entry = Entry { kind: Kind::TaskOpened, at_ms: now, subject: want.parent, ..Entry::default() };
    entry.flags |= if want.observes { flag::OBSERVES } else { 0 };
    let mut row = TaskRow {
        id: want.id,
        parent: want.parent,
        depth,
        attempts: 1,
        owner: tx.owner(),
        opened_ms: now,
        observes: want.observes,
        ..TaskRow::default()
    };
    row.name = intern(tx, &mut entry, "name", &want.name)?;
    if let Some(caller) = &want.caller {
        row.caller = intern(tx, &mut entry, "task", caller)?;
    }
    for (key, value) in want.tags.iter() {
        row.tags.push(intern(tx, &mut entry, key, value)?);
    }
    row.no = tx.put_task(&row)?;
    entry.task = row.no;
    entry.note = row.name;
    entry.request_hash = task_hash(&row);
    // The life of the task is always kept, limited or not: it is what the task has spent.
    let life = (Window::Life, Ceiling::default());
    let unlimited = ceilings.iter().all(|(window, _)| *window != Window::Life);
    for (window, ceiling) in unlimited.then_some(&life).into_iter().chain(ceilings) {
        let label = format!("task `{}`", want.name);
        let (task, window, ceiling) = (row.no, window.clone(), *ceiling);
        let until = if window == Window::Life { Until::of(want.deadlines, now) } else { Until::default() };
        let alerts = want.alerts.clone().unwrap_or_default();
        tx.put_account(&Account { task, window, ceiling, until, alerts, label, ..Account::default() })?;
    }
    tx.append(&mut entry)?;
    start_attempt(tx, &row)
}

fn start_attempt(tx: &mut dyn Tx, row: &TaskRow) -> Result<Opened> {
    let at_ms = tx.now()?;
    let (task, attempt) = (row.no, row.attempts);
    let subject = if row.parent == 0 { 0 } else { tx.attempt(row.parent)?.map_or(0, |(above, _)| above) };
    tx.append(&mut Entry { kind: Kind::AttemptStarted, at_ms, task, attempt, subject, ..Entry::default() })?;
    let id = row.id.ok_or_else(|| Error::corrupt(format!("task `{task}` has no id")))?;
    Ok(Opened::Yes { no: task, id, attempt })
}

/// Ends an attempt; what its owner left open is in doubt from then on.
pub(crate) fn end_attempt(
    tx: &mut dyn Tx,
    task: u32,
    attempt: u32,
    outcome: &str,
    reason: Option<&str>,
    value: i64,
) -> Result<()> {
    let mut row = present(tx.task(task)?, "task", task)?;
    for id in tx.open_calls_of(task, attempt, tx.owner())? {
        end(tx, &id, &Ending::Doubt)?;
    }
    // A child of a fork leaves the same block as its parent; the owner alone ends the attempt.
    if row.attempts != attempt || row.owner != tx.owner() {
        return Ok(());
    }
    let at_ms = tx.now()?;
    let mut entry = Entry { kind: Kind::AttemptEnded, at_ms, task, attempt, ..Entry::default() };
    entry.tools_used = value;
    entry.note = intern(tx, &mut entry, "outcome", outcome)?;
    (row.owner, row.outcome) = (0, entry.note);
    tx.put_task(&row)?;
    if let Some(reason) = reason {
        entry.subject = intern(tx, &mut entry, "reason", reason)?;
    }
    tx.append(&mut entry)
}

/// Ends a dead owner: its calls are in doubt, its attempts are lost.
pub(crate) fn sweep(tx: &mut dyn Tx, owner: u32) -> Result<usize> {
    if !tx.owners()?.iter().any(|row| row.no == owner) {
        return Ok(0);
    }
    let mut in_doubt = 0;
    for id in tx.open_calls(owner, usize::MAX)? {
        in_doubt += usize::from(end(tx, &id, &Ending::Doubt)?.state == State::InDoubt);
    }
    for mut row in tx.tasks_of(owner)? {
        let (at_ms, task, attempt) = (tx.now()?, row.no, row.attempts);
        let mut entry = Entry { kind: Kind::AttemptEnded, at_ms, task, attempt, ..Entry::default() };
        entry.note = intern(tx, &mut entry, "outcome", "lost")?;
        (row.owner, row.outcome) = (0, entry.note);
        tx.put_task(&row)?;
        tx.append(&mut entry)?;
    }
    tx.end_owner(owner)?;
    Ok(in_doubt)
}

/// A shared budget as its caller declares it.
#[derive(Clone, Debug)]
pub(crate) struct SetBudget {
    pub budget: Budget,
    pub limits: Vec<Limit>,
    /// Nothing leaves what there is.
    pub alerts: Option<Thresholds>,
    /// The thresholds of a new budget declared without any.
    pub usual: Thresholds,
    pub by: Option<String>,
}

/// Declares a shared budget.
pub(crate) fn set_budget(tx: &mut dyn Tx, want: &SetBudget) -> Result<()> {
    let ceilings = ceilings(&want.limits)?;
    let by = want.by.as_deref();
    if ceilings.is_empty() {
        return Err(Error::invalid("a budget needs at least one limit"));
    }
    if let Some((window, _)) = ceilings.iter().find(|(window, _)| window.is_of_task()) {
        return Err(Error::invalid(format!("a limit per `{window}` is of a task, not of a budget")));
    }
    let known = shared_budgets(tx)?;
    let wanted = &want.budget;
    let same = known.iter().find(|budget| budget.scope == wanted.scope && budget.per == wanted.per);
    if let Some(budget) = same {
        let accounts = tx.all_accounts_of_budget(budget.no)?;
        raise(tx, accounts, &ceilings, by, 0)?;
        let Some(alerts) = &want.alerts else { return Ok(()) };
        let accounts = tx.all_accounts_of_budget(budget.no)?;
        return set_thresholds(tx, accounts, alerts);
    }
    let mut budget = wanted.clone();
    let alerts = want.alerts.as_ref().unwrap_or(&want.usual);
    let at_ms = tx.now()?;
    let mut first = Entry { kind: Kind::BudgetSet, at_ms, ..Entry::default() };
    for (key, value) in wanted.scope.iter() {
        intern(tx, &mut first, key, value)?;
    }
    budget.no = tx.put_budget(&budget)?;
    for (window, ceiling) in ceilings {
        let label = budget.label(None);
        let (budget, alerts) = (budget.no, alerts.clone());
        let account = Account { budget, window, ceiling, alerts, label, ..Account::default() };
        let no = tx.put_account(&account)?;
        append_limits(tx, &first, no, &ceiling, &Ceiling::default(), by)?;
        first.proofs.clear();
    }
    tx.bump()
}

/// One entry for the hard and one for the soft limits: what they are more than before.
fn append_limits(
    tx: &mut dyn Tx,
    template: &Entry,
    account: u32,
    now: &Ceiling,
    before: &Ceiling,
    by: Option<&str>,
) -> Result<()> {
    for (soft, now, before) in [(false, &now.hard, &before.hard), (true, &now.soft, &before.soft)] {
        if now == before {
            continue;
        }
        let mut amounts = [0; 4];
        for (amount, (now, before)) in amounts.iter_mut().zip(now.iter().zip(before)) {
            *amount = now.unwrap_or(0).saturating_sub(before.unwrap_or(0));
        }
        let mut entry = Entry { subject: account, ..template.clone() };
        entry.set_amounts(&Amounts(amounts));
        entry.flags |= if soft { flag::OVER_SOFT } else { 0 };
        if let Some(by) = by {
            entry.note = intern(tx, &mut entry, "by", by)?;
        }
        tx.append(&mut entry)?;
    }
    Ok(())
}

/// Compares declared limits with those there are: the same, larger (a grant) or a conflict.
fn raise(
    tx: &mut dyn Tx,
    accounts: Vec<Account>,
    declared: &[(Window, Ceiling)],
    by: Option<&str>,
    task: u32,
) -> Result<()> {
    let mut raised = Vec::new();
    for (window, ceiling) in declared {
        if !accounts.iter().any(|account| account.window == *window) {
            let label = accounts.first().map(|account| account.label.as_str()).unwrap_or_default();
            return Err(Error::conflict(format!("{label} exists without limits for the window `{window}`")));
        }
        for account in accounts.iter().filter(|account| account.window == *window) {
            // What a person has approved meanwhile stays on top of what the program declares.
            let approved = granted(tx, account.no)?;
            let before = account.ceiling.raised(&approved.negated());
            check_raise(&Account { ceiling: before, ..account.clone() }, ceiling)?;
            if before != *ceiling {
                raised.push((account.clone(), ceiling.raised(&approved)));
            }
        }
    }
    let missing = accounts.iter().find(|account| {
        !account.ceiling.is_empty() && !declared.iter().any(|(window, _)| *window == account.window)
    });
    if let (Some(account), false) = (missing, declared.is_empty()) {
        let (label, window) = (&account.label, &account.window);
        return Err(Error::conflict(format!("{label} has limits for the window `{window}` too")));
    }
    let at_ms = tx.now()?;
    for (account, ceiling) in &raised {
        tx.put_account(&Account { ceiling: *ceiling, ..account.clone() })?;
        let grant = Entry { kind: Kind::Granted, at_ms, task, ..Entry::default() };
        append_limits(tx, &grant, account.no, ceiling, &account.ceiling, by)?;
    }
    if raised.is_empty() { Ok(()) } else { tx.bump() }
}

fn check_raise(account: &Account, declared: &Ceiling) -> Result<()> {
    let sides =
        [(&account.ceiling.hard, &declared.hard, "hard"), (&account.ceiling.soft, &declared.soft, "soft")];
    for (there, declared, side) in sides {
        for unit in Unit::ALL {
            let (there, declared) = (there[unit as usize], declared[unit as usize]);
            let label = &account.label;
            match (there, declared) {
                (Some(there), Some(declared)) if declared < there => {
                    let (there, declared) = (unit.show(there), unit.show(declared));
                    let unit = unit.name();
                    return Err(Error::conflict(format!(
                        "{label} exists with a {side} limit of {there} {unit}, larger than {declared}"
                    )));
                }
                (Some(_), None) | (None, Some(_)) => {
                    let state = if there.is_some() { "with" } else { "without" };
                    let unit = unit.name();
                    return Err(Error::conflict(format!("{label} exists {state} a {side} limit of {unit}")));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Refuses tags of a child that would lead it out of a budget above it.
pub(crate) fn check_override(tx: &mut dyn Tx, above: &Tags, own: &Tags) -> Result<()> {
    for (key, value) in own.iter() {
        let Some(inherited) = above.get(key).filter(|inherited| *inherited != value) else { continue };
        let budgeted = shared_budgets(tx)?
            .iter()
            .any(|budget| budget.scope.get(key).is_some() || budget.per.as_deref() == Some(key));
        if budgeted {
            return Err(Error::conflict(format!(
                "tag `{key}` has a budget and is `{inherited}` above; it cannot be `{value}` below"
            )));
        }
    }
    Ok(())
}

/// Erases the value behind a tag (or another name) for ever; entries keep its number.
pub(crate) fn forget(tx: &mut dyn Tx, key: &str, value: &str) -> Result<()> {
    let missing = || Error::new(ErrorKind::NotFound, format!("`{key}={value}` is not in the ledger"));
    let no = tx.find_name(key, value)?.ok_or_else(missing)?;
    if shared_budgets(tx)?.iter().any(|budget| budget.scope.get(key) == Some(value)) {
        return Err(Error::conflict(format!(
            "`{key}={value}` has a budget of its own and cannot be forgotten"
        )));
    }
    if tx.halts()?.iter().any(|halt| halt.scope == no) {
        return Err(Error::conflict(format!("`{key}={value}` is halted and cannot be forgotten")));
    }
    let at_ms = tx.now()?;
    tx.erase_name(no)?;
    tx.append(&mut Entry { kind: Kind::Forgotten, at_ms, subject: no, ..Entry::default() })?;
    tx.bump()
}

/// The text of a dictionary id; `erased` where it was forgotten, nothing for 0.
pub(crate) fn name_of(tx: &mut (impl Tx + ?Sized), no: u32) -> Result<Option<Arc<str>>> {
    if no == 0 {
        return Ok(None);
    }
    Ok(Some(match tx.name(no)? {
        Some((_, Some(value))) => value.into(),
        _ => "erased".into(),
    }))
}
