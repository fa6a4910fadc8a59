//! Values: money, usage, limits.

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use outlay::{Call, Error, ErrorKind, Limit, Money, Unit, Usage, Window, meter::Extracted};

use crate::outcome::{Tagged, now};

/// A limit on one unit.
#[napi(object)]
pub struct LimitSpec {
    /// `usd`, `tokens`, `llm_calls` or `tool_calls`.
    pub unit: String,
    /// The number as a person typed it.
    pub amount: String,
    /// Is it only told, not enforced?
    pub soft: bool,
    /// `life`, `day`, `week`, `month` or `rolling:24h`.
    pub window: String,
    /// The time zone of a calendar window.
    pub tz: Option<String>,
}

/// What one call used, in whole tokens; what is absent is none.
#[napi(object)]
#[derive(Default)]
pub struct UsageSpec {
    /// All input tokens.
    pub input_tokens: Option<i64>,
    /// All output tokens.
    pub output_tokens: Option<i64>,
    /// Of the input: read from a cache.
    pub cache_read_input_tokens: Option<i64>,
    /// Of the input: written to a cache, of whatever lifetime.
    pub cache_creation_input_tokens: Option<i64>,
    /// Of what was written to a cache: what lives one hour.
    #[napi(js_name = "cacheCreation1hInputTokens")]
    pub cache_creation_1h_input_tokens: Option<i64>,
    /// Of the output: reasoning the caller does not see.
    pub reasoning_output_tokens: Option<i64>,
    /// Of the input: audio.
    pub input_audio_tokens: Option<i64>,
    /// Of the input: images.
    pub input_image_tokens: Option<i64>,
    /// Of the input: video.
    pub input_video_tokens: Option<i64>,
    /// Of what was read from a cache: audio.
    pub cache_read_audio_tokens: Option<i64>,
    /// Of what was read from a cache: images.
    pub cache_read_image_tokens: Option<i64>,
    /// Of the output: audio.
    pub output_audio_tokens: Option<i64>,
    /// Of the output: images.
    pub output_image_tokens: Option<i64>,
    /// Of the output: video.
    pub output_video_tokens: Option<i64>,
    /// Searches the provider bills apiece.
    pub web_searches: Option<i64>,
    /// What the provider says it charges, in USD.
    pub cost: Option<String>,
}

/// Reads a number of USD by its decimal form; in nano-USD.
#[napi]
pub fn parse_money(usd: String) -> Tagged<BigInt> {
    now(|| Money::parse(&usd).map(nanos))
}

/// An amount in nano-USD as a decimal number of USD.
#[napi]
pub fn show_money(nanos: BigInt) -> Tagged<String> {
    now(|| {
        let (nanos, lossless) = nanos.get_i64();
        let large = || Error::new(ErrorKind::InvalidInput, "an amount of money is too large".to_owned());
        if lossless { Ok(Money::from_nanos(nanos).decimal()) } else { Err(large()) }
    })
}

/// Looks at a limit without setting it.
#[napi]
pub fn check_limit(limit: LimitSpec) -> Tagged<bool> {
    now(|| Window::parse(&limit.window, limit.tz.as_deref()).map(|_| true))
}

pub(crate) fn nanos(money: Money) -> BigInt {
    money.nanos().into()
}

pub(crate) fn limits(specs: Vec<LimitSpec>) -> Result<Vec<Limit>, Error> {
    let read = |spec: LimitSpec| {
        let known = Unit::ALL.into_iter().find(|unit| unit.name() == spec.unit);
        let unit = known.ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("unit `{}` is not known", spec.unit))
        })?;
        let limit = Limit::parse(unit, &spec.amount)?;
        let limit = if spec.soft { limit.soft() } else { limit };
        Ok(limit.per(Window::parse(&spec.window, spec.tz.as_deref())?))
    };
    specs.into_iter().map(read).collect()
}

/// A usage, with the cost the provider told.
pub(crate) struct Used {
    pub usage: Usage,
    pub cost: Option<Money>,
}

