//! What does it cost?
//!
//! A [`ModelPrice`] turns a [`Usage`] into a charge, and a request into the worst charge it can
//! lead to. For every usage within an [`Exposure`] the charge is at most the worst case, to the
//! nano-USD. Which model costs what is the [`PriceBook`]'s to know; batch, flex, priority and
//! regional prices are not in it.
//!
//! ```
//! use outlay::{Usage, meter::{Exposure, PriceBook}};
//!
//! let price = PriceBook::bundled().find(Some("openai"), "gpt-4o", 1_790_000_000_000)?;
//! let worst = price.worst(&Exposure::tokens(1_000))?;
//! assert_eq!(worst.amount(500)?.to_string(), "0.0075 USD");
//! assert_eq!(price.charge(&Usage::tokens(1_000, 500))?.amount.to_string(), "0.0075 USD");
//! # Ok::<(), outlay::Error>(())
//! ```

mod book;
mod custom;
mod table;

use std::sync::Arc;

pub use book::PriceBook;

use super::tokens::Encoding;
use crate::{
    error::{Error, ErrorKind, Field, Result},
    value::{Money, Usage, usage::TOKENS_MAX},
};

const PICO_PER_NANO: i128 = 1_000;

/// The unit prices of one context tier, in pico-USD per token.
///
/// What a provider does not price apart costs what it is part of: a cache read without its own
/// price costs as much as input, reasoning as much as output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitPrices {
    /// Plain input.
    pub input: i64,
    /// Input read from the provider's cache.
    pub cache_read: i64,
    /// Input written to a cache of the default lifetime.
    pub cache_write: i64,
    /// Input written to a cache that lives one hour.
    pub cache_write_1h: i64,
    /// Audio input.
    pub input_audio: i64,
    /// Image input.
    pub input_image: i64,
    /// Audio input read from the cache.
    pub cache_audio_read: i64,
    /// Image input read from the cache.
    pub cache_image_read: i64,
    /// Output, reasoning included.
    pub output: i64,
    /// Audio output.
    pub output_audio: i64,
    /// Image output.
    pub output_image: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tier {
    above: u64,
    prices: UnitPrices,
}

/// What one model costs from a date on, and what else is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a model has each of these traits or has it not")]
pub struct ModelPrice {
    /// Who bills: `openai`, `anthropic`, `google`, or `custom` for a model only the user prices.
    pub provider: Arc<str>,
    /// The model's main name.
    pub model: Arc<str>,
    /// Which edition of the prices this is.
    pub version: Arc<str>,
    /// Input the model can take, in tokens.
    pub context_window: Option<u64>,
    /// Output the model can make, in tokens.
    pub max_output_tokens: Option<u64>,
    /// Can it think in tokens the caller does not see?
    pub reasoning: bool,
    /// Does it think only where the request says so?
    pub thinks_on_request: bool,
    /// The vocabulary to count its text with; exact only at a prior of 1,000.
    pub encoding: Encoding,
    /// Its tokens per thousand of that vocabulary's, at most, before anything was learned.
    pub prior_per_mille: u32,
    /// Are the tokens round each chat message published and checked?
    pub exact_frames: bool,
    /// Tokens of an image at low detail, and at most; unknown if it reads none we know of.
    pub image_tokens: Option<[u64; 2]>,
    /// Does every call search, for a fee that its usage does not tell?
    pub unreported_searches: bool,
    base: UnitPrices,
    tiers: Box<[Tier]>,
    request_nanos: i64,
    web_search_nanos: Option<i64>,
    automatic_cache_writes: bool,
}

/// Which cache writes a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheWrite {
    /// None.
    #[default]
    None,
    /// Writes of the default lifetime.
    Default,
    /// Writes that live one hour, perhaps others too.
    OneHour,
}

/// What one request exposes its payer to, output length aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// The most input tokens, of every kind.
    pub input_tokens: u64,
    /// The dearest cache write it can trigger.
    pub cache_write: CacheWrite,
    /// The most searches the provider may run and bill.
    pub web_searches: u64,
    /// What its input may hold beside text.
    pub input_media: Media,
    /// What its output may hold beside text.
    pub output_media: Media,
}

/// Kinds of tokens beside text that can have prices of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// May there be audio?
    pub audio: bool,
    /// May there be images?
    pub image: bool,
}

