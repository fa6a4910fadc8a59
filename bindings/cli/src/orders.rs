//! What does a person order? Halts and their undoing.

use outlay::{Result, policy::Scope, policy::limit::show_time, report::text::Table, report::text::shown};
use serde_json::{Value, json};

use crate::{
    arguments::{Halt, Json, Unhalt},
    json,
    place::Opened,
};

/// Who orders it, as far as anybody says.
pub(crate) fn by(said: Option<&str>) -> String {
    let own = || ["USER", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let by = said.map(ToOwned::to_owned).or_else(own).filter(|name| !name.is_empty());
    by.unwrap_or_else(|| "command line".to_owned())
}

pub(crate) fn halt(ledger: &Opened, scope: &str, reason: &str, asked: &Halt) -> Result<String> {
    let open = ledger.halt(&Scope::parse(scope)?, &by(asked.by.as_deref()), reason)?;
    if asked.json.json {
        return Ok(json::printed(&json!({ "scope": scope, "open_attempts": open })));
    }
    // A name misspelt halts nothing; the count tells.
    Ok(format!("{} is halted: {open} open attempts lie in it\n", shown(scope)))
}

pub(crate) fn unhalt(ledger: &Opened, asked: &Unhalt) -> Result<String> {
    ledger.unhalt(&Scope::parse(&asked.scope)?, &by(asked.by.as_deref()))?;
    Ok(format!("{} is halted no longer\n", shown(&asked.scope)))
}

pub(crate) fn halts(ledger: &Opened, asked: &Json) -> Result<String> {
    let halts = ledger.halts()?;
    if asked.json {
        let row = |halt: &outlay::ledger::Halt| {
            json!({
                "scope": halt.scope,
                "by": halt.by,
                "reason": halt.reason,
                "since": show_time(halt.at_ms),
            })
        };
        return Ok(json::printed(&halts.iter().map(row).collect::<Value>()));
    }
    if halts.is_empty() {
        return Ok("nothing is halted\n".to_owned());
    }
    let mut table = Table::new(["scope", "since", "by", "reason"]).left(4);
    for halt in halts {
        table.row([halt.scope, show_time(halt.at_ms), halt.by, halt.reason]);
    }
    Ok(format!("{table}\n"))
}
