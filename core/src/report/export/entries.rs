//! What does each entry say? All of it, with names in place of numbers.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Line, Names, Page, Rows};
use crate::{
    error::Result,
    ledger::{Entry, Kind, flag, store::Tx},
    report::text::csv_cell,
    value::{Millis, Money},
};

/// The columns that are words; all others are numbers of the entry, by the names of its columns.
const WORDS: [&str; 10] = [
    "step",
    "turn",
    "provider",
    "model_asked",
    "model_used",
    "price",
    "tool",
    "tool_set",
    "note",
    "evidence",
];
/// What stands before the numbers.
const FIRST: [&str; 7] = ["seq", "at", "kind", "task_id", "task_name", "usd_text", "tags"];

/// Rows under a heading.
pub(super) struct Sheet;

/// An object a line.
pub(super) struct Objects;

impl Rows for Sheet {
    fn heading(&self) -> String {
        let columns = Entry::COLUMNS.iter().filter(|name| **name != "kind" && **name != "at_ms");
        let all = FIRST.iter().chain(columns).copied().chain(["call"]);
        all.collect::<Vec<_>>().join(",") + "\r\n"
    }

    fn add(&mut self, tx: &mut dyn Tx, line: &Line, names: &mut Names, page: &mut Page) -> Result<()> {
        let Some(object) = read(tx, line, names, page)? else { return Ok(()) };
        let cells = object.values().map(|value| match value {
            Value::String(text) => csv_cell(text).into_owned(),
            Value::Null => String::new(),
            Value::Number(number) => number.to_string(),
            other => csv_cell(&other.to_string()).into_owned(),
        });
        page.text += &(cells.collect::<Vec<_>>().join(",") + "\r\n");
        Ok(())
    }
}

impl Rows for Objects {
    fn heading(&self) -> String {
        String::new()
    }

    fn add(&mut self, tx: &mut dyn Tx, line: &Line, names: &mut Names, page: &mut Page) -> Result<()> {
        let Some(object) = read(tx, line, names, page)? else { return Ok(()) };
        page.text += &(Value::Object(object).to_string() + "\n");
        Ok(())
    }
}

/// An entry of the period, and what it adds to the sums.
fn read(
    tx: &mut dyn Tx,
    line: &Line,
    names: &mut Names,
    page: &mut Page,
) -> Result<Option<Map<String, Value>>> {
    let Line { seq, entry, within } = line;
    if !within {
        return Ok(None);
    }
    page.exported.rows += 1;
    if matches!(entry.kind, Kind::Settled | Kind::Corrected) {
        page.settle(entry.usd)?;
        page.exported.unpriced_calls += u64::from(entry.has(flag::UNPRICED));
    }
    let (task, id) = if entry.task == 0 { (None, None) } else { names.task(tx, entry.task)? };
    let tags = names.tags(tx, entry.task)?.into_iter().map(|(key, value)| (key, value.into()));
    let mut object = Map::new();
    let first: [Value; 7] = [
        (*seq).into(),
        time_text(entry.at_ms).into(),
        entry.kind.name().into(),
        id.map(|id| id.to_string()).into(),
        task.into(),
        Money::from_nanos(entry.usd).decimal().into(),
        Value::Object(tags.collect()),
    ];
    object.extend(FIRST.iter().map(|name| (*name).to_owned()).zip(first));
    for (name, cell) in Entry::COLUMNS.iter().zip(entry.cells()) {
        let value = match *name {
            "kind" | "at_ms" => continue,
            "flags" => flags_text(entry.flags).into(),
            "subject" if entry.kind == Kind::AttemptEnded => names.text(tx, entry.subject)?.into(),
            name if WORDS.contains(&name) => names.text(tx, u32::try_from(cell).unwrap_or(0))?.into(),
            _ => cell.into(),
        };
        object.insert((*name).to_owned(), value);
    }
    object.insert("call".to_owned(), entry.call.map(|call| call.to_string()).into());
    Ok(Some(object))
}

fn flags_text(flags: u32) -> String {
    let on = flag::NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name);
    on.collect::<Vec<_>>().join(" ")
}

fn time_text(at: Millis) -> String {
    Timestamp::from_millisecond(at).map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}
