//! What does this usage cost?
//!
//! Every token is priced once, at the price of what it is; the lines say which and at what price.

use super::{ModelPrice, ServiceTier, UnitPrices, rounded_up, times, too_large};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    value::{Money, Usage},
};

/// What one call cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The sum, rounded up to whole nano-USD once.
    pub amount: Money,
    /// All input, rounded up by itself.
    pub input: Money,
    /// All output, rounded up by itself.
    pub output: Money,
    /// The unit prices it was made with.
    pub prices: UnitPrices,
    /// Fees per request and search within the sum, in nano-USD.
    pub fee_nanos: i64,
}

/// So much of a unit, at so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChargeLine {
    /// `input`, `cache_read`, `output`, …; `request` or `web_search` for a fee.
    pub unit: &'static str,
    /// Tokens, or how many times.
    pub quantity: u64,
    /// Pico-USD for each.
    pub pico_each: i64,
}

impl ModelPrice {
    /// What `usage` costs, served as usual.
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
        self.charge_served(usage, ServiceTier::Standard)
    }

    /// What `usage` costs in a service tier.
    ///
    /// Batch and flex cost no more than standard, and as much where the book has no price of them.
    ///
    /// # Errors
    ///
    /// As [`charge`](Self::charge); `Unpriced` also for another tier the book has no price of.
    ///
    /// ```
    /// use outlay::{Usage, meter::{PriceBook, ServiceTier}};
    ///
    /// let price = PriceBook::bundled().find(None, "gpt-5", 1_795_000_000_000)?;
    /// let flex = price.charge_served(&Usage::tokens(1_000, 500), ServiceTier::Flex)?;
    /// assert_eq!(flex.amount.to_string(), "0.003125 USD");
    /// assert_eq!(price.charge(&Usage::tokens(1_000, 500))?.amount.to_string(), "0.00625 USD");
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn charge_served(&self, usage: &Usage, tier: ServiceTier) -> Result<Charge> {
        let Sums { prices, input, output, fee_nanos } = self.sums(usage, tier)?;
        Ok(Charge {
            amount: rounded_up(input + output, fee_nanos)?,
            input: rounded_up(input, 0)?,
            output: rounded_up(output, 0)?,
            prices: *prices,
            fee_nanos,
        })
    }

    /// The amount of [`charge_served`](Self::charge_served) alone, and the unit prices it is made with.
    pub(crate) fn amount_served(&self, usage: &Usage, tier: ServiceTier) -> Result<(Money, &UnitPrices)> {
        let Sums { prices, input, output, fee_nanos } = self.sums(usage, tier)?;
        Ok((rounded_up(input + output, fee_nanos)?, prices))
    }

    fn sums(&self, usage: &Usage, tier: ServiceTier) -> Result<Sums<'_>> {
        usage.check()?;
        let prices = self.served(tier)?.at(usage.input_tokens);
        let fee_nanos = self.fees(usage.web_searches, self.web_search_nanos)?;
        let (mut input, mut output) = (0, 0);
        if usage.is_plain() {
            input = times(usage.input_tokens, prices.input);
            output = times(usage.output_tokens, prices.output);
        } else {
            input_lines(prices, usage, &mut |_, tokens, each| input += times(tokens, each))?;
            output_lines(prices, usage, &mut |_, tokens, each| output += times(tokens, each))?;
        }
        Ok(Sums { prices, input, output, fee_nanos })
    }

    /// The lines of a charge: every quantity with its unit price; they add up to it, but for the
    /// rounding.
    ///
    /// # Errors
    ///
    /// As [`charge_served`](Self::charge_served).
    ///
    /// ```
    /// use outlay::{Usage, meter::{PriceBook, ServiceTier}};
    ///
    /// let price = PriceBook::bundled().find(None, "gpt-4o", 1_790_000_000_000)?;
    /// let lines = price.lines(&Usage::tokens(1_000, 500), ServiceTier::Standard)?;
    /// assert_eq!((lines[0].unit, lines[0].quantity, lines[0].pico_each), ("input", 1_000, 2_500_000));
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn lines(&self, usage: &Usage, tier: ServiceTier) -> Result<Vec<ChargeLine>> {
        let charge = self.charge_served(usage, tier)?;
        let search = (self.billed_searches(usage.web_searches), self.web_search_nanos.unwrap_or_default());
        let fees = [("request", 1, self.request_nanos), ("web_search", search.0, search.1)];
        lines(
            &charge.prices,
            usage,
            &fees.map(|(unit, times, nanos)| (unit, times, nanos.saturating_mul(1_000))),
        )
    }

    fn billed_searches(&self, web_searches: u64) -> u64 {
        if self.searches_as_one { web_searches.min(1) } else { web_searches }
    }

    pub(super) fn fees(&self, web_searches: u64, nanos_each: Option<i64>) -> Result<i64> {
        let web_searches = self.billed_searches(web_searches);
        if web_searches == 0 {
            return Ok(self.request_nanos);
        }
        let price = nanos_each.ok_or_else(|| {
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

/// Every quantity of a usage with its unit price, and fees: which, how many times, at how many
/// pico-USD. What costs nothing for being none is left out.
pub(crate) fn lines(
    prices: &UnitPrices,
    usage: &Usage,
    fees: &[(&'static str, u64, i64)],
) -> Result<Vec<ChargeLine>> {
    let mut lines: Vec<ChargeLine> = Vec::new();
    let mut add = |unit, quantity, pico_each| {
        let same = lines.iter_mut().find(|line| (line.unit, line.pico_each) == (unit, pico_each));
        match same {
            Some(line) => line.quantity += quantity,
            None if quantity > 0 => lines.push(ChargeLine { unit, quantity, pico_each }),
            None => {}
        }
    };
    input_lines(prices, usage, &mut add)?;
    output_lines(prices, usage, &mut add)?;
    for (unit, times, pico) in fees {
        add(unit, if *pico > 0 { *times } else { 0 }, *pico);
    }
    Ok(lines)
}

/// What a usage comes to before rounding, input and output in pico-USD.
struct Sums<'p> {
    prices: &'p UnitPrices,
    input: i128,
    output: i128,
    fee_nanos: i64,
}

/// Tokens of one kind that are not priced yet: how many, at what, and at what if read from a cache.
struct Kind {
    unit: &'static str,
    tokens: u64,
    each: i64,
    read_unit: &'static str,
    read_each: i64,
    /// Those of them that are known to be read from a cache.
    read: u64,
}

/// Every input token is priced once. Where nobody says which cached tokens are what, caches are taken
/// to hold text as far as text goes, then images, then audio, then video.
fn input_lines(
    prices: &UnitPrices,
    usage: &Usage,
    line: &mut impl FnMut(&'static str, u64, i64),
) -> Result<()> {
    let mut kinds = kinds(prices, usage)?;
    let mut cached = usage.cache_read_tokens;
    for kind in &mut kinds {
        let taken = kind.read.min(kind.tokens).min(cached);
        line(kind.read_unit, taken, kind.read_each);
        kind.tokens -= taken;
        cached -= taken;
    }
    for (mut tokens, written) in [
        (usage.cache_write_1h_tokens, Some(("cache_write_1h", prices.cache_write_1h))),
        (usage.cache_write_tokens, Some(("cache_write", prices.cache_write))),
        (cached, None),
    ] {
        for (index, kind) in kinds.iter_mut().enumerate() {
            let taken = tokens.min(kind.tokens);
            // A written image costs its write, or the image where that is dearer.
            let dearer = |write: i64| if index == 0 { write } else { write.max(kind.each) };
            let (unit, each) =
                written.map_or((kind.read_unit, kind.read_each), |(name, write)| (name, dearer(write)));
            line(unit, taken, each);
            kind.tokens -= taken;
            tokens -= taken;
        }
    }
    for kind in kinds {
        line(kind.unit, kind.tokens, kind.each);
    }
    Ok(())
}

fn kinds(prices: &UnitPrices, usage: &Usage) -> Result<[Kind; 4]> {
    let media = [usage.input_audio_tokens, usage.input_image_tokens, usage.input_video_tokens];
    let kind = |unit, tokens, each, read_unit, read_each, read| Kind {
        unit,
        tokens,
        each,
        read_unit,
        read_each,
        read,
    };
    let p = prices;
    let [audio, image, video] = media;
    let (audio_read, image_read) = (usage.cache_read_audio_tokens, usage.cache_read_image_tokens);
    Ok([
        kind("input", left("input", usage.input_tokens, &media)?, p.input, "cache_read", p.cache_read, 0),
        kind("input_image", image, p.input_image, "cache_image_read", p.cache_image_read, image_read),
        kind("input_audio", audio, p.input_audio, "cache_audio_read", p.cache_audio_read, audio_read),
        kind("input_video", video, p.input_video, "cache_read", p.cache_read, 0),
    ])
}

fn output_lines(
    prices: &UnitPrices,
    usage: &Usage,
    line: &mut impl FnMut(&'static str, u64, i64),
) -> Result<()> {
    let media = [usage.output_audio_tokens, usage.output_image_tokens, usage.output_video_tokens];
    let text = left("output", usage.output_tokens, &media)?;
    let hidden = usage.reasoning_tokens.min(text);
    line("output", text - hidden, prices.output);
    line("reasoning", hidden, prices.reasoning);
    line("output_audio", usage.output_audio_tokens, prices.output_audio);
    line("output_image", usage.output_image_tokens, prices.output_image);
    line("output_video", usage.output_video_tokens, prices.output_video);
    Ok(())
}

/// What of the whole is text.
fn left(whole: &str, tokens: u64, media: &[u64; 3]) -> Result<u64> {
    let special = media.iter().fold(0_u64, |sum, part| sum.saturating_add(*part));
    tokens.checked_sub(special).ok_or_else(|| {
        Error::invalid(format!(
            "audio, images and video have `{special}` {whole} tokens, all {whole} only `{tokens}`"
        ))
    })
}
