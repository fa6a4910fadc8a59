//! `outlay report whatif` against a real ledger in a file.

mod fixture;

use std::sync::Arc;

use outlay::{Config, Ledger, Request, TaskOptions, Usage};
use serde_json::{Value, json};

#[test]
fn a_what_if_reads_as_a_table_json_and_csv() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let ledger = Ledger::open(&store, Arc::new(Config::default())).unwrap();
    let task = ledger.open_task(TaskOptions::new("=refund")).unwrap();
    let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500);
    task.reserve(&request).unwrap().settle(&Usage::tokens(1_000, 500)).unwrap();
    ledger.close().unwrap();
    let ask = |words: &[&str]| fixture::outlay(&[&["--store", &store, "report"], words].concat());

    let (_, table, _) = ask(&["whatif", "--model", "gpt-4o-mini"]);
    let line = table.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(line, "=refund gpt-4o openai/gpt-4o-mini 1 0.0075 0.00045 -94.0 % ×1.00");
    assert!(table.contains("nobody can know"), "{table}");
    let (_, text, _) = ask(&["whatif", "--model", "gpt-4o-mini", "--tier", "batch", "--json"]);
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&read["service_tier"], &read["totals"]["least_usd"]), (&json!("batch"), &json!("0.000225")));
    assert_eq!(read["totals"]["exact"], true);
    let (_, csv, _) = ask(&["whatif", "--model", "claude-haiku-4-5", "--csv"]);
    let rows: Vec<&str> = csv.lines().collect();
    assert!(rows[0].starts_with("task,model,would_be,calls,recorded_usd,least_usd,most_usd,exact"), "{csv}");
    assert!(rows[1].starts_with("\"'=refund\",gpt-4o,anthropic/claude-haiku-4-5,1,0.0075,"), "{csv}");
    assert!(rows[1].contains(",false,") && rows[1].contains(",sample texts,0,0.00,"), "{csv}");

    for (words, code, part) in [
        (&["whatif"][..], 2, "say which model"),
        (&["whatif", "--tier", "slow"], 2, "`slow` is no service tier"),
        (&["whatif", "--model", "nonesuch"], 1, "nonesuch"),
        (&["waste", "--model", "gpt-4o"], 2, "`outlay report whatif`"),
    ] {
        let (got, _, errors) = ask(words);
        assert!(got == code && errors.contains(part), "{words:?}: {got} {errors}");
    }
}
