//! Where can a text be cut without changing its tokens?
//!
//! Byte-pair encodings split a text into pieces by a pattern and then merge bytes inside each piece;
//! for Claude, `claude::is_cut` says where.
//! At a cut, the tokens of the whole are those of the two parts, one after the other. That holds
//! where the character before is no whitespace (so that the pattern's look-ahead past whitespace
//! is not involved) and no alternative of any pattern can match both neighbours in one piece.
//!
//! The rules name only characters whose class no version of Unicode will change. They find every
//! space after a word, and enough in text without spaces; they do not find every boundary.

use super::{Encoding, claude};

/// How much text to count in one go: enough to make the way there cheap.
const STRETCH_BYTES: usize = 64 << 10;

/// The last cut in `from..=to`, in bytes, or none. `from` must be at least 1.
pub(super) fn last(encoding: Encoding, text: &str, from: usize, to: usize) -> Option<usize> {
    let mut at = text.floor_char_boundary(to);
    let mut chars = text[at..].chars();
    let (mut next, mut after) = (chars.next(), chars.next());
    for (before, previous) in text[..at].char_indices().rev() {
        if at < from {
            return None;
        }
        if next.is_some_and(|next| is_cut_of(encoding, previous, next, after)) {
            return Some(at);
        }
        (at, next, after) = (before, Some(previous), next);
    }
    None
}

/// The first cut of a text, in bytes.
pub(super) fn first(encoding: Encoding, text: &str) -> Option<usize> {
    let mut previous = None;
    for (at, next) in text.char_indices() {
        let after = text[at + next.len_utf8()..].chars().next();
        if previous.is_some_and(|previous| is_cut_of(encoding, previous, next, after)) {
            return Some(at);
        }
        previous = Some(next);
    }
    None
}

/// The beginning of a text, in bytes: what can be counted in one go, then what cannot.
pub(super) struct Stretch {
    /// Ends at a cut or with the text, and holds no run longer than `Encoding::run_max_bytes`.
    pub(super) countable: usize,
    /// A run longer than that, up to the next cut or the end of the text; else 0.
    pub(super) overlong: usize,
}

/// Measures the next stretch of a text. Of its two parts one at least is not empty.
pub(super) fn stretch(encoding: Encoding, text: &str) -> Stretch {
    let run_max = encoding.run_max_bytes();
    let mut countable = 0;
    while countable < STRETCH_BYTES {
        if text.len() - countable <= run_max {
            return Stretch { countable: text.len(), overlong: 0 };
        }
        let Some(cut) = last(encoding, text, countable + 1, countable + run_max) else {
            let overlong = first(encoding, &text[countable..]).unwrap_or(text.len() - countable);
            return Stretch { countable, overlong };
        };
        countable = cut;
    }
    Stretch { countable, overlong: 0 }
}

fn is_cut_of(encoding: Encoding, previous: char, next: char, after: Option<char>) -> bool {
    if encoding.is_reconstructed() { claude::is_cut(previous, next) } else { is_cut(previous, next, after) }
}

/// Whether a text can be cut between `previous` and `next`, whatever stands around them and what
/// follows `after`.
fn is_cut(previous: char, next: char, after: Option<char>) -> bool {
    if previous.is_whitespace() {
        return false;
    }
    match next {
        // Line ends may close a piece of punctuation; all other whitespace only opens pieces.
        '\r' | '\n' => previous.is_ascii_digit() || is_letter(previous),
        _ if next.is_whitespace() => true,
        // Digits share a piece only with digits.
        '0'..='9' => previous.is_ascii() && !previous.is_ascii_digit() || is_letter(previous),
        _ if previous.is_ascii_digit() => next.is_ascii() || is_letter(next) || is_mark(next),
        // Punctuation may open a word, but the apostrophe alone goes on with one.
        '\'' => is_letter(previous) && after.is_some_and(|c| c.is_ascii() && !is_letter(c)),
        _ => is_letter(previous) && (is_mark(next) || next.is_ascii() && !is_letter(next)),
    }
}

/// Some of what all patterns class as a letter: Latin, kana, Han and Hangul.
fn is_letter(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | 'ぁ'..='ゖ' | 'ァ'..='ヺ' | '㐀'..='䶵' | '一'..='龥' | '가'..='힣')
}

/// Some of what all patterns class as neither letter, number nor whitespace: the punctuation of
/// Chinese, Japanese and Korean.
fn is_mark(c: char) -> bool {
    matches!(c, '、'..='〃' | '〈'..='】' | '！'..='／' | '：'..='＠' | '“' | '”' | '…')
}

