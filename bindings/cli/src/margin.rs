//! What is left of what was earned? The report behind `outlay report margin`.

use std::path::Path;

use outlay::{
    Ledger, Result,
    report::{By, MarginOptions, MarginReport, MarginRow},
};
use serde_json::{Value, json};

use crate::{
    arguments::Report,
    form::shown,
    json::{Object, object, time, usd},
    place,
};

/// The columns of `outlay report margin`.
const ROW: [&str; 6] = ["key", "calls", "revenue_usd", "spent_usd", "margin_usd", "margin_per_mille"];

pub(crate) fn margin(ledger: &Ledger, asked: &Report) -> Result<String> {
    let by = asked.by.clone().unwrap_or_else(|| By::Tag("tenant".to_owned()));
    let mut options = MarginOptions { since: asked.since, ..MarginOptions::by(by) };
    if let Some(given) = &asked.revenue {
        let is_object = given.trim_start_matches('\u{feff}').trim_start().starts_with('{');
        options = if is_object {
            options.revenue(given)?
        } else {
            options.revenue(&place::read(Path::new(given))?)?
        };
    }
    let report = ledger.margin(&options)?;
    let rows = || report.rows.iter().map(row).collect();
    Ok(shown(asked.form(), || whole(&report), &ROW, rows, || report.to_string()))
}

/// One row, under the keys of [`ROW`].
fn row(row: &MarginRow) -> Object {
    object(json!({
        "key": row.key,
        "calls": row.calls,
        "revenue_usd": row.revenue.map(usd),
        "spent_usd": usd(row.spent),
        "margin_usd": row.margin().map(usd),
        "margin_per_mille": row.margin_per_mille(),
    }))
}

fn whole(report: &MarginReport) -> Value {
    let mut totals = row(&report.totals);
    totals.remove("key");
    json!({
        "by": report.by.to_string(),
        "since": time(report.since),
        "rows": report.rows.iter().map(row).collect::<Vec<_>>(),
        "totals": totals,
        "unearned_usd": usd(report.unearned),
        "notes": report.notes(),
        "dropped_entries": report.dropped_entries,
    })
}
