//! What does a run of each kind cost, and with which model? The report behind `outlay report kinds`.

use outlay::{
    Ledger, Result,
    report::{KindRow, KindsReport, RunFigures},
};
use serde_json::{Value, json};

use crate::{
    arguments::Report,
    form::shown,
    json::{Object, object, time, usd},
};

/// The columns of `outlay report kinds`: a row for each kind, then one for each kind and model.
const ROW: [&str; 17] = [
    "kind",
    "model",
    "runs",
    "succeeded",
    "lost",
    "open",
    "mixed",
    "is_few",
    "success_per_mille",
    "success_low",
    "success_high",
    "spent_usd",
    "usd_per_success",
    "usd_p50",
    "usd_p95",
    "usd_p99",
    "usd_max",
];

pub(crate) fn kinds(ledger: &Ledger, asked: &Report) -> Result<String> {
    let report = ledger.kinds(asked.since)?;
    let rows = || report.rows.iter().chain(&report.models).map(row).collect();
    let text = || if report.rows.is_empty() { "there are no runs".to_owned() } else { report.to_string() };
    Ok(shown(asked.form(), || whole(&report), &ROW, rows, text))
}

fn figures(figures: &RunFigures) -> Object {
    let (low, high) = figures.success_interval().unzip();
    object(json!({
        "runs": figures.runs,
        "succeeded": figures.succeeded,
        "lost": figures.lost,
        "open": figures.runs - figures.ended(),
        "mixed": figures.mixed,
        "is_few": figures.is_few(),
        "success_per_mille": figures.success_per_mille(),
        "success_low": low,
        "success_high": high,
        "spent_usd": usd(figures.spent),
        "usd_per_success": figures.usd_per_success().map(usd),
        "usd_p50": usd(figures.p50),
        "usd_p95": usd(figures.p95),
        "usd_p99": usd(figures.p99),
        "usd_max": usd(figures.max),
    }))
}

/// One row, under the keys of [`ROW`].
fn row(row: &KindRow) -> Object {
    let mut object = object(json!({ "kind": row.kind, "model": row.model }));
    object.extend(figures(&row.figures));
    object
}

fn whole(report: &KindsReport) -> Value {
    json!({
        "since": time(report.since),
        "rows": report.rows.iter().map(row).collect::<Vec<_>>(),
        "models": report.models.iter().map(row).collect::<Vec<_>>(),
        "totals": figures(&report.totals),
        "notes": report.notes(),
        "dropped_entries": report.dropped_entries,
    })
}
