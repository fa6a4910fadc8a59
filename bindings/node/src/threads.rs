//! Who waits for a file, while the event loop goes on? A few threads of ours.
//!
//! Not libuv's: a ledger that another process keeps busy would hold up the program's files and DNS
//! there, and they the ledger. Invariant: what was accepted is run, in the order it came.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use outlay::{Error, ErrorKind};

/// As many acts can share one commit.
const THREADS_MAX: usize = 8;
const WAITING_MAX: usize = 100_000;
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce(Result<(), Error>) + Send>;

struct Queue {
    waiting: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { waiting: VecDeque::new(), threads: 0, idle: 0 });
static ARRIVED: Condvar = Condvar::new();

/// Runs `job` on one of the threads; told why not if none can take it.
pub(crate) fn run(job: impl FnOnce(Result<(), Error>) + Send + 'static) {
    let mut queue = lock();
    if queue.waiting.len() >= WAITING_MAX {
        drop(queue);
        let message = format!("{WAITING_MAX} calls wait for the ledger already");
        return job(Err(Error::new(ErrorKind::StoreUnavailable, message)));
    }
    queue.waiting.push_back(Box::new(job));
    if queue.idle >= queue.waiting.len() || queue.threads >= THREADS_MAX {
        drop(queue);
        ARRIVED.notify_one();
        return;
    }
    queue.threads += 1;
    drop(queue);
    if thread::Builder::new().name("outlay".to_owned()).spawn(work).is_ok() {
        return;
    }
    let mut queue = lock();
    queue.threads -= 1;
    if queue.threads == 0 {
        let stranded = std::mem::take(&mut queue.waiting);
        drop(queue);
        let error = || Error::new(ErrorKind::StoreUnavailable, "no thread can be started");
        stranded.into_iter().for_each(|job| job(Err(error())));
    }
}

fn work() {
    let mut queue = lock();
    loop {
        if let Some(job) = queue.waiting.pop_front() {
            drop(queue);
            job(Ok(()));
            queue = lock();
            continue;
        }
        queue.idle += 1;
        let (woken, waited) = ARRIVED.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner);
        queue = woken;
        queue.idle -= 1;
        if waited.timed_out() && queue.waiting.is_empty() {
            queue.threads -= 1;
            return;
        }
    }
}

fn lock() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}
