//! Which calls does memory know, and which of them are open?

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasherDefault, Hasher},
};

use rustc_hash::FxHashMap;

use crate::{
    error::Result,
    ledger::store::{CallRow, State, present},
    value::Id,
};

/// The calls of a ledger that are open or were, unless all of a call is what its two entries say.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// For each open call, where its row stands.
    open: HashMap<Id, u32, Near>,
    rows: Vec<Option<Live>>,
    free: Vec<u32>,
    /// Ended, and may change, or is asked for by its name, or has lost the entry that opened it.
    ended: HashMap<Id, Live, Near>,
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
    open: usize,
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
            Some(attempt) => drop(self.running.insert(task, Running { attempt, open: 0 })),
            None => drop(self.running.remove(&task)),
        }
    }

    /// Keeps a new call, opened by the entry of this number.
    #[inline]
    pub fn open(&mut self, row: CallRow, opened: u64) {
        if let Some(running) = self.running.get_mut(&row.task) {
            running.open += 1;
        }
        let place = self.free.pop().unwrap_or(self.rows.len() as u32);
        self.open.insert(row.id, place);
        match self.rows.get_mut(place as usize) {
            Some(free) => *free = Some(Live { row, opened }),
            None => self.rows.push(Some(Live { row, opened })),
        }
    }

    /// Keeps how a call ended, unless its entries from number `told_from` on tell all of it.
    #[inline]
    pub fn end(&mut self, row: &CallRow, told_from: Option<u64>) -> Result<()> {
        let id = row.id;
        let opened = match self.open.remove(&id) {
            Some(place) => {
                let running = self.running.get_mut(&row.task);
                if let Some(running) = running.filter(|running| running.attempt == row.attempt) {
                    running.open -= 1;
                }
                self.free.push(place);
                let live = present(self.rows.get_mut(place as usize), "call", id)?;
                let opened = present(live.as_ref(), "call", id)?.opened;
                *live = None;
                opened
            }
            None => {
                self.doubted.remove(&id);
                present(self.ended.remove(&id), "call", id)?.opened
            }
        };
        if row.state == State::InDoubt {
            self.doubted.insert(id);
        }
        if told_from.is_none_or(|oldest| opened < oldest) {
            self.ended.insert(id, Live { row: row.clone(), opened });
        }
        Ok(())
    }

    /// A call that is kept here.
    #[inline]
    pub fn known(&self, id: &Id) -> Option<CallRow> {
        let live = match self.open.get(id) {
            Some(place) => self.rows.get(*place as usize)?.as_ref(),
            None => self.ended.get(id),
        };
        live.map(|live| live.row.clone())
    }

    /// Forgets a call if it has ended.
    pub fn forget_ended(&mut self, id: &Id) {
        let in_doubt = |live: &Live| live.row.state == State::InDoubt;
        if self.ended.get(id).is_some_and(|live| !in_doubt(live)) {
            self.ended.remove(id);
        }
    }

    /// Every open call, oldest first.
    pub fn all_open(&self) -> Vec<Id> {
        sorted(self.open.keys().copied())
    }

    /// The open calls of an attempt, oldest first.
    pub fn open_of(&self, task: u32, attempt: u32) -> Vec<Id> {
        let running = self.running.get(&task).filter(|running| running.attempt == attempt);
        let left = running.map_or(0, |running| running.open);
        let rows = self.rows.iter().flatten().map(|live| &live.row);
        let of_task = rows.filter(|row| (row.task, row.attempt) == (task, attempt));
        sorted(of_task.map(|row| row.id).take(left))
    }

    /// Every call in doubt, oldest first.
    pub fn in_doubt(&self) -> Vec<CallRow> {
        let mut calls: Vec<CallRow> = self.doubted.iter().filter_map(|id| self.known(id)).collect();
        // The id of a call its caller named says nothing of time.
        calls.sort_by_key(|call| (call.at_ms, call.id));
        calls
    }
}

fn sorted(ids: impl Iterator<Item = Id>) -> Vec<Id> {
    let mut ids: Vec<Id> = ids.collect();
    ids.sort_unstable();
    ids
}
