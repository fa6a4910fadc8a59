//! How do rows become values? Conversions between SQLite's columns and the rows of `store`.

use rusqlite::{
    Row,
    types::{Type, Value},
};

use super::taken::Cells;
use crate::{
    error::{Error, ErrorKind, Result},
    ledger::{
        deadline::Until,
        entry::{Entry, Kind, Under, read_proofs, read_under},
        store::{Account, CallRow, Run, State, TaskRow},
    },
    policy::{Amounts, Balance, Ceiling, Deadlines, Thresholds, Window},
    value::{Id, Tags, Usage},
};

/// A failure of SQLite as one of ours.
pub(super) fn failed(error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    match &error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            let text = message.clone().unwrap_or_else(|| failure.to_string());
            let damaged = matches!(failure.code, Code::DatabaseCorrupt | Code::NotADatabase)
                // A table or a column: our statements ask for those of the schema only.
                || text.starts_with("no such ");
            let kind = if damaged { ErrorKind::Corrupt } else { ErrorKind::StoreUnavailable };
            let said = match failure.code {
                _ if damaged => "the ledger is damaged or no ledger",
                Code::DatabaseBusy | Code::DatabaseLocked => {
                    "the ledger is held by somebody else for too long"
                }
                Code::DiskFull => "the disk of the ledger is full",
                Code::ReadOnly => "the ledger is read-only",
                _ => "the ledger could not answer",
            };
            Error::new(kind, format!("{said}: {text}"))
        }
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => {
            Error::corrupt(format!("a row of the ledger cannot be read: {error}"))
        }
        rusqlite::Error::QueryReturnedNoRows => Error::corrupt("a row of the ledger is missing"),
        _ => Error::store(format!("the ledger could not answer: {error}")),
    }
}

pub(super) fn id_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Id> {
    row.get(column).map(Id::from_bytes)
}

fn amounts_of(row: &Row<'_>, first: usize) -> rusqlite::Result<Amounts> {
    Ok(Amounts([row.get(first)?, row.get(first + 1)?, row.get(first + 2)?, row.get(first + 3)?]))
}

pub(super) fn balance_of(row: &Row<'_>) -> rusqlite::Result<Balance> {
    Ok(Balance { settled: amounts_of(row, 0)?, pending: amounts_of(row, 4)?, in_doubt: amounts_of(row, 8)? })
}

pub(super) const TASK: &str =
    "no, id, caller, name, parent, depth, tags, attempts, owner, opened_ms, observes, outcome";

pub(super) fn task_of(row: &Row<'_>) -> rusqlite::Result<TaskRow> {
    Ok(TaskRow {
        no: row.get(0)?,
        id: Some(id_of(row, 1)?),
        caller: row.get(2)?,
        name: row.get(3)?,
        parent: row.get(4)?,
        depth: row.get(5)?,
        tags: tags_of(row, 6)?,
        attempts: row.get(7)?,
        owner: row.get(8)?,
        opened_ms: row.get(9)?,
        observes: row.get(10)?,
        outcome: row.get(11)?,
    })
}

fn tags_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u32>> {
    let tags: Vec<u8> = row.get(column)?;
    Ok(tags.as_chunks::<4>().0.iter().map(|no| u32::from_be_bytes(*no)).collect())
}

/// A run, behind what it used.
pub(super) fn run_of(row: &Row<'_>) -> rusqlite::Result<Run> {
    let (used, tags) = (amounts_of(row, 0)?, tags_of(row, 4)?);
    Ok(Run { tags, attempts: row.get(5)?, outcome: row.get(6)?, used })
}

pub(super) const ACCOUNT: &str = "no, task, budget, value, window, zone, hard_usd, hard_tokens, \
    hard_llm_calls, hard_tool_calls, soft_usd, soft_tokens, soft_llm_calls, soft_tool_calls, \
    deadline_ms, soft_deadline_ms, waited_ms, counted_ms, alerts";

