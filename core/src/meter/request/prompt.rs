//! What will the model read, and how many tokens is it?
//!
//! Every protocol is read into the same form: messages of pieces, and remarks on what makes the
//! request dearer. Text is counted and enlarged by the model's prior; what is not text has a fixed
//! bound. The bound only ever errs upwards.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    super::{
        api::Api,
        json::{self, Object},
        price::{CacheWrite, Media, ModelPrice, ServiceTier},
        tokens::{self, Count, Encoding},
    },
    InputBound, Method,
    media::{self, Rule},
};
use crate::error::Result;

/// The prior of a tokenizer nobody knows.
const UNKNOWN_PRIOR_PER_MILLE: u32 = 1_700;
/// The prior of a model's own tokenizer.
const EXACT_PER_MILLE: u32 = 1_000;

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text the model reads.
    Text(Cow<'a, str>),
    /// Text only the provider can read, such as encrypted reasoning: at most a token a byte.
    Sealed(&'a str),
    /// An image: its address or its content, and the most tokens it can be.
    Image(&'a str, u64),
}

impl Piece<'_> {
    /// What tells it from another piece, for hashing.
    pub fn content(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Sealed(text) | Self::Image(text, _) => text,
        }
    }
}

/// A message, the system text or the tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Who speaks: the protocol's own word, `system` for system text, `tools` for tools.
    pub role: &'a str,
    /// What is said, in its order.
    pub pieces: Vec<Piece<'a>>,
    /// Tokens of its text and its frame as counted here, before any prior.
    pub counted_tokens: u64,
    frame_tokens: u64,
    margin_tokens: u64,
}

impl<'a> Message<'a> {
    pub(super) fn new(role: &'a str, frame_tokens: u64) -> Self {
        Self { role, pieces: Vec::new(), counted_tokens: 0, frame_tokens, margin_tokens: 0 }
    }

    pub(super) fn text(&mut self, text: &'a str) {
        self.pieces.push(Piece::Text(Cow::Borrowed(text)));
    }

    /// Adds a value as the JSON text it is sent as.
    pub(super) fn json(&mut self, value: &Value) {
        self.pieces.push(Piece::Text(Cow::Owned(value.to_string())));
    }

    pub(super) fn frame(&mut self, tokens: u64) {
        self.frame_tokens += tokens;
    }

    /// For what nobody has published: it enlarges the bound, not the count.
    pub(super) fn margin(&mut self, tokens: u64) {
        self.margin_tokens += tokens;
    }

    pub(super) fn unframe(&mut self, tokens: u64) {
        self.frame_tokens = self.frame_tokens.saturating_sub(tokens);
    }

    pub(super) fn counts(&self) -> bool {
        !matches!(self.role, "tools" | "format")
    }
}

/// A request while it is read.
pub(super) struct Reading<'a, 'p> {
    pub price: Option<&'p ModelPrice>,
    pub encoding: Encoding,
    prior_per_mille: u32,
    pub messages: Vec<Message<'a>>,
    /// Frames of the whole request.
    pub frame_tokens: u64,
    /// Tokens counted elsewhere.
    pub other_tokens: u64,
    /// Rounds of the model the provider may add on its own, each with up to a window of input.
    pub extra_rounds: u64,
    fills_window: bool,
    /// The bound if every byte of text were a token.
    pub strict_tokens: u64,
    pub frames: Frames,
    method: Method,
    pub max_output_tokens: Option<u64>,
    pub choices: u64,
    pub cache_write: CacheWrite,
    pub web_searches: Option<u64>,
    pub input_media: Media,
    pub output_media: Media,
    pub service_tier: ServiceTier,
    pub is_regional: bool,
    pub thinking_budget: Option<u64>,
    pub has_hidden_output: bool,
    pub tools: Vec<String>,
    pub tool_definition_tokens: u64,
    pub unbounded: Option<String>,
    pub unpriced: Option<String>,
    pub unsupported: Option<String>,
}

