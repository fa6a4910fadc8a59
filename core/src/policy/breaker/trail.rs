//! Does the run go in circles? The last calls, and how often they repeated without a break.
//!
//! A call is the tool, its arguments, its result and whether that is an error; it repeats only if all
//! of them do. A cycle is a sequence of two to six calls that follows upon itself.

/// How many calls are kept.
pub(super) const RING: usize = 32;
/// The longest cycle.
const PERIOD_MAX: usize = 6;
/// How many calls of a parallel batch are told apart.
pub(super) const BATCH: usize = 16;

/// One call: `call` is the tool with its arguments, `key` that with its masked result, `raw` what of that is
/// masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub call: u64,
    pub key: u64,
    pub raw: u64,
    pub step: u64,
    /// Did it only look whether something is ready?
    pub is_poll: bool,
}

/// How often the newest calls followed upon themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    /// Equal calls in a row.
    pub same: u32,
    /// Per period from 2: how many calls in a row equal the one a period before.
    pub cycles: [u32; PERIOD_MAX - 1],
    /// Per period from 1: how many of them differ in what is masked.
    pub changed: [u32; PERIOD_MAX],
}

/// What was found: how often, over how many calls, since which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeats {
    pub count: u32,
    pub period: u32,
    pub first: u64,
    /// So much of the count is less certain.
    pub soft: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trail {
    /// The newest last; the first `RING - length` are empty.
    pub ring: [Passed; RING],
    pub length: u32,
    pub runs: Runs,
    /// Before the batch that is open, so that each of its calls can join it.
    pub before: Runs,
    pub batch: u64,
    pub members: [u64; BATCH],
    /// The counts a person has let pass.
    pub excused: Runs,
}

impl Default for Trail {
    fn default() -> Self {
        Self {
            ring: [Passed::default(); RING],
            length: 0,
            runs: Runs::default(),
            before: Runs::default(),
            batch: 0,
            members: [0; BATCH],
            excused: Runs::default(),
        }
    }
}

impl Trail {
    pub(super) fn push(&mut self, mut passed: Passed, batch: u64) {
        if batch != 0 && batch == self.batch {
            if self.members.contains(&passed.key) {
                return;
            }
            // One call for the whole batch, whatever the order its results came in.
            self.note(passed.key);
            passed.key = passed.key.wrapping_add(self.ring[RING - 1].key).max(1);
            passed.call = passed.call.wrapping_add(self.ring[RING - 1].call).max(1);
            passed.raw = passed.raw.wrapping_add(self.ring[RING - 1].raw);
            passed.is_poll |= self.ring[RING - 1].is_poll;
            self.runs = self.before;
        } else {
            self.before = self.runs;
            self.batch = batch;
            self.members = [0; BATCH];
            self.note(passed.key);
            self.ring.rotate_left(1);
            self.length = (self.length + 1).min(RING as u32);
        }
        self.ring[RING - 1] = passed;
        self.count();
    }

    fn note(&mut self, key: u64) {
        if let Some(free) = self.members.iter_mut().find(|member| **member == 0) {
            *free = key;
        }
    }

    fn count(&mut self) {
        let newest = self.ring[RING - 1];
        let repeats = |period: usize| self.ring[RING - 1 - period].key == newest.key;
        let same = if repeats(1) { self.runs.same.saturating_add(1).max(2) } else { 1 };
        let cycles = std::array::from_fn(|place| {
            if repeats(place + 2) { self.runs.cycles[place].saturating_add(1) } else { 0 }
        });
        let changed = std::array::from_fn(|place| {
            let differs = u32::from(self.ring[RING - 2 - place].raw != newest.raw);
            if repeats(place + 1) { self.runs.changed[place].saturating_add(differs) } else { 0 }
        });
        self.runs = Runs { same, cycles, changed };
        if same == 1 {
            (self.excused.same, self.excused.changed[0]) = (0, 0);
        }
        for place in (0..PERIOD_MAX - 1).filter(|place| cycles[*place] == 0) {
            (self.excused.cycles[place], self.excused.changed[place + 1]) = (0, 0);
        }
    }

    /// Of so many rounds nobody has excused, two of three that differ in what is masked: it may be news.
    fn soft(&self, period: usize, open: u32) -> u32 {
        let changed = self.runs.changed[period - 1].saturating_sub(self.excused.changed[period - 1]);
        let changed = changed.min(open.saturating_sub(1));
        changed - changed / 3
    }

    /// Is a poll among the newest calls?
    pub(super) fn is_polling(&self, period: u32) -> bool {
        self.ring.iter().rev().take(period as usize).any(|passed| passed.is_poll)
    }

    /// Equal calls in a row: all of them, and those nobody has excused.
    pub(super) fn repeats(&self) -> (Repeats, u32) {
        let count = self.runs.same;
        let open = count.saturating_sub(self.excused.same);
        (Repeats { soft: self.soft(1, open), ..self.found(count, 1) }, open)
    }

