//! What is asked for, and what can it cost at most?
//!
//! A [`Request`] is read from the body a client is about to send: the model, an upper bound of its
//! input, the most output it allows, and all that can make it dearer. What no body can tell (text
//! kept by the provider, files, searches without a cap) is said in [`Facts::unbounded`], never
//! guessed. The defaults for a missing maximum are not decided here.
//!
//! ```
//! use outlay::meter::{Api, Method, Request};
//!
//! let body = serde_json::json!({
//!     "model": "gpt-4o",
//!     "messages": [{"role": "user", "content": "hello world"}],
//!     "max_tokens": 100,
//! });
//! let price = outlay::meter::PriceBook::bundled().find(None, Request::model(&body)?, 0)?;
//! let facts = Request::read(Api::OpenAiChat, &body, Some(&price))?.facts;
//! assert_eq!((facts.input.tokens, facts.input.method), (9, Method::Exact));
//! assert_eq!(facts.max_output_tokens, Some(100));
//! # Ok::<(), outlay::Error>(())
//! ```

mod anthropic;
mod chat;
mod gemini;
mod media;
mod namespace;
mod needs;
pub(crate) mod newest;
mod prompt;
mod responses;
mod simple;
mod tools;
mod turn;

use serde_json::{Value, json};

pub use prompt::{Message, Piece};

use super::{
    api::Api,
    json::{self, Object},
    price::{Abilities, Ability, CacheWrite, Exposure, Media, ModelPrice, ServiceTier},
    tokens::{self, Count, Encoding},
};
use crate::error::{Error, ErrorKind, Result};
use prompt::Reading;

/// How an input bound came about; the better ways are less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// The provider's own tokenizer and its published frames: the billed count.
    Exact,
    /// Counted by a published reconstruction: of Claude's tokenizer, with a margin for frames nobody
    /// has published, or of how functions are shown to an OpenAI model.
    Reconstructed,
    /// Counted with the nearest tokenizer and enlarged by a prior: replace it by what was learned.
    Calibrated,
    /// Some of it could only be bounded by its length in bytes or by the model's window.
    Ceiling,
}

impl Method {
    /// Its name as reports say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Reconstructed => "reconstructed",
            Self::Calibrated => "calibrated",
            Self::Ceiling => "ceiling",
        }
    }
}

/// An upper bound of a request's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputBound {
    /// The bound, in the provider's tokens.
    pub tokens: u64,
    /// What was counted here, before the prior and any margin.
    pub counted_tokens: u64,
    /// Of them such as could only be bounded: media, sealed text. No ratio belongs on these.
    pub fixed_tokens: u64,
    /// How good it is.
    pub method: Method,
}

impl InputBound {
    /// Does what the provider counts for it tell how good our count was?
    pub const fn teaches(&self) -> bool {
        self.fixed_tokens == 0 && matches!(self.method, Method::Calibrated | Method::Reconstructed)
    }

    /// The bound by what such counts have turned out to be, in per mille.
    ///
    /// It takes the place of a prior. A margin over a reconstruction is only ever raised by it. What
    /// is exact stays, and so does a ceiling.
    ///
    /// ```
    /// use outlay::meter::{InputBound, Method};
    ///
    /// let method = Method::Calibrated;
    /// let prior = InputBound { tokens: 170, counted_tokens: 100, fixed_tokens: 0, method };
    /// assert_eq!(prior.learned(1_110).tokens, 111);
    /// let exact = InputBound { tokens: 100, method: Method::Exact, ..prior };
    /// assert_eq!(exact.learned(1_110), exact);
    /// ```
    #[must_use]
    pub fn learned(self, per_mille: u64) -> Self {
        let text = u128::from(self.counted_tokens - self.fixed_tokens) * u128::from(per_mille);
        let learned =
            u64::try_from(text.div_ceil(1_000)).unwrap_or(u64::MAX).saturating_add(self.fixed_tokens);
        let tokens = match self.method {
            Method::Calibrated => learned,
            Method::Reconstructed => learned.max(self.tokens),
            Method::Exact | Method::Ceiling => self.tokens,
        };
        Self { tokens, ..self }
    }
}

