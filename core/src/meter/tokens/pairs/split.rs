//! Where does a piece end?
//!
//! The patterns of the encodings, by hand: the same pieces as a regular expression finds that takes
//! the first alternative that matches, each as much as it can. Every character belongs to a piece.

use super::classes::{Classes, KANA, LETTER, LOWER, MARK, NUMBER, SIGN, SPACE, UPPER};

/// How an encoding splits.
#[derive(Clone, Copy)]
pub(super) enum Rules {
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,DIGITS}| ?[^\s\p{L}\p{N}]+[\r\n]*`,
    /// then space.
    Words { digits: u8 },
    /// `[^\r\n\p{L}\p{N}]?UPPER*LOWER+|[^\r\n\p{L}\p{N}]?UPPER+LOWER*`, where it contracts each with
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)?` after it, `|\p{N}{1,DIGITS}| ?[^\s\p{L}\p{N}]+[\r\n/]*`, then space.
    Cased { digits: u8, contracts: bool },
    /// Numbers as `\p{N}{1,3}` and runs of Han and kana are taken out first; what lies between them is
    /// split as if it were all: ``[!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+``
    /// `| ?[\p{P}\p{S}]+[\r\n]*`, then space; what no alternative matches is a piece.
    DeepSeek,
}

impl Rules {
    pub(super) const O200K: Self = Self::Cased { digits: 3, contracts: true };
    /// Its maker's pattern takes space at the end of a text whole (`\s++$`). No token holds a line end and
    /// ends in other space, so the ids are the same.
    pub(super) const CL100K: Self = Self::Words { digits: 3 };
    pub(super) const QWEN: Self = Self::Words { digits: 1 };
    pub(super) const TEKKEN: Self = Self::Cased { digits: 1, contracts: false };
}

/// The end of the piece that starts at `start`, where there must be a character.
pub(super) fn end(rules: Rules, classes: &Classes, text: &str, start: usize) -> usize {
    let text = Text { text, classes };
    if let Some(end) = text.plain(rules, start) {
        return end;
    }
    let Some((c, class, next)) = text.at(start) else { return start };
    match rules {
        Rules::Words { digits } => text
            .contraction(start)
            .or_else(|| text.word(c, class, next))
            .unwrap_or_else(|| text.rest_of(c, class, next, digits, |b| matches!(b, b'\r' | b'\n'))),
        Rules::Cased { digits, contracts } => match text.cased(c, class, start, next) {
            Some(end) if contracts => text.contraction(end).unwrap_or(end),
            Some(end) => end,
            None => text.rest_of(c, class, next, digits, |b| matches!(b, b'\r' | b'\n' | b'/')),
        },
        Rules::DeepSeek => text.deepseek(c, class, start, next),
    }
}

#[derive(Clone, Copy)]
struct Text<'a> {
    text: &'a str,
    classes: &'a Classes,
}

