//! How many tokens has this stream sent so far?
//!
//! A stream comes in pieces that end anywhere, and counting all of it again at each piece would
//! cost the square of its length. Text before the last cut is counted once and dropped; only
//! what follows the cut is kept. The invariant: at any moment the count equals that of the text
//! pushed so far, counted whole, up to the limits that [`count`](super::count) has as well.

use super::{Count, Encoding, Tally, cut, tally};

/// Counts the tokens of a text that arrives in pieces.
///
/// Keeps at most [`Encoding::run_max_bytes`] and an apostrophe between two pushes, however long the
/// stream.
///
/// # Example
///
/// ```
/// use outlay::meter::tokens::{Encoding, Streamed, count};
///
/// let mut streamed = Streamed::new(Encoding::O200k);
/// for delta in ["It is toler", "ably we", "ll kn", "own that it is."] {
///     streamed.push(delta);
///     assert!(streamed.lowest() <= streamed.tokens().tokens);
/// }
/// assert_eq!(streamed.tokens(), count(Encoding::O200k, "It is tolerably well known that it is."));
/// ```
#[derive(Clone, Debug)]
pub struct Streamed {
    encoding: Encoding,
    counted: Tally,
    /// The last character before the tail.
    before: Option<char>,
    /// The text after the last cut; of an overlong run only what may decide the next cut.
    tail: String,
    /// Whether the run that the tail belongs to is too long to count.
    overlong: bool,
}

impl Streamed {
    /// A stream of which nothing has arrived yet.
    pub fn new(encoding: Encoding) -> Self {
        Self { encoding, counted: Tally::default(), before: None, tail: String::new(), overlong: false }
    }

    /// Takes the next piece of the text.
    ///
    /// Costs the counting of that piece, whatever came before it. A single piece longer than
    /// [`TEXT_MAX_BYTES`](super::TEXT_MAX_BYTES) is counted by its bytes beyond that.
    pub fn push(&mut self, delta: &str) {
        // One byte back: a cut before an apostrophe shows when the next character is there.
        let mut unseen = self.tail.len().saturating_sub(1).max(1);
        self.tail.push_str(delta);
        if self.overlong {
            if !self.leave_run() {
                return;
            }
            unseen = 1;
        }
        if let Some(cut) = cut::last(self.encoding, &self.tail, unseen, self.tail.len()) {
            self.counted.add(tally(self.encoding, self.before, &self.tail[..cut]));
            self.drop_until(cut);
        }
        let undecided = usize::from(self.tail.ends_with('\''));
        let run_max = self.encoding.run_max_bytes();
        if self.tail.len() - undecided > run_max {
            self.overlong = true;
            self.leave_run();
            self.tail.shrink_to(run_max);
        }
    }

    /// The count of all text pushed so far, in tokens.
    ///
    /// Costs the counting of what follows the last cut: about a word, at most
    /// [`Encoding::run_max_bytes`]. Use [`lowest`](Self::lowest) to look after every piece.
    pub fn tokens(&self) -> Count {
        let mut all = self.counted;
        if self.overlong {
            all.add_bytes(self.tail.len());
        } else {
            all.add(tally(self.encoding, self.before, &self.tail));
        }
        all.count(self.encoding)
    }

    /// The fewest tokens that the text can turn out to be, whatever else arrives.
    ///
    /// It never falls, is never above [`tokens`](Self::tokens), and costs a few instructions.
    /// It lags behind by what follows the last cut: a word at the end may still grow into one
    /// token with what comes next, so it counts as the fewest tokens that can hold its bytes.
    pub fn lowest(&self) -> u64 {
        let mut all = self.counted;
        all.add_bytes(self.tail.len());
        all.lowest(self.encoding)
    }

    /// Counts by its bytes what belongs to an overlong run. Returns whether the run has ended.
    fn leave_run(&mut self) -> bool {
        let cut = cut::first(self.encoding, &self.tail);
        let undecided = || self.tail.char_indices().rev().nth(1).map_or(0, |(at, _)| at);
        let inside = cut.unwrap_or_else(undecided);
        self.counted.add_bytes(inside);
        self.drop_until(inside);
        self.overlong = cut.is_none();
        !self.overlong
    }