    /// The cycle that came round most often, likewise.
    pub(super) fn cycle(&self) -> (Repeats, u32) {
        // A cycle of calls that are all the same is no cycle.
        let rounds = |place: usize, calls: u32| match calls.min(self.runs.cycles[place]) {
            0 => 0,
            calls => calls / (place as u32 + 2) + 1,
        };
        let place = (0..PERIOD_MAX - 1).max_by_key(|place| {
            let calls = self.runs.cycles[*place];
            (rounds(*place, calls), std::cmp::Reverse(*place))
        });
        let place = place.unwrap_or_default();
        let period = place as u32 + 2;
        if self.runs.same >= period {
            return (self.found(0, period), 0);
        }
        let calls = self.runs.cycles[place];
        let open = calls.saturating_sub(self.excused.cycles[place]);
        let open = rounds(place, open);
        let found = self.found(rounds(place, calls), period);
        (Repeats { soft: self.soft(period as usize, open), ..found }, open)
    }

    fn found(&self, count: u32, period: u32) -> Repeats {
        let calls = (count.saturating_mul(period) as usize).clamp(1, self.length.max(1) as usize);
        Repeats { count, period, first: self.ring[RING - calls].step, soft: 0 }
    }

    /// What this call gave when it was last made.
    pub(super) fn last_of(&self, call: u64) -> Option<Passed> {
        self.ring.iter().rev().take(self.length as usize).find(|passed| passed.call == call).copied()
    }

    /// A person let the present repetition pass.
    pub(super) fn excuse(&mut self) {
        self.excused = self.runs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(keys: &str) -> Trail {
        let mut trail = Trail::default();
        for (step, key) in keys.bytes().enumerate() {
            trail.push(
                Passed { call: u64::from(key), key: u64::from(key), step: step as u64, ..Passed::default() },
                0,
            );
        }
        trail
    }

    #[test]
    fn equal_calls_in_a_row_are_counted() {
        let (found, open) = trail("abbbb").repeats();
        assert_eq!((found.count, found.first, open), (4, 1, 4));
        assert_eq!(trail("abbbba").repeats().0.count, 1);
        assert_eq!(trail(&"a".repeat(500)).repeats().0.count, 500);
    }

    #[test]
    fn cycles_of_two_to_six_are_counted_in_rounds() {
        for (keys, period, count) in [
            ("xababab", 2, 3),
            ("abcabcabc", 3, 3),
            ("abcdabcdabcd", 4, 3),
            ("aabaabaab", 3, 3),
            ("abcdeabcdeabcde", 5, 3),
            ("xyabcdefabcdefabcdef", 6, 3),
        ] {
            let (found, open) = trail(keys).cycle();
            assert_eq!((found.period, found.count, open), (period, count, count), "{keys}");
        }
        assert_eq!(trail("abababc").cycle().0.count, 0);
        assert_eq!(trail("aaaaaaaaaaaa").cycle().0.count, 0);
        assert_eq!(trail("abcdefgabcdefgabcdefg").cycle().0.count, 0);
    }

    #[test]
    fn a_repeat_that_differs_in_what_is_masked_counts_a_third() {
        let mut trail = Trail::default();
        for step in 1..=14 {
            trail.push(Passed { call: 1, key: 1, raw: step, step, is_poll: false }, 0);
        }
        let (found, open) = trail.repeats();
        assert_eq!((found.count, open, open - found.soft), (14, 14, 5));
        for step in 1..=20 {
            trail.push(Passed { call: step % 2, key: 7 + step % 2, raw: step, step, is_poll: false }, 0);
        }
        let (found, open) = trail.cycle();
        assert_eq!((found.count, found.period, open, open - found.soft), (10, 2, 10, 4));
    }

    #[test]
    fn a_batch_counts_once_whatever_its_order() {
        let mut trail = Trail::default();
        for (batch, keys) in [(1, [1, 2, 1]), (2, [2, 1, 1]), (3, [1, 1, 2])] {
            for key in keys {
                trail.push(Passed { call: key, key, step: batch, ..Passed::default() }, batch);
            }
        }
        assert_eq!(trail.repeats().0.count, 3);
        assert_eq!(trail.length, 3);
    }

    #[test]
    fn what_was_excused_counts_only_from_there_on() {
        let mut trail = trail("aaaa");
        trail.excuse();
        trail.push(Passed { call: 97, key: 97, step: 5, ..Passed::default() }, 0);
        let (found, open) = trail.repeats();
        assert_eq!((found.count, open), (5, 1));
        trail.push(Passed { call: 98, key: 98, step: 6, ..Passed::default() }, 0);
        trail.push(Passed { call: 98, key: 98, step: 7, ..Passed::default() }, 0);
        assert_eq!(trail.repeats().1, 2);
    }
}
