//! Was it edited since?
//!
//! Each owner has one hash chain with one link per commit:
//! `link = SHA-256(previous link ‖ number of entries ‖ their canonical bytes)`, the first over 32
//! zero bytes. The names an entry uses are covered by an HMAC under a salt of their own, so a
//! name can be erased (value and salt) without breaking the chain.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::{entry::Entry, store::TaskRow};
use crate::{
    error::{Error, Result},
    value::Id,
};

/// A link of a chain.
pub type Link = [u8; 32];
/// `HMAC-SHA-256(salt, key ‖ 0 ‖ value)` of a dictionary value.
pub type Proof = [u8; 32];
/// What makes a proof say nothing without it.
pub type Salt = [u8; 16];

/// The link behind `previous` over the entries of one commit.
pub fn link(previous: &Link, entries: &[Entry]) -> Link {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update((entries.len() as u64).to_be_bytes());
    let mut bytes = Vec::with_capacity(400);
    for entry in entries {
        bytes.clear();
        entry.write_canonical(&mut bytes);
        hash.update(&bytes);
    }
    hash.finalize().into()
}

/// What proves that a dictionary id stood for `value`.
pub fn proof(salt: &Salt, key: &str, value: &str) -> Proof {
    keyed(salt, &[key.as_bytes(), &[0], value.as_bytes()])
}

/// What the entry that opens a task says of its row: the first eight bytes of SHA-256 over what never
/// changes in it, as big-endian numbers of the width they have there, the tags last.
pub(crate) fn task_hash(row: &TaskRow) -> i64 {
    let mut hash = Sha256::new();
    hash.update(row.id.map_or([0; 16], |id| *id.bytes()));
    for no in [row.caller, row.name, row.parent, row.depth] {
        hash.update(no.to_be_bytes());
    }
    hash.update(row.opened_ms.to_be_bytes());
    for tag in &row.tags {
        hash.update(tag.to_be_bytes());
    }
    first_eight(&hash.finalize())
}

/// A fresh salt.
pub fn salt() -> Result<Salt> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|e| Error::store(format!("no random bits: {e}")))?;
    Ok(salt)
}

/// The id of a call the caller named: the same name in the same attempt is the same call, and
/// the name itself is kept nowhere.
pub(crate) fn named_call(key: &[u8; 32], task: u32, attempt: u32, name: &str) -> Id {
    let digest = keyed(key, &[b"call", &task.to_be_bytes(), &attempt.to_be_bytes(), name.as_bytes()]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    // Version 8 of RFC 9562, "custom": what a hash gives.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Id::from_bytes(bytes)
}

/// A keyed hash of texts in 64 bits: equal for equal texts within one ledger, and says nothing
/// outside it.
pub(crate) fn keyed_hash(key: &[u8; 32], parts: &[&[u8]]) -> i64 {
    first_eight(&keyed(key, parts))
}

fn first_eight(digest: &[u8]) -> i64 {
    digest[..8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte)) as i64
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_depends_on_every_entry_and_its_place() {
        let (a, b) = (Entry { usd: 1, ..Entry::default() }, Entry { usd: 2, ..Entry::default() });
        let zero = [0; 32];
        let links = [
            link(&zero, &[a.clone(), b.clone()]),
            link(&zero, &[b.clone(), a.clone()]),
            link(&link(&zero, std::slice::from_ref(&a)), std::slice::from_ref(&b)),
            link(&[1; 32], &[a, b]),
        ];
        for (index, one) in links.iter().enumerate() {
            assert!(links[index + 1..].iter().all(|other| other != one));
        }
    }

    #[test]
    fn the_proof_is_the_published_hmac() {
        // RFC 4231, test case 2, with the separator of key and value between "what do" and the rest.
        let proof = keyed(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(proof[..4], [0x5b, 0xdc, 0xc1, 0x46]);
    }
}
