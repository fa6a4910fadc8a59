//! How far may this stream go, and what did it use?
//!
//! The text is counted as it comes. A stream is stopped only when the fewest tokens it can have
//! been are more than its reservation allows. One that ended without the provider's usage is settled
//! at the most it can have used: where the whole answer came, by the upper count of its text; else by
//! all it was allowed, since a provider bills what it had sent before it saw that nobody reads on.

use rustc_hash::FxHashMap;

use super::{
    call::{Call, Settled},
    task::Task,
    watch::Listener,
};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    ledger::flag,
    meter::{
        Api, Exposure, Facts, Lane, StreamReader,
        tokens::{Encoding, Streamed},
    },
    policy::Verdict,
    value::{Money, Usage},
};

/// Tokens an answer may have beyond its text: an end mark and a role.
const FRAME_TOKENS: u64 = 2;
/// Texts counted apart from each other: choices, tool calls, reasoning. More share the last one.
const LANES_MAX: usize = 1_024;
/// A tokenizer we only approximate, or that was reconstructed and never checked against its maker's,
/// may use half as many tokens as ours, hardly fewer. An answer cut too early is lost; one cut too
/// late only comes from a provider that ignores the maximum it was sent.
const APPROXIMATE_LOWEST_PER_MILLE: u64 = 500;
const EXACT_PER_MILLE: u64 = 1_000;

pub(super) struct Stream {
    api: Api,
    reader: StreamReader,
    lanes: FxHashMap<Lane, Streamed>,
    encoding: Encoding,
    prior_per_mille: u64,
    /// The most output tokens the reservation covers.
    allowed: u64,
    exposure: Exposure,
    /// May output be billed that a stream does not show?
    hidden_output: bool,
    unreadable: bool,
    cut: bool,
    /// Which rows of the ledger were looked through for a halt.
    looked: Option<i64>,
    listener: Option<Listener>,
}

impl Stream {
    pub fn new(api: Api, facts: &Facts, call: &Call, exposure: &Exposure) -> Self {
        let price = call.price().ok();
        let granted = call.max_output_tokens().saturating_mul(facts.choices);
        // Under the caller's own `max_usd` the money may be used up before the tokens are.
        let worst = price.and_then(|price| price.worst(exposure).ok());
        let affordable = worst.map(|worst| worst.affordable_output_tokens(call.reserved()).unwrap_or(0));
        Self {
            api,
            reader: StreamReader::new(api, !facts.include_usage),
            lanes: FxHashMap::default(),
            encoding: price.map_or(Encoding::O200k, |price| price.encoding),
            prior_per_mille: price.map_or(1_700, |price| u64::from(price.prior_per_mille)),
            allowed: affordable.unwrap_or(u64::MAX).min(granted.max(1)),
            exposure: *exposure,
            hidden_output: facts.has_hidden_output,
            unreadable: false,
            cut: false,
            looked: None,
            listener: call.task().watch().map(Listener::new),
        }
    }

