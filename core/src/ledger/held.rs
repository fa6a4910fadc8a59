//! What is a call held under?
//!
//! The limits of its task, those of the tasks above, and every shared budget its tags fall under.

use smallvec::SmallVec;

use super::{
    entry::Under,
    halt::{Halt, halt_of},
    open::DEPTH_MAX,
    store::{Account, Budget, Tx, present},
};
use crate::{
    error::{Error, ErrorKind, Result},
    policy::{Balance, Slot, View, Window},
    sync::Arc,
    value::Millis,
};

/// The most values a budget per value of a tag can have at a time.
const VALUES_MAX: usize = 10_000;
/// The slot of a turn without a call: no name has this number.
const NEW_TURN: Millis = u32::MAX as Millis + 1;
/// Under more accounts than this a call costs an allocation.
pub(super) const FEW: usize = 4;

pub(super) type Views<'a> = SmallVec<[View<'a>; FEW]>;

/// The accounts a task's calls are held under, each with its present slot.
#[derive(Debug)]
pub(crate) struct Held {
    pub accounts: Vec<(Arc<Account>, Slot)>,
    /// The same as a call keeps it, made once for all calls of these slots.
    pub under: Under,
    /// Is something limited per turn?
    pub per_turn: bool,
    /// The halt the task lies under.
    pub halt: Option<Arc<Halt>>,
}

impl Held {
    /// These accounts, in the slots `now` lies in.
    pub fn at(now: Millis, accounts: impl Iterator<Item = Arc<Account>>) -> Self {
        let slot = |account: Arc<Account>| {
            let slot = account.window.slot(now);
            (account, slot)
        };
        let accounts: Vec<_> = accounts.map(slot).collect();
        Self::of(accounts, None)
    }

    fn of(accounts: Vec<(Arc<Account>, Slot)>, halt: Option<Arc<Halt>>) -> Self {
        let under = accounts.iter().map(|(account, slot)| (account.no, slot.start)).collect();
        let per_turn = accounts.iter().any(|(account, _)| account.window == Window::Turn);
        Self { accounts, under, per_turn, halt }
    }

    /// The same in the slots of a turn.
    pub fn in_turn(&self, turn: Millis) -> Self {
        let accounts = self.accounts.iter().map(|(account, slot)| {
            let is_turn = account.window == Window::Turn;
            let start = if is_turn { turn } else { slot.start };
            (Arc::clone(account), Slot { start, ..*slot })
        });
        Self::of(accounts.collect(), self.halt.clone())
    }

    /// Does `now` lie in its slots?
    pub fn is_of(&self, now: Millis) -> bool {
        self.accounts.iter().all(|(_, slot)| slot.start <= now && now < slot.end)
    }
}

/// The accounts a task's calls fall under, with what counts in them now.
pub(crate) fn balances(tx: &mut dyn Tx, task: u32) -> Result<Vec<(Arc<Account>, Balance)>> {
    let held = held_under(tx, task)?;
    let mut found = Views::new();
    read_views(tx, &held, &mut found)?;
    Ok(held
        .accounts
        .iter()
        .zip(found)
        .map(|((account, _), view)| (Arc::clone(account), view.balance))
        .collect())
}

/// Everything a call of this task is held under, with the present slots.
pub(super) fn held_under(tx: &mut (impl Tx + ?Sized), task: u32) -> Result<Arc<Held>> {
    let now = tx.now()?;
    let held = match tx.cache().under.get(&task) {
        Some(held) if held.is_of(now) => return Ok(Arc::clone(held)),
        Some(held) => {
            let halt = held.halt.clone();
            Held { halt, ..Held::at(now, held.accounts.iter().map(|(account, _)| Arc::clone(account))) }
        }
        None => {
            let accounts = find_accounts(tx, task)?.into_iter();
            Held { halt: halt_of(tx, task)?, ..Held::at(now, accounts) }
        }
    };
    let held = Arc::new(held);
    tx.cache().under.insert(task, Arc::clone(&held));
    Ok(held)
}

/// The same for a call of this turn; what is limited per turn goes by the number of its name.
pub(super) fn held_in_turn(tx: &mut (impl Tx + ?Sized), task: u32, turn: Option<&str>) -> Result<Arc<Held>> {
    let held = held_under(tx, task)?;
    if !held.per_turn {
        return Ok(held);
    }
    let no = match turn {
        None => 0,
        Some(turn) => tx.find_name("turn", turn)?.map_or(NEW_TURN, Millis::from),
    };
    Ok(keep_turn(tx, task, &held, no))
}

