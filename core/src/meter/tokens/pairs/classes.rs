//! What kind of character is this?

use std::sync::OnceLock;

use regex_syntax::hir::{Class, HirKind};

use crate::meter::tokens::loaded;

pub(super) const LETTER: u8 = 1;
pub(super) const NUMBER: u8 = 2;
pub(super) const SPACE: u8 = 4;
pub(super) const MARK: u8 = 8;
/// May stand at the beginning of a word in capitals, at its end.
pub(super) const UPPER: u8 = 16;
pub(super) const LOWER: u8 = 32;
/// Punctuation and symbols.
pub(super) const SIGN: u8 = 64;
/// Han and kana, which one encoding keeps apart.
pub(super) const KANA: u8 = 128;

const PATTERNS: [(&str, u8); 8] = [
    (r"\p{L}", LETTER),
    (r"\p{N}", NUMBER),
    (r"\s", SPACE),
    (r"\p{M}", MARK),
    (r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", UPPER),
    (r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]", LOWER),
    (r"[\p{P}\p{S}]", SIGN),
    (r"[一-龥\u{3040}-ゟ゠-ヿ]", KANA),
];

pub(super) struct Classes(Vec<u8>);

impl Classes {
    pub(super) fn all() -> &'static Self {
        static ALL: OnceLock<Classes> = OnceLock::new();
        loaded(&ALL, || {
            // Most of it is never written to, so that it costs the memory of the first planes alone.
            let mut of = vec![0; char::MAX as usize + 1];
            for (pattern, class) in PATTERNS {
                let parsed = regex_syntax::parse(pattern);
                let Ok(HirKind::Class(Class::Unicode(ranges))) =
                    parsed.map(regex_syntax::hir::Hir::into_kind)
                else {
                    unreachable!("{pattern} is a class");
                };
                for range in ranges.ranges() {
                    of[range.start() as usize..=range.end() as usize]
                        .iter_mut()
                        .for_each(|own| *own |= class);
                }
            }
            Self(of)
        })
    }

    #[inline]
    pub(super) fn of(&self, c: char) -> u8 {
        self.0[c as usize]
    }
}
