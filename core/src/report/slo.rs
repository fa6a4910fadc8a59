//! Does a run of each kind cost what it may?
//!
//! What it may cost stands in the configuration ([`Slo`](crate::run::Slo)); what it does cost is what
//! [`Ledger::kinds`] and [`Ledger::forecast`] tell.
//!
//! ```
//! use outlay::{Config, Ledger, Request, TaskOptions, Usage, report::SloWhat, run::config::Choices};
//!
//! let choices = Choices::from_toml("[slo.refund]\ntarget = '0.005'\ncap = '0.01'")?;
//! let ledger = Ledger::open("memory:", Config::default().with(&choices)?.into())?;
//! let task = ledger.open_task(TaskOptions::new("refund"))?;
//! let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
//! call.settle(&Usage::tokens(1_000, 500))?; // 0.0075 USD
//! task.succeed("1")?;
//!
//! let rows = ledger.slo(None)?.rows;
//! assert_eq!((rows[0].what, rows[0].is_met()), (SloWhat::Target, Some(false)));
//! assert_eq!(rows[0].over().expect("one succeeded").to_string(), "0.0025 USD");
//! assert_eq!((rows[1].what, rows[1].is_met()), (SloWhat::Cap, Some(true)));
//! # Ok::<(), outlay::Error>(())
//! ```

use std::fmt;

use super::{
    rows::By,
    since::Since,
    text::{Table, count, left_out},
    trend::Projection,
};
use crate::{
    error::Result,
    run::Ledger,
    value::{Millis, Money},
};

/// What is held against an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SloWhat {
    /// What all runs spent for each that succeeded.
    Target,
    /// The cost that 95 of 100 runs do not pass.
    P95,
    /// The dearest run.
    Cap,
    /// What was settled of calls reserved in this month, in UTC.
    Month,
}

impl SloWhat {
    /// The word of the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::P95 => "p95",
            Self::Cap => "cap",
            Self::Month => "month",
        }
    }
}

/// One amount of the configuration, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SloRow {
    /// The kind of run.
    pub kind: String,
    /// What is held against the amount.
    pub what: SloWhat,
    /// How much it may be.
    pub allowed: Money,
    /// How much it is; nothing where it is not known: no run, or of a target none that succeeded.
    pub actual: Option<Money>,
    /// How many runs it is made of; of a month none are counted.
    pub runs: Option<u64>,
    /// What the month will have cost in USD by its end; nothing for the others, and where there is less
    /// than a week of whole days.
    pub month_end: Option<Projection>,
}

impl SloRow {
    /// Is it as it may be? Nothing where that is not known.
    pub fn is_met(&self) -> Option<bool> {
        self.actual.map(|actual| actual <= self.allowed)
    }

    /// How much more it is than it may be; negative where it is less.
    pub fn over(&self) -> Option<Money> {
        let over = self.actual?.nanos().saturating_sub(self.allowed.nanos());
        Some(Money::from_nanos(over))
    }

    /// Will the month be too dear by its end, if it goes on as expected?
    pub fn will_be_over(&self) -> bool {
        self.month_end.is_some_and(|end| end.expected > self.allowed.nanos() as f64 / 1e9)
    }
}

/// Does a run of each kind cost what it may?
#[derive(Clone, Debug, PartialEq)]
pub struct SloReport {
    /// From when on calls are in it; months begin at their own beginning.
    pub since: Option<Millis>,
    /// By kind, in the order of [`SloWhat`].
    pub rows: Vec<SloRow>,
    /// Entries a ledger in memory keeps no longer: calls reserved by them are not in the report.
    pub dropped_entries: u64,
}

impl Ledger {
    /// Holds what runs of each kind cost against what they may cost.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    pub fn slo(&self, since: Option<Since>) -> Result<SloReport> {
        let config = self.config();
        let kinds = self.kinds(since)?;
        let asks_month = config.slos.values().any(|slo| slo.month.is_some());
        let months = if asks_month { self.forecast(Some(By::Kind))?.rows } else { Vec::new() };
        let mut rows = Vec::new();
        for (kind, slo) in &config.slos {
            let row = kinds.rows.iter().find(|row| row.kind.as_ref() == Some(kind));
            let figures = row.map(|row| row.figures);
            let of_runs = [
                (SloWhat::Target, slo.target, figures.and_then(|figures| figures.usd_per_success())),
                (SloWhat::P95, slo.p95, figures.map(|figures| figures.p95)),
                (SloWhat::Cap, slo.cap, figures.map(|figures| figures.max)),
            ];
            for (what, allowed, actual) in of_runs {
                let Some(allowed) = allowed else { continue };
                let runs = Some(figures.map_or(0, |figures| figures.runs));
                rows.push(SloRow { kind: kind.clone(), what, allowed, actual, runs, month_end: None });
            }
            if let Some(allowed) = slo.month {
                let month = months.iter().find(|row| row.key.as_ref() == Some(kind));
                rows.push(SloRow {
                    kind: kind.clone(),
                    what: SloWhat::Month,
                    allowed,
                    actual: Some(month.map_or(Money::ZERO, |row| row.spent)),
                    runs: None,
                    month_end: month.and_then(|row| row.month_end),
                });
            }
        }
        Ok(SloReport { since: kinds.since, rows, dropped_entries: kinds.dropped_entries })
    }
}

impl fmt::Display for SloReport {
    /// A table of plain text, amounts in USD.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings = ["kind", "what", "runs", "may be", "is", "over by", "met", "month's end"];
        let mut table = Table::new(headings).left(2);
        for row in &self.rows {
            let usd = |usd: Option<Money>| usd.map_or_else(|| "-".to_owned(), Money::decimal);
            let met = match row.is_met() {
                Some(true) if row.will_be_over() => "not for long",
                Some(true) => "yes",
                Some(false) => "no",
                None => "-",
            };
            let shown = |end: Projection| format!("{:.2} ({:.2} to {:.2})", end.expected, end.low, end.high);
            table.row([
                row.kind.clone(),
                row.what.name().to_owned(),
                row.runs.map_or_else(|| "-".to_owned(), count),
                row.allowed.decimal(),
                usd(row.actual),
                usd(row.over()),
                met.to_owned(),
                row.month_end.map_or_else(|| "-".to_owned(), shown),
            ]);
        }
        table.fmt(f)?;
        left_out(self.dropped_entries).map_or(Ok(()), |note| write!(f, "\n{note}"))
    }
}
