//! How does a text read once words, capitals and borders are marked?
//!
//! The text is normalised, cut into runs of one class, and every run written with the markers that
//! its neighbours ask for. All rules were measured by the author of `ctok` and stand here as in its
//! `normalize.py`, in the same order; none of them is ours.

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use super::pieces::{BOW, CAPS, EOW, Pieces, SHIFT};

/// What the generations differ in.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub folds_quotes: bool,
    /// Is a word of four or more capitals marked as such?
    pub marks_capitals: bool,
    /// Does the frame end as if a word were to follow?
    pub opens_with_word: bool,
}

/// Letters in capitals that make a word one of capitals.
const CAPITALS_MIN: usize = 4;

/// Words whose pieces are kept while a text is counted, and from which length on.
const KNOWN_WORDS: usize = 2_048;
const KNOWN_FROM_BYTES: usize = 8 << 10;

/// How each of the first 65,536 characters behaves; the others behave like emoji.
pub(super) struct Traits(Vec<u8>);

impl Traits {
    /// Reads runs of alike characters: the first in two bytes, and its traits.
    pub(super) fn read(coded: &[u8]) -> Self {
        let mut all = Vec::with_capacity(1 << 16);
        let mut now = 0;
        for run in coded.chunks_exact(3) {
            all.resize(usize::from(u16::from_le_bytes([run[0], run[1]])), now);
            now = run[2];
        }
        all.resize(1 << 16, now);
        Self(all)
    }

    /// Is it a letter of a word that ends here if ASCII follows that is no letter?
    pub(super) fn ends_word(&self, c: char) -> bool {
        self.of(c).0 & 7 == 5
    }

    fn of(&self, c: char) -> Trait {
        Trait(self.0.get(c as usize).copied().unwrap_or_default())
    }
}

#[derive(Clone, Copy)]
struct Trait(u8);

impl Trait {
    fn class(self) -> Class {
        match self.0 & 7 {
            1 | 5 => Class::Word,
            2 => Class::Digit,
            3 => Class::Mark,
            4 => Class::Space,
            _ => Class::Hard,
        }
    }

    /// A mark that opens a word of its own where it has no base.
    fn is_stray(self) -> bool {
        self.0 & 1 << 3 != 0
    }

    /// Takes the borders of punctuation, whatever its class.
    fn is_bordered(self) -> bool {
        self.0 & 1 << 4 != 0
    }

    fn is_bordered_digit(self) -> bool {
        self.0 & 1 << 5 != 0
    }

    /// A number that is no decimal digit.
    fn is_other_number(self) -> bool {
        self.0 & 1 << 6 != 0
    }

    fn is_letter(self) -> bool {
        self.0 & 1 << 7 != 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Hard,
    Word,
    Digit,
    Mark,
    Space,
    /// Marks without a base.
    Stray,
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}')
}

/// The tokens of `before` and the text together.
pub(super) fn tokens(text: &str, before: &str, rules: Rules, traits: &Traits, pieces: &Pieces) -> u64 {
    let mut whole = String::with_capacity(before.len() + text.len());
    whole.push_str(before);
    normalise(text, rules, &mut whole);
    let content = whole.trim_end_matches('\n');
    let mut best = Vec::new();
    let newlines = whole.len() - content.len();
    // Two more belong to the frame, which pays for the last token itself.
    let tail = match newlines {
        0 => 0,
        _ => pieces.cover(&vec![b'\n'; newlines + 2], &mut best) - 1,
    };
    let has_frame_space = rules.opens_with_word && before.is_empty() && text.starts_with(' ');
    let content = match content.strip_prefix(' ') {
        Some(rest) if has_frame_space && !rest.starts_with(' ') => rest,
        _ => content,
    };
    let runs = runs(content, traits);
    if runs.is_empty() {
        return tail + u64::from(rules.opens_with_word);
    }
    let known = if content.len() < KNOWN_FROM_BYTES { 0 } else { KNOWN_WORDS };
    let mut stream = Stream {
        runs: &runs,
        rules,
        traits,
        pieces,
        best,
        known: vec![(0, 0); known],
        out: Vec::new(),
        total: 0,
        space: false,
    };
    (0..runs.len()).for_each(|run| stream.write(run));
    stream.total() + tail
}

fn normalise(text: &str, rules: Rules, out: &mut String) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n')) {
        out.push_str(text);
        return;
    }
    if is_nfc_quick(text.chars()) == IsNormalized::Yes {
        keep(text.chars(), rules, out);
    } else {
        keep(text.nfc(), rules, out);
    }
}

fn keep(chars: impl Iterator<Item = char>, rules: Rules, out: &mut String) {
    let mut follows_nikhahit = false;
    for c in chars {
        if c == '\u{e32}' && follows_nikhahit {
            out.pop();
            out.push('\u{e33}');
        } else {
            out.extend(kept(c, rules));
        }
        let is_stripped = kept(c, rules).is_none() && c < '\u{e000}';
        follows_nikhahit = c == '\u{e4d}' || is_stripped && follows_nikhahit;
    }
}

