//! How do other programs read the file? Views with names in place of numbers, for people's own SQL.
//!
//! `docs/exports.md` has their columns. Money is in whole nano-USD, and beside it in USD as text; the
//! sums of both are those of the reports.

use crate::{
    ledger::entry::{Kind, flag},
    value::tags::TAGS_MAX,
};

/// The statements that make the views.
pub(super) fn statements() -> String {
    [entries(), tasks(), tags(), calls(), spend_daily()].join(";\n") + ";"
}

fn name(number: &str) -> String {
    format!("(SELECT value FROM names WHERE no = {number})")
}

fn uuid(column: &str) -> String {
    let part = |from: u8, length: u8| format!("substr(lower(hex({column})), {from}, {length})");
    let parts = [part(1, 8), part(9, 4), part(13, 4), part(17, 4), part(21, 12)].join(" || '-' || ");
    format!("CASE WHEN {column} IS NOT NULL THEN {parts} END")
}

fn time(column: &str) -> String {
    format!("strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1000.0, 'unixepoch')")
}

fn usd(nanos: &str) -> String {
    const USD: i64 = 1_000_000_000;
    format!(
        "CASE WHEN {nanos} < 0 THEN '-' ELSE '' END || (abs({nanos}) / {USD}) || '.' || \
         substr('00000000' || (abs({nanos}) % {USD}), -9)"
    )
}

fn task_id(column: &str) -> String {
    format!("(SELECT {} FROM tasks WHERE no = {column})", uuid("id"))
}

fn task_name(column: &str) -> String {
    format!(
        "(SELECT {} FROM tasks WHERE no = {column})",
        name("CASE caller WHEN 0 THEN name ELSE caller END")
    )
}

fn kind() -> String {
    let words = Kind::all().map(|kind| format!("WHEN {} THEN '{}'", kind as u8, kind.name()));
    format!("CASE kind {} END", words.collect::<Vec<_>>().join(" "))
}

fn flags() -> String {
    let word = |(bit, name)| format!("CASE WHEN flags & {bit} THEN '{name} ' ELSE '' END");
    format!("rtrim({})", flag::NAMES.map(word).join(" || "))
}

fn entries() -> String {
    let words =
        ["step", "turn", "provider", "model_asked", "model_used", "price", "tool", "note", "evidence"];
    let words: Vec<String> = words.iter().map(|word| format!("{} AS {word}", name(word))).collect();
    format!(
        "CREATE VIEW outlay_entries AS SELECT seq, {} AS at, at_ms, {} AS kind, {} AS call_id, \
         {} AS task_id, {} AS task_name, attempt, {}, {} AS flags, usd AS usd_nanos, {} AS usd, \
         tokens, llm_calls, tool_calls, input_bound, max_output_tokens, input_tokens, \
         cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, \
         reasoning_tokens, web_searches, runtime_ms, owner FROM entries",
        time("at_ms"),
        kind(),
        uuid("call"),
        task_id("task"),
        task_name("task"),
        words.join(", "),
        flags(),
        usd("usd"),
    )
}

fn tasks() -> String {
    format!(
        "CREATE VIEW outlay_tasks AS SELECT {} AS task_id, {} AS task_name, {} AS caller_id, \
         {} AS parent_id, depth, attempts, {} AS outcome, owner <> 0 AS is_open, observes <> 0 AS observes, \
         {} AS opened_at, opened_ms FROM tasks",
        uuid("id"),
        name("tasks.name"),
        name("caller"),
        "(SELECT ".to_owned() + &uuid("above.id") + " FROM tasks AS above WHERE above.no = tasks.parent)",
        name("outcome"),
        time("opened_ms"),
    )
}

/// A task's tags are numbers of four bytes each, one behind the other. Not by recursion, which DuckDB
/// writes anew in a way that SQLite does not read.
fn tags() -> String {
    let places = (0..TAGS_MAX).map(|place| format!("SELECT {} AS place", 8 * place + 1));
    let digit = |at: usize| {
        format!("(instr('123456789ABCDEF', substr(digits, place + {at}, 1)) << {})", 4 * (7 - at))
    };
    let number = (0..8).map(digit).collect::<Vec<_>>().join(" | ");
    format!(
        "CREATE VIEW outlay_tags AS WITH tagged AS ( \
             SELECT no, {number} AS tag FROM (SELECT no, hex(tags) AS digits FROM tasks) AS every \
             JOIN ({}) AS places ON place < length(digits)) \
         SELECT {} AS task_id, names.key AS key, names.value AS value \
         FROM tagged JOIN names ON names.no = tagged.tag",
        places.collect::<Vec<_>>().join(" UNION ALL "),
        task_id("tagged.no"),
    )
}

