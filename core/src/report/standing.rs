//! How do things stand? Tasks, budgets and calls in doubt, from the rows the ledger keeps.

use rustc_hash::FxHashMap;

use super::names::Names;
use crate::{
    error::{Error, ErrorKind, Result},
    ledger::store::{Account, CallRow, Filter, TaskRow, Tx, Which, present},
    policy::{Balance, Deadlines, Unit, Window},
    run::Ledger,
    value::{Id, Millis, Money},
};

/// The fewest digits of an id that name a task.
const PREFIX_MIN: usize = 6;
/// The most tasks a conflict of names lists.
const LISTED_MAX: usize = 10;

/// How a task stands, by its latest attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is open.
    Running,
    /// It did what was wanted.
    Succeeded,
    /// It did not.
    Failed,
    /// A verdict ended it.
    Stopped,
    /// Its process died.
    Lost,
    /// The word for it was erased.
    Unknown,
}

impl Standing {
    /// The word reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }

    /// Did it end without what was wanted?
    pub const fn bought_nothing(self) -> bool {
        matches!(self, Self::Failed | Self::Stopped | Self::Lost)
    }

    pub(super) fn of(outcome: Option<&str>) -> Self {
        match outcome {
            None => Self::Running,
            Some("succeeded") => Self::Succeeded,
            Some("failed") => Self::Failed,
            Some("stopped") => Self::Stopped,
            Some("lost") => Self::Lost,
            Some(_) => Self::Unknown,
        }
    }
}

/// How one limit stands.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitState {
    /// What is limited.
    pub unit: Unit,
    /// How much of it: nano-USD, tokens or calls.
    pub amount: i64,
    /// May it not be passed?
    pub hard: bool,
    /// Over which time.
    pub window: Window,
    /// Settled and in doubt within the window.
    pub spent: i64,
    /// Held by open calls.
    pub pending: i64,
    /// What is left; 0 where it was passed.
    pub available: i64,
    /// When the window ends, or the oldest money leaves it.
    pub resets_at: Option<Millis>,
}

/// How a task stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskState {
    /// Its id in the ledger.
    pub id: Id,
    /// The id the caller gave it.
    pub caller_id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its tags with their values, inherited ones too; no value where it was forgotten.
    pub tags: Vec<(String, Option<String>)>,
    /// The task it lies in.
    pub parent: Option<Id>,
    /// How many attempts there were.
    pub attempts: u32,
    /// How the latest stands.
    pub standing: Standing,
    /// When it was first opened.
    pub opened_at: Millis,
    /// From when on its calls are refused, or told to be late, waits for approvals added.
    pub deadline: Deadlines,
    /// Does it only observe?
    pub observes: bool,
    /// What it used, holds and cannot tell, with everything below it.
    pub balance: Balance,
    /// Its limits.
    pub limits: Vec<LimitState>,
}

/// How a shared budget stands, for one value of its tag if it has one for each.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetState {
    /// The tags it covers, as `tenant=acme`; `*` stands for each value that has no budget yet.
    pub name: String,
    /// The tag each value of which has a budget of its own.
    pub per: Option<String>,
    /// The value it is for; nothing for a budget without `per`, or for the pattern of one.
    pub value: Option<String>,
    /// Its window.
    pub window: Window,
    /// What was used, is held and cannot be told within the window.
    pub balance: Balance,
    /// Its limits.
    pub limits: Vec<LimitState>,
}

/// A call whose outcome nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoubtedCall {
    /// The call.
    pub id: Id,
    /// When it was reserved.
    pub reserved_at: Millis,
    /// Its worst case, which counts as spent.
    pub held: Money,
    /// The model it was for.
    pub model: Option<String>,
    /// The id or name of its task.
    pub task: Option<String>,
    /// The task.
    pub task_id: Option<Id>,
    /// The attempt at it.
    pub attempt: u32,
}

impl Ledger {
    /// The newest tasks first, at most `most`.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    ///
    /// ```
    /// use outlay::{Attempt, Ledger, Limit};
    ///
    /// let ledger = Ledger::in_memory();
    /// ledger.task("refund", [Limit::usd("0.50")?])?.end(Attempt::Succeeded, None)?;
    /// let tasks = ledger.tasks(10)?;
    /// assert_eq!((tasks[0].name.as_str(), tasks[0].standing.name()), ("refund", "succeeded"));
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn tasks(&self, most: usize) -> Result<Vec<TaskState>> {
        self.read(|tx| {
            let rows = tx.tasks(Which::All, most)?;
            let mut names = Names::default();
            rows.iter().map(|row| task_state(tx, &mut names, row)).collect()
        })
    }

