//! How far is a count from the truth?
//!
//! A ratio is what the provider counted for what we did, in per mille. [`Ratios`] keeps many of them
//! in log buckets; [`Learned`] forgets slowly and says by how much a count is to be enlarged. The
//! invariant: what is read off them is never below the ratios it stands for, and at most one part in
//! [`PARTS`] above.
//!
//! ```
//! use outlay::meter::Learned;
//!
//! let mut learned = Learned::default();
//! (0..29).for_each(|_| learned.teach(1_000, 1_080));
//! assert_eq!(learned.per_mille(), None);
//! learned.teach(1_000, 1_080);
//! assert_eq!(learned.per_mille(), Some(1_102)); // two per cent above
//! ```

/// Buckets in which a ratio doubles: each is at most 1/128 of its ratios wide.
pub const PARTS: usize = 128;
const PARTS_LOG: u32 = PARTS.trailing_zeros();
/// Ratios from 1/4 to 32; what is outside counts as the nearest of them.
const LEAST: u32 = 256;
const DOUBLINGS: usize = 7;
const MOST: u32 = (LEAST << DOUBLINGS) - 1;
const BUCKETS: usize = DOUBLINGS * PARTS;

/// Calls before the prior gives way.
const CALLS_MIN: u32 = 30;
const LATEST: usize = 20;
/// At least this is kept above the 99th percentile.
const MARGIN_PER_MILLE: u64 = 1_020;
/// Of a new ratio. Halved each time as many calls again have come, it is gone after six times that.
const WEIGHT: u32 = 64;
/// All weights are halved when they come to that many new ratios.
const HALVED_AT: u64 = 4_096;

/// `part` of `whole` in per mille, rounded up; nothing of nothing is all of it.
pub fn per_mille(part: u64, whole: u64) -> u32 {
    let ratio = (u128::from(part) * 1_000).div_ceil(u128::from(whole.max(1)));
    if whole == 0 && part == 0 { 1_000 } else { u32::try_from(ratio).unwrap_or(u32::MAX) }
}

/// Ratios in per mille, by weight.
#[derive(Clone, Debug, Default)]
pub struct Ratios {
    /// Empty until the first.
    weights: Vec<u32>,
    total: u64,
    largest: u32,
}

impl Ratios {
    /// Adds a ratio.
    pub fn add(&mut self, per_mille: u32, weight: u32) {
        self.weights.resize(BUCKETS, 0);
        let place = &mut self.weights[bucket(per_mille)];
        let before = *place;
        *place = place.saturating_add(weight);
        self.total += u64::from(*place - before);
        self.largest = self.largest.max(per_mille);
    }

    /// A ratio that so many per mille of them, by weight, do not exceed; 0 where there are none.
    pub fn quantile(&self, rank_per_mille: u64) -> u32 {
        if self.total == 0 {
            return 0;
        }
        let above = self.total - (self.total * rank_per_mille.clamp(1, 1_000)).div_ceil(1_000);
        let mut passed = 0;
        for (index, weight) in self.weights.iter().enumerate().rev() {
            passed += u64::from(*weight);
            if passed > above {
                let end = if index == BUCKETS - 1 { u32::MAX } else { end_of(index) };
                return end.min(self.largest);
            }
        }
        0
    }

    /// The largest ratio ever added.
    pub const fn largest(&self) -> u32 {
        self.largest
    }

    fn halve(&mut self) {
        self.weights.iter_mut().for_each(|weight| *weight /= 2);
        self.total = self.weights.iter().copied().map(u64::from).sum();
    }
}

fn bucket(per_mille: u32) -> usize {
    let ratio = per_mille.clamp(LEAST, MOST);
    let doublings = (ratio / LEAST).ilog2();
    // Above the doublings, the next bits say which part of a doubling it is.
    let part = (ratio >> (LEAST.ilog2() + doublings - PARTS_LOG)) as usize - PARTS;
    doublings as usize * PARTS + part
}

