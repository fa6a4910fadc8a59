//! How do many callers share one commit?
//!
//! By leader and followers on the callers' own threads: whoever finds nobody leading takes what
//! is waiting, runs it as one transaction and hands out the results; what arrived meanwhile is
//! led by the first of those that wait. There is no thread of ours that a fork could lose.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{at_once, store::Tx};
use crate::{
    error::{Error, Family, Result},
    sync::{Arc, Mutex, Thread, current, lock, park},
};

/// The most acts one transaction carries.
const BATCH_MAX: usize = 256;

/// Something that runs transactions, one at a time.
pub(crate) trait Connection: Send {
    /// Begins; the journal ends it by `commit` or `rollback`.
    fn begin(&mut self) -> Result<()>;
    fn tx(&mut self) -> &mut dyn Tx;
    fn commit(&mut self) -> Result<()>;
    fn rollback(&mut self);
}

/// An act; run again by itself when another act of its transaction failed.
type Job = Box<dyn FnMut(&mut dyn Tx) -> Result<()> + Send>;

pub(crate) struct Journal<C> {
    queue: Mutex<Queue>,
    connection: Mutex<C>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    led: bool,
}

struct Waiting {
    job: Job,
    ticket: Arc<Ticket>,
}

struct Ticket {
    thread: Thread,
    state: Mutex<Turn>,
}

enum Turn {
    Waits,
    Leads,
    Done(Result<()>),
}

impl Ticket {
    fn pass(&self, turn: Turn) {
        *lock(&self.state) = turn;
        self.thread.unpark();
    }
}

impl<C: Connection> Journal<C> {
    pub fn new(connection: C) -> Self {
        Self { queue: Mutex::default(), connection: Mutex::new(connection) }
    }

    /// Runs one act in a transaction, together with those of others, and waits for its commit.
    pub fn act<R: Send + 'static>(
        &self,
        mut act: impl FnMut(&mut dyn Tx) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let slot = Arc::new(Mutex::new(None));
        let result = Arc::clone(&slot);
        let job: Job = Box::new(move |tx| {
            let value = act(tx)?;
            *lock(&result) = Some(value);
            Ok(())
        });
        self.run(job)?;
        let value = lock(&slot).take();
        value.ok_or_else(|| Error::store("an act was lost by its journal"))
    }

    /// The connection itself, between transactions.
    pub fn connection<R>(&self, use_it: impl FnOnce(&mut C) -> R) -> R {
        use_it(&mut lock(&self.connection))
    }

    fn run(&self, job: Job) -> Result<()> {
        let ticket = Arc::new(Ticket { thread: current(), state: Mutex::new(Turn::Waits) });
        let leads = {
            let mut queue = lock(&self.queue);
            if queue.led || at_once::gave_up() {
                at_once::may_wait()?;
            }
            queue.waiting.push(Waiting { job, ticket: Arc::clone(&ticket) });
            !mem::replace(&mut queue.led, true)
        };
        if leads {
            self.lead();
        }
        loop {
            // Not in the match itself: its lock would be held while leading.
            let turn = mem::replace(&mut *lock(&ticket.state), Turn::Waits);
            match turn {
                Turn::Waits => {}
                Turn::Leads => {
                    self.lead();
                    continue;
                }
                Turn::Done(result) => return result,
            }
            park();
        }
    }

    /// Runs one batch, then lets the first of those that came meanwhile lead.
    fn lead(&self) {
        let mut batch = {
            let mut queue = lock(&self.queue);
            // Who must not wait does not work for others: theirs may be long, and may wait.
            let most = if at_once::hurries() { 1 } else { BATCH_MAX };
            let rest = queue.waiting.len().min(most);
            queue.waiting.drain(..rest).collect::<Vec<_>>()
        };
        let results = {
            let mut connection = lock(&self.connection);
            run_batch(&mut *connection, &mut batch)
        };
        let next = {
            let mut queue = lock(&self.queue);
            queue.led = !queue.waiting.is_empty();
            queue.waiting.first().map(|first| Arc::clone(&first.ticket))
        };
        if let Some(next) = next {
            next.pass(Turn::Leads);
        }
        for (waiting, result) in batch.into_iter().zip(results) {
            waiting.ticket.pass(Turn::Done(result));
        }
    }
}

/// One transaction for all; if it fails, one for each, so that nobody fails for another's fault.
fn run_batch(connection: &mut impl Connection, batch: &mut [Waiting]) -> Vec<Result<()>> {
    match try_batch(connection, batch) {
        Ok(results) => return results,
        Err(fault) if batch.len() == 1 => return vec![Err(fault)],
        Err(_) => {}
    }
    let alone = |waiting| match try_batch(connection, std::slice::from_mut(waiting)) {
        Ok(mut results) => results.pop().unwrap_or(Ok(())),
        Err(error) => Err(error),
    };
    batch.iter_mut().map(alone).collect()
}

fn try_batch(connection: &mut impl Connection, batch: &mut [Waiting]) -> Result<Vec<Result<()>>> {
    connection.begin()?;
    let run = |waiting: &mut Waiting| {
        let tx = connection.tx();
        let result = catch_unwind(AssertUnwindSafe(|| (waiting.job)(tx)));
        match result.unwrap_or_else(|_| Err(Error::store("an act on the ledger panicked"))) {
            Err(fault) if fault.family() == Family::Fault => Err(fault),
            verdict => Ok(verdict),
        }
    };
    let results = batch.iter_mut().map(run).collect::<Result<Vec<_>>>();
    match results {
        Ok(results) => connection.commit().map(|()| results).inspect_err(|_| connection.rollback()),
        Err(fault) => {
            connection.rollback();
            Err(fault)
        }
    }
}
