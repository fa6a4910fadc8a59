//! Which line of the ledger is not as it was written? One pass over all of them.
//!
//! A chain alone tells which commit was changed; the marks of a checkpoint tell which entry.

use std::{cmp::Ordering, collections::BTreeMap};

use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest as _, Sha256};

use super::checkpoint::{Body, Mark, Marks};
use crate::ledger::{
    Entry, Kind,
    chain::{Link, Proof},
    check::Sums,
    store::{Head, Line},
};

/// From the first to the last entry.
pub(super) type Span = (u64, u64);

/// No honest commit comes near it.
const COMMIT_BYTES_MAX: usize = 256 << 20;
/// Problems that are kept while reading.
const KEPT_MAX: usize = 1_000;

/// What is wrong with some entries.
#[derive(Debug)]
pub(super) struct Bad {
    pub span: Span,
    pub what: String,
    missing: bool,
}

/// The entries since the last link.
#[derive(Debug, Default)]
struct Commit {
    owner: u32,
    first: u64,
    entries: u64,
    bytes: Vec<u8>,
}

/// What entries say of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Of what never changes, as [`task_hash`](crate::ledger::chain::task_hash) has it.
    pub hash: i64,
    pub attempts: u32,
    pub outcome: u32,
}

/// What was read, if nothing is wrong.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub entries: u64,
    pub heads: BTreeMap<u32, Head>,
    pub marks: Vec<Mark>,
    pub sums: Sums,
    pub proofs: FxHashMap<u32, Proof>,
    pub forgotten: FxHashSet<u32>,
    pub tasks: FxHashMap<u32, Said>,
}

pub(super) struct Lines<'a> {
    against: Option<&'a Body>,
    read: Read,
    marks: Marks,
    commit: Commit,
    scratch: Vec<u8>,
    problems: Vec<Bad>,
    /// Marks that are not the checkpoint's.
    unmarked: Vec<Span>,
}

impl<'a> Lines<'a> {
    pub fn new(per_mark: u64, against: Option<&'a Body>) -> Self {
        Self {
            against,
            read: Read::default(),
            marks: Marks::new(per_mark),
            commit: Commit::default(),
            scratch: Vec::new(),
            problems: Vec::new(),
            unmarked: Vec::new(),
        }
    }

    pub fn add(&mut self, line: Line) {
        let next = self.read.entries + 1;
        match line.seq.cmp(&next) {
            Ordering::Equal => {}
            Ordering::Greater => self.missing(next, line.seq - 1),
            Ordering::Less => return self.bad((line.seq, line.seq), "no entry has such a number"),
        }
        self.read.entries = line.seq;
        let Some(entry) = line.entry else {
            self.bad((line.seq, line.seq), "not readable as an entry");
            self.commit.bytes.clear();
            self.commit.entries = 0;
            self.mark(line.seq, None, line.link);
            return;
        };
        self.scratch.clear();
        entry.write_canonical(&mut self.scratch);
        self.mark(line.seq, Some(&entry), line.link);
        self.chain(&entry, line.seq, line.link);
        if let Err(error) = self.read.sums.add(&entry) {
            self.bad((line.seq, line.seq), &error.to_string());
        }
        self.read.proofs.extend(entry.proofs.iter().copied());
        self.keep(&entry);
    }

    fn keep(&mut self, entry: &Entry) {
        let Read { tasks, forgotten, .. } = &mut self.read;
        match entry.kind {
            Kind::TaskOpened => tasks.entry(entry.task).or_default().hash = entry.request_hash,
            Kind::AttemptStarted => {
                let said = tasks.entry(entry.task).or_default();
                (said.attempts, said.outcome) = (entry.attempt, 0);
            }
            Kind::AttemptEnded => tasks.entry(entry.task).or_default().outcome = entry.note,
            Kind::Forgotten => _ = forgotten.insert(entry.subject),
            _ => {}
        }
    }

