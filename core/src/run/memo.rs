//! What did this text count last time?
//!
//! An agent resends its growing conversation on every call; only what is new in it is counted. What
//! is kept are 64-bit keyed hashes and counts, at most [`TEXTS_MAX`] of them, never text. The key is
//! the process's own and random, so that nobody can make up two texts that are taken for one.

use std::hash::{BuildHasher as _, RandomState};

use rustc_hash::FxHashMap;

use crate::{
    meter::tokens::{Count, Encoding, count},
    sync::{Mutex, lock},
};

/// Texts remembered: 1.5 MB at most.
pub(crate) const TEXTS_MAX: usize = 1 << 15;
/// A shorter text is counted as fast as it is looked up.
const TEXT_MIN_BYTES: usize = 128;

/// Counts of texts met lately.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    key: RandomState,
    counts: Mutex<Generations>,
}

/// The texts met since the last change of generations, and in the one before: what is met at least
/// once in a generation stays.
#[derive(Debug, Default)]
struct Generations {
    new: FxHashMap<u64, Count>,
    old: FxHashMap<u64, Count>,
}

impl Memo {
    /// Counts a text, or remembers its count.
    pub fn count(&self, encoding: Encoding, text: &str) -> Count {
        if text.len() < TEXT_MIN_BYTES {
            return count(encoding, text);
        }
        let hash = self.key.hash_one((encoding, text));
        if let Some(known) = lock(&self.counts).get(hash) {
            return known;
        }
        let counted = count(encoding, text);
        lock(&self.counts).keep(hash, counted);
        counted
    }
}

impl Generations {
    fn get(&mut self, hash: u64) -> Option<Count> {
        if let Some(known) = self.new.get(&hash) {
            return Some(*known);
        }
        let known = self.old.remove(&hash)?;
        self.keep(hash, known);
        Some(known)
    }

    fn keep(&mut self, hash: u64, count: Count) {
        if self.new.len() >= TEXTS_MAX / 2 {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(hash, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_remembered_for_its_own_encoding_and_only_so_many() {
        let memo = Memo::default();
        let text = |n: usize| format!("{n} {}", "hello, World ".repeat(20));
        for encoding in [Encoding::O200k, Encoding::Claude3, Encoding::Claude48] {
            assert_eq!(memo.count(encoding, &text(0)), count(encoding, &text(0)));
            assert_eq!(memo.count(encoding, &text(0)), count(encoding, &text(0)));
        }
        assert_eq!(lock(&memo.counts).new.len(), 3);
        assert_eq!(memo.count(Encoding::O200k, "short").tokens, 1);
        assert_eq!(lock(&memo.counts).new.len(), 3);
    }

    #[test]
    fn what_is_met_again_and_again_outlives_the_rest() {
        let mut kept = Generations::default();
        let counted = |tokens| Count { tokens, exact: true };
        kept.keep(7, counted(7));
        for hash in 100..100 + 5 * TEXTS_MAX as u64 {
            kept.keep(hash, counted(hash));
            assert!(kept.new.len() + kept.old.len() <= TEXTS_MAX);
            if hash % 1_000 == 0 {
                assert_eq!(kept.get(7), Some(counted(7)));
            }
        }
        assert_eq!(kept.get(100), None);
    }
}
