//! What does a handle stand for?
//!
//! Handles are numbers from 1 (0 is none), used again once released. Invariant: whatever a handle
//! stands for stays alive while a function uses it, released meanwhile or not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outlay::{Error, ErrorKind};

/// The most things of one kind a process can hold.
const KEPT_MAX: usize = 1 << 20;

pub(crate) struct Table<T>(Mutex<Slots<T>>);

struct Slots<T> {
    kept: Vec<Option<Arc<T>>>,
    free: Vec<u32>,
}

impl<T> Table<T> {
    pub const fn new() -> Self {
        Self(Mutex::new(Slots { kept: Vec::new(), free: Vec::new() }))
    }

    pub fn add(&self, value: T) -> Result<u32, Error> {
        let mut slots = self.lock();
        if let Some(handle) = slots.free.pop() {
            slots.kept[handle as usize - 1] = Some(Arc::new(value));
            return Ok(handle);
        }
        if slots.kept.len() >= KEPT_MAX {
            let message = format!("{KEPT_MAX} objects of outlay are alive; let the event loop turn");
            return Err(Error::new(ErrorKind::StoreUnavailable, message));
        }
        slots.kept.push(Some(Arc::new(value)));
        Ok(slots.kept.len() as u32)
    }

    pub fn get(&self, handle: u32) -> Result<Arc<T>, Error> {
        let slots = self.lock();
        let slot = slots.kept.get((handle as usize).wrapping_sub(1)).and_then(Option::as_ref);
        let missing = || Error::new(ErrorKind::NotFound, format!("handle `{handle}` stands for nothing"));
        slot.cloned().ok_or_else(missing)
    }

    /// Forgets it. What it stood for may end with it, which may wait for a file.
    pub fn remove(&self, handle: u32) -> Option<Arc<T>> {
        let mut slots = self.lock();
        let gone = slots.kept.get_mut((handle as usize).wrapping_sub(1))?.take()?;
        slots.free.push(handle);
        Some(gone)
    }

    fn lock(&self) -> MutexGuard<'_, Slots<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
