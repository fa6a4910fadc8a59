//! Which tokens does a byte-pair encoding make of this text?
//!
//! A text is split into pieces by the encoding's pattern, and a piece that is no token itself starts
//! as its bytes, of which the two neighbours that make the token of the lowest rank are joined, until
//! none do. The invariant: the same ids as the encoding's own tokenizer, counted from its first
//! token that is no special one.
//!
//! Its memory is the vocabulary, read once, and the words that each thread has `seen`. What a piece
//! costs grows with the square of its length: whoever calls it keeps pieces short.

use std::borrow::Cow;
use std::sync::OnceLock;

mod classes;
mod seen;
mod split;
mod vocab;

use classes::Classes;
use split::Rules;
use unicode_normalization::{UnicodeNormalization, is_nfc};
use vocab::{Room, Vocab};

use super::{Encoding, loaded};

struct Engine {
    encoding: Encoding,
    rules: Rules,
    vocab: Vocab,
}

static O200K: OnceLock<Engine> = OnceLock::new();
static CL100K: OnceLock<Engine> = OnceLock::new();
static DEEPSEEK: OnceLock<Engine> = OnceLock::new();
static QWEN: OnceLock<Engine> = OnceLock::new();
static TEKKEN: OnceLock<Engine> = OnceLock::new();

/// The engine of an encoding that is counted here.
fn engine(encoding: Encoding) -> &'static Engine {
    let (place, rules, coded): (_, _, &'static [u8]) = match encoding {
        Encoding::O200k => (&O200K, Rules::O200K, include_bytes!("../../../vocab/o200k.ranks")),
        Encoding::Cl100k => (&CL100K, Rules::CL100K, include_bytes!("../../../vocab/cl100k.ranks")),
        Encoding::DeepSeek => (&DEEPSEEK, Rules::DeepSeek, include_bytes!("../../../vocab/deepseek.ranks")),
        Encoding::Qwen => (&QWEN, Rules::QWEN, include_bytes!("../../../vocab/qwen.ranks")),
        _ => (&TEKKEN, Rules::TEKKEN, include_bytes!("../../../vocab/tekken.ranks")),
    };
    loaded(place, || Engine { encoding, rules, vocab: Vocab::read(coded) })
}

/// The ids of a text's tokens.
pub(super) fn ids(encoding: Encoding, text: &str) -> Vec<u32> {
    let (engine, mut room, mut ids) = (engine(encoding), Room::default(), Vec::new());
    let text = engine.composed(text);
    engine.split(&text, |bytes, start, end| match engine.vocab.find(bytes, start, end) {
        Some(id) => ids.push(id),
        // Every byte is a token, and what was joined is one.
        None => ids.extend(
            engine
                .vocab
                .merge(bytes, start, end, &mut room)
                .windows(2)
                .filter_map(|part| engine.vocab.find(bytes, part[0] as usize, part[1] as usize)),
        ),
    });
    ids
}

/// Counts a text.
pub(super) fn tokens(encoding: Encoding, text: &str) -> u64 {
    let (engine, mut room, mut count) = (engine(encoding), Room::default(), 0);
    let text = engine.composed(text);
    seen::with(|seen| {
        engine.split(&text, |bytes, start, end| {
            count += seen.tokens(encoding as u8, bytes, start, end, || {
                engine.vocab.tokens(bytes, start, end, &mut room)
            });
        });
    });
    count
}

impl Engine {
    /// Qwen reads characters composed.
    fn composed<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.encoding != Encoding::Qwen || text.is_ascii() || is_nfc(text) {
            return Cow::Borrowed(text);
        }
        Cow::Owned(text.nfc().collect())
    }

    /// Gives the text, and where each piece starts and ends.
    fn split(&self, text: &str, mut give: impl FnMut(&[u8], usize, usize)) {
        let classes = Classes::all();
        let mut start = 0;
        while start < text.len() {
            let end = split::end(self.rules, classes, text, start);
            give(text.as_bytes(), start, end);
            start = end;
        }
    }
}

#[cfg(test)]
mod tests;
