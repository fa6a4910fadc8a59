//! What was the ledger at a time? A small signed text that is kept where nobody edits it.
//!
//! Two lines of JSON. The first says where every chain ended and has a *mark* for every so many
//! entries: the first 16 bytes of the SHA-256 over, for each of them, its number (8 bytes,
//! big-endian), its canonical bytes, and its link behind a 1, or a 0. Up to 4,096 entries each has
//! a mark of its own. The second line is the Ed25519 signature over the bytes of the first.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::lines::Span;
use crate::{
    error::{Error, Result},
    ledger::{chain::Link, store::Head},
    policy::limit::show_time,
    value::{
        Millis,
        signing::{PublicKey, SecretKey, bytes_of, hex},
    },
};

const VERSION: u32 = 1;
const MARKS_MAX: u64 = 4_096;

/// What tells whether some entries are the same.
pub(super) type Mark = [u8; 16];

/// A checkpoint whose signature fits. `Display` is the text to keep, [`FromStr`] reads it.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    body: Body,
    text: String,
    signed_by: PublicKey,
}

impl Checkpoint {
    pub(super) fn sign(body: Body, key: &SecretKey) -> Self {
        // A body of texts and numbers can always be written.
        let first = serde_json::to_string(&body).unwrap_or_default();
        let signed_by = key.public();
        let seal = Seal { key: signed_by.to_string(), signature: hex(&key.sign(first.as_bytes())) };
        let text = format!("{first}\n{}\n", serde_json::to_string(&seal).unwrap_or_default());
        Self { body, text, signed_by }
    }

    pub(super) const fn body(&self) -> &Body {
        &self.body
    }

    /// Whose signature it is: the public key, 64 hexadecimal digits. It proves nothing unless
    /// compared with a key known from elsewhere.
    pub fn signed_by(&self) -> String {
        self.signed_by.to_string()
    }

    /// Fails unless this key signed it: 64 hexadecimal digits, or PEM.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: it is no key; `Conflict`: another key signed it.
    pub fn expect_signer(&self, key: &str) -> Result<()> {
        let key: PublicKey = key.parse()?;
        if key == self.signed_by {
            return Ok(());
        }
        Err(Error::conflict(format!("the checkpoint is signed by `{}`, not by `{key}`", self.signed_by)))
    }

    /// How many entries lie before it.
    pub const fn entries(&self) -> u64 {
        self.body.entries
    }

    /// When it was made.
    pub fn made_at(&self) -> &str {
        &self.body.made_at
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    /// # Errors
    ///
    /// * `InvalidInput`: no checkpoint, or one of a later version.
    /// * `Corrupt`: the signature is not over this text.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| Error::invalid(format!("it is no checkpoint: {what}"));
        let mut lines = text.lines();
        let (Some(first), Some(second), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err(wrong("it has not two lines"));
        };
        let body: Body = serde_json::from_str(first).map_err(|error| wrong(&error.to_string()))?;
        if body.outlay_checkpoint != VERSION || body.entries_per_mark == 0 {
            return Err(wrong(&format!("version {} is not known", body.outlay_checkpoint)));
        }
        let seal: Seal = serde_json::from_str(second).map_err(|error| wrong(&error.to_string()))?;
        let signed_by: PublicKey = seal.key.parse()?;
        let signature = bytes_of(&seal.signature).ok_or_else(|| wrong("the signature is cut short"))?;
        if !signed_by.has_signed(first.as_bytes(), &signature) {
            return Err(Error::corrupt("the checkpoint was edited: its signature does not fit"));
        }
        Ok(Self { body, text: text.to_owned(), signed_by })
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    key: String,
    signature: String,
}

/// What is signed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    outlay_checkpoint: u32,
    pub ledger: String,
    made_at: String,
    pub entries: u64,
    pub entries_per_mark: u64,
    /// Of each owner its number, how many links its chain has, and the last one.
    owners: Vec<(u32, u64, String)>,
    marks: Vec<String>,
}

impl Body {
    pub fn new(
        ledger: String,
        now: Millis,
        entries: u64,
        entries_per_mark: u64,
        heads: &BTreeMap<u32, Head>,
        marks: Vec<Mark>,
    ) -> Self {
        let owners = heads.iter().map(|(no, head)| (*no, head.links, hex(&head.link))).collect();
        let marks = marks.iter().map(|mark| hex(mark)).collect();
        let made_at = show_time(now);
        Self { outlay_checkpoint: VERSION, ledger, made_at, entries, entries_per_mark, owners, marks }
    }

    /// Where the chain of an owner ended.
    pub fn head(&self, owner: u32) -> Option<Head> {
        let at = self.owners.binary_search_by_key(&owner, |(no, ..)| *no).ok()?;
        let (_, links, link) = &self.owners[at];
        Some(Head { links: *links, link: bytes_of::<32>(link).unwrap_or_default() })
    }

    /// The mark over an entry.
    pub fn mark(&self, seq: u64) -> Option<Mark> {
        let index = usize::try_from((seq.checked_sub(1)?) / self.entries_per_mark).ok()?;
        bytes_of(self.marks.get(index)?)
    }
}

/// Makes marks while entries are read.
pub(super) struct Marks {
    per_mark: u64,
    first: u64,
    last: u64,
    hash: Option<Sha256>,
}

impl Marks {
    /// How many entries share a mark in a ledger of so many.
    pub fn entries_per_mark(entries: u64) -> u64 {
        entries.div_ceil(MARKS_MAX).max(1)
    }

    /// Marks of so many entries each; `u64::MAX` for none.
    pub const fn new(per_mark: u64) -> Self {
        Self { per_mark, first: 0, last: 0, hash: None }
    }

    /// Adds an entry; gives the mark it was the last of, or that it begins a new one behind.
    pub fn add(&mut self, seq: u64, canonical: &[u8], link: Option<Link>) -> Option<(Span, Mark)> {
        if self.per_mark == u64::MAX {
            return None;
        }
        let group = |seq: u64| seq.saturating_sub(1) / self.per_mark;
        let ended = if self.hash.is_some() && group(seq) != group(self.last) { self.end() } else { None };
        if self.hash.is_none() {
            self.first = seq.saturating_sub(1) / self.per_mark * self.per_mark + 1;
        }
        self.last = seq;
        let hash = self.hash.get_or_insert_with(Sha256::new);
        hash.update(seq.to_be_bytes());
        hash.update(canonical);
        hash.update([u8::from(link.is_some())]);
        hash.update(link.as_ref().map_or(&[][..], |link| &link[..]));
        ended
    }

    /// The mark of the entries since the last one.
    pub fn end(&mut self) -> Option<(Span, Mark)> {
        let hash: [u8; 32] = self.hash.take()?.finalize().into();
        let mut mark = [0; 16];
        mark.copy_from_slice(&hash[..16]);
        Some(((self.first, self.last), mark))
    }
}
