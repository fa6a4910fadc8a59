//! Who is told of alerts in this process?
//!
//! Handlers, each under the name of its consumer. The thread whose act recorded an alert calls
//! them, after the commit and outside every lock; what a dead process left undelivered they get
//! when they are made known. That an alert was delivered is noted after its handler has returned,
//! so one that dies with its process is delivered again, with the same id.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::ledger::Ledger;
use crate::{
    error::{Error, Result},
    ledger::alert::{self, Alert},
    sync::{Arc, Mutex, lock},
    value::{Millis, tags::checked_text},
};

const HANDLERS_MAX: usize = 16;
/// How many alerts are read at a time.
const PAGE: usize = 100;

/// Whom to call, and under which name it is noted.
#[derive(Clone)]
pub(super) struct Handler {
    consumer: Arc<str>,
    call: Arc<dyn Fn(&Alert) + Send + Sync>,
}

impl Handler {
    pub fn new(consumer: &str, call: impl Fn(&Alert) + Send + Sync + 'static) -> Result<Self> {
        checked_text("consumer", consumer)?;
        Ok(Self { consumer: consumer.into(), call: Arc::new(call) })
    }

    /// Takes the place of one of the same name.
    pub fn put_into(&self, handlers: &mut Vec<Self>) -> Result<()> {
        match handlers.iter().position(|handler| handler.consumer == self.consumer) {
            Some(place) => handlers[place] = self.clone(),
            None if handlers.len() < HANDLERS_MAX => handlers.push(self.clone()),
            None => {
                let message = format!("there can be {HANDLERS_MAX} handlers of alerts, not more");
                return Err(Error::invalid(message));
            }
        }
        Ok(())
    }
}

/// What a ledger knows of its handlers.
#[derive(Default)]
pub(super) struct Delivery {
    handlers: Mutex<Vec<Handler>>,
    /// Is there any?
    wanted: AtomicBool,
    delivering: AtomicBool,
    /// How many alerts of the process were looked after.
    heard: AtomicU64,
}

impl Ledger {
    /// Hands each alert to `handler`, by the thread whose act passed the threshold, after its commit.
    ///
    /// First it gets what processes that have ended did not deliver to a consumer of this name; a
    /// name never seen before gets none older than a day. An alert has been delivered when `handler`
    /// has returned or panicked: one may come twice, with the same [`id`](Alert::id), and none is
    /// lost. Again under the same name it takes the place of the one before.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: a name that cannot be, or more than sixteen.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// use outlay::{BudgetOptions, Ledger, Limit};
    ///
    /// let ledger = Ledger::in_memory();
    /// let told = Arc::new(Mutex::new(Vec::new()));
    /// let list = Arc::clone(&told);
    /// ledger.on_alert("list", move |alert| list.lock().unwrap().push(alert.to_string()))?;
    ///
    /// ledger.set_budget(&BudgetOptions::new().limit(Limit::new(outlay::Unit::ToolCalls, 4)?))?;
    /// let task = ledger.task("search", [])?;
    /// task.tool_call("web")?;
    /// task.tool_call("web")?;
    /// let said = "the budget over all tasks has spent 2 of 4 tool calls, 50% of the limit";
    /// assert_eq!(*told.lock().unwrap(), [said]);
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn on_alert(&self, consumer: &str, handler: impl Fn(&Alert) + Send + Sync + 'static) -> Result<()> {
        self.add_handler(Handler::new(consumer, handler)?)?;
        self.deliver_of_dead();
        Ok(())
    }

    /// The alerts recorded from `since` on, by whatever process, oldest first, at most `most`.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer.
    pub fn alerts(&self, since: Millis, most: usize) -> Result<Vec<Alert>> {
        self.ripen()?;
        self.read(|tx| alert::since(tx, since, most))
    }

    /// The alerts, of whatever process, that `consumer` has not had, oldest first, at most `most`.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer.
    pub fn undelivered(&self, consumer: &str, most: usize) -> Result<Vec<Alert>> {
        self.ripen()?;
        self.read(|tx| alert::undelivered(tx, consumer, true, most))
    }

    /// Notes that `consumer` has had an alert.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: a name that cannot be.
    /// * `StoreUnavailable`: the ledger could not note it; the alert will be delivered again.
    pub fn delivered(&self, consumer: &str, alert: &Alert) -> Result<()> {
        checked_text("consumer", consumer)?;
        let (consumer, no) = (consumer.to_owned(), alert.no);
        self.act(move |tx| alert::delivered(tx, &consumer, no))
    }

    /// Records what has been passed for long enough where no call came to see it.
    fn ripen(&self) -> Result<()> {
        if self.read(|tx| tx.is_passing())? {
            self.act(alert::ripen)?;
        }
        Ok(())
    }

    pub(super) fn add_handler(&self, handler: Handler) -> Result<()> {
        handler.put_into(&mut lock(&self.delivery().handlers))?;
        self.delivery().wanted.store(true, Ordering::Release);
        Ok(())
    }

    /// Tells the handlers of what this process has recorded, if it has.
    #[inline]
    pub(super) fn deliver(&self) {
        let delivery = self.delivery();
        if delivery.wanted.load(Ordering::Relaxed)
            && delivery.heard.load(Ordering::Relaxed) != alert::recorded()
        {
            self.deliver_left();
        }
    }

    /// The same of what processes left that died since this ledger was opened.
    pub(super) fn deliver_of_dead(&self) {
        // A ledger that cannot answer keeps them: the next time tells.
        let _ = self.sweep();
        self.deliver_left();
    }

    /// Tells the handlers of all that is left for them.
    #[cold]
    pub(super) fn deliver_left(&self) {
        let delivery = self.delivery();
        // Whoever delivers looks again when it is through, also for what its own handlers record.
        while delivery.wanted.load(Ordering::Acquire) && !delivery.delivering.swap(true, Ordering::AcqRel) {
            let heard = alert::recorded();
            delivery.heard.store(heard, Ordering::Relaxed);
            let handlers = lock(&delivery.handlers).clone();
            for handler in &handlers {
                self.hand_to(handler);
            }
            // A swap, so that it sees what those recorded who found it delivering.
            delivery.delivering.swap(false, Ordering::AcqRel);
            if alert::recorded() == heard {
                break;
            }
        }
    }

    fn hand_to(&self, handler: &Handler) {
        let consumer = &*handler.consumer;
        let left = || self.read(|tx| alert::undelivered(tx, consumer, false, PAGE));
        // A ledger that cannot answer has kept what it could not tell: the next time tells it.
        let Ok(()) = self.ripen() else { return };
        loop {
            let alerts = left().unwrap_or_default();
            for alert in &alerts {
                // Nobody is there to be told of a panic, and the call whose thread this is goes on.
                let _ = catch_unwind(AssertUnwindSafe(|| (handler.call)(alert)));
                if self.delivered(consumer, alert).is_err() {
                    return;
                }
            }
            if alerts.len() < PAGE {
                return;
            }
        }
    }
}
