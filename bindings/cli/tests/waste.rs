//! `outlay report waste`, `tax` and `value` against real ledgers in a file.

mod fixture;

use std::{fs, sync::Arc};

use outlay::{Attempt, Config, Ledger, Request, TaskOptions, Usage};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What a command printed.
fn printed(store: &str, words: &[&str]) -> String {
    let (code, out, errors) = fixture::outlay(&[&["--store", store], words].concat());
    assert_eq!(code, 0, "{errors}");
    out
}

fn read(store: &str, what: &str) -> Value {
    serde_json::from_str(&printed(store, &["report", what, "--json"])).unwrap()
}

/// A task that failed once and succeeded, 0.0075 and 0.0035 USD.
fn sample() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let ledger = Ledger::open(&store, Arc::new(Config::default())).unwrap();
    for (end, output) in [(Attempt::Failed, 500), (Attempt::Succeeded, 100)] {
        let task = ledger.open_task(TaskOptions::new("refund").id("=cmd|'calc'!A1")).unwrap();
        let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500);
        task.reserve(&request).unwrap().settle(&Usage::tokens(1_000, output)).unwrap();
        task.end(end, None).unwrap();
    }
    ledger.close().unwrap();
    (folder, store)
}

#[test]
fn waste_reads_as_a_table_json_and_csv() {
    let (_folder, store) = sample();
    let table = printed(&store, &["report", "waste"]);
    for part in ["failed attempts       1   0.0075   0.0075   68.1 %", "of 0.011 USD settled", "outlay show"]
    {
        assert!(table.contains(part), "{table}");
    }
    let json = read(&store, "waste");
    assert_eq!(json["kinds"][0]["kind"], "failed attempts");
    assert_eq!(json["kinds"][0]["items"][0]["attempt"], 1);
    assert_eq!((&json["wasted_usd"], &json["settled_usd"]), (&json!("0.0075"), &json!("0.011")));
    let csv = printed(&store, &["report", "waste", "--csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("kind,usd,task,task_id,attempt,call_id,missed_tokens"), "{csv}");
    assert!(lines[1].starts_with("failed attempts,0.0075,\"'=cmd"), "{csv}");
    assert_eq!(lines.len(), 2);
}

#[test]
fn the_tax_reads_as_a_table_json_and_csv() {
    let (_folder, store) = sample();
    let table = printed(&store, &["report", "tax"]);
    let cells = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = table.lines().nth(1).map(cells);
    let expected = "refund 2 100.0 % 2.00 2 0.0035 1,100 0.0075 1,500 0.00 214.2 %";
    assert_eq!(line.as_deref(), Some(expected), "{table}");
    let json = read(&store, "tax");
    assert_eq!(
        (&json["totals"]["lost_usd"], &json["rows"][0]["tax_per_mille"]),
        (&json!("0.0075"), &json!(2142))
    );
    let csv = printed(&store, &["report", "tax", "--csv"]);
    assert_eq!(csv.lines().nth(1), Some("refund,1,1,1000,2,1,2000,2,0.0035,1100,0.0075,1500,0.00,0,2142"));
}

#[test]
fn value_reads_as_a_table_json_and_csv() {
    let (_folder, store) = sample();
    assert_eq!(printed(&store, &["report", "value"]), "no run said what it was worth\n");
    let ledger = Ledger::open(&store, Arc::new(Config::default())).unwrap();
    let task = ledger.open_task(TaskOptions::new("fix")).unwrap();
    let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500);
    task.reserve(&request).unwrap().settle(&Usage::tokens(1_000, 500)).unwrap();
    task.succeed("3").unwrap();
    ledger.close().unwrap();
    let table = printed(&store, &["report", "value"]);
    let cells = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        table.lines().nth(1).map(cells).as_deref(),
        Some("fix 3.00 0.0075 1,500 400.00 2000.00"),
        "{table}"
    );
    let json = read(&store, "value");
    assert_eq!((&json["totals"]["value"], &json["runs"][0]["task"]), (&json!("3.00"), &json!("fix")));
    let csv = printed(&store, &["report", "value", "--csv"]);
    assert_eq!(csv.lines().nth(1), Some("kind,fix,3.00,0.0075,1500,400.0,2000.0"), "{csv}");
}

#[test]
fn imported_logs_have_waste_too() {
    let folder = tempfile::tempdir().unwrap();
    let line = |id: &str, at: &str, input: u64| {
        json!({"type": "assistant", "sessionId": "s", "timestamp": at, "cwd": "/home/me/shop",
            "message": {"id": id, "model": "claude-sonnet-4-5", "stop_reason": "end_turn", "usage": {
                "input_tokens": input, "cache_read_input_tokens": 0, "output_tokens": 10}}})
        .to_string()
    };
    let lines = [line("msg_1", "2026-11-01T10:00:00Z", 5_000), line("msg_2", "2026-11-01T10:01:00Z", 9_000)];
    fs::write(folder.path().join("s.jsonl"), lines.join("\n")).unwrap();
    let store = format!("sqlite:{}", folder.path().join("past.db").display());
    printed(&store, &["import", "claude-code", folder.path().to_str().unwrap()]);
    let json = read(&store, "waste");
    assert_eq!(json["context"]["growth_per_call"], 4_000);
    // A log does not tell what failed or where prompts differ.
    assert_eq!(json["kinds"], json!([]));
    let settled: f64 = json["settled_usd"].as_str().unwrap().parse().unwrap();
    assert!(settled > 0.0);
}
