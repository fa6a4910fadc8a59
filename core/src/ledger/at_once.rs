//! May this thread wait for a file? An event loop may not.
//!
//! Invariant: what gave up has written nothing, so it can be done again where waiting is allowed; and
//! what has written something waits for the rest, for it must not be done twice.

use std::cell::Cell;

use crate::error::{Error, Result};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Waits,
    Hurries,
    GaveUp,
}

thread_local! {
    static PATIENCE: Cell<Patience> = const { Cell::new(Patience::Waits) };
}

/// Runs something on a ledger, unless it would have to wait for a file: then nothing, and nothing is done.
///
/// On a ledger in a file what runs at once takes tens of microseconds. It would wait where another
/// thread or process is writing, where a commit has to reach the disk, and where the write-ahead log is
/// due to be copied into the file: run it again then, on a thread that may wait.
///
/// ```
/// use outlay::{Ledger, ledger::at_once};
///
/// let task = Ledger::in_memory().task("t", [])?;
/// assert!(at_once(|| task.tool_call("search")).is_some_and(|done| done.is_ok()));
/// # Ok::<(), outlay::Error>(())
/// ```
pub fn at_once<R>(run: impl FnOnce() -> Result<R>) -> Option<Result<R>> {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            PATIENCE.set(Patience::Waits);
        }
    }
    let _restore = Restore;
    PATIENCE.set(Patience::Hurries);
    let result = run();
    (PATIENCE.get() != Patience::GaveUp).then_some(result)
}

/// Must this thread not wait?
pub(crate) fn hurries() -> bool {
    PATIENCE.get() != Patience::Waits
}

/// Did it have to give up?
pub(crate) fn gave_up() -> bool {
    PATIENCE.get() == Patience::GaveUp
}

/// To be asked before waiting: a thread that must not gives up.
pub(crate) fn may_wait() -> Result<()> {
    if !hurries() {
        return Ok(());
    }
    PATIENCE.set(Patience::GaveUp);
    Err(Error::store("the ledger is busy, and this thread must not wait"))
}

/// Something is written: what follows waits.
pub(crate) fn has_written() {
    PATIENCE.set(Patience::Waits);
}
