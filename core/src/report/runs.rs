//! What did each run cost, and on which model?
//!
//! A run is an attempt at a task in no other, with everything inside it.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{
    attempts::{Attempts, Key, sum},
    attribution::Attribution,
    names::Names,
    standing::Standing,
};
use crate::{
    error::Result,
    ledger::store::Tx,
    value::{Millis, Money},
};

#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// The dictionary id of its kind, see [`Names::kind`].
    pub kind: u32,
    pub standing: Standing,
    pub spent: Money,
    /// The dictionary id of the model it spent the most on; 0 where it asked none.
    pub model: u32,
    /// It spent on other models too.
    pub is_mixed: bool,
    /// From its beginning to its end; nothing where one of them is not known.
    pub runtime_ms: Option<Millis>,
    /// What the ledger has about its calls.
    pub entries: u64,
}

/// What was spent on each model, in the order they were met.
type Models = SmallVec<[(u32, i64); 2]>;

/// The runs that have a call among those that were folded, in the order of their tasks.
pub(super) fn runs(
    tx: &mut dyn Tx,
    names: &mut Names,
    attempts: &Attempts,
    fold: &Attribution,
) -> Result<Vec<Run>> {
    let mut parts: FxHashMap<Key, (Models, u64)> = FxHashMap::default();
    for (place, figures) in &fold.places {
        let (models, entries) = parts.entry(attempts.root((place.task, place.attempt))).or_default();
        *entries += figures.entries;
        let nanos = figures.spent().nanos();
        match models.iter_mut().find(|(model, _)| *model == place.model) {
            Some((_, usd)) => *usd = sum(*usd, nanos)?,
            None => models.push((place.model, nanos)),
        }
    }
    let parts: BTreeMap<Key, _> = parts.into_iter().collect();
    let mut runs = Vec::with_capacity(parts.len());
    for (key, (models, entries)) in parts {
        let spent = models.iter().try_fold(0, |total, (_, usd)| sum(total, *usd))?;
        let asked = || models.iter().filter(|(model, _)| *model != 0);
        // Of several that cost the same, the one that was met first.
        let model = asked().rev().max_by_key(|(_, usd)| *usd).map_or(0, |(model, _)| *model);
        runs.push(Run {
            kind: names.kind(tx, key.0)?,
            standing: attempts.standing(key),
            spent: Money::from_nanos(spent),
            model,
            is_mixed: asked().filter(|(_, usd)| *usd > 0).count() > 1,
            runtime_ms: attempts.runtime_ms(key),
            entries,
        });
        names.forget_many();
    }
    Ok(runs)
}

/// The cost of a run, or what else it used, by nearest rank: of every thousand runs so many used no more.
/// The least comes first in `sorted`.
pub(super) fn quantile<T: Copy + Default>(sorted: &[T], per_mille: usize) -> T {
    let rank = (sorted.len() * per_mille).div_ceil(1_000).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_cost_of_a_run() {
        let runs: Vec<Money> = (1..=10).map(Money::from_nanos).collect();
        assert_eq!([500, 950, 990, 1_000].map(|at| quantile(&runs, at).nanos()), [5, 10, 10, 10]);
        assert_eq!(quantile::<Money>(&[], 500), Money::ZERO);
    }
}
