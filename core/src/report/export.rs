//! How does another program get it? The ledger as files, a period at a time.
//!
//! Entries are never edited and time never goes back, so a period that is over gives the same
//! bytes however often it is exported: whoever loads it replaces that period. What is known later
//! of an earlier call stands in the later period, as a difference. Entries are read in pages, each
//! in a transaction of its own; kept in memory are calls that may still change, nothing else.
//!
//! [`Focus`](ExportFormat::Focus) is a row for each unit that was charged, in the columns of FOCUS
//! 1.2, the FinOps Open Cost and Usage Specification; the others are the entries themselves.
//! `docs/exports.md` has every column.
//!
//! ```
//! use outlay::{Ledger, Limit, Request, Usage, report::{ExportFormat, ExportOptions}};
//!
//! let ledger = Ledger::in_memory();
//! let task = ledger.task("refund", [Limit::usd("0.50")?])?;
//! let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
//! call.settle(&Usage::tokens(1_000, 500))?;
//!
//! let mut csv = String::new();
//! let focus = ExportOptions::new(ExportFormat::Focus);
//! let exported = ledger.export(&focus, &mut |text| {
//!     csv.push_str(text);
//!     true
//! })?;
//! assert_eq!((exported.rows, exported.settled.to_string()), (2, "0.0075 USD".to_owned()));
//! assert_eq!(csv.lines().count(), 3);
//! # Ok::<(), outlay::Error>(())
//! ```

mod charges;
mod entries;
mod focus;

use std::{fmt, str::FromStr};

use super::{names::Names, since::Since};
use crate::{
    error::{Error, Result},
    ledger::{
        Entry,
        store::{Filter, Tx},
    },
    run::Ledger,
    value::{Millis, Money},
};

/// Entries that are read in one transaction.
const PAGE: usize = 1_024;

/// What the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// CSV in the columns of FOCUS 1.2: a row for each unit that was charged.
    Focus,
    /// CSV: a row for each entry.
    Csv,
    /// JSON: an entry a line.
    Jsonl,
}

impl ExportFormat {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Focus => "focus",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

impl FromStr for ExportFormat {
    type Err = Error;

    /// # Errors
    ///
    /// `InvalidInput`: none of them.
    fn from_str(text: &str) -> Result<Self> {
        let found = [Self::Focus, Self::Csv, Self::Jsonl].into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| Error::invalid(format!("`{text}` is none of `focus`, `csv`, `jsonl`")))
    }
}

/// What is exported.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// What the file is.
    pub format: ExportFormat,
    /// Only what was written from then on.
    pub since: Option<Since>,
    /// Only what was written before then.
    pub until: Option<Since>,
    /// Who pays, as their provider calls the account; else the ledger stands for it.
    pub account: Option<String>,
}

impl ExportOptions {
    /// All of the ledger.
    pub const fn new(format: ExportFormat) -> Self {
        Self { format, since: None, until: None, account: None }
    }
}

/// What stands in an export, and what does not. `Display` is some lines of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Rows or lines, without the heading.
    pub rows: u64,
    /// What was settled in the period: the sum of its rows.
    pub settled: Money,
    /// Calls settled in the period without a known price: their cost is unknown, and in no row of FOCUS.
    pub unpriced_calls: u64,
    /// Older entries that a ledger in memory keeps no longer.
    pub dropped_entries: u64,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, {} settled", self.rows, self.settled)?;
        for (count, what) in [
            (self.unpriced_calls, "calls have no known price: their cost is in no sum"),
            (self.dropped_entries, "older entries are kept no longer"),
        ] {
            if count > 0 {
                write!(f, "\n{count} {what}")?;
            }
        }
        Ok(())
    }
}

/// What makes rows of entries.
trait Rows {
    /// The first line.
    fn heading(&self) -> String;
    /// Adds what one entry says: rows to `out` if it is `within` the period.
    fn add(&mut self, tx: &mut dyn Tx, line: &Line, names: &mut Names, out: &mut Page) -> Result<()>;
}

/// An entry and its number.
struct Line {
    seq: u64,
    entry: Entry,
    within: bool,
}

/// The text of some entries, and what it adds up to.
#[derive(Default)]
struct Page {
    text: String,
    exported: Exported,
}

impl Page {
    fn settle(&mut self, nanos: i64) -> Result<()> {
        let sum = self.exported.settled.checked_add(Money::from_nanos(nanos));
        self.exported.settled = sum.ok_or_else(|| Error::corrupt("the amounts do not add up to 64 bits"))?;
        Ok(())
    }
}

impl Ledger {
    /// Hands out the ledger, or a period of it, as text, some rows at a time, until `write` returns
    /// false.
    ///
    /// # Errors
    ///
    /// * `Corrupt`: an entry cannot be read, or amounts do not add up.
    /// * `StoreUnavailable`: the ledger could not answer.
    pub fn export(&self, options: &ExportOptions, write: &mut dyn FnMut(&str) -> bool) -> Result<Exported> {
        let account = || options.account.clone().unwrap_or_else(|| format!("outlay:{}", self.fingerprint()));
        let mut rows: Box<dyn Rows> = match options.format {
            ExportFormat::Focus => Box::new(focus::Focus::new(account())),
            ExportFormat::Csv => Box::new(entries::Sheet),
            ExportFormat::Jsonl => Box::new(entries::Objects),
        };
        let now = self.now();
        let [since, until] = [options.since, options.until].map(|time| time.map(|time| time.at(now)));
        let mut reading = Reading { since, until, next: 1, names: Names::default() };
        let mut page = Page { text: rows.heading(), ..Page::default() };
        loop {
            if !page.text.is_empty() && !write(&page.text) {
                return Ok(page.exported);
            }
            page.text.clear();
            if !self.read(|tx| reading.page(tx, &mut *rows, &mut page))? {
                if !page.text.is_empty() {
                    write(&page.text);
                }
                return Ok(page.exported);
            }
        }
    }
}

struct Reading {
    since: Option<Millis>,
    until: Option<Millis>,
    /// The number of the next entry.
    next: u64,
    names: Names,
}

impl Reading {
    /// Reads the next entries; says whether there may be more.
    fn page(&mut self, tx: &mut dyn Tx, rows: &mut dyn Rows, page: &mut Page) -> Result<bool> {
        let dropped = tx.dropped();
        page.exported.dropped_entries = dropped;
        self.next = self.next.max(dropped + 1);
        let filter = Filter { from: Some(self.next), ..Filter::default() };
        let mut found = Vec::with_capacity(PAGE);
        tx.entries(filter, &mut |entry| {
            found.push(entry);
            found.len() < PAGE
        })?;
        let more = found.len() == PAGE;
        self.names.forget_many();
        for entry in found {
            if self.until.is_some_and(|until| entry.at_ms >= until) {
                return Ok(false);
            }
            let within = self.since.is_none_or(|since| entry.at_ms >= since);
            rows.add(tx, &Line { seq: self.next, entry, within }, &mut self.names, page)?;
            self.next += 1;
        }
        Ok(more)
    }
}