    fn chain(&mut self, entry: &Entry, seq: u64, link: Option<Link>) {
        if self.commit.entries > 0 && self.commit.owner != entry.owner {
            self.bad((self.commit.first, seq - 1), "of a commit without an end");
            self.commit.entries = 0;
        }
        let commit = &mut self.commit;
        if commit.entries == 0 {
            (commit.owner, commit.first) = (entry.owner, seq);
            commit.bytes.clear();
        }
        commit.entries += 1;
        commit.bytes.extend_from_slice(&self.scratch);
        if commit.bytes.len() > COMMIT_BYTES_MAX {
            commit.entries = 0;
            let first = commit.first;
            self.bad((first, seq), "of a commit without an end");
            return;
        }
        let Some(link) = link else { return };
        let head = self.read.heads.entry(entry.owner).or_default();
        let computed: Link = Sha256::new()
            .chain_update(head.link)
            .chain_update(commit.entries.to_be_bytes())
            .chain_update(&commit.bytes)
            .finalize()
            .into();
        // What follows is judged by the link that stands there, so that one change is one problem.
        *head = Head { links: head.links + 1, link };
        let (head, first) = (*head, commit.first);
        commit.entries = 0;
        if computed != link {
            self.bad((first, seq), "not what its link covers");
        } else if self
            .against
            .is_some_and(|body| body.head(entry.owner).is_some_and(|kept| differ(kept, head)))
        {
            self.bad((first, seq), "not of the chain of the checkpoint");
        }
    }

    fn mark(&mut self, seq: u64, entry: Option<&Entry>, link: Option<Link>) {
        if self.against.is_some_and(|body| seq > body.entries) {
            return self.end_mark();
        }
        let bytes = if entry.is_some() { self.scratch.as_slice() } else { &[] };
        if let Some((span, mark)) = self.marks.add(seq, bytes, link) {
            self.judge(span, mark);
        }
    }

    fn end_mark(&mut self) {
        if let Some((span, mark)) = self.marks.end() {
            self.judge(span, mark);
        }
    }

    fn judge(&mut self, span: Span, mark: Mark) {
        match self.against {
            None => self.read.marks.push(mark),
            Some(body) => {
                if body.mark(span.0) != Some(mark) && self.unmarked.len() < KEPT_MAX {
                    self.unmarked.push(span);
                }
            }
        }
    }

    fn missing(&mut self, first: u64, last: u64) {
        self.problem(Bad { span: (first, last), what: "missing".to_owned(), missing: true });
    }

    fn bad(&mut self, span: Span, what: &str) {
        self.problem(Bad { span, what: what.to_owned(), missing: false });
    }

    fn problem(&mut self, bad: Bad) {
        if self.problems.len() < KEPT_MAX {
            self.problems.push(bad);
        }
    }

    pub fn finish(mut self) -> (Vec<Bad>, Read) {
        self.end_mark();
        if self.commit.entries > 0 {
            self.bad((self.commit.first, self.read.entries), "of a commit without an end");
        }
        let marked = self.against.map_or(0, |body| body.entries);
        if self.read.entries < marked {
            self.missing(self.read.entries + 1, marked);
        }
        (narrowed(self.problems, &self.unmarked, marked), self.read)
    }
}

fn differ(kept: Head, head: Head) -> bool {
    kept.links == head.links && kept.link != head.link
}

/// Up to the last of the `marked` entries only marks tell which is bad: an entry whose mark fits
/// is as it was, whatever became of those it is chained to.
fn narrowed(problems: Vec<Bad>, unmarked: &[Span], marked: u64) -> Vec<Bad> {
    let mut told = vec![false; unmarked.len()];
    let mut all = Vec::with_capacity(problems.len());
    for Bad { span: (first, last), what, missing } in problems {
        let from = unmarked.partition_point(|mark| mark.1 < first);
        let overlaps = unmarked.iter().zip(&mut told).skip(from).take_while(|(mark, _)| mark.0 <= last);
        let mut narrow = None;
        for (mark, told) in overlaps {
            narrow.get_or_insert((first.max(mark.0), last.min(mark.1)));
            *told = true;
        }
        let beyond = (last > marked).then_some((first.max(marked + 1), last));
        let span = if missing { Some((first, last)) } else { narrow.or(beyond) };
        all.extend(span.map(|span| Bad { span, what, missing }));
    }
    let what = || "not the one of the checkpoint".to_owned();
    let untold = unmarked.iter().zip(told).filter(|(_, told)| !told);
    all.extend(untold.map(|(span, _)| Bad { span: *span, what: what(), missing: false }));
    all
}
