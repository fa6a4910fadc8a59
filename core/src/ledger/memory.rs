//! The ledger in memory: for tests, notebooks and short runs. It has no chain and ends with the
//! process; it keeps the last hundred thousand entries, and the balances of all.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    hash::{BuildHasherDefault, Hasher},
};

use rustc_hash::FxHashMap;

use super::{
    chain::Proof,
    entry::Entry,
    store::{Account, Budget, Cache, CallRow, Filter, OwnerRow, State, TaskRow, Tx, Which, present},
};
use crate::{
    error::{Error, Result},
    policy::Balance,
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
    entries: VecDeque<Entry>,
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
    calls: HashMap<Id, CallRow, Near>,
    /// The open attempt of each task that has one.
    running: FxHashMap<u32, Running>,
    doubted: BTreeSet<Id>,
}

#[derive(Debug)]
struct Running {
    attempt: u32,
    open_calls: HashSet<Id, Near>,
}

type Near = BuildHasherDefault<ByCount>;

/// Ids of one source count up in their last bytes: by these alone, calls made one after the other
/// lie side by side in a table, and a call does not wait for memory far away.
#[derive(Debug, Default)]
struct ByCount(u64);

impl Hasher for ByCount {
    fn write(&mut self, bytes: &[u8]) {
        let last = bytes.last_chunk().copied().map_or(0, u64::from_be_bytes);
        // The upper seven bits tell neighbours apart without comparing them.
        self.0 = last ^ (last << 57);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Memory {
    pub fn new() -> Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|e| Error::store(format!("no random bits: {e}")))?;
        Ok(Self {
            key,
            now: 0,
            cache: Cache::default(),
            entries: VecDeque::new(),
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
            calls: HashMap::default(),
            running: FxHashMap::default(),
            doubted: BTreeSet::new(),
        })
    }

    pub fn key(&self) -> [u8; 32] {
        self.key
    }

    /// Begins an act at `now`, or at the time of the act before it if that was later.
    pub fn begin(&mut self, now: Millis) {
        self.now = self.now.max(now);
    }

    /// Drops the oldest entry; the balances keep what it said. A call goes with its last entry.
    fn fold_oldest(&mut self) {
        self.dropped += 1;
        let Some(call) = self.entries.pop_front().and_then(|entry| entry.call) else { return };
        let ended = |row: &CallRow| matches!(row.state, State::Settled | State::Voided);
        if self.calls.get(&call).is_some_and(ended) {
            self.calls.remove(&call);
        }
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

    fn append(&mut self, entry: Entry) -> Result<()> {
        if self.entries.len() >= ENTRIES_MAX {
            self.fold_oldest();
        }
        self.entries.push_back(entry);
        if let Some(kept) = self.entries.back_mut() {
            kept.owner = 1;
        }
        Ok(())
    }

    fn entries(&mut self, filter: Filter, visit: &mut dyn FnMut(Entry) -> bool) -> Result<()> {
        for entry in &self.entries {
            let wanted = filter.task.is_none_or(|task| entry.task == task)
                && filter.since.is_none_or(|since| entry.at_ms >= since);
            if wanted && !visit(entry.clone()) {
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

    fn attempt(&mut self, no: u32) -> Result<Option<(u32, u32)>> {
        Ok(match self.running.get(&no) {
            Some(running) => Some((running.attempt, self.owner())),
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
        let (no, attempt) = (row.no, row.attempts);
        if row.owner == 0 {
            self.running.remove(&no);
        } else if self.running.get(&no).is_none_or(|running| running.attempt != attempt) {
            self.running.insert(no, Running { attempt, open_calls: HashSet::default() });
        }
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
        let before = self.accounts.len();
        let Self { of_budget, accounts, balances, .. } = self;
        let is_live = |no: &u32| {
            let slots = balances.get(no);
            slots.is_some_and(|slots| slots.iter().any(|(start, _)| *start >= oldest))
        };
        of_budget.retain(|(no, value), numbers| {
            let keep = *no != budget || *value == 0 || numbers.iter().any(is_live);
            if !keep {
                numbers.iter().for_each(|no| drop(accounts.remove(no)));
            }
            keep
        });
        Ok(before - self.accounts.len())
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

    fn slot(&mut self, account: u32, slot: Millis) -> Result<Balance> {
        let slots = self.balances.get(&account);
        let found = slots.and_then(|slots| slots.iter().rev().find(|(start, _)| *start == slot));
        Ok(found.map(|(_, balance)| *balance).unwrap_or_default())
    }

    fn put_slot(&mut self, account: u32, slot: Millis, balance: &Balance) -> Result<()> {
        let slots = self.balances.entry(account).or_default();
        if let Some((_, found)) = slots.iter_mut().rev().find(|(start, _)| *start == slot) {
            *found = *balance;
            return Ok(());
        }
        slots.push((slot, *balance));
        // More slots than a rolling window has buckets can only be past ones.
        if slots.len() > 128 {
            slots.sort_unstable_by_key(|(start, _)| *start);
            slots.drain(..64);
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

    fn call(&mut self, id: &Id) -> Result<Option<CallRow>> {
        Ok(self.calls.get(id).cloned())
    }

    fn open_call(&mut self, row: CallRow) -> Result<()> {
        if let Some(running) = self.running.get_mut(&row.task) {
            running.open_calls.insert(row.id);
        }
        self.calls.insert(row.id, row);
        Ok(())
    }

    fn end_call(&mut self, ended: &CallRow) -> Result<()> {
        let id = ended.id;
        if let Some(running) = self.running.get_mut(&ended.task) {
            running.open_calls.remove(&id);
        }
        match ended.state {
            State::InDoubt => self.doubted.insert(id),
            _ => self.doubted.remove(&id),
        };
        let row = present(self.calls.get_mut(&id), "call", id)?;
        (row.state, row.used, row.correctable) = (ended.state, ended.used, ended.correctable);
        Ok(())
    }

    fn open_calls(&mut self, _owner: u32, most: usize) -> Result<Vec<Id>> {
        let mut open = sorted(self.running.values().flat_map(|running| &running.open_calls));
        open.truncate(most);
        Ok(open)
    }

    fn open_calls_of(&mut self, task: u32, attempt: u32, _owner: u32) -> Result<Vec<Id>> {
        let running = self.running.get(&task).filter(|running| running.attempt == attempt);
        Ok(sorted(running.iter().flat_map(|running| &running.open_calls)))
    }

    fn calls_in_doubt(&mut self, most: usize) -> Result<Vec<CallRow>> {
        let mut calls: Vec<CallRow> =
            self.doubted.iter().filter_map(|id| self.calls.get(id).cloned()).collect();
        // The id of a call its caller named says nothing of time.
        calls.sort_by_key(|call| (call.at_ms, call.id));
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

fn sorted<'a>(ids: impl Iterator<Item = &'a Id>) -> Vec<Id> {
    let mut ids: Vec<Id> = ids.copied().collect();
    ids.sort_unstable();
    ids
}

impl Memory {
    fn listed(&self, numbers: Option<&Vec<u32>>) -> Vec<Account> {
        let numbers = numbers.map(Vec::as_slice).unwrap_or_default();
        numbers.iter().filter_map(|no| self.accounts.get(no).cloned()).collect()
    }
}
