//! Which number stands for this text? A 64-bit digest that is the same in every process and version.
//!
//! States travel in checkpoints, so the digest may not depend on a crate or on the machine. It finds
//! equal texts; it is no proof against somebody who looks for collisions.

const K: u64 = 0x9e37_79b9_7f4a_7c15;

/// A digest being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(u64);

impl Digest {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed ^ K)
    }

    #[inline]
    pub(super) fn number(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * u128::from(K);
        self.0 = (product as u64) ^ ((product >> 64) as u64) ^ self.0.rotate_left(23);
    }

    /// The bytes with their length, so that `ab` + `c` and `a` + `bc` differ.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let (blocks, short) = bytes.as_chunks::<32>();
        if !blocks.is_empty() {
            self.blocks(blocks);
        }
        let (words, rest) = short.as_chunks::<8>();
        for word in words {
            self.number(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.number(u64::from_le_bytes(last));
        self.number(bytes.len() as u64);
    }

    /// In four lanes, so that none waits for another's multiplication.
    fn blocks(&mut self, blocks: &[[u8; 32]]) {
        let mut lanes = [1, 2, 3, 4].map(|lane| Self(self.0.wrapping_add(lane)));
        for block in blocks {
            let (words, _) = block.as_chunks::<8>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                lane.number(u64::from_le_bytes(*word));
            }
        }
        lanes.into_iter().for_each(|lane| self.number(lane.0));
    }

    /// Never zero: zero means that there is none.
    pub(super) fn finish(mut self) -> u64 {
        self.number(K);
        self.0.max(1)
    }
}

pub(super) fn of(seed: u64, bytes: &[u8]) -> u64 {
    let mut digest = Digest::new(seed);
    digest.bytes(bytes);
    digest.finish()
}