#[cfg(test)]
mod tests {
    use super::super::pairs;
    use super::*;

    const RUN_MAX: usize = Encoding::O200k.run_max_bytes();

    /// At least one character for every class that either pattern tells apart.
    const CLASSES: &str = "aZsd09 \t\r\n\u{b}\u{a0}\u{2028}\u{3000}'/.(-\u{0}é\u{301}\u{e33}Ⅷ²½ʰǅßкШ٣\
                           がー一龥힣、。「！／：…“\u{2019}€😀\u{200d}\u{fe0f}𝐀𠀀\u{378}\u{e000}";

    const ENCODINGS: [Encoding; 5] =
        [Encoding::O200k, Encoding::Cl100k, Encoding::DeepSeek, Encoding::Qwen, Encoding::Tekken];

    /// What may stand one further away.
    const CONTEXT: &str = "aZs1 \t\n'/.\u{301}²が、😀";

    #[test]
    fn the_tokens_of_the_parts_are_the_tokens_of_the_whole() {
        let mut cuts = 0;
        for a in CONTEXT.chars() {
            for b in CLASSES.chars() {
                for c in CLASSES.chars() {
                    for d in CONTEXT.chars().filter(|&d| is_cut(b, c, Some(d))) {
                        cuts += 1;
                        let (left, right) = (String::from_iter(['x', a, b]), String::from_iter([c, d, 'x']));
                        for encoding in ENCODINGS {
                            let parts = [pairs::ids(encoding, &left), pairs::ids(encoding, &right)].concat();
                            let whole = pairs::ids(encoding, &[&*left, &right].concat());
                            assert_eq!(parts, whole, "{encoding:?} {left:?} | {right:?}");
                        }
                    }
                }
            }
        }
        assert!(cuts > 100_000, "only {cuts} cuts were tried");
    }

    #[test]
    fn a_contraction_is_not_cut() {
        let ids = |text| pairs::ids(Encoding::O200k, text);
        assert_ne!([ids("it"), ids("'s")].concat(), ids("it's"));
        assert_eq!(last(Encoding::O200k, "it's", 1, 3), None);
        assert_eq!(last(Encoding::O200k, "it'", 1, 3), None);
        assert_eq!(last(Encoding::O200k, "'it'\n'", 1, 3), Some(3));
    }

    #[test]
    fn finds_the_last_cut_in_a_range() {
        let text = "one two  three";
        assert_eq!(last(Encoding::O200k, text, 1, 100), Some(7));
        assert_eq!(last(Encoding::O200k, text, 1, 7), Some(7));
        assert_eq!(last(Encoding::O200k, text, 1, 6), Some(3));
        assert_eq!(last(Encoding::O200k, text, 4, 6), None);
        assert_eq!(last(Encoding::O200k, "", 1, 10), None);
        assert_eq!(last(Encoding::O200k, "漢字。漢字", 1, 8), Some(6));
    }

    #[test]
    fn finds_the_first_cut() {
        assert_eq!(first(Encoding::O200k, "one two three"), Some(3));
        assert_eq!(first(Encoding::O200k, "'' 'it', that"), Some(2));
        assert_eq!(first(Encoding::O200k, "'it', that"), Some(3));
        assert_eq!(first(Encoding::O200k, "it'll d'"), Some(5));
        assert_eq!(first(Encoding::O200k, "d'"), None);
        assert_eq!(first(Encoding::O200k, "d"), None);
        assert_eq!(first(Encoding::O200k, ""), None);
    }

    #[test]
    fn a_run_is_overlong_only_beyond_the_limit() {
        let measured = |text: &str| {
            let stretch = stretch(Encoding::O200k, text);
            (stretch.countable, stretch.overlong)
        };
        let run = "=".repeat(RUN_MAX - 1);
        assert_eq!(measured(&format!("one {run}x two")), (3, RUN_MAX + 1));
        assert_eq!(measured(&format!("one {run} two")), (RUN_MAX + 7, 0));
        assert_eq!(measured(&format!("{run}= two")), (RUN_MAX + 4, 0));
        assert_eq!(measured(&format!("{run}漢")), (0, RUN_MAX + 2));
        let (countable, overlong) = measured(&"word ".repeat(STRETCH_BYTES));
        assert!((STRETCH_BYTES..STRETCH_BYTES + RUN_MAX).contains(&countable));
        assert_eq!(overlong, 0);
    }
}
