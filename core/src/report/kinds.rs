//! What does a run of each kind cost, how often does it succeed, and with which model?
//!
//! A run is an attempt at a task in no other, with everything inside it; its kind is that of
//! [`By::Kind`](super::By::Kind). Its whole cost stands in one row of each table: a run that asked
//! several models stands under the one it spent the most on.
//!
//! ```
//! use outlay::{Attempt, Ledger, Request, TaskOptions, Usage};
//!
//! let ledger = Ledger::in_memory();
//! for end in [Attempt::Failed, Attempt::Succeeded] {
//!     let task = ledger.open_task(TaskOptions::new("refund").id("refund-4711"))?;
//!     let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
//!     call.settle(&Usage::tokens(1_000, 500))?; // 0.0075 USD
//!     task.end(end, None)?;
//! }
//! let refund = &ledger.kinds(None)?.rows[0].figures;
//! assert_eq!((refund.runs, refund.succeeded), (2, 1));
//! assert_eq!(refund.usd_per_success().expect("one did").to_string(), "0.015 USD");
//! # Ok::<(), outlay::Error>(())
//! ```

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use super::{
    attempts::{Attempts, sum},
    attribution::Attribution,
    names::Names,
    plan::wilson,
    runs::{Run, quantile, runs},
    since::Since,
    standing::Standing,
    text::{Table, count, left_out},
};
use crate::{
    error::Result,
    ledger::store::{Filter, Tx},
    run::{Ledger, Rates},
    value::{Millis, Money},
};

/// What some runs cost, and how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunFigures {
    /// All runs that made a call.
    pub runs: u64,
    /// Of them those that succeeded.
    pub succeeded: u64,
    /// Of them those that failed, were stopped or were lost. The rest are open, or nobody knows how they
    /// ended.
    pub lost: u64,
    /// Of them those that spent on several models.
    pub mixed: u64,
    /// What all of them spent: settled and in doubt.
    pub spent: Money,
    /// Half of them cost no more. All quantiles are costs of runs that were made (nearest rank).
    pub p50: Money,
    /// 95 of 100 cost no more.
    pub p95: Money,
    /// 99 of 100 cost no more.
    pub p99: Money,
    /// The dearest.
    pub max: Money,
    /// How long those took that have ended, each from its beginning to its end, with all that it waited for.
    pub runtime_ms: Millis,
    /// How many entries the ledger has about their calls.
    pub entries: u64,
}

impl RunFigures {
    /// Where fewer runs have ended, a rate of success says little.
    pub const FEW: u64 = 20;

    fn of(runs: &[&Run]) -> Result<Self> {
        let mut costs: Vec<Money> = runs.iter().map(|run| run.spent).collect();
        costs.sort_unstable();
        let number = |is: fn(&Run) -> bool| runs.iter().filter(|run| is(run)).count() as u64;
        let spent = costs.iter().try_fold(0, |total, usd| sum(total, usd.nanos()))?;
        Ok(Self {
            runs: runs.len() as u64,
            succeeded: number(|run| run.standing == Standing::Succeeded),
            lost: number(|run| run.standing.bought_nothing()),
            mixed: number(|run| run.is_mixed),
            spent: Money::from_nanos(spent),
            p50: quantile(&costs, 500),
            p95: quantile(&costs, 950),
            p99: quantile(&costs, 990),
            max: quantile(&costs, 1_000),
            runtime_ms: runs.iter().filter_map(|run| run.runtime_ms).sum(),
            entries: runs.iter().map(|run| run.entries).sum(),
        })
    }

    /// Those that succeeded or were lost.
    pub const fn ended(&self) -> u64 {
        self.succeeded + self.lost
    }

    /// Have so few ended that the rate of success says little?
    pub const fn is_few(&self) -> bool {
        self.ended() < Self::FEW
    }

    /// How many of those that ended succeeded, per mille; nothing where none has ended.
    pub fn success_per_mille(&self) -> Option<u64> {
        (self.succeeded * 1_000).checked_div(self.ended())
    }

