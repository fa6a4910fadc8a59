//! What does one unit cost, and what does that depend on?
//!
//! On how long the whole input is (context tiers), and on the service tier that serves the call. When
//! it is asked for (dates, hours) is the book's to know.

use std::fmt;

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
    /// Video input.
    pub input_video: i64,
    /// Audio input read from the cache.
    pub cache_audio_read: i64,
    /// Image input read from the cache.
    pub cache_image_read: i64,
    /// Output the caller sees.
    pub output: i64,
    /// Output the caller does not see.
    pub reasoning: i64,
    /// Audio output.
    pub output_audio: i64,
    /// Image output.
    pub output_image: i64,
    /// Video output.
    pub output_video: i64,
}

impl UnitPrices {
    /// Each unit with its name, as usages and overrides spell it.
    pub fn named(&self) -> [(&'static str, i64); 14] {
        [
            ("input", self.input),
            ("cache_read", self.cache_read),
            ("cache_write", self.cache_write),
            ("cache_write_1h", self.cache_write_1h),
            ("input_audio", self.input_audio),
            ("input_image", self.input_image),
            ("input_video", self.input_video),
            ("cache_audio_read", self.cache_audio_read),
            ("cache_image_read", self.cache_image_read),
            ("output", self.output),
            ("reasoning", self.reasoning),
            ("output_audio", self.output_audio),
            ("output_image", self.output_image),
            ("output_video", self.output_video),
        ]
    }

    /// The units that are priced apart, and plain input and output.
    pub fn apart(&self) -> impl Iterator<Item = (&'static str, i64)> {
        let p = *self;
        self.named().into_iter().filter(move |(unit, pico)| {
            let plain = match *unit {
                "input" | "output" => return true,
                "cache_write_1h" => p.cache_write,
                "cache_audio_read" | "cache_image_read" => p.cache_read,
                "reasoning" | "output_audio" | "output_image" | "output_video" => p.output,
                _ => p.input,
            };
            *pico != plain
        })
    }

    /// Prices as [`apart`](Self::apart) gave them; nothing without those of plain input and output.
    pub(crate) fn told(pico: impl Fn(&str) -> Option<i64>) -> Option<Self> {
        let (input, output) = (pico("input")?, pico("output")?);
        let of = |unit: &str, whole: i64| pico(unit).unwrap_or(whole);
        let (cache_read, cache_write) = (of("cache_read", input), of("cache_write", input));
        Some(Self {
            input,
            cache_read,
            cache_write,
            cache_write_1h: of("cache_write_1h", cache_write),
            input_audio: of("input_audio", input),
            input_image: of("input_image", input),
            input_video: of("input_video", input),
            cache_audio_read: of("cache_audio_read", cache_read),
            cache_image_read: of("cache_image_read", cache_read),
            output,
            reasoning: of("reasoning", output),
            output_audio: of("output_audio", output),
            output_image: of("output_image", output),
            output_video: of("output_video", output),
        })
    }

    /// Each price changed in the same way.
    pub(super) fn map(&self, change: impl Fn(i64) -> i64) -> Self {
        Self {
            input: change(self.input),
            cache_read: change(self.cache_read),
            cache_write: change(self.cache_write),
            cache_write_1h: change(self.cache_write_1h),
            input_audio: change(self.input_audio),
            input_image: change(self.input_image),
            input_video: change(self.input_video),
            cache_audio_read: change(self.cache_audio_read),
            cache_image_read: change(self.cache_image_read),
            output: change(self.output),
            reasoning: change(self.reasoning),
            output_audio: change(self.output_audio),
            output_image: change(self.output_image),
            output_video: change(self.output_video),
        }
    }
}

/// Prices as given, before [`Rates::resolved`] fills in what is not priced apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    pub input: i64,
    pub output: i64,
    pub cache_read: Option<i64>,
    pub cache_write: Option<i64>,
    pub cache_write_1h: Option<i64>,
    pub input_audio: Option<i64>,
    pub input_image: Option<i64>,
    pub input_video: Option<i64>,
    pub cache_audio_read: Option<i64>,
    pub cache_image_read: Option<i64>,
    pub reasoning: Option<i64>,
    pub output_audio: Option<i64>,
    pub output_image: Option<i64>,
    pub output_video: Option<i64>,
}

