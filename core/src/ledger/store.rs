//! What does a store keep?
//!
//! Rows. [`Tx`] is one transaction over them; the rules that read and write the rows stand in
//! `commit` and `open` and are the same for every store.

use rustc_hash::FxHashMap;

use super::{
    alert::{Alerts, Told},
    chain::{Link, Proof, Salt},
    deadline::Until,
    entry::{Entry, Kind, Under},
    halt::Orders,
    held::Held,
};
use crate::{
    error::{Error, ErrorKind, Result},
    policy::{Amounts, Balance, Ceiling, Thresholds, Unit, View, Window},
    sync::Arc,
    value::{Id, Millis, Tags},
};

/// A task.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskRow {
    pub no: u32,
    pub id: Option<Id>,
    /// Dictionary id of the id the caller gave; 0 for none.
    pub caller: u32,
    pub name: u32,
    pub parent: u32,
    pub depth: u32,
    /// Dictionary ids of its tags, inherited ones too.
    pub tags: Vec<u32>,
    pub attempts: u32,
    /// The owner of the open attempt; 0 when none is open.
    pub owner: u32,
    /// Dictionary id of how the latest attempt ended; 0 while it is open.
    pub outcome: u32,
    pub opened_ms: Millis,
    pub observes: bool,
}

/// A task in no other that has ended, with all its attempts and everything inside it.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Dictionary ids of its tags.
    pub tags: Vec<u32>,
    pub attempts: u32,
    /// Dictionary id of how the latest attempt ended.
    pub outcome: u32,
    /// What was settled, and what is in doubt.
    pub used: Amounts,
}

/// Balances under one window, with the limits on them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub no: u32,
    /// The task it belongs to, or 0.
    pub task: u32,
    /// The budget it belongs to, or 0.
    pub budget: u32,
    /// For a budget per value of a tag: the dictionary id of the value; 0 for its pattern.
    pub value: u32,
    pub window: Window,
    pub ceiling: Ceiling,
    pub until: Until,
    /// At which parts of its limits somebody is told.
    pub alerts: Thresholds,
    /// Who it belongs to, as messages name it.
    pub label: String,
}

impl Account {
    /// The account as a decision sees it.
    pub fn view(&self, balance: Balance) -> View<'_> {
        let deadline = self.until.times.any().then_some(&self.until.times);
        View { label: &self.label, ceiling: &self.ceiling, window: &self.window, balance, deadline }
    }
}

/// A shared budget.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget {
    pub no: u32,
    pub scope: Tags,
    /// The tag each value of which has a budget of its own.
    pub per: Option<String>,
}

impl Budget {
    /// The budget as messages name it.
    pub fn label(&self, value: Option<&str>) -> String {
        match self.name(value).as_str() {
            "" => "the budget over all tasks".to_owned(),
            name => format!("budget `{name}`"),
        }
    }

    /// The tags it covers.
    pub fn name(&self, value: Option<&str>) -> String {
        let pair = |(key, value): (&str, &str)| format!("{key}={value}");
        let mut parts: Vec<String> = self.scope.iter().map(pair).collect();
        if let Some(per) = &self.per {
            parts.push(format!("{per}={}", value.unwrap_or("*")));
        }
        parts.join(",")
    }
}

/// How a call stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    Open = 0,
    InDoubt = 1,
    Settled = 2,
    Voided = 3,
    /// No call: money put by for the last one of an attempt. It can only be given back.
    Kept = 4,
}

impl State {
    pub const ALL: [Self; 5] = [Self::Open, Self::InDoubt, Self::Settled, Self::Voided, Self::Kept];

    /// What leaves the balances when a call that held so much is no longer in this state.
    pub fn freed(self, held: &Amounts) -> Balance {
        match self {
            Self::Open | Self::Kept => Balance { pending: held.negated(), ..Balance::default() },
            Self::InDoubt => Balance { in_doubt: held.negated(), ..Balance::default() },
            Self::Settled | Self::Voided => Balance::default(),
        }
    }
}

