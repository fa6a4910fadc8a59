//! What did this task spend, and which part of it bought nothing?
//!
//! Tasks inside a task count as part of the attempt they ran in. A cent that bought nothing is of
//! one kind only: in doubt, or else of a failed, stopped or lost attempt, or else estimated.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use rustc_hash::FxHashMap;

use super::{
    attribution::{Attribution, Figures, Place, Tokens},
    names::Names,
    rows::{By, Row, grouped},
    standing::Standing,
    text::{Table, count, shown},
};
use crate::{
    error::{Error, ErrorKind, Result},
    ledger::{
        Kind, held,
        store::{Filter, TaskRow, Tx, Which, present},
    },
    policy::{Balance, Unit, Window},
    run::{Ledger, Task},
    value::{Id, Money},
};

/// One attempt in a summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptLine {
    /// Its number, from 1.
    pub number: u32,
    /// How it stands.
    pub standing: Standing,
    /// What was said of its end.
    pub reason: Option<String>,
    /// What became of its calls, those of tasks inside it too.
    pub figures: Figures,
}

/// Spending that bought nothing, or of which nobody knows whether it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// `failed attempts`, `stopped attempts`, `lost attempts`, `calls in doubt` or `estimated`
    /// (streams that ended before the provider said what they used).
    pub what: &'static str,
    /// How much of it.
    pub usd: Money,
    /// How many calls of a model.
    pub calls: u64,
}

/// What a task spent, over all attempts and everything inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The task's name.
    pub name: String,
    /// Its id in the ledger.
    pub id: Id,
    /// The id the caller gave it.
    pub caller_id: Option<String>,
    /// How its latest attempt stands.
    pub standing: Standing,
    /// Its attempts, the first one first.
    pub attempts: Vec<AttemptLine>,
    /// The models its calls asked for, the largest spender first.
    pub by_model: Vec<Row>,
    /// All its calls together.
    pub figures: Figures,
    /// What it used, holds and cannot tell: the balance its limits are held against.
    pub balance: Balance,
    /// What is left for a call: the least over every hard limit on money; nothing without any.
    pub available: Option<Money>,
    /// Of what is pending: put by for last calls.
    pub kept: Money,
    /// Which part bought nothing, by kind; no cent is in two kinds.
    pub bought_nothing: Vec<Loss>,
    /// Entries a ledger in memory keeps no longer: their calls are in `balance` only.
    pub dropped_entries: u64,
    /// Calls of this process, under whatever task, that went through while the ledger could not
    /// answer, as `on_unavailable="allow"` says: they are in no figure here.
    pub unrecorded_calls: u64,
}

impl Summary {
    /// Settled and in doubt.
    pub fn spent(&self) -> Money {
        Money::from_nanos(self.balance.spent(Unit::Usd))
    }
}

impl Task {
    /// What it spent, by attempt and model, and which part bought nothing.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    ///
    /// ```
    /// use outlay::{Attempt, Ledger, Limit, Request, TaskOptions, Usage};
    ///
    /// let ledger = Ledger::in_memory();
    /// let task = ledger.open_task(TaskOptions::new("refund").id("refund-4711"))?;
    /// let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(4_000))?;
    /// call.settle(&Usage::tokens(1_000, 500))?;
    /// task.end(Attempt::Failed, Some("no JSON"))?;
    ///
    /// let summary = task.summary()?;
    /// assert_eq!(summary.spent().to_string(), "0.0075 USD");
    /// assert_eq!(summary.attempts[0].reason.as_deref(), Some("no JSON"));
    /// assert_eq!(summary.bought_nothing[0].what, "failed attempts");
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn summary(&self) -> Result<Summary> {
        self.ledger().summary(&self.id())
    }
}

impl Ledger {
    /// What the task with this id spent; see [`Task::summary`].
    ///
    /// # Errors
    ///
    /// * `NotFound`: no such task.
    /// * `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    pub fn summary(&self, task: &Id) -> Result<Summary> {
        let missing = || Error::new(ErrorKind::NotFound, format!("task `{task}` is not in the ledger"));
        let (no, mut summary) = self.read(|tx| {
            let no = tx.task_by_id(task)?.ok_or_else(missing)?;
            Ok((no, summarised(tx, no)?))
        })?;
        // Apart from the rest, since it may open a budget for a new value of its tag.
        let left = self.act(move |tx| {
            let balances = held::balances(tx, no)?;
            let left =
                balances.iter().filter_map(|(account, balance)| account.view(*balance).available(Unit::Usd));
            Ok(left.min())
        })?;
        summary.unrecorded_calls = self.unrecorded_calls();
        summary.available = left.map(|nanos| Money::from_nanos(nanos.max(0)));
        Ok(summary)
    }
}

