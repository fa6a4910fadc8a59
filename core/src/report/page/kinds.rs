//! What does a run of each kind cost, and how far do runs differ?
//!
//! A run is an attempt at a task in no other, with everything inside it; its kind is that of
//! [`By::Kind`](super::super::By). Quantiles are costs of runs, by nearest rank: no figure that no run had.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    super::{
        attempts::Attempts,
        attribution::Attribution,
        names::Names,
        runs::{quantile, runs},
    },
    added,
};
use crate::{error::Result, ledger::store::Tx, value::Money};

/// The most kinds with a row of their own.
const KINDS_MAX: usize = 8;

/// What runs of one kind cost.
#[derive(Debug)]
pub(super) struct Kind {
    pub label: String,
    /// The cheapest first.
    runs: Vec<Money>,
    pub spent: Money,
    /// How many runs are in each bin.
    pub bins: Vec<u64>,
}

impl Kind {
    fn new(label: String, runs: Vec<Money>) -> Self {
        let spent = runs.iter().copied().fold(Money::ZERO, added);
        Self { label, runs, spent, bins: Vec::new() }
    }

    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// What so many runs of a thousand cost at the most.
    pub fn quantile(&self, per_mille: usize) -> Money {
        quantile(&self.runs, per_mille)
    }
}

/// The kinds of runs.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    /// Where a bin ends and the next begins: a run is in the first that ends above its cost.
    pub edges: Vec<Money>,
    /// The dearest first, `the rest` last if there is one.
    pub kinds: Vec<Kind>,
}

impl Kinds {
    pub fn read(tx: &mut dyn Tx, names: &mut Names, attempts: &Attempts, fold: &Attribution) -> Result<Self> {
        let mut named: BTreeMap<u32, Vec<Money>> = BTreeMap::new();
        for run in runs(tx, names, attempts, fold)? {
            named.entry(run.kind).or_default().push(run.spent);
        }
        let mut kinds = Vec::with_capacity(named.len());
        for (name, runs) in named {
            kinds.push(Kind::new(names.text(tx, name)?.unwrap_or_default(), runs));
        }
        kinds.sort_by(|a, b| (Reverse(a.spent), &a.label).cmp(&(Reverse(b.spent), &b.label)));
        if kinds.len() > KINDS_MAX {
            let rest = kinds.split_off(KINDS_MAX - 1).into_iter().flat_map(|kind| kind.runs).collect();
            kinds.push(Kind::new("the rest".to_owned(), rest));
        }
        Ok(Self::binned(kinds))
    }

    fn binned(mut kinds: Vec<Kind>) -> Self {
        for kind in &mut kinds {
            kind.runs.sort_unstable();
        }
        let dearest = kinds.iter().filter_map(|kind| kind.runs.last()).max().copied().unwrap_or_default();
        let paid = kinds.iter().filter_map(|kind| kind.runs.iter().find(|usd| **usd > Money::ZERO));
        let edges = paid.min().map_or(Vec::new(), |cheapest| edges(*cheapest, dearest));
        for kind in &mut kinds {
            kind.bins = vec![0; edges.len()];
            for usd in &kind.runs {
                let at = edges.partition_point(|edge| edge <= usd);
                if let Some(bin) = kind.bins.get_mut(at) {
                    *bin += 1;
                }
            }
        }
        Self { edges, kinds }
    }
}

/// 1, 2 and 5 of every power of ten, from the first above `cheapest` to the first above `dearest`.
fn edges(cheapest: Money, dearest: Money) -> Vec<Money> {
    let powers = (0..19).map(|power| 10_i64.pow(power));
    let all = powers.flat_map(|power| [1, 2, 5].map(|digit| power.saturating_mul(digit)));
    let mut edges = Vec::new();
    for edge in all.map(Money::from_nanos).filter(|edge| *edge > cheapest) {
        edges.push(edge);
        if edge > dearest {
            break;
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(cents: i64) -> Money {
        Money::from_nanos(cents * 10_000_000)
    }

    #[test]
    fn every_run_is_in_one_bin() {
        let kind = |cents: &[i64]| Kind::new("k".to_owned(), cents.iter().copied().map(usd).collect());
        let kinds = Kinds::binned(vec![kind(&[0, 3, 5, 49, 50]), kind(&[700, 4])]);
        assert_eq!(kinds.edges, [5, 10, 20, 50, 100, 200, 500, 1_000].map(usd));
        assert_eq!(kinds.kinds[0].bins, [2, 1, 0, 1, 1, 0, 0, 0]);
        assert_eq!(kinds.kinds[1].bins, [1, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn what_costs_nothing_has_no_bins() {
        assert!(Kinds::binned(vec![Kind::new("k".to_owned(), vec![Money::ZERO])]).edges.is_empty());
        assert_eq!(edges(Money::from_nanos(i64::MAX), Money::from_nanos(i64::MAX)), []);
    }
}
