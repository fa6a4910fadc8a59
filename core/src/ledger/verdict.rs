//! What did the breaker say of a run?
//!
//! Every verdict is an entry: who said what on what grounds, in counts and numbers of steps.

use super::{
    commit::{check_attempt, intern},
    entry::{Entry, Kind},
    store::Tx,
};
use crate::{error::Result, policy::Verdict};

/// Records what was said of an attempt that is open.
pub(crate) fn judged(tx: &mut dyn Tx, task: u32, attempt: u32, verdict: &Verdict) -> Result<()> {
    check_attempt(tx, task, attempt)?;
    let mut entry = Entry { kind: Kind::Verdict, at_ms: tx.now()?, task, attempt, ..Entry::default() };
    entry.evidence = intern(tx, &mut entry, "verdict", &verdict.recorded())?;
    if !verdict.evidence.tool.is_empty() {
        entry.tool = intern(tx, &mut entry, "tool", &verdict.evidence.tool)?;
    }
    tx.append(&mut entry)
}
