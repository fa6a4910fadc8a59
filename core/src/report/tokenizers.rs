//! How many tokens would another model read?
//!
//! Two tokenizers are compared on the same texts: prose, source code, JSON and Chinese. The answer is
//! a range, as nobody keeps the texts of past calls. Where a vocabulary is not known, its side of the
//! range is as wide as its family was ever measured.

use crate::meter::{
    ModelPrice, UNKNOWN_PRIOR_PER_MILLE,
    tokens::{Encoding, count, family},
};

/// The same matter to every tokenizer, in what agents read and write most.
const SAMPLES: [&str; 4] = [
    include_str!("tokenizers/prose.txt"),
    include_str!("tokenizers/code.txt"),
    include_str!("tokenizers/calls.json"),
    include_str!("tokenizers/chinese.txt"),
];

/// No family that was measured needs fewer tokens than this, per thousand of `o200k_base`.
const LEAST_PER_MILLE: u32 = 990;

/// Where a ratio comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RatioSource {
    /// Both models read with the same tokenizer, so it is 1.
    SameTokenizer,
    /// Both vocabularies are known: counted on sample texts.
    Samples,
    /// A vocabulary is not known: as far as its family was ever measured.
    Family,
}

impl RatioSource {
    /// The word reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SameTokenizer => "same tokenizer",
            Self::Samples => "sample texts",
            Self::Family => "family bounds",
        }
    }
}

/// Tokens of one model for a thousand of another, of the same text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRatio {
    /// At least.
    pub low_per_mille: u32,
    /// At most.
    pub high_per_mille: u32,
    /// How it is known.
    pub source: RatioSource,
}

impl TokenRatio {
    pub(super) const SAME: Self =
        Self { low_per_mille: 1_000, high_per_mille: 1_000, source: RatioSource::SameTokenizer };
}

/// What is known of how a model reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tokenizer {
    encoding: Encoding,
    /// Tokens per thousand of the encoding's, at most.
    prior_per_mille: u32,
}

impl Tokenizer {
    pub fn of(price: &ModelPrice) -> Self {
        Self { encoding: price.encoding, prior_per_mille: price.prior_per_mille }
    }

    /// By its name alone, of a model without a price.
    pub fn named(model: &str) -> Self {
        let (encoding, prior_per_mille) = family(model).unwrap_or((Encoding::O200k, UNKNOWN_PRIOR_PER_MILLE));
        Self { encoding, prior_per_mille }
    }

    /// Is the vocabulary the model's own, published or reconstructed?
    const fn is_known(self) -> bool {
        self.prior_per_mille == 1_000 || self.encoding.is_reconstructed()
    }

    fn range(self, text: &str) -> [u64; 2] {
        let tokens = count(self.encoding, text).tokens;
        let least = if self.is_known() { 1_000 } else { LEAST_PER_MILLE };
        [tokens * u64::from(least), tokens * u64::from(self.prior_per_mille)]
    }

    /// Tokens of `other` for a thousand of this one.
    pub fn ratio_to(self, other: Self) -> TokenRatio {
        if self.is_known() && self == other {
            return TokenRatio::SAME;
        }
        let (mut low, mut high) = (u64::MAX, 0);
        for text in SAMPLES {
            let ([own_least, own_most], [least, most]) = (self.range(text), other.range(text));
            low = low.min(least * 1_000 / own_most.max(1));
            high = high.max((most * 1_000).div_ceil(own_least.max(1)));
        }
        let is_known = self.is_known() && other.is_known();
        let per_mille = |ratio| u32::try_from(ratio).unwrap_or(u32::MAX);
        TokenRatio {
            low_per_mille: per_mille(low),
            high_per_mille: per_mille(high),
            source: if is_known { RatioSource::Samples } else { RatioSource::Family },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(from: &str, to: &str) -> TokenRatio {
        let [from, to] = [from, to].map(|model| {
            let o200k = Tokenizer { encoding: Encoding::O200k, prior_per_mille: 1_000 };
            if model.starts_with("gpt") { o200k } else { Tokenizer::named(model) }
        });
        from.ratio_to(to)
    }

    #[test]
    fn a_ratio_is_one_only_where_the_tokenizer_is_known_to_be_the_same() {
        assert_eq!(ratio("gpt-4o", "gpt-4o-mini"), TokenRatio::SAME);
        assert_eq!(ratio("claude-3-5-haiku", "claude-sonnet-4-5"), TokenRatio::SAME);
        for (from, to) in [("gemini-2.5-pro", "gemini-2.5-flash"), ("unheard-of", "unheard-of-2")] {
            let ratio = ratio(from, to);
            assert_eq!(ratio.source, RatioSource::Family);
            assert!(ratio.low_per_mille < 1_000 && ratio.high_per_mille > 1_000, "{ratio:?}");
        }
    }

    /// Measured by others on other texts: Claude 4.7 reads prose in 1.0 to 1.47 times the tokens of 4.6.
    #[test]
    fn ranges_hold_what_others_measured() {
        let newer = ratio("claude-opus-4-6", "claude-opus-4-7");
        assert_eq!(newer.source, RatioSource::Samples);
        assert!((950..=1_200).contains(&newer.low_per_mille), "{newer:?}");
        assert!((1_300..=1_550).contains(&newer.high_per_mille), "{newer:?}");
        let gemini = ratio("gpt-4o", "gemini-2.5-pro");
        assert_eq!((gemini.low_per_mille, gemini.high_per_mille), (990, 1_400));
    }

    #[test]
    fn there_and_back_holds_one() {
        let models = ["gpt-4o", "claude-opus-4-6", "claude-opus-4-8", "deepseek-chat", "gemini-2.5-pro"];
        for (from, to) in models.iter().flat_map(|from| models.map(|to| (*from, to))) {
            let (there, back) = (ratio(from, to), ratio(to, from));
            let least = u64::from(there.low_per_mille) * u64::from(back.low_per_mille);
            let most = u64::from(there.high_per_mille) * u64::from(back.high_per_mille);
            assert!(least <= 1_000_000 && 1_000_000 <= most, "{from} {to} {there:?} {back:?}");
        }
    }
}
