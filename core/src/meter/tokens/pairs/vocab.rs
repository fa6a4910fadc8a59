//! Which token are these bytes, and which are they when they are none?

use std::hint::black_box;

/// A vocabulary: the bytes of each token, and its rank, which is its id.
pub(super) struct Vocab {
    /// Open addressing, five eighths full.
    slots: Vec<Slot>,
    /// A bit for each hash that some token has, a sixth of them set: most of what is looked up while
    /// merging is no token, and is told here, in memory that stays near.
    hashes: Vec<u64>,
    /// The bytes of the tokens longer than a key, one after the other.
    long: Vec<u8>,
    /// Where the bytes of a token end there, by rank.
    ends: Vec<u32>,
    /// The ranks of tokens of two bytes, by these: every merge begins with them.
    pairs: Vec<u32>,
}

/// A token. Twelve bytes, so that more of them stay near.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// Up to eight bytes themselves, more by their hash.
    key: [u32; 2],
    /// How many bytes, and above them the rank; 0 for no token.
    place: u32,
}

const KEY_BYTES: usize = 8;
const TOKEN_MAX_BYTES: usize = 128;
const BATCH: usize = 64;
const LENGTH_BITS: u32 = 8;
const NONE: u32 = u32::MAX;
const HASH_BITS: u32 = 20;

/// Room to work in.
#[derive(Default)]
pub(super) struct Room {
    /// Where the parts of a piece start.
    starts: Vec<u32>,
    /// The rank of a part with the next.
    ranks: Vec<u32>,
}

impl Vocab {
    /// Reads the tokens in the order of their bytes. In columns: how many there are, in four bytes; for
    /// each how many bytes it shares with the one before, how many more it has; the three bytes of each
    /// rank, the lowest of all first; and the bytes of all that are not shared.
    pub(super) fn read(coded: &[u8]) -> Self {
        let (count, columns) = coded.split_at(4);
        let count = count.iter().rev().fold(0, |all, byte| all << 8 | usize::from(*byte));
        let column = |no: usize| &columns[no * count..(no + 1) * count];
        let [shared, more, low, middle, high] = [0, 1, 2, 3, 4].map(column);
        let mut own = &columns[5 * count..];
        let slots = vec![Slot::default(); count * 8 / 5];
        let pairs = vec![NONE; 1 << 16];
        let hashes = vec![0; 1 << (HASH_BITS - u64::BITS.ilog2())];
        let mut vocab = Self { slots, hashes, long: Vec::new(), ends: vec![0; count], pairs };
        // Longer than any token, so that its bytes are always read eight at a time.
        let mut token = [0; TOKEN_MAX_BYTES + KEY_BYTES];
        let mut batch = [(0, Slot::default()); BATCH];
        for first in (0..count).step_by(BATCH) {
            let batch = &mut batch[..BATCH.min(count - first)];
            for (no, (home, slot)) in (first..).zip(batch.iter_mut()) {
                let (start, more) = (usize::from(shared[no]), usize::from(more[no]));
                let (rest, after) = own.split_at(more);
                token[start..start + more].copy_from_slice(rest);
                own = after;
                let rank = u32::from_le_bytes([low[no], middle[no], high[no], 0]);
                (*home, *slot) = vocab.slot(&token, start + more, rank);
            }
            // Memory answers many at once far sooner than one after the other.
            black_box(batch.iter().fold(0, |all, (home, _)| all ^ vocab.slots[*home].place));
            for (home, slot) in batch {
                vocab.add(*home, *slot);
            }
        }
        vocab
    }

    /// The token `text[..length]`, and where it belongs.
    fn slot(&mut self, text: &[u8], length: usize, rank: u32) -> (usize, Slot) {
        let key = key(text, 0, length);
        if length > KEY_BYTES {
            self.long.extend_from_slice(&text[..length]);
            self.ends[rank as usize] = self.long.len() as u32;
        }
        if length == 2 {
            self.pairs[key as usize] = rank;
        }
        let hash = hash(key, length);
        let (word, bit) = bit(hash);
        self.hashes[word] |= bit;
        let place = rank << LENGTH_BITS | length as u32;
        (self.home(hash), Slot { key: [key as u32, (key >> 32) as u32], place })
    }

