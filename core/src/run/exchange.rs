//! How does one HTTP exchange with a provider become a call?
//!
//! [`Task::exchange`] reads the body about to be sent, bounds and reserves it; the response, the
//! stream or the failure ends it. One exchange is one HTTP attempt: a repetition is another one.

use serde_json::Value;

use super::{
    calibration::Lesson,
    call::{Call, Settled},
    config::{Bound, StreamUsage},
    ledger::Ledger,
    model::Asked,
    prefix::Hashes,
    request::Request,
    route::Routable,
    stream::Stream,
    task::Task,
};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    ledger::{
        commit, flag,
        lesson::{flag_of, flags_of},
    },
    meter::{self, Abilities, Api, Exposure, Method, Piece, Script},
    policy::Verdict,
    sync::{Arc, Mutex, lock},
    value::{Money, Usage},
};

/// Room for an answer beside the thinking a request sets aside.
const BESIDE_THINKING: u64 = 1_024;
/// How long a request waits for money that other calls hold, where nobody said: holds of agents
/// that run side by side are mostly given back within an answer's time.
const WAIT_MS: u64 = 30_000;

/// What the caller knows about one request beside its body.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each holds of a request or does not")]
pub struct Terms {
    /// The most it can cost, by the caller's own word.
    pub max_usd: Option<Money>,
    /// The most input it can have, where the body does not show it all.
    pub max_input_tokens: Option<u64>,
    /// Wait so long for money that other calls hold.
    pub wait_ms: Option<u64>,
    /// The user input this call belongs to answering.
    pub turn: Option<String>,
    /// Is it the last call of its attempt? See [`Request::last`].
    pub is_last: bool,
    /// Does it go to a host that keeps it in a region? See [`meter::is_regional`].
    pub is_regional: bool,
    /// Does somebody above tell the breaker of the task what happens?
    pub is_watched: bool,
    /// Tell the model what is left of its budget when so many per cent of a limit are used, each once; in
    /// the last message of one request, which the caller does not keep. Not to a model that may hold
    /// its thinking against what was said before.
    pub tell_budget: Vec<u8>,
    /// Can whoever sends it send no other model? Then none of the task's `fallback` takes it.
    pub keeps_model: bool,
}

/// How an exchange without a response failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No byte of the request can have left.
    NotSent,
    /// It may have arrived, and nobody knows what became of it.
    Unknown,
}

/// A request that was read and bounded, and holds nothing; each of its HTTP attempts reserves.
pub struct Outgoing {
    task: Task,
    api: Api,
    request: Request,
    hashes: Hashes,
    facts: meter::Facts,
    exposure: Exposure,
    /// What it will teach; nothing where it can teach nothing.
    lesson: Option<Lesson>,
    /// The member of the body that has a word of ours in it.
    told: Option<Word>,
}

/// A member of a body with a word of ours in it, and the share of a limit that it tells of, if any.
type Word = (&'static str, Value, Option<u8>);

/// A request beside the body it was read from.
struct Read<'a> {
    outgoing: Outgoing,
    body: &'a Value,
    terms: &'a Terms,
}

impl Routable for Read<'_> {
    fn request(&self) -> &Request {
        &self.outgoing.request
    }

    fn asking(&self, model: &str) -> Result<Self> {
        let mut body = self.body.clone();
        body["model"] = model.into();
        let Outgoing { task, api, .. } = &self.outgoing;
        let mut outgoing = task.read(*api, &body, self.terms)?;
        let (own, other) = (&self.outgoing.facts, &outgoing.facts);
        let remarks = [(&own.unbounded, &other.unbounded), (&own.unpriced, &other.unpriced)];
        if let Some(why) =
            remarks.into_iter().find_map(|(own, other)| other.as_ref().filter(|_| own.is_none()))
        {
            return Err(Request::unbounded(why));
        }
        outgoing.request.facts.flags |= flag::ROUTED;
        outgoing.told.clone_from(&self.outgoing.told);
        Ok(Self { outgoing, ..*self })
    }

    fn is_open(&self) -> bool {
        meter::Request::is_open(self.outgoing.api, self.body)
    }

    fn needs(&self) -> Abilities {
        meter::Request::needs(self.outgoing.api, self.body)
    }

    fn needs_to_go_on(&self) -> Abilities {
        meter::Request::needs_to_go_on(self.outgoing.api, self.body)
    }

    fn cached_tokens(&self) -> u64 {
        self.outgoing.task.latest().compare(&self.outgoing.hashes).tokens
    }
}

