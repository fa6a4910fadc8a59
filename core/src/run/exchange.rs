//! How does one HTTP exchange with a provider become a call?
//!
//! [`Task::exchange`] reads the body about to be sent, bounds and reserves it; the response, the
//! stream or the failure ends it. One exchange is one HTTP attempt: a repetition is another one.

use serde_json::Value;

use super::{
    call::{Call, Request, Settled},
    ledger::Ledger,
    stream::Stream,
    task::Task,
};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    ledger::{Entry, flag},
    meter::{self, Api, Exposure, Method},
    sync::{Arc, Mutex, lock},
    value::{Money, Usage},
};

/// Room for an answer beside the thinking a request sets aside.
const BESIDE_THINKING: u64 = 1_024;

/// What the caller knows about one request beside its body.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The most it can cost, by the caller's own word.
    pub max_usd: Option<Money>,
    /// The most input it can have, where the body does not show it all.
    pub max_input_tokens: Option<u64>,
    /// Wait so long for money that other calls hold.
    pub wait_ms: Option<u64>,
    /// The user input this call belongs to answering.
    pub turn: Option<String>,
}

/// How an exchange without a response failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No byte of the request can have left.
    NotSent,
    /// It may have arrived, and nobody knows what became of it.
    Unknown,
}

/// How the reading of a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// It came to its end.
    Done,
    /// It was left, cut or broken before.
    Left,
}

/// One HTTP attempt under a reservation.
pub struct Exchange {
    call: Call,
    api: Api,
    patch: Vec<(&'static str, Value)>,
    streamed: bool,
    /// May output be billed that a stream does not show?
    hidden_output: bool,
    exposure: Exposure,
    stream: Mutex<Option<Stream>>,
}

impl Task {
    /// Reserves for a request to be sent, read from its JSON body.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve), and:
    ///
    /// * `InvalidInput`: the body is no such request.
    /// * `Unbounded`: under a hard limit on money, it asks for what nobody can bound.
    /// * `Unsupported`: under a hard limit on money, its response would not say what it used.
    ///
    /// ```
    /// use outlay::{Ledger, Limit, meter::Api, run::exchange::Terms};
    ///
    /// let task = Ledger::in_memory().task("t", [Limit::usd("0.50")?])?;
    /// let body = br#"{"model": "gpt-4o", "messages": [{"role": "user", "content": "hello world"}]}"#;
    /// let exchange = task.exchange(Api::OpenAiChat, body, &Terms::default())?;
    /// assert_eq!(exchange.patch()[0], ("max_tokens", 4_096.into()));
    ///
    /// let answer = r#"{"model": "gpt-4o", "usage": {"prompt_tokens": 9, "completion_tokens": 10}}"#;
    /// exchange.answered(200, answer)?;
    /// assert_eq!(task.balance()?.settled.usd().to_string(), "0.0001225 USD");
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn exchange(&self, api: Api, body: &[u8], terms: &Terms) -> Result<Exchange> {
        let result = self.try_exchange(api, body, terms);
        self.note_stop(&result);
        result
    }

    fn try_exchange(&self, api: Api, body: &[u8], terms: &Terms) -> Result<Exchange> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| Error::invalid(format!("the request is no JSON: {error}")))?;
        let ledger = self.ledger().current()?;
        let named = meter::Request::model(&body)?;
        let model = ledger.models().get(&ledger.config().prices, None, named, ledger.now());
        let price = model.price().ok();
        let read = meter::Request::read(api, &body, price.map(Arc::as_ref))?;
        self.check_terms(&read.facts, terms)?;

        let facts = &read.facts;
        let mut exposure = facts.exposure();
        exposure.input_tokens = terms.max_input_tokens.unwrap_or(exposure.input_tokens);
        let mut request = Request::model(named).exposure(exposure).choices(facts.choices);
        request.max_output_tokens = facts.max_output_tokens;
        request.least_output = facts.thinking_budget.map(|budget| budget.saturating_add(BESIDE_THINKING));
        request.no_output = facts.patch(Some(1)).is_empty() && facts.max_output_tokens.is_none();
        request.max_usd = terms.max_usd;
        request.wait_ms = terms.wait_ms;
        request.turn.clone_from(&terms.turn);
        request.facts = self.facts_of(&ledger, &read);
        request.tools = (!facts.tools.is_empty()).then(|| facts.tools.join(",").into());
        let streamed = facts.stream;
        let call = self.reserve(&request)?;