    fn add(&mut self, mut at: usize, slot: Slot) {
        while self.slots[at].place != 0 {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> u64::BITS) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    /// The token of `text[start..end]`, which must not be empty.
    #[inline]
    pub(super) fn find(&self, text: &[u8], start: usize, end: usize) -> Option<u32> {
        let length = end - start;
        if length > TOKEN_MAX_BYTES {
            return None;
        }
        let key = key(text, start, end);
        let hash = hash(key, length);
        let (word, bit) = bit(hash);
        if self.hashes[word] & bit == 0 {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot.place == 0 {
                return None;
            }
            let same = slot.key == [key as u32, (key >> 32) as u32]
                && slot.place & ((1 << LENGTH_BITS) - 1) == length as u32;
            let rank = slot.place >> LENGTH_BITS;
            if same && (length <= KEY_BYTES || self.is_long(rank, &text[start..end])) {
                return Some(rank);
            }
            at = self.after(at);
        }
    }

    fn is_long(&self, rank: u32, token: &[u8]) -> bool {
        let end = self.ends[rank as usize] as usize;
        self.long[..end].ends_with(token)
    }

    /// How many tokens a piece is.
    pub(super) fn tokens(&self, text: &[u8], start: usize, end: usize, room: &mut Room) -> u64 {
        match self.find(text, start, end) {
            Some(_) => 1,
            None => self.merge(text, start, end, room).len() as u64 - 1,
        }
    }

    /// Where the tokens of a piece that is none itself start, and its end.
    pub(super) fn merge<'a>(&self, text: &[u8], start: usize, end: usize, room: &'a mut Room) -> &'a [u32] {
        let Room { starts, ranks } = room;
        starts.clear();
        ranks.clear();
        starts.extend(start as u32..=end as u32);
        let rank = |starts: &[u32], part: usize| match starts.get(part + 2) {
            Some(after) => self.find(text, starts[part] as usize, *after as usize).unwrap_or(NONE),
            None => NONE,
        };
        let pairs = text[start..end].windows(2);
        ranks.extend(pairs.map(|pair| self.pairs[usize::from(pair[0]) | usize::from(pair[1]) << 8]));
        ranks.push(NONE);
        loop {
            let lowest = ranks.iter().copied().min().unwrap_or(NONE);
            if lowest == NONE {
                break;
            }
            let part = ranks.iter().position(|rank| *rank == lowest).unwrap_or_default();
            starts.remove(part + 1);
            ranks.remove(part + 1);
            ranks[part] = rank(starts, part);
            if part > 0 {
                ranks[part - 1] = rank(starts, part - 1);
            }
        }
        starts
    }
}

#[inline]
fn hash(key: u64, length: usize) -> u64 {
    (key ^ (length as u64) << 56).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Where the bit of a hash is. Of its middle, so that what shares a bit has no place in common.
#[inline]
fn bit(hash: u64) -> (usize, u64) {
    let bit = hash >> 24 & ((1 << HASH_BITS) - 1);
    ((bit >> 6) as usize, 1 << (bit & 63))
}

/// Up to eight bytes themselves; a hash of more.
#[inline]
fn key(text: &[u8], start: usize, end: usize) -> u64 {
    let word = |at: usize| match text[at..].first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => text[at..].iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    };
    let length = end - start;
    if length <= KEY_BYTES {
        return word(start) & (u64::MAX >> (64 - 8 * length));
    }
    let mut hash = 0_u64;
    let mut at = start;
    while at + KEY_BYTES < end {
        hash = (hash.rotate_left(5) ^ word(at)).wrapping_mul(0xF135_7AEA_2E62_A9C5);
        at += KEY_BYTES;
    }
    (hash.rotate_left(5) ^ word(end - KEY_BYTES)).wrapping_mul(0xF135_7AEA_2E62_A9C5)
}
