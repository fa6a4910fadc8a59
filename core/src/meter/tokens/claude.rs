//! How many tokens is this text to Claude?
//!
//! The maker publishes no tokenizer. This is our own engine for the reconstruction published as the
//! PyPI package `ctok` (Sander Land, MIT; algorithm and data, see `core/vocab/`): a text is
//! rewritten into words between markers, and the count is the fewest pieces of a vocabulary that
//! cover them. The invariant: the same count as that package's, for every text.
//!
//! It counts the content of a single message, without the frame round it. Time and memory grow with
//! the length of the text alone, whatever it holds.

use std::sync::OnceLock;

mod marked;
mod pieces;

use marked::{Rules, Traits};
use pieces::Pieces;

use super::{Encoding, loaded};

/// More tokens than a byte of text can be: a capital between digits is a word of its own, with three
/// markers; a character that is taken apart has three times its bytes.
pub(super) const TOKENS_PER_BYTE: u64 = 4;

static PIECES3: OnceLock<Pieces> = OnceLock::new();
static PIECES47: OnceLock<Pieces> = OnceLock::new();
static TRAITS: OnceLock<Traits> = OnceLock::new();

const RULES3: Rules = Rules { folds_quotes: true, marks_capitals: true, opens_with_word: true };
const RULES47: Rules = Rules { folds_quotes: false, marks_capitals: false, opens_with_word: true };
const RULES48: Rules = Rules { opens_with_word: false, ..RULES47 };

/// Counts a text that starts a message, or goes on after a [cut](is_cut).
pub(super) fn tokens(encoding: Encoding, before: Option<char>, text: &str) -> u64 {
    let (rules, pieces) = match encoding {
        Encoding::Claude47 => (RULES47, newest()),
        Encoding::Claude48 => (RULES48, newest()),
        _ => (RULES3, loaded(&PIECES3, || Pieces::read(include_bytes!("../../../vocab/claude3.pieces")))),
    };
    let count = |text: &str, before| marked::tokens(text, before, rules, traits(), pieces);
    match before {
        None => count(text, ""),
        // What stands before decides how it goes on. Any word or ideograph will do.
        Some(before) => {
            let same = if is_ideograph(before) { "一" } else { "a" };
            count(text, same) - count(same, "")
        }
    }
}

/// Whether a text can be cut between `previous` and `next`: the tokens of the whole are then those
/// of the parts, if the second is counted with `previous` before it.
///
/// A word always ends in a marker that no piece reaches beyond; ideographs are never joined.
pub(super) fn is_cut(previous: char, next: char) -> bool {
    if is_ideograph(next) && is_ideograph(previous) {
        return true;
    }
    let ends = matches!(next, ' '..='~' | '\t' | '\n') && !next.is_ascii_alphabetic() || is_ideograph(next);
    ends && traits().ends_word(previous)
}

/// Han characters, Hangul syllables and emoji: nothing combines with them.
fn is_ideograph(c: char) -> bool {
    matches!(c, '㐀'..='䶵' | '一'..='龥' | '가'..='힣' | '\u{1f300}'..='\u{1faff}')
}

fn newest() -> &'static Pieces {
    loaded(&PIECES47, || Pieces::read(include_bytes!("../../../vocab/claude47.pieces")))
}

fn traits() -> &'static Traits {
    loaded(&TRAITS, || Traits::read(include_bytes!("../../../vocab/claude.classes")))
}

#[cfg(test)]
mod tests;
