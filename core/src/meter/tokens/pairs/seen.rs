//! How many tokens was this piece when it was last seen?
//!
//! Few words make up most of a text, and they come again in the next. What is kept is compared byte
//! by byte, so an answer is never that of another piece. Each piece has one place, where the last of
//! those that share it stays: 128 KiB for each thread that counts, no lock, and nothing to wait for
//! after a fork.

use std::cell::RefCell;

/// A piece, filled up with zeros; a byte that tells its length and its encoding; and its count.
type Place = [u64; WORDS];

const WORDS: usize = 4;
/// The longest piece that is kept, in bytes.
const PIECE_MAX_BYTES: usize = 8 * WORDS - 2;
const PLACES: usize = 1 << 12;
/// Of the last word.
const COUNT_SHIFT: u32 = 56;
const ABOUT_SHIFT: u32 = 48;

thread_local! {
    static SEEN: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// Counts with what this thread has seen.
pub(super) fn with<T>(count: impl FnOnce(&mut Seen<'_>) -> T) -> T {
    SEEN.with_borrow_mut(|places| {
        if places.is_empty() {
            *places = vec![Place::default(); PLACES];
        }
        count(&mut Seen(places))
    })
}

pub(super) struct Seen<'a>(&'a mut [Place]);

impl Seen<'_> {
    /// The count of `text[start..end]`, which must not be empty, in the encoding of this number, below 8.
    #[inline]
    pub(super) fn tokens(
        &mut self,
        encoding: u8,
        text: &[u8],
        start: usize,
        end: usize,
        count: impl FnOnce() -> u64,
    ) -> u64 {
        let length = end - start;
        if length > PIECE_MAX_BYTES {
            return count();
        }
        let mut key = words(text, start, length);
        key[WORDS - 1] |= (length as u64) << (ABOUT_SHIFT + 3) | u64::from(encoding) << ABOUT_SHIFT;
        let place = &mut self.0[home(key)];
        let [first, second, third, last] = [0, 1, 2, 3].map(|no| place[no] ^ key[no]);
        if first | second | third | last << 8 == 0 {
            return place[WORDS - 1] >> COUNT_SHIFT;
        }
        let tokens = count();
        key[WORDS - 1] |= tokens << COUNT_SHIFT;
        *place = key;
        tokens
    }
}

/// The bytes, filled up with zeros.
#[inline]
fn words(text: &[u8], start: usize, length: usize) -> Place {
    static MASKS: [[u64; WORDS]; PIECE_MAX_BYTES + 1] = masks();
    let mut bytes = [0; 8 * WORDS];
    match text[start..].first_chunk() {
        Some(all) => bytes = *all,
        None => bytes[..length].copy_from_slice(&text[start..start + length]),
    }
    let mut words = [0; WORDS];
    for (no, word) in words.iter_mut().enumerate() {
        let own = std::array::from_fn(|at| bytes[8 * no + at]);
        *word = u64::from_le_bytes(own) & MASKS[length][no];
    }
    words
}

const fn masks() -> [[u64; WORDS]; PIECE_MAX_BYTES + 1] {
    let mut masks = [[0; WORDS]; PIECE_MAX_BYTES + 1];
    let mut length = 0;
    while length <= PIECE_MAX_BYTES {
        let mut byte = 0;
        while byte < length {
            masks[length][byte / 8] |= 0xFF << (byte % 8 * 8);
            byte += 1;
        }
        length += 1;
    }
    masks
}

#[inline]
fn home(key: Place) -> usize {
    const ODD: [u64; WORDS] =
        [0x9E37_79B9_7F4A_7C15, 0xF135_7AEA_2E62_A9C5, 0xC2B2_AE3D_27D4_EB4F, 0xBF58_476D_1CE4_E5B9];
    let mixed = key.iter().zip(ODD).fold(0, |all, (word, odd)| all ^ word.wrapping_mul(odd));
    (mixed >> (u64::BITS - PLACES.ilog2())) as usize
}
