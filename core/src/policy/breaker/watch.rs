//! How often in a row, and for how long? Counters of one thing each.

use super::trail::Repeats;

/// How many polled calls are watched at a time.
pub(super) const POLLS: usize = 8;

/// The same thing in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Streak {
    pub key: u64,
    pub count: u32,
    /// How much of the count a person let pass.
    pub excused: u32,
    pub first: u64,
    pub batch: u64,
}

impl Streak {
    /// One more of `key`; a parallel batch counts once.
    pub(super) fn see(&mut self, key: u64, step: u64, batch: u64) -> (Repeats, u32) {
        if self.count == 0 || self.key != key {
            *self = Self { key, count: 1, excused: 0, first: step, batch };
        } else if batch == 0 || batch != self.batch {
            self.count = self.count.saturating_add(1);
            self.batch = batch;
        }
        self.seen()
    }

    /// What was counted, and what of it nobody has excused.
    pub(super) fn seen(&self) -> (Repeats, u32) {
        let found = Repeats { count: self.count, period: 1, first: self.first, soft: 0 };
        (found, self.count.saturating_sub(self.excused))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn excuse(&mut self) {
        self.excused = self.count;
    }
}

/// How a polled call stands, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Polled {
    /// Are the times known at all?
    pub timed: bool,
    /// Since it last gave something new.
    pub total_ms: i64,
    /// The same since a person let it pass.
    pub open_ms: i64,
    /// Since it was polled before.
    pub gap_ms: i64,
    /// To wait before the next.
    pub wait_ms: i64,
}

/// One polled call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub call: u64,
    pub streak: Streak,
    pub timed: bool,
    pub first_ms: i64,
    pub excused_ms: i64,
    pub last_ms: i64,
    /// The step of its latest poll.
    pub last: u64,
}

impl Waiting {
    fn polled(&self, at_ms: Option<i64>, before_ms: i64) -> Polled {
        let now = at_ms.unwrap_or(self.last_ms).max(self.last_ms);
        let since = |from: i64| now.saturating_sub(from).max(0);
        Polled {
            timed: self.timed && at_ms.is_some(),
            total_ms: since(self.first_ms),
            open_ms: since(self.first_ms.max(self.excused_ms)),
            gap_ms: since(before_ms),
            wait_ms: 0,
        }
    }
}

/// The calls being polled; the one not polled for longest makes room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Polls(pub [Waiting; POLLS]);

impl Polls {
    pub(super) fn see(
        &mut self,
        call: u64,
        key: u64,
        step: u64,
        at_ms: Option<i64>,
    ) -> (Repeats, u32, Polled) {
        let place = (0..POLLS).find(|place| self.0[*place].call == call);
        let oldest = || (0..POLLS).min_by_key(|place| self.0[*place].last).unwrap_or_default();
        let waiting = &mut self.0[place.unwrap_or_else(oldest)];
        if waiting.call != call || waiting.streak.key != key {
            let now = at_ms.unwrap_or_default();
            let (timed, moments) = (at_ms.is_some(), (now, now, now));
            let (first_ms, excused_ms, last_ms) = moments;
            *waiting =
                Waiting { call, streak: Streak::default(), timed, first_ms, excused_ms, last_ms, last: step };
        }
        let (found, open) = waiting.streak.see(key, step, 0);
        let before_ms = waiting.last_ms;
        waiting.last_ms = at_ms.unwrap_or(before_ms).max(before_ms);
        waiting.last = step;
        (found, open, waiting.polled(at_ms, before_ms))
    }

    /// The call is no poll any more: it has given what was waited for.
    pub(super) fn forget(&mut self, call: u64) {
        self.0.iter_mut().filter(|waiting| waiting.call == call).for_each(|gone| *gone = Waiting::default());
    }

    /// How it would stand if the call were made at `at_ms` and gave nothing new.
    pub(super) fn foresee(&self, call: u64, at_ms: Option<i64>) -> Option<(Repeats, u32, Polled)> {
        let mut next = *self;
        let waiting = next.0.iter().find(|waiting| waiting.call == call)?;
        Some(next.see(call, waiting.streak.key, waiting.last, at_ms))
    }

    pub(super) fn excuse(&mut self) {
        for waiting in &mut self.0 {
            waiting.streak.excuse();
            waiting.excused_ms = waiting.last_ms;
        }
    }
}