impl Rates {
    pub(super) fn resolved(&self) -> UnitPrices {
        let cache_write = self.cache_write.unwrap_or(self.input);
        let cache_read = self.cache_read.unwrap_or(self.input);
        UnitPrices {
            input: self.input,
            cache_read,
            cache_write,
            cache_write_1h: self.cache_write_1h.unwrap_or(cache_write),
            input_audio: self.input_audio.unwrap_or(self.input),
            input_image: self.input_image.unwrap_or(self.input),
            input_video: self.input_video.unwrap_or(self.input),
            cache_audio_read: self.cache_audio_read.or(self.input_audio).unwrap_or(cache_read),
            cache_image_read: self.cache_image_read.or(self.input_image).unwrap_or(cache_read),
            output: self.output,
            reasoning: self.reasoning.unwrap_or(self.output),
            output_audio: self.output_audio.unwrap_or(self.output),
            output_image: self.output_image.unwrap_or(self.output),
            output_video: self.output_video.unwrap_or(self.output),
        }
    }
}

/// Unit prices by the length of the whole input, cached input included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ByContext {
    pub base: UnitPrices,
    /// Above so many tokens, in rising order.
    pub tiers: Box<[(u64, UnitPrices)]>,
}

impl ByContext {
    /// Each price changed in the same way.
    pub(super) fn map(&self, change: impl Fn(i64) -> i64 + Copy) -> Self {
        let tiers = self.tiers.iter().map(|(above, prices)| (*above, prices.map(change))).collect();
        Self { base: self.base.map(change), tiers }
    }

    /// The prices of an input of so many tokens; they hold for all of them.
    pub(super) fn at(&self, input_tokens: u64) -> &UnitPrices {
        let tier = self.tiers.iter().rev().find(|(above, _)| input_tokens > *above);
        tier.map_or(&self.base, |(_, prices)| prices)
    }

    /// The prices of all inputs up to so many tokens.
    pub(super) fn up_to(&self, input_tokens: u64) -> impl Iterator<Item = &UnitPrices> {
        let above = self.tiers.iter().take_while(move |(above, _)| input_tokens > *above);
        std::iter::once(&self.base).chain(above.map(|(_, prices)| prices))
    }
}

/// How fast and how surely a call is served, where that has a price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ServiceTier {
    /// As usual.
    #[default]
    Standard,
    /// Within hours, in bulk.
    Batch,
    /// When there is room.
    Flex,
    /// Before others.
    Priority,
    /// At a higher speed.
    Fast,
    /// At the highest speed.
    Ultrafast,
}

impl ServiceTier {
    /// Every tier.
    pub const ALL: [Self; 6] =
        [Self::Standard, Self::Batch, Self::Flex, Self::Priority, Self::Fast, Self::Ultrafast];

    /// Its name, such as `flex`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Fast => "fast",
            Self::Ultrafast => "ultrafast",
        }
    }

    /// The tier a provider's word means; none for a word nobody has judged.
    ///
    /// `auto` and `default` are standard: which tier they end in, the response says.
    ///
    /// ```
    /// use outlay::meter::ServiceTier;
    ///
    /// assert_eq!(ServiceTier::read("flex"), Some(ServiceTier::Flex));
    /// assert_eq!(ServiceTier::read("ON_DEMAND_PRIORITY"), Some(ServiceTier::Priority));
    /// assert_eq!(ServiceTier::read("default"), Some(ServiceTier::Standard));
    /// assert_eq!(ServiceTier::read("scale"), None);
    /// ```
    pub fn read(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let word = word.strip_prefix("on_demand_").unwrap_or(&word);
        let usual = ["auto", "default", "standard_only", "on_demand"];
        Self::ALL
            .into_iter()
            .find(|tier| tier.code() == word || *tier == Self::Standard && usual.contains(&word))
    }

    /// The tier a call was served in, when it asked for this one and the response said `word`.
    ///
    /// A response that says nothing we know served what was asked for. The tier Anthropic reports is one
    /// `of_capacity`; it says nothing of the speed.
    #[must_use]
    pub fn told(self, of_capacity: bool, word: Option<&str>) -> Self {
        match word.and_then(Self::read) {
            None => self,
            Some(Self::Standard) if self == Self::Fast && of_capacity => self,
            Some(told) => told,
        }
    }

    /// Is it never dearer than standard?
    pub(super) const fn is_discount(self) -> bool {
        matches!(self, Self::Batch | Self::Flex)
    }
}

impl fmt::Display for ServiceTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