/// A call.
#[derive(Clone, Debug)]
pub(crate) struct CallRow {
    pub id: Id,
    pub task: u32,
    pub attempt: u32,
    pub owner: u32,
    pub state: State,
    /// Its end is our count, not the provider's, or a void that was never contradicted.
    pub correctable: bool,
    pub at_ms: Millis,
    pub held: Amounts,
    pub used: Amounts,
    pub max_output_tokens: u64,
    pub request_hash: i64,
    pub under: Under,
}

/// An owner.
#[derive(Clone, Debug)]
pub(crate) struct OwnerRow {
    pub no: u32,
    pub id: Id,
    pub ended: bool,
}

/// An entry as it lies in the file.
#[derive(Debug)]
pub(crate) struct Line {
    /// Its number, from 1 without a gap.
    pub seq: u64,
    /// Nothing when the row cannot be an entry.
    pub entry: Option<Entry>,
    /// On the last entry of a commit.
    pub link: Option<Link>,
}

/// Where the chain of an owner ends, by the owner's row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub links: u64,
    pub link: Link,
}

/// A word of the dictionary; value and salt are nothing when it was erased.
#[derive(Debug)]
pub(crate) struct Word {
    pub no: u32,
    pub key: String,
    pub value: Option<String>,
    pub salt: Option<Salt>,
}

/// Which entries a reader wants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter {
    /// Only of this task.
    pub task: Option<u32>,
    /// Only from this time on.
    pub since: Option<Millis>,
    /// Only of the newest so many.
    pub newest: Option<u64>,
    /// Only from this number on; the first entry of a ledger has 1.
    pub from: Option<u64>,
    /// Of movements, what is told of reservations beside all else.
    pub part: Option<Part>,
}

/// What a call was part of, beside its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Step,
    Turn,
    Provider,
}

impl Part {
    pub const fn column(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Turn => "turn",
            Self::Provider => "provider",
        }
    }

    /// Its dictionary id in an entry.
    pub const fn of(self, entry: &Entry) -> u32 {
        match self {
            Self::Step => entry.step,
            Self::Turn => entry.turn,
            Self::Provider => entry.provider,
        }
    }

    pub const fn put(self, entry: &mut Entry, no: u32) {
        match self {
            Self::Step => entry.step = no,
            Self::Turn => entry.turn = no,
            Self::Provider => entry.provider = no,
        }
    }
}

/// Which tasks a reader wants.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    All,
    /// Those of this name, a dictionary id.
    Named(u32),
    /// Those directly under this one.
    Under(u32),
    /// Those with an id from the first to the second.
    Between(Id, Id),
}

/// Rows a store keeps in memory between transactions, valid for one version of the rows.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    pub version: i64,
    pub accounts: FxHashMap<u32, Arc<Account>>,
    pub budgets: Option<Arc<[Budget]>>,
    /// For each task, what its calls are held under.
    pub under: FxHashMap<u32, Arc<Held>>,
    /// For each account with thresholds, what was told of its slot.
    pub told: FxHashMap<u32, Told>,
}

const CACHED_MAX: usize = 10_000;

impl Cache {
    /// Empties it if it was made for another version, or grew too large.
    pub fn refresh(&mut self, version: i64) {
        let large = self.accounts.len() > CACHED_MAX || self.under.len() > CACHED_MAX;
        if self.version != version || large {
            *self = Self { version, ..Self::default() };
        }
    }
}

/// One transaction over the rows of a store. Nothing is kept if the act that uses it fails with
/// an error of the family `Fault`; after any other error an act has written nothing.
pub(crate) trait Tx: Orders + Alerts {
    /// The ledger's time: never earlier than the latest entry.
    fn now(&mut self) -> Result<Millis>;
    /// The owner the entries are written by.
    fn owner(&self) -> u32;
    fn cache(&mut self) -> &mut Cache;
    /// Makes every process read accounts and budgets anew.
    fn bump(&mut self) -> Result<()>;