impl<'a, 'p> Reading<'a, 'p> {
    pub(super) fn new(model: &str, price: Option<&'p ModelPrice>) -> Self {
        let by_name = || tokens::family(model).unwrap_or((Encoding::O200k, UNKNOWN_PRIOR_PER_MILLE));
        let (encoding, prior_per_mille) =
            price.map_or_else(by_name, |price| (price.encoding, price.prior_per_mille));
        let frames = Frames::of(model, price, encoding, prior_per_mille);
        let method = match frames {
            _ if encoding.is_reconstructed() => Method::Reconstructed,
            Frames::Published | Frames::First if prior_per_mille == EXACT_PER_MILLE => Method::Exact,
            _ => Method::Calibrated,
        };
        Self {
            price,
            encoding,
            prior_per_mille,
            messages: Vec::new(),
            frame_tokens: 0,
            other_tokens: 0,
            extra_rounds: 0,
            fills_window: false,
            strict_tokens: 0,
            frames,
            method,
            max_output_tokens: None,
            choices: 1,
            cache_write: CacheWrite::None,
            web_searches: None,
            input_media: Media::default(),
            output_media: Media::default(),
            service_tier: ServiceTier::Standard,
            is_regional: false,
            thinking_budget: None,
            has_hidden_output: price.is_none_or(|price| price.reasoning),
            tools: Vec::new(),
            tool_definition_tokens: 0,
            unbounded: None,
            unpriced: None,
            unsupported: None,
        }
    }

    /// Remarks why the worst case cannot be known; the first reason stays.
    pub(super) fn unbounded(&mut self, reason: impl Into<String>) {
        self.unbounded.get_or_insert(reason.into());
    }

    /// Its text has no frames: the method is that of its tokenizer.
    pub(super) fn is_bare_text(&mut self) {
        if self.prior_per_mille == EXACT_PER_MILLE {
            self.method = Method::Exact;
        }
    }

    /// Some of its text is written in another way than it is given.
    pub(super) fn enlarge(&mut self, per_mille: u32) {
        self.prior_per_mille = self.prior_per_mille.max(per_mille);
    }

    /// Remarks how well some of the input can be counted; the worst stays.
    pub(super) fn no_better_than(&mut self, method: Method) {
        self.method = self.method.max(method);
    }

    /// A document sent along: at most the model's window.
    pub(super) fn document(&mut self) {
        (self.fills_window, self.input_media.image) = (true, true);
        if self.price.is_none_or(|price| price.context_window.is_none()) {
            self.unbounded("a document for a model of unknown window");
        }
    }

    /// A sound sent along.
    pub(super) fn sound(&mut self, data: &str) {
        self.no_better_than(Method::Calibrated);
        self.input_media.audio = true;
        self.other_tokens += media::sound_tokens(data);
    }

    /// An image of which only the address or the content is known.
    pub(super) fn image(&mut self, message: &mut Message<'a>, source: &'a str, low_detail: bool) {
        self.no_better_than(Method::Calibrated);
        self.input_media.image = true;
        let known = self.price.and_then(|price| price.image_tokens);
        let rule = if self.encoding.is_reconstructed() { Rule::Area } else { Rule::Tiles };
        let tokens = known.map_or(0, |known| media::image_tokens(rule, known, low_detail, source));
        if known.is_none() {
            self.unbounded("an image of unknown cost with this model");
        }
        message.pieces.push(Piece::Image(source, tokens));
    }

