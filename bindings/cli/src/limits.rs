//! `outlay limits`: what may tasks of each kind use?

use outlay::{
    Ledger, Result,
    report::{
        Share, SuggestedLimit, SuggestedLimits, Suggestions,
        text::{Table, shown},
    },
    run::process,
};
use serde_json::{Value, json};

use crate::{
    arguments::{Json, Suggest},
    json::{self, time},
};

/// What the configuration gives to tasks of each kind.
pub(crate) fn configured(asked: &Json) -> Result<String> {
    let kinds = &process::config()?.kinds;
    if asked.json {
        let all = kinds.iter().map(|(kind, options)| {
            let given = options.given().map(|(option, value)| (option.to_owned(), value.clone()));
            (kind.clone(), Value::Object(given.collect()))
        });
        return Ok(json::printed(&Value::Object(all.collect())));
    }
    if kinds.is_empty() {
        return Ok("no kind has options; `outlay limits suggest` prints some to begin with\n".to_owned());
    }
    let mut table = Table::new(["kind", "option", "value"]).left(3);
    for (kind, options) in kinds.iter() {
        for (option, value) in options.given() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            table.row([shown(kind), option.to_owned(), shown(&value)]);
        }
    }
    Ok(format!("{table}\n"))
}

/// What runs of each kind have used, as limits.
pub(crate) fn suggest(ledger: &Ledger, asked: &Suggest) -> Result<String> {
    let share = Share::per_cent(asked.share)?;
    let suggested = ledger.suggest_limits(asked.kind.as_deref(), asked.since, share)?;
    if asked.json.json {
        return Ok(json::printed(&whole(&suggested)));
    }
    Ok(suggested.to_string())
}

fn whole(suggested: &Suggestions) -> Value {
    let limit = |limit: &SuggestedLimit| {
        let amount = limit.unit.show(limit.amount);
        json!({ "unit": limit.unit.name(), "amount": amount, "refused": limit.refused })
    };
    let kind = |row: &SuggestedLimits| {
        json!({
            "kind": row.kind,
            "runs": row.runs,
            "attempts": row.attempts,
            "succeeded": row.succeeded,
            "refused": row.refused,
            "warning": row.warning(),
            "limits": row.limits.iter().map(limit).collect::<Vec<_>>(),
        })
    };
    json!({
        "since": time(suggested.since),
        "share": suggested.share,
        "kinds": suggested.kinds.iter().map(kind).collect::<Vec<_>>(),
        "without_kind": suggested.without_kind,
        "is_cut": suggested.is_cut,
        "toml": suggested.to_string(),
    })
}
