//! HTTP exchanges, for the integrations.

use napi::{
    Env,
    bindgen_prelude::{Buffer, Object, Uint8Array},
};
use napi_derive::napi;
use outlay::{
    Error, ErrorKind, Money,
    meter::Api,
    run::{Exchange, Failure as Failed, Outgoing, Terms},
};

use crate::{
    call::state_of,
    convert::{UsageSpec, Used},
    outcome::{Tagged, later, now},
    table::Table,
    task::TASKS,
    threads,
};

static OUTGOING: Table<Outgoing> = Table::new();
pub(crate) static EXCHANGES: Table<Exchange> = Table::new();

/// What the caller knows about one request beside its body.
#[napi(object)]
pub struct TermsSpec {
    /// The most it can cost, by the caller's own word.
    pub max_usd: Option<String>,
    /// The most input it can have.
    pub max_input_tokens: Option<i64>,
    /// The user input this call belongs to answering.
    pub turn: Option<String>,
    /// Is it the last call of its attempt?
    pub r#final: Option<bool>,
    /// Does somebody above tell the breaker what is new in it?
    pub watched: Option<bool>,
    /// Can whoever sends it send no other model?
    pub keeps_model: Option<bool>,
    /// The host it goes to, which may speak a dialect of its API.
    pub host: Option<String>,
}

/// What is known of a request that was read.
#[napi(object)]
pub struct OutgoingFacts {
    /// Its handle.
    pub handle: u32,
    /// How long an attempt of it waits for money that other calls hold, in milliseconds.
    pub wait_ms: i64,
}

/// What is known of an attempt from its reservation on.
#[napi(object)]
pub struct ExchangeFacts {
    /// Its handle.
    pub handle: u32,
    /// Its call's id in the ledger.
    pub id: String,
    /// The top-level fields to set in the body, as JSON; null if there are none.
    pub patch: Option<String>,
}

/// Reads and counts a request from its JSON body, once for all its HTTP attempts.
#[napi(ts_return_type = "Promise<OutgoingFacts | Failure>")]
pub fn read_request(
    env: &Env,
    task: u32,
    api: String,
    body: String,
    terms: TermsSpec,
) -> napi::Result<Object<'_>> {
    let task = TASKS.get(task);
    later(env, move || {
        let most = terms.max_usd.as_deref().map(Money::parse).transpose()?;
        let host = terms.host;
        let terms = Terms {
            is_watched: terms.watched == Some(true),
            keeps_model: terms.keeps_model == Some(true),
            is_regional: host.as_deref().is_some_and(outlay::meter::is_regional),
            max_usd: most,
            max_input_tokens: terms.max_input_tokens.map(i64::unsigned_abs),
            turn: terms.turn,
            is_last: terms.r#final == Some(true),
            ..Terms::default()
        };
        let api: Api = api.parse()?;
        let api = host.map_or(api, |host| api.at(&host));
        let outgoing = task?.outgoing(api, body.as_bytes(), &terms)?;
        let wait_ms = outgoing.wait_ms() as i64;
        Ok(OutgoingFacts { handle: OUTGOING.add(outgoing)?, wait_ms })
    })
}

/// Reserves for one attempt, without waiting. With `poll`, null if only money that other calls hold
/// is in the way.
#[napi(ts_return_type = "Promise<ExchangeFacts | null | Failure>")]
pub fn reserve_attempt(env: &Env, outgoing: u32, poll: bool) -> napi::Result<Object<'_>> {
    let outgoing = OUTGOING.get(outgoing);
    later(env, move || {
        let outgoing = outgoing?;
        let reserved = if poll { outgoing.poll()? } else { Some(outgoing.reserve(Some(0))?) };
        let Some(exchange) = reserved else { return Ok(None) };
        let fields = exchange.patch().iter().map(|(name, value)| format!("\"{name}\":{value}"));
        let fields: Vec<_> = fields.collect();
        let patch = (!fields.is_empty()).then(|| format!("{{{}}}", fields.join(",")));
        let id = exchange.call().id().to_string();
        Ok(Some(ExchangeFacts { handle: EXCHANGES.add(exchange)?, id, patch }))
    })
}

