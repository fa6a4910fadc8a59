//! Which tokens does a byte-pair encoding make of this text?
//!
//! A text is split into pieces by the encoding's pattern, and a piece that is no token itself starts
//! as its bytes, of which the two neighbours that make the token of the lowest rank are joined, until
//! none do. The invariant: the same ids as the encoding's own tokenizer, counted from its first
//! token that is no special one.
//!
//! Its memory is the vocabulary, read once. What a piece costs grows with the square of its length:
//! whoever calls it keeps pieces short.

use std::sync::OnceLock;

mod classes;
mod split;
mod vocab;

use classes::Classes;
use split::Rules;
use unicode_normalization::{UnicodeNormalization, is_nfc};
use vocab::Vocab;

use super::Encoding;

struct Engine {
    rules: Rules,
    /// Characters are composed first.
    composes: bool,
    vocab: Vocab,
}

static DEEPSEEK: OnceLock<Engine> = OnceLock::new();
static QWEN: OnceLock<Engine> = OnceLock::new();
static TEKKEN: OnceLock<Engine> = OnceLock::new();

/// The engine of an encoding that is counted here.
fn engine(encoding: Encoding) -> &'static Engine {
    let (place, rules, coded): (_, _, &'static [u8]) = match encoding {
        Encoding::DeepSeek => (&DEEPSEEK, Rules::DeepSeek, include_bytes!("../../../vocab/deepseek.ranks")),
        Encoding::Qwen => (&QWEN, Rules::QWEN, include_bytes!("../../../vocab/qwen.ranks")),
        _ => (&TEKKEN, Rules::TEKKEN, include_bytes!("../../../vocab/tekken.ranks")),
    };
    let composes = encoding == Encoding::Qwen;
    place.get_or_init(|| Engine { rules, composes, vocab: Vocab::read(coded) })
}

/// Counts a text.
pub(super) fn tokens(encoding: Encoding, text: &str) -> u64 {
    let mut count = 0;
    engine(encoding).encode(text, |_| count += 1);
    count
}

impl Engine {
    fn encode(&self, text: &str, give: impl FnMut(u32)) {
        if self.composes && !text.is_ascii() && !is_nfc(text) {
            return self.encode_pieces(&text.nfc().collect::<String>(), give);
        }
        self.encode_pieces(text, give);
    }

    fn encode_pieces(&self, text: &str, mut give: impl FnMut(u32)) {
        let mut room = vocab::Room::default();
        let classes = Classes::all();
        let mut start = 0;
        while start < text.len() {
            let end = split::end(self.rules, classes, text, start);
            match self.vocab.find(text.as_bytes(), start, end) {
                Some(id) => give(id),
                None => self.vocab.merge(text.as_bytes(), start, end, &mut room, &mut give),
            }
            start = end;
        }
    }
}

#[cfg(test)]
mod tests;
