//! How did each attempt end, and what was it part of?

use rustc_hash::FxHashMap;

use super::{names::Names, standing::Standing};
use crate::{
    error::{Error, Result},
    ledger::{Kind, open, store::Tx},
    value::Millis,
};

/// A task, and the number of the attempt at it.
pub(super) type Key = (u32, u32);

/// Tasks that lie in each other, the outermost too.
const DEPTH_MAX: usize = open::DEPTH_MAX as usize + 1;

/// What the entries say of one attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// The attempt at the task above that it is part of; zeros for none.
    pub above: Key,
    pub standing: Standing,
    /// What it was worth, in billionths of the caller's unit.
    pub value: i64,
    /// When it began; nothing where that is kept no longer.
    began: Option<Millis>,
    /// How long it took; nothing where it is open.
    runtime_ms: Option<Millis>,
}

/// Every attempt of a ledger.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    told: FxHashMap<Key, Told>,
    /// For each task that succeeded, the number of the last attempt that did.
    succeeded: FxHashMap<u32, u32>,
}

impl Attempts {
    pub fn read(tx: &mut dyn Tx, names: &mut Names) -> Result<Self> {
        let (mut told, mut ends) = (FxHashMap::default(), Vec::new());
        tx.attempts(&mut |entry| {
            let key = (entry.task, entry.attempt);
            if entry.kind == Kind::AttemptStarted {
                let (above, standing) = ((0, entry.subject), Standing::Running);
                let began = Some(entry.at_ms);
                told.insert(key, Told { above, standing, value: 0, began, runtime_ms: None });
            } else {
                ends.push((key, entry.note, entry.tools_used, entry.at_ms));
            }
        })?;
        for ((task, _), told) in told.iter_mut().filter(|(_, told)| told.above.1 != 0) {
            told.above.0 = names.parent(tx, *task)?;
        }
        let mut succeeded: FxHashMap<u32, u32> = FxHashMap::default();
        for (key, outcome, value, at) in ends {
            let word = names.text(tx, outcome)?;
            let standing = Standing::of(Some(word.as_deref().unwrap_or_default()));
            let unknown = Told { above: (0, 0), standing, value, began: None, runtime_ms: None };
            let told = told.entry(key).or_insert(unknown);
            (told.standing, told.value) = (standing, value);
            told.runtime_ms = told.began.map(|began| at.saturating_sub(began));
            if standing == Standing::Succeeded {
                let last = succeeded.entry(key.0).or_default();
                *last = key.1.max(*last);
            }
        }
        Ok(Self { told, succeeded })
    }

    /// The attempts that said what they were worth, and how much.
    pub fn values(&self) -> impl Iterator<Item = (Key, i64)> {
        self.told.iter().filter(|(_, told)| told.value != 0).map(|(key, told)| (*key, told.value))
    }

    /// This attempt and those it is part of, outwards.
    pub fn chain(&self, key: Key) -> impl Iterator<Item = Key> {
        let above = |key: &Key| self.told.get(key).map(|told| told.above).filter(|above| above.1 != 0);
        std::iter::successors(Some(key), above).take(DEPTH_MAX)
    }

    /// The attempt at a task in no other that this one is part of.
    pub fn root(&self, key: Key) -> Key {
        self.chain(key).last().unwrap_or(key)
    }

    /// How it ended; unknown where its entries are kept no longer.
    pub fn standing(&self, key: Key) -> Standing {
        self.told.get(&key).map_or(Standing::Unknown, |told| told.standing)
    }

    /// How long it took from its beginning to its end; nothing where one of them is not known.
    pub fn runtime_ms(&self, key: Key) -> Option<Millis> {
        self.told.get(&key)?.runtime_ms
    }

    /// The innermost attempt that bought nothing, from this one up, and how it ended.
    pub fn lost(&self, key: Key) -> Option<(Key, Standing)> {
        let chain = std::iter::successors(Some(key), |key| self.told.get(key).map(|told| told.above));
        let told = chain.take(DEPTH_MAX).filter_map(|key| Some((key, self.told.get(&key)?.standing)));
        told.into_iter().find(|(_, standing)| standing.bought_nothing())
    }

    /// Did a later attempt at the task succeed?
    pub fn was_redeemed(&self, (task, attempt): Key) -> bool {
        self.succeeded.get(&task).is_some_and(|last| *last > attempt)
    }
}

/// The amounts of a ledger are 64 bits wide, and so are sums of them.
pub(super) fn sum(total: i64, part: i64) -> Result<i64> {
    let wrong = || Error::corrupt("the amounts of this ledger do not add up to 64 bits");
    total.checked_add(part).ok_or_else(wrong)
}