/// The account without its label, which is made of names.
pub(super) fn account_of(row: &Row<'_>) -> rusqlite::Result<(Account, String, Option<String>)> {
    let mut ceiling = Ceiling::default();
    for unit in 0..4 {
        ceiling.hard[unit] = row.get(6 + unit)?;
        ceiling.soft[unit] = row.get(10 + unit)?;
    }
    let alerts: String = row.get(18)?;
    let alerts = Thresholds::parse(alerts.split(", ").filter(|text| !text.is_empty()))
        .map_err(|_| rusqlite::Error::InvalidColumnType(18, "alerts".to_owned(), Type::Text))?;
    let account = Account {
        no: row.get(0)?,
        task: row.get(1)?,
        budget: row.get(2)?,
        value: row.get(3)?,
        ceiling,
        until: Until {
            times: Deadlines { hard: row.get(14)?, soft: row.get(15)? },
            waited_ms: row.get(16)?,
            counted_ms: row.get(17)?,
        },
        alerts,
        ..Account::default()
    };
    Ok((account, row.get(4)?, row.get(5)?))
}

/// What of an account can change, in the order of its columns.
pub(super) fn limits_of(account: &Account) -> impl Iterator<Item = Value> {
    let until = account.until;
    let Deadlines { hard, soft } = until.times;
    let times = [hard, soft, Some(until.waited_ms), Some(until.counted_ms)];
    account.ceiling.hard.into_iter().chain(account.ceiling.soft).chain(times).map(Value::from)
}

pub(super) fn window_of(window: &str, zone: Option<&str>) -> Result<Window> {
    Window::parse(window, zone).map_err(|error| Error::corrupt(error.to_string()))
}

pub(super) const CALL: &str = "id, task, attempt, owner, state, correctable, at_ms, held_usd, held_tokens, \
    held_llm_calls, held_tool_calls, used_usd, used_tokens, used_llm_calls, used_tool_calls, \
    max_output_tokens, request_hash, under";

pub(super) fn call_of(row: &Row<'_>) -> rusqlite::Result<Option<CallRow>> {
    let state: u8 = row.get(4)?;
    let under: Vec<u8> = row.get(17)?;
    let (Some(state), Some(under)) = (State::ALL.get(usize::from(state)).copied(), read_under(&under)) else {
        return Ok(None);
    };
    Ok(Some(CallRow {
        id: id_of(row, 0)?,
        task: row.get(1)?,
        attempt: row.get(2)?,
        owner: row.get(3)?,
        state,
        correctable: row.get(5)?,
        at_ms: row.get(6)?,
        held: amounts_of(row, 7)?,
        used: amounts_of(row, 11)?,
        max_output_tokens: row.get::<_, i64>(15)? as u64,
        request_hash: row.get(16)?,
        under,
    }))
}

/// Reads an entry; nothing when it cannot be one.
pub(super) fn entry_of(row: &Cells<'_>) -> Option<Entry> {
    const CELLS: usize = Entry::COLUMNS.len();
    let mut cells = [0; CELLS];
    for (column, cell) in cells.iter_mut().enumerate() {
        *cell = row.get(column).ok()?;
    }
    let call = row.exactly(CELLS).ok()?.map(Id::from_bytes);
    let under = match row.bytes(CELLS + 1).ok()? {
        None => None,
        Some(bytes) => Some(read_under(bytes)?),
    };
    let proofs = read_proofs(row.bytes(CELLS + 2).ok()?.unwrap_or_default())?;
    Entry::of(&cells, call, under, proofs)
}

/// What a report adds up, the tokens behind the rest.
pub(super) const MOVEMENT: &str = "kind, flags, call, usd, tokens, llm_calls, tool_calls, \
    task, attempt, model_asked, input_tokens, cache_read_tokens, cache_write_tokens, \
    cache_write_1h_tokens, output_tokens, reasoning_tokens, at_ms";

/// Reads the columns of [`MOVEMENT`]. Reading costs more than finding: of each kind of entry only
/// what it alone says is read.
pub(super) fn movement_of(row: &Cells<'_>) -> rusqlite::Result<Entry> {
    let kind = row.get(0)?;
    let mut entry = Entry { kind, flags: row.get(1)?, call: Some(row.id(2)?), ..Entry::default() };
    if kind == Kind::Reserved {
        (entry.task, entry.attempt, entry.model_asked) = (row.get(7)?, row.get(8)?, row.get(9)?);
        entry.at_ms = row.get(16)?;
        entry.set_amounts(&row.amounts(3)?);
        return Ok(entry);
    }
    if !matches!(kind, Kind::Settled | Kind::Corrected) {
        return Ok(entry);
    }
    entry.input_tokens = row.get(10)?;
    entry.cache_read_tokens = row.get(11)?;
    entry.cache_write_tokens = row.get(12)?;
    entry.cache_write_1h_tokens = row.get(13)?;
    entry.output_tokens = row.get(14)?;
    entry.reasoning_tokens = row.get(15)?;
    entry.set_amounts(&row.amounts(3)?);
    Ok(entry)
}

