//! How does memory keep many entries?
//!
//! Packed: of each entry only the columns that are not zero, in four bytes where they fit. What a
//! call adds to memory costs more than writing it, so little is added.

use std::collections::VecDeque;

use crate::{
    ledger::{
        chain::Proof,
        entry::{Entry, Under},
    },
    value::{Id, Millis},
};

/// Entries share chunks, so that the oldest can be dropped and any be found.
const CHUNK_ENTRIES: u64 = 256;
const COLUMNS: usize = Entry::COLUMNS.len();
/// Length, which columns there are, which are wide, the call.
const HEAD: usize = 4 + 8 + 8 + 16;
/// What an entry takes at most, `under` aside.
const ENTRY_MAX: usize = HEAD + COLUMNS * 8;
const PLACE: usize = 4 + 8;
const HAS_CALL: u64 = 1 << 63;
const HAS_UNDER: u64 = 1 << 62;
const _: () = assert!(COLUMNS < 62);

/// Entries by their number, from the oldest that is kept. Proofs are not kept: names in memory
/// have none.
#[derive(Debug, Default)]
pub(super) struct Log {
    chunks: VecDeque<Chunk>,
    first: u64,
    next: u64,
    /// Where in the first chunk the oldest entry begins.
    oldest: usize,
    /// The room of the chunk that was dropped last, for the next one.
    spare: Vec<u8>,
}

/// Entries are packed where they stay, so there is always room made ready behind those that are.
#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    used: usize,
}

impl Chunk {
    fn push(&mut self, entry: &Entry) {
        let places = entry.under.as_deref().unwrap_or_default();
        let end = self.used + ENTRY_MAX + places.len() * PLACE;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let Some(bytes) = self.bytes[self.used..].first_chunk_mut() else { return };
        self.used += pack(entry, places.len() * PLACE, bytes);
        let (_, last) = self.bytes[..self.used].as_rchunks_mut::<PLACE>();
        for (bytes, (account, slot)) in last.iter_mut().rev().zip(places.iter().rev()) {
            bytes[..4].copy_from_slice(&account.to_le_bytes());
            bytes[4..].copy_from_slice(&slot.to_le_bytes());
        }
    }

    /// The packed entries from a place on.
    fn entries(&self, from: usize) -> impl Iterator<Item = &[u8]> {
        let mut bytes = self.bytes.get(from..self.used).unwrap_or_default();
        std::iter::from_fn(move || {
            let (entry, rest) = split(bytes)?;
            bytes = rest;
            Some(entry)
        })
    }
}

impl Log {
    /// How many entries are kept.
    pub fn len(&self) -> usize {
        (self.next - self.first) as usize
    }

    /// The number of the oldest entry that is kept.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Keeps an entry and returns its number.
    pub fn push(&mut self, entry: &Entry) -> u64 {
        if self.next.is_multiple_of(CHUNK_ENTRIES) {
            let size = self.chunks.back().map_or(0, |chunk| chunk.used);
            let mut bytes = std::mem::take(&mut self.spare);
            if bytes.len() < size {
                bytes.resize(size + size / 8, 0);
            }
            self.chunks.push_back(Chunk { bytes, used: 0 });
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push(entry);
        }
        self.next += 1;
        self.next - 1
    }

    /// Drops the oldest entry and returns the call it was about.
    pub fn drop_oldest(&mut self) -> Option<Id> {
        let chunk = self.chunks.front()?;
        let entry = chunk.entries(self.oldest).next()?;
        let call = call_of(entry);
        self.oldest += entry.len();
        self.first += 1;
        if self.oldest == chunk.used && self.first.is_multiple_of(CHUNK_ENTRIES) {
            self.spare = self.chunks.pop_front().map(|chunk| chunk.bytes).unwrap_or_default();
            self.oldest = 0;
        }
        call
    }

    /// The entries about a call, those of newer chunks before those of older ones.
    pub fn of_call(&self, id: &Id) -> impl Iterator<Item = Entry> {
        let from = |index| if index == 0 { self.oldest } else { 0 };
        let chunks = self.chunks.iter().enumerate().rev();
        let entries = chunks.flat_map(move |(index, chunk)| chunk.entries(from(index)));
        entries.filter(|entry| call_of(entry) == Some(*id)).filter_map(unpack)
    }

    /// Every entry, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Entry> {
        let mut from = self.oldest;
        let entries = self.chunks.iter().flat_map(move |chunk| chunk.entries(std::mem::take(&mut from)));
        entries.filter_map(unpack)
    }
}

/// One packed entry, and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?);
    bytes.split_at_checked(length as usize)
}

fn call_of(entry: &[u8]) -> Option<Id> {
    let columns = u64::from_le_bytes(*entry.get(4..)?.first_chunk()?);
    let call = entry.get(20..)?.first_chunk()?;
    (columns & HAS_CALL != 0).then(|| Id::from_bytes(*call))
}

