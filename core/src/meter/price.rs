//! What does it cost?
//!
//! A [`ModelPrice`] turns a [`Usage`](crate::Usage) into a charge, and a request into the worst charge
//! it can lead to. For every usage within an [`Exposure`] the charge is at most the worst case, to the
//! nano-USD. Which model costs what is the [`PriceBook`]'s to know; regional surcharges are not in it.
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

mod abilities;
mod book;
mod charge;
mod custom;
mod diff;
mod names;
mod row;
mod similar;
mod table;
mod units;

use std::sync::Arc;

pub use abilities::{Abilities, Ability};
pub use book::{Listing, PriceBook};
pub(crate) use charge::lines as charge_lines;
pub use charge::{Charge, ChargeLine};
pub use diff::PriceChange;
pub use names::Rule;
pub(crate) use row::UNKNOWN_PRIOR_PER_MILLE;
pub use units::{ServiceTier, UnitPrices};

use super::tokens::Encoding;
use crate::{
    error::{Error, ErrorKind, Field, Result},
    value::{Money, usage::TOKENS_MAX},
};
use units::ByContext;

const PICO_PER_NANO: i128 = 1_000;

/// What one model costs from a date on, and what else is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a model has each of these traits or has it not")]
pub struct ModelPrice {
    /// Who bills: `openai`, `anthropic`, `aws`, …, or `custom` for a model only the user prices.
    pub provider: Arc<str>,
    /// The model's main name.
    pub model: Arc<str>,
    /// How the name asked for led here.
    pub rule: Rule,
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
    /// What it is known to take.
    pub abilities: Abilities,
    /// Does every call search, for a fee that its usage does not tell?
    pub unreported_searches: bool,
    /// Are all searches of a call billed as one?
    pub searches_as_one: bool,
    /// What tokens cost where they are bound to a region, in thousandths of these prices; nothing if
    /// no such price is known.
    pub regional_per_mille: Option<u32>,
    standard: Served,
    /// The service tiers that have prices of their own.
    served: Arc<[(ServiceTier, Served)]>,
    request_nanos: i64,
    web_search_nanos: Option<i64>,
    /// The dearer of two sources, for reservations.
    web_search_most_nanos: Option<i64>,
    automatic_cache_writes: bool,
}

