//! What does a program hold of a ledger?
//!
//! A [`Ledger`] opens tasks and declares budgets; money moves in the acts of `ledger::commit`.
//! Clones are the same ledger.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    alert::Delivery,
    calibration::Calibration,
    config::Config,
    halt::Lookout,
    memo::Memo,
    model::{Asked, Model, Models},
    options::{BudgetOptions, TaskOptions},
    process::generation,
    task::Task,
};
use crate::{
    error::{Error, ErrorKind, Result},
    ledger::{
        chain, check,
        commit::{self, Ended, Ending, Reserve, Verdict},
        memory::Memory,
        open,
        sqlite::{self, Settings, Sqlite},
        store::{Budget, Filter, State, Tx},
    },
    meter::Extracted,
    policy::Limit,
    sync::{Arc, Mutex, MutexGuard, lock},
    value::{Clock, Id, IdSource, Millis, Money, Tags},
};

/// A ledger.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    name: String,
    store: Store,
    key: [u8; 32],
    clock: Clock,
    ids: IdSource,
    models: Models,
    memo: Memo,
    calibration: Calibration,
    config: Mutex<Arc<Config>>,
    default_task: Mutex<Option<Task>>,
    lookout: Lookout,
    delivery: Delivery,
    /// Calls that went through while the store could not answer.
    unrecorded: AtomicU64,
    born: u32,
}

enum Store {
    Memory(Box<Mutex<Memory>>),
    Sqlite(Box<Sqlite>),
}

/// A call whose outcome nobody knows.
#[derive(Clone, Debug)]
pub struct InDoubt {
    /// The call.
    pub id: Id,
    /// When it was reserved.
    pub reserved_at: Millis,
    /// Its worst case, which counts as spent.
    pub held: Money,
}

impl Ledger {
    /// A new ledger in memory, shared with nobody.
    ///
    /// # Panics
    ///
    /// If the operating system has no random bits.
    pub fn in_memory() -> Self {
        let config = Arc::new(Config::default());
        Self::build("memory:", config, Clock::System).expect("a ledger in memory needs random bits only")
    }

    /// Opens the ledger at `store` (`memory:`, `memory:NAME`, `sqlite:PATH`) as a new owner.
    /// [`process::ledger`](super::process::ledger) opens each store once per process instead.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: a store that cannot be.
    /// * `StoreUnavailable`, `Corrupt`, `Unsupported`: the file cannot be used.
    pub fn open(store: &str, config: Arc<Config>) -> Result<Self> {
        Self::build(store, config, Clock::System)
    }

