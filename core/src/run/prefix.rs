//! How much of this request did the attempt send before?
//!
//! An agent resends its growing conversation on every call, and a provider's cache holds for as
//! long as nothing before a point has changed. What is kept per attempt are 64-bit keyed hashes,
//! one per message and one per 256-byte block, at most 64 KiB; never text.

use std::hash::{BuildHasher as _, RandomState};

use crate::meter::Message;

const BLOCK_BYTES: usize = 256;
/// Hashes kept, of messages and blocks together.
const HASHES_MAX: usize = 8_192;

/// The part a request shares with the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// The first message that differs.
    pub messages: u32,
    /// Where in it, in bytes, to the block.
    pub bytes: u64,
    /// Tokens of the messages before it.
    pub tokens: u64,
}

/// The latest request of an attempt, as hashes.
#[derive(Debug, Default)]
pub(crate) struct Latest {
    key: RandomState,
    messages: Vec<Hashed>,
}

#[derive(Debug, PartialEq)]
struct Hashed {
    whole: u64,
    blocks: Vec<u64>,
}

impl Latest {
    /// Compares a request with the one before, and keeps it in its place.
    pub fn replace(&mut self, messages: &[Message<'_>]) -> Prefix {
        let mut left = HASHES_MAX;
        let mut next = Vec::with_capacity(messages.len().min(HASHES_MAX));
        for message in messages {
            if left == 0 {
                break;
            }
            let hashed = self.hash(message, left - 1);
            left -= 1 + hashed.blocks.len();
            next.push(hashed);
        }
        let prefix = self.common(&next, messages);
        self.messages = next;
        prefix
    }

    fn hash(&self, message: &Message<'_>, blocks_max: usize) -> Hashed {
        let content: Vec<&str> = message.pieces.iter().map(crate::meter::Piece::content).collect();
        let whole = self.key.hash_one((message.role, &content));
        let bytes = content.iter().flat_map(|text| text.as_bytes().chunks(BLOCK_BYTES));
        let blocks = bytes.take(blocks_max).map(|block| self.key.hash_one(block)).collect();
        Hashed { whole, blocks }
    }

    fn common(&self, next: &[Hashed], messages: &[Message<'_>]) -> Prefix {
        let pairs = self.messages.iter().zip(next);
        let same = pairs.clone().take_while(|(a, b)| a.whole == b.whole).count();
        let blocks = pairs.skip(same).map(|(a, b)| {
            let pairs = a.blocks.iter().zip(&b.blocks);
            pairs.take_while(|(a, b)| a == b).count()
        });
        Prefix {
            messages: same as u32,
            bytes: (blocks.take(1).sum::<usize>() * BLOCK_BYTES) as u64,
            tokens: messages.iter().take(same).map(|message| message.counted_tokens).sum(),
        }
    }
}
