//! `outlay report kinds` against a real ledger in a file.

mod fixture;

use std::sync::Arc;

use outlay::{Attempt, Config, Ledger, Request, TaskOptions, Usage};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What a command printed.
fn printed(store: &str, words: &[&str]) -> String {
    let (code, out, errors) = fixture::outlay(&[&["--store", store], words].concat());
    assert_eq!(code, 0, "{errors}");
    out
}

fn read(store: &str, words: &[&str]) -> Value {
    serde_json::from_str(&printed(store, &[words, &["--json"]].concat())).unwrap()
}

/// The lines of a table without what lines them up.
fn cells(table: &str) -> Vec<String> {
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// A task of one tenant that failed once and succeeded, 0.0075 and 0.0035 USD; one of another, 0.0025 USD.
fn sample() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let ledger = Ledger::open(&store, Arc::new(Config::default())).unwrap();
    let runs = [
        ("refund", "acme", Attempt::Failed, 500),
        ("refund", "acme", Attempt::Succeeded, 100),
        ("payout", "umbrella", Attempt::Succeeded, 0),
    ];
    for (name, tenant, end, output) in runs {
        let task = ledger.open_task(TaskOptions::new(name).tag("tenant", tenant).unwrap()).unwrap();
        let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500);
        task.reserve(&request).unwrap().settle(&Usage::tokens(1_000, output)).unwrap();
        task.end(end, None).unwrap();
    }
    ledger.close().unwrap();
    (folder, store)
}

#[test]
fn kinds_read_as_tables_json_and_csv() {
    let (_folder, store) = sample();
    let table = printed(&store, &["report", "kinds"]);
    let expected = [
        "kind runs succeeded 95 % sure spent per success p50 p95 p99 max",
        "refund 2 50.0 % 9 to 91 % 0.011 0.011 0.0035 0.0075 0.0075 0.0075",
        "payout 1 100.0 % 21 to 100 % 0.0025 0.0025 0.0025 0.0025 0.0025 0.0025",
        "total 3 66.6 % 21 to 94 % 0.0135 0.00675 0.0035 0.0075 0.0075 0.0075",
        "",
        "kind model runs succeeded 95 % sure spent per success p50 p95 p99 max",
        "refund gpt-4o 2 50.0 % 9 to 91 % 0.011 0.011 0.0035 0.0075 0.0075 0.0075",
        "payout gpt-4o 1 100.0 % 21 to 100 % 0.0025 0.0025 0.0025 0.0025 0.0025 0.0025",
        "in 2 of 2 rows by model fewer than 20 runs have ended: too few to choose by",
    ];
    assert_eq!(cells(&table), expected, "{table}");
    let json = read(&store, &["report", "kinds"]);
    let row = &json["models"][0];
    assert_eq!((&row["kind"], &row["usd_per_success"]), (&json!("refund"), &json!("0.011")));
    assert_eq!((&row["is_few"], &row["success_per_mille"]), (&json!(true), &json!(500)));
    let csv = printed(&store, &["report", "kinds", "--csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("kind,model,runs,succeeded,lost,open,mixed,is_few"), "{csv}");
    assert!(lines[1].starts_with("refund,,2,1,1,0,0,true,500,0.0"), "{csv}");
    assert!(lines[3].starts_with("refund,gpt-4o,2,1,1,0,0,true,500,0.0"), "{csv}");
    let nothing = printed(&store, &["report", "kinds", "--since", "2999-01-01"]);
    assert_eq!(nothing, "there are no runs\n");
}