    /// The same with a clock of the caller's.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with_clock(store: &str, config: Arc<Config>, clock: Clock) -> Result<Self> {
        Self::build(store, config, clock)
    }

    fn build(store: &str, config: Arc<Config>, clock: Clock) -> Result<Self> {
        let name = Self::canonical(store)?;
        let ids = IdSource::new()?;
        let (store, key) = if name.starts_with("memory:") {
            let memory = Memory::new()?;
            let key = memory.key();
            (Store::Memory(Box::new(Mutex::new(memory))), key)
        } else {
            let path = sqlite::path_of(&name)?;
            let settings = Settings { path, durability: config.durability, clock: clock.clone() };
            let sqlite = Sqlite::open(settings, ids.next(clock.now()))?;
            let key = sqlite.key();
            (Store::Sqlite(Box::new(sqlite)), key)
        };
        Ok(Self(Arc::new(Inner {
            name,
            store,
            key,
            clock,
            ids,
            models: Models::default(),
            memo: Memo::default(),
            calibration: Calibration::default(),
            config: Mutex::new(config),
            default_task: Mutex::new(None),
            lookout: Lookout::default(),
            delivery: Delivery::default(),
            unrecorded: AtomicU64::new(0),
            born: generation(),
        })))
    }

    /// The one name a store has, however it is written.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: a store that cannot be; `Unsupported`: one this version does not know.
    pub fn canonical(store: &str) -> Result<String> {
        if let Some(name) = store.strip_prefix("memory:") {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            if !name.bytes().all(letter) {
                // Not shown: a URL of a server may have come here, with its password.
                return Err(Error::invalid(
                    "the name in `memory:NAME` may have letters, digits, `_`, `-` and `.` only",
                ));
            }
            return Ok(store.to_owned());
        }
        if store.starts_with("sqlite:") {
            return Ok(sqlite::shown(&sqlite::path_of(store)?));
        }
        let scheme = store.split_once(':').map_or(store, |(scheme, _)| scheme);
        let known = "`memory:`, `memory:NAME` or `sqlite:PATH`";
        Err(Error::new(ErrorKind::Unsupported, format!("store `{scheme}` is not known; use {known}")))
    }

    /// The store it was opened at.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How many calls, of whatever task, went through here while the store could not answer, as
    /// `on_unavailable="allow"` says. They are in no other figure.
    pub fn unrecorded_calls(&self) -> u64 {
        self.0.unrecorded.load(Ordering::Relaxed)
    }

    pub(super) fn count_unrecorded(&self) {
        self.0.unrecorded.fetch_add(1, Ordering::Relaxed);
    }

    /// Does a call of this ledger wait for a file?
    pub fn is_blocking(&self) -> bool {
        matches!(self.0.store, Store::Sqlite(_))
    }

    /// Opens a task with these limits; see [`open_task`](Self::open_task) for every option.
    ///
    /// # Errors
    ///
    /// As [`open_task`](Self::open_task).
    pub fn task(&self, name: &str, limits: impl IntoIterator<Item = Limit>) -> Result<Task> {
        let options = limits.into_iter().fold(TaskOptions::new(name), TaskOptions::limit);
        self.open_task(options)
    }

    /// Opens a task: its first attempt, or with the id of an earlier one its next.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: a name, tag or limit that cannot be; a task more than eight deep.
    /// * `Conflict`: the id has an open attempt in a living owner, or smaller limits now; a tag
    ///   with a budget above would be overridden.
    /// * `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    pub fn open_task(&self, options: TaskOptions) -> Result<Task> {
        let ledger = self.current()?;
        let task = Task::open(ledger.clone().into_owned(), options);
        ledger.deliver();
        task
    }

    /// The task of calls under no other.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer.
    pub fn default_task(&self) -> Result<Task> {
        let ledger = self.current()?;
        let mut held = lock(&ledger.0.default_task);
        if let Some(task) = &*held {
            return Ok(task.clone());
        }
        let task = Task::open(ledger.clone().into_owned(), TaskOptions::new("default"));
        *held = task.as_ref().ok().cloned();
        // Only now: a handler of alerts may ask for this task.
        drop(held);
        ledger.deliver();
        task
    }

    /// Declares a budget: again with the same limits is no change, with larger ones a grant.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: no limit, or two of one unit and window.
    /// * `Conflict`: smaller or other limits than there are.
    pub fn set_budget(&self, options: &BudgetOptions) -> Result<()> {
        if let Some(key) = &options.per {
            Tags::new().set(key, "x")?;
        }
        let budget = Budget { no: 0, scope: options.scope.clone(), per: options.per.clone() };
        let (limits, alerts, by) = (options.limits.clone(), options.alerts.clone(), options.by.clone());
        let want = open::SetBudget { budget, limits, alerts, usual: self.config().alerts.clone(), by };
        self.act(move |tx| open::set_budget(tx, &want))
    }

    /// Erases the value of a tag for ever. Entries keep its number, reports say `erased`.
    ///
    /// # Errors
    ///
    /// `NotFound`: no such value; `Conflict`: it has a budget of its own.
    pub fn forget(&self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.act(move |tx| open::forget(tx, &key, &value))?;
        self.0.models.clear();
        Ok(())
    }

    /// The calls whose outcome nobody knows, oldest first, at most `most`.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer.
    pub fn in_doubt(&self, most: usize) -> Result<Vec<InDoubt>> {
        let shown = |row: crate::ledger::store::CallRow| InDoubt {
            id: row.id,
            reserved_at: row.at_ms,
            held: row.held.usd(),
        };
        self.read(|tx| Ok(tx.calls_in_doubt(most)?.into_iter().map(shown).collect()))
    }

    /// Ends a call somebody else cannot end: with what the provider told or billed, or void.
    ///
    /// It costs what it would have cost if it had been settled in time: what the provider says it
    /// charges, else list prices of the time it was reserved, of the tier it was asked for or told.
    ///
    /// # Errors
    ///
    /// * `NotFound`: no such call.
    /// * `Conflict`: it is still open in a running owner, or ended with other content.
    /// * `InvalidInput`: what was told has no usage, or one that cannot be.
    /// * `Unpriced`: nobody knows what it costs, and it does not say so itself.
    pub fn resolve(&self, id: Id, told: Option<&Extracted>, by: &str) -> Result<Money> {
        let by: Arc<str> = by.into();
        let told = told.cloned();
        let own = self.clone();
        let ended = self.act(move |tx| {
            let missing = || Error::new(ErrorKind::NotFound, format!("call `{id}` is not in the ledger"));
            let row = tx.call(&id)?.ok_or_else(missing)?;
            if matches!(row.state, State::Open | State::Kept) {
                return Err(Error::conflict(format!("call `{id}` is open in a running process")));
            }
            let ending = match &told {
                None => Ending::Void { by: Some(Arc::clone(&by)) },
                Some(told) => {
                    let usage = told.usage.ok_or_else(|| Error::invalid("there is no usage in this"))?;
                    usage.check()?;
                    let model = own.model_of(tx, &id, row.task, row.at_ms)?;
                    let tier = model.tier_told(told.service_tier.as_deref());
                    let (charge, price) = model.charge(&usage, Some(told), tier)?;
                    let (usd, by) = (charge.nanos(), Some(Arc::clone(&by)));
                    let settle = commit::Settle { usage, usd, price, by, ..commit::Settle::default() };
                    Ending::Settle(settle)
                }
            };
            commit::end(tx, &id, &ending)
        })?;
        Ok(ended.used.usd())
    }

    /// The model a call was reserved for, as it was asked for, with its prices of that time.
    fn model_of(&self, tx: &mut dyn Tx, id: &Id, task: u32, at: Millis) -> Result<Arc<Model>> {
        let mut names = [0; 3];
        let filter = Filter { task: Some(task), ..Filter::default() };
        tx.entries(filter, &mut |entry| {
            let found = entry.call == Some(*id) && entry.model_asked != 0;
            if found {
                names = [entry.provider, entry.model_asked, entry.price];
            }
            !found
        })?;
        let [provider, model, price] = names.map(|no| open::name_of(tx, no));
        let (provider, model, price) = (provider?, model?, price?.unwrap_or_default());
        let model = model.ok_or_else(|| {
            Error::corrupt(format!("the model of call `{id}` is unknown in {}", self.0.name))
        })?;
        // What only the user prices is found by its name alone.
        let known = provider.as_deref().filter(|name| !["", "custom"].contains(name));
        self.model(Asked::again(known, &model, &price), at)
    }

    /// Ends owners that died; returns how many of their calls are in doubt now.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer.
    pub fn sweep(&self) -> Result<usize> {
        match &self.current()?.0.store {
            Store::Memory(_) => Ok(0),
            Store::Sqlite(sqlite) => sqlite.sweep(),
        }
    }

    /// Recomputes every balance from the entries and compares.
    ///
    /// # Errors
    ///
    /// * `Corrupt`: a balance is not the sum of its entries.
    /// * `Unsupported`: a ledger in memory that has dropped its oldest entries.
    pub fn check_balances(&self) -> Result<()> {
        let differing = self.read(check::differing)?;
        if differing.is_empty() {
            return Ok(());
        }
        Err(Error::corrupt(format!(
            "the balances of accounts {differing:?} are not the sum of their entries"
        )))
    }

    /// The options in force.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&lock(&self.0.config))
    }

    /// Changes the options; the durability stays.
    pub fn set_config(&self, config: Arc<Config>) {
        *lock(&self.0.config) = config;
        self.0.models.clear();
    }

    /// Ends this owner.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: what was open could not be recorded as in doubt; the next owner does it.
    pub fn close(&self) -> Result<()> {
        let task = lock(&self.0.default_task).take();
        // In an act of its own, after which handlers of alerts may ask for the default task.
        drop(task);
        match &self.0.store {
            Store::Sqlite(sqlite) if self.0.born == generation() => sqlite.close(),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_alive(&self, owner: u32) -> Result<bool> {
        match &self.0.store {
            Store::Memory(_) => Ok(true),
            Store::Sqlite(sqlite) => sqlite.is_alive(owner),
        }
    }

    /// This ledger, or after a fork the same store as a new owner's.
    pub(crate) fn current(&self) -> Result<Cow<'_, Self>> {
        if self.is_own() {
            return Ok(Cow::Borrowed(self));
        }
        match &self.0.store {
            Store::Sqlite(_) => super::process::ledger(Some(&self.0.name)).map(Cow::Owned),
            Store::Memory(_) => Err(Error::new(
                ErrorKind::Unsupported,
                "a ledger in memory cannot be shared with a forked process; use `sqlite:PATH`",
            )),
        }
    }

    /// Does it belong to this process, and not to the one this was forked from?
    pub(crate) fn is_own(&self) -> bool {
        self.0.born == generation()
    }

    pub(crate) fn act<R: Send + 'static>(
        &self,
        act: impl FnMut(&mut dyn Tx) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let ledger = self.current()?;
        let result = ledger.act_untold(act);
        ledger.deliver();
        result
    }

    /// The same for one who holds a lock that handlers of alerts may ask for: to be followed by
    /// [`deliver`](Self::deliver) without it.
    pub(super) fn act_untold<R: Send + 'static>(
        &self,
        mut act: impl FnMut(&mut dyn Tx) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        match &self.current()?.0.store {
            Store::Memory(memory) => act(&mut *begin(memory, self.now())),
            Store::Sqlite(sqlite) => sqlite.act(act),
        }
    }

    /// Reserves at a time just read. A file, which may keep an act waiting, reads the clock anew.
    ///
    /// This and the end of a call are what a call costs: in memory nothing is moved for them.
    pub(crate) fn reserve(&self, want: &Reserve, now: Millis) -> Result<Verdict> {
        match &self.current()?.0.store {
            Store::Memory(memory) => commit::reserve(&mut *begin(memory, now), want),
            Store::Sqlite(sqlite) => {
                let want = want.clone();
                sqlite.act(move |tx| commit::reserve(tx, &want))
            }
        }
    }

    pub(crate) fn end_call(&self, id: Id, ending: &Ending) -> Result<Ended> {
        let ledger = self.current()?;
        let ended = match &ledger.0.store {
            Store::Memory(memory) => commit::end(&mut *begin(memory, self.now()), &id, ending),
            Store::Sqlite(sqlite) => {
                let ending = ending.clone();
                sqlite.act(move |tx| commit::end(tx, &id, &ending))
            }
        };
        ledger.deliver();
        ended
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(&mut dyn Tx) -> Result<R>) -> Result<R> {
        match &self.current()?.0.store {
            Store::Memory(memory) => read(&mut *begin(memory, self.now())),
            Store::Sqlite(sqlite) => sqlite.read(read),
        }
    }

    pub(super) fn lookout(&self) -> &Lookout {
        &self.0.lookout
    }

    pub(super) fn delivery(&self) -> &Delivery {
        &self.0.delivery
    }

    pub(crate) fn memo(&self) -> &Memo {
        &self.0.memo
    }

    pub(crate) fn calibration(&self) -> &Calibration {
        &self.0.calibration
    }

    pub(crate) fn model(&self, asked: Asked<'_>, now: Millis) -> Result<Arc<Model>> {
        self.0.models.get(|| self.config(), asked, now)
    }

    pub(crate) fn now(&self) -> Millis {
        self.0.clock.now()
    }

    pub(crate) fn next_id(&self, now: Millis) -> Id {
        self.0.ids.next(now)
    }

    pub(crate) fn named_call(&self, task: u32, attempt: u32, name: &str) -> Id {
        chain::named_call(&self.0.key, task, attempt, name)
    }

    pub(crate) fn keyed_hash(&self, parts: &[&[u8]]) -> i64 {
        chain::keyed_hash(&self.0.key, parts)
    }

    pub(super) fn before_fork(&self) {
        if let Store::Sqlite(sqlite) = &self.0.store {
            sqlite.before_fork();
        }
    }

    pub(super) fn after_fork_in_parent(&self) {
        if let Store::Sqlite(sqlite) = &self.0.store {
            sqlite.after_fork_in_parent();
        }
    }

    pub(super) fn abandon(&self) {
        if let Store::Sqlite(sqlite) = &self.0.store {
            sqlite.abandon();
        }
    }
}

/// The rows in memory, at `now`.
fn begin(memory: &Mutex<Memory>, now: Millis) -> MutexGuard<'_, Memory> {
    let mut memory = lock(memory);
    memory.begin(now);
    memory
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let (Store::Sqlite(sqlite), true) = (&self.store, self.born == generation()) {
            // Nobody is left to be told; the next owner sweeps what remains.
            let _ = sqlite.close();
        }
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger({})", self.0.name)
    }
}