impl Text<'_> {
    /// The end of a word of ASCII letters, after a space or not: most pieces are such. What stands after it
    /// must not be able to go on with it.
    #[inline]
    fn plain(self, rules: Rules, start: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let first = start + usize::from(bytes[start] == b' ');
        let end = match rules {
            Rules::Cased { .. } => {
                let lower = |at| letters(bytes, at, |word| between(word, b'a', b'z'));
                match lower(first) {
                    end if end > first => end,
                    _ => lower(letters(bytes, first, |word| between(word, b'A', b'Z'))),
                }
            }
            _ => letters(bytes, first, |word| between(word | bytes_of(b' '), b'a', b'z')),
        };
        let ends = bytes.get(end).is_none_or(|byte| byte.is_ascii() && *byte != b'\'');
        (end > first && ends).then_some(end)
    }

    /// The character there, its class, and where it ends.
    #[inline]
    fn at(self, at: usize) -> Option<(char, u8, usize)> {
        let c = match *self.text.as_bytes().get(at)? {
            byte @ 0..0x80 => char::from(byte),
            _ => self.text[at..].chars().next()?,
        };
        Some((c, self.classes.of(c), at + c.len_utf8()))
    }

    #[inline]
    fn is(self, at: usize, class: u8) -> bool {
        self.at(at).is_some_and(|(_, own, _)| own & class != 0)
    }

    /// The end of a run of characters of which each is of one of the classes.
    #[inline]
    fn run(self, mut at: usize, class: u8) -> usize {
        at = self.bytes_while(at, |byte| byte < 0x80 && self.classes.of(char::from(byte)) & class != 0);
        while let Some((_, own, next)) = self.at(at)
            && own & class != 0
        {
            at = next;
        }
        at
    }

    /// The end of a run of characters that are of none of the classes.
    fn run_without(self, mut at: usize, class: u8) -> usize {
        while let Some((_, own, next)) = self.at(at)
            && own & class == 0
        {
            at = next;
        }
        at
    }

    fn bytes_while(self, at: usize, goes_on: impl Fn(u8) -> bool) -> usize {
        at + self.text.as_bytes()[at..].iter().take_while(|byte| goes_on(**byte)).count()
    }

    #[inline]
    fn contraction(self, start: usize) -> Option<usize> {
        let after = self.text.as_bytes()[start..].strip_prefix(b"'")?;
        let length = match after.first()?.to_ascii_lowercase() {
            b's' | b't' | b'm' | b'd' => 1,
            first @ (b'r' | b'v' | b'l') => {
                let second = after.get(1)?.to_ascii_lowercase();
                if second != if first == b'l' { b'l' } else { b'e' } {
                    return None;
                }
                2
            }
            // A long s is an s, regardless of case.
            _ if after.starts_with("ſ".as_bytes()) => 2,
            _ => return None,
        };
        Some(start + 1 + length)
    }

    fn word(self, c: char, class: u8, next: usize) -> Option<usize> {
        if class & LETTER != 0 {
            return Some(self.run(next, LETTER));
        }
        (opens(c, class) && self.is(next, LETTER)).then(|| self.run(next, LETTER))
    }

    fn cased(self, c: char, class: u8, start: usize, next: usize) -> Option<usize> {
        if opens(c, class) {
            // A mark may open a word, and be in one.
            return (self.ends_lower(next))
                .or_else(|| self.ends_lower(start))
                .or_else(|| self.ends_upper(next))
                .or_else(|| self.ends_upper(start));
        }
        self.ends_lower(start).or_else(|| self.ends_upper(start))
    }

    /// `UPPER*LOWER+`: some are both.
    #[inline]
    fn ends_lower(self, start: usize) -> Option<usize> {
        let ascii = self.bytes_while(start, |byte| byte.is_ascii_lowercase());
        if ascii > start && self.text.as_bytes().get(ascii).is_none_or(u8::is_ascii) {
            return Some(ascii);
        }
        self.ends_lower_of_any(start)
    }

    fn ends_lower_of_any(self, start: usize) -> Option<usize> {
        let (mut at, mut last_both) = (start, None);
        while let Some((_, class, next)) = self.at(at)
            && class & UPPER != 0
        {
            if class & LOWER != 0 {
                last_both = Some(next);
            }
            at = next;
        }
        let end = self.run(at, LOWER);
        if end > at { Some(end) } else { last_both }
    }

    /// `UPPER+LOWER*` where no lower follows.
    fn ends_upper(self, start: usize) -> Option<usize> {
        let end = self.run(start, UPPER);
        (end > start).then_some(end)
    }

    /// What begins with neither a letter nor what opens a word.
    fn rest_of(self, c: char, class: u8, next: usize, digits: u8, closes: impl Fn(u8) -> bool) -> usize {
        const WORDS: u8 = LETTER | NUMBER | SPACE;
        if class & NUMBER != 0 {
            return self.number(next, digits);
        }
        let opens = c == ' ' && self.at(next).is_some_and(|(_, own, _)| own & WORDS == 0);
        if opens || class & WORDS == 0 {
            return self.bytes_while(self.run_without(next, WORDS), closes);
        }
        self.space(next - c.len_utf8(), self.run(next, SPACE), false)
    }

    fn number(self, mut at: usize, digits: u8) -> usize {
        for _ in 1..digits {
            match self.at(at) {
                Some((_, class, next)) if class & NUMBER != 0 => at = next,
                _ => break,
            }
        }
        at
    }

    /// `\s*[\r\n]+|\s+(?!\S)|\s+` of a run of space; is it followed by what counts as the end?
    fn space(self, start: usize, end: usize, is_last: bool) -> usize {
        let run = &self.text[start..end];
        if let Some(line_end) = run.rfind(['\r', '\n']) {
            return start + line_end + 1;
        }
        let last = run.chars().next_back().map_or(0, char::len_utf8);
        if is_last || end == self.text.len() || last == run.len() { end } else { end - last }
    }

    fn deepseek(self, c: char, class: u8, start: usize, next: usize) -> usize {
        const WORD: u8 = LETTER | MARK;
        const APART: u8 = NUMBER | KANA;
        if class & NUMBER != 0 {
            return self.number(next, 3);
        }
        if class & KANA != 0 {
            return self.run(next, KANA);
        }
        let within = |class: u8, of: u8| class & of != 0 && class & APART == 0;
        let run = |mut at: usize, of: u8| {
            while let Some((_, own, next)) = self.at(at)
                && within(own, of)
            {
                at = next;
            }
            at
        };
        let is = |at: usize, of: u8| self.at(at).is_some_and(|(_, own, _)| within(own, of));
        let letters = self.bytes_while(next, |byte| byte.is_ascii_alphabetic());
        if c.is_ascii_punctuation() && letters > next {
            return letters;
        }
        if class & WORD != 0 || opens_deepseek(c, class) && is(next, WORD) {
            return run(next, WORD);
        }
        if class & SIGN != 0 || c == ' ' && is(next, SIGN) {
            return self.bytes_while(run(next, SIGN), |byte| matches!(byte, b'\r' | b'\n'));
        }
        if class & SPACE != 0 {
            let end = self.run(next, SPACE);
            return self.space(start, end, self.is(end, APART));
        }
        // Neither of any kind nor opening a word: up to what is.
        let mut at = next;
        while let Some((c, class, next)) = self.at(at)
            && class == 0
            && !(opens_deepseek(c, class) && is(next, WORD))
        {
            at = next;
        }
        at
    }
}

