//! Is the ledger what was written?
//!
//! Every link is computed again from the entries, every balance is added up again, every word of
//! the dictionary and every task is held against its entry. That finds whatever does not fit
//! together. Somebody who can write the file can make it fit together again; against that stands a
//! [`Checkpoint`] kept elsewhere, with which nothing from before it can be changed unseen.
//!
//! What is not covered: limits, rows of calls, which no report reads, and what a caller asked to keep.
//!
//! ```no_run
//! # use outlay::{Config, Ledger};
//! let ledger = Ledger::open("sqlite:ledger.db", Config::default().into())?;
//! let audit = ledger.audit(None)?;
//! assert!(audit.is_sound(), "{}", audit);
//! # Ok::<(), outlay::Error>(())
//! ```

use std::{collections::BTreeMap, fmt, sync::mpsc::sync_channel, thread};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    checkpoint::{Body, Checkpoint, Mark, Marks},
    lines::{Bad, Lines, Read, Said},
};
use crate::{
    error::{Error, ErrorKind, Result},
    ledger::{
        chain::{self, Proof},
        store::{Head, Line, Tx},
    },
    run::Ledger,
    value::{Millis, SecretKey},
};

/// Lines that are handed from one thread to the other at once, and how many times so many may wait.
const BATCH_LINES: usize = 256;
const BATCHES_MAX: usize = 4;
/// The most problems an audit lists.
const LISTED_MAX: usize = 20;

/// Where something is wrong; what comes first is named first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Entries from the first to the second: one, unless several were written in one commit.
    Entries(u64, u64),
    /// The row of an owner, a process that wrote entries.
    Owner(u32),
    /// A word of the dictionary.
    Name(u32),
    /// The row of a task: its id, name and tags, what it is part of, how often it was tried and how
    /// that ended.
    Task(u32),
    /// The balance of an account in a slot of its window.
    Balance(u32, Millis),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(first, last) if first == last => write!(f, "entry {first}"),
            Self::Entries(first, last) => write!(f, "entries {first} to {last}"),
            Self::Owner(no) => write!(f, "owner {no}"),
            Self::Name(no) => write!(f, "name {no}"),
            Self::Task(no) => write!(f, "task {no}"),
            Self::Balance(account, slot) => write!(f, "balance of account {account} at {slot}"),
        }
    }
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong there, in a few words.
    pub what: String,
}

/// What an audit found. `Display` is one line, or one for each problem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// How many entries were read.
    pub entries: u64,
    /// How many of them lie before the checkpoint; nothing without one.
    pub checkpoint_entries: Option<u64>,
    /// How many processes wrote them.
    pub owners: u64,
    /// Words that were forgotten, as an entry says.
    pub erased: u64,
    /// What is wrong, the first bad entry first; at most twenty.
    pub problems: Vec<Problem>,
    /// How many more problems there are.
    pub more_problems: u64,
}

impl Audit {
    /// Is everything as it was written?
    pub const fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_sound() {
            write!(f, "{} entries of {} owners are as they were written", self.entries, self.owners)?;
            if let Some(entries) = self.checkpoint_entries {
                write!(f, ", {entries} of them as the checkpoint says")?;
            }
            return if self.erased > 0 { write!(f, "; {} names are erased", self.erased) } else { Ok(()) };
        }
        let lines: Vec<String> =
            self.problems.iter().map(|problem| format!("{}: {}", problem.place, problem.what)).collect();
        f.write_str(&lines.join("\n"))?;
        if self.more_problems > 0 { write!(f, "\nand {} more", self.more_problems) } else { Ok(()) }
    }
}

impl Ledger {
    /// Computes every chain and every balance again from the entries, and holds what lies before a
    /// checkpoint against it.
    ///
    /// # Errors
    ///
    /// * `Conflict`: the checkpoint is of another ledger.
    /// * `Unsupported`: a ledger in memory, which has no chain.
    /// * `StoreUnavailable`: the ledger could not answer.
    pub fn audit(&self, against: Option<&Checkpoint>) -> Result<Audit> {
        let body = against.map(Checkpoint::body);
        if body.is_some_and(|body| body.ledger != self.fingerprint()) {
            return Err(Error::conflict("the checkpoint is of another ledger"));
        }
        let per_mark = body.map_or(u64::MAX, |body| body.entries_per_mark);
        self.read(|tx| read(tx, per_mark, body)).map(|(audit, _)| audit)
    }

    /// What the ledger is now, to be kept elsewhere: signed by an Ed25519 key in PEM, as
    /// `outlay audit keygen` or `openssl genpkey -algorithm ed25519` makes it.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: no such key.
    /// * `Corrupt`: the ledger is not as it was written; see [`audit`](Self::audit).
    /// * `Unsupported`, `StoreUnavailable`: as [`audit`](Self::audit).
    pub fn checkpoint(&self, key_pem: &str) -> Result<Checkpoint> {
        let key = SecretKey::from_pem(key_pem)?;
        let (now, ledger) = (self.now(), self.fingerprint());
        let body = self.read(|tx| {
            let per_mark = Marks::entries_per_mark(tx.last_line()?);
            let (audit, (owners, marks)) = read(tx, per_mark, None)?;
            match audit.problems.first() {
                None => Ok(Body::new(ledger, now, audit.entries, per_mark, &owners, marks)),
                Some(first) => {
                    let message = format!("the ledger is not sound, {}: {}", first.place, first.what);
                    Err(Error::new(ErrorKind::Corrupt, message))
                }
            }
        })?;
        Ok(Checkpoint::sign(body, &key))
    }

