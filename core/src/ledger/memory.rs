//! The ledger in memory: for tests, notebooks and short runs. It has no chain and ends with the
//! process; it keeps the last hundred thousand entries, and the balances of all.

mod accounts;
mod alerts;
mod calls;
mod log;
mod orders;

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use accounts::SLOTS_MAX;
use alerts::Kept;
use calls::Calls;
use log::Log;

use super::{
    approval::AskRow,
    chain::Proof,
    entry::{Entry, Kind},
    halt::HaltRow,
    store::{Account, Budget, Cache, CallRow, Filter, OwnerRow, State, TaskRow, Tx, Which},
};
use crate::{
    error::{Error, Result},
    policy::{Balance, Window},
    value::{Id, Millis},
};

const ENTRIES_MAX: usize = 100_000;
const TASKS_MAX: usize = 100_000;
const NAMES_MAX: usize = 1_000_000;

/// The rows. One lock round it is the transaction.
#[derive(Debug)]
pub(crate) struct Memory {
    now: Millis,
    key: [u8; 32],
    cache: Cache,
    entries: Log,
    dropped: u64,
    /// Was a slot or a task dropped?
    folded: bool,
    names: Vec<(String, Option<String>)>,
    name_numbers: FxHashMap<(String, String), u32>,
    tasks: BTreeMap<u32, TaskRow>,
    task_numbers: FxHashMap<Id, u32>,
    callers: FxHashMap<u32, u32>,
    /// How many tasks lie directly under each.
    below: FxHashMap<u32, u32>,
    last_task: u32,
    budgets: Vec<Budget>,
    accounts: BTreeMap<u32, Account>,
    of_task: FxHashMap<u32, Vec<u32>>,
    of_budget: FxHashMap<(u32, u32), Vec<u32>>,
    last_account: u32,
    balances: FxHashMap<u32, Vec<(Millis, Balance)>>,
    calls: Calls,
    halts: Vec<HaltRow>,
    asks: Vec<AskRow>,
    alerts: Kept,
}

impl Memory {
    pub fn new() -> Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|e| Error::store(format!("no random bits: {e}")))?;
        Ok(Self {
            key,
            now: 0,
            cache: Cache::default(),
            entries: Log::default(),
            dropped: 0,
            folded: false,
            names: Vec::new(),
            name_numbers: FxHashMap::default(),
            tasks: BTreeMap::new(),
            task_numbers: FxHashMap::default(),
            callers: FxHashMap::default(),
            below: FxHashMap::default(),
            last_task: 0,
            budgets: Vec::new(),
            accounts: BTreeMap::new(),
            of_task: FxHashMap::default(),
            of_budget: FxHashMap::default(),
            last_account: 0,
            balances: FxHashMap::default(),
            calls: Calls::default(),
            halts: Vec::new(),
            asks: Vec::new(),
            alerts: Kept::default(),
        })
    }

    pub fn key(&self) -> [u8; 32] {
        self.key
    }

    /// Begins an act at `now`, or at the time of the act before it if that was later.
    pub fn begin(&mut self, now: Millis) {
        self.now = self.now.max(now);
    }

    /// Keeps an entry and returns its number. The oldest makes room for it; the balances keep what
    /// that said, and a call that has ended goes with it.
    fn keep(&mut self, entry: &mut Entry) -> u64 {
        if self.entries.len() >= ENTRIES_MAX {
            self.dropped += 1;
            if let Some(call) = self.entries.drop_oldest() {
                self.calls.forget_ended(&call);
            }
        }
        entry.owner = 1;
        self.entries.push(entry)
    }

    /// The row of a call settled for good, as its entries tell it. Few ask for one, and most of them
    /// soon after its end.
    fn settled_row(&self, id: &Id) -> Option<CallRow> {
        let (mut opened, mut ended) = (None, None);
        for entry in self.entries.of_call(id) {
            match entry.kind {
                Kind::Reserved => opened = Some(entry),
                Kind::Settled => ended = Some(entry),
                _ => {}
            }
            if opened.is_some() && ended.is_some() {
                break;
            }
        }
        let (opened, ended) = (opened?, ended?);
        Some(CallRow {
            id: *id,
            task: opened.task,
            attempt: opened.attempt,
            owner: opened.owner,
            state: State::Settled,
            correctable: false,
            at_ms: opened.at_ms,
            held: opened.amounts(),
            used: ended.amounts(),
            max_output_tokens: opened.max_output_tokens,
            request_hash: opened.request_hash,
            under: opened.under?,
        })
    }

    /// Makes room for a task under `parent`: the oldest goes that has ended and has none below it.
    fn drop_oldest_task(&mut self, parent: u32) -> Result<()> {
        let gone = |row: &&TaskRow| row.owner == 0 && row.no != parent && !self.below.contains_key(&row.no);
        let Some(row) = self.tasks.values().find(gone).cloned() else {
            return Err(Error::store("the ledger in memory is full of open tasks; use a file"));
        };
        self.folded = true;
        self.tasks.remove(&row.no);
        self.callers.remove(&row.caller);
        if let Some(id) = row.id {
            self.task_numbers.remove(&id);
        }
        if let Some(count) = self.below.get_mut(&row.parent) {
            *count -= 1;
            if *count == 0 {
                self.below.remove(&row.parent);
            }
        }
        for account in self.of_task.remove(&row.no).unwrap_or_default() {
            self.accounts.remove(&account);
            self.balances.remove(&account);
        }
        Ok(())
    }
}