/// What tells how good a count was.
pub(super) const COUNT: &str = "kind, flags, call, provider, model_asked, tool_set, \
    input_bound, counted_tokens, input_tokens, prefix_tokens, known_tokens";

/// Reads the columns of [`COUNT`].
pub(super) fn count_of(row: &Cells<'_>) -> rusqlite::Result<Entry> {
    let kind = row.get(0)?;
    let (flags, call) = (row.get(1)?, Some(row.id(2)?));
    let mut entry = Entry { kind, flags, call, ..Entry::default() };
    if kind == Kind::Reserved {
        (entry.provider, entry.model_asked, entry.tool_set) = (row.get(3)?, row.get(4)?, row.get(5)?);
        (entry.input_bound, entry.counted_tokens) = (row.get(6)?, row.get(7)?);
        (entry.prefix_tokens, entry.known_tokens) = (row.get(9)?, row.get(10)?);
    } else {
        entry.input_tokens = row.get(8)?;
    }
    Ok(entry)
}

/// What tells why a call was paid for.
pub(super) const REQUEST: &str = "kind, flags, call, usd, price, task, attempt, model_asked, llm_calls, \
    request_hash, message_count, tool_definition_tokens, prefix_messages, prefix_bytes, prefix_tokens, \
    known_tokens, input_tokens, cache_read_tokens, subject, at_ms, cache_write_tokens, \
    cache_write_1h_tokens";

/// Reads the columns of [`REQUEST`].
pub(super) fn request_of(row: &Cells<'_>) -> rusqlite::Result<Entry> {
    let kind = row.get(0)?;
    let mut entry = Entry { kind, flags: row.get(1)?, ..Entry::default() };
    if kind == Kind::Verdict {
        (entry.task, entry.attempt, entry.subject) = (row.get(5)?, row.get(6)?, row.get(18)?);
        return Ok(entry);
    }
    entry.call = Some(row.id(2)?);
    if kind == Kind::Reserved {
        (entry.price, entry.task, entry.attempt) = (row.get(4)?, row.get(5)?, row.get(6)?);
        (entry.model_asked, entry.llm_calls, entry.at_ms) = (row.get(7)?, row.get(8)?, row.get(19)?);
        entry.message_count = row.get(10)?;
        if entry.message_count != 0 {
            entry.request_hash = row.get(9)?;
            entry.tool_definition_tokens = row.get(11)?;
            (entry.prefix_messages, entry.prefix_bytes) = (row.get(12)?, row.get(13)?);
            (entry.prefix_tokens, entry.known_tokens) = (row.get(14)?, row.get(15)?);
        }
    } else if matches!(kind, Kind::Settled | Kind::Corrected) {
        (entry.usd, entry.price) = (row.get(3)?, row.get(4)?);
        (entry.input_tokens, entry.cache_read_tokens) = (row.get(16)?, row.get(17)?);
        (entry.cache_write_tokens, entry.cache_write_1h_tokens) = (row.get(20)?, row.get(21)?);
    }
    Ok(entry)
}

/// What was bought, of whom and under what.
pub(super) const BILL: &str = "kind, flags, call, usd, price, at_ms, task, llm_calls, provider, model_asked, \
    under, input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, input_audio_tokens, \
    input_image_tokens, output_tokens, reasoning_tokens, output_audio_tokens, output_image_tokens, \
    web_searches";