/// One attempt as its entries tell it.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// The attempt at the task above that it is part of.
    above: u32,
    /// Dictionary ids of how it ended and why.
    outcome: u32,
    reason: u32,
}

/// A task, everything inside it, and what the entries say of them.
#[derive(Debug, Default)]
struct Family {
    root: u32,
    rows: FxHashMap<u32, TaskRow>,
    attempts: BTreeMap<(u32, u32), Told>,
    fold: Attribution,
}

impl Family {
    fn read(tx: &mut dyn Tx, root: u32) -> Result<Self> {
        let mut family = Self { root, ..Self::default() };
        let mut waiting = VecDeque::from([present(tx.task(root)?, "task", root)?]);
        while let Some(row) = waiting.pop_front() {
            waiting.extend(tx.tasks(Which::Under(row.no), usize::MAX)?);
            let mut failure = None;
            tx.entries(Filter { task: Some(row.no), ..Filter::default() }, &mut |entry| {
                let told = family.attempts.entry((entry.task, entry.attempt));
                match entry.kind {
                    Kind::AttemptStarted => told.or_default().above = entry.subject,
                    Kind::AttemptEnded => {
                        let told = told.or_default();
                        (told.outcome, told.reason) = (entry.note, entry.subject);
                    }
                    _ => failure = family.fold.add(&entry).err(),
                }
                failure.is_none()
            })?;
            failure.map_or(Ok(()), Err)?;
            family.rows.insert(row.no, row);
        }
        Ok(family)
    }

    fn standing(&self, tx: &mut dyn Tx, names: &mut Names, (task, attempt): (u32, u32)) -> Result<Standing> {
        let row = self.rows.get(&task);
        let latest = row.filter(|row| row.attempts == attempt);
        let told = self.attempts.get(&(task, attempt)).map_or(0, |told| told.outcome);
        let outcome = if told == 0 { latest.map_or(0, |row| row.outcome) } else { told };
        if outcome == 0 && latest.is_some_and(|row| row.owner != 0) {
            return Ok(Standing::Running);
        }
        Ok(Standing::of(Some(names.text(tx, outcome)?.as_deref().unwrap_or_default())))
    }

    /// The attempts a place is part of, from its own up to one of the root.
    fn chain(&self, place: &Place) -> Vec<(u32, u32)> {
        let mut chain = vec![(place.task, place.attempt)];
        while let Some((task, attempt)) = chain.last().copied().filter(|(task, _)| *task != self.root) {
            let Some(row) = self.rows.get(&task) else { break };
            chain.push((row.parent, self.attempts.get(&(task, attempt)).map_or(0, |told| told.above)));
        }
        chain
    }
}

fn summarised(tx: &mut dyn Tx, no: u32) -> Result<Summary> {
    let family = Family::read(tx, no)?;
    let row = present(family.rows.get(&no).cloned(), "task", no)?;
    let mut names = Names::default();
    let mut losses = Losses::default();
    let mut lines: BTreeMap<u32, Figures> =
        (1..=row.attempts).map(|number| (number, <_>::default())).collect();
    for (place, figures) in &family.fold.places {
        let chain = family.chain(place);
        let (_, number) = chain.last().copied().unwrap_or_default();
        lines.entry(number).or_default().add(figures)?;
        let mut bad = None;
        for attempt in chain {
            let standing = family.standing(tx, &mut names, attempt)?;
            bad = bad.or(Some(standing).filter(|standing| standing.bought_nothing()));
        }
        losses.add(figures, bad);
    }
    let mut attempts = Vec::with_capacity(lines.len());
    for (number, figures) in lines {
        let told = family.attempts.get(&(no, number)).copied().unwrap_or_default();
        let standing = family.standing(tx, &mut names, (no, number))?;
        let reason = names.text(tx, told.reason)?;
        attempts.push(AttemptLine { number, standing, reason, figures });
    }
    let (by_model, figures) = grouped(tx, &family.fold.places, &By::Model)?;
    let accounts = tx.accounts_of_task(no)?;
    let life = accounts.iter().find(|account| account.window == Window::Life);
    let balance = life.map_or(Ok(Balance::default()), |account| tx.balance(account.no, 0))?;
    Ok(Summary {
        name: names.text(tx, row.name)?.unwrap_or_default(),
        id: present(row.id, "the id of task", no)?,
        caller_id: names.text(tx, row.caller)?,
        standing: family.standing(tx, &mut names, (no, row.attempts))?,
        attempts,
        by_model,
        figures,
        balance,
        available: None,
        kept: family.fold.kept()?,
        bought_nothing: losses.listed(),
        dropped_entries: tx.dropped(),
        unrecorded_calls: 0,
    })
}