/// The character as it is read, or nothing.
fn kept(c: char, rules: Rules) -> Option<char> {
    match c {
        '\t' | '\n' => Some(c),
        '\0'
        | '\u{a0}'
        | '\u{1680}'
        | '\u{2000}'..='\u{200a}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{202f}'
        | '\u{205f}' => Some(' '),
        '\u{1}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' => None,
        '‘' | '’' if rules.folds_quotes => Some('\''),
        '“' | '”' if rules.folds_quotes => Some('"'),
        c => Some(c),
    }
}

/// A run of characters of one class.
struct Run<'a> {
    class: Class,
    body: &'a str,
    first: Trait,
    last: Trait,
    starts_with_selector: bool,
    ends_with_selector: bool,
    /// Is it of one kind of number?
    is_number: bool,
}

impl Run<'_> {
    fn left_border(&self) -> bool {
        self.starts_with_selector || self.first.is_bordered()
    }

    fn right_border(&self) -> bool {
        self.ends_with_selector || self.last.is_bordered()
    }

    fn digit_left(&self) -> bool {
        self.is_number && self.first.is_bordered_digit()
    }

    fn digit_right(&self) -> bool {
        self.is_number && self.last.is_bordered_digit()
    }

    fn takes_digits(&self) -> bool {
        matches!(self.class, Class::Digit | Class::Hard)
    }

    /// Does it write a border of its own on its right?
    fn closes(&self) -> bool {
        self.class == Class::Mark || self.right_border() || self.takes_digits() && self.digit_right()
    }
}

fn runs<'a>(text: &'a str, traits: &Traits) -> Vec<Run<'a>> {
    let mut runs: Vec<Run<'a>> = Vec::with_capacity(text.len() / 3);
    let mut start = 0;
    let mut kind = 0;
    for (at, c) in text.char_indices() {
        let own = traits.of(c);
        let mut class = own.class();
        let is_selector = is_selector(c);
        let own_kind = if own.is_bordered() { 1 } else { u8::from(own.is_bordered_digit()) * 2 };
        let is_stray = class == Class::Word && own.is_stray();
        let end = at + c.len_utf8();
        if let Some(run) = runs.last_mut() {
            let joins = match run.class {
                Class::Stray => is_stray,
                Class::Hard => class == Class::Hard && (is_selector || own_kind == kind),
                other => other == class,
            };
            if joins {
                run.body = &text[start..end];
                run.last = own;
                run.ends_with_selector = is_selector;
                run.is_number &= is_digit(class, own) && own.is_other_number() == run.first.is_other_number();
                continue;
            }
        }
        if is_stray {
            class = Class::Stray;
        }
        (start, kind) = (at, own_kind);
        let body = &text[start..end];
        runs.push(Run {
            class,
            body,
            first: own,
            last: own,
            starts_with_selector: is_selector,
            ends_with_selector: is_selector,
            is_number: is_digit(class, own),
        });
    }
    runs
}

fn is_digit(class: Class, own: Trait) -> bool {
    class == Class::Digit || own.is_bordered_digit()
}

/// The marked text while it is written; what is before the last closing marker is counted already.
struct Stream<'a> {
    runs: &'a [Run<'a>],
    rules: Rules,
    traits: &'a Traits,
    pieces: &'a Pieces,
    best: Vec<u32>,
    /// Words and their pieces, each in the place its bytes name; empty for short texts.
    known: Vec<(u128, u64)>,
    out: Vec<u8>,
    total: u64,
    /// A single space after a closing marker: it is not written if an opening one follows.
    space: bool,
}