/// Reads the columns of [`BILL`].
pub(super) fn bill_of(row: &Cells<'_>) -> rusqlite::Result<Entry> {
    let kind = row.get(0)?;
    let mut entry = Entry { kind, flags: row.get(1)?, call: Some(row.id(2)?), ..Entry::default() };
    if kind == Kind::Reserved {
        (entry.price, entry.at_ms, entry.task) = (row.get(4)?, row.get(5)?, row.get(6)?);
        (entry.llm_calls, entry.provider, entry.model_asked) = (row.get(7)?, row.get(8)?, row.get(9)?);
        entry.under = under_of(row, 10)?;
    } else if matches!(kind, Kind::Settled | Kind::Corrected) {
        (entry.usd, entry.price) = (row.get(3)?, row.get(4)?);
        entry.set_usage(&Usage {
            cache_read_tokens: row.get(12)?,
            cache_write_tokens: row.get(13)?,
            cache_write_1h_tokens: row.get(14)?,
            input_audio_tokens: row.get(15)?,
            input_image_tokens: row.get(16)?,
            reasoning_tokens: row.get(18)?,
            output_audio_tokens: row.get(19)?,
            output_image_tokens: row.get(20)?,
            web_searches: row.get(21)?,
            ..Usage::tokens(row.get(11)?, row.get(17)?)
        });
    }
    Ok(entry)
}

/// What tells how an attempt went.
pub(super) const ATTEMPT: &str = "kind, task, attempt, subject, note, tools_used, at_ms";

/// Reads the columns of [`ATTEMPT`].
pub(super) fn attempt_of(row: &Cells<'_>) -> rusqlite::Result<Entry> {
    let kind = row.get(0)?;
    let (task, attempt, subject, note) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
    let (tools_used, at_ms) = (row.get(5)?, row.get(6)?);
    Ok(Entry { kind, at_ms, task, attempt, tools_used, subject, note, ..Entry::default() })
}

/// Where money was, of whom and how it went, and what would have refused it.
pub(super) const PAYMENT: &str = "kind, flags, call, usd, at_ms, task, model_asked, subject, evidence, under";

/// Reads the columns of [`PAYMENT`].
pub(super) fn payment_of(row: &Cells<'_>) -> rusqlite::Result<Entry> {
    let (kind, flags, usd, call) = (row.get(0)?, row.get(1)?, row.get(3)?, Some(row.id(2)?));
    let mut entry = Entry { kind, flags, usd, call, ..Entry::default() };
    if kind == Kind::Reserved {
        (entry.at_ms, entry.task, entry.model_asked) = (row.get(4)?, row.get(5)?, row.get(6)?);
        (entry.subject, entry.evidence, entry.under) = (row.get(7)?, row.get(8)?, under_of(row, 9)?);
    }
    Ok(entry)
}

fn under_of(row: &Cells<'_>, column: usize) -> rusqlite::Result<Option<Under>> {
    let wrong = || rusqlite::Error::InvalidColumnType(column, "under".to_owned(), Type::Blob);
    row.bytes(column)?.map(|bytes| read_under(bytes).ok_or_else(wrong)).transpose()
}

pub(super) fn tags_bytes(tags: &[u32]) -> Vec<u8> {
    tags.iter().flat_map(|no| no.to_be_bytes()).collect()
}

/// A budget's scope as its column holds it: dictionary ids of its tags.
pub(super) fn scope_of(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|no| u32::from_be_bytes(*no)).collect()
}

pub(super) fn pair(tags: &mut Tags, key: &str, value: &str) -> Result<()> {
    tags.set(key, value).map_err(|error| Error::corrupt(error.to_string()))
}

/// The sum of the slots from one on, in the order of [`balance_of`].
pub(super) const SUMS: &str = "sum(settled_usd), sum(settled_tokens), sum(settled_llm_calls), \
    sum(settled_tool_calls), sum(pending_usd), sum(pending_tokens), sum(pending_llm_calls), \
    sum(pending_tool_calls), sum(in_doubt_usd), sum(in_doubt_tokens), sum(in_doubt_llm_calls), \
    sum(in_doubt_tool_calls)";

/// One slot, in the order of [`balance_of`].
pub(super) const SLOT: &str = "settled_usd, settled_tokens, settled_llm_calls, settled_tool_calls, \
    pending_usd, pending_tokens, pending_llm_calls, pending_tool_calls, \
    in_doubt_usd, in_doubt_tokens, in_doubt_llm_calls, in_doubt_tool_calls";
