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

use super::{Encoding, loaded};

struct Engine {
    rules: Rules,
    /// Characters are composed first.
    composes: bool,
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
    let composes = encoding == Encoding::Qwen;
    loaded(place, || Engine { rules, composes, vocab: Vocab::read(coded) })
}

/// The ids of a text's tokens.
pub(super) fn ids(encoding: Encoding, text: &str) -> Vec<u32> {
    let (engine, mut ids) = (engine(encoding), Vec::new());
    engine.encode(text, |text, tokens| match tokens {
        Tokens::One(id) => ids.push(id),
        // Every byte is a token, and what was joined is one.
        Tokens::From(starts) => ids.extend(
            starts.windows(2).filter_map(|part| engine.vocab.find(text, part[0] as usize, part[1] as usize)),
        ),
    });
    ids
}

/// Counts a text.
pub(super) fn tokens(encoding: Encoding, text: &str) -> u64 {
    let mut count = 0;
    engine(encoding).encode(text, |_, tokens| {
        count += match tokens {
            Tokens::One(_) => 1,
            Tokens::From(starts) => starts.len() as u64 - 1,
        }
    });
    count
}

/// What a piece is.
enum Tokens<'a> {
    /// The token of this id.
    One(u32),
    /// Several, which start at these places; then where the last ends.
    From(&'a [u32]),
}

impl Engine {
    /// Gives the tokens of each piece, and the text that their places are in.
    fn encode(&self, text: &str, give: impl FnMut(&[u8], Tokens<'_>)) {
        if self.composes && !text.is_ascii() && !is_nfc(text) {
            return self.encode_pieces(&text.nfc().collect::<String>(), give);
        }
        self.encode_pieces(text, give);
    }

    fn encode_pieces(&self, text: &str, mut give: impl FnMut(&[u8], Tokens<'_>)) {
        let mut room = vocab::Room::default();
        let classes = Classes::all();
        let (mut start, bytes) = (0, text.as_bytes());
        while start < text.len() {
            let end = split::end(self.rules, classes, text, start);
            match self.vocab.find(bytes, start, end) {
                Some(id) => give(bytes, Tokens::One(id)),
                None => give(bytes, Tokens::From(self.vocab.merge(bytes, start, end, &mut room))),
            }
            start = end;
        }
    }
}

#[cfg(test)]
mod tests;