impl Used {
    pub fn read(spec: &UsageSpec) -> Result<Self, Error> {
        let long = count(spec.cache_creation_1h_input_tokens, "cacheCreation1hInputTokens")?;
        let written = match spec.cache_creation_input_tokens {
            None => long,
            given => count(given, "cacheCreationInputTokens")?,
        };
        if long > written {
            let message = format!("`cacheCreation1hInputTokens` is `{long}`, of `{written}` written");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let usage = Usage {
            input_tokens: count(spec.input_tokens, "inputTokens")?,
            cache_read_tokens: count(spec.cache_read_input_tokens, "cacheReadInputTokens")?,
            cache_write_tokens: written - long,
            cache_write_1h_tokens: long,
            cache_read_audio_tokens: count(spec.cache_read_audio_tokens, "cacheReadAudioTokens")?,
            cache_read_image_tokens: count(spec.cache_read_image_tokens, "cacheReadImageTokens")?,
            input_audio_tokens: count(spec.input_audio_tokens, "inputAudioTokens")?,
            input_image_tokens: count(spec.input_image_tokens, "inputImageTokens")?,
            input_video_tokens: count(spec.input_video_tokens, "inputVideoTokens")?,
            output_tokens: count(spec.output_tokens, "outputTokens")?,
            reasoning_tokens: count(spec.reasoning_output_tokens, "reasoningOutputTokens")?,
            output_audio_tokens: count(spec.output_audio_tokens, "outputAudioTokens")?,
            output_image_tokens: count(spec.output_image_tokens, "outputImageTokens")?,
            output_video_tokens: count(spec.output_video_tokens, "outputVideoTokens")?,
            web_searches: count(spec.web_searches, "webSearches")?,
        };
        usage.check()?;
        Ok(Self { usage, cost: spec.cost.as_deref().map(Money::parse).transpose()? })
    }

    /// As a response would have told it.
    pub fn told(spec: &UsageSpec) -> Result<Extracted, Error> {
        let Self { usage, cost } = Self::read(spec)?;
        Ok(Extracted { cost, ..usage.into() })
    }

    /// Ends a call with it.
    pub fn settle(&self, call: &Call) -> Result<(), Error> {
        match self.cost {
            Some(cost) => call.settle_at(&self.usage, cost),
            None => call.settle(&self.usage),
        }
        .map(|_| ())
    }
}

impl From<&Usage> for UsageSpec {
    fn from(usage: &Usage) -> Self {
        let some = |count: u64| (count > 0).then_some(count as i64);
        Self {
            input_tokens: Some(usage.input_tokens as i64),
            output_tokens: Some(usage.output_tokens as i64),
            cache_read_input_tokens: some(usage.cache_read_tokens),
            cache_creation_input_tokens: some(usage.cache_write_tokens + usage.cache_write_1h_tokens),
            cache_creation_1h_input_tokens: some(usage.cache_write_1h_tokens),
            reasoning_output_tokens: some(usage.reasoning_tokens),
            input_audio_tokens: some(usage.input_audio_tokens),
            input_image_tokens: some(usage.input_image_tokens),
            input_video_tokens: some(usage.input_video_tokens),
            cache_read_audio_tokens: some(usage.cache_read_audio_tokens),
            cache_read_image_tokens: some(usage.cache_read_image_tokens),
            output_audio_tokens: some(usage.output_audio_tokens),
            output_image_tokens: some(usage.output_image_tokens),
            output_video_tokens: some(usage.output_video_tokens),
            web_searches: some(usage.web_searches),
            cost: None,
        }
    }
}

fn count(value: Option<i64>, name: &str) -> Result<u64, Error> {
    let value = value.unwrap_or(0);
    let negative = || {
        let message = format!("`{name}` is `{value}`, not a whole number that is not negative");
        Error::new(ErrorKind::InvalidInput, message)
    };
    u64::try_from(value).map_err(|_| negative())
}
