//! Has this run spent more than runs that succeed?
//!
//! Spend beyond what past successes of the same kind needed is the best sign of failure there is in what
//! a run costs, and a weak one: it is rare, and some of the runs it points at succeed all the same. So it
//! ends nothing by itself: the agent is told, then a person is asked, and then there is the hard limit.

/// From so many successes on their 99th percentile counts.
const ENOUGH: usize = 100;
/// Below so many nobody is asked, the model is only told. Among like runs the next is dearer than all n
/// before it once in n + 1: every second time after one success, every sixth after five.
const LEAST: usize = 5;

/// What runs of a kind need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// In nano-USD.
    pub most: i64,
    /// Are there too few successes to hold a run up for it?
    pub is_guess: bool,
}

/// What no success of the same kind is expected to need, from what past ones spent: their 99th percentile,
/// or half as much again as the largest where there are few; nothing without any.
pub(crate) fn expected(successes: &mut [i64]) -> Option<Expected> {
    let largest = successes.iter().copied().max()?;
    let is_guess = successes.len() < LEAST;
    if successes.len() < ENOUGH {
        return Some(Expected { most: largest.saturating_add(largest / 2), is_guess });
    }
    let rank = (successes.len() * 99).div_ceil(100) - 1;
    Some(Expected { most: *successes.select_nth_unstable(rank).1, is_guess })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_successes_leave_room_and_many_tell() {
        let most = |successes: &mut [i64]| expected(successes).map(|expected| expected.most);
        assert_eq!(most(&mut []), None);
        assert_eq!(most(&mut [4, 10, 6]), Some(15));
        let mut successes: Vec<i64> = (1..=99).rev().collect();
        assert_eq!(most(&mut successes), Some(148));
        let mut successes: Vec<i64> = (1..=100).rev().collect();
        assert_eq!(most(&mut successes), Some(99));
        let mut successes: Vec<i64> = (1..=200).collect();
        assert_eq!(most(&mut successes), Some(198));
        let is_guess = |count: usize| expected(&mut vec![1; count]).unwrap().is_guess;
        assert!(is_guess(1) && is_guess(4) && !is_guess(5) && !is_guess(100));
    }
}