/// Packs an entry into the beginning of `bytes`, its places aside; returns its length with them.
fn pack(entry: &Entry, places: usize, bytes: &mut [u8; ENTRY_MAX]) -> usize {
    let (mut at, mut columns, mut wide) = (HEAD, 0_u64, 0_u64);
    entry.visit_cells(|index, cell| {
        columns |= 1 << index;
        bytes[at..at + 8].copy_from_slice(&cell.to_le_bytes());
        at += 4;
        if i32::try_from(cell).is_err() {
            wide |= 1 << index;
            at += 4;
        }
    });
    if let Some(call) = &entry.call {
        columns |= HAS_CALL;
        bytes[20..HEAD].copy_from_slice(call.bytes());
    }
    columns |= if entry.under.is_some() { HAS_UNDER } else { 0 };
    let length = at + places;
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    bytes[4..12].copy_from_slice(&columns.to_le_bytes());
    bytes[12..20].copy_from_slice(&wide.to_le_bytes());
    length
}

fn unpack(entry: &[u8]) -> Option<Entry> {
    let columns = u64::from_le_bytes(*entry.get(4..)?.first_chunk()?);
    let wide = u64::from_le_bytes(*entry.get(12..)?.first_chunk()?);
    let mut rest = entry.get(HEAD..)?;
    let mut cells = [0; COLUMNS];
    for (index, cell) in cells.iter_mut().enumerate() {
        if columns >> index & 1 == 0 {
            continue;
        }
        if wide >> index & 1 == 0 {
            *cell = i64::from(i32::from_le_bytes(*rest.first_chunk()?));
            rest = &rest[4..];
        } else {
            *cell = i64::from_le_bytes(*rest.first_chunk()?);
            rest = &rest[8..];
        }
    }
    let place = |place: &[u8; PLACE]| -> Option<(u32, Millis)> {
        Some((u32::from_le_bytes(*place.first_chunk()?), i64::from_le_bytes(*place.last_chunk()?)))
    };
    let under = (columns & HAS_UNDER != 0)
        .then(|| rest.as_chunks::<PLACE>().0.iter().filter_map(place).collect::<Under>());
    Entry::of(&cells, call_of(entry), under, Vec::<(u32, Proof)>::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::ledger::entry::Kind;

    fn entry(no: u64) -> Entry {
        let mut entry = Entry { kind: Kind::Settled, at_ms: 1_795_348_800_000, ..Entry::default() };
        if no.is_multiple_of(3) {
            entry.under = Some(Arc::from([(7, i64::MIN), (u32::MAX, no as i64)]));
        }
        entry.call = (no % 2 == 1).then(|| Id::from_bytes([no as u8; 16]));
        (entry.usd, entry.request_hash) = (-(no as i64), i64::MAX - no as i64);
        (entry.output_tokens, entry.note) = (no, u32::MAX);
        entry
    }

    #[test]
    fn what_is_packed_comes_back_until_it_is_dropped() {
        let mut log = Log::default();
        for no in 0..1_000 {
            assert_eq!(log.push(&entry(no)), no);
        }
        for no in 0..700 {
            assert_eq!(log.drop_oldest(), entry(no).call);
            assert_eq!((log.len() as u64, log.first()), (999 - no, no + 1));
        }
        assert!(log.iter().eq((700..1_000).map(entry)));
        while log.len() > 0 {
            log.drop_oldest();
        }
        assert_eq!((log.len(), log.iter().count(), log.drop_oldest()), (0, 0, None));
        assert_eq!((log.push(&entry(5)), log.iter().next()), (1_000, Some(entry(5))));
    }

    #[test]
    fn the_entries_of_a_call_are_found_until_they_are_dropped() {
        let mut log = Log::default();
        let id = Id::from_bytes([9; 16]);
        for no in 0..1_000_u64 {
            log.push(&Entry { call: (no % 300 == 299).then_some(id), ..entry(no) });
        }
        let found = |log: &Log| log.of_call(&id).map(|entry| entry.output_tokens).collect::<Vec<_>>();
        assert_eq!(found(&log), [899, 599, 299]);
        for _ in 0..600 {
            log.drop_oldest();
        }
        assert_eq!(found(&log), [899]);
    }

    #[test]
    fn every_column_is_kept() {
        for column in 2..COLUMNS {
            for value in [1, i64::from(u32::MAX)] {
                let mut cells = [0; COLUMNS];
                (cells[1], cells[column]) = (1, value);
                let entry = Entry::of(&cells, None, None, Vec::new()).unwrap();
                let mut log = Log::default();
                log.push(&entry);
                assert_eq!(log.iter().next(), Some(entry), "{}", Entry::COLUMNS[column]);
            }
        }
    }
}