    /// The task a person means: by the id its caller gave it, by its id in the ledger or the
    /// beginning of that (six digits or more), or by its name.
    ///
    /// # Errors
    ///
    /// `NotFound`: no such task. `Conflict`: there are several; the error lists their ids.
    ///
    /// ```
    /// use outlay::{ErrorKind, Ledger, TaskOptions};
    ///
    /// let ledger = Ledger::in_memory();
    /// let task = ledger.open_task(TaskOptions::new("refund").id("refund-4711"))?;
    /// assert_eq!(ledger.find_task("refund-4711")?.id, task.id());
    /// assert_eq!(ledger.find_task("refund")?.id, task.id());
    /// assert_eq!(ledger.find_task(&task.id().to_string())?.id, task.id());
    /// assert_eq!(ledger.find_task("payout").unwrap_err().kind(), ErrorKind::NotFound);
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn find_task(&self, text: &str) -> Result<TaskState> {
        self.read(|tx| {
            let row = find(tx, text)?;
            task_state(tx, &mut Names::default(), &row)
        })
    }

    /// Every shared budget; one line for each window, and for each value of a budget per value.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    ///
    /// ```
    /// use outlay::{BudgetOptions, Ledger, Limit, Window};
    ///
    /// let ledger = Ledger::in_memory();
    /// let month = Limit::usd("50")?.per(Window::parse("month", None)?);
    /// ledger.set_budget(&BudgetOptions::new().tag("tenant", "acme")?.limit(month))?;
    /// let budget = &ledger.budgets()?[0];
    /// assert_eq!((budget.name.as_str(), budget.limits[0].available), ("tenant=acme", 50_000_000_000));
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn budgets(&self) -> Result<Vec<BudgetState>> {
        self.read(|tx| {
            let now = tx.now()?;
            let mut names = Names::default();
            let mut states = Vec::new();
            for budget in tx.budgets()? {
                for account in tx.all_accounts_of_budget(budget.no)? {
                    let value = names.text(tx, account.value)?;
                    let balance = tx.balance(account.no, account.window.oldest(now))?;
                    states.push(BudgetState {
                        name: budget.name(value.as_deref()),
                        per: budget.per.clone(),
                        value,
                        limits: limits(&account, &balance, now),
                        window: account.window,
                        balance,
                    });
                }
            }
            Ok(states)
        })
    }

    /// The calls whose outcome nobody knows with what they were for, oldest first, at most `most`.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    pub fn doubted_calls(&self, most: usize) -> Result<Vec<DoubtedCall>> {
        self.read(|tx| {
            let rows = tx.calls_in_doubt(most)?;
            let models = models_of(tx, &rows)?;
            let mut names = Names::default();
            let describe = |row: CallRow| {
                let (task, task_id) = names.task(tx, row.task)?;
                let model = names.text(tx, models.get(&row.id).copied().unwrap_or(0))?;
                let (id, attempt, held) = (row.id, row.attempt, row.held.usd());
                Ok(DoubtedCall { id, reserved_at: row.at_ms, held, model, task, task_id, attempt })
            };
            rows.into_iter().map(describe).collect()
        })
    }
}

/// The models these calls were for: one pass over the entries of each task.
fn models_of(tx: &mut dyn Tx, rows: &[CallRow]) -> Result<FxHashMap<Id, u32>> {
    let mut wanted: FxHashMap<u32, usize> = FxHashMap::default();
    for row in rows {
        *wanted.entry(row.task).or_default() += 1;
    }
    let mut models: FxHashMap<Id, u32> = rows.iter().map(|row| (row.id, 0)).collect();
    for (task, mut missing) in wanted {
        tx.entries(Filter { task: Some(task), ..Filter::default() }, &mut |entry| {
            if entry.model_asked != 0
                && let Some(model) = entry.call.and_then(|id| models.get_mut(&id))
            {
                *model = entry.model_asked;
                missing -= 1;
            }
            missing > 0
        })?;
    }
    Ok(models)
}