    /// Keeps an entry, as written by the owner; what is left of it has no meaning.
    fn append(&mut self, entry: &mut Entry) -> Result<()>;
    /// Hands out entries in order until the visitor returns false.
    fn entries(&mut self, filter: Filter, visit: &mut dyn FnMut(Entry) -> bool) -> Result<()>;
    /// The same, entries about calls only, and of them what a report adds up: where and when a call was
    /// reserved and for what model, the part that is asked for, amounts, tokens and flags. All else may be
    /// zero.
    fn movements(&mut self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.entries(filter, &mut |entry| visit(&entry))
    }
    /// The same, and of them what tells how good a count was: of a reservation provider, model, tools,
    /// flags, bound, count and what of it was known, of its end flags and input.
    fn counts(&mut self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.entries(filter, &mut |entry| visit(&entry))
    }
    /// The same with verdicts, and of them what tells why a call was paid for: of a reservation its place,
    /// price, model and what was noted of the request, of its end flags, price, input and USD; of a
    /// verdict its attempt and subject.
    fn requests(&mut self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.entries(filter, &mut |entry| {
            (entry.call.is_none() && entry.kind != Kind::Verdict) || visit(&entry)
        })
    }
    /// The same, of them what was bought: of whom, when, for which task, held where, and the usage
    /// with its price.
    fn bills(&mut self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.entries(filter, &mut |entry| entry.call.is_none() || visit(&entry))
    }
    /// The same, and of them what was paid: of a reservation when, for which task and model, held where,
    /// and what would have refused it; of its end flags and USD.
    fn payments(&mut self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.entries(filter, &mut |entry| entry.call.is_none() || visit(&entry))
    }
    /// Hands out the beginnings and ends of attempts, each in order: of each when, its attempt, what the
    /// attempt is part of, how it ended and what it was worth.
    fn attempts(&mut self, visit: &mut dyn FnMut(&Entry)) -> Result<()> {
        self.entries(Filter::default(), &mut |entry| {
            if matches!(entry.kind, Kind::AttemptStarted | Kind::AttemptEnded) {
                visit(&entry);
            }
            true
        })
    }
    /// Hands out every entry as it lies in the file until the visitor returns false.
    fn lines(&mut self, _visit: &mut dyn FnMut(Line) -> bool) -> Result<()> {
        Err(unchained())
    }
    /// The number of the last entry.
    fn last_line(&mut self) -> Result<u64> {
        Err(unchained())
    }
    /// Every owner, and where its chain ends.
    fn heads(&mut self) -> Result<Vec<(u32, Head)>> {
        Err(unchained())
    }
    /// Hands out the whole dictionary.
    fn words(&mut self, _visit: &mut dyn FnMut(Word)) -> Result<()> {
        Err(unchained())
    }
    /// Hands out every task, in order; one that cannot be read has no id.
    fn every_task(&mut self, _visit: &mut dyn FnMut(TaskRow)) -> Result<()> {
        Err(unchained())
    }
    /// Is every entry and every slot still kept?
    fn is_whole(&self) -> bool {
        true
    }
    /// May this owner still open anything?
    fn is_running(&mut self) -> Result<bool> {
        Ok(true)
    }
    /// How many of the oldest entries are kept no longer, other than in the balances.
    fn dropped(&self) -> u64 {
        0
    }

    /// The dictionary id of a value, and its proof if this made it.
    fn intern(&mut self, key: &str, value: &str) -> Result<(u32, Option<Proof>)>;
    fn find_name(&mut self, key: &str, value: &str) -> Result<Option<u32>>;
    /// Key and value of a dictionary id; no value if it was erased.
    fn name(&mut self, no: u32) -> Result<Option<(String, Option<String>)>>;
    /// Hands out every name of this key that was not erased.
    fn names_of(&mut self, key: &str, visit: &mut dyn FnMut(u32, &str)) -> Result<()>;
    fn erase_name(&mut self, no: u32) -> Result<()>;