/// The prices of one service tier.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Served {
    charged: ByContext,
    /// What another source says, where nobody has decided who is right: a reservation holds the
    /// dearer of the two.
    disputed: Option<ByContext>,
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
    /// The service tier it names.
    pub service_tier: ServiceTier,
    /// Is it bound to a region, by what it names or by where it goes?
    pub is_regional: bool,
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
    /// A request of plain text, served as usual.
    pub const fn tokens(input_tokens: u64) -> Self {
        Self {
            input_tokens,
            cache_write: CacheWrite::None,
            web_searches: 0,
            input_media: Media { audio: false, image: false },
            output_media: Media { audio: false, image: false },
            service_tier: ServiceTier::Standard,
            is_regional: false,
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

impl Served {
    fn map(&self, change: impl Fn(i64) -> i64 + Copy) -> Self {
        let disputed = self.disputed.as_ref().map(|prices| prices.map(change));
        Self { charged: self.charged.map(change), disputed }
    }
}

impl ModelPrice {
    /// The prices of the same model, bound to a region by the request or by the endpoint it goes to.
    ///
    /// # Errors
    ///
    /// `Unpriced`: nobody knows what that costs.
    ///
    /// ```
    /// use outlay::{Usage, meter::PriceBook};
    ///
    /// let price = PriceBook::bundled().find(None, "claude-opus-5", 1_795_000_000_000)?;
    /// let usage = Usage::tokens(1_000, 500);
    /// assert_eq!(price.charge(&usage)?.amount.to_string(), "0.0175 USD");
    /// assert_eq!(price.in_region()?.charge(&usage)?.amount.to_string(), "0.01925 USD");
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn in_region(&self) -> Result<Self> {
        let per_mille = self.regional_per_mille.ok_or_else(|| {
            let message = format!("model `{}` bound to a region has no known price", self.model);
            Error::new(ErrorKind::Unpriced, message).with("model", Field::Text(self.model.to_string()))
        })?;
        let uplifted = |pico: i64| {
            let parts = i128::from(pico) * i128::from(per_mille);
            i64::try_from((parts + 999) / 1_000).unwrap_or(i64::MAX)
        };
        Ok(self.with_units(uplifted))
    }

    /// All unit prices of tokens changed in the same way; fees as they are.
    fn with_units(&self, change: impl Fn(i64) -> i64 + Copy) -> Self {
        Self {
            standard: self.standard.map(change),
            served: self.served.iter().map(|(tier, served)| (*tier, served.map(change))).collect(),
            ..self.clone()
        }
    }

    /// The most a request can cost.
    ///
    /// Every tier its input can reach counts, and of the prices in them the dearest this request
    /// can trigger: cache writes where it asks for them or the provider makes them unasked, audio
    /// and images where it carries them or may get them. A request that names a service tier may be
    /// served as usual after all, so the dearer of the two counts; and where sources disagree and
    /// nobody has decided, the dearer of theirs.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: more than a trillion tokens or searches.
    /// * `Unpriced`: searches or a service tier are asked for and nobody knows what they cost.
    pub fn worst(&self, exposure: &Exposure) -> Result<Worst> {
        check_tokens(exposure.input_tokens)?;
        let named = self.served_by(exposure.service_tier)?;
        let (mut input, mut output) = (0, 0);
        let mut dearest = |prices: &ByContext| {
            for prices in prices.up_to(exposure.input_tokens) {
                input = input.max(self.dearest_input(prices, exposure));
                output = output.max(dearest_output(prices, exposure));
            }
        };
        let is_other = !std::ptr::eq(named, &raw const self.standard);
        for served in [Some(&self.standard), is_other.then_some(named)].into_iter().flatten() {
            dearest(&served.charged);
            served.disputed.iter().for_each(&mut dearest);
        }
        Ok(Worst {
            input_pico: times(exposure.input_tokens, input),
            output_pico_per_token: output,
            fee_nanos: self.fees(exposure.web_searches, self.web_search_most_nanos)?,
        })
    }

    /// The standard unit prices at a total of `input_tokens`, cached input included.
    pub fn prices(&self, input_tokens: u64) -> &UnitPrices {
        self.standard.charged.at(input_tokens)
    }

    /// The unit prices of a service tier below its first context tier; the standard ones where it has
    /// none.
    pub(crate) fn first_prices(&self, tier: ServiceTier) -> &UnitPrices {
        self.served(tier).map_or(&self.standard.charged.base, |prices| &prices.base)
    }

    /// The unit prices of each service tier and context: above how many input tokens they hold.
    pub fn all_prices(&self) -> impl Iterator<Item = (ServiceTier, u64, &UnitPrices)> {
        let tiers = std::iter::once((ServiceTier::Standard, &self.standard));
        let tiers = tiers.chain(self.served.iter().map(|(tier, served)| (*tier, served)));
        tiers.flat_map(|(tier, served)| {
            let above = served.charged.tiers.iter().map(move |(above, prices)| (tier, *above, prices));
            std::iter::once((tier, 0, &served.charged.base)).chain(above)
        })
    }

    /// What another source says of standard prices, where nobody has decided who is right, as
    /// [`all_prices`](Self::all_prices) gives them.
    pub fn disputed_prices(&self) -> impl Iterator<Item = (u64, &UnitPrices)> {
        self.standard.disputed.iter().flat_map(|disputed| {
            let above = disputed.tiers.iter().map(|(above, prices)| (*above, prices));
            std::iter::once((0, &disputed.base)).chain(above)
        })
    }

    /// The fee of each request, in nano-USD.
    pub fn request_nanos(&self) -> i64 {
        self.request_nanos
    }

    /// The fee of each search, in nano-USD, if it is known.
    pub fn web_search_nanos(&self) -> Option<i64> {
        self.web_search_nanos
    }

    /// Is there a price of this service tier? Batch and flex cost at most what standard does.
    pub fn serves(&self, tier: ServiceTier) -> bool {
        self.served_by(tier).is_ok()
    }

    /// Has the book a price of this service tier itself?
    pub(crate) fn lists(&self, tier: ServiceTier) -> bool {
        tier == ServiceTier::Standard || self.served.iter().any(|(of, _)| *of == tier)
    }

    fn served(&self, tier: ServiceTier) -> Result<&ByContext> {
        self.served_by(tier).map(|served| &served.charged)
    }

    fn served_by(&self, tier: ServiceTier) -> Result<&Served> {
        if tier == ServiceTier::Standard {
            return Ok(&self.standard);
        }
        let own = self.served.iter().find(|(of, _)| *of == tier).map(|(_, served)| served);
        own.or_else(|| tier.is_discount().then_some(&self.standard)).ok_or_else(|| {
            let message = format!("service tier `{tier}` of model `{}` has no known price", self.model);
            Error::new(ErrorKind::Unpriced, message).with("model", Field::Text(self.model.to_string()))
        })
    }

    fn dearest_input(&self, prices: &UnitPrices, exposure: &Exposure) -> i64 {
        let mut dearest = prices.input.max(prices.cache_read).max(prices.input_video);
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
}

fn times(tokens: u64, price: i64) -> i128 {
    i128::from(tokens) * i128::from(price)
}

fn dearest_output(prices: &UnitPrices, exposure: &Exposure) -> i64 {
    let audio = if exposure.output_media.audio { prices.output_audio } else { 0 };
    let image = if exposure.output_media.image { prices.output_image } else { 0 };
    prices.output.max(prices.reasoning).max(audio).max(image)
}

fn rounded_up(pico: i128, fee_nanos: i64) -> Result<Money> {
    let sum = Money::from_pico_up(pico).and_then(|money| money.checked_add(Money::from_nanos(fee_nanos)));
    sum.ok_or_else(too_large)
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
