//! How many tokens is this text?
//!
//! Counts the way the published encodings of OpenAI, DeepSeek, Qwen and Mistral count, and Claude as
//! a published reconstruction of its tokenizer does; or says that it could not and gives a ceiling by
//! the text's bytes instead. The invariant: a count is never below that of the encoding's own
//! tokenizer. Every token of a byte-level encoding holds at least one byte, so a text never has more
//! tokens than bytes; Qwen composes characters first, which makes up to three bytes of one; Claude's
//! markers make it less than four a byte.
//!
//! Hostile text cannot make it slow or make it fail: beyond [`TEXT_MAX_BYTES`] of text, and in
//! runs longer than [`Encoding::run_max_bytes`] without a place to cut, the ceiling counts; and a
//! panic of an engine is caught and answered the same way.
//!
//! It does not know models, messages or prices, and special tokens written out in a text count
//! as the ordinary text they are. An encoding is loaded when it is first used (8 to 14 ms of
//! CPU for `o200k_base`), never before.
//!
//! ```
//! use outlay::meter::tokens::{Encoding, count};
//!
//! let hello = count(Encoding::O200k, "hello world");
//! assert_eq!((hello.tokens, hello.exact), (2, true));
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

mod claude;
mod cut;
mod family;
mod pairs;
mod streamed;

pub(super) use family::LLAMA3_PER_MILLE;
pub use family::family;
pub use streamed::Streamed;

/// Bytes of one text that are counted; every byte beyond counts as a token.
pub const TEXT_MAX_BYTES: usize = 4 << 20;

/// Tokens of one text that are counted; every byte beyond counts as a token.
pub const TEXT_MAX_TOKENS: u64 = 1 << 20;

/// The longest token of any byte-pair encoding, in bytes (128 spaces).
const TOKEN_MAX_BYTES: u64 = 128;

/// So many times as many bytes, or as few, as a text has once its characters are composed, at most.
const COMPOSED_TIMES: u64 = 3;

/// Which vocabulary and splitter a model reads text with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `o200k_base`: GPT-4o and every GPT and o-series model after it.
    O200k,
    /// `cl100k_base`: GPT-4, GPT-3.5 and the text-embedding models.
    Cl100k,
    /// DeepSeek V3, R1, V4.
    DeepSeek,
    /// Qwen 2, 2.5 and 3.
    Qwen,
    /// `tekken`: Mistral's models since NeMo of July 2024.
    Tekken,
    /// Claude 3 to Opus 4.6, as reconstructed.
    Claude3,
    /// Claude Opus 4.7, as reconstructed.
    Claude47,
    /// Claude Opus 4.8, Sonnet 5 and all after them, as reconstructed.
    Claude48,
}

impl Encoding {
    /// Is it a reconstruction, which nobody but its author has checked against the provider?
    pub const fn is_reconstructed(self) -> bool {
        matches!(self, Self::Claude3 | Self::Claude47 | Self::Claude48)
    }

    /// Longest run of bytes without a place to cut that is counted; for a longer one its bytes
    /// count. Words, lines of dashes and blocks of base64 stay far below it.
    pub const fn run_max_bytes(self) -> usize {
        if self.is_reconstructed() { 4 << 10 } else { 1 << 10 }
    }

    /// Tokens that one byte can be at most.
    const fn tokens_per_byte(self) -> u64 {
        match self {
            Self::Qwen => COMPOSED_TIMES,
            Self::O200k | Self::Cl100k | Self::DeepSeek | Self::Tekken => 1,
            Self::Claude3 | Self::Claude47 | Self::Claude48 => claude::TOKENS_PER_BYTE,
        }
    }
}

/// How many tokens a text is, in whole tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The count; when not `exact`, no less than the true one.
    pub tokens: u64,
    /// Whether the encoding's own tokenizer would give the same number.
    pub exact: bool,
}