    fn task(&mut self, no: u32) -> Result<Option<TaskRow>>;
    /// The number of attempts at a task, and the owner of the open one.
    fn attempt(&mut self, task: u32) -> Result<Option<(u32, u32)>>;
    fn task_by_id(&mut self, id: &Id) -> Result<Option<u32>>;
    fn task_by_caller(&mut self, caller: u32) -> Result<Option<u32>>;
    /// Inserts when `row.no` is 0; returns its number.
    fn put_task(&mut self, row: &TaskRow) -> Result<u32>;
    /// The newest tasks first, at most `most`.
    fn tasks(&mut self, which: Which, most: usize) -> Result<Vec<TaskRow>>;
    /// Hands out the newest runs that were opened from then on, at most `most`.
    fn runs(&mut self, since: Option<Millis>, most: usize, visit: &mut dyn FnMut(Run)) -> Result<()> {
        let is_run = |row: &TaskRow| {
            let is_in = since.is_none_or(|since| row.opened_ms >= since);
            row.parent == 0 && row.owner == 0 && is_in
        };
        let rows = self.tasks(Which::All, usize::MAX)?;
        for row in rows.into_iter().filter(is_run).take(most) {
            let accounts = self.accounts_of_task(row.no)?;
            let life = accounts.iter().find(|account| account.window == Window::Life);
            let balance = life.map_or(Ok(Balance::default()), |life| self.slot(life.no, 0))?;
            let used = Amounts(Unit::ALL.map(|unit| balance.spent(unit)));
            visit(Run { tags: row.tags, attempts: row.attempts, outcome: row.outcome, used });
        }
        Ok(())
    }
    /// Tasks whose open attempt belongs to `owner`.
    fn tasks_of(&mut self, owner: u32) -> Result<Vec<TaskRow>>;

    fn budgets(&mut self) -> Result<Vec<Budget>>;
    fn put_budget(&mut self, budget: &Budget) -> Result<u32>;
    fn accounts_of_task(&mut self, task: u32) -> Result<Vec<Account>>;
    /// The accounts of a budget for one value; 0 for the budget itself or its pattern.
    fn accounts_of_budget(&mut self, budget: u32, value: u32) -> Result<Vec<Account>>;
    /// Every account of a budget, whatever the value.
    fn all_accounts_of_budget(&mut self, budget: u32) -> Result<Vec<Account>>;
    /// How many values a budget has accounts for.
    fn values(&mut self, budget: u32) -> Result<usize>;
    /// Drops the accounts of values without a slot from `oldest` on, whose numbers are not used
    /// again; returns how many accounts.
    fn drop_values(&mut self, budget: u32, oldest: Millis) -> Result<usize>;
    /// Inserts when `account.no` is 0; returns its number.
    fn put_account(&mut self, account: &Account) -> Result<u32>;

    /// The sum of the slots of an account that start at `oldest` or later.
    fn balance(&mut self, account: u32, oldest: Millis) -> Result<Balance>;
    fn slot(&mut self, account: u32, slot: Millis) -> Result<Balance>;
    /// The largest slot of an account; 0 without any.
    fn last_slot(&mut self, account: u32) -> Result<Millis>;
    fn put_slot(&mut self, account: u32, slot: Millis, balance: &Balance) -> Result<()>;
    /// Hands out every slot of every account.
    fn balances(&mut self, visit: &mut dyn FnMut(u32, Millis, Balance)) -> Result<()>;

    fn call(&mut self, id: &Id) -> Result<Option<CallRow>>;
    /// Keeps a new call, which has used nothing, and the entry that says so.
    fn open_call(&mut self, row: CallRow, entry: &mut Entry) -> Result<()>;
    /// Keeps how a call ended: its state, what it used, whether that may be corrected; and the
    /// entry that says so.
    fn end_call(&mut self, row: &CallRow, entry: &mut Entry) -> Result<()>;
    /// Open calls of `owner`, and what it has put by, oldest first, at most `most`.
    fn open_calls(&mut self, owner: u32, most: usize) -> Result<Vec<Id>>;
    /// The same of one attempt.
    fn open_calls_of(&mut self, task: u32, attempt: u32, owner: u32) -> Result<Vec<Id>>;
    /// Calls in doubt, oldest first, at most `most`.
    fn calls_in_doubt(&mut self, most: usize) -> Result<Vec<CallRow>>;

    /// Owners that have not ended.
    fn owners(&mut self) -> Result<Vec<OwnerRow>>;
    fn end_owner(&mut self, no: u32) -> Result<()>;
}

/// What of an entry's kind of row must exist, or the ledger is damaged.
pub(crate) fn present<T>(row: Option<T>, what: &str, no: impl std::fmt::Display) -> Result<T> {
    row.ok_or_else(|| Error::corrupt(format!("{what} `{no}` is missing from the ledger")))
}

fn unchained() -> Error {
    Error::new(ErrorKind::Unsupported, "a ledger in memory has no chain; use `sqlite:PATH`")
}
