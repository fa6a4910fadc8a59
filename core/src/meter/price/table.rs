//! How do the bundled price files read?
//!
//! The files are facts, not code: `core/prices/generate.py` writes them. What they say is resolved
//! here once, so that a charge needs no optional price.

use std::sync::Arc;

use jiff::{civil::Date, tz::TimeZone};
use serde::Deserialize;

use super::{ModelPrice, Tier, UnitPrices};
use crate::{
    error::{Error, Result},
    meter::tokens::{self, Encoding},
    value::Millis,
};

/// The prior of a tokenizer nobody knows: the largest ratio measured, rounded up.
pub(super) const UNKNOWN_PRIOR_PER_MILLE: u32 = 1_700;

#[derive(Deserialize)]
pub(super) struct ProviderFile {
    pub provider: String,
    pub aliases: Vec<String>,
    pub automatic_cache_writes: bool,
    pub checked: String,
    pub models: Vec<ModelEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "a model has each of these traits or has it not")]
pub(super) struct ModelEntry {
    pub id: String,
    #[serde(default)]
    pub names: Vec<String>,
    #[serde(default)]
    pub stems: Vec<String>,
    #[serde(default)]
    pub prefixes: Vec<String>,
    #[serde(default)]
    context_window: Option<u64>,
    #[serde(default)]
    max_output_tokens: Option<u64>,
    #[serde(default)]
    reasoning: bool,
    #[serde(default)]
    encoding: Option<String>,
    #[serde(default)]
    prior_per_mille: Option<u32>,
    #[serde(default)]
    exact_frames: bool,
    #[serde(default)]
    thinks_on_request: bool,
    #[serde(default)]
    image_tokens: Option<[u64; 2]>,
    #[serde(default)]
    unreported_searches: bool,
    prices: Vec<PriceEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceEntry {
    #[serde(default)]
    from: Option<String>,
    rates: Rates,
    #[serde(default)]
    request: i64,
    #[serde(default)]
    web_search: Option<i64>,
    #[serde(default)]
    tiers: Vec<TierEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierEntry {
    above: u64,
    rates: Rates,
}

/// Prices as given, before [`Rates::resolved`] fills in what is not priced apart.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rates {
    pub input: i64,
    pub output: i64,
    pub cache_read: Option<i64>,
    pub cache_write: Option<i64>,
    pub cache_write_1h: Option<i64>,
    pub input_audio: Option<i64>,
    pub input_image: Option<i64>,
    pub cache_audio_read: Option<i64>,
    pub cache_image_read: Option<i64>,
    pub output_audio: Option<i64>,
    pub output_image: Option<i64>,
}

impl Rates {
    pub(super) fn resolved(&self) -> UnitPrices {
        let cache_write = self.cache_write.unwrap_or(self.input);
        let input_audio = self.input_audio.unwrap_or(self.input);
        let input_image = self.input_image.unwrap_or(self.input);
        UnitPrices {
            input: self.input,
            cache_read: self.cache_read.unwrap_or(self.input),
            cache_write,
            cache_write_1h: self.cache_write_1h.unwrap_or(cache_write),
            input_audio,
            input_image,
            cache_audio_read: self.cache_audio_read.unwrap_or(input_audio),
            cache_image_read: self.cache_image_read.unwrap_or(input_image),
            output: self.output,
            output_audio: self.output_audio.unwrap_or(self.output),
            output_image: self.output_image.unwrap_or(self.output),
        }
    }
}

/// One model's prices, each with the moment it holds from; sorted, the first from the beginning.
pub(super) type Dated = Box<[(Millis, Arc<ModelPrice>)]>;

impl ModelEntry {
    /// The prices of this model, or what is wrong with them.
    pub(super) fn dated(&self, file: &ProviderFile, shared: &Shared) -> Result<Dated> {
        let rows: Result<Dated> = self.prices.iter().map(|entry| self.row(entry, file, shared)).collect();
        let rows = rows?;
        if rows.is_empty() || !rows.is_sorted_by(|one, next| one.0 < next.0) {
            return Err(Error::corrupt(format!(
                "the prices of `{}` are not in order of their dates",
                self.id
            )));
        }
        Ok(rows)
    }

    fn row(
        &self,
        entry: &PriceEntry,
        file: &ProviderFile,
        shared: &Shared,
    ) -> Result<(Millis, Arc<ModelPrice>)> {
        let unknown = || (Encoding::O200k, self.prior_per_mille.unwrap_or(UNKNOWN_PRIOR_PER_MILLE));
        let (encoding, prior_per_mille) = match self.encoding.as_deref() {
            None => tokens::family(&self.id).unwrap_or_else(unknown),
            Some("o200k") => unknown(),
            Some("cl100k") => (Encoding::Cl100k, unknown().1),
            Some(other) => return Err(Error::corrupt(format!("`{}` has the encoding `{other}`", self.id))),
        };
        let tier = |tier: &TierEntry| Tier { above: tier.above, prices: tier.rates.resolved() };
        let price = ModelPrice {
            provider: shared.provider.clone(),
            model: self.id.as_str().into(),
            version: shared.version.clone(),
            context_window: self.context_window,
            max_output_tokens: self.max_output_tokens,
            reasoning: self.reasoning,
            thinks_on_request: self.thinks_on_request,
            encoding,
            prior_per_mille,
            exact_frames: self.exact_frames,
            image_tokens: self.image_tokens,
            unreported_searches: self.unreported_searches,
            base: entry.rates.resolved(),
            tiers: entry.tiers.iter().map(tier).collect(),
            request_nanos: entry.request,
            web_search_nanos: entry.web_search,
            automatic_cache_writes: file.automatic_cache_writes,
        };
        Ok((entry.from.as_deref().map_or(Ok(Millis::MIN), midnight)?, Arc::new(price)))
    }
}

/// Strings every price of a file shares.
pub(super) struct Shared {
    pub provider: Arc<str>,
    pub version: Arc<str>,
}

fn midnight(date: &str) -> Result<Millis> {
    let wrong = |error| Error::corrupt(format!("`{date}` is no date: {error}"));
    let date: Date = date.parse().map_err(wrong)?;
    Ok(date.to_zoned(TimeZone::UTC).map_err(wrong)?.timestamp().as_millisecond())
}