    /// What they cost at these rates beside their models: compute and orchestration, each nothing without
    /// a rate.
    ///
    /// # Errors
    ///
    /// `Corrupt`: more than 64 bits of nano-USD.
    pub fn beside_models(&self, rates: &Rates) -> Result<[Option<Money>; 2]> {
        Ok([rates.compute(self.runtime_ms)?, rates.orchestration(self.entries)?])
    }

    /// Where the rate of success lies, 19 times of 20 (Wilson's interval): shares from 0 to 1.
    pub fn success_interval(&self) -> Option<(f64, f64)> {
        (self.ended() > 0).then(|| wilson(self.succeeded as f64, self.ended() as f64))
    }

    /// What all runs spent for each that succeeded, rounded up; nothing where none did.
    pub fn usd_per_success(&self) -> Option<Money> {
        let succeeded = i64::try_from(self.succeeded).ok().filter(|succeeded| *succeeded > 0)?;
        let nanos = self.spent.nanos();
        Some(Money::from_nanos(nanos / succeeded + i64::from(nanos % succeeded > 0)))
    }
}

/// The runs of one kind, or those of them that spent the most on one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindRow {
    /// The kind; `erased` where it was forgotten.
    pub kind: Option<String>,
    /// The model; nothing in a row of all runs of a kind, and of runs that asked none.
    pub model: Option<String>,
    /// Their figures.
    pub figures: RunFigures,
}

/// What runs of each kind cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindsReport {
    /// From when on calls are in it.
    pub since: Option<Millis>,
    /// By kind, where the most was spent first.
    pub rows: Vec<KindRow>,
    /// By kind and model: kinds in the order of the rows, of each the model first that is cheapest for
    /// every success.
    pub models: Vec<KindRow>,
    /// All runs together.
    pub totals: RunFigures,
    /// What the configuration says they cost beside models.
    pub rates: Rates,
    /// Entries a ledger in memory keeps no longer: calls reserved by them are not in the report.
    pub dropped_entries: u64,
}

impl Ledger {
    /// Tells what runs of each kind cost, how often they succeed, and with which model.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    pub fn kinds(&self, since: Option<Since>) -> Result<KindsReport> {
        let rates = self.config().rates;
        self.read(|tx| {
            let now = tx.now()?;
            let since = since.map(|since| since.at(now));
            let mut names = Names::default();
            let attempts = Attempts::read(tx, &mut names)?;
            let mut fold = Attribution::default();
            fold.read(tx, Filter { since, ..Filter::default() })?;
            let runs = runs(tx, &mut names, &attempts, &fold)?;
            let (rows, models) = grouped(tx, &mut names, &runs)?;
            let totals = RunFigures::of(&runs.iter().collect::<Vec<_>>())?;
            totals.beside_models(&rates)?;
            Ok(KindsReport { since, rows, models, totals, rates, dropped_entries: tx.dropped() })
        })
    }
}

fn grouped(tx: &mut dyn Tx, names: &mut Names, runs: &[Run]) -> Result<(Vec<KindRow>, Vec<KindRow>)> {
    let mut kinds: BTreeMap<u32, BTreeMap<u32, Vec<&Run>>> = BTreeMap::new();
    for run in runs {
        kinds.entry(run.kind).or_default().entry(run.model).or_default().push(run);
    }
    let mut groups = Vec::with_capacity(kinds.len());
    for (kind, by_model) in kinds {
        let kind = names.text(tx, kind)?;
        let all: Vec<&Run> = by_model.values().flatten().copied().collect();
        let whole = KindRow { kind: kind.clone(), model: None, figures: RunFigures::of(&all)? };
        let mut models = Vec::with_capacity(by_model.len());
        for (model, runs) in by_model {
            let model = names.text(tx, model)?;
            models.push(KindRow { kind: kind.clone(), model, figures: RunFigures::of(&runs)? });
        }
        models.sort_by_cached_key(|row| {
            let usd = row.figures.usd_per_success();
            (usd.is_none(), usd, row.figures.spent, row.model.clone())
        });
        groups.push((whole, models));
    }
    groups.sort_by_cached_key(|(whole, _)| (Reverse(whole.figures.spent), whole.kind.clone()));
    let (rows, models): (Vec<_>, Vec<_>) = groups.into_iter().unzip();
    Ok((rows, models.into_iter().flatten().collect()))
}