impl Tx for Memory {
    fn now(&mut self) -> Result<Millis> {
        Ok(self.now)
    }

    fn owner(&self) -> u32 {
        1
    }

    fn cache(&mut self) -> &mut Cache {
        let version = self.cache.version;
        self.cache.refresh(version);
        &mut self.cache
    }

    fn bump(&mut self) -> Result<()> {
        self.cache.refresh(self.cache.version + 1);
        Ok(())
    }

    fn append(&mut self, entry: &mut Entry) -> Result<()> {
        self.keep(entry);
        Ok(())
    }

    fn entries(&mut self, filter: Filter, visit: &mut dyn FnMut(Entry) -> bool) -> Result<()> {
        let newest = filter.newest.map_or(usize::MAX, |newest| newest as usize);
        let from = filter.from.unwrap_or(0).saturating_sub(self.dropped + 1) as usize;
        for entry in self.entries.iter().skip(self.entries.len().saturating_sub(newest).max(from)) {
            let wanted = filter.task.is_none_or(|task| entry.task == task)
                && filter.since.is_none_or(|since| entry.at_ms >= since);
            if wanted && !visit(entry) {
                break;
            }
        }
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.dropped == 0 && !self.folded
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }

    fn intern(&mut self, key: &str, value: &str) -> Result<(u32, Option<Proof>)> {
        if let Some(no) = self.find_name(key, value)? {
            return Ok((no, None));
        }
        if self.names.len() >= NAMES_MAX {
            return Err(Error::store("the ledger in memory is full of names; use a file"));
        }
        self.names.push((key.to_owned(), Some(value.to_owned())));
        let no = self.names.len() as u32;
        self.name_numbers.insert((key.to_owned(), value.to_owned()), no);
        Ok((no, None))
    }

    fn find_name(&mut self, key: &str, value: &str) -> Result<Option<u32>> {
        Ok(self.name_numbers.get(&(key.to_owned(), value.to_owned())).copied())
    }

    fn name(&mut self, no: u32) -> Result<Option<(String, Option<String>)>> {
        Ok(self.names.get((no as usize).wrapping_sub(1)).cloned())
    }

    fn names_of(&mut self, key: &str, visit: &mut dyn FnMut(u32, &str)) -> Result<()> {
        for (no, (own, value)) in (1..).zip(&self.names) {
            if let (true, Some(value)) = (own == key, value) {
                visit(no, value);
            }
        }
        Ok(())
    }