/// Counts the tokens of a whole text.
///
/// The text is counted on its own: a message's frame and the model's primer come on top. Takes
/// 10 to 20 ms of CPU for a megabyte of prose, 0.3 s for the slowest megabyte we could make; beyond
/// [`TEXT_MAX_BYTES`] bytes are counted.
///
/// # Example
///
/// ```
/// use outlay::meter::tokens::{Encoding, count};
///
/// assert_eq!(count(Encoding::Cl100k, "").tokens, 0);
/// assert_eq!(count(Encoding::Cl100k, "antidisestablishmentarianism").tokens, 6);
///
/// // One unbroken run of 100,000 bytes is not worth a second of anybody's time.
/// let hostile = count(Encoding::O200k, &"a".repeat(100_000));
/// assert_eq!((hostile.tokens, hostile.exact), (100_000, false));
/// ```
pub fn count(encoding: Encoding, text: &str) -> Count {
    tally(encoding, None, text).count(encoding)
}

/// The ids of a text's tokens, by the engine that [`count`] counts with and without any of its limits;
/// none for Claude, whose reconstruction has no ids.
///
/// For comparing with other tokenizers. A long run without a place to cut costs the square of its
/// length.
///
/// # Example
///
/// ```
/// use outlay::meter::tokens::{Encoding, ids};
///
/// assert_eq!(ids(Encoding::O200k, "hello world"), Some(vec![24_912, 2_375]));
/// assert_eq!(ids(Encoding::Claude48, "hello world"), None);
/// ```
pub fn ids(encoding: Encoding, text: &str) -> Option<Vec<u32>> {
    (!encoding.is_reconstructed()).then(|| pairs::ids(encoding, text))
}

/// Keeps every other thread from loading a vocabulary while it lives.
///
/// A vocabulary is loaded at its first count. A child of `fork` that was made while another thread
/// did that would wait for that thread for ever, and the thread is not there. Take this before a
/// fork and drop it on both sides after it, on the same thread; that thread must not count in
/// between. Other threads count on with what is loaded.
///
/// # Example
///
/// ```
/// use outlay::meter::tokens::{Encoding, count, quiet};
///
/// let quiet = quiet();
/// // fork here
/// drop(quiet);
/// assert_eq!(count(Encoding::O200k, "hello").tokens, 1);
/// ```
#[must_use = "nothing is kept from loading once this is dropped"]
pub fn quiet() -> Quiet {
    Quiet { _alone: alone() }
}

/// What [`quiet`] gives: no vocabulary is loaded until it is dropped.
#[derive(Debug)]
pub struct Quiet {
    _alone: MutexGuard<'static, ()>,
}

/// Has whoever loads a vocabulary do so alone. Not from `crate::sync`: it guards no state of ours.
fn alone() -> MutexGuard<'static, ()> {
    static LOADING: Mutex<()> = Mutex::new(());
    LOADING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is read once in a process. `read` must not load anything else.
fn loaded<T>(place: &'static OnceLock<T>, read: impl FnOnce() -> T) -> &'static T {
    place.get().unwrap_or_else(|| {
        let _alone = alone();
        place.get_or_init(read)
    })
}

/// What is known of a text's count.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Tokens of what was counted.
    tokens: u64,
    /// Bytes of what was not.
    bytes: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.tokens += other.tokens;
        self.bytes += other.bytes;
    }

    fn add_bytes(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    fn count(self, encoding: Encoding) -> Count {
        Count { tokens: self.tokens + self.bytes * encoding.tokens_per_byte(), exact: self.bytes == 0 }
    }

    /// Claude reads some characters as nothing.
    fn lowest(self, encoding: Encoding) -> u64 {
        let uncounted = match encoding {
            Encoding::Qwen => self.bytes.div_ceil(TOKEN_MAX_BYTES * COMPOSED_TIMES),
            _ if encoding.is_reconstructed() => 0,
            _ => self.bytes.div_ceil(TOKEN_MAX_BYTES),
        };
        self.tokens + uncounted
    }
}

