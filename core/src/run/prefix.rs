//! How much of this request did the attempt send before?
//!
//! An agent resends its growing conversation on every call, and a provider's cache holds for as
//! long as nothing before a point has changed. What is kept per attempt are 64-bit keyed hashes,
//! one per message and one per 256-byte block, at most 64 KiB; never text.

use std::hash::{BuildHasher as _, RandomState};

use super::calibration::Shared;
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
    sent: Mutex<Option<Sent>>,
}

#[derive(Debug)]
struct Sent {
    hashes: Hashes,
    /// What kind of request it was, and what the provider counted for its input.
    told: Option<(Shared, u64)>,
}

/// The part of a request of which the provider has said how many tokens it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// As counted here.
    pub counted_tokens: u64,
    /// As the provider counted it, with all round it.
    pub tokens: u64,
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
        let latest = lock(&self.sent).as_ref().map(|sent| Arc::clone(&sent.hashes));
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
        *lock(&self.sent) = Some(Sent { hashes: Arc::clone(next), told: None });
    }

    /// The provider has counted the input of a request, if it is still the latest.
    pub fn tell(&self, hashes: &Hashes, kind: &Shared, tokens: u64) {
        if let Some(sent) = lock(&self.sent).as_mut()
            && Arc::ptr_eq(&sent.hashes, hashes)
        {
            sent.told = Some((Arc::clone(kind), tokens));
        }
    }

    /// All of the latest request, if this one of the same kind goes on from it and the provider has
    /// counted it.
    pub fn known(&self, next: &[Hashed], kind: &Shared) -> Option<Known> {
        let sent = lock(&self.sent);
        let Sent { hashes, told } = sent.as_ref()?;
        let (_, tokens) = told.as_ref().filter(|(told, _)| Arc::ptr_eq(told, kind))?;
        // What is not all hashed may go on otherwise.
        let hashed: usize = hashes.iter().map(|message| 1 + message.blocks.len()).sum();
        let begins = hashes.len() < next.len() && hashes.iter().zip(next).all(|(a, b)| a.whole == b.whole);
        (begins && hashed < HASHES_MAX).then(|| Known {
            counted_tokens: next.iter().take(hashes.len()).map(|message| message.tokens).sum(),
            tokens: *tokens,
        })
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

    #[test]
    fn what_the_provider_counted_is_known_of_the_latest_and_its_kind_only() {
        let body = |texts: &[&str]| {
            let messages: Vec<_> =
                texts.iter().map(|text| serde_json::json!({"role": "user", "content": text})).collect();
            serde_json::json!({"model": "gpt-4o", "messages": messages})
        };
        let bodies = [body(&["hello world"]), body(&["hello world", "again"]), body(&["again"])];
        let latest = Latest::default();
        let [first, longer, other] = bodies
            .each_ref()
            .map(|body| latest.hashes(&Request::read(Api::OpenAiChat, body, None).unwrap().messages));
        let (kind, another) = (Shared::default(), Shared::default());
        latest.replace(&first);
        assert_eq!(latest.known(&longer, &kind), None);
        latest.tell(&first, &kind, 70);
        let known = Known { counted_tokens: first[0].tokens, tokens: 70 };
        assert_eq!(latest.known(&longer, &kind), Some(known));
        let others =
            [latest.known(&longer, &another), latest.known(&other, &kind), latest.known(&first, &kind)];
        assert_eq!(others, [None; 3]);
        latest.replace(&longer);
        // It comes too late: another request is the latest.
        latest.tell(&first, &kind, 70);
        assert_eq!(latest.known(&longer, &kind), None);
        latest.tell(&longer, &kind, 90);
        assert_eq!(latest.known(&first, &kind), None);
    }
}