    fn erase_name(&mut self, no: u32) -> Result<()> {
        if let Some((key, value)) = self.names.get_mut((no as usize).wrapping_sub(1))
            && let Some(value) = value.take()
        {
            self.name_numbers.remove(&(key.clone(), value));
        }
        Ok(())
    }

    fn task(&mut self, no: u32) -> Result<Option<TaskRow>> {
        Ok(self.tasks.get(&no).cloned())
    }

    #[inline]
    fn attempt(&mut self, no: u32) -> Result<Option<(u32, u32)>> {
        Ok(match self.calls.attempt(no) {
            Some(attempt) => Some((attempt, self.owner())),
            None => self.tasks.get(&no).map(|row| (row.attempts, row.owner)),
        })
    }

    fn task_by_id(&mut self, id: &Id) -> Result<Option<u32>> {
        Ok(self.task_numbers.get(id).copied())
    }

    fn task_by_caller(&mut self, caller: u32) -> Result<Option<u32>> {
        Ok(self.callers.get(&caller).copied())
    }

    fn put_task(&mut self, row: &TaskRow) -> Result<u32> {
        let mut row = row.clone();
        if row.no == 0 {
            if self.tasks.len() >= TASKS_MAX {
                self.drop_oldest_task(row.parent)?;
            }
            self.last_task += 1;
            row.no = self.last_task;
            if let Some(id) = row.id {
                self.task_numbers.insert(id, row.no);
            }
            if row.caller != 0 {
                self.callers.insert(row.caller, row.no);
            }
            if row.parent != 0 {
                *self.below.entry(row.parent).or_default() += 1;
            }
        }
        let no = row.no;
        self.calls.set_attempt(no, (row.owner != 0).then_some(row.attempts));
        self.tasks.insert(no, row);
        Ok(no)
    }

    fn tasks(&mut self, which: Which, most: usize) -> Result<Vec<TaskRow>> {
        let wanted = |row: &&TaskRow| match which {
            Which::All => true,
            Which::Named(name) => row.name == name,
            Which::Under(parent) => row.parent == parent,
            Which::Between(from, to) => row.id.is_some_and(|id| from <= id && id <= to),
        };
        Ok(self.tasks.values().rev().filter(wanted).take(most).cloned().collect())
    }

    fn tasks_of(&mut self, owner: u32) -> Result<Vec<TaskRow>> {
        Ok(self.tasks.values().filter(|row| row.owner == owner).cloned().collect())
    }

    fn budgets(&mut self) -> Result<Vec<Budget>> {
        Ok(self.budgets.clone())
    }

    fn put_budget(&mut self, budget: &Budget) -> Result<u32> {
        let no = self.budgets.len() as u32 + 1;
        self.budgets.push(Budget { no, ..budget.clone() });
        Ok(no)
    }

    fn accounts_of_task(&mut self, task: u32) -> Result<Vec<Account>> {
        Ok(self.listed(self.of_task.get(&task)))
    }

    fn accounts_of_budget(&mut self, budget: u32, value: u32) -> Result<Vec<Account>> {
        Ok(self.listed(self.of_budget.get(&(budget, value))))
    }

    fn all_accounts_of_budget(&mut self, budget: u32) -> Result<Vec<Account>> {
        Ok(self.accounts.values().filter(|account| account.budget == budget).cloned().collect())
    }

    fn values(&mut self, budget: u32) -> Result<usize> {
        Ok(self.of_budget.keys().filter(|(no, value)| *no == budget && *value != 0).count())
    }

    fn drop_values(&mut self, budget: u32, oldest: Millis) -> Result<usize> {
        Ok(self.drop_unused(budget, oldest))
    }

    fn put_account(&mut self, account: &Account) -> Result<u32> {
        let mut account = account.clone();
        if account.no == 0 {
            self.last_account += 1;
            account.no = self.last_account;
            if account.budget != 0 {
                self.of_budget.entry((account.budget, account.value)).or_default().push(account.no);
            } else {
                self.of_task.entry(account.task).or_default().push(account.no);
            }
        }
        self.alerts.has_thresholds |= !account.alerts.is_empty();
        let no = account.no;
        self.accounts.insert(no, account);
        Ok(no)
    }

