//! What did a call use?
//!
//! Token counts as the provider reports them, in one normal form: input *includes* cached input
//! and cache writes, output *includes* reasoning. The parts never exceed their whole.

use crate::error::{Error, Result};

/// The largest count of tokens we believe: a trillion.
pub const TOKENS_MAX: u64 = 1_000_000_000_000;

/// What one call used, in whole tokens (and whole requests for server tools).
///
/// ```
/// use outlay::Usage;
///
/// let usage = Usage { cache_read_tokens: 800, ..Usage::tokens(1_000, 500) };
/// assert!(usage.check().is_ok());
/// assert!(Usage { cache_read_tokens: 1_001, ..usage }.check().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input, with what was read from and written to a cache.
    pub input_tokens: u64,
    /// Of the input: read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Of the input: written to a cache of the default lifetime (five minutes).
    pub cache_write_tokens: u64,
    /// Of the input: written to a cache that lives one hour.
    pub cache_write_1h_tokens: u64,
    /// Of what was read from the cache: audio. Unknown is zero here: price lists then take it for text.
    pub cache_read_audio_tokens: u64,
    /// Of what was read from the cache: images. Unknown is zero here too.
    pub cache_read_image_tokens: u64,
    /// Of the input: audio.
    pub input_audio_tokens: u64,
    /// Of the input: images.
    pub input_image_tokens: u64,
    /// Of the input: video.
    pub input_video_tokens: u64,
    /// All output, with reasoning.
    pub output_tokens: u64,
    /// Of the output: reasoning the caller does not see.
    pub reasoning_tokens: u64,
    /// Of the output: audio.
    pub output_audio_tokens: u64,
    /// Of the output: images.
    pub output_image_tokens: u64,
    /// Of the output: video.
    pub output_video_tokens: u64,
    /// Searches the provider ran on its side and bills apiece.
    pub web_searches: u64,
}

impl Usage {
    /// A usage of plain input and output.
    pub const fn tokens(input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            input_tokens,
            output_tokens,
            cache_read_tokens: 0,
            cache_write_tokens: 0,
            cache_write_1h_tokens: 0,
            cache_read_audio_tokens: 0,
            cache_read_image_tokens: 0,
            input_audio_tokens: 0,
            input_image_tokens: 0,
            input_video_tokens: 0,
            reasoning_tokens: 0,
            output_audio_tokens: 0,
            output_image_tokens: 0,
            output_video_tokens: 0,
            web_searches: 0,
        }
    }

    /// Input and output together.
    pub const fn total_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// Is nothing known of it but how much input and output there was?
    pub(crate) fn is_plain(&self) -> bool {
        let &Self {
            input_tokens: _,
            output_tokens: _,
            cache_read_tokens,
            cache_write_tokens,
            cache_write_1h_tokens,
            cache_read_audio_tokens,
            cache_read_image_tokens,
            input_audio_tokens,
            input_image_tokens,
            input_video_tokens,
            reasoning_tokens,
            output_audio_tokens,
            output_image_tokens,
            output_video_tokens,
            web_searches,
        } = self;
        let cached = cache_read_tokens | cache_write_tokens | cache_write_1h_tokens;
        let cached = cached | cache_read_audio_tokens | cache_read_image_tokens;
        let input = input_audio_tokens | input_image_tokens | input_video_tokens;
        let output = reasoning_tokens | output_audio_tokens | output_image_tokens | output_video_tokens;
        cached | input | output | web_searches == 0
    }

    /// Is it believable?
    ///
    /// # Errors
    ///
    /// `InvalidInput`: a count above a trillion, or a part larger than its whole.
    pub fn check(&self) -> Result<()> {
        let largest = self.input_tokens.max(self.output_tokens).max(self.web_searches);
        if largest > TOKENS_MAX {
            return Err(Error::invalid(format!("a count of `{largest}` is more than a call can use")));
        }
        if self.is_plain() {
            return Ok(());
        }
        // A token is of one medium, whether it was cached, or reasoned, or neither.
        let cache = [self.cache_read_tokens, self.cache_write_tokens, self.cache_write_1h_tokens];
        let cached_media = sum(&[self.cache_read_audio_tokens, self.cache_read_image_tokens]);
        let media = [self.input_audio_tokens, self.input_image_tokens, self.input_video_tokens];
        let input = [sum(&cache), sum(&media)];
        let media = [self.output_audio_tokens, self.output_image_tokens, self.output_video_tokens];
        let output = [self.reasoning_tokens, sum(&media)];
        if let Some(part) = input.iter().find(|part| **part > self.input_tokens) {
            return Err(part_exceeds("input", *part, self.input_tokens));
        }
        if let Some(part) = output.iter().find(|part| **part > self.output_tokens) {
            return Err(part_exceeds("output", *part, self.output_tokens));
        }
        if cached_media > self.cache_read_tokens {
            return Err(part_exceeds("cached input", cached_media, self.cache_read_tokens));
        }
        Ok(())
    }
}

fn sum(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |total, part| total.saturating_add(*part))
}

fn part_exceeds(whole: &str, part: u64, total: u64) -> Error {
    Error::invalid(format!("a part of the {whole} has `{part}` tokens, the whole only `{total}`"))
}
