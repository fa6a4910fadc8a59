//! The views of a ledger file say what its reports say.

mod fixture;

use fixture::{DAY, Place};
use outlay::{
    Request, TaskOptions, Usage,
    report::{By, ReportOptions},
};

fn request(model: &str) -> Request {
    Request::model(model).input_tokens(2_000).max_output_tokens(500)
}

/// What a program of somebody else reads from the file.
#[test]
fn views_say_what_the_report_says() {
    let place = Place::sqlite();
    let tagged = || TaskOptions::new("refund").tag("tenant", "acme").unwrap().tag("user", "ann").unwrap();
    let task = place.ledger.open_task(tagged().id("refund-4711")).unwrap();
    task.reserve(&request("gpt-4o")).unwrap().settle(&Usage::tokens(1_000, 500)).unwrap();
    task.tool_call("search").unwrap();
    task.reserve(&request("gpt-4o-mini")).unwrap().doubt().unwrap();
    let voided = task.reserve(&request("gpt-4o-mini")).unwrap();
    voided.void().unwrap();
    place.clock.advance(DAY);
    voided.settle(&Usage::tokens(1, 1)).unwrap();
    let open = task.reserve(&request("gpt-4o")).unwrap();
    place.ledger.forget("user", "ann").unwrap();

    let totals = place.ledger.report(&ReportOptions::by(By::Model)).unwrap().totals;
    let sum = |column: &str, view: &str| place.sql::<i64>(&format!("SELECT sum({column}) FROM {view}"));
    assert_eq!(sum("settled_nanos", "outlay_calls"), totals.settled().nanos());
    assert_eq!(sum("settled_nanos", "outlay_spend_daily"), totals.settled().nanos());
    assert_eq!(sum("in_doubt_nanos", "outlay_calls"), totals.in_doubt().nanos());
    assert_eq!(sum("pending_nanos", "outlay_calls"), totals.pending().nanos());
    assert_eq!(sum("output_tokens", "outlay_calls"), totals.tokens.output as i64);
    let entries = "(SELECT * FROM outlay_entries WHERE kind IN ('settled', 'corrected'))";
    assert_eq!(sum("usd_nanos", entries), totals.settled().nanos());

    let text = |sql: &str| place.sql::<String>(sql);
    assert_eq!(
        text("SELECT settled_usd FROM outlay_calls WHERE model = 'gpt-4o' AND state = 'settled'"),
        "0.007500000"
    );
    assert_eq!(text("SELECT usd FROM outlay_entries WHERE kind = 'corrected'"), "0.000000750");
    assert_eq!(text("SELECT at FROM outlay_entries WHERE seq = 1"), "2026-11-22T12:00:00.000Z");
    assert_eq!(text("SELECT tool FROM outlay_calls WHERE tool IS NOT NULL"), "search");
    let id = format!("SELECT state FROM outlay_calls WHERE call_id = '{}'", open.id());
    assert_eq!(text(&id), "open");
    let names = "SELECT task_name || ' ' || caller_id || ' ' || is_open FROM outlay_tasks";
    assert_eq!(text(names), "refund refund-4711 1");
    assert_eq!(
        text("SELECT group_concat(day) FROM (SELECT DISTINCT day FROM outlay_spend_daily ORDER BY 1)"),
        "2026-11-22,2026-11-23"
    );
    let tags = "SELECT group_concat(key || '=' || coalesce(value, '?')) FROM
        (SELECT * FROM outlay_tags NATURAL JOIN outlay_tasks ORDER BY key)";
    assert_eq!(text(tags), "tenant=acme,user=?");
}
