//! Which limits would tasks of a kind have kept within?
//!
//! A run is a task in no other, with all its attempts and everything inside it, as a limit of the task
//! counts it; what runs used stands in their balances, so no entry is read. Suggested is what a share of the
//! runs that succeeded used at most, by nearest rank: no figure that no run had.
//!
//! ```
//! use outlay::{Attempt, Ledger, TaskOptions, report::Share};
//!
//! let ledger = Ledger::in_memory();
//! for calls in [3, 1, 2, 9] {
//!     let task = ledger.open_task(TaskOptions::new("r").tag("kind", "refund")?)?;
//!     (0..calls).try_for_each(|_| task.tool_call("web"))?;
//!     task.end(Attempt::Succeeded, None)?;
//! }
//! let suggested = ledger.suggest_limits(None, None, Share::per_cent(75)?)?;
//! assert!(suggested.to_string().ends_with("[kinds.refund]\ntool_calls = 3   # 1 of 4 used more\n"));
//! # Ok::<(), outlay::Error>(())
//! ```

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use super::{runs::quantile, since::Since};
use crate::{
    error::{Error, Result},
    ledger::store::{Run, Tx},
    policy::{Amounts, Unit},
    run::Ledger,
    value::Millis,
};

/// The newest runs that are read.
const RUNS_MAX: usize = 200_000;
/// Fewer successes say little of what the next run will use.
const FEW: u64 = 20;
/// Fewer say little of how the dearest will differ.
const SOME: u64 = 100;

/// Of how many runs that succeeded a limit is to be kept, in per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u8);

impl Share {
    /// A share of `count` per cent.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: it is not from 1 to 100.
    pub fn per_cent(count: u8) -> Result<Self> {
        match count {
            1..=100 => Ok(Self(count)),
            _ => Err(Error::invalid(format!("share `{count}` is not from 1 to 100 per cent"))),
        }
    }
}

impl Default for Share {
    /// 95 per cent.
    fn default() -> Self {
        Self(95)
    }
}

/// A limit that is suggested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuggestedLimit {
    /// Of what.
    pub unit: Unit,
    /// How much: nano-USD, tokens or calls.
    pub amount: i64,
    /// How many of the runs it rests on used more.
    pub refused: u64,
}

/// What is suggested for tasks of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuggestedLimits {
    /// The kind.
    pub kind: String,
    /// Runs that have ended.
    pub runs: u64,
    /// Attempts at them.
    pub attempts: u64,
    /// Of the runs those that succeeded, by which the limits go.
    pub succeeded: u64,
    /// One for each unit of which they used some.
    pub limits: Vec<SuggestedLimit>,
    /// How many of the successes used more of some unit.
    pub refused: u64,
}

impl SuggestedLimits {
    /// Why not to rely on it: too few runs.
    pub fn warning(&self) -> Option<String> {
        match self.succeeded {
            0 => Some("no run succeeded: nothing to go by".to_owned()),
            few @ 1..FEW => Some(format!("{few} runs that succeeded are too few to rely on")),
            some @ FEW..SOME => {
                Some(format!("{some} runs that succeeded are few: the dearest may be yet to come"))
            }
            _ => None,
        }
    }
}

/// Limits suggested from what runs have used. Prints as the part of `outlay.toml` that sets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestions {
    /// From when on runs are in it, by their first opening.
    pub since: Option<Millis>,
    /// Of how many successes a limit is kept, in per cent.
    pub share: u8,
    /// By kind, in the order of their names.
    pub kinds: Vec<SuggestedLimits>,
    /// Runs that have ended and have no kind, or one that was erased.
    pub without_kind: u64,
    /// Were there more runs than are read? Then the newest are in it.
    pub is_cut: bool,
}

/// What the runs of one kind were.
#[derive(Default)]
struct Tally {
    runs: u64,
    attempts: u64,
    /// What each success used.
    used: Vec<Amounts>,
}

impl Ledger {
    /// Suggests limits for tasks of a kind, or of each, from runs opened since then.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: no run of this kind has ended.
    /// * `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    pub fn suggest_limits(
        &self,
        kind: Option<&str>,
        since: Option<Since>,
        share: Share,
    ) -> Result<Suggestions> {
        self.read(|tx| {
            let now = tx.now()?;
            let since = since.map(|since| since.at(now));
            let (tallies, without_kind, is_cut) = read(tx, since)?;
            let wanted = tallies.into_iter().filter(|(name, _)| kind.is_none_or(|kind| kind == name));
            let kinds: Vec<_> = wanted.map(|(name, tally)| suggested(name, tally, share)).collect();
            if let (Some(kind), true) = (kind, kinds.is_empty()) {
                return Err(Error::invalid(format!("no task of kind `{kind}` has ended")));
            }
            Ok(Suggestions { since, share: share.0, kinds, without_kind, is_cut })
        })
    }
}

fn read(tx: &mut dyn Tx, since: Option<Millis>) -> Result<(BTreeMap<String, Tally>, u64, bool)> {
    let mut kinds = BTreeMap::new();
    tx.names_of("kind", &mut |no, text| drop(kinds.insert(no, text.to_owned())))?;
    let succeeded = tx.find_name("outcome", "succeeded")?;
    let (mut tallies, mut without_kind, mut met) = (BTreeMap::<u32, Tally>::new(), 0, 0);
    tx.runs(since, RUNS_MAX + 1, &mut |Run { tags, attempts, outcome, used }| {
        met += 1;
        if met > RUNS_MAX {
            return;
        }
        let Some(kind) = tags.iter().rfind(|tag| kinds.contains_key(*tag)) else {
            without_kind += 1;
            return;
        };
        let tally = tallies.entry(*kind).or_default();
        tally.runs += 1;
        tally.attempts += u64::from(attempts);
        if Some(outcome) == succeeded {
            tally.used.push(used);
        }
    })?;
    let named = tallies.into_iter().filter_map(|(no, tally)| Some((kinds.remove(&no)?, tally)));
    Ok((named.collect(), without_kind, met > RUNS_MAX))
}

