//! Which one is it?
//!
//! Ids are UUIDs of version 7 (RFC 9562): sortable by time and unique without coordination. One
//! [`IdSource`] per owner draws its random bits once and counts, which is unique within the owner
//! and costs no system call per id.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use super::clock::Millis;
use crate::error::{Error, Result};

/// A UUID of version 7.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 16]);

impl Id {
    /// From its sixteen bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Is it the hash of a name its caller gave?
    pub(crate) const fn is_named(&self) -> bool {
        self.0[6] >> 4 == 8
    }

    /// Its sixteen bytes.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid(format!("id `{text}` is not a UUID"));
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(wrong());
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

/// Draws the ids of one owner.
#[derive(Debug)]
pub struct IdSource {
    random: u64,
    count: AtomicU64,
}

const COUNT_BITS: u32 = 30;

impl IdSource {
    /// A source with fresh random bits from the operating system.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the operating system gave no random bits.
    pub fn new() -> Result<Self> {
        let random = getrandom::u64().map_err(|e| Error::store(format!("no random bits: {e}")))?;
        Ok(Self { random, count: AtomicU64::new(0) })
    }

    /// The next id, stamped `now`.
    pub fn next(&self, now: Millis) -> Id {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // 48 bits time, 12 bits of the count's upper part, 32 random bits, 30 bits of the count.
        let time = (now.max(0) as u64) << 16;
        let high = time | 0x7000 | ((count >> COUNT_BITS) & 0x0fff);
        let low = (1 << 63) | ((self.random & 0xffff_ffff) << COUNT_BITS) | (count & ((1 << COUNT_BITS) - 1));
        Id((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_source_are_distinct_sorted_and_of_version_seven() {
        let source = IdSource::new().unwrap();
        let ids: Vec<Id> = (0..1_000).map(|n| source.next(1_700_000_000_000 + n / 100)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        for id in ids {
            let text = id.to_string();
            assert_eq!((text.as_bytes()[14], text.len()), (b'7', 36));
            assert!(matches!(text.as_bytes()[19], b'8'..=b'b'));
            assert_eq!(text.parse::<Id>().unwrap(), id);
        }
    }

    #[test]
    fn what_is_no_uuid_is_refused() {
        for text in ["", "12", "g0000000-0000-7000-8000-000000000000", "é"] {
            assert!(text.parse::<Id>().is_err(), "{text}");
        }
    }
}
