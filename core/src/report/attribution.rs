//! Whose money was it?
//!
//! One pass over the entries puts every call into one place (task, attempt, model) and adds up
//! what became of it; a report is those places grouped. Kept in memory are the places, and of
//! calls only those that may still change: open, in doubt, estimated or void.

use rustc_hash::FxHashMap;

use super::text::left_out;
use crate::{
    error::{Error, Result},
    ledger::{
        Entry, Kind, flag,
        store::{Filter, Part, State, Tx},
    },
    policy::{Amounts, Balance},
    value::{Id, Millis, Money},
};

/// What became of some calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Money, tokens, model calls and tool calls: settled, pending and in doubt.
    pub balance: Balance,
    /// The tokens of what is settled, by type.
    pub tokens: Tokens,
    /// Of what is settled: our count, not the provider's.
    pub estimated: Money,
    /// How many settled calls are estimated.
    pub estimated_calls: u64,
    /// What calls cost above their reservations.
    pub overrun: Money,
    /// How many calls used more money or tokens than they had reserved.
    pub overrun_calls: u64,
    /// Calls without a known price: their cost is unknown, and in no sum.
    pub unpriced_calls: u64,
    /// Calls that were reserved and not billed.
    pub voided_calls: u64,
    /// Of the estimated: streams that ended before the provider said what they used.
    pub(super) broken: Money,
    pub(super) broken_calls: u64,
    /// What the ledger has about them, from the reservation on.
    pub(super) entries: u64,
}

impl Figures {
    /// Model calls that were made or may have been: settled, in doubt and pending.
    pub fn calls(&self) -> u64 {
        self.units(2)
    }

    /// Calls of tools.
    pub fn tool_calls(&self) -> u64 {
        self.units(3)
    }

    fn units(&self, unit: usize) -> u64 {
        let Balance { settled, pending, in_doubt } = &self.balance;
        let sum = [settled, pending, in_doubt].iter().map(|amounts| amounts.0[unit]).sum::<i64>();
        u64::try_from(sum).unwrap_or(0)
    }

    /// What was used.
    pub const fn settled(&self) -> Money {
        self.balance.settled.usd()
    }

    /// What calls hold whose outcome nobody knows.
    pub const fn in_doubt(&self) -> Money {
        self.balance.in_doubt.usd()
    }

    /// What open calls hold.
    pub const fn pending(&self) -> Money {
        self.balance.pending.usd()
    }

    /// Settled and in doubt together.
    pub fn spent(&self) -> Money {
        Money::from_nanos(self.balance.spent(crate::policy::Unit::Usd))
    }

    pub(super) fn add(&mut self, other: &Self) -> Result<()> {
        self.move_by(&other.balance)?;
        self.tokens = self.tokens.combined(&other.tokens, u64::saturating_add);
        for (sum, part) in [
            (&mut self.estimated, other.estimated),
            (&mut self.overrun, other.overrun),
            (&mut self.broken, other.broken),
        ] {
            *sum = sum.checked_add(part).ok_or_else(too_large)?;
        }
        self.estimated_calls += other.estimated_calls;
        self.overrun_calls += other.overrun_calls;
        self.unpriced_calls += other.unpriced_calls;
        self.voided_calls += other.voided_calls;
        self.broken_calls += other.broken_calls;
        self.entries += other.entries;
        Ok(())
    }

    fn move_by(&mut self, change: &Balance) -> Result<()> {
        self.balance = self.balance.checked_add(change).ok_or_else(too_large)?;
        Ok(())
    }

    /// What part of `whole` was spent here, per mille.
    pub fn share_per_mille(&self, whole: &Self) -> u32 {
        let (part, whole) = (i128::from(self.spent().nanos()), i128::from(whole.spent().nanos()));
        u32::try_from((part * 2_000 + whole).checked_div(whole * 2).unwrap_or(0)).unwrap_or(0)
    }
}

fn too_large() -> Error {
    Error::corrupt("the amounts of this ledger do not add up to 64 bits")
}

/// Tokens by type. Input includes what was read from and written to a cache, output reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// All input.
    pub input: u64,
    /// Of it read from a cache.
    pub cache_read: u64,
    /// Of it written to a cache, of whatever lifetime.
    pub cache_write: u64,
    /// All output.
    pub output: u64,
    /// Of it hidden reasoning.
    pub reasoning: u64,
}

