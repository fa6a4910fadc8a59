//! What is told of a call to who traces it?

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use outlay::{
    Call, Outcome,
    meter::{Api, genai_provider},
};

use crate::{
    call::{CALLS, state_of},
    convert::nanos,
    exchange::EXCHANGES,
    outcome::{Tagged, now},
};

/// What OpenTelemetry calls a call, and what is known of it from its reservation on.
#[napi(object)]
pub struct TraceNames {
    /// The operation.
    pub operation: String,
    /// The provider; empty if nobody knows.
    pub provider: String,
    /// The model it is reserved for.
    pub model: String,
    /// Its id in the ledger.
    pub id: String,
    /// What is held for it, in nano-USD.
    pub reserved: BigInt,
    /// The most output tokens each answer may have.
    pub max_output_tokens: i64,
}

/// What a call came to.
#[napi(object)]
pub struct TraceEnd {
    /// `open`, `settled`, `voided` or `in_doubt`.
    pub state: String,
    /// What it cost, in nano-USD, if it is settled.
    pub charge: Option<BigInt>,
    /// What the charge was above the reservation.
    pub overrun: Option<BigInt>,
    /// Is it our count, not the provider's?
    pub estimated: bool,
    /// The model that answered.
    pub model: Option<String>,
    /// All input, all output, read from a cache, written to one, reasoning.
    pub tokens: Option<Vec<i64>>,
}

/// Keeps what a call will be settled by.
#[napi]
pub fn trace_call(call: u32) -> Tagged<TraceNames> {
    now(|| Ok(names("chat", &*CALLS.get(call)?, "")))
}

/// Keeps what an attempt will be settled by.
#[napi]
pub fn trace_attempt(exchange: u32) -> Tagged<TraceNames> {
    now(|| {
        let exchange = EXCHANGES.get(exchange)?;
        let api = exchange.api();
        Ok(names(api.genai_operation(), exchange.call(), api.provider()))
    })
}

/// What a call came to.
#[napi]
pub fn call_trace(call: u32) -> Tagged<TraceEnd> {
    now(|| Ok(end(&*CALLS.get(call)?)))
}

/// What an attempt came to.
#[napi]
pub fn attempt_trace(exchange: u32) -> Tagged<TraceEnd> {
    now(|| Ok(end(EXCHANGES.get(exchange)?.call())))
}

/// What OpenTelemetry calls the operation and the provider of a request of this protocol.
#[napi]
pub fn genai_names(api: String, host: Option<String>) -> Tagged<Vec<String>> {
    now(|| {
        let api: Api = api.parse()?;
        let api = host.map_or(api, |host| api.at(&host));
        Ok(vec![api.genai_operation().to_owned(), genai_provider(api.provider()).to_owned()])
    })
}

fn names(operation: &str, call: &Call, protocol: &str) -> TraceNames {
    call.keep();
    let provider = Some(call.provider()).filter(|known| !known.is_empty()).unwrap_or(protocol);
    TraceNames {
        operation: operation.to_owned(),
        provider: genai_provider(provider).to_owned(),
        model: call.model().to_owned(),
        id: call.id().to_string(),
        reserved: nanos(call.reserved()),
        max_output_tokens: call.max_output_tokens() as i64,
    }
}

fn end(call: &Call) -> TraceEnd {
    let settled = match call.outcome() {
        Some(Outcome::Settled(settled)) => Some(settled),
        _ => None,
    };
    let kept = call.kept();
    let tokens = kept.as_ref().map(|kept| {
        let used = kept.usage;
        let written = used.cache_write_tokens.saturating_add(used.cache_write_1h_tokens);
        let all =
            [used.input_tokens, used.output_tokens, used.cache_read_tokens, written, used.reasoning_tokens];
        all.map(|tokens| tokens as i64).to_vec()
    });
    TraceEnd {
        state: state_of(call).to_owned(),
        charge: settled.map(|settled| nanos(settled.charge)),
        overrun: settled.map(|settled| nanos(settled.overrun)),
        estimated: settled.is_some_and(|settled| settled.estimated),
        model: kept.map(|kept| kept.model.to_string()),
        tokens,
    }
}
