//! How far were the bounds of input from the truth?
//!
//! One row for each provider, model, with tools or without, and method; over calls whose input was
//! counted here and which the provider has told the usage of. Ratios are in per mille, rounded up to
//! the end of their bucket (see [`meter::ratios`](crate::meter::ratios)).

use std::{collections::BTreeMap, fmt};

use super::{
    names::Names,
    since::Since,
    text::{Table, count, left_out},
};
use crate::{
    error::Result,
    ledger::{
        lesson::{Lesson, lessons},
        store::{Filter, Tx},
    },
    meter::{Method, Ratios, ratios::per_mille},
    run::Ledger,
    value::Millis,
};

/// How far counts and bounds of one kind of call were from the truth.
#[derive(Clone, Debug)]
pub struct MeterRow {
    /// Who billed them, where the price list says.
    pub provider: Option<String>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// Did they offer tools?
    pub has_tools: bool,
    /// How their input was bounded.
    pub method: Method,
    /// How many calls.
    pub calls: u64,
    /// How many of them had more input than their bound.
    pub overruns: u64,
    /// What the provider counted over what was counted here.
    pub truth_over_count: Ratios,
    /// The bound over what the provider counted.
    pub bound_over_truth: Ratios,
}

impl MeterRow {
    fn add(&mut self, lesson: &Lesson) {
        self.calls += 1;
        self.overruns += u64::from(lesson.truth > lesson.bound);
        self.truth_over_count.add(per_mille(lesson.truth, lesson.counted), 1);
        self.bound_over_truth.add(per_mille(lesson.bound, lesson.truth), 1);
    }
}

/// How far bounds were from the truth.
#[derive(Clone, Debug)]
pub struct MeterReport {
    /// From when on calls are in it.
    pub since: Option<Millis>,
    /// By provider and model.
    pub rows: Vec<MeterRow>,
    /// Entries a ledger in memory keeps no longer: calls reserved by them are not in the report.
    pub dropped_entries: u64,
}

impl Ledger {
    /// Tells how far the bounds of input were from what the provider counted.
    ///
    /// Calls whose token counts were given, and calls nobody knows the usage of, are not in it.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    ///
    /// ```
    /// use outlay::{Ledger, Limit, meter::Api, run::Terms};
    ///
    /// let ledger = Ledger::in_memory();
    /// let task = ledger.task("t", [Limit::usd("0.50")?])?;
    /// let body = br#"{"model": "gpt-4o", "messages": [{"role": "user", "content": "hello world"}]}"#;
    /// let answer = r#"{"model": "gpt-4o", "usage": {"prompt_tokens": 9, "completion_tokens": 1}}"#;
    /// task.exchange(Api::OpenAiChat, body, &Terms::default())?.answered(200, answer)?;
    ///
    /// let report = ledger.meter(None)?;
    /// assert_eq!((report.rows[0].calls, report.rows[0].overruns), (1, 0));
    /// assert_eq!(report.rows[0].bound_over_truth.largest(), 1_000);
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn meter(&self, since: Option<Since>) -> Result<MeterReport> {
        self.read(|tx| {
            let now = tx.now()?;
            let since = since.map(|since| since.at(now));
            let rows = rows(tx, Filter { since, ..Filter::default() })?;
            Ok(MeterReport { since, rows, dropped_entries: tx.dropped() })
        })
    }
}

fn rows(tx: &mut dyn Tx, filter: Filter) -> Result<Vec<MeterRow>> {
    let mut groups: BTreeMap<(u32, u32, bool, Method), MeterRow> = BTreeMap::new();
    lessons(tx, filter, &mut |lesson| {
        let Lesson { provider, model, has_tools, method, .. } = *lesson;
        let empty = || MeterRow {
            provider: None,
            model: None,
            has_tools,
            method,
            calls: 0,
            overruns: 0,
            truth_over_count: Ratios::default(),
            bound_over_truth: Ratios::default(),
        };
        groups.entry((provider, model, has_tools, method)).or_insert_with(empty).add(lesson);
    })?;
    let mut names = Names::default();
    let mut rows = Vec::with_capacity(groups.len());
    for ((provider, model, ..), row) in groups {
        rows.push(MeterRow { provider: names.text(tx, provider)?, model: names.text(tx, model)?, ..row });
    }
    // What is left equal stands as it came: without tools first, the better method first.
    rows.sort_by(|a, b| (&a.provider, &a.model).cmp(&(&b.provider, &b.model)));
    Ok(rows)
}

/// A ratio in per mille as a person reads it.
fn times(per_mille: u32) -> String {
    format!("{}.{:03}", per_mille / 1_000, per_mille % 1_000)
}

impl fmt::Display for MeterReport {
    /// A table of plain text; ratios as numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = ["provider", "model", "tools", "method"];
        let ratios = ["truth/count", "p95", "p99.5", "bound/truth", "p95", "largest"];
        let mut table = Table::new(kind.into_iter().chain(["calls", "overruns"]).chain(ratios)).left(4);
        for row in &self.rows {
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let (truth, bound) = (&row.truth_over_count, &row.bound_over_truth);
            let tools = if row.has_tools { "yes" } else { "no" }.to_owned();
            let kind = [text(&row.provider), text(&row.model), tools, row.method.name().to_owned()];
            let truth = [500, 950, 995].map(|rank| times(truth.quantile(rank)));
            let bound = [bound.quantile(500), bound.quantile(950), bound.largest()].map(times);
            let calls = [row.calls, row.overruns].map(count);
            table.row(kind.into_iter().chain(calls).chain(truth).chain(bound));
        }
        table.fmt(f)?;
        left_out(self.dropped_entries).map_or(Ok(()), |note| write!(f, "\n{note}"))
    }
}