fn suggested(kind: String, tally: Tally, share: Share) -> SuggestedLimits {
    let Tally { runs, attempts, used } = tally;
    let mut limits = Vec::new();
    for unit in Unit::ALL {
        let mut amounts: Vec<i64> = used.iter().map(|used| used.get(unit)).collect();
        amounts.sort_unstable();
        let amount = quantile(&amounts, usize::from(share.0) * 10);
        let refused = (amounts.len() - amounts.partition_point(|used| *used <= amount)) as u64;
        // A limit of nothing would forbid what most have not needed yet.
        if amount > 0 {
            limits.push(SuggestedLimit { unit, amount, refused });
        }
    }
    let is_refused = |used: &&Amounts| limits.iter().any(|limit| used.get(limit.unit) > limit.amount);
    let refused = used.iter().filter(is_refused).count() as u64;
    SuggestedLimits { kind, runs, attempts, succeeded: used.len() as u64, limits, refused }
}

/// A key of TOML: bare if it can be, else quoted.
fn key(text: &str) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if !text.is_empty() && text.chars().all(is_bare) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            // Also what a terminal would obey.
            _ if letter.is_control() => drop(write!(quoted, "\\U{:08x}", u32::from(letter))),
            _ => quoted.push(letter),
        }
    }
    quoted + "\""
}

impl fmt::Display for Suggestions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.share;
        writeln!(
            f,
            "# What {share} % of the runs that succeeded used at most, in each unit by itself. A call is"
        )?;
        writeln!(f, "# held at its worst case before it is made, so more is refused than used more.")?;
        if self.is_cut {
            writeln!(f, "# Of the newest {RUNS_MAX} runs.")?;
        }
        if self.without_kind > 0 {
            writeln!(f, "# {} runs have no kind and are not in it.", self.without_kind)?;
        }
        self.kinds.iter().try_for_each(|kind| kind.fmt(f))
    }
}

impl fmt::Display for SuggestedLimits {
    /// The part of `outlay.toml` for this kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, runs, attempts, succeeded, limits, refused } = self;
        let kind = key(kind);
        writeln!(f, "\n# kind {kind}: {runs} runs in {attempts} attempts, {succeeded} succeeded")?;
        if let Some(warning) = self.warning() {
            writeln!(f, "# WARNING: {warning}")?;
        }
        if limits.is_empty() {
            return Ok(());
        }
        writeln!(f, "# {refused} of the {succeeded} used more of some unit")?;
        writeln!(f, "[kinds.{kind}]")?;
        let shown = limits.iter().map(|SuggestedLimit { unit, amount, .. }| match unit {
            Unit::Usd => format!("usd = \"{}\"", unit.show(*amount)),
            _ => format!("{} = {amount}", unit.name()),
        });
        let shown: Vec<String> = shown.collect();
        let width = shown.iter().map(String::len).max().unwrap_or(0);
        for (text, limit) in shown.iter().zip(limits) {
            writeln!(f, "{text:width$}   # {} of {succeeded} used more", limit.refused)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(used: &[[i64; 4]]) -> Tally {
        let count = used.len() as u64;
        Tally { runs: count + 1, attempts: count + 3, used: used.iter().copied().map(Amounts).collect() }
    }

    #[test]
    fn a_limit_is_what_a_run_used_by_nearest_rank() {
        let used: Vec<[i64; 4]> = (1..=40).map(|n| [n * 10, n, 1, 0]).collect();
        let rows = suggested("k".to_owned(), tally(&used), Share::default());
        let limit = |unit, amount, refused| SuggestedLimit { unit, amount, refused };
        let expected = [limit(Unit::Usd, 380, 2), limit(Unit::Tokens, 38, 2), limit(Unit::LlmCalls, 1, 0)];
        assert_eq!((rows.limits.as_slice(), rows.refused), (expected.as_slice(), 2));
        let all = suggested("k".to_owned(), tally(&used), Share::per_cent(100).unwrap());
        assert_eq!((all.limits[0].amount, all.refused), (400, 0));
        let least = suggested("k".to_owned(), tally(&used), Share::per_cent(1).unwrap());
        assert_eq!((least.limits[0].amount, least.refused), (10, 39));
    }

    #[test]
    fn few_runs_are_warned_of() {
        let warned =
            |count| suggested("k".to_owned(), tally(&vec![[1; 4]; count]), Share::default()).warning();
        assert!(warned(0).unwrap().contains("nothing to go by"));
        assert!(warned(19).unwrap().contains("too few"));
        assert!(warned(20).unwrap().contains("are few"));
        assert!(warned(99).is_some() && warned(100).is_none());
    }

    #[test]
    fn any_kind_is_a_key_of_toml() {
        for kind in [
            "refund",
            "a-b_1",
            "",
            "two words",
            "a.b",
            "quo\"te",
            "back\\slash",
            "naïve",
            "\u{7f}\u{1b}[2J",
            "日本",
        ] {
            let text = format!("[kinds.{}]\nusd = 1", key(kind));
            let read: toml::Table = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(read["kinds"].as_table().unwrap().contains_key(kind), "{text}");
        }
        assert!(!key("\u{1b}[2J").contains('\u{1b}'));
    }
}
