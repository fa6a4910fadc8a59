//! Which calls does memory know, and which of them are open?

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

use rustc_hash::FxHashMap;

use crate::{
    error::Result,
    ledger::store::{CallRow, State, present},
    value::Id,
};

/// The calls of a ledger. One that can change no more is what its two entries say.
#[derive(Debug, Default)]
pub(super) struct Calls {
    live: HashMap<Id, Live, Near>,
    /// Settled for good: the numbers of the entries that opened and ended each.
    settled: HashMap<Id, (u64, u64), Near>,
    /// The open attempt of each task that has one.
    running: FxHashMap<u32, Running>,
    doubted: BTreeSet<Id>,
}

#[derive(Debug)]
struct Live {
    row: CallRow,
    /// The number of the entry that opened it.
    opened: u64,
}

#[derive(Debug)]
struct Running {
    attempt: u32,
    open: HashSet<Id, Near>,
}

type Near = BuildHasherDefault<ByCount>;

/// Ids of one source count up in their last bytes: by these alone, calls made one after the other
/// lie side by side in a table, and none waits for memory far away.
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

impl Calls {
    /// The open attempt at a task.
    pub fn attempt(&self, task: u32) -> Option<u32> {
        self.running.get(&task).map(|running| running.attempt)
    }

    /// Notes which attempt at a task is open.
    pub fn set_attempt(&mut self, task: u32, attempt: Option<u32>) {
        if self.attempt(task) == attempt {
            return;
        }
        match attempt {
            Some(attempt) => drop(self.running.insert(task, Running { attempt, open: HashSet::default() })),
            None => drop(self.running.remove(&task)),
        }
    }

    /// Keeps a new call, opened by the entry of this number.
    pub fn open(&mut self, row: CallRow, opened: u64) {
        if let Some(running) = self.running.get_mut(&row.task) {
            running.open.insert(row.id);
        }
        self.live.insert(row.id, Live { row, opened });
    }

    /// Keeps how a call ended; `settled` is the number of the entry that settled it for good, if
    /// one did, and `oldest` that of the oldest entry kept.
    pub fn end(&mut self, row: &CallRow, settled: Option<u64>, oldest: u64) -> Result<()> {
        let id = row.id;
        if let Some(running) = self.running.get_mut(&row.task) {
            running.open.remove(&id);
        }
        match row.state {
            State::InDoubt => self.doubted.insert(id),
            _ => self.doubted.remove(&id),
        };
        let live = present(self.live.get_mut(&id), "call", id)?;
        match settled {
            // Where the entry that opened it is gone, its row has to stay.
            Some(ended) if live.opened >= oldest => {
                self.settled.insert(id, (live.opened, ended));
                self.live.remove(&id);
            }
            _ => live.row = row.clone(),
        }
        Ok(())
    }

    /// A call that can still change.
    pub fn live(&self, id: &Id) -> Option<CallRow> {
        self.live.get(id).map(|live| live.row.clone())
    }

    /// The entries of a call settled for good.
    pub fn settled(&self, id: &Id) -> Option<(u64, u64)> {
        self.settled.get(id).copied()
    }

    /// Forgets a call if it has ended.
    pub fn forget_ended(&mut self, id: &Id) {
        let ended = |live: &Live| matches!(live.row.state, State::Settled | State::Voided);
        if self.settled.remove(id).is_none() && self.live.get(id).is_some_and(ended) {
            self.live.remove(id);
        }
    }

    /// Every open call, oldest first.
    pub fn all_open(&self) -> Vec<Id> {
        sorted(self.running.values())
    }

    /// The open calls of an attempt, oldest first.
    pub fn open_of(&self, task: u32, attempt: u32) -> Vec<Id> {
        sorted(self.running.get(&task).filter(|running| running.attempt == attempt).into_iter())
    }

    /// Every call in doubt, oldest first.
    pub fn in_doubt(&self) -> Vec<CallRow> {
        let mut calls: Vec<CallRow> = self.doubted.iter().filter_map(|id| self.live(id)).collect();
        // The id of a call its caller named says nothing of time.
        calls.sort_by_key(|call| (call.at_ms, call.id));
        calls
    }
}

fn sorted<'a>(running: impl Iterator<Item = &'a Running>) -> Vec<Id> {
    let mut ids: Vec<Id> = running.flat_map(|running| &running.open).copied().collect();
    ids.sort_unstable();
    ids
}