        let chosen = call.max_output_tokens();
        let unchanged = facts.max_output_tokens == Some(chosen);
        let patch = facts.patch((!unchanged && !request.no_output).then_some(chosen));
        let hide_usage = streamed && !facts.include_usage;
        let hidden_output = facts.has_hidden_output;
        let stream = streamed.then(|| Stream::new(api, hide_usage, &call, &exposure, facts.choices));
        let stream = Mutex::new(stream);
        Ok(Exchange { call, api, patch, streamed, hidden_output, exposure, stream })
    }

    /// Refuses, under a hard limit on money, what nobody can bound, price or meter.
    fn check_terms(&self, facts: &meter::Facts, terms: &Terms) -> Result<()> {
        let unbounded = facts.unbounded.as_deref().filter(|_| terms.max_input_tokens.is_none());
        let refused = [
            (unbounded, ErrorKind::Unbounded),
            (facts.unpriced.as_deref(), ErrorKind::Unpriced),
            (facts.unsupported.as_deref(), ErrorKind::Unsupported),
        ];
        let Some((reason, kind)) = refused.into_iter().find_map(|(reason, kind)| Some((reason?, kind)))
        else {
            return Ok(());
        };
        if terms.max_usd.is_some() || self.observes() || self.available()?.is_none() {
            return Ok(());
        }
        if kind == ErrorKind::Unbounded {
            return Err(Request::unbounded(reason));
        }
        let message = format!("this request cannot be held to a limit in USD: {reason}; give `max_usd`");
        Err(Error::new(kind, message).with("reason", Field::Text(reason.to_owned())))
    }

    fn facts_of(&self, ledger: &Ledger, read: &meter::Request<'_>) -> Entry {
        let facts = &read.facts;
        let texts: Vec<&[u8]> = read
            .messages
            .iter()
            .flat_map(|message| {
                let pieces = message.pieces.iter().map(|piece| piece.content().as_bytes());
                std::iter::once(message.role.as_bytes()).chain(pieces)
            })
            .collect();
        let prefix = self.compare_with_latest(&read.messages);
        let mut flags = if facts.stream { flag::STREAMED } else { 0 };
        flags |= if facts.input.method == Method::Exact { 0 } else { flag::CALIBRATED };
        Entry {
            flags,
            request_hash: ledger.keyed_hash(&texts),
            message_count: facts.message_count,
            tool_definition_tokens: facts.tool_definition_tokens,
            prefix_messages: prefix.messages,
            prefix_bytes: prefix.bytes,
            prefix_tokens: prefix.tokens,
            ..Entry::default()
        }
    }
}

impl Exchange {
    /// The call behind it.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The top-level fields to set in the body: the maximum of output, the usage of the stream.
    pub fn patch(&self) -> &[(&'static str, Value)] {
        &self.patch
    }

    /// Ends it by the response: settled by its usage, void, or in doubt, as the status says.
    ///
    /// A success without a readable usage is settled at its reservation and marked as estimated.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer; the call is still open and held.
    pub fn answered(&self, status: u16, body: &str) -> Result<()> {
        if self.call.outcome().is_some() {
            return Ok(());
        }
        match status {
            200..=299 => self.settle_body(body).map(drop),
            400..=407 | 409..=499 | 500 | 503 | 529 | 300..=399 => self.call.void(),
            _ => self.call.doubt(),
        }
    }

    fn settle_body(&self, body: &str) -> Result<Settled> {
        let extracted =
            serde_json::from_str::<Value>(body).ok().and_then(|body| meter::usage(self.api, &body).ok());
        let model = extracted.as_ref().and_then(|extracted| extracted.model.as_deref());
        match extracted.as_ref().and_then(|extracted| extracted.usage) {
            Some(usage) => self.call.settle_as(&usage, model, 0),
            None => self.call.settle_reserved(&Usage::tokens(self.exposure.input_tokens, 0), 0),
        }
    }

    /// Ends it without a response.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer; the call is still open and held.
    pub fn failed(&self, failure: Failure) -> Result<()> {
        match failure {
            _ if self.call.outcome().is_some() => Ok(()),
            Failure::NotSent => self.call.void(),
            Failure::Unknown => self.call.doubt(),
        }
    }

    /// Takes the next bytes of a streamed response; `out` gets those to hand on, which lack the
    /// usage event the caller did not ask for.
    ///
    /// # Errors
    ///
    /// `BudgetExceeded`: the reservation is used up, whatever comes after. The call is settled:
    /// stop reading, and close the connection.
    pub fn push(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut stream = lock(&self.stream);
        let Some(reading) = stream.as_mut() else {
            out.extend_from_slice(bytes);
            return Ok(());
        };
        if reading.push(bytes, out) {
            return Ok(());
        }
        let error = reading.exceeded(&self.call);
        drop(stream);
        self.call.task().stop(&error);
        self.end_stream(StreamEnd::Left, flag::CUT, &mut Vec::new())?;
        Err(error)
    }

    /// Ends a streamed response; `out` gets what was still kept back. Only the first end counts.
    ///
    /// With the provider's final usage it is settled exactly; without, at the upper count of what
    /// came, never above the reservation; at the reservation where output may have been hidden.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer; the call is still open and held.
    pub fn ended(&self, end: StreamEnd, out: &mut Vec<u8>) -> Result<()> {
        self.end_stream(end, 0, out)
    }

    fn end_stream(&self, end: StreamEnd, flags: u32, out: &mut Vec<u8>) -> Result<()> {
        let mut held = lock(&self.stream);
        let Some(mut stream) = held.take() else { return Ok(()) };
        drop(held);
        if end == StreamEnd::Done {
            stream.finish(out);
        }
        if self.call.outcome().is_some() {
            return Ok(());
        }
        let result = stream.settle(&self.call, self.hidden_output, flags | flag::STREAMED);
        if result.is_err() {
            // Still open: a later end may have more luck.
            *lock(&self.stream) = Some(stream);
        }
        result.map(drop)
    }

    /// Was a streamed answer asked for?
    pub fn is_streamed(&self) -> bool {
        self.streamed
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Exchange({}, {:?})", self.api.code(), self.call)
    }
}