const HIGH: u64 = bytes_of(0x80);

const fn bytes_of(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The high bit of each of eight bytes that lies between two of ASCII.
#[inline]
fn between(word: u64, first: u8, last: u8) -> u64 {
    let low = word & !HIGH;
    ((low + bytes_of(0x80 - first)) ^ (low + bytes_of(0x7F - last))) & !word & HIGH
}

/// The end of a run of bytes, of which eight are looked at together; none that `are` must be 0.
#[inline]
fn letters(bytes: &[u8], mut at: usize, are: impl Fn(u64) -> u64) -> usize {
    loop {
        let rest = &bytes[at..];
        let mut word = [0; 8];
        match rest.first_chunk() {
            Some(whole) => word = *whole,
            None => word[..rest.len()].copy_from_slice(rest),
        }
        let others = !are(u64::from_le_bytes(word)) & HIGH;
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += word.len();
    }
}

/// `[^\r\n\p{L}\p{N}]`
fn opens(c: char, class: u8) -> bool {
    class & (LETTER | NUMBER) == 0 && !matches!(c, '\r' | '\n')
}

/// `[^\r\n\p{L}\p{P}\p{S}]`
fn opens_deepseek(c: char, class: u8) -> bool {
    class & (LETTER | SIGN) == 0 && !matches!(c, '\r' | '\n')
}
