//! How much of this request did the attempt send before?
//!
//! An agent resends its growing conversation on every call, and a provider's cache holds for as
//! long as nothing before a point has changed. What is kept per attempt are 64-bit keyed hashes,
//! one per message and one per 256-byte block, at most 64 KiB; never text.

use std::hash::{BuildHasher as _, RandomState};

use crate::{
    ledger::commit::Prefix,
    meter::Message,
    sync::{Arc, Mutex, lock},
};

const BLOCK_BYTES: usize = 256;
/// Hashes kept, of messages and blocks together.
const HASHES_MAX: usize = 8_192;

/// A request as hashes.
pub(crate) type Hashes = Arc<[Hashed]>;

#[derive(Debug, PartialEq)]
pub(crate) struct Hashed {
    whole: u64,
    blocks: Vec<u64>,
    tokens: u64,
}

/// The latest request of an attempt that was sent.
#[derive(Debug, Default)]
pub(crate) struct Latest {
    key: RandomState,
    sent: Mutex<Option<Hashes>>,
}

impl Latest {
    /// A request, to compare and to keep.
    pub fn hashes(&self, messages: &[Message<'_>]) -> Hashes {
        let mut left = HASHES_MAX;
        let mut hashes = Vec::with_capacity(messages.len().min(HASHES_MAX));
        for message in messages {
            if left == 0 {
                break;
            }
            let next = self.hash(message, left - 1);
            left -= 1 + next.blocks.len();
            hashes.push(next);
        }
        hashes.into()
    }

    fn hash(&self, message: &Message<'_>, blocks_max: usize) -> Hashed {
        let content: Vec<&str> = message.pieces.iter().map(crate::meter::Piece::content).collect();
        let whole = self.key.hash_one((message.role, &content));
        let bytes = content.iter().flat_map(|text| text.as_bytes().chunks(BLOCK_BYTES));
        let blocks = bytes.take(blocks_max).map(|block| self.key.hash_one(block)).collect();
        Hashed { whole, blocks, tokens: message.counted_tokens }
    }

    /// What a request about to be sent shares with the latest.
    pub fn compare(&self, next: &[Hashed]) -> Prefix {
        let latest = lock(&self.sent).clone();
        let pairs = latest.iter().flat_map(|latest| latest.iter()).zip(next);
        let same = pairs.clone().take_while(|(a, b)| a.whole == b.whole).count();
        let blocks = pairs.skip(same).map(|(a, b)| {
            let pairs = a.blocks.iter().zip(&b.blocks);
            pairs.take_while(|(a, b)| a == b).count()
        });
        Prefix {
            messages: same as u32,
            bytes: (blocks.take(1).sum::<usize>() * BLOCK_BYTES) as u64,
            tokens: next.iter().take(same).map(|message| message.tokens).sum(),
        }
    }

    /// A request that may be sent now is the latest.
    pub fn replace(&self, next: &Hashes) {
        *lock(&self.sent) = Some(Arc::clone(next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{Api, Request};

    #[test]
    fn only_what_could_be_sent_is_compared_with() {
        let body = |texts: &[&str]| {
            let messages: Vec<_> =
                texts.iter().map(|text| serde_json::json!({"role": "user", "content": text})).collect();
            serde_json::json!({"model": "gpt-4o", "messages": messages})
        };
        let (first, longer) = (body(&["hello world"]), body(&["hello world", "again"]));
        let read = |body| Request::read(Api::OpenAiChat, body, None).unwrap().messages;
        let (first, longer) = (read(&first), read(&longer));
        let latest = Latest::default();
        let hashes = [latest.hashes(&first), latest.hashes(&longer)];
        assert_eq!(latest.compare(&hashes[1]), Prefix::default());
        latest.replace(&hashes[0]);
        let shared = latest.compare(&hashes[1]);
        assert_eq!((shared.messages, shared.tokens), (1, first[0].counted_tokens));
        assert_eq!(latest.compare(&hashes[0]).messages, 1);
    }
}