/// One HTTP attempt under a reservation.
pub struct Exchange {
    call: Call,
    api: Api,
    patch: Vec<(&'static str, Value)>,
    exposure: Exposure,
    choices: u64,
    stream: Mutex<Option<Stream>>,
    unknown_fields: Mutex<Vec<String>>,
}

impl Task {
    /// Reserves for a request to be sent once, read from its JSON body.
    ///
    /// # Errors
    ///
    /// As [`outgoing`](Self::outgoing) and [`Outgoing::reserve`].
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
        self.outgoing(api, body, terms)?.reserve(None)
    }

    /// Reads a request from its JSON body, and counts it, once for all its HTTP attempts.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: the body is no such request.
    /// * `Unbounded`: under a hard limit on money, it asks for what nobody can bound.
    /// * `Unsupported`: under a hard limit on money, its response would not say what it used.
    /// * `BreakerTripped`, `ApprovalRequired`: the task is watched, and goes in circles by what is new in
    ///   the request.
    pub fn outgoing(&self, api: Api, body: &[u8], terms: &Terms) -> Result<Outgoing> {
        let mut body: Value = serde_json::from_slice(body)
            .map_err(|error| Error::invalid(format!("the request is no JSON: {error}")))?;
        let told = self.word(api, &mut body, terms)?;
        let outgoing = Outgoing { told, ..self.read(api, &body, terms)? };
        if self.fallback().is_none() || terms.keeps_model {
            return Ok(outgoing);
        }
        let ledger = self.ledger().current()?;
        let now = ledger.now();
        self.routed(&ledger, Read { outgoing, body: &body, terms }, now).map(|read| read.outgoing)
    }

    /// Asks the breaker that watches it, and tells what is left; the member of the body that has a word
    /// of either in it.
    fn word(&self, api: Api, body: &mut Value, terms: &Terms) -> Result<Option<Word>> {
        let mut changed = None;
        if let Some(watch) = self.watch() {
            let now = self.ledger().current()?.now();
            let (no, is_told) = (self.no(), terms.is_watched);
            let asked = watch.go_on().and_then(|()| watch.ask(api, body, now, no, is_told));
            self.note_stop(&asked);
            changed = asked?;
        }
        let left = self.tell_budget(api, body, &terms.tell_budget)?;
        let share = left.map(|(_, share)| share);
        let changed = left.map(|(member, _)| member).or(changed);
        Ok(changed.map(|member| (member, body[member].clone(), share)))
    }