/// What a request says about its cost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a request asks for each of these or does not")]
pub struct Facts {
    /// The model it names.
    pub model: String,
    /// The most input it can be billed for, searches included.
    pub input: InputBound,
    /// The same if every byte of text were a token, which no tokenizer in use passes.
    pub strict_input_tokens: u64,
    /// The most output tokens of one choice, if it gives a maximum.
    pub max_output_tokens: Option<u64>,
    /// How many answers it wants; output is billed for each.
    pub choices: u64,
    /// Does it want a stream?
    pub stream: bool,
    /// Does it ask itself for the usage at the end of the stream?
    pub include_usage: bool,
    /// The service tier it names.
    pub service_tier: ServiceTier,
    /// Does it name a region it must stay in?
    pub is_regional: bool,
    /// The cache writes it asks for.
    pub cache_write: CacheWrite,
    /// The most searches it lets the provider run; nothing if none.
    pub web_searches_max: Option<u64>,
    /// What its input may hold beside text.
    pub input_media: Media,
    /// What its output may hold beside text.
    pub output_media: Media,
    /// Tokens of the output it sets aside for thinking.
    pub thinking_budget: Option<u64>,
    /// Why its worst case cannot be known, if so.
    pub unbounded: Option<String>,
    /// Why its price is not the listed one, if so.
    pub unpriced: Option<String>,
    /// Why its usage cannot be read from the response, if so.
    pub unsupported: Option<String>,
    /// How many messages it holds, system text and tools aside.
    pub message_count: u32,
    /// Counted tokens of its tool definitions.
    pub tool_definition_tokens: u64,
    /// The names of its tools, in their order.
    pub tools: Vec<String>,
    /// May output be billed that the caller does not see, such as reasoning?
    pub has_hidden_output: bool,
    patch: Patch,
}

/// Where the maximum of output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Patch {
    output_keys: Vec<&'static str>,
    /// The field that holds these, and what else the caller set in it; none if they stand by themselves.
    within: Option<(&'static str, Object)>,
    stream_options: Option<Value>,
}

impl Facts {
    /// What the request exposes its payer to.
    pub fn exposure(&self) -> Exposure {
        Exposure {
            input_tokens: self.input.tokens,
            cache_write: self.cache_write,
            web_searches: self.web_searches_max.unwrap_or(0),
            input_media: self.input_media,
            output_media: self.output_media,
            service_tier: self.service_tier,
            is_regional: self.is_regional,
        }
    }

    /// Leaves the options of a stream as the caller set them: what usage comes is for the caller too.
    pub(crate) fn leave_stream_options(&mut self) {
        self.patch.stream_options = None;
        self.include_usage = true;
    }

    /// The top-level fields to set so that the request holds to `max_output_tokens` per choice, and
    /// its stream ends with the usage.
    ///
    /// ```
    /// use outlay::meter::{Api, Request};
    ///
    /// let body = serde_json::json!({"model": "gpt-4o", "messages": [], "stream": true});
    /// let facts = Request::read(Api::OpenAiChat, &body, None)?.facts;
    /// let patch = facts.patch(Some(256));
    /// assert_eq!(patch[0], ("max_tokens", 256.into()));
    /// assert_eq!(patch[1], ("stream_options", serde_json::json!({"include_usage": true})));
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn patch(&self, max_output_tokens: Option<u64>) -> Vec<(&'static str, Value)> {
        let Patch { output_keys, within, stream_options } = &self.patch;
        let mut fields: Vec<(&'static str, Value)> = Vec::new();
        if let Some(most) = max_output_tokens {
            let set = output_keys.iter().map(|key| (*key, most));
            match within.clone() {
                None => fields.extend(set.map(|(key, most)| (key, most.into()))),
                Some((holder, mut object)) => {
                    object.extend(set.map(|(key, most)| (key.to_owned(), most.into())));
                    fields.push((holder, object.into()));
                }
            }
        }
        fields.extend(stream_options.clone().map(|options| ("stream_options", options)));
        fields
    }
}

/// A request that was read.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// What it says about its cost.
    pub facts: Facts,
    /// What the model will read, in the order in which a provider caches it: tools, system text,
    /// messages.
    pub messages: Vec<Message<'a>>,
}

impl<'a> Request<'a> {
    /// The model a body names.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: no object, or no model.
    pub fn model(body: &Value) -> Result<&str> {
        let named = json::text(json::object(body, "the request")?, "model")?;
        named.filter(|model| !model.is_empty()).ok_or_else(|| Error::invalid("the request names no model"))
    }

    /// Is the model in the middle of something, so that no other could go on with the conversation?
    ///
    /// A call of a tool waits for its result, reasoning only this model can read belongs to the turn,
    /// or the body does not show all that was said.
    ///
    /// ```
    /// use outlay::meter::{Api, Request};
    ///
    /// let body = serde_json::json!({"messages": [{"role": "user", "content": "hello"}]});
    /// assert!(!Request::is_open(Api::OpenAiChat, &body));
    /// ```
    pub fn is_open(api: Api, body: &Value) -> bool {
        turn::is_open(api.spoken(), body)
    }

    /// What a model must be able to take to answer the request.
    ///
    /// ```
    /// use outlay::meter::{Abilities, Ability, Api, Request};
    ///
    /// let body = serde_json::json!({"messages": [{"role": "user", "content": "hello"}], "temperature": 0});
    /// let needs = [Ability::Chat, Ability::Sampling].into_iter().collect::<Abilities>();
    /// assert_eq!(Request::needs(Api::OpenAiChat, &body), needs);
    /// ```
    pub fn needs(api: Api, body: &Value) -> Abilities {
        let (of_request, of_answers) = needs::of(api.spoken(), body);
        of_request.with(of_answers)
    }