pub(super) fn find(tx: &mut dyn Tx, text: &str) -> Result<TaskRow> {
    if let Some(caller) = tx.find_name("task", text)?
        && let Some(no) = tx.task_by_caller(caller)?
    {
        return present(tx.task(no)?, "task", no);
    }
    let mut found = match range_of(text) {
        Some((from, to)) => tx.tasks(Which::Between(from, to), LISTED_MAX + 1)?,
        None => Vec::new(),
    };
    if found.is_empty()
        && let Some(name) = tx.find_name("name", text)?
    {
        found = tx.tasks(Which::Named(name), LISTED_MAX + 1)?;
    }
    match found.len() {
        0 => Err(Error::new(ErrorKind::NotFound, format!("task `{text}` is not in the ledger"))),
        1 => Ok(found.remove(0)),
        _ => Err(several(text, &found)),
    }
}

fn several(text: &str, found: &[TaskRow]) -> Error {
    let ids: Vec<String> =
        found.iter().take(LISTED_MAX).filter_map(|row| Some(format!("`{}`", row.id?))).collect();
    let more = if found.len() > LISTED_MAX { " and more" } else { "" };
    Error::conflict(format!("`{text}` means several tasks: {}{more}", ids.join(", ")))
}

/// The first and last id that begin with these digits; nothing when they are not of an id.
fn range_of(prefix: &str) -> Option<(Id, Id)> {
    let digits: String = prefix.chars().filter(|c| *c != '-').collect();
    let usable = (PREFIX_MIN..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let padded = |fill: char| format!("{digits}{}", fill.to_string().repeat(32 - digits.len())).parse().ok();
    if usable { Some((padded('0')?, padded('f')?)) } else { None }
}

pub(super) fn task_state(tx: &mut dyn Tx, names: &mut Names, row: &TaskRow) -> Result<TaskState> {
    let now = tx.now()?;
    let mut balance = Balance::default();
    let (mut all, mut deadline) = (Vec::new(), Deadlines::default());
    for account in tx.accounts_of_task(row.no)? {
        let own = match account.window {
            Window::Turn => {
                let latest = tx.last_slot(account.no)?;
                tx.balance(account.no, latest)?
            }
            _ => tx.balance(account.no, account.window.oldest(now))?,
        };
        if account.window == Window::Life {
            balance = own;
            deadline = account.until.times;
        }
        all.extend(limits(&account, &own, now));
    }
    let outcome = if row.owner == 0 { names.text(tx, row.outcome)?.or(Some(String::new())) } else { None };
    let mut tags = Vec::with_capacity(row.tags.len());
    for no in &row.tags {
        tags.extend(names.pair(tx, *no)?);
    }
    tags.sort();
    let parent = if row.parent == 0 { None } else { names.task(tx, row.parent)?.1 };
    Ok(TaskState {
        id: present(row.id, "the id of task", row.no)?,
        caller_id: names.text(tx, row.caller)?,
        name: names.text(tx, row.name)?.unwrap_or_default(),
        tags,
        parent,
        attempts: row.attempts,
        standing: Standing::of(outcome.as_deref()),
        opened_at: row.opened_ms,
        deadline,
        observes: row.observes,
        balance,
        limits: all,
    })
}

pub(super) fn limits(account: &Account, balance: &Balance, now: Millis) -> Vec<LimitState> {
    let sides = [(true, account.ceiling.hard), (false, account.ceiling.soft)];
    let mut states = Vec::new();
    for (hard, limits) in sides {
        for unit in Unit::ALL {
            let Some(amount) = limits[unit as usize] else { continue };
            let (spent, pending) = (balance.spent(unit), balance.pending.get(unit));
            let available = amount.saturating_sub(spent).saturating_sub(pending).max(0);
            let window = account.window.clone();
            let resets_at = window.leaves_at(window.oldest(now));
            states.push(LimitState { unit, amount, hard, window, spent, pending, available, resets_at });
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_the_ids_that_begin_with_it() {
        let (from, to) = range_of("019371-A").unwrap();
        assert_eq!(from.to_string(), "019371a0-0000-0000-0000-000000000000");
        assert_eq!(to.to_string(), "019371af-ffff-ffff-ffff-ffffffffffff");
        for text in ["", "01937", "refund", "01937-", "é1é2é3"] {
            assert!(range_of(text).is_none(), "{text}");
        }
    }
}
