//! Who watches a run, and where is it kept what they say?
//!
//! A [`Watch`] is a breaker that many threads may ask. Once it is told of which task, every verdict
//! above `ok` is an entry of the ledger with its evidence: counts and numbers of steps, no texts.
//!
//! ```
//! use outlay::{Ledger, policy::{Breaker, Step, StepKind}, run::Watch};
//!
//! let ledger = Ledger::in_memory();
//! let task = ledger.task("search", [])?;
//! let watch = Watch::new(Breaker::default());
//! watch.record_in(&task);
//! for _ in 0..3 {
//!     watch.observe(&Step::new(StepKind::Tool, "web"))?;
//! }
//! let said = &ledger.verdicts(&task.id(), 10)?[0];
//! assert_eq!((said.verdict.level.name(), said.verdict.evidence.count), ("nudge", 3));
//! # Ok::<(), outlay::Error>(())
//! ```

use std::sync::OnceLock;

use super::{config::OnUnavailable, ledger::Ledger, task::Task};
use crate::{
    error::{ErrorKind, Result},
    ledger::verdict,
    policy::{Breaker, Level, Step, Verdict},
    sync::{Mutex, lock},
};

/// A breaker over one run, whose verdicts are recorded.
#[derive(Debug)]
pub struct Watch {
    seen: Mutex<Seen>,
    /// The attempt its verdicts are recorded in; not the task itself, which may hold this.
    run: OnceLock<(Ledger, u32, u32)>,
}

#[derive(Debug)]
struct Seen {
    breaker: Breaker,
    /// What was last said of the stream that is being read.
    streamed: Level,
}

impl Watch {
    /// Watches by this breaker, and records nothing yet.
    pub fn new(breaker: Breaker) -> Self {
        Self { seen: Mutex::new(Seen { breaker, streamed: Level::Ok }), run: OnceLock::new() }
    }

    /// From now on, verdicts are entries of this task. Only the first task counts.
    pub fn record_in(&self, task: &Task) {
        self.run.get_or_init(|| (task.ledger().clone(), task.no(), task.attempt()));
    }

    /// Does recording a verdict wait for a file?
    pub fn is_blocking(&self) -> bool {
        self.run.get().is_some_and(|(ledger, ..)| ledger.is_blocking())
    }

    /// Tells the breaker what happened; see [`Breaker::observe`].
    ///
    /// # Errors
    ///
    /// * `StoreUnavailable`: what it said could not be recorded; it has counted the step.
    /// * `Conflict`: the attempt it is recorded in has ended.
    pub fn observe(&self, step: &Step<'_>) -> Result<Verdict> {
        let verdict = {
            let mut seen = lock(&self.seen);
            seen.streamed = Level::Ok;
            seen.breaker.observe(step)
        };
        self.record(&verdict)?;
        Ok(verdict)
    }

    /// Reads a piece of an answer as it streams in; see [`Breaker::observe_stream`]. What is said of
    /// one stream is recorded once for each level.
    ///
    /// # Errors
    ///
    /// As [`observe`](Self::observe).
    pub fn observe_stream(&self, text: &str) -> Result<Verdict> {
        let (verdict, is_new) = {
            let mut seen = lock(&self.seen);
            let verdict = seen.breaker.observe_stream(text);
            let before = seen.streamed;
            seen.streamed = before.max(verdict.level);
            (verdict, seen.streamed > before)
        };
        if is_new {
            self.record(&verdict)?;
        }
        Ok(verdict)
    }

    /// Would this call be refused? See [`Breaker::check`].
    pub fn check(&self, step: &Step<'_>) -> Verdict {
        lock(&self.seen).breaker.check(step)
    }

    /// A person lets the run go on; see [`Breaker::excuse`].
    pub fn excuse(&self) {
        lock(&self.seen).breaker.excuse();
    }

    /// What the breaker knows; see [`Breaker::state`].
    pub fn state(&self) -> Vec<u8> {
        lock(&self.seen).breaker.state()
    }

    fn record(&self, verdict: &Verdict) -> Result<()> {
        let Some((ledger, task, attempt)) = self.run.get().filter(|_| verdict.level > Level::Ok) else {
            return Ok(());
        };
        let (ledger, task, attempt) = (ledger.current()?, *task, *attempt);
        let said = verdict.clone();
        match ledger.act(move |tx| verdict::judged(tx, task, attempt, &said)) {
            Err(error)
                if error.kind() == ErrorKind::StoreUnavailable
                    && ledger.config().on_unavailable == OnUnavailable::Allow =>
            {
                Ok(())
            }
            result => result,
        }
    }
}
