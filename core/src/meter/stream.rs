//! What does a stream say while it comes?
//!
//! A [`StreamReader`] is fed the bytes of a server-sent event stream in whatever pieces they come,
//! and gives the texts to count, the usage, and whether the provider said it was done. It never
//! changes what it hands on, but for one event: the usage that was asked for on the caller's behalf
//! is kept back. What it gives does not depend on how the bytes were cut.
//!
//! ```
//! use outlay::{Usage, meter::{Api, StreamReader}};
//!
//! let mut reader = StreamReader::new(Api::OpenAiChat, true);
//! let mut handed_on = Vec::new();
//! reader.push(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel", &mut handed_on)?;
//! reader.push(b"lo\"}}]}\n\n", &mut handed_on)?;
//! assert_eq!(reader.deltas().next().unwrap().text, "Hello");
//! let usage = br#"data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
//! reader.push(usage, &mut handed_on)?;
//! reader.push(b"\n\n", &mut handed_on)?;
//! reader.push(b"data: [DONE]\n\n", &mut handed_on)?;
//! assert_eq!(reader.usage()?.unwrap().usage, Some(Usage::tokens(3, 1)));
//! assert!(reader.is_finished() && !String::from_utf8_lossy(&handed_on).contains("usage"));
//! # Ok::<(), outlay::Error>(())
//! ```

mod events;
mod sse;

use serde_json::Value;

use super::{
    api::Api,
    extract::{Extracted, usage, usage_apart},
    json::{self, Object},
};
use crate::error::{Error, Result};
use events::Verdict;
use sse::Decoder;

/// Which of the texts of a stream: each is tokenized by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The choice, or the item of the output.
    pub choice: u64,
    /// The part of it.
    pub part: u64,
}

/// Text that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Where it belongs.
    pub lane: Lane,
    /// What it adds there.
    pub text: String,
}

/// Reads one stream.
#[derive(Debug)]
pub struct StreamReader {
    api: Api,
    hide_usage: bool,
    decoder: Decoder,
    state: State,
}

/// What the events said so far.
#[derive(Debug, Default)]
struct State {
    deltas: Vec<Delta>,
    model: Option<String>,
    /// The usage as the events gave it, put together.
    usage: Option<Object>,
    /// The response it stands in, where that matters to its meaning.
    output: Option<Value>,
    /// Searches that Gemini says it ran, in one of the events.
    searches: u64,
    usage_is_final: bool,
    finished: bool,
    /// Candidates of Gemini that have begun, and those that have ended: a bit each.
    candidates: [u64; 2],
    error: Option<String>,
    unreadable_events: u64,
}

impl StreamReader {
    /// A reader that has seen nothing; `hide_usage` keeps back the event that only tells the usage.
    pub fn new(api: Api, hide_usage: bool) -> Self {
        let hide_usage = hide_usage && api.spoken() == Api::OpenAiChat;
        Self { api, hide_usage, decoder: Decoder::default(), state: State::default() }
    }

    /// Takes the next bytes, and appends to `out` those to hand on: all of them at once, or only
    /// whole events where one of them is to be kept back.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: one event is larger than 8 MiB. From then on all bytes are handed on unread.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        if !self.hide_usage {
            out.extend_from_slice(bytes);
        }
        let Self { api, hide_usage, decoder, state } = self;
        decoder.push(bytes, &mut |raw, data| hand_on(*hide_usage, raw, state.event(*api, data), out))
    }

    /// Takes the end of the stream: an event without its blank line still counts.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        let Self { api, hide_usage, decoder, state } = self;
        decoder.end(&mut |raw, data| hand_on(*hide_usage, raw, state.event(*api, data), out));
    }

    /// The texts that came since they were last taken, in their order.
    pub fn deltas(&mut self) -> impl Iterator<Item = Delta> {
        self.state.deltas.drain(..)
    }

    /// The final usage, once it came.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: it came and cannot be; the message names the field.
    pub fn usage(&self) -> Result<Option<Extracted>> {
        if !self.state.usage_is_final {
            return Ok(None);
        }
        self.state.extracted(self.api).transpose()
    }

    /// The usage known so far, final or not: a protocol may tell the input at the beginning.
    pub fn usage_so_far(&self) -> Option<Extracted> {
        self.state.extracted(self.api)?.ok()
    }

    /// Did the provider say that it was done?
    pub fn is_finished(&self) -> bool {
        self.state.finished
    }

    /// The error the provider sent into the stream, if any.
    pub fn error(&self) -> Option<&str> {
        self.state.error.as_deref()
    }

    /// The model that answers, once known.
    pub fn model(&self) -> Option<&str> {
        self.state.model.as_deref()
    }

    /// How many events could not be read; their text was not counted.
    pub fn unreadable_events(&self) -> u64 {
        self.state.unreadable_events
    }
}

fn hand_on(hide_usage: bool, raw: &[u8], verdict: Verdict, out: &mut Vec<u8>) -> bool {
    let kept = hide_usage && verdict == Verdict::OnlyUsage;
    if hide_usage && !kept {
        out.extend_from_slice(raw);
    }
    kept
}

/// Reads the usage of a stream from its events, as a client gives them.
///
/// By the rule of the protocol: of cumulative usages the last is taken, of the others the sum. A
/// stream that broke off before its final usage has none.
///
/// # Errors
///
/// `InvalidInput`: an event is no object, or the usage cannot be; the message names the field.
///
/// ```
/// use outlay::{Usage, meter::{Api, usage_of_events}};
///
/// let begun = serde_json::json!({"usage": {"input_tokens": 9, "output_tokens": 1}});
/// let events = [
///     serde_json::json!({"type": "message_start", "message": begun}),
///     serde_json::json!({"type": "message_delta", "usage": {"output_tokens": 40}}),
/// ];
/// let extracted = usage_of_events(Api::AnthropicMessages, &events)?;
/// assert_eq!(extracted.usage, Some(Usage::tokens(9, 40)));
/// assert_eq!(usage_of_events(Api::AnthropicMessages, &events[..1])?.usage, None);
/// # Ok::<(), outlay::Error>(())
/// ```
pub fn usage_of_events(api: Api, events: &[Value]) -> Result<Extracted> {
    let mut state = State::default();
    for event in events {
        state.take(api, json::object(event, "an event")?);
        state.deltas.clear();
    }
    if !state.usage_is_final {
        return Ok(Extracted { model: state.model, ..Extracted::default() });
    }
    state.extracted(api).unwrap_or_else(|| Ok(Extracted::default()))
}

/// Reads the usage from JSON text: of a whole response, or of the list of a stream's events.
///
/// # Errors
///
/// `InvalidInput`: the text is neither, or the usage cannot be; the message names the field.
pub fn usage_of_text(api: Api, text: &str) -> Result<Extracted> {
    match serde_json::from_str(text) {
        Ok(Value::Array(events)) => usage_of_events(api, &events),
        Ok(body) => usage(api, &body),
        Err(error) => Err(Error::invalid(format!("the response is no JSON: {error}"))),
    }
}

impl State {
    /// The usage in the form of a whole response.
    fn extracted(&self, api: Api) -> Option<Result<Extracted>> {
        let mut body = Object::new();
        if let Some(output) = &self.output {
            body.insert("output".to_owned(), output.clone());
        }
        let told = usage_apart(api, self.usage.as_ref()?, self.model.as_deref(), &body);
        Some(told.map(|mut told| {
            if let Some(usage) = &mut told.usage {
                usage.web_searches = usage.web_searches.max(self.searches);
            }
            told
        }))
    }
}

#[cfg(test)]
mod tests;
