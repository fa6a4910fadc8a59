//! What is a text mostly written in?
//!
//! Tokenizers differ most by script: what two of them make of English is alike, of Korean not at all.
//! The invariant: it costs a look at each byte and keeps nothing.
//!
//! ```
//! use outlay::meter::Script;
//!
//! assert_eq!(Script::of(["It has not arrived."]), Script::Latin);
//! assert_eq!(Script::of(["Возврат ", "не поступил."]), Script::Alphabet);
//! ```

/// What a text is mostly written in, as far as its bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Latin letters without accents, source code, JSON.
    Latin,
    /// Latin letters with accents, or some of another script.
    Mixed,
    /// An alphabet of two bytes a letter: Greek, Cyrillic, Hebrew, Arabic.
    Alphabet,
    /// Three bytes a character: Chinese, Japanese, Korean, the scripts of India.
    Wide,
}

/// One byte in so many is not ASCII, at least, in a text that is mixed, and in one of another script.
const MIXED: usize = 64;
const FOREIGN: usize = 4;

impl Script {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Latin, Self::Mixed, Self::Alphabet, Self::Wide];

    /// Looks at texts that belong together.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut all, mut foreign, mut wide) = (0, 0, 0);
        for text in texts {
            all += text.len();
            foreign += text.bytes().filter(|byte| *byte >= 0x80).count();
            wide += text.bytes().filter(|byte| *byte >= 0xE0).count();
        }
        match foreign {
            _ if foreign * MIXED <= all => Self::Latin,
            _ if foreign * FOREIGN <= all => Self::Mixed,
            // Of three bytes one tells that there are three.
            _ if wide * 6 > foreign => Self::Wide,
            _ => Self::Alphabet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_most_of_it_is() {
        for (text, script) in [
            ("", Script::Latin),
            (
                "one in a hundred bytes is of a naïve letter, which makes it nothing else: nearly all \
                 of its letters are those of English and of source code",
                Script::Latin,
            ),
            ("Vérifiez où en est le remboursement", Script::Mixed),
            ("an answer of forty letters, and then 退款", Script::Mixed),
            ("المبلغ المسترد", Script::Alphabet),
            ("还没有到账", Script::Wide),
            ("주문 환불이 아직", Script::Wide),
        ] {
            assert_eq!(Script::of([text]), script, "{text}");
        }
    }
}
