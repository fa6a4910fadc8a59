//! Which locks do we use?
//!
//! Every lock of the crate comes from here, so that tests can swap them for those of a seeded
//! scheduler. They are the standard library's: a child of `fork` must not inherit the parking
//! table that other lock crates keep in a global.

#[cfg(not(feature = "shuttle"))]
pub(crate) use std::{
    sync::{Arc, Mutex, MutexGuard},
    thread::{Thread, current, park},
};

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::{
    sync::{Arc, Mutex, MutexGuard},
    thread::{Thread, current, park},
};

/// Locks, and goes on after a panic of another holder: each holder validates before it writes,
/// so what a panic leaves behind is consistent.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}