impl Stream<'_> {
    fn total(mut self) -> u64 {
        self.open(false, None);
        self.total + self.pieces.cover(&self.out, &mut self.best)
    }

    /// Goes on, with an opening marker or without.
    fn open(&mut self, with_marker: bool, case: Option<u8>) {
        if self.space && !with_marker {
            self.out.push(b' ');
        }
        self.space = false;
        self.out.extend(case);
        if with_marker {
            self.out.push(BOW);
        }
    }

    fn close(&mut self) {
        self.out.push(EOW);
        // No piece reaches beyond it.
        self.total += self.cover();
        self.out.clear();
    }

    /// The pieces of what is written; most words were met before.
    fn cover(&mut self) -> u64 {
        let mut name = [0; 16];
        if self.known.is_empty() || self.out.len() >= name.len() {
            return self.pieces.cover(&self.out, &mut self.best);
        }
        name[..self.out.len()].copy_from_slice(&self.out);
        name[15] = self.out.len() as u8;
        let name = u128::from_le_bytes(name);
        let spread = (name as u64 ^ (name >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let place = (spread >> 32) as usize % KNOWN_WORDS;
        if self.known[place].0 != name {
            self.known[place] = (name, self.pieces.cover(&self.out, &mut self.best));
        }
        self.known[place].1
    }

    fn write(&mut self, at: usize) {
        let runs = self.runs;
        let run = &runs[at];
        if at == 0 && self.rules.opens_with_word {
            self.start(run);
        }
        match run.class {
            Class::Word => self.word(at),
            Class::Stray => {
                self.open(true, None);
                self.out.extend_from_slice(run.body.as_bytes());
                if runs.get(at + 1).is_none_or(|next| next.class != Class::Word) {
                    self.close();
                }
            }
            Class::Space if run.body == " " && at > 0 && self.out.is_empty() => self.space = true,
            class => {
                let is_mark = class == Class::Mark;
                let (opens, closes) = if is_mark || run.left_border() || run.right_border() {
                    let opens = !self.opens_word(at) && (is_mark || run.left_border());
                    (opens, is_mark || run.right_border())
                } else {
                    (run.takes_digits() && run.digit_left(), run.takes_digits() && run.digit_right())
                };
                self.open(opens && self.after_space(at), None);
                self.out.extend_from_slice(run.body.as_bytes());
                if closes && self.before_space(at) {
                    self.close();
                }
            }
        }
    }

    /// The frame's own opening marker, where the text brings none.
    fn start(&mut self, first: &Run<'_>) {
        let quotes = self.opens_word(0);
        let own = matches!(first.class, Class::Word | Class::Mark | Class::Stray)
            || first.left_border()
            || first.takes_digits() && first.digit_left()
            || first.class == Class::Space && first.body.starts_with(' ');
        if quotes || !own {
            self.out.push(if quotes { b' ' } else { BOW });
        }
    }

    fn after_space(&self, at: usize) -> bool {
        match at.checked_sub(1) {
            None => self.rules.opens_with_word,
            Some(before) => {
                let before = &self.runs[before];
                before.class == Class::Space && before.body.ends_with(' ')
            }
        }
    }

    fn before_space(&self, at: usize) -> bool {
        self.runs.get(at + 1).is_some_and(|next| {
            next.class == Class::Space && next.body.starts_with(' ') && !next.body.starts_with("  ")
        })
    }

    /// Is it a lone apostrophe that opens the word after it?
    fn opens_word(&self, at: usize) -> bool {
        let follows = self.runs.get(at + 1).map(|next| next.class);
        self.runs[at].body == "'" && matches!(follows, Some(Class::Word | Class::Stray))
    }

    /// Does a lone apostrophe before it stand for its opening marker?
    fn is_contraction(&self, at: usize) -> bool {
        matches!(self.runs[at].body, "s" | "t" | "d" | "m" | "ll" | "re" | "ve")
            && at > 0
            && self.runs[at - 1].class == Class::Mark
            && self.runs[at - 1].body == "'"
            && (at < 2 || !self.runs[at - 2].closes())
    }

    fn word(&mut self, at: usize) {
        let span = self.runs[at].body;
        let goes_on = at > 0 && self.runs[at - 1].class == Class::Stray;
        let case = if goes_on { None } else { self.case(span) };
        self.open(!goes_on && !self.is_contraction(at), case);
        if case.is_none() {
            self.out.extend_from_slice(span.as_bytes());
        } else if span.is_ascii() {
            self.out.extend(span.bytes().map(|byte| byte.to_ascii_lowercase()));
        } else {
            for c in span.chars() {
                let mut buffer = [0; 4];
                let mut push = |c: char| self.out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
                if c == 'İ' { push(c) } else { lower(c).for_each(push) }
            }
        }
        self.close();
    }

    /// The marker of a word in capitals, or with one; without it, the word is written as it is.
    fn case(&self, span: &str) -> Option<u8> {
        let first = span.chars().next()?;
        let mut rest = span.chars().skip(1);
        if span.is_ascii() {
            let capitals = span.bytes().filter(u8::is_ascii_uppercase).count();
            let all = self.rules.marks_capitals && capitals >= CAPITALS_MIN && capitals == span.len();
            return if all { Some(CAPS) } else { (capitals == 1 && is_upper(first)).then_some(SHIFT) };
        }
        if span.contains('ẞ') {
            return None;
        }
        if span.contains('İ') {
            let title = is_upper(first) && first != 'İ' && !rest.any(|c| is_upper(c) && c != 'İ');
            return title.then_some(SHIFT);
        }
        if self.rules.marks_capitals && span.chars().nth(CAPITALS_MIN - 1).is_some() {
            let is_capital = |c| is_upper(c) || !is_lower(c) && !self.traits.of(c).is_letter();
            if span.chars().all(is_capital) && span.chars().any(is_upper) {
                return Some(CAPS);
            }
        }
        (is_upper(first) && !rest.any(is_upper)).then_some(SHIFT)
    }
}

/// Not `ϴ`: it is read as a letter without case.
fn lower(c: char) -> impl Iterator<Item = char> {
    let is_lowered = c != 'ϴ';
    let lowered = c.to_lowercase().take_while(move |_| is_lowered);
    lowered.chain(std::iter::once(c).take_while(move |_| !is_lowered))
}

fn is_upper(c: char) -> bool {
    c.is_uppercase() && !lower(c).eq([c])
}

fn is_lower(c: char) -> bool {
    c.is_lowercase()
}
