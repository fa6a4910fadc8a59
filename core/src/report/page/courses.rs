//! How far did each task go towards its limits? The dearest tasks, call by call.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

use super::{
    super::{
        attempts::Attempts,
        attribution::Attribution,
        names::Names,
        standing::{TaskState, task_state},
    },
    added,
};
use crate::{
    error::Result,
    ledger::store::{Filter, Tx, Which},
    policy::{Unit, Window},
    value::Money,
};

/// The most tasks that are drawn.
pub(super) const TASKS_MAX: usize = 12;
/// The most points of one; of a longer task only every so many calls are drawn, and the last.
const POINTS_MAX: usize = 250;
/// The most tasks inside one that are read.
const INSIDE_MAX: usize = 1_000;

/// One task in no other, with everything inside it, from its first call to its last.
#[derive(Debug)]
pub(super) struct Course {
    pub state: TaskState,
    /// The id its caller gave it, else its name.
    pub label: String,
    /// How many calls, and what they had cost together.
    pub points: Vec<(u64, Money)>,
    /// Limits on USD over the life of the task, and whether they are hard.
    pub limits: Vec<(Money, bool)>,
}

impl Course {
    pub fn calls(&self) -> u64 {
        self.points.last().map_or(0, |(calls, _)| *calls)
    }

    pub fn spent(&self) -> Money {
        self.points.last().map_or(Money::ZERO, |(_, spent)| *spent)
    }
}

/// The tasks that spent the most among these places, all their calls in them or not.
pub(super) fn read(
    tx: &mut dyn Tx,
    names: &mut Names,
    attempts: &Attempts,
    fold: &Attribution,
) -> Result<Vec<Course>> {
    let mut spent: BTreeMap<u32, Money> = BTreeMap::new();
    for (place, figures) in &fold.places {
        let sum = spent.entry(attempts.root((place.task, place.attempt)).0).or_default();
        *sum = added(*sum, figures.spent());
    }
    let mut roots: Vec<_> = spent.into_iter().filter(|(_, spent)| *spent > Money::ZERO).collect();
    roots.sort_by_key(|(no, spent)| (Reverse(*spent), *no));
    roots.truncate(TASKS_MAX);
    let mut courses = Vec::with_capacity(roots.len());
    for (no, _) in roots {
        let Some(row) = tx.task(no)? else { continue };
        let state = task_state(tx, names, &row)?;
        let label = names.task(tx, no)?.0.unwrap_or_default();
        let life =
            state.limits.iter().filter(|limit| limit.unit == Unit::Usd && limit.window == Window::Life);
        let limits = life.map(|limit| (Money::from_nanos(limit.amount), limit.hard)).collect();
        courses.push(Course { points: thinned(points(tx, no)?), state, label, limits });
    }
    Ok(courses)
}

/// What a task and everything inside it had cost after each of its calls, by when it was reserved.
fn points(tx: &mut dyn Tx, root: u32) -> Result<Vec<(u64, Money)>> {
    let mut slots: BTreeMap<i64, (u64, Money)> = BTreeMap::new();
    let (mut waiting, mut read) = (VecDeque::from([root]), 0);
    while let Some(no) = waiting.pop_front().filter(|_| read < INSIDE_MAX) {
        read += 1;
        waiting.extend(tx.tasks(Which::Under(no), INSIDE_MAX)?.iter().map(|row| row.no));
        // Of one millisecond each: calls, but for those of the very same.
        let mut fold = Attribution::in_slots(1);
        fold.read(tx, Filter { task: Some(no), ..Filter::default() })?;
        for (place, figures) in &fold.places {
            let (calls, usd) = slots.entry(place.slot).or_default();
            *calls += figures.calls();
            *usd = added(*usd, figures.spent());
        }
    }
    let mut sum = (0, Money::ZERO);
    let after = slots.into_values().filter(|(calls, usd)| *calls > 0 || *usd > Money::ZERO);
    Ok(after
        .map(|(calls, usd)| {
            sum = (sum.0 + calls, added(sum.1, usd));
            sum
        })
        .collect())
}

fn thinned(points: Vec<(u64, Money)>) -> Vec<(u64, Money)> {
    let (count, every) = (points.len(), points.len().div_ceil(POINTS_MAX).max(1));
    let kept = points.into_iter().enumerate();
    kept.filter(|(index, _)| (count - 1 - index).is_multiple_of(every)).map(|(_, point)| point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_course_keeps_its_end() {
        for count in [0, 1, 249, 250, 251, 1_000_003] {
            let points: Vec<_> = (1..=count).map(|call| (call, Money::ZERO)).collect();
            let kept = thinned(points.clone());
            assert!(kept.len() <= POINTS_MAX, "{count}");
            assert_eq!(kept.last(), points.last());
            assert!(count > 250 || kept == points);
        }
    }
}
