//! What will the month cost? The report behind `outlay report forecast`.

use outlay::{
    Ledger, Result,
    policy::limit::show_time,
    report::{BudgetForecast, Forecast, ForecastRow, Projection},
};
use serde_json::{Value, json};

use crate::{
    arguments::Report,
    form::shown,
    json::{Object, object, time, usd},
};

/// The columns of `outlay report forecast`: the rows, the total, then the budgets.
const ROW: [&str; 16] = [
    "what",
    "key",
    "window",
    "limit_usd",
    "hard",
    "spent_usd",
    "ends_at",
    "expected_usd",
    "low_usd",
    "high_usd",
    "used_up_at",
    "used_up_earliest",
    "used_up_latest",
    "guessed_by",
    "mean_error_usd",
    "weekday_error_usd",
];

pub(crate) fn forecast(ledger: &Ledger, asked: &Report) -> Result<String> {
    let forecast = ledger.forecast(asked.by.clone())?;
    let rows = || {
        let scopes = forecast.rows.iter().map(|row| scope(&forecast, "row", row));
        let scopes = scopes.chain([scope(&forecast, "total", &forecast.total)]);
        scopes.chain(forecast.budgets.iter().map(budget)).collect()
    };
    Ok(shown(asked.form(), || whole(&forecast), &ROW, rows, || forecast.to_string()))
}

fn projection(guess: Option<&Projection>) -> Object {
    object(json!({
        "expected_usd": guess.map(|guess| guess.expected),
        "low_usd": guess.map(|guess| guess.low),
        "high_usd": guess.map(|guess| guess.high),
    }))
}

fn scope(forecast: &Forecast, what: &str, row: &ForecastRow) -> Object {
    let guessed_by = row.month_end.map(|_| if row.follows_weekdays { "weekdays" } else { "mean" });
    let mut object = object(json!({
        "what": what,
        "key": row.key,
        "spent_usd": usd(row.spent),
        "ends_at": show_time(forecast.month_ends_at),
        "guessed_by": guessed_by,
        "cuts": row.test.map(|test| test.cuts),
        "mean_error_usd": row.test.map(|test| test.mean_error),
        "weekday_error_usd": row.test.map(|test| test.weekday_error),
        "cuts_in_interval": row.test.map(|test| test.within),
    }));
    object.extend(projection(row.month_end.as_ref()));
    object
}

fn budget(budget: &BudgetForecast) -> Object {
    let used_up = budget.used_up;
    let mut object = object(json!({
        "what": "budget",
        "key": budget.name,
        "window": budget.window.to_string(),
        "limit_usd": usd(budget.limit),
        "hard": budget.hard,
        "spent_usd": usd(budget.spent),
        "ends_at": time(budget.resets_at),
        "used_up_at": time(used_up.and_then(|used| used.expected)),
        "used_up_earliest": time(used_up.and_then(|used| used.earliest)),
        "used_up_latest": time(used_up.and_then(|used| used.latest)),
    }));
    object.extend(projection(budget.at_reset.as_ref()));
    object
}

fn whole(forecast: &Forecast) -> Value {
    json!({
        "at": show_time(forecast.at),
        "month_ends_at": show_time(forecast.month_ends_at),
        "by": forecast.by.as_ref().map(ToString::to_string),
        "rows": forecast.rows.iter().map(|row| scope(forecast, "row", row)).collect::<Vec<_>>(),
        "total": scope(forecast, "total", &forecast.total),
        "budgets": forecast.budgets.iter().map(budget).collect::<Vec<_>>(),
        "notes": forecast.notes(),
        "dropped_entries": forecast.dropped_entries,
    })
}