    fn balance(&mut self, account: u32, oldest: Millis) -> Result<Balance> {
        let slots = self.balances.get(&account).map(Vec::as_slice).unwrap_or_default();
        let mut counting = slots.iter().filter(|(start, _)| *start >= oldest).map(|(_, balance)| balance);
        let mut sum = counting.next().copied().unwrap_or_default();
        for balance in counting {
            sum = sum.checked_add(balance).ok_or_else(|| Error::corrupt("a balance does not fit"))?;
        }
        Ok(sum)
    }

    #[inline]
    fn slot(&mut self, account: u32, slot: Millis) -> Result<Balance> {
        let slots = self.balances.get(&account);
        let found = slots.and_then(|slots| slots.iter().rev().find(|(start, _)| *start == slot));
        Ok(found.map(|(_, balance)| *balance).unwrap_or_default())
    }

    fn last_slot(&mut self, account: u32) -> Result<Millis> {
        let slots = self.balances.get(&account).into_iter().flatten();
        Ok(slots.map(|(start, _)| *start).max().unwrap_or(0))
    }

    fn put_slot(&mut self, account: u32, slot: Millis, balance: &Balance) -> Result<()> {
        let Self { balances, accounts, .. } = self;
        let slots = balances.entry(account).or_default();
        let is_turn = || accounts.get(&account).is_some_and(|account| account.window == Window::Turn);
        if let Some(place) = slots.iter().rposition(|(start, _)| *start == slot) {
            slots[place].1 = *balance;
            // Turns have no time: the one last heard of is the last.
            if place + 1 < slots.len() && is_turn() {
                slots[place..].rotate_left(1);
            }
            return Ok(());
        }
        slots.push((slot, *balance));
        if slots.len() > SLOTS_MAX {
            if is_turn() {
                accounts::drop_turns(slots);
            } else {
                // More slots than a rolling window has buckets can only be past ones.
                slots.sort_unstable_by_key(|(start, _)| *start);
                slots.drain(..SLOTS_MAX / 2);
            }
            self.folded = true;
        }
        Ok(())
    }

    fn balances(&mut self, visit: &mut dyn FnMut(u32, Millis, Balance)) -> Result<()> {
        for (account, slots) in &self.balances {
            slots.iter().for_each(|(start, balance)| visit(*account, *start, *balance));
        }
        Ok(())
    }

    #[inline]
    fn call(&mut self, id: &Id) -> Result<Option<CallRow>> {
        let row = self.calls.known(id);
        Ok(if row.is_some() || id.is_named() { row } else { self.settled_row(id) })
    }

    #[inline]
    fn open_call(&mut self, row: CallRow, entry: &mut Entry) -> Result<()> {
        let opened = self.keep(entry);
        self.calls.open(row, opened);
        Ok(())
    }

    #[inline]
    fn end_call(&mut self, row: &CallRow, entry: &mut Entry) -> Result<()> {
        self.keep(entry);
        let told = entry.kind == Kind::Settled && !row.correctable && !row.id.is_named();
        self.calls.end(row, told.then(|| self.entries.first()))
    }

    fn open_calls(&mut self, _owner: u32, most: usize) -> Result<Vec<Id>> {
        let mut open = self.calls.all_open();
        open.truncate(most);
        Ok(open)
    }

    fn open_calls_of(&mut self, task: u32, attempt: u32, _owner: u32) -> Result<Vec<Id>> {
        Ok(self.calls.open_of(task, attempt))
    }

    fn calls_in_doubt(&mut self, most: usize) -> Result<Vec<CallRow>> {
        let mut calls = self.calls.in_doubt();
        calls.truncate(most);
        Ok(calls)
    }

    fn owners(&mut self) -> Result<Vec<OwnerRow>> {
        Ok(Vec::new())
    }

    fn end_owner(&mut self, _no: u32) -> Result<()> {
        Ok(())
    }
}