/// Nano-USD and calls of each kind.
#[derive(Debug, Default)]
struct Losses([(i64, u64); 5]);

impl Losses {
    const KINDS: [&str; 5] =
        ["failed attempts", "stopped attempts", "lost attempts", "calls in doubt", "estimated"];

    fn add(&mut self, figures: &Figures, bad: Option<Standing>) {
        let calls = |calls: i64| u64::try_from(calls).unwrap_or(0);
        let Balance { settled, in_doubt, .. } = figures.balance;
        let (kind, usd, settled_calls) = match bad {
            Some(Standing::Failed) => (0, settled.0[0], calls(settled.0[2])),
            Some(Standing::Stopped) => (1, settled.0[0], calls(settled.0[2])),
            Some(_) => (2, settled.0[0], calls(settled.0[2])),
            None => (4, figures.broken.nanos(), figures.broken_calls),
        };
        for (kind, usd, calls) in [(kind, usd, settled_calls), (3, in_doubt.0[0], calls(in_doubt.0[2]))] {
            let (sum, counted) = &mut self.0[kind];
            *sum = sum.saturating_add(usd);
            *counted += calls;
        }
    }

    fn listed(&self) -> Vec<Loss> {
        let kinds = Self::KINDS.into_iter().zip(self.0);
        let loss = |(what, (usd, calls))| Loss { what, usd: Money::from_nanos(usd), calls };
        kinds.filter(|(_, amounts)| *amounts != (0, 0)).map(loss).collect()
    }
}

impl fmt::Display for Summary {
    /// A few lines of plain text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.caller_id.clone().unwrap_or_else(|| self.id.to_string());
        let (name, standing) = (shown(&self.name), self.standing.name());
        writeln!(f, "task {name} ({}): {standing}", shown(&id))?;
        write!(f, "{} spent, {} pending", self.spent(), self.balance.pending.usd())?;
        if self.kept != Money::ZERO {
            write!(f, " ({} of it kept for the last call)", self.kept)?;
        }
        write!(f, ", {} in doubt", self.balance.in_doubt.usd())?;
        if let Some(available) = self.available {
            write!(f, ", {available} available")?;
        }
        let mut table = Table::new(["attempt", "state", "reason", "calls", "tool calls", "spent"]).left(3);
        for line in &self.attempts {
            let (number, reason) = (line.number.to_string(), line.reason.clone().unwrap_or_default());
            let calls = [count(line.figures.calls()), count(line.figures.tool_calls())];
            let spent = line.figures.spent().decimal();
            let words = [number, line.standing.name().to_owned(), reason];
            table.row(words.into_iter().chain(calls).chain([spent]));
        }
        write!(f, "\n\n{table}")?;
        if !self.by_model.is_empty() {
            let headings = ["model", "calls", "input", "cached", "output", "reasoning", "spent"];
            let mut table = Table::new(headings).left(1);
            for row in self.by_model.iter().filter(|row| row.key.is_some()) {
                let Tokens { input, cache_read, output, reasoning, .. } = row.figures.tokens;
                let tokens = [input, cache_read, output, reasoning];
                let counts = [row.figures.calls()].into_iter().chain(tokens).map(count);
                let spent = row.figures.spent().decimal();
                table.row([row.label()].into_iter().chain(counts).chain([spent]));
            }
            write!(f, "\n\n{table}")?;
        }
        if !self.bought_nothing.is_empty() {
            let mut table = Table::new(["bought nothing", "calls", "spent"]).left(1);
            for Loss { what, usd, calls } in &self.bought_nothing {
                table.row([(*what).to_owned(), count(*calls), usd.decimal()]);
            }
            write!(f, "\n\n{table}")?;
        }
        for note in self.figures.notes(self.dropped_entries) {
            write!(f, "\n{note}")?;
        }
        match self.unrecorded_calls {
            0 => Ok(()),
            1 => write!(f, "\n1 call of this process went through while the ledger could not answer"),
            calls => {
                write!(f, "\n{calls} calls of this process went through while the ledger could not answer")
            }
        }
    }
}
