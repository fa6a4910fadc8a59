//! Calls.

use napi::{
    Env,
    bindgen_prelude::{BigInt, Object},
};
use napi_derive::napi;
use outlay::{Call, Money, Outcome, Usage};

use crate::{
    convert::{UsageSpec, Used, nanos},
    outcome::{Tagged, hot, later, now, try_now},
    table::Table,
    threads,
};

pub(crate) static CALLS: Table<Call> = Table::new();

/// What is known of a call from its reservation on.
#[napi(object)]
pub struct CallFacts {
    /// Its id in the ledger.
    pub id: String,
    /// The model it is reserved for.
    pub model: String,
    /// The most output tokens each answer may have.
    pub max_output_tokens: i64,
    /// Is this the first reservation under its id?
    pub created: bool,
    /// What is held for it, in nano-USD.
    pub reserved: BigInt,
    /// Does it pass a soft limit?
    pub over_soft: bool,
    /// Why it would have been denied, under a task that only observes.
    pub would_deny: Option<String>,
}

/// How a call stands.
#[napi(object)]
pub struct CallEnd {
    /// `open`, `settled`, `voided` or `in_doubt`.
    pub state: String,
    /// What it cost, in nano-USD.
    pub charge: BigInt,
    /// What the charge was above the reservation.
    pub overrun: BigInt,
    /// Is it our count, not the provider's?
    pub estimated: bool,
}

/// What is known of a call from its reservation on.
#[napi]
pub fn call_facts(call: u32) -> Tagged<CallFacts> {
    now(|| {
        let call = CALLS.get(call)?;
        Ok(CallFacts {
            id: call.id().to_string(),
            model: call.model().to_owned(),
            max_output_tokens: call.max_output_tokens() as i64,
            created: call.created(),
            reserved: nanos(call.reserved()),
            over_soft: call.over_soft(),
            would_deny: call.would_deny().map(|denial| denial.clone().into_error().to_string()),
        })
    })
}

/// How a call stands.
#[napi]
pub fn call_end(call: u32) -> Tagged<CallEnd> {
    now(|| {
        let call = CALLS.get(call)?;
        let settled = match call.outcome() {
            Some(Outcome::Settled(settled)) => Some(settled),
            _ => None,
        };
        Ok(CallEnd {
            state: state_of(&call).to_owned(),
            charge: settled.map_or_else(|| nanos(Money::ZERO), |settled| nanos(settled.charge)),
            overrun: settled.map_or_else(|| nanos(Money::ZERO), |settled| nanos(settled.overrun)),
            estimated: settled.is_some_and(|settled| settled.estimated),
        })
    })
}

/// Ends the call with what it used: the hot form. Negative if it failed.
#[napi]
pub fn settle_sync(call: u32, input_tokens: f64, output_tokens: f64) -> f64 {
    hot(|| CALLS.get(call)?.settle(&Usage::tokens(input_tokens as u64, output_tokens as u64)).map(|_| 0.0))
}

/// Ends the call with what it used. Negative if it failed.
#[napi]
pub fn settle_usage_sync(call: u32, used: UsageSpec) -> f64 {
    hot(|| Used::read(&used)?.settle(&*CALLS.get(call)?).map(|()| 0.0))
}

/// The same for a ledger in a file, if nothing else uses it: -2 if it would have to wait.
#[napi]
pub fn try_settle(call: u32, used: UsageSpec) -> f64 {
    try_now(|| Used::read(&used)?.settle(&*CALLS.get(call)?).map(|()| 0.0))
}

/// The same, however long it waits.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn settle(env: &Env, call: u32, used: UsageSpec) -> napi::Result<Object<'_>> {
    let call = CALLS.get(call);
    later(env, move || Used::read(&used)?.settle(&*call?).map(|()| 0.0))
}

/// Ends the call as `void`, `doubt`, or `leave`, as the block round it ends. Negative if it failed.
#[napi]
pub fn end_call_sync(call: u32, how: String) -> f64 {
    hot(|| end(&*CALLS.get(call)?, &how))
}

/// The same for a ledger in a file, if nothing else uses it: -2 if it would have to wait.
#[napi]
pub fn try_end_call(call: u32, how: String) -> f64 {
    try_now(|| end(&*CALLS.get(call)?, &how))
}

/// The same, however long it waits.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn end_call(env: &Env, call: u32, how: String) -> napi::Result<Object<'_>> {
    let call = CALLS.get(call);
    later(env, move || end(&*call?, &how))
}

fn end(call: &Call, how: &str) -> outlay::Result<f64> {
    match how {
        "void" => call.void()?,
        "doubt" => call.doubt()?,
        _ => call.leave()?,
    }
    Ok(0.0)
}

/// Forgets a call nobody can reach any more; if it is open, it is in doubt from then on.
#[napi]
pub fn release_call(call: u32, blocking: bool) {
    let gone = CALLS.remove(call);
    if blocking && gone.as_ref().is_some_and(|call| call.outcome().is_none()) {
        threads::run(move |_| drop(gone));
    }
}

/// How a call stands, in the words of the documentation.
pub(crate) fn state_of(call: &Call) -> &'static str {
    match call.outcome() {
        None => "open",
        Some(Outcome::Settled(_)) => "settled",
        Some(Outcome::Voided) => "voided",
        Some(Outcome::InDoubt) => "in_doubt",
    }
}
