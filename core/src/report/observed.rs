//! What would have been refused, had it been enforced?
//!
//! One row for each task name and limit, over the calls of tasks that only observe. A refused call
//! would have spent nothing, so had the first been refused, later ones might have fitted: a row
//! says what met its limit, not what enforcing it would have left undone.

use std::{collections::BTreeMap, fmt};

use rustc_hash::FxHashMap;

use super::{
    names::Names,
    since::Since,
    text::{Table, count, left_out},
};
use crate::{
    error::Result,
    ledger::{
        Entry, Kind, flag,
        store::{Filter, Tx},
    },
    policy::limit::show_time,
    run::Ledger,
    value::{Id, Millis, Money},
};

/// The calls of one task name that one limit would have refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedRow {
    /// The name of the tasks.
    pub task: Option<String>,
    /// Whose limit, as in ``budget `tenant=acme` ``.
    pub budget: Option<String>,
    /// What is limited.
    pub unit: Option<String>,
    /// How many calls, of models and tools.
    pub calls: u64,
    /// What they cost.
    pub settled: Money,
    /// When the first was made.
    pub first_at: Millis,
    /// When the last was made.
    pub last_at: Millis,
}

/// What would have been refused.
#[derive(Clone, Debug)]
pub struct ObservedReport {
    /// From when on calls are in it.
    pub since: Option<Millis>,
    /// The dearest first.
    pub rows: Vec<ObservedRow>,
    /// Entries a ledger in memory keeps no longer: calls reserved by them are not in the report.
    pub dropped_entries: u64,
}

/// The task or its name, the account, the unit: numbers of the ledger.
type Key = (u32, u32, u32);

impl Ledger {
    /// Tells what would have been refused of tasks that only observe.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    ///
    /// ```
    /// use outlay::{Ledger, Limit, Request, TaskOptions, Usage};
    ///
    /// let ledger = Ledger::in_memory();
    /// let options = TaskOptions::new("refund").limit(Limit::usd("0.01")?).observe();
    /// let task = ledger.open_task(options)?;
    /// let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(4_000);
    /// task.reserve(&request)?.settle(&Usage::tokens(1_000, 500))?;
    ///
    /// let report = ledger.observed(None)?;
    /// assert_eq!(report.rows[0].budget.as_deref(), Some("task `refund`"));
    /// assert_eq!((report.rows[0].calls, report.rows[0].settled.to_string()), (1, "0.0075 USD".into()));
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn observed(&self, since: Option<Since>) -> Result<ObservedReport> {
        self.read(|tx| {
            let now = tx.now()?;
            let since = since.map(|since| since.at(now));
            let rows = rows(tx, Filter { since, ..Filter::default() })?;
            Ok(ObservedReport { since, rows, dropped_entries: tx.dropped() })
        })
    }
}

fn rows(tx: &mut dyn Tx, filter: Filter) -> Result<Vec<ObservedRow>> {
    let mut calls: FxHashMap<Id, Key> = FxHashMap::default();
    let mut sums: BTreeMap<Key, ObservedRow> = BTreeMap::new();
    tx.payments(filter, &mut |entry| {
        add(entry, &mut calls, &mut sums);
        true
    })?;
    // Tasks of one name are one row.
    let mut by_name: BTreeMap<Key, ObservedRow> = BTreeMap::new();
    for ((task, account, unit), row) in sums {
        let name = tx.task(task)?.map_or(0, |row| row.name);
        // Each task has an account of its own: they are one limit where they have one label.
        let found = tx.account(account)?;
        let (account, label) = match found {
            Some(account) if account.task != 0 => (0, Some(account.label)),
            Some(found) => (account, Some(found.label)),
            None => (account, None),
        };
        let sum = by_name.entry((name, account, unit)).or_insert_with(|| ObservedRow {
            budget: label,
            calls: 0,
            settled: Money::ZERO,
            ..row.clone()
        });
        sum.calls += row.calls;
        sum.settled = Money::from_nanos(sum.settled.nanos().saturating_add(row.settled.nanos()));
        sum.first_at = sum.first_at.min(row.first_at);
        sum.last_at = sum.last_at.max(row.last_at);
    }
    let mut names = Names::default();
    let mut rows = Vec::with_capacity(by_name.len());
    for ((name, _, unit), row) in by_name {
        rows.push(ObservedRow { task: names.text(tx, name)?, unit: names.text(tx, unit)?, ..row });
    }
    rows.sort_by_key(|row| (std::cmp::Reverse(row.settled.nanos()), std::cmp::Reverse(row.calls)));
    Ok(rows)
}

fn add(entry: &Entry, calls: &mut FxHashMap<Id, Key>, sums: &mut BTreeMap<Key, ObservedRow>) {
    let Some(id) = entry.call else { return };
    let at = entry.at_ms;
    match entry.kind {
        Kind::Reserved if entry.has(flag::WOULD_DENY) => {
            let key = (entry.task, entry.subject, entry.evidence);
            calls.insert(id, key);
            let empty = ObservedRow {
                task: None,
                budget: None,
                unit: None,
                calls: 0,
                settled: Money::ZERO,
                first_at: at,
                last_at: at,
            };
            let row = sums.entry(key).or_insert(empty);
            row.calls += 1;
            row.last_at = at;
        }
        Kind::Settled | Kind::Corrected => {
            if let Some(row) = calls.get(&id).and_then(|key| sums.get_mut(key)) {
                row.settled = Money::from_nanos(row.settled.nanos().saturating_add(entry.usd));
            }
        }
        _ => {}
    }
}

impl fmt::Display for ObservedReport {
    /// A table of plain text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings = ["task", "limit of", "unit", "first", "last", "calls", "spent"];
        let mut table = Table::new(headings).left(5);
        for row in &self.rows {
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let times = [row.first_at, row.last_at].map(show_time);
            let limit = [text(&row.task), text(&row.budget), text(&row.unit)];
            table.row(limit.into_iter().chain(times).chain([count(row.calls), row.settled.decimal()]));
        }
        table.fmt(f)?;
        left_out(self.dropped_entries).map_or(Ok(()), |note| write!(f, "\n{note}"))
    }
}