    /// Takes the next bytes; false when the reservation is used up.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        if self.unreadable {
            out.extend_from_slice(bytes);
            return true;
        }
        // What cannot be read can still be handed on: it ends as a stream without usage.
        self.unreadable = self.reader.push(bytes, out).is_err();
        self.count();
        self.cut = self.lowest() > self.allowed;
        !self.cut
    }

    /// The error of a halt over its task since the last look; no more of it is to be read.
    pub fn halted(&mut self, task: &Task) -> Option<Error> {
        let halted = task.halted_since(&mut self.looked);
        self.cut |= halted.is_some();
        halted
    }

    /// What the breaker says to it, since the last look.
    pub fn take_heard(&mut self) -> Vec<Verdict> {
        self.listener.as_mut().map(Listener::take_heard).unwrap_or_default()
    }

    /// No more of it is to be read.
    pub fn cut(&mut self) {
        self.cut = true;
    }

    /// Hands on what was kept back.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.reader.end(out);
        self.count();
    }

    fn count(&mut self) {
        for delta in self.reader.deltas() {
            if let Some(listener) = &mut self.listener {
                listener.hear(&delta.text);
            }
            let lane = if self.lanes.len() < LANES_MAX { delta.lane } else { Lane { choice: 0, part: 0 } };
            let encoding = self.encoding;
            self.lanes.entry(lane).or_insert_with(|| Streamed::new(encoding)).push(&delta.text);
        }
    }

    fn lowest(&self) -> u64 {
        let counted: u64 = self.lanes.values().map(Streamed::lowest).sum();
        let exact = self.prior_per_mille == EXACT_PER_MILLE;
        counted * if exact { EXACT_PER_MILLE } else { APPROXIMATE_LOWEST_PER_MILLE } / EXACT_PER_MILLE
    }

    fn highest(&self) -> u64 {
        let counted: u64 = self.lanes.values().map(|text| text.tokens().tokens).sum();
        let enlarged = (counted * self.prior_per_mille).div_ceil(EXACT_PER_MILLE);
        enlarged + FRAME_TOKENS * self.lanes.len().max(1) as u64
    }

    /// Did all of the answer come, in a form that shows every token of it?
    fn is_whole(&self) -> bool {
        let unread = self.unreadable || self.reader.unreadable_events() > 0;
        self.reader.is_finished() && self.reader.error().is_none() && !unread && !self.hidden_output
    }

    /// Settles by the provider's final usage, or by what it can be at most.
    pub fn settle(&mut self, call: &Call, flags: u32) -> Result<Settled> {
        let flags = flags | if self.cut { flag::CUT } else { 0 };
        if let Ok(Some(extracted)) = self.reader.usage()
            && let Some(usage) = extracted.usage
        {
            let of_capacity = self.api == Api::AnthropicMessages;
            let tier = self.exposure.service_tier.told(of_capacity, extracted.service_tier.as_deref());
            match call.settle_as(&usage, Some(&extracted), tier, flags) {
                // A usage that cannot be, or a tier nobody has a price of.
                Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unpriced) => {}
                result => return result,
            }
        }
        let told = self.reader.usage_so_far().and_then(|extracted| extracted.usage);
        let output = if self.is_whole() {
            self.highest().max(told.map_or(0, |usage| usage.output_tokens)).min(self.allowed)
        } else {
            self.allowed
        };
        let at_most = Usage::tokens(self.exposure.input_tokens, output);
        let usage = told.map_or(at_most, |usage| Usage { output_tokens: output, ..usage });
        if self.unreadable || usage.check().is_err() {
            return call.settle_reserved(&at_most, flags);
        }
        let most = match (told, call.price()) {
            // More came than the reservation allowed.
            _ if self.cut => Ok(call.reserved()),
            // What the provider said of the input is exact, whatever the output turns out to be.
            (Some(_), Ok(price)) => {
                price.charge_served(&usage, self.exposure.service_tier).map(|charge| charge.amount)
            }
            (None, Ok(price)) => price.worst(&self.exposure).and_then(|worst| worst.amount(output)),
            (_, Err(error)) => Err(error),
        };
        let most = most.unwrap_or(call.reserved()).min(call.reserved());
        call.settle_estimated(&usage, most, self.reader.model(), flags)
    }

    /// What its final usage has beside what we know.
    pub fn unknown_fields(&self) -> Vec<String> {
        self.reader.usage().ok().flatten().map(|told| told.unknown_fields).unwrap_or_default()
    }

    /// The error of a stream that has used up its reservation.
    pub fn exceeded(&self, call: &Call) -> Error {
        let (lowest, allowed) = (self.lowest(), self.allowed);
        let message = format!(
            "this answer has used up its reservation of {}: {lowest} output tokens or more, {allowed} reserved",
            call.reserved()
        );
        let tokens = |count: u64| Field::Integer(i64::try_from(count).unwrap_or(i64::MAX));
        Error::new(ErrorKind::BudgetExceeded, message)
            .with("budget", Field::Text(format!("call `{}`", call.id())))
            .with("unit", Field::Text("usd".to_owned()))
            .with("limit", Field::Money(call.reserved()))
            .with("spent", Field::Money(call.reserved()))
            .with("pending", Field::Money(Money::ZERO))
            .with("requested", Field::Money(Money::ZERO))
            .with("affordable_output_tokens", Field::Integer(0))
            .with("output_tokens", tokens(lowest))
            .with("contended", Field::Flag(false))
            .with("window", Field::Text("life".to_owned()))
            .with("resets_at", Field::Absent)
    }
}