/// The largest ratio of a bucket.
const fn end_of(bucket: usize) -> u32 {
    let shift = LEAST.ilog2() + (bucket / PARTS) as u32 - PARTS_LOG;
    (((bucket % PARTS + PARTS + 1) as u32) << shift) - 1
}

/// What settled calls have taught about one kind of count.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    ratios: Ratios,
    calls: u32,
    latest: [u32; LATEST],
}

impl Learned {
    /// Learns from a call: what was counted, and what it truly was, in tokens.
    pub fn teach(&mut self, counted: u64, truth: u64) {
        if counted == 0 {
            return;
        }
        let ratio = per_mille(truth, counted);
        if self.ratios.total >= HALVED_AT * u64::from(WEIGHT) {
            self.ratios.halve();
        }
        self.ratios.add(ratio, WEIGHT);
        self.latest.rotate_right(1);
        self.latest[0] = ratio;
        self.calls = self.calls.saturating_add(1);
    }

    /// By how much a count is to be enlarged, in per mille; nothing before thirty calls. The largest
    /// of the 99.5th percentile, 1.02 times the 99th, and the last twenty.
    pub fn per_mille(&self) -> Option<u64> {
        let nearly_all = u64::from(self.ratios.quantile(995));
        let enlarged = (u64::from(self.ratios.quantile(990)) * MARGIN_PER_MILLE).div_ceil(1_000);
        (self.calls >= CALLS_MIN).then(|| nearly_all.max(enlarged).max(self.latest()))
    }

    /// The same for a small part of a whole, where caution costs little: 1.02 times the larger of
    /// the 99.9th percentile and the last twenty.
    pub fn cautious_per_mille(&self) -> Option<u64> {
        let largest = u64::from(self.ratios.quantile(999)).max(self.latest());
        (self.calls >= CALLS_MIN).then(|| (largest * MARGIN_PER_MILLE).div_ceil(1_000))
    }

    fn latest(&self) -> u64 {
        self.latest.iter().copied().max().unwrap_or(0).into()
    }
}

/// So many tokens a call may hold that nobody has counted: frames, definitions, a text of the
/// provider's own.
const UNCOUNTED: [u64; 4] = [0, 32, 128, 512];

/// What settled calls have taught about counts of whole requests.
///
/// What nobody has counted of them is much of a short request and little of a long one, so that no
/// ratio fits both. Several guesses of it learn side by side; the one whose ratios are nearest to
/// each other is used.
#[derive(Clone, Debug, Default)]
pub struct LearnedWhole([Learned; UNCOUNTED.len()]);

impl LearnedWhole {
    /// Learns from a call: what was counted, and what it truly was, in tokens.
    pub fn teach(&mut self, counted: u64, truth: u64) {
        for (learned, uncounted) in self.0.iter_mut().zip(UNCOUNTED) {
            learned.teach(counted.saturating_add(uncounted), truth);
        }
    }

