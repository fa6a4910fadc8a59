//! What does failure cost?
//!
//! A run is an attempt at a task that lies in no other, with all inside it. What a run spent was
//! useful if it succeeded, but for the attempts inside it that bought nothing; the tax is what was
//! lost, over what was useful.
//!
//! ```
//! use outlay::{Attempt, Ledger, Request, TaskOptions, Usage};
//!
//! let ledger = Ledger::in_memory();
//! for end in [Attempt::Failed, Attempt::Succeeded] {
//!     let task = ledger.open_task(TaskOptions::new("refund").id("refund-4711"))?;
//!     let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
//!     call.settle(&Usage::tokens(1_000, 500))?;
//!     task.end(end, None)?;
//! }
//! let tax = ledger.tax(None)?;
//! assert_eq!((tax.totals.first_runs, tax.totals.first_lost), (1, 1));
//! assert_eq!(tax.totals.per_mille(), Some(1_000)); // as much was lost as was useful
//! # Ok::<(), outlay::Error>(())
//! ```

use std::{collections::BTreeMap, fmt};

use rustc_hash::FxHashSet;

use super::{
    attempts::{Attempts, sum},
    attribution::Attribution,
    names::Names,
    since::Since,
    standing::Standing,
    text::{Table, count, left_out},
};
use crate::{
    error::Result,
    ledger::store::{Filter, Tx},
    run::Ledger,
    value::{Millis, Money},
};

/// What some attempts spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunCost {
    /// In USD.
    pub usd: Money,
    /// In tokens, input and output.
    pub tokens: i64,
}

impl RunCost {
    fn add(&mut self, other: &Self) -> Result<()> {
        self.usd = Money::from_nanos(sum(self.usd.nanos(), other.usd.nanos())?);
        self.tokens = sum(self.tokens, other.tokens)?;
        Ok(())
    }
}

/// What failure cost the tasks of one name. Runs without a call are in no count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tax {
    /// First runs of tasks that have ended.
    pub first_runs: u64,
    /// Of them those that failed, were stopped or were lost.
    pub first_lost: u64,
    /// All runs that have ended.
    pub runs: u64,
    /// Of them those that succeeded.
    pub succeeded: u64,
    /// The most runs one task needed so far.
    pub deepest: u32,
    /// What runs that succeeded spent, without what was lost inside them.
    pub useful: RunCost,
    /// What attempts spent that bought nothing.
    pub lost: RunCost,
    /// What runs spent that are open, or of which nobody knows how they ended.
    pub open: RunCost,
}

impl Tax {
    /// How many of the first runs bought nothing, per mille; nothing where none has ended.
    pub fn first_lost_per_mille(&self) -> Option<u64> {
        (self.first_lost * 1_000).checked_div(self.first_runs)
    }

    /// Runs for each that succeeded, per mille: 1,000 where none needs to be repeated.
    pub fn runs_per_success(&self) -> Option<u64> {
        (self.runs * 1_000).checked_div(self.succeeded)
    }

    /// What was lost over what was useful, per mille; nothing where nothing was.
    pub fn per_mille(&self) -> Option<u64> {
        let (lost, useful) = (i128::from(self.lost.usd.nanos()), i128::from(self.useful.usd.nanos()));
        (lost * 1_000).checked_div(useful).and_then(|share| u64::try_from(share).ok())
    }

    fn add(&mut self, other: &Self) -> Result<()> {
        self.first_runs += other.first_runs;
        self.first_lost += other.first_lost;
        self.runs += other.runs;
        self.succeeded += other.succeeded;
        self.deepest = self.deepest.max(other.deepest);
        self.useful.add(&other.useful)?;
        self.lost.add(&other.lost)?;
        self.open.add(&other.open)
    }

    fn run(&mut self, number: u32, standing: Standing) {
        self.deepest = self.deepest.max(number);
        let (has_ended, is_lost) = match standing {
            Standing::Succeeded => (true, false),
            Standing::Failed | Standing::Stopped | Standing::Lost => (true, true),
            Standing::Running | Standing::Unknown => (false, false),
        };
        self.runs += u64::from(has_ended);
        self.succeeded += u64::from(has_ended && !is_lost);
        if number == 1 {
            self.first_runs += u64::from(has_ended);
            self.first_lost += u64::from(is_lost);
        }
    }
}