    fn read(&self, api: Api, body: &Value, terms: &Terms) -> Result<Outgoing> {
        let ledger = self.ledger().current()?;
        let named = meter::Request::model(body)?;
        let model = ledger.model(Asked::plain(named), ledger.now())?;
        let price = model.price().ok();
        let mut count = |encoding, text: &str| ledger.memo().count(encoding, text);
        let mut read = meter::Request::read_with(api, body, price.map(Arc::as_ref), &mut count)?;
        if ledger.config().stream_usage == StreamUsage::Leave {
            read.facts.leave_stream_options();
        }
        self.check_terms(&read.facts, terms)?;
        let hashes = self.latest().hashes(&read.messages);
        let provider = price.map_or("", |price| &*price.provider);
        let lesson = if is_counted(&read.facts, terms) {
            calibrated(self, &ledger, provider, &mut read, &hashes)?
        } else {
            None
        };

        let facts = &read.facts;
        let mut exposure = facts.exposure();
        if ledger.config().bound == Bound::Strict {
            exposure.input_tokens = facts.strict_input_tokens;
        }
        exposure.input_tokens = terms.max_input_tokens.unwrap_or(exposure.input_tokens);
        // Of a host, models without such a price cost there what they cost elsewhere.
        let has_price = price.is_some_and(|price| price.regional_per_mille.is_some());
        exposure.is_regional |= terms.is_regional && has_price;
        let mut request = Request::model(named).exposure(exposure).choices(facts.choices);
        request.max_output_tokens = facts.max_output_tokens;
        request.least_output = facts.thinking_budget.map(|budget| budget.saturating_add(BESIDE_THINKING));
        request.no_output = facts.patch(Some(1)).is_empty() && facts.max_output_tokens.is_none();
        request.max_usd = terms.max_usd;
        request.wait_ms = terms.wait_ms.or(self.wait_ms()).or(Some(WAIT_MS));
        request.turn.clone_from(&terms.turn);
        request.is_last = terms.is_last;
        request.facts = facts_of(&ledger, &read, terms);
        request.facts.flags |= lesson.as_ref().map_or(0, |lesson| flag_of(lesson.script));
        request.tools = (!facts.tools.is_empty()).then(|| facts.tools.join(",").into());
        request.is_read = true;
        let task = self.clone();
        Ok(Outgoing { task, api, request, hashes, facts: read.facts, exposure, lesson, told: None })
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
}

/// Is the bound of its input our count of all of it?
fn is_counted(facts: &meter::Facts, terms: &Terms) -> bool {
    terms.max_input_tokens.is_none() && facts.unbounded.is_none()
}

/// Bounds the input by what is learned about such requests; gives what this one will teach.
fn calibrated(
    task: &Task,
    ledger: &Ledger,
    provider: &str,
    read: &mut meter::Request<'_>,
    hashes: &Hashes,
) -> Result<Option<Lesson>> {
    let facts = &mut read.facts;
    if matches!(facts.input.method, Method::Exact | Method::Ceiling) {
        return Ok(None);
    }
    let Some(kind) = ledger.learned(provider, &facts.model, !facts.tools.is_empty())? else {
        return Ok(None);
    };
    let known = task.latest().known(hashes, &kind);
    let mut left = known.map_or(0, |known| known.counted_tokens);
    let new = read.messages.iter().skip_while(|message| {
        let is_known = left > 0;
        left = left.saturating_sub(message.counted_tokens);
        is_known
    });
    let script = Script::of(new.flat_map(|message| &message.pieces).map(Piece::content));
    facts.input = lock(&kind).bound(facts.input, known, Some(script));
    let (hashes, counted_tokens) = (Arc::clone(hashes), facts.input.counted_tokens);
    Ok(facts.input.teaches().then_some(Lesson { kind, counted_tokens, known, script, hashes }))
}

fn facts_of(ledger: &Ledger, read: &meter::Request<'_>, terms: &Terms) -> commit::Facts {
    let facts = &read.facts;
    let texts: Vec<&[u8]> = read
        .messages
        .iter()
        .flat_map(|message| {
            let pieces = message.pieces.iter().map(|piece| piece.content().as_bytes());
            std::iter::once(message.role.as_bytes()).chain(pieces)
        })
        .collect();
    let mut flags = if facts.stream { flag::STREAMED } else { 0 };
    let counted = is_counted(facts, terms);
    flags |= if counted { flags_of(&facts.input) } else { 0 };
    commit::Facts {
        flags,
        counted_tokens: if counted { facts.input.counted_tokens } else { 0 },
        request_hash: ledger.keyed_hash(&texts),
        message_count: facts.message_count,
        tool_definition_tokens: facts.tool_definition_tokens,
        ..commit::Facts::default()
    }
}

impl Outgoing {
    /// How long an attempt of it waits for money that other calls hold, in milliseconds.
    pub fn wait_ms(&self) -> u64 {
        self.request.wait_ms.unwrap_or(0)
    }

    /// Reserves for one attempt; waits for money that other calls hold, or for `wait_ms`.
    ///
    /// # Errors
    ///
    /// As [`Task::reserve`].
    pub fn reserve(&self, wait_ms: Option<u64>) -> Result<Exchange> {
        let mut request = self.request_now();
        request.wait_ms = wait_ms.or(request.wait_ms);
        self.task.reserve(&request).map(|call| self.held(call))
    }

    /// Reserves for one attempt without waiting; nothing if only money that other calls hold is in
    /// the way: ask again.
    ///
    /// # Errors
    ///
    /// As [`Task::reserve`].
    ///
    /// ```
    /// use outlay::{Ledger, Limit, meter::Api, run::exchange::Terms};
    ///
    /// let task = Ledger::in_memory().task("t", [Limit::usd("0.05")?])?;
    /// let body = br#"{"model": "gpt-4o", "max_tokens": 4000, "messages": []}"#;
    /// let outgoing = task.outgoing(Api::OpenAiChat, body, &Terms::default())?;
    /// let first = outgoing.poll()?.expect("nothing else is held");
    /// assert!(outgoing.poll()?.is_none() && task.stopped().is_none());
    /// # let _ = first;
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn poll(&self) -> Result<Option<Exchange>> {
        let mut request = self.request_now();
        request.wait_ms = Some(0);
        Ok(self.task.poll(&request)?.map(|call| self.held(call)))
    }

    fn request_now(&self) -> Request {
        let mut request = self.request.clone();
        let prefix = self.task.latest().compare(&self.hashes);
        let known = self.lesson.as_ref().and_then(|lesson| lesson.known);
        let known = known.filter(|known| known.counted_tokens == prefix.tokens);
        request.facts.known_tokens = known.map_or(0, |known| known.tokens);
        request.facts.prefix = prefix;
        request
    }

