//! Until when may a task make calls?

use crate::value::Millis;

/// When the last call of a task may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// So many milliseconds after the task was opened for the first time, whatever the attempt.
    After(Millis),
    /// At this time.
    At(Millis),
}

/// The deadlines of a task as they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// From when on no call may start.
    pub hard: Option<Millis>,
    /// From when on a call is told to be late.
    pub soft: Option<Millis>,
}

impl Deadlines {
    /// Is there one?
    pub const fn any(&self) -> bool {
        self.hard.is_some() || self.soft.is_some()
    }
}

impl Deadline {
    /// The time it means for a task opened at `opened`.
    ///
    /// ```
    /// use outlay::policy::Deadline;
    ///
    /// assert_eq!(Deadline::After(600_000).at(1_000), 601_000);
    /// assert_eq!(Deadline::At(600_000).at(1_000), 600_000);
    /// ```
    pub const fn at(self, opened: Millis) -> Millis {
        match self {
            Self::After(length) => opened.saturating_add(length),
            Self::At(time) => time,
        }
    }
}
