//! What does a run of each kind cost, with which model, and is it what it may cost? The reports behind
//! `outlay report kinds` and `slo`.

use outlay::{
    Ledger, Result,
    report::{KindRow, KindsReport, RunFigures, SloReport, SloRow},
    run::Rates,
};
use serde_json::{Value, json};

use crate::{
    arguments::Report,
    form::shown,
    json::{Object, object, time, usd},
};

/// The columns of `outlay report kinds`: a row for each kind, then one for each kind and model.
const ROW: [&str; 21] = [
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
    "runtime_ms",
    "entries",
    "compute_usd",
    "orchestration_usd",
];

pub(crate) fn kinds(ledger: &Ledger, asked: &Report) -> Result<String> {
    let report = ledger.kinds(asked.since)?;
    let rows = || report.rows.iter().chain(&report.models).map(|one| row(one, &report.rates)).collect();
    let text = || if report.rows.is_empty() { "there are no runs".to_owned() } else { report.to_string() };
    Ok(shown(asked.form(), || whole(&report), &ROW, rows, text))
}

fn figures(figures: &RunFigures, rates: &Rates) -> Object {
    let [compute, orchestration] = figures.beside_models(rates).unwrap_or_default();
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
        "runtime_ms": figures.runtime_ms,
        "entries": figures.entries,
        "compute_usd": compute.map(usd),
        "orchestration_usd": orchestration.map(usd),
    }))
}

/// One row, under the keys of [`ROW`].
fn row(row: &KindRow, rates: &Rates) -> Object {
    let mut object = object(json!({ "kind": row.kind, "model": row.model }));
    object.extend(figures(&row.figures, rates));
    object
}

fn whole(report: &KindsReport) -> Value {
    json!({
        "since": time(report.since),
        "rows": report.rows.iter().map(|one| row(one, &report.rates)).collect::<Vec<_>>(),
        "models": report.models.iter().map(|one| row(one, &report.rates)).collect::<Vec<_>>(),
        "totals": figures(&report.totals, &report.rates),
        "notes": report.notes(),
        "dropped_entries": report.dropped_entries,
    })
}

/// The columns of `outlay report slo`.
const SLO_ROW: [&str; 11] = [
    "kind",
    "what",
    "runs",
    "allowed_usd",
    "actual_usd",
    "over_usd",
    "is_met",
    "will_be_over",
    "expected_usd",
    "low_usd",
    "high_usd",
];

pub(crate) fn slo(ledger: &Ledger, asked: &Report) -> Result<String> {
    let report = ledger.slo(asked.since)?;
    let rows = || report.rows.iter().map(slo_row).collect();
    let text = || {
        if report.rows.is_empty() {
            "the configuration says of no kind what its runs may cost".to_owned()
        } else {
            report.to_string()
        }
    };
    Ok(shown(asked.form(), || slo_json(&report), &SLO_ROW, rows, text))
}

/// One row of `outlay report slo`, under the keys of [`SLO_ROW`].
fn slo_row(row: &SloRow) -> Object {
    let end = row.month_end;
    object(json!({
        "kind": row.kind,
        "what": row.what.name(),
        "runs": row.runs,
        "allowed_usd": usd(row.allowed),
        "actual_usd": row.actual.map(usd),
        "over_usd": row.over().map(usd),
        "is_met": row.is_met(),
        "will_be_over": row.will_be_over(),
        "expected_usd": end.map(|end| end.expected),
        "low_usd": end.map(|end| end.low),
        "high_usd": end.map(|end| end.high),
    }))
}

fn slo_json(report: &SloReport) -> Value {
    json!({
        "since": time(report.since),
        "rows": report.rows.iter().map(slo_row).collect::<Vec<_>>(),
        "dropped_entries": report.dropped_entries,
    })
}