    fn drop_until(&mut self, end: usize) {
        self.before = self.tail[..end].chars().next_back().or(self.before);
        self.tail.drain(..end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::tokens::{count, ids};
    use proptest::prelude::*;

    const RUN_MAX: usize = Encoding::O200k.run_max_bytes();

    fn streamed(encoding: Encoding, text: &str, sizes: &[usize]) -> Streamed {
        let mut streamed = Streamed::new(encoding);
        let mut sizes = sizes.iter().cycle();
        let (mut rest, mut low) = (text, 0);
        while !rest.is_empty() {
            let (delta, after) = rest.split_at(rest.ceil_char_boundary(*sizes.next().unwrap()));
            streamed.push(delta);
            assert!(low <= streamed.lowest(), "the lowest count fell");
            assert!(streamed.tail.len() <= RUN_MAX + 1);
            low = streamed.lowest();
            rest = after;
        }
        let truth = ids(encoding, text).unwrap().len() as u64;
        assert!(low <= truth && truth <= streamed.tokens().tokens, "{low} {truth} {streamed:?}");
        assert!(!streamed.tokens().exact || streamed.tokens().tokens == truth);
        streamed
    }

    #[test]
    fn nothing_is_no_tokens() {
        let mut streamed = Streamed::new(Encoding::O200k);
        streamed.push("");
        assert_eq!((streamed.tokens(), streamed.lowest()), (Count { tokens: 0, exact: true }, 0));
    }

    #[test]
    fn an_overlong_run_costs_exactness_but_not_the_rest() {
        let text = format!("Before it {} and after it.", "é'".repeat(RUN_MAX));
        for encoding in [Encoding::O200k, Encoding::Cl100k] {
            let whole = count(encoding, &text);
            assert!(!whole.exact);
            for size in [1, 7, RUN_MAX, 100_000] {
                assert_eq!(streamed(encoding, &text, &[size]).tokens(), whole, "pieces of {size}");
            }
        }
    }

    #[test]
    fn the_run_after_an_overlong_run_is_measured_from_its_own_cut() {
        let long = "é".repeat(RUN_MAX);
        let next = format!(" a b{}", "b".repeat(RUN_MAX - 2));
        let mut streamed = Streamed::new(Encoding::O200k);
        streamed.push(&long);
        streamed.push(&next[..4]);
        streamed.push(&next[4..]);
        assert_eq!(streamed.tokens(), count(Encoding::O200k, &[long, next].concat()));
    }

    #[test]
    fn the_lowest_count_is_close_in_ordinary_text() {
        let text = "It is a truth universally acknowledged, that a single man in possession of a \
                    good fortune, must be in want of a wife. "
            .repeat(20);
        let streamed = streamed(Encoding::O200k, &text, &[4]);
        assert!(streamed.tokens().tokens - streamed.lowest() <= 1);
    }

    const WORDS: &str = "[a-zA-Z0-9 .,'\"/\n\r\t=é漢字。、かй😀\u{301}\u{3000}]{0,12}|\\PC{0,4}";

    proptest! {
        #[test]
        fn a_stream_counts_as_its_whole_text_does(
            words in prop::collection::vec(WORDS, 0..40),
            sizes in prop::collection::vec(1..20_usize, 1..8),
            cl100k: bool,
        ) {
            let encoding = if cl100k { Encoding::Cl100k } else { Encoding::O200k };
            let text = words.concat();
            prop_assert_eq!(streamed(encoding, &text, &sizes).tokens(), count(encoding, &text));
        }

        #[test]
        fn long_runs_count_alike_however_they_arrive(
            runs in prop::collection::vec((0..8_usize, 1..2000_usize), 1..6),
            sizes in prop::collection::vec(1..1500_usize, 1..5),
        ) {
            let units = ["a", " ", "\n", "=", "漢", "7", "word ", "'"];
            let text: String = runs.iter().map(|&(unit, times)| units[unit].repeat(times)).collect();
            let whole = count(Encoding::O200k, &text);
            prop_assert_eq!(streamed(Encoding::O200k, &text, &sizes).tokens(), whole);
        }
    }
}
