//! What would it have cost elsewhere? The report behind `outlay report whatif`.

use outlay::{
    Error, ErrorKind, Ledger, Result,
    meter::ServiceTier,
    report::{Repriced, WhatIfOptions, WhatIfReport, WhatIfRow},
};
use serde_json::{Value, json};

use crate::{
    arguments::{Report, What},
    form::shown,
    json::{Object, object, time, usd},
};

/// The columns of `outlay report whatif`.
const ROW: [&str; 14] = [
    "task",
    "model",
    "would_be",
    "calls",
    "recorded_usd",
    "least_usd",
    "most_usd",
    "exact",
    "tokens_low_per_mille",
    "tokens_high_per_mille",
    "ratio_source",
    "left_out_calls",
    "left_out_usd",
    "left_out_why",
];

pub(crate) fn what_if(ledger: &Ledger, asked: &Report) -> Result<String> {
    let tier = asked.elsewhere.tier.as_deref().map(tier).transpose()?;
    let options = WhatIfOptions {
        model: asked.elsewhere.model.clone(),
        provider: asked.elsewhere.provider.clone(),
        tier,
        since: asked.since,
    };
    let report = ledger.what_if(&options)?;
    let rows = || report.rows.iter().map(row).collect();
    Ok(shown(asked.form(), || whole(&report), &ROW, rows, || report.to_string()))
}

/// Refuses what would mean nothing to the report that was asked for.
pub(crate) fn check(asked: &Report) -> Result<()> {
    let given = &asked.elsewhere;
    let is_given = given.model.is_some() || given.provider.is_some() || given.tier.is_some();
    if is_given && !matches!(asked.what, Some(What::Whatif)) {
        let message = "`--model`, `--provider` and `--tier` are for `outlay report whatif`";
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    if asked.revenue.is_some() && !matches!(asked.what, Some(What::Margin)) {
        return Err(Error::new(ErrorKind::InvalidInput, "`--revenue` is for `outlay report margin`"));
    }
    let message = match asked.what {
        Some(What::Forecast) if asked.since.is_some() => "a forecast is made of the last eight weeks",
        Some(What::Forecast | What::Margin) | None => return Ok(()),
        Some(_) if asked.by.is_some() => "`--by` is for where the money went, for forecasts and margins",
        Some(_) => return Ok(()),
    };
    Err(Error::new(ErrorKind::InvalidInput, message))
}

fn tier(word: &str) -> Result<ServiceTier> {
    let wrong = || Error::new(ErrorKind::InvalidInput, format!("`{word}` is no service tier"));
    ServiceTier::read(word).ok_or_else(wrong)
}

fn figures(figures: &Repriced) -> Object {
    object(json!({
        "calls": figures.calls,
        "recorded_usd": usd(figures.recorded),
        "least_usd": usd(figures.least),
        "most_usd": usd(figures.most),
        "exact": figures.is_exact(),
        "left_out_calls": figures.left_out_calls,
        "left_out_usd": usd(figures.left_out),
    }))
}

/// One row, under the keys of [`ROW`].
fn row(row: &WhatIfRow) -> Object {
    let why: Vec<String> = row.missing.iter().map(|(why, calls)| format!("{calls}: {why}")).collect();
    let mut object = object(json!({
        "task": row.task,
        "model": row.model,
        "would_be": row.target,
        "tokens_low_per_mille": row.ratio.map(|ratio| ratio.low_per_mille),
        "tokens_high_per_mille": row.ratio.map(|ratio| ratio.high_per_mille),
        "ratio_source": row.ratio.map(|ratio| ratio.source.name()),
        "left_out_why": if why.is_empty() { Value::Null } else { why.join("; ").into() },
    }));
    object.extend(figures(&row.figures));
    object
}

fn whole(report: &WhatIfReport) -> Value {
    let asked = &report.asked;
    json!({
        "model": asked.model,
        "provider": asked.provider,
        "service_tier": asked.tier.map(ServiceTier::code),
        "since": time(report.since),
        "rows": report.rows.iter().map(row).collect::<Vec<_>>(),
        "totals": figures(&report.totals),
        "notes": report.notes(),
        "dropped_entries": report.dropped_entries,
    })
}