    /// Remarks what the request says about its price beyond tokens.
    pub(super) fn price_terms(&mut self, api: Api, object: &Object, tier: Option<&str>) -> Result<()> {
        for (named, what) in [(tier, "service tier"), (json::text(object, "speed")?, "speed")] {
            let Some(named) = named else { continue };
            let priced = |tier: &ServiceTier| self.price.is_none_or(|price| price.serves(*tier));
            match ServiceTier::read(named).filter(priced) {
                Some(ServiceTier::Standard) => {}
                Some(tier) if self.service_tier == ServiceTier::Standard => self.service_tier = tier,
                _ => {
                    self.unpriced.get_or_insert(format!("{what} `{named}` has a price of its own"));
                }
            }
        }
        if let Some(region) = json::text(object, "inference_geo")?.filter(|region| *region != "global") {
            self.is_regional = true;
            if self.price.is_some_and(|price| price.regional_per_mille.is_none()) {
                self.unpriced.get_or_insert(format!("region `{region}` has a price of its own"));
            }
        }
        if self.price.is_some_and(|price| price.unreported_searches) {
            self.unpriced.get_or_insert("its searches have a fee that the usage does not tell".to_owned());
        }
        if api == Api::OpenAiResponses && json::flag(object, "background")? {
            self.unsupported =
                Some("a response in the background tells its usage to another request".to_owned());
        }
        Ok(())
    }

    /// The bound of all that was read.
    pub(super) fn bound(&mut self, count: &mut dyn FnMut(Encoding, &str) -> Count) -> InputBound {
        let encoding = self.encoding;
        let prior = u64::from(self.prior_per_mille);
        let mut text = self.frame_tokens;
        let mut fixed = self.other_tokens;
        let (mut margin, mut left_bytes) = (0, 0);
        let mut ceiling = false;
        for message in &mut self.messages {
            let (mut own_text, mut own_fixed) = (message.frame_tokens, 0);
            for piece in &message.pieces {
                match piece {
                    Piece::Text(words) => {
                        let counted = count(encoding, words);
                        // A byte ceiling holds for every tokenizer; no prior belongs on it.
                        *if counted.exact { &mut own_text } else { &mut own_fixed } += counted.tokens;
                        ceiling |= !counted.exact;
                        left_bytes += (words.len() as u64).saturating_sub(counted.tokens);
                    }
                    Piece::Sealed(words) => {
                        own_fixed += words.len() as u64;
                        ceiling = true;
                    }
                    Piece::Image(_, tokens) => own_fixed += tokens,
                }
            }
            message.counted_tokens = own_text + own_fixed;
            if message.role == "tools" {
                self.tool_definition_tokens += message.counted_tokens;
            }
            margin += message.margin_tokens;
            text += own_text;
            fixed += own_fixed;
        }
        let counted_tokens = text + fixed;
        let tokens = (text * prior).div_ceil(1_000) + fixed + margin;
        if ceiling || self.fills_window || self.extra_rounds > 0 {
            self.no_better_than(Method::Ceiling);
        }
        self.strict_tokens = self.with_windows(tokens.max(counted_tokens + left_bytes + margin));
        let tokens = self.with_windows(tokens);
        InputBound { tokens, counted_tokens, fixed_tokens: fixed, method: self.method }
    }

    /// Adds what is only bounded by the model's window.
    fn with_windows(&mut self, tokens: u64) -> u64 {
        let window = self.price.and_then(|price| price.context_window);
        if window.is_none() && self.extra_rounds > 0 {
            self.unbounded("rounds of searches with a model of unknown window");
        }
        let window = window.unwrap_or_default();
        let seen = tokens.max(if self.fills_window { window } else { 0 });
        seen.saturating_add(window.saturating_mul(self.extra_rounds))
    }
}

/// What is known of the tokens round each chat message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    /// The published rule.
    Published,
    /// The published rule of the first chat model, which differs.
    First,
    /// The template that was published with an open model; who serves it may use another.
    Template,
    /// Nothing.
    Unknown,
}

/// The first chat model.
const FIRST: &str = "gpt-3.5-turbo-0301";

impl Frames {
    fn of(model: &str, price: Option<&ModelPrice>, encoding: Encoding, prior_per_mille: u32) -> Self {
        match (price, encoding) {
            _ if model == FIRST => Self::First,
            (Some(price), _) if price.exact_frames => Self::Published,
            (_, Encoding::DeepSeek | Encoding::Qwen | Encoding::Tekken) => Self::Template,
            _ if prior_per_mille == tokens::LLAMA3_PER_MILLE => Self::Template,
            _ => Self::Unknown,
        }
    }
}
