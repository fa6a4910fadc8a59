//! How does a breaker travel? Its bytes: a version, its fields in order, a digest of both.
//!
//! Numbers are little-endian. What a reader gets is checked whole before any of it is used, and no
//! count read from it can overflow: they all saturate.

use super::{
    Breaker,
    chant::WINDOW,
    config::{BYTES_MAX, Config},
    hash,
    trail::{BATCH, Passed, RING, Runs, Trail},
    watch::{Polls, Streak, Waiting},
};
use crate::error::{Error, Result};

const HEAD: &[u8; 4] = b"OLB\x03";
const SEED: u64 = 14;

struct Writer(Vec<u8>);

struct Reader<'a>(&'a [u8]);

/// One visit of every field, for writing and for reading, so that the two cannot disagree.
trait Visit {
    fn bytes<const N: usize>(&mut self, bytes: &mut [u8; N]) -> Option<()>;

    fn long(&mut self, number: &mut u64) -> Option<()> {
        let mut bytes = number.to_le_bytes();
        self.bytes(&mut bytes)?;
        *number = u64::from_le_bytes(bytes);
        Some(())
    }

    fn short(&mut self, number: &mut u32) -> Option<()> {
        let mut bytes = number.to_le_bytes();
        self.bytes(&mut bytes)?;
        *number = u32::from_le_bytes(bytes);
        Some(())
    }

    fn signed(&mut self, number: &mut i64) -> Option<()> {
        let mut bytes = number.to_le_bytes();
        self.bytes(&mut bytes)?;
        *number = i64::from_le_bytes(bytes);
        Some(())
    }

    fn flag(&mut self, flag: &mut bool) -> Option<()> {
        let mut byte = [u8::from(*flag)];
        self.bytes(&mut byte)?;
        *flag = byte == [1];
        (byte[0] <= 1).then_some(())
    }
}

impl Visit for Writer {
    fn bytes<const N: usize>(&mut self, bytes: &mut [u8; N]) -> Option<()> {
        self.0.extend_from_slice(bytes);
        Some(())
    }
}

impl Visit for Reader<'_> {
    fn bytes<const N: usize>(&mut self, bytes: &mut [u8; N]) -> Option<()> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        *bytes = *first;
        self.0 = rest;
        Some(())
    }
}

fn streak(visit: &mut impl Visit, streak: &mut Streak) -> Option<()> {
    visit.long(&mut streak.key)?;
    visit.short(&mut streak.count)?;
    visit.short(&mut streak.excused)?;
    visit.long(&mut streak.first)?;
    visit.long(&mut streak.batch)
}

fn runs(visit: &mut impl Visit, runs: &mut Runs) -> Option<()> {
    visit.short(&mut runs.same)?;
    runs.cycles.iter_mut().chain(&mut runs.changed).try_for_each(|count| visit.short(count))
}

fn trail(visit: &mut impl Visit, trail: &mut Trail) -> Option<()> {
    visit.short(&mut trail.length)?;
    for Passed { call, key, raw, step, is_poll } in &mut trail.ring {
        visit.long(call)?;
        visit.long(key)?;
        visit.long(raw)?;
        visit.flag(is_poll)?;
        visit.long(step)?;
    }
    runs(visit, &mut trail.runs)?;
    runs(visit, &mut trail.before)?;
    runs(visit, &mut trail.excused)?;
    visit.long(&mut trail.batch)?;
    const { assert!(BATCH <= 32) };
    trail.members.iter_mut().try_for_each(|member| visit.long(member))?;
    (trail.length as usize <= RING).then_some(())
}

fn polls(visit: &mut impl Visit, Polls(polls): &mut Polls) -> Option<()> {
    for Waiting { call, streak: counted, timed, first_ms, excused_ms, last_ms, last } in polls {
        visit.long(call)?;
        streak(visit, counted)?;
        visit.flag(timed)?;
        visit.signed(first_ms)?;
        visit.signed(excused_ms)?;
        visit.signed(last_ms)?;
        visit.long(last)?;
    }
    Some(())
}

fn fields(visit: &mut impl Visit, breaker: &mut Breaker) -> Option<()> {
    visit.long(&mut breaker.steps)?;
    trail(visit, &mut breaker.trail)?;
    for one in breaker.streaks() {
        streak(visit, one)?;
    }
    visit.long(&mut breaker.witness)?;
    visit.short(&mut breaker.talk)?;
    breaker.users.iter_mut().try_for_each(|said| visit.long(said))?;
    visit.long(&mut breaker.refusal)?;
    visit.flag(&mut breaker.heard)?;
    polls(visit, &mut breaker.polls)?;
    let chant = &mut breaker.chant;
    visit.bytes(&mut chant.window)?;
    visit.short(&mut chant.place)?;
    visit.short(&mut chant.seen)?;
    visit.long(&mut chant.hash)?;
    visit.long(&mut chant.anchor)?;
    visit.short(&mut chant.since)?;
    visit.long(&mut chant.body)?;
    visit.long(&mut chant.last_body)?;
    visit.short(&mut chant.period)?;
    visit.short(&mut chant.repeats)?;
    visit.short(&mut chant.ticks)?;
    visit.flag(&mut chant.fenced)?;
    visit.flag(&mut chant.tabled)?;
    visit.flag(&mut chant.spoken)?;
    visit.flag(&mut chant.lenient)?;
    ((chant.place as usize) < WINDOW).then_some(())
}

impl Breaker {
    /// Everything the breaker knows, configuration included: at most 8,192 bytes.
    ///
    /// Digests stand for what was said and done; of a stream its last 32 bytes are kept.
    ///
    /// ```
    /// use outlay::policy::Breaker;
    ///
    /// let breaker = Breaker::default();
    /// assert_eq!(Breaker::from_state(&breaker.state())?, breaker);
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn state(&self) -> Vec<u8> {
        let config = self.config.to_json().to_string();
        let mut writer = Writer(Vec::with_capacity(3_072 + config.len()));
        writer.0.extend_from_slice(HEAD);
        writer.0.extend_from_slice(&(config.len() as u32).to_le_bytes());
        writer.0.extend_from_slice(config.as_bytes());
        // A writer takes everything.
        let _ = fields(&mut writer, &mut self.clone());
        let digest = hash::of(SEED, &writer.0);
        writer.0.extend_from_slice(&digest.to_le_bytes());
        writer.0
    }

    /// The breaker whose [`state`](Self::state) this is.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: these are not the bytes of a state, or those of another version.
    pub fn from_state(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes).ok_or_else(|| Error::invalid("this is not the state of a breaker of this version"))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (told, digest) = bytes.split_last_chunk::<8>()?;
        if hash::of(SEED, told) != u64::from_le_bytes(*digest) {
            return None;
        }
        let (length, rest) = told.strip_prefix(HEAD)?.split_first_chunk::<4>()?;
        let (config, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        if config.len() > BYTES_MAX {
            return None;
        }
        let config = Config::parse(&serde_json::from_slice(config).ok()?).ok()?;
        let mut breaker = Self { config, ..Self::default() };
        let mut reader = Reader(rest);
        fields(&mut reader, &mut breaker)?;
        reader.0.is_empty().then_some(breaker)
    }
}
