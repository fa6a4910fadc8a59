//! What time is it?
//!
//! Times are milliseconds since 1970 in UTC. Decisions never read a clock: `now` is handed to
//! them, and only a [`Clock`] produces it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

/// A source of the present time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is moved; for tests.
    Manual(ManualClock),
}

impl Clock {
    /// The present time.
    pub fn now(&self) -> Millis {
        match self {
            Self::System => {
                let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                elapsed.as_secs() as i64 * 1_000 + i64::from(elapsed.subsec_millis())
            }
            Self::Manual(clock) => clock.0.load(Ordering::Relaxed),
        }
    }
}

/// A clock moved by hand; its clones move together.
#[derive(Clone, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Millis) -> Self {
        Self(Arc::new(AtomicI64::new(now)))
    }

    /// Moves the clock to `now`.
    pub fn set(&self, now: Millis) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Millis) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManualClock({})", self.0.load(Ordering::Relaxed))
    }
}
