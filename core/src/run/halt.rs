//! Is anybody telling this run to stop?
//!
//! A reserve sees every halt, since it reads the ledger anyway. A stream reads nothing for as long
//! as it runs, so it asks here, which looks into the ledger at most every half second.

use std::sync::atomic::{AtomicI64, Ordering};

use super::{ledger::Ledger, task::Task};
use crate::{
    error::{Error, Result},
    ledger::halt::{self, Halt},
    policy::Scope,
    value::Millis,
};

/// How old what streams know of halts may be.
const LOOK_MS: Millis = 500;

/// What version of its rows a ledger saw last, and when it is to look again.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    due_ms: AtomicI64,
    version: AtomicI64,
}

impl Ledger {
    /// Lets no call in `scope` start, in any process on the ledger, until [`unhalt`](Self::unhalt);
    /// streams in it are cut within a second. Returns how many open attempts lie in the scope.
    ///
    /// It holds for tasks that only observe too. Halting a scope again replaces who and why.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: a name or reason that cannot be.
    /// * `StoreUnavailable`: the ledger could not answer; nothing is halted.
    ///
    /// ```
    /// use outlay::{ErrorKind, Ledger, Limit, Request, policy::Scope};
    ///
    /// let ledger = Ledger::in_memory();
    /// let task = ledger.task("refund", [Limit::usd("1")?])?;
    /// let request = Request::model("gpt-4o").input_tokens(10).max_output_tokens(10);
    ///
    /// assert_eq!(ledger.halt(&Scope::parse("refund")?, "maria", "wrong customer")?, 1);
    /// assert_eq!(task.reserve(&request).unwrap_err().kind(), ErrorKind::Halted);
    ///
    /// ledger.unhalt(&Scope::parse("refund")?, "maria")?;
    /// assert!(task.reserve(&request).is_ok());
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn halt(&self, scope: &Scope, by: &str, reason: &str) -> Result<usize> {
        let (scope, by, reason) = (scope.clone(), by.to_owned(), reason.to_owned());
        self.act(move |tx| halt::halt(tx, &scope, &by, &reason))
    }

    /// Undoes a halt.
    ///
    /// # Errors
    ///
    /// * `NotFound`: the scope is not halted.
    /// * `StoreUnavailable`: the ledger could not answer.
    pub fn unhalt(&self, scope: &Scope, by: &str) -> Result<()> {
        let (scope, by) = (scope.clone(), by.to_owned());
        self.act(move |tx| halt::unhalt(tx, &scope, &by))
    }

    /// The halts in force, oldest first.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer.
    pub fn halts(&self) -> Result<Vec<Halt>> {
        self.read(halt::halts)
    }

    /// The version of the rows that halts are among, not older than half a second.
    fn version(&self) -> Result<Millis> {
        let (now, lookout) = (self.now(), self.lookout());
        let due = lookout.due_ms.load(Ordering::Acquire);
        // A clock set back must not keep everybody from looking.
        if now < due && due - now <= LOOK_MS {
            return Ok(lookout.version.load(Ordering::Acquire));
        }
        let version = self.read(|tx| Ok(tx.cache().version))?;
        lookout.version.store(version, Ordering::Release);
        lookout.due_ms.store(now.saturating_add(LOOK_MS), Ordering::Release);
        Ok(version)
    }
}

impl Task {
    /// The error of a halt over this task, if there is one that `seen`, the version of the rows its
    /// caller has seen, did not show. Where the ledger cannot answer there is none: what streams is
    /// paid for already.
    pub(super) fn halted_since(&self, seen: &mut Option<i64>) -> Option<Error> {
        let ledger = self.ledger().current().ok()?;
        let version = ledger.version().ok()?;
        if *seen == Some(version) {
            return None;
        }
        let halt = ledger.read(|tx| halt::halt_of(tx, self.no())).ok()?;
        *seen = Some(version);
        halt.map(|halt| halt.error())
    }
}
