//! Has this run spent more than runs that succeed?
//!
//! Spend beyond what past successes of the same kind needed is the best sign of failure there is in what
//! a run costs, and a weak one: it is rare, and some of the runs it points at succeed all the same. So it
//! ends nothing by itself: the agent is told, then a person is asked, and then there is the hard limit.

/// From so many successes on their 99th percentile counts.
const ENOUGH: usize = 100;

/// What no success of the same kind is expected to need, from what past ones spent: their 99th percentile,
/// or half as much again as the largest where there are few; nothing without any.
pub(crate) fn expected(successes: &mut [i64]) -> Option<i64> {
    let largest = successes.iter().copied().max()?;
    if successes.len() < ENOUGH {
        return Some(largest.saturating_add(largest / 2));
    }
    let rank = (successes.len() * 99).div_ceil(100) - 1;
    Some(*successes.select_nth_unstable(rank).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_successes_leave_room_and_many_tell() {
        assert_eq!(expected(&mut []), None);
        assert_eq!(expected(&mut [4, 10, 6]), Some(15));
        let mut successes: Vec<i64> = (1..=99).rev().collect();
        assert_eq!(expected(&mut successes), Some(148));
        let mut successes: Vec<i64> = (1..=100).rev().collect();
        assert_eq!(expected(&mut successes), Some(99));
        let mut successes: Vec<i64> = (1..=200).collect();
        assert_eq!(expected(&mut successes), Some(198));
    }
}