    /// What to add to a count, in tokens, and by how much to enlarge the sum, in per mille; nothing
    /// before thirty calls.
    pub fn best(&self) -> Option<(u64, u64)> {
        let guesses = self.0.iter().zip(UNCOUNTED).filter_map(|(learned, uncounted)| {
            let per_mille = learned.per_mille()?;
            let middle = u64::from(learned.ratios.quantile(500)).max(1);
            Some((per_mille * 1_000 / middle, uncounted, per_mille))
        });
        guesses.min().map(|(_, uncounted, per_mille)| (uncounted, per_mille))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taught(ratios: impl IntoIterator<Item = u64>) -> Learned {
        let mut learned = Learned::default();
        ratios.into_iter().for_each(|ratio| learned.teach(1_000, ratio));
        learned
    }

    #[test]
    fn every_ratio_is_in_a_bucket_that_ends_just_above_it() {
        for ratio in LEAST..=MOST {
            let end = end_of(bucket(ratio));
            assert!(
                end >= ratio && u64::from(end - ratio) * PARTS as u64 <= u64::from(ratio),
                "{ratio}: {end}"
            );
        }
        assert_eq!((bucket(0), bucket(u32::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn nothing_is_learned_from_few_calls_or_from_nothing_counted() {
        let mut learned = taught(std::iter::repeat_n(1_200, 29));
        (0..100).for_each(|_| learned.teach(0, 7));
        assert_eq!(learned.per_mille(), None);
        learned.teach(5, 6);
        assert!(learned.per_mille().is_some());
    }

    #[test]
    fn a_change_of_regime_is_followed_at_once_and_forgotten_in_the_end() {
        let mut learned = taught(std::iter::repeat_n(1_000, 10_000));
        learned.teach(1_000, 1_500);
        assert_eq!(learned.per_mille(), Some(1_500));
        (0..30).for_each(|_| learned.teach(1_000, 1_000));
        assert!(learned.per_mille() < Some(1_030), "one call in ten thousand is no rule");
        (0..100).for_each(|_| learned.teach(1_000, 1_500));
        assert!(learned.per_mille() >= Some(1_500), "a hundred are");
        (0..60_000).for_each(|_| learned.teach(1_000, 1_000));
        assert!(learned.per_mille() < Some(1_030), "{:?}", learned.per_mille());
        assert!(learned.ratios.total <= (HALVED_AT + 1) * u64::from(WEIGHT));
    }

    #[test]
    fn what_nobody_counts_is_told_from_a_ratio() {
        let (mut shifted, mut enlarged) = (LearnedWhole::default(), LearnedWhole::default());
        for counted in (100..4_000).step_by(50) {
            shifted.teach(counted, counted + 128);
            enlarged.teach(counted, counted * 13 / 10);
        }
        let (uncounted, per_mille) = shifted.best().unwrap();
        assert!(uncounted == 128 && (1_000..1_030).contains(&per_mille), "{per_mille}");
        let (uncounted, per_mille) = enlarged.best().unwrap();
        assert!(uncounted == 0 && (1_300..1_335).contains(&per_mille), "{per_mille}");
        assert_eq!(LearnedWhole::default().best(), None);
    }

    #[test]
    fn a_ratio_is_rounded_up_and_fits() {
        assert_eq!((per_mille(1, 3), per_mille(0, 0), per_mille(0, 7)), (334, 1_000, 0));
        assert_eq!((per_mille(1, 0), per_mille(u64::MAX, 1)), (1_000, u32::MAX));
    }

    proptest! {
        #[test]
        fn what_is_learned_covers_the_latest_and_nearly_all(
            ratios in prop::collection::vec(prop_oneof![900_u64..1_700, 0..40_000_u64], 30..600),
        ) {
            let per_mille = taught(ratios.iter().copied()).per_mille().unwrap();
            let latest = ratios.iter().rev().take(LATEST).max().unwrap();
            prop_assert!(per_mille >= *latest);
            let above = ratios.iter().filter(|ratio| **ratio > per_mille).count();
            prop_assert!(above * 200 <= ratios.len(), "{above} of {}", ratios.len());
        }

        #[test]
        fn quantiles_rise_with_their_rank_and_lie_among_the_ratios(
            ratios in prop::collection::vec(LEAST..=MOST, 1..300),
        ) {
            let mut kept = Ratios::default();
            ratios.iter().for_each(|ratio| kept.add(*ratio, 1));
            let mut sorted = ratios;
            sorted.sort_unstable();
            let mut before = 0;
            for rank in 0..=1_000_u64 {
                let quantile = kept.quantile(rank);
                prop_assert!(quantile >= before);
                before = quantile;
                let index = (sorted.len() as u64 * rank).div_ceil(1_000).max(1) - 1;
                let exact = sorted[index as usize];
                prop_assert!(quantile >= exact && quantile <= exact + exact / PARTS as u32 + 1);
            }
            prop_assert_eq!(kept.largest(), sorted[sorted.len() - 1]);
        }
    }
}