/// How its call stands: `open`, `settled`, `voided` or `in_doubt`.
#[napi]
pub fn attempt_state(exchange: u32) -> Tagged<String> {
    now(|| Ok(state_of(EXCHANGES.get(exchange)?.call()).to_owned()))
}

/// Notes that the request is about to be sent.
#[napi]
pub fn attempt_sent(exchange: u32) -> Tagged<bool> {
    now(|| {
        EXCHANGES.get(exchange)?.call().set_sent(true);
        Ok(true)
    })
}

/// Ends it by the response.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn attempt_answered(env: &Env, exchange: u32, status: u16, body: String) -> napi::Result<Object<'_>> {
    let exchange = EXCHANGES.get(exchange);
    later(env, move || exchange?.answered(status, &body).map(|()| 0.0))
}

/// Ends it without a response: `not_sent`, `given_back` (and never was to be), `timeout`, `connection` or
/// `cancelled`.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn attempt_failed(env: &Env, exchange: u32, kind: String) -> napi::Result<Object<'_>> {
    let exchange = EXCHANGES.get(exchange);
    later(env, move || {
        let failure = match kind.as_str() {
            "not_sent" | "given_back" => Failed::NotSent,
            "timeout" | "connection" | "cancelled" => Failed::Unknown,
            other => {
                let message = format!("failure `{other}` is not known");
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
        };
        exchange?.failed(failure).map(|()| 0.0)
    })
}

/// Ends it with what it used, as a framework reports it.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn attempt_settle(env: &Env, exchange: u32, used: UsageSpec) -> napi::Result<Object<'_>> {
    let exchange = EXCHANGES.get(exchange);
    later(env, move || Used::read(&used)?.settle(exchange?.call()).map(|()| 0.0))
}

/// Takes bytes of the stream; answers those to hand on, null if they are the same.
#[napi(ts_return_type = "Promise<Buffer | null | Failure>")]
pub fn stream_push(env: &Env, exchange: u32, chunk: Uint8Array) -> napi::Result<Object<'_>> {
    // Copied: the thread must not read what the program may write to meanwhile.
    let chunk = chunk.to_vec();
    let exchange = EXCHANGES.get(exchange);
    later(env, move || {
        let mut out = Vec::with_capacity(chunk.len());
        exchange?.push(&chunk, &mut out)?;
        Ok((out != chunk).then(|| Buffer::from(out)))
    })
}

/// Takes the end of the stream's bytes, and ends it; answers what was kept back.
#[napi(ts_return_type = "Promise<Buffer | null | Failure>")]
pub fn stream_finish(env: &Env, exchange: u32) -> napi::Result<Object<'_>> {
    let exchange = EXCHANGES.get(exchange);
    later(env, move || {
        let exchange = exchange?;
        let mut out = Vec::new();
        exchange.rest(&mut out);
        exchange.ended()?;
        Ok((!out.is_empty()).then(|| Buffer::from(out)))
    })
}

/// Ends the stream, read to its end or not; only the first end counts.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn stream_end(env: &Env, exchange: u32) -> napi::Result<Object<'_>> {
    let exchange = EXCHANGES.get(exchange);
    later(env, move || exchange?.ended().map(|()| 0.0))
}

/// Forgets a request; it holds nothing.
#[napi]
pub fn release_request(outgoing: u32) {
    drop(OUTGOING.remove(outgoing));
}

/// Forgets an attempt nobody can reach any more; if it is open, its call ends as it was left.
#[napi]
pub fn release_attempt(exchange: u32) {
    let Some(gone) = EXCHANGES.remove(exchange) else { return };
    if gone.call().outcome().is_none() {
        threads::run(move |_| {
            // A stream knows best how it was left; else the call ends as it is dropped.
            let _ = gone.ended();
        });
    }
}