impl Tokens {
    const fn of(entry: &Entry) -> Self {
        Self {
            input: entry.input_tokens,
            cache_read: entry.cache_read_tokens,
            cache_write: entry.cache_write_tokens.saturating_add(entry.cache_write_1h_tokens),
            output: entry.output_tokens,
            reasoning: entry.reasoning_tokens,
        }
    }

    fn combined(&self, other: &Self, by: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            input: by(self.input, other.input),
            cache_read: by(self.cache_read, other.cache_read),
            cache_write: by(self.cache_write, other.cache_write),
            output: by(self.output, other.output),
            reasoning: by(self.reasoning, other.reasoning),
        }
    }
}

/// Where a call happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub task: u32,
    pub attempt: u32,
    pub model: u32,
    /// What it was part of, if the fold tells places apart by that.
    pub part: u32,
    /// When it was reserved, in slots of the fold since 1970; 0 in a fold without any.
    pub slot: i64,
}

/// A call of which more may be said.
#[derive(Clone, Copy, Debug)]
struct Living {
    /// Which of the places it is in.
    at: u32,
    held: Amounts,
    state: State,
    /// What it adds to its place beside the balance, to be taken back when the truth comes.
    said: Said,
    used_usd: i64,
}

/// What the latest entry about a call said of it.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    tokens: Tokens,
    estimated: Option<i64>,
    broken: Option<i64>,
    overrun: Option<i64>,
    unpriced: bool,
}

/// The fold: feed it entries in order, then read its places.
#[derive(Debug, Default)]
pub(super) struct Attribution {
    pub places: Vec<(Place, Figures)>,
    /// How long a slot is; 0 where places are not told apart by time.
    slot_ms: Millis,
    part: Option<Part>,
    index: FxHashMap<Place, u32>,
    living: FxHashMap<Id, Living>,
    /// What is put by for last calls: no calls, and in no place.
    kept: FxHashMap<Id, Money>,
}

impl Attribution {
    /// A fold that tells places apart by time too, in slots of so many milliseconds.
    pub fn in_slots(slot_ms: Millis) -> Self {
        Self { slot_ms, ..Self::default() }
    }

    /// Adds one entry. An entry about a call whose reservation was not among those given is left
    /// out: the call belongs to an earlier time.
    pub fn add(&mut self, entry: &Entry) -> Result<()> {
        let Some(id) = entry.call else { return Ok(()) };
        if entry.kind == Kind::Reserved {
            if entry.has(flag::KEPT) {
                self.kept.insert(id, entry.amounts().usd());
                return Ok(());
            }
            return self.reserve(id, entry);
        }
        let Some(call) = self.living.get(&id).copied() else {
            self.kept.remove(&id);
            return Ok(());
        };
        let freed = call.state.freed(&call.held);
        let Some((_, figures)) = self.places.get_mut(call.at as usize) else { return Ok(()) };
        figures.entries += 1;
        let mut next = call;
        match entry.kind {
            Kind::Settled | Kind::Corrected => {
                figures.move_by(&Balance { settled: entry.amounts(), ..freed })?;
                next.used_usd = call.used_usd.saturating_add(entry.usd);
                next.said = said_by(entry, &call, next.used_usd);
                next.state = State::Settled;
            }
            Kind::Voided => {
                figures.move_by(&freed)?;
                next.said = Said::default();
                next.state = State::Voided;
            }
            Kind::Doubted => {
                figures.move_by(&Balance { in_doubt: call.held, ..freed })?;
                next.state = State::InDoubt;
            }
            _ => return Ok(()),
        }
        figures.replace(&call, &next)?;
        if next.state == State::Settled && next.said.estimated.is_none() {
            self.living.remove(&id);
        } else {
            self.living.insert(id, next);
        }
        Ok(())
    }

    /// How much is put by for last calls.
    pub fn kept(&self) -> Result<Money> {
        let mut kept = self.kept.values();
        kept.try_fold(Money::ZERO, |sum, usd| sum.checked_add(*usd)).ok_or_else(too_large)
    }

    fn reserve(&mut self, id: Id, entry: &Entry) -> Result<()> {
        let Entry { task, attempt, model_asked: model, .. } = *entry;
        let slot = entry.at_ms.checked_div_euclid(self.slot_ms).unwrap_or(0);
        let part = self.part.map_or(0, |part| part.of(entry));
        let place = Place { task, attempt, model, part, slot };
        let places = &mut self.places;
        let at = *self.index.entry(place).or_insert_with(|| {
            places.push((place, Figures::default()));
            places.len() as u32 - 1
        });
        let held = entry.amounts();
        let said = Said { unpriced: entry.has(flag::UNPRICED), ..Said::default() };
        let call = Living { at, held, state: State::Open, said, used_usd: 0 };
        if let Some((_, figures)) = places.get_mut(at as usize) {
            figures.move_by(&Balance { pending: held, ..Balance::default() })?;
            figures.unpriced_calls += u64::from(said.unpriced);
            figures.entries += 1;
        }
        self.living.insert(id, call);
        Ok(())
    }