/// Each call as it stands now, money put by for a last one aside. Of several entries about its use
/// the last has all of its tokens.
fn calls() -> String {
    format!(
        "CREATE VIEW outlay_calls AS WITH used AS ( \
             SELECT call, max(seq), flags, model_used, runtime_ms, input_tokens, cache_read_tokens, \
                 cache_write_tokens + cache_write_1h_tokens AS cache_write_tokens, output_tokens, \
                 reasoning_tokens, tool \
             FROM entries WHERE kind IN ({}, {}) GROUP BY call), \
         every AS ( \
             SELECT made.*, calls.state, calls.used_usd, \
                 CASE calls.state WHEN 1 THEN calls.held_usd ELSE 0 END AS doubted_usd, \
                 CASE calls.state WHEN 0 THEN calls.held_usd ELSE 0 END AS pending_usd \
             FROM entries AS made JOIN calls ON calls.id = made.call \
             WHERE made.kind = {} AND made.flags & {} = 0) \
         SELECT {} AS call_id, {} AS task_id, {} AS task_name, every.attempt, {} AS step, {} AS turn, \
             {} AS provider, {} AS model, {} AS tool, {} AS at, every.at_ms, \
             CASE state WHEN 0 THEN 'open' WHEN 1 THEN 'in_doubt' WHEN 2 THEN 'settled' ELSE 'voided' END \
                 AS state, \
             coalesce(used.flags & {}, 0) <> 0 AS is_estimated, \
             used_usd AS settled_nanos, {} AS settled_usd, doubted_usd AS in_doubt_nanos, \
             pending_usd AS pending_nanos, every.usd AS reserved_nanos, \
             coalesce(used.input_tokens, 0) AS input_tokens, \
             coalesce(used.cache_read_tokens, 0) AS cache_read_tokens, \
             coalesce(used.cache_write_tokens, 0) AS cache_write_tokens, \
             coalesce(used.output_tokens, 0) AS output_tokens, \
             coalesce(used.reasoning_tokens, 0) AS reasoning_tokens, \
             coalesce(used.runtime_ms, 0) AS runtime_ms, every.llm_calls, every.tool_calls \
         FROM every LEFT JOIN used ON used.call = every.call",
        Kind::Settled as u8,
        Kind::Corrected as u8,
        Kind::Reserved as u8,
        flag::KEPT,
        uuid("every.call"),
        task_id("every.task"),
        task_name("every.task"),
        name("every.step"),
        name("every.turn"),
        name("every.provider"),
        name("every.model_asked"),
        name("used.tool"),
        time("every.at_ms"),
        flag::ESTIMATED,
        usd("used_usd"),
    )
}

/// What was settled and corrected on each day, by what was asked for.
fn spend_daily() -> String {
    format!(
        "CREATE VIEW outlay_spend_daily AS WITH moved AS ( \
             SELECT strftime('%Y-%m-%d', moved.at_ms / 1000, 'unixepoch') AS day, made.provider AS provider, \
                 made.model_asked AS model, made.task AS task, sum(moved.usd) AS nanos, \
                 sum(moved.tokens) AS tokens, sum(moved.llm_calls) AS llm_calls, \
                 sum(moved.tool_calls) AS tool_calls \
             FROM entries AS moved JOIN entries AS made ON made.call = moved.call AND made.kind = {} \
             WHERE moved.kind IN ({}, {}) GROUP BY 1, 2, 3, 4) \
         SELECT day, {} AS provider, {} AS model, {} AS task_name, {} AS task_id, \
             nanos AS settled_nanos, {} AS settled_usd, tokens, llm_calls, tool_calls FROM moved",
        Kind::Reserved as u8,
        Kind::Settled as u8,
        Kind::Corrected as u8,
        name("moved.provider"),
        name("moved.model"),
        task_name("moved.task"),
        task_id("moved.task"),
        usd("nanos"),
    )
}