    fn held(&self, call: Call) -> Exchange {
        self.task.latest().replace(&self.hashes);
        call.set_sent(false);
        let Self { api, facts, exposure, .. } = self;
        call.set_lesson(self.lesson.clone());
        let chosen = call.max_output_tokens();
        let unchanged = facts.max_output_tokens == Some(chosen);
        let mut patch = facts.patch((!unchanged && !self.request.no_output).then_some(chosen));
        if let Some((member, told, share)) = &self.told {
            patch.push((*member, told.clone()));
            if let Some(share) = share {
                self.task.told().reach(*share);
            }
        }
        if self.request.facts.flags & flag::ROUTED != 0 {
            patch.push(("model", self.request.model.as_str().into()));
        }
        let stream = facts.stream.then(|| Stream::new(*api, facts, &call, exposure));
        let (choices, stream) = (facts.choices, Mutex::new(stream));
        let unknown_fields = Mutex::default();
        Exchange { call, api: *api, patch, exposure: *exposure, choices, stream, unknown_fields }
    }
}

impl Exchange {
    /// The call behind it.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The protocol it speaks.
    pub fn api(&self) -> Api {
        self.api
    }

    /// The top-level fields to set in the body: the maximum of output, the usage of the stream, the model
    /// where a cheaper one takes the call, and the conversation where the breaker has a word for it.
    pub fn patch(&self) -> &[(&'static str, Value)] {
        &self.patch
    }

    /// What the usage it was settled by has beside what we know, by path: perhaps billed, not charged.
    /// Taken: a second look finds nothing.
    pub fn take_unknown_fields(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.unknown_fields))
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
        if let Some(extracted) = extracted
            && let Some(usage) = extracted.usage
        {
            let of_capacity = self.api == Api::AnthropicMessages;
            let tier = self.exposure.service_tier.told(of_capacity, extracted.service_tier.as_deref());
            match self.call.settle_as(&usage, Some(&extracted), tier, 0) {
                // A usage that cannot be, or a tier nobody has a price of.
                Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unpriced) => {}
                result => {
                    *lock(&self.unknown_fields) = extracted.unknown_fields;
                    return result;
                }
            }
        }
        let output = self.call.max_output_tokens().saturating_mul(self.choices);
        self.call.settle_reserved(&Usage::tokens(self.exposure.input_tokens, output), 0)
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
    /// * `BudgetExceeded`: the reservation is used up, whatever comes after.
    /// * `Halted`: somebody halted a scope the task lies in, less than a second ago.
    /// * `BreakerTripped`, `ApprovalRequired`: the task is watched, and the answer goes in circles.
    ///
    /// The call is settled then: stop reading, and close the connection.
    pub fn push(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut stream = lock(&self.stream);
        let Some(reading) = stream.as_mut() else {
            out.extend_from_slice(bytes);
            return Ok(());
        };
        let mut error = reading.halted(self.call.task());
        if error.is_none() && !reading.push(bytes, out) {
            error = Some(reading.exceeded(&self.call));
        }
        let heard = reading.take_heard();
        drop(stream);
        if let Some(tripped) = self.heard(&heard) {
            if let Some(reading) = lock(&self.stream).as_mut() {
                reading.cut();
            }
            error = Some(tripped);
        }
        let Some(error) = error else { return Ok(()) };
        self.call.task().stop(&error);
        // If the ledger cannot answer now, the reader must stop all the same; a later end retries.
        let _ = self.ended();
        Err(error)
    }

    /// Takes the end of the bytes of a streamed response; `out` gets what was still kept back.
    pub fn rest(&self, out: &mut Vec<u8>) {
        let mut heard = Vec::new();
        if let Some(reading) = lock(&self.stream).as_mut() {
            reading.finish(out);
            heard = reading.take_heard();
        }
        // Nothing is left to be cut short; the next call of a run that is stopped is refused.
        let _ = self.heard(&heard);
    }

    /// Records what the breaker says to the stream, which is not locked then: that may call handlers of
    /// alerts, who may ask for it.
    fn heard(&self, verdicts: &[Verdict]) -> Option<Error> {
        self.call.task().watch()?.heard(verdicts)
    }

    /// Ends a streamed response, read to its end or not. Only the first end counts.
    ///
    /// With the provider's final usage it is settled exactly. Without, but whole, at the upper count
    /// of its text, never above the reservation. Left before its end, or where output may have been
    /// hidden, at the most it can have cost: a provider bills what it had sent, read or not.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer; the call is still open and held.
    pub fn ended(&self) -> Result<()> {
        let Some(mut stream) = lock(&self.stream).take() else { return Ok(()) };
        if self.call.outcome().is_some() {
            return Ok(());
        }
        let result = stream.settle(&self.call, flag::STREAMED);
        *lock(&self.unknown_fields) = stream.unknown_fields();
        if result.is_err() {
            // Still open: a later end may have more luck.
            *lock(&self.stream) = Some(stream);
        }
        result.map(drop)
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Exchange({}, {:?})", self.api.code(), self.call)
    }
}
