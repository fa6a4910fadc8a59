//! Alerts, and who is told of them.

use napi::{
    Env, Status,
    bindgen_prelude::{BigInt, Object},
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};
use napi_derive::napi;
use outlay::{Clock, policy::limit::show_time, report::Since, run::process};

use crate::{ledger::LEDGERS, outcome::later};

/// The most alerts that are listed.
const LISTED_MAX: usize = 10_000;

/// The most alerts that wait for the event loop.
const WAITING_MAX: usize = 10_000;

/// That a share of a limit was spent.
#[napi(object)]
pub struct AlertFacts {
    /// The same however often it is delivered.
    pub id: String,
    /// Whose limit it is.
    pub budget: String,
    /// What is limited.
    pub unit: String,
    /// How much of it: nano-USD, or a count.
    pub limit: BigInt,
    /// What had been spent then.
    pub spent: BigInt,
    /// The share of the limit.
    pub threshold: String,
    /// Over which time.
    pub window: String,
    /// Since when, in RFC 3339; absent where the window is no part of the calendar.
    pub window_start: Option<String>,
    /// The name of the task whose call passed it.
    pub task: String,
    /// When, in RFC 3339.
    pub at: String,
    /// The same as a line of text.
    pub text: String,
}

/// A function of JavaScript that keeps no process alive, called on the thread that it belongs to.
type Callback = ThreadsafeFunction<AlertFacts, (), AlertFacts, Status, false, true, WAITING_MAX>;

fn facts(alert: &outlay::ledger::Alert) -> AlertFacts {
    AlertFacts {
        id: alert.id.to_string(),
        budget: alert.budget.clone(),
        unit: alert.unit.name().to_owned(),
        limit: alert.limit.into(),
        spent: alert.spent.into(),
        threshold: alert.threshold.to_string(),
        window: alert.window.to_string(),
        window_start: alert.window_start.map(show_time),
        task: alert.task.clone(),
        at: show_time(alert.at),
        text: alert.to_string(),
    }
}

/// The alerts recorded by whatever process, oldest first.
#[napi(ts_return_type = "Promise<Array<AlertFacts> | Failure>")]
pub fn alerts(env: &Env, ledger: u32, since: Option<String>) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || {
        let since: Option<Since> = since.as_deref().map(str::parse).transpose()?;
        let from = since.map_or(0, |since| since.at(Clock::System.now()));
        Ok(ledger?.alerts(from, LISTED_MAX)?.iter().map(facts).collect::<Vec<_>>())
    })
}

/// Hands each alert to the event loop for a callback, under the name of a consumer.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn on_alert(
    env: &Env,
    consumer: String,
    #[napi(ts_arg_type = "(alert: AlertFacts) => void")] callback: Callback,
) -> napi::Result<Object<'_>> {
    let hand = move |alert: &outlay::ledger::Alert| {
        // The thread that spends waits for no event loop, which may be its own; what finds no place
        // is in the ledger still.
        callback.call(facts(alert), ThreadsafeFunctionCallMode::NonBlocking);
    };
    later(env, move || process::on_alert(&consumer, hand).map(|()| 0.0))
}