/// What failure cost the tasks of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxRow {
    /// The name of the tasks that lie in no other.
    pub task: Option<String>,
    /// Their figures.
    pub tax: Tax,
}

/// What failure cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxReport {
    /// From when on calls are in it.
    pub since: Option<Millis>,
    /// By the name of the task; where the most was lost first.
    pub rows: Vec<TaxRow>,
    /// All rows together.
    pub totals: Tax,
    /// Entries a ledger in memory keeps no longer: calls reserved by them are not in the report.
    pub dropped_entries: u64,
}

impl Ledger {
    /// Tells how often runs fail, and what that cost.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    pub fn tax(&self, since: Option<Since>) -> Result<TaxReport> {
        self.read(|tx| {
            let now = tx.now()?;
            let since = since.map(|since| since.at(now));
            let rows = rows(tx, Filter { since, ..Filter::default() })?;
            let mut totals = Tax::default();
            rows.iter().try_for_each(|row| totals.add(&row.tax))?;
            Ok(TaxReport { since, rows, totals, dropped_entries: tx.dropped() })
        })
    }
}

fn rows(tx: &mut dyn Tx, filter: Filter) -> Result<Vec<TaxRow>> {
    let mut names = Names::default();
    let attempts = Attempts::read(tx, &mut names)?;
    let mut fold = Attribution::default();
    fold.read(tx, filter)?;
    let (mut by_name, mut met) = (BTreeMap::<u32, Tax>::new(), FxHashSet::default());
    for (place, figures) in &fold.places {
        let key = (place.task, place.attempt);
        let root = attempts.root(key);
        let standing = attempts.standing(root);
        let tax = by_name.entry(names.name_of_task(tx, root.0)?).or_default();
        if met.insert(root) {
            tax.run(root.1, standing);
        }
        let settled = figures.balance.settled;
        let cost = RunCost { usd: settled.usd(), tokens: settled.0[1] };
        match (attempts.lost(key), standing) {
            (Some(_), _) => tax.lost.add(&cost)?,
            (None, Standing::Succeeded) => tax.useful.add(&cost)?,
            (None, _) => tax.open.add(&cost)?,
        }
    }
    let mut rows = Vec::with_capacity(by_name.len());
    for (name, tax) in by_name {
        rows.push(TaxRow { task: names.text(tx, name)?, tax });
    }
    rows.sort_by(|a, b| b.tax.lost.usd.cmp(&a.tax.lost.usd).then_with(|| a.task.cmp(&b.task)));
    Ok(rows)
}

fn percent(per_mille: Option<u64>) -> String {
    per_mille.map_or_else(|| "-".to_owned(), |share| format!("{}.{} %", share / 10, share % 10))
}

fn times(per_mille: Option<u64>) -> String {
    per_mille.map_or_else(|| "-".to_owned(), |times| format!("{}.{:02}", times / 1_000, times % 1_000 / 10))
}

impl fmt::Display for TaxReport {
    /// A table of plain text, amounts in USD.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = ["task", "runs", "first failed", "runs/success", "deepest"];
        let costs = ["useful", "tokens", "lost", "tokens", "open", "tax"];
        let mut table = Table::new(runs.into_iter().chain(costs)).left(1);
        let total = TaxRow { task: Some("total".to_owned()), tax: self.totals };
        for TaxRow { task, tax } in self.rows.iter().chain([&total]) {
            let tokens = |cost: &RunCost| count(u64::try_from(cost.tokens).unwrap_or(0));
            table.row([
                task.clone().unwrap_or_else(|| "-".to_owned()),
                count(tax.runs),
                percent(tax.first_lost_per_mille()),
                times(tax.runs_per_success()),
                tax.deepest.to_string(),
                tax.useful.usd.decimal(),
                tokens(&tax.useful),
                tax.lost.usd.decimal(),
                tokens(&tax.lost),
                tax.open.usd.decimal(),
                percent(tax.per_mille()),
            ]);
        }
        table.fmt(f)?;
        left_out(self.dropped_entries).map_or(Ok(()), |note| write!(f, "\n{note}"))
    }
}