    /// The same of a model that has given answers of the conversation: those are no strangers to it.
    pub(crate) fn needs_to_go_on(api: Api, body: &Value) -> Abilities {
        let (of_request, of_answers) = needs::of(api.spoken(), body);
        of_request.with(of_answers.without(Ability::Other))
    }

    /// Reads a body; `price` is what is known of its model.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: no such request; the message names the field.
    pub fn read(api: Api, body: &'a Value, price: Option<&ModelPrice>) -> Result<Self> {
        Self::read_with(api, body, price, &mut tokens::count)
    }

    /// Reads a body and counts its texts with `count`, which may remember texts it has seen.
    pub fn read_with(
        api: Api,
        body: &'a Value,
        price: Option<&ModelPrice>,
        count: &mut dyn FnMut(Encoding, &str) -> Count,
    ) -> Result<Self> {
        let object = json::object(body, "the request")?;
        let mut reading = Reading::new(Self::model(body)?, price);
        let api = api.spoken();
        match api {
            Api::OpenAiChat => chat::read(object, &mut reading)?,
            Api::OpenAiResponses => responses::read(object, &mut reading)?,
            Api::OpenAiEmbeddings => simple::embeddings(object, &mut reading)?,
            Api::OpenAiImages => simple::images(object, &mut reading)?,
            Api::AnthropicMessages => anthropic::read(object, &mut reading)?,
            Api::GeminiGenerate => gemini::read(object, &mut reading)?,
            other => {
                let message = format!("requests of `{other}` cannot be bounded yet");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        }
        let service_tier = json::text(object, "service_tier")?.or(json::text(object, "serviceTier")?);
        reading.price_terms(api, object, service_tier)?;
        let input = reading.bound(count);
        let facts = Facts {
            model: Self::model(body)?.to_owned(),
            input,
            strict_input_tokens: reading.strict_tokens,
            max_output_tokens: reading.max_output_tokens,
            choices: reading.choices,
            stream: json::flag(object, "stream")?,
            include_usage: asks_for_usage(object)?,
            service_tier: reading.service_tier,
            is_regional: reading.is_regional,
            cache_write: reading.cache_write,
            web_searches_max: reading.web_searches,
            input_media: reading.input_media,
            output_media: reading.output_media,
            thinking_budget: reading.thinking_budget,
            unbounded: reading.unbounded,
            unpriced: reading.unpriced,
            unsupported: reading.unsupported,
            message_count: reading.messages.iter().filter(|message| message.counts()).count() as u32,
            tool_definition_tokens: reading.tool_definition_tokens,
            tools: reading.tools,
            has_hidden_output: reading.has_hidden_output || reading.output_media != Media::default(),
            patch: patch(api, object, price)?,
        };
        Ok(Self { facts, messages: reading.messages })
    }
}

/// What a body lists under a key.
fn list<'a>(body: &'a Value, key: &str) -> &'a [Value] {
    body[key].as_array().map_or(&[], Vec::as_slice)
}

fn asks_for_usage(object: &Object) -> Result<bool> {
    json::nested(object, "stream_options")?.map_or(Ok(false), |options| json::flag(options, "include_usage"))
}

fn patch(api: Api, object: &Object, price: Option<&ModelPrice>) -> Result<Patch> {
    let mut within = None;
    let output_keys = match api {
        Api::GeminiGenerate => match gemini::limits(object)? {
            Some((holder, config, maximum)) => {
                within = Some((holder, config));
                vec![maximum]
            }
            None => Vec::new(),
        },
        Api::OpenAiChat => chat_output_keys(object, price),
        Api::OpenAiResponses => vec!["max_output_tokens"],
        Api::AnthropicMessages => vec!["max_tokens"],
        _ => Vec::new(),
    };
    let wants = api == Api::OpenAiChat && json::flag(object, "stream")? && !asks_for_usage(object)?;
    let stream_options = wants.then(|| {
        let mut options = object.get("stream_options").filter(|options| options.is_object()).cloned();
        let options = options.get_or_insert_with(|| json!({}));
        options["include_usage"] = true.into();
        options.take()
    });
    Ok(Patch { output_keys, within, stream_options })
}

/// The caller's own field; else the one its model knows. Models that reason refuse the old field,
/// and servers that only imitate the protocol may not know the new one.
fn chat_output_keys(object: &Object, price: Option<&ModelPrice>) -> Vec<&'static str> {
    let keys = ["max_completion_tokens", "max_tokens"];
    let own: Vec<_> = keys.into_iter().filter(|key| json::given(object, key).is_some()).collect();
    if !own.is_empty() {
        return own;
    }
    let reasons = price.is_some_and(|price| price.reasoning);
    vec![if reasons { "max_completion_tokens" } else { "max_tokens" }]
}

#[cfg(test)]
mod tests;