impl Exposure {
    /// A request of plain text.
    pub const fn tokens(input_tokens: u64) -> Self {
        Self {
            input_tokens,
            cache_write: CacheWrite::None,
            web_searches: 0,
            input_media: Media { audio: false, image: false },
            output_media: Media { audio: false, image: false },
        }
    }
}

/// The most a request can cost, as a function of its output length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worst {
    /// All its input at the dearest price it can trigger, in pico-USD.
    pub input_pico: i128,
    /// One output token at the dearest price, in pico-USD.
    pub output_pico_per_token: i64,
    /// Fees per request and search, in nano-USD.
    pub fee_nanos: i64,
}

impl Worst {
    /// The most it can cost with `output_tokens` in all choices together.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: more than a trillion tokens, or beyond nine billion USD.
    pub fn amount(&self, output_tokens: u64) -> Result<Money> {
        check_tokens(output_tokens)?;
        let output = times(output_tokens, self.output_pico_per_token);
        rounded_up(self.input_pico + output, self.fee_nanos)
    }

    /// How many output tokens fit into `available`; none if not even the input does.
    ///
    /// Free output is unlimited: `u64::MAX`.
    pub fn affordable_output_tokens(&self, available: Money) -> Option<u64> {
        let nanos = i128::from(available.nanos()) - i128::from(self.fee_nanos);
        let left = nanos * PICO_PER_NANO - self.input_pico;
        if left < 0 {
            return None;
        }
        if self.output_pico_per_token == 0 {
            return Some(u64::MAX);
        }
        Some(u64::try_from(left / i128::from(self.output_pico_per_token)).unwrap_or(u64::MAX))
    }
}

/// What one call cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The sum, rounded up to whole nano-USD once.
    pub amount: Money,
    /// The unit prices it was made with.
    pub prices: UnitPrices,
    /// Fees per request and search within the sum, in nano-USD.
    pub fee_nanos: i64,
}

impl ModelPrice {
    /// What `usage` costs.
    ///
    /// The context tier follows from all input, cached or not. Where the usage does not say whether
    /// cached tokens are text, images or audio, they are text as far as text goes.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: a usage that cannot be, or beyond nine billion USD.
    /// * `Unpriced`: the provider ran searches and nobody knows what one costs.
    ///
    /// ```
    /// use outlay::{Usage, meter::PriceBook};
    ///
    /// let price = PriceBook::bundled().find(None, "claude-haiku-4-5", 1_790_000_000_000)?;
    /// let usage = Usage { cache_read_tokens: 900, ..Usage::tokens(1_000, 100) };
    /// assert_eq!(price.charge(&usage)?.amount.to_string(), "0.00069 USD");
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn charge(&self, usage: &Usage) -> Result<Charge> {
        usage.check()?;
        let prices = *self.prices(usage.input_tokens);
        let fee_nanos = self.fees(usage.web_searches)?;
        let amount = rounded_up(input_pico(&prices, usage)? + output_pico(&prices, usage)?, fee_nanos)?;
        Ok(Charge { amount, prices, fee_nanos })
    }

    /// The most a request can cost.
    ///
    /// Every tier its input can reach counts, and of the prices in them the dearest this request
    /// can trigger: cache writes where it asks for them or the provider makes them unasked, audio
    /// and images where it carries them or may get them.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: more than a trillion tokens or searches.
    /// * `Unpriced`: searches are asked for and nobody knows what one costs.
    pub fn worst(&self, exposure: &Exposure) -> Result<Worst> {
        check_tokens(exposure.input_tokens)?;
        let reachable = || {
            let above = self.tiers.iter().take_while(|tier| exposure.input_tokens > tier.above);
            std::iter::once(&self.base).chain(above.map(|tier| &tier.prices))
        };
        let input = reachable().map(|prices| self.dearest_input(prices, exposure)).max().unwrap_or_default();
        let output = reachable().map(|prices| dearest_output(prices, exposure)).max().unwrap_or_default();
        Ok(Worst {
            input_pico: times(exposure.input_tokens, input),
            output_pico_per_token: output,
            fee_nanos: self.fees(exposure.web_searches)?,
        })
    }

    /// The unit prices at a total of `input_tokens`, cached input included.
    pub fn prices(&self, input_tokens: u64) -> &UnitPrices {
        let tier = self.tiers.iter().rev().find(|tier| input_tokens > tier.above);
        tier.map_or(&self.base, |tier| &tier.prices)
    }

