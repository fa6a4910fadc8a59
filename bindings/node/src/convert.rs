//! Values: money, usage, limits.

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use outlay::{Error, ErrorKind, Limit, Money, Unit, Usage, Window};

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
pub struct UsageSpec {
    /// All input tokens.
    pub input_tokens: Option<i64>,
    /// All output tokens.
    pub output_tokens: Option<i64>,
    /// Input read from a cache.
    pub cache_read_tokens: Option<i64>,
    /// Input written to a cache of the default lifetime.
    pub cache_write_tokens: Option<i64>,
    /// Input written to a cache that lives one hour.
    pub cache_write_1h_tokens: Option<i64>,
    /// Output the caller does not see.
    pub reasoning_tokens: Option<i64>,
    /// Input that is audio.
    pub input_audio_tokens: Option<i64>,
    /// Input that is an image.
    pub input_image_tokens: Option<i64>,
    /// Output that is audio.
    pub output_audio_tokens: Option<i64>,
    /// Output that is an image.
    pub output_image_tokens: Option<i64>,
    /// Searches of the web.
    pub web_searches: Option<i64>,
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
        let limit = match unit {
            Unit::Usd => Limit::usd(&spec.amount)?,
            _ => Limit::count(unit, &spec.amount)?,
        };
        let limit = if spec.soft { limit.soft() } else { limit };
        Ok(limit.per(Window::parse(&spec.window, spec.tz.as_deref())?))
    };
    specs.into_iter().map(read).collect()
}

pub(crate) fn usage(spec: &UsageSpec) -> Result<Usage, Error> {
    let usage = Usage {
        input_tokens: count(spec.input_tokens, "inputTokens")?,
        cache_read_tokens: count(spec.cache_read_tokens, "cacheReadTokens")?,
        cache_write_tokens: count(spec.cache_write_tokens, "cacheWriteTokens")?,
        cache_write_1h_tokens: count(spec.cache_write_1h_tokens, "cacheWrite1hTokens")?,
        input_audio_tokens: count(spec.input_audio_tokens, "inputAudioTokens")?,
        input_image_tokens: count(spec.input_image_tokens, "inputImageTokens")?,
        output_tokens: count(spec.output_tokens, "outputTokens")?,
        reasoning_tokens: count(spec.reasoning_tokens, "reasoningTokens")?,
        output_audio_tokens: count(spec.output_audio_tokens, "outputAudioTokens")?,
        output_image_tokens: count(spec.output_image_tokens, "outputImageTokens")?,
        web_searches: count(spec.web_searches, "webSearches")?,
        ..Usage::default()
    };
    usage.check()?;
    Ok(usage)
}

fn count(value: Option<i64>, name: &str) -> Result<u64, Error> {
    let value = value.unwrap_or(0);
    let negative = || {
        let message = format!("`{name}` is `{value}`, not a whole number that is not negative");
        Error::new(ErrorKind::InvalidInput, message)
    };
    u64::try_from(value).map_err(|_| negative())
}
