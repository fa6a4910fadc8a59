//! What was paid for nothing, what failure cost, and what was bought? The reports behind
//! `outlay report waste`, `tax` and `value`.

use outlay::{
    Ledger, Result,
    report::{Tax, TaxReport, TaxRow, ValueReport, ValueRow, Waste, WasteReport, Worth},
};
use serde_json::{Value, json};

use crate::{
    arguments::Report,
    form::shown,
    json::{Object, id, object, time, usd},
};

pub(crate) fn waste(ledger: &Ledger, asked: &Report) -> Result<String> {
    let report = ledger.waste(asked.since)?;
    let rows = || report.kinds.iter().flat_map(items).collect();
    Ok(shown(asked.form(), || waste_json(&report), &ITEM, rows, || report.to_string()))
}

/// The columns of `outlay report waste`: a row for each attempt or call behind a kind.
const ITEM: [&str; 9] = [
    "kind",
    "usd",
    "task",
    "task_id",
    "attempt",
    "call_id",
    "missed_tokens",
    "differs_at_message",
    "differs_at_byte",
];

/// The rows behind a kind of waste, under the keys of [`ITEM`].
fn items(waste: &Waste) -> impl Iterator<Item = Object> {
    waste.items.iter().map(|item| {
        let (message, byte) = item.differs_at.unzip();
        object(json!({
            "kind": waste.kind.name(),
            "usd": usd(item.usd),
            "task": item.task,
            "task_id": id(item.task_id),
            "attempt": item.attempt,
            "call_id": id(item.call),
            "missed_tokens": item.missed_tokens,
            "differs_at_message": message,
            "differs_at_byte": byte,
        }))
    })
}

/// What was paid for nothing.
fn waste_json(report: &WasteReport) -> Value {
    let kind = |waste: &Waste| {
        json!({
            "kind": waste.kind.name(),
            "usd": usd(waste.usd),
            "redone_usd": usd(waste.redone),
            "calls": waste.calls,
            "advice": waste.kind.advice(),
            "items": items(waste).collect::<Vec<_>>(),
        })
    };
    let context = &report.context;
    json!({
        "since": time(report.since),
        "kinds": report.kinds.iter().map(kind).collect::<Vec<_>>(),
        "wasted_usd": usd(report.wasted()),
        "settled_usd": usd(report.settled),
        "context": {
            "input_tokens": context.input_tokens,
            "tool_tokens": context.tool_tokens,
            "tools_per_mille": context.tools_per_mille(),
            "tool_usd": usd(context.tool_usd),
            "growth_per_call": context.growth_per_call,
        },
        "dropped_entries": report.dropped_entries,
    })
}

pub(crate) fn tax(ledger: &Ledger, asked: &Report) -> Result<String> {
    let report = ledger.tax(asked.since)?;
    let rows = || report.rows.iter().map(tax_row).collect();
    Ok(shown(asked.form(), || tax_json(&report), &TAX_ROW, rows, || report.to_string()))
}

/// The columns of `outlay report tax`.
const TAX_ROW: [&str; 15] = [
    "task",
    "first_runs",
    "first_lost",
    "first_lost_per_mille",
    "runs",
    "succeeded",
    "runs_per_success_per_mille",
    "deepest",
    "useful_usd",
    "useful_tokens",
    "lost_usd",
    "lost_tokens",
    "open_usd",
    "open_tokens",
    "tax_per_mille",
];

fn figures(tax: &Tax) -> Object {
    object(json!({
        "first_runs": tax.first_runs,
        "first_lost": tax.first_lost,
        "first_lost_per_mille": tax.first_lost_per_mille(),
        "runs": tax.runs,
        "succeeded": tax.succeeded,
        "runs_per_success_per_mille": tax.runs_per_success(),
        "deepest": tax.deepest,
        "useful_usd": usd(tax.useful.usd),
        "useful_tokens": tax.useful.tokens,
        "lost_usd": usd(tax.lost.usd),
        "lost_tokens": tax.lost.tokens,
        "open_usd": usd(tax.open.usd),
        "open_tokens": tax.open.tokens,
        "tax_per_mille": tax.per_mille(),
    }))
}

/// One row of `outlay report tax`, under the keys of [`TAX_ROW`].
fn tax_row(row: &TaxRow) -> Object {
    let mut object = figures(&row.tax);
    object.insert("task".to_owned(), row.task.clone().into());
    object
}

fn tax_json(report: &TaxReport) -> Value {
    json!({
        "since": time(report.since),
        "rows": report.rows.iter().map(tax_row).collect::<Vec<_>>(),
        "totals": figures(&report.totals),
        "dropped_entries": report.dropped_entries,
    })
}

pub(crate) fn value(ledger: &Ledger, asked: &Report) -> Result<String> {
    let report = ledger.value(asked.since)?;
    let row = |row: &ValueRow| {
        let mut object = worth(&row.worth);
        object.insert("by".to_owned(), row.by.name().into());
        object.insert("key".to_owned(), row.key.clone().into());
        object
    };
    let rows = || report.rows.iter().map(row).collect();
    let text = || {
        if report.rows.is_empty() { "no run said what it was worth".to_owned() } else { report.to_string() }
    };
    Ok(shown(asked.form(), || value_json(&report, rows()), &VALUE_ROW, rows, text))
}

/// The columns of `outlay report value`.
const VALUE_ROW: [&str; 7] =
    ["by", "key", "value", "settled_usd", "tokens", "value_per_usd", "value_per_million_tokens"];

fn worth(worth: &Worth) -> Object {
    object(json!({
        "value": worth.value(),
        "settled_usd": usd(worth.usd),
        "tokens": worth.tokens,
        "value_per_usd": worth.per_usd(),
        "value_per_million_tokens": worth.per_million_tokens(),
    }))
}

fn value_json(report: &ValueReport, rows: Vec<Object>) -> Value {
    let runs = report.runs.iter().map(|run| {
        let mut object = worth(&run.worth);
        object.insert("task".to_owned(), run.task.clone().into());
        object.insert("task_id".to_owned(), id(run.task_id));
        object.insert("attempt".to_owned(), run.attempt.into());
        object
    });
    json!({
        "since": time(report.since),
        "rows": rows,
        "runs": runs.collect::<Vec<_>>(),
        "totals": worth(&report.totals),
        "dropped_entries": report.dropped_entries,
    })
}