/// Puts what a task's calls are held under into the slots of a turn, for who asks how it stands.
pub(super) fn keep_turn(tx: &mut (impl Tx + ?Sized), task: u32, held: &Held, turn: Millis) -> Arc<Held> {
    let held = Arc::new(held.in_turn(turn));
    tx.cache().under.insert(task, Arc::clone(&held));
    held
}

fn find_accounts(tx: &mut (impl Tx + ?Sized), task: u32) -> Result<Vec<Arc<Account>>> {
    let row = present(tx.task(task)?, "task", task)?;
    let mut found = Vec::new();
    let mut above = Some(row.clone());
    for _ in 0..=DEPTH_MAX {
        let Some(row) = above else { break };
        let accounts = tx.accounts_of_task(row.no)?.into_iter();
        found.extend(accounts.filter(|account| account.window != Window::Retries || row.attempts > 1));
        above = if row.parent == 0 { None } else { tx.task(row.parent)? };
    }
    for budget in shared_budgets(tx)?.iter() {
        found.extend(accounts_for(tx, budget, &row.tags)?);
    }
    let known = &mut tx.cache().accounts;
    let shared = |account: Account| Arc::clone(known.entry(account.no).or_insert_with(|| Arc::new(account)));
    Ok(found.into_iter().map(shared).collect())
}

/// Adds the accounts with what counts in them now to `views`, which is too large to be moved about.
pub(super) fn read_views<'a>(
    tx: &mut (impl Tx + ?Sized),
    held: &'a Held,
    views: &mut Views<'a>,
) -> Result<()> {
    let now = tx.now()?;
    for (account, slot) in &held.accounts {
        let balance = match account.window {
            Window::Rolling(_) => tx.balance(account.no, account.window.oldest(now))?,
            _ => tx.slot(account.no, slot.start)?,
        };
        views.push(account.view(balance));
    }
    Ok(())
}

/// Every budget of the ledger, kept until one changes.
pub(super) fn shared_budgets(tx: &mut (impl Tx + ?Sized)) -> Result<Arc<[Budget]>> {
    if let Some(budgets) = &tx.cache().budgets {
        return Ok(Arc::clone(budgets));
    }
    let budgets: Arc<[_]> = tx.budgets()?.into();
    tx.cache().budgets = Some(Arc::clone(&budgets));
    Ok(budgets)
}

/// The accounts of `budget` that a task with these tags falls under.
fn accounts_for(tx: &mut (impl Tx + ?Sized), budget: &Budget, tags: &[u32]) -> Result<Vec<Account>> {
    for (key, value) in budget.scope.iter() {
        let no = tx.find_name(key, value)?;
        if !no.is_some_and(|no| tags.contains(&no)) {
            return Ok(Vec::new());
        }
    }
    let Some(per) = &budget.per else { return tx.accounts_of_budget(budget.no, 0) };
    let mut value = None;
    for no in tags {
        if let Some((key, text)) = tx.name(*no)?
            && key == *per
        {
            value = text.map(|text| (*no, text));
        }
    }
    let Some((no, text)) = value else { return Ok(Vec::new()) };
    let accounts = tx.accounts_of_budget(budget.no, no)?;
    if accounts.is_empty() { open_value(tx, budget, no, &text) } else { Ok(accounts) }
}

/// Opens a budget for one more value of its tag.
fn open_value(tx: &mut (impl Tx + ?Sized), budget: &Budget, value: u32, text: &str) -> Result<Vec<Account>> {
    let now = tx.now()?;
    let mut accounts = tx.accounts_of_budget(budget.no, 0)?;
    if tx.values(budget.no)? >= VALUES_MAX {
        let oldest = accounts.iter().map(|account| account.window.oldest(now)).min().unwrap_or(0);
        if tx.drop_values(budget.no, oldest)? > 0 {
            // Nobody may go on with an account that is gone.
            tx.bump()?;
        } else {
            let label = budget.label(None);
            let message = format!("{label} has {VALUES_MAX} values already");
            let field = crate::error::Field::Text(label);
            return Err(Error::new(ErrorKind::BudgetExceeded, message).with("budget", field));
        }
    }
    for account in &mut accounts {
        account.no = 0;
        account.value = value;
        account.label = budget.label(Some(text));
        account.no = tx.put_account(account)?;
    }
    Ok(accounts)
}