/// The figures of a row, as cells under [`HEADINGS`].
fn cells(figures: &RunFigures) -> [String; 9] {
    let percent = |share: u64| format!("{}.{} %", share / 10, share % 10);
    let none = || "-".to_owned();
    let interval = figures.success_interval().map(|(low, high)| {
        let [low, high] = [low, high].map(|share| share * 100.0);
        format!("{low:.0} to {high:.0} %")
    });
    [
        count(figures.runs),
        figures.success_per_mille().map_or_else(none, percent),
        interval.unwrap_or_else(none),
        figures.spent.decimal(),
        figures.usd_per_success().map_or_else(none, Money::decimal),
        figures.p50.decimal(),
        figures.p95.decimal(),
        figures.p99.decimal(),
        figures.max.decimal(),
    ]
}

const HEADINGS: [&str; 9] =
    ["runs", "succeeded", "95 % sure", "spent", "per success", "p50", "p95", "p99", "max"];

impl fmt::Display for KindsReport {
    /// Two tables of plain text, by kind and by kind and model, amounts in USD.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |key: &Option<String>| key.clone().unwrap_or_else(|| "(none)".to_owned());
        let mut table = Table::new(["kind"].into_iter().chain(HEADINGS)).left(1);
        for row in &self.rows {
            table.row([name(&row.kind)].into_iter().chain(cells(&row.figures)));
        }
        table.row(["total".to_owned()].into_iter().chain(cells(&self.totals)));
        let mut models = Table::new(["kind", "model"].into_iter().chain(HEADINGS)).left(2);
        for row in &self.models {
            models.row([name(&row.kind), name(&row.model)].into_iter().chain(cells(&row.figures)));
        }
        write!(f, "{table}\n\n{models}")?;
        if !self.rates.is_empty() {
            write!(f, "\n\n{}", self.beside_models())?;
        }
        for note in self.notes() {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}

impl KindsReport {
    /// What runs cost beside their models, as a table.
    fn beside_models(&self) -> Table {
        let headings = ["kind", "models", "hours", "compute", "entries", "orchestration", "together"];
        let mut table = Table::new(headings).left(1);
        let rows = self.rows.iter().map(|row| (row.kind.as_deref().unwrap_or("(none)"), &row.figures));
        for (kind, figures) in rows.chain([("total", &self.totals)]) {
            // That it does not overflow was seen when the report was made.
            let costs = figures.beside_models(&self.rates).unwrap_or_default();
            let known = costs.iter().flatten().map(|usd| usd.nanos());
            let together = known.fold(figures.spent.nanos(), i64::saturating_add);
            let [compute, orchestration] =
                costs.map(|usd| usd.map_or_else(|| "-".to_owned(), Money::decimal));
            table.row([
                kind.to_owned(),
                figures.spent.decimal(),
                format!("{:.2}", figures.runtime_ms as f64 / 3_600_000.0),
                compute,
                count(figures.entries),
                orchestration,
                Money::from_nanos(together).decimal(),
            ]);
        }
        table
    }

    /// What the figures do not say.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let few = self.models.iter().filter(|row| row.figures.is_few()).count();
        if few > 0 {
            let (rows, least) = (self.models.len(), RunFigures::FEW);
            notes.push(format!(
                "in {few} of {rows} rows by model fewer than {least} runs have ended: too few to choose by"
            ));
        }
        if self.totals.mixed > 0 {
            let (mixed, runs) = (self.totals.mixed, self.totals.runs);
            notes.push(format!(
                "{mixed} of {runs} runs spent on several models: each is under the one it spent the most on"
            ));
        }
        let open = self.totals.runs - self.totals.ended();
        if open > 0 {
            notes.push(format!("{open} runs are open or ended nobody knows how: in no rate and no runtime"));
        }
        notes.extend(left_out(self.dropped_entries));
        notes
    }
}