    /// Tells this ledger from others.
    pub(super) fn fingerprint(&self) -> String {
        format!("{:016x}", self.keyed_hash(&[b"checkpoint"]))
    }
}

type Heads = BTreeMap<u32, Head>;

fn read(tx: &mut dyn Tx, per_mark: u64, body: Option<&Body>) -> Result<(Audit, (Heads, Vec<Mark>))> {
    let (bad, read) = judged(tx, Lines::new(per_mark, body))?;
    let entries_are_bad = !bad.is_empty();
    let mut found: Vec<Problem> =
        bad.into_iter().map(|bad| problem(Place::Entries(bad.span.0, bad.span.1), bad.what)).collect();
    for (no, kept) in tx.heads()? {
        let computed = read.heads.get(&no).copied().unwrap_or_default();
        if kept != computed && !entries_are_bad {
            found.push(problem(Place::Owner(no), "not where its entries end"));
        }
    }
    let erased = words(tx, &read.proofs, &read.forgotten, &mut found)?;
    // Where entries are bad, what they say and sum up to says nothing about the rows.
    if !entries_are_bad {
        tasks(tx, read.tasks, &mut found)?;
        for row in read.sums.differing(tx)? {
            let sum = [row.sum.settled, row.sum.pending, row.sum.in_doubt];
            let [settled, pending, in_doubt] = sum.map(|amounts| amounts.usd().decimal());
            let is = if row.kept { "not the sum of its entries" } else { "gone; the sum of its entries" };
            let what = format!("{is}: {settled} USD settled, {pending} pending, {in_doubt} in doubt");
            found.push(problem(Place::Balance(row.account, row.slot), what));
        }
    }
    found.sort_by_key(|problem| problem.place);
    let more_problems = found.len().saturating_sub(LISTED_MAX) as u64;
    found.truncate(LISTED_MAX);
    let audit = Audit {
        entries: read.entries,
        checkpoint_entries: body.map(|body| body.entries),
        owners: read.heads.len() as u64,
        erased,
        problems: found,
        more_problems,
    };
    Ok((audit, (read.heads, read.marks)))
}

/// Lines are read on this thread and judged on another, if one can be started: each takes about as long.
fn judged(tx: &mut dyn Tx, mut lines: Lines<'_>) -> Result<(Vec<Bad>, Read)> {
    let judging = &mut lines;
    let is_judged = thread::scope(|scope| {
        let (send, received) = sync_channel::<Vec<Line>>(BATCHES_MAX);
        let judge = thread::Builder::new().spawn_scoped(scope, move || {
            received.into_iter().flatten().for_each(|line| judging.add(line));
        });
        let Ok(judge) = judge else { return Ok(false) };
        let mut batch = Vec::new();
        tx.lines(&mut |line| {
            batch.push(line);
            batch.len() < BATCH_LINES || send.send(std::mem::take(&mut batch)).is_ok()
        })?;
        let is_heard = send.send(batch).is_ok();
        drop(send);
        let judged = judge.join().is_ok() && is_heard;
        judged.then_some(true).ok_or_else(|| Error::store("the thread that judges the entries has ended"))
    })?;
    if !is_judged {
        tx.lines(&mut |line| {
            lines.add(line);
            true
        })?;
    }
    Ok(lines.finish())
}

fn problem(place: Place, what: impl Into<String>) -> Problem {
    Problem { place, what: what.into() }
}

/// Holds every task against what entries say of it.
fn tasks(tx: &mut dyn Tx, mut said: FxHashMap<u32, Said>, found: &mut Vec<Problem>) -> Result<()> {
    tx.every_task(&mut |row| {
        let is = Said { hash: chain::task_hash(&row), attempts: row.attempts, outcome: row.outcome };
        let what = match said.remove(&row.no) {
            None => "opened by no entry",
            Some(said) if said != is => "not what its entries say",
            Some(_) => return,
        };
        found.push(problem(Place::Task(row.no), what));
    })?;
    found.extend(said.into_keys().map(|no| problem(Place::Task(no), "missing")));
    Ok(())
}

/// Holds the dictionary against the proofs that entries carry; returns how many words are erased.
fn words(
    tx: &mut dyn Tx,
    proofs: &FxHashMap<u32, Proof>,
    forgotten: &FxHashSet<u32>,
    found: &mut Vec<Problem>,
) -> Result<u64> {
    let (mut erased, mut seen) = (0, 0);
    tx.words(&mut |word| {
        let proof = proofs.get(&word.no);
        seen += usize::from(proof.is_some());
        let what = match (proof, word.value, word.salt) {
            (None, ..) => "proved by no entry",
            (Some(_), None, None) if forgotten.contains(&word.no) => {
                erased += 1;
                return;
            }
            (Some(_), None, None) => "erased, and no entry says so",
            (Some(proof), Some(value), Some(salt)) if chain::proof(&salt, &word.key, &value) == *proof => {
                return;
            }
            (Some(_), ..) => "not the word its entry proves",
        };
        found.push(problem(Place::Name(word.no), what));
    })?;
    if seen < proofs.len() {
        let mut missing: FxHashSet<u32> = proofs.keys().copied().collect();
        tx.words(&mut |word| {
            missing.remove(&word.no);
        })?;
        let gone = missing.into_iter().map(|no| problem(Place::Name(no), "missing"));
        found.extend(gone);
    }
    Ok(erased)
}
