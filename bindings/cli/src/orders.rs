//! What does a person order? Halts and their undoing, approvals.

use std::path::Path;

use outlay::{
    Error, ErrorKind, Result,
    ledger::{Approval, Halt as Halted},
    policy::{Scope, limit::show_time},
    report::text::{Table, shown},
};
use serde_json::{Value, json};

use crate::{
    arguments::{Approve, Halt, Json, Unhalt},
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
    let said = format!("{} is halted: {open} open attempts lie in it\n", shown(scope));
    let is_tag = open == 0 && scope.contains('=');
    Ok(if is_tag {
        said + "it is a tag; a task whose id holds `=` is named by its name or its UUID\n"
    } else {
        said
    })
}

pub(crate) fn unhalt(ledger: &Opened, asked: &Unhalt) -> Result<String> {
    ledger.unhalt(&Scope::parse(&asked.scope)?, &by(asked.by.as_deref()))?;
    Ok(format!("{} is halted no longer\n", shown(&asked.scope)))
}

pub(crate) fn halts(ledger: &Opened, asked: &Json) -> Result<String> {
    let halts = ledger.halts()?;
    if asked.json {
        let row = |halt: &Halted| {
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

pub(crate) fn approve(ledger: &Opened, asked: &Approve) -> Result<String> {
    let key = asked.key.as_deref().map(key_of).transpose()?;
    let by = by(asked.by.as_deref());
    let given = ledger.approve(&asked.id.parse()?, &asked.add, &by, key.as_deref())?;
    if asked.json.json {
        return Ok(json::printed(&approval(&given)));
    }
    let unit = given.unit.name().replace('_', " ");
    Ok(format!("{} allows {} {unit} now\n", shown(&given.budget), given.unit.show(given.limit)))
}

fn key_of(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|fault| {
        Error::new(ErrorKind::InvalidInput, format!("the key `{}` cannot be read: {fault}", path.display()))
    })
}

pub(crate) fn approvals(ledger: &Opened, asked: &Json) -> Result<String> {
    let asks = ledger.approvals()?;
    if asked.json {
        return Ok(json::printed(&asks.iter().map(approval).collect()));
    }
    if asks.is_empty() {
        return Ok("nobody asks for approval\n".to_owned());
    }
    let mut table = Table::new(["id", "asked", "task", "limit of", "unit", "limit", "needed"]).left(5);
    for ask in asks {
        let (limit, needed) = (ask.unit.show(ask.limit), ask.unit.show(ask.needed));
        let unit = ask.unit.name().replace('_', " ");
        table.row([ask.id.to_string(), show_time(ask.asked_at), ask.task, ask.budget, unit, limit, needed]);
    }
    Ok(format!("{table}\n"))
}

fn approval(ask: &Approval) -> Value {
    json!({
        "id": ask.id.to_string(),
        "asked_at": show_time(ask.asked_at),
        "task": ask.task,
        "budget": ask.budget,
        "unit": ask.unit.name(),
        "limit": ask.unit.show(ask.limit),
        "needed": ask.unit.show(ask.needed),
        "granted": ask.granted.map(|granted| ask.unit.show(granted)),
        "by": ask.by,
    })
}