/// Counts a text that starts at its own beginning, or at a cut and then with what is `before` it.
fn tally(encoding: Encoding, mut before: Option<char>, text: &str) -> Tally {
    let mut total = Tally::default();
    let mut rest = text;
    while !rest.is_empty() {
        if total.tokens >= TEXT_MAX_TOKENS || text.len() - rest.len() >= TEXT_MAX_BYTES {
            total.add_bytes(rest.len());
            break;
        }
        let stretch = cut::stretch(encoding, rest);
        total.add(encoded(encoding, before, &rest[..stretch.countable]));
        total.add_bytes(stretch.overlong);
        let (done, next) = rest.split_at(stretch.countable + stretch.overlong);
        (before, rest) = (done.chars().next_back(), next);
    }
    total
}

/// Counts a text without overlong runs.
fn encoded(encoding: Encoding, before: Option<char>, text: &str) -> Tally {
    if text.is_empty() {
        return Tally::default();
    }
    guarded(text, |text| {
        if encoding.is_reconstructed() {
            claude::tokens(encoding, before, text)
        } else {
            pairs::tokens(encoding, text)
        }
    })
}

/// Whatever an engine does, a count comes back.
fn guarded(text: &str, encoded_len: impl FnOnce(&str) -> u64) -> Tally {
    match catch_unwind(AssertUnwindSafe(|| encoded_len(text))) {
        Ok(tokens) => Tally { tokens, bytes: 0 },
        Err(_) => Tally { tokens: 0, bytes: text.len() as u64 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN_MAX: usize = Encoding::O200k.run_max_bytes();
    const BOTH: [Encoding; 2] = [Encoding::O200k, Encoding::Cl100k];

    #[test]
    fn counts_published_examples() {
        // From OpenAI's cookbook, "How to count tokens with tiktoken".
        for (text, o200k, cl100k) in [
            ("antidisestablishmentarianism", 6, 6),
            ("2 + 2 = 4", 7, 7),
            ("お誕生日おめでとう", 8, 9),
            ("tiktoken is great!", 6, 6),
        ] {
            assert_eq!(count(Encoding::O200k, text), Count { tokens: o200k, exact: true }, "{text}");
            assert_eq!(count(Encoding::Cl100k, text), Count { tokens: cl100k, exact: true }, "{text}");
        }
    }

    #[test]
    fn special_tokens_written_out_are_ordinary_text() {
        assert!(BOTH.iter().all(|&encoding| count(encoding, "<|endoftext|>").tokens > 1));
    }

    #[test]
    fn a_run_at_the_limit_is_exact_and_one_byte_more_is_not() {
        for encoding in BOTH {
            let at = "a".repeat(RUN_MAX);
            assert_eq!(count(encoding, &at), Count { tokens: RUN_MAX as u64 / 8, exact: true });
            let over = "a".repeat(RUN_MAX + 1);
            assert_eq!(count(encoding, &over), Count { tokens: RUN_MAX as u64 + 1, exact: false });
        }
    }

    #[test]
    fn only_the_overlong_run_is_counted_by_its_bytes() {
        let run = " ".repeat(RUN_MAX) + "x";
        let whole =
            count(Encoding::O200k, &["The quick brown fox jumps over", &run, " the lazy dog."].concat());
        assert_eq!(whole, Count { tokens: 6 + run.len() as u64 + 4, exact: false });
    }

    #[test]
    fn text_beyond_the_limits_is_counted_by_its_bytes() {
        // Units of five bytes and known tokens, so that the count tells how much was counted.
        let dense = TEXT_MAX_TOKENS as usize * 5 / 3;
        for (unit, tokens, limit) in [("word ", 1, TEXT_MAX_BYTES), ("1 ü ", 3, dense)] {
            let text = unit.repeat(TEXT_MAX_BYTES / 4);
            let long = count(Encoding::O200k, &text);
            let counted = (text.len() - long.tokens as usize) * 5 / (5 - tokens);
            assert!(!long.exact);
            assert!((limit..limit + (128 << 10)).contains(&counted), "{counted} bytes of {unit:?}");
        }
    }

    #[test]
    fn a_panicking_engine_gives_the_byte_ceiling() {
        let tally = guarded("héllo", |_| panic!("stack overflow"));
        assert_eq!(
            (tally.count(Encoding::O200k), tally.lowest(Encoding::O200k)),
            (Count { tokens: 6, exact: false }, 1)
        );
    }
}
