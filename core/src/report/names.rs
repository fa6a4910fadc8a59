//! What is it called? Names of the dictionary and of tasks, looked up once per report.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::{
    error::Result,
    ledger::{
        open::DEPTH_MAX,
        store::{TaskRow, Tx},
    },
    value::Id,
};

/// The word for a value that was forgotten.
const ERASED: &str = "erased";

/// More names and tasks are looked up again where memory is bounded.
const KEPT_MAX: usize = 20_000;

type KeyAndValue = Option<(String, Option<String>)>;

#[derive(Debug, Default)]
pub(super) struct Names {
    words: FxHashMap<u32, KeyAndValue>,
    tasks: FxHashMap<u32, Option<TaskRow>>,
    kinds: FxHashMap<u32, u32>,
    /// For each name of a task without a kind, the kind that it is.
    named: FxHashMap<u32, u32>,
}

impl Names {
    fn name(&mut self, tx: &mut dyn Tx, no: u32) -> Result<&KeyAndValue> {
        match self.words.entry(no) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(tx.name(no)?)),
        }
    }

    fn row(&mut self, tx: &mut dyn Tx, no: u32) -> Result<Option<&TaskRow>> {
        match self.tasks.entry(no) {
            Entry::Occupied(known) => Ok(known.into_mut().as_ref()),
            Entry::Vacant(place) => Ok(place.insert(tx.task(no)?).as_ref()),
        }
    }

    /// Forgets all it knows, once that is much.
    pub fn forget_many(&mut self) {
        if self.words.len() + self.tasks.len() + self.kinds.len() + self.named.len() > KEPT_MAX {
            *self = Self::default();
        }
    }

    /// The text of a dictionary id; nothing for 0.
    pub fn text(&mut self, tx: &mut dyn Tx, no: u32) -> Result<Option<String>> {
        if no == 0 {
            return Ok(None);
        }
        let text = self.name(tx, no)?.as_ref().and_then(|(_, value)| value.clone());
        Ok(Some(text.unwrap_or_else(|| ERASED.to_owned())))
    }

    /// Key and value of a tag; no value where it was erased.
    pub fn pair(&mut self, tx: &mut dyn Tx, no: u32) -> Result<KeyAndValue> {
        self.name(tx, no).cloned()
    }

    /// The id the caller gave a task, else its name; and its id in the ledger.
    pub fn task(&mut self, tx: &mut dyn Tx, no: u32) -> Result<(Option<String>, Option<Id>)> {
        let Some((caller, name, id)) = self.row(tx, no)?.map(|row| (row.caller, row.name, row.id)) else {
            return Ok((None, None));
        };
        Ok((self.text(tx, if caller == 0 { name } else { caller })?, id))
    }

    /// The tags of a task that were not erased, inherited ones too, in the order of their keys.
    pub fn tags(&mut self, tx: &mut dyn Tx, task: u32) -> Result<Vec<(String, String)>> {
        let tags = self.row(tx, task)?.map(|row| row.tags.clone()).unwrap_or_default();
        let pairs = tags.into_iter().map(|no| self.pair(tx, no));
        let pairs = pairs.collect::<Result<Vec<_>>>()?.into_iter().flatten();
        let mut known: Vec<_> = pairs.filter_map(|(key, value)| Some((key, value?))).collect();
        known.sort();
        Ok(known)
    }

    /// The dictionary id of a task's name; 0 where the task is kept no longer.
    pub fn name_of_task(&mut self, tx: &mut dyn Tx, task: u32) -> Result<u32> {
        Ok(self.row(tx, task)?.map_or(0, |row| row.name))
    }

    /// The task that one lies in; 0 for none.
    pub fn parent(&mut self, tx: &mut dyn Tx, task: u32) -> Result<u32> {
        Ok(self.row(tx, task)?.map_or(0, |row| row.parent))
    }

    /// The dictionary id of the kind of a task: the tag `kind` of the outermost task it lies in, else that
    /// one's name. A name that is the kind of other tasks has the id it has there.
    pub fn kind(&mut self, tx: &mut dyn Tx, task: u32) -> Result<u32> {
        let mut outermost = task;
        for _ in 0..=DEPTH_MAX {
            match self.parent(tx, outermost)? {
                0 => break,
                above => outermost = above,
            }
        }
        if let Some(known) = self.kinds.get(&outermost) {
            return Ok(*known);
        }
        let mut kind = self.tag(tx, outermost, "kind")?;
        if kind == 0 {
            let name = self.name_of_task(tx, outermost)?;
            kind = self.kind_named(tx, name)?;
        }
        self.kinds.insert(outermost, kind);
        Ok(kind)
    }

    fn kind_named(&mut self, tx: &mut dyn Tx, name: u32) -> Result<u32> {
        if let Some(known) = self.named.get(&name) {
            return Ok(*known);
        }
        let same = match self.name(tx, name)? {
            Some((_, Some(text))) => tx.find_name("kind", text)?,
            _ => None,
        };
        Ok(*self.named.entry(name).or_insert(same.unwrap_or(name)))
    }

    /// The dictionary id of a task's value of this tag; 0 where it has none.
    pub fn tag(&mut self, tx: &mut dyn Tx, task: u32, key: &str) -> Result<u32> {
        let tags = self.row(tx, task)?.map(|row| row.tags.clone()).unwrap_or_default();
        for no in tags {
            if self.name(tx, no)?.as_ref().is_some_and(|(own, _)| own == key) {
                return Ok(no);
            }
        }
        Ok(0)
    }
}