    fn dearest_input(&self, prices: &UnitPrices, exposure: &Exposure) -> i64 {
        let mut dearest = prices.input.max(prices.cache_read);
        if self.automatic_cache_writes || exposure.cache_write >= CacheWrite::Default {
            dearest = dearest.max(prices.cache_write);
        }
        if exposure.cache_write == CacheWrite::OneHour {
            dearest = dearest.max(prices.cache_write_1h);
        }
        if exposure.input_media.audio {
            dearest = dearest.max(prices.input_audio).max(prices.cache_audio_read);
        }
        if exposure.input_media.image {
            dearest = dearest.max(prices.input_image).max(prices.cache_image_read);
        }
        dearest
    }

    fn fees(&self, web_searches: u64) -> Result<i64> {
        if web_searches == 0 {
            return Ok(self.request_nanos);
        }
        let price = self.web_search_nanos.ok_or_else(|| {
            Error::new(
                ErrorKind::Unpriced,
                format!("a web search by model `{}` has no known price", self.model),
            )
            .with("model", Field::Text(self.model.to_string()))
        })?;
        let searches = i64::try_from(web_searches).ok().and_then(|count| count.checked_mul(price));
        searches.and_then(|fees| fees.checked_add(self.request_nanos)).ok_or_else(too_large)
    }
}

/// Every input token is priced once: caches are taken to hold text as far as text goes, then images,
/// then audio, for no provider says which of its cached tokens are what.
fn input_pico(prices: &UnitPrices, usage: &Usage) -> Result<i128> {
    let special = usage.input_audio_tokens.saturating_add(usage.input_image_tokens);
    let text = left("input", usage.input_tokens, special)?;
    let mut free = [
        (text, prices.input, prices.cache_read),
        (usage.input_image_tokens, prices.input_image, prices.cache_image_read),
        (usage.input_audio_tokens, prices.input_audio, prices.cache_audio_read),
    ];
    let mut total = 0;
    for (mut tokens, write) in [
        (usage.cache_write_1h_tokens, Some(prices.cache_write_1h)),
        (usage.cache_write_tokens, Some(prices.cache_write)),
        (usage.cache_read_tokens, None),
    ] {
        for (index, (count, plain, read)) in free.iter_mut().enumerate() {
            let taken = tokens.min(*count);
            // A written image costs its write, or the image where that is dearer.
            let price = write.map_or(*read, |write| if index == 0 { write } else { write.max(*plain) });
            total += times(taken, price);
            *count -= taken;
            tokens -= taken;
        }
    }
    Ok(total + free.iter().map(|(count, plain, _)| times(*count, *plain)).sum::<i128>())
}

fn output_pico(prices: &UnitPrices, usage: &Usage) -> Result<i128> {
    let special = usage.output_audio_tokens.saturating_add(usage.output_image_tokens);
    Ok(times(left("output", usage.output_tokens, special)?, prices.output)
        + times(usage.output_audio_tokens, prices.output_audio)
        + times(usage.output_image_tokens, prices.output_image))
}

fn times(tokens: u64, price: i64) -> i128 {
    i128::from(tokens) * i128::from(price)
}

fn left(whole: &str, tokens: u64, special: u64) -> Result<u64> {
    tokens.checked_sub(special).ok_or_else(|| {
        Error::invalid(format!(
            "audio and images have `{special}` {whole} tokens, all {whole} only `{tokens}`"
        ))
    })
}

fn dearest_output(prices: &UnitPrices, exposure: &Exposure) -> i64 {
    let audio = if exposure.output_media.audio { prices.output_audio } else { 0 };
    let image = if exposure.output_media.image { prices.output_image } else { 0 };
    prices.output.max(audio).max(image)
}

fn rounded_up(pico: i128, fee_nanos: i64) -> Result<Money> {
    let nanos = (pico + PICO_PER_NANO - 1) / PICO_PER_NANO + i128::from(fee_nanos);
    i64::try_from(nanos).map(Money::from_nanos).map_err(|_| too_large())
}

fn check_tokens(tokens: u64) -> Result<()> {
    if tokens > TOKENS_MAX {
        return Err(Error::invalid(format!("a count of `{tokens}` is more than a call can use")));
    }
    Ok(())
}

fn too_large() -> Error {
    Error::invalid("the charge is beyond nine billion USD")
}

#[cfg(test)]
mod tests;