    /// Folds the entries that `filter` lets through, with the part it asks for.
    pub fn read(&mut self, tx: &mut dyn Tx, filter: Filter) -> Result<()> {
        self.part = filter.part;
        let mut failure = None;
        tx.movements(filter, &mut |entry| match self.add(entry) {
            Ok(()) => true,
            Err(error) => {
                failure = Some(error);
                false
            }
        })?;
        failure.map_or(Ok(()), Err)
    }
}

fn said_by(entry: &Entry, call: &Living, used_usd: i64) -> Said {
    let over = used_usd.saturating_sub(call.held.0[0]).max(0);
    Said {
        tokens: Tokens::of(entry),
        estimated: entry.has(flag::ESTIMATED).then_some(used_usd),
        broken: (entry.has(flag::ESTIMATED) && entry.has(flag::STREAMED)).then_some(used_usd),
        overrun: entry.has(flag::OVERRUN).then_some(over),
        unpriced: entry.has(flag::UNPRICED),
    }
}

impl Figures {
    /// Takes back what was said of a call before, and adds what is said now.
    fn replace(&mut self, before: &Living, now: &Living) -> Result<()> {
        self.tokens = self.tokens.combined(&before.said.tokens, u64::saturating_sub);
        self.tokens = self.tokens.combined(&now.said.tokens, u64::saturating_add);
        for (call, sign) in [(before, -1), (now, 1)] {
            let counts = i64::from(call.state == State::Voided);
            self.voided_calls = self.voided_calls.wrapping_add_signed(counts * sign);
            let counts = i64::from(call.said.unpriced);
            self.unpriced_calls = self.unpriced_calls.wrapping_add_signed(counts * sign);
            let parts = [
                (&mut self.estimated, &mut self.estimated_calls, call.said.estimated),
                (&mut self.overrun, &mut self.overrun_calls, call.said.overrun),
                (&mut self.broken, &mut self.broken_calls, call.said.broken),
            ];
            for (sum, calls, part) in parts {
                let Some(part) = part else { continue };
                let part = Money::from_nanos(part.saturating_mul(sign));
                *sum = sum.checked_add(part).ok_or_else(too_large)?;
                *calls = calls.wrapping_add_signed(sign);
            }
        }
        Ok(())
    }
}

impl Figures {
    /// What the sums do not say, a sentence each.
    pub(super) fn notes(&self, dropped_entries: u64) -> Vec<String> {
        let Self { estimated, estimated_calls, overrun, overrun_calls, unpriced_calls, .. } = self;
        let calls = |calls: &u64| if *calls == 1 { "1 call".to_owned() } else { format!("{calls} calls") };
        let mut notes = Vec::new();
        if *estimated_calls > 0 {
            notes.push(format!("{estimated} of it is estimated, in {}", calls(estimated_calls)));
        }
        if *overrun_calls > 0 {
            notes.push(format!("{} used {overrun} more than was reserved", calls(overrun_calls)));
        }
        if *unpriced_calls > 0 {
            let (have, their) = if *unpriced_calls == 1 { ("has", "its") } else { ("have", "their") };
            let calls = calls(unpriced_calls);
            notes.push(format!("{calls} {have} no known price: {their} cost is in no sum"));
        }
        notes.extend(left_out(dropped_entries));
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_belongs_to_the_part_it_was_reserved_in() {
        let mut fold = Attribution { part: Some(Part::Step), ..Attribution::default() };
        for (step, call) in [(7, 1), (8, 2), (7, 3)] {
            let call = Some(Id::from_bytes([call; 16]));
            let reserved =
                Entry { kind: Kind::Reserved, step, call, usd: 9, llm_calls: 1, ..Entry::default() };
            let settled = Entry { kind: Kind::Settled, call, usd: 5, llm_calls: 1, ..Entry::default() };
            fold.add(&reserved).unwrap();
            fold.add(&settled).unwrap();
        }
        let parts: Vec<_> = fold.places.iter().map(|(at, sum)| (at.part, sum.spent().nanos())).collect();
        assert_eq!(parts, [(7, 10), (8, 5)]);
    }
}
