//! `outlay report kinds`, `slo` and `margin` against a real ledger in a file.

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

#[test]
fn nothing_is_held_against_runs_where_nothing_is_configured() {
    let (_folder, store) = sample();
    let text = printed(&store, &["report", "slo"]);
    assert_eq!(text, "the configuration says of no kind what its runs may cost\n");
    assert_eq!(read(&store, &["report", "slo"])["rows"], json!([]));
}

#[test]
fn margins_read_as_a_table_json_and_csv() {
    let (folder, store) = sample();
    let file = folder.path().join("invoices.csv");
    fs::write(&file, "key,revenue_usd\nacme,0.01\n").unwrap();
    let table = printed(&store, &["report", "margin", "--revenue", file.to_str().unwrap()]);
    let expected = [
        "tag:tenant calls revenue spent margin of revenue",
        "acme 2 0.01 0.011 -0.001 -10.0 %",
        "umbrella 1 - 0.0025 - -",
        "total 2 0.01 0.011 -0.001 -10.0 %",
        "1 cost more than was earned",
        "1 without revenue spent 0.0025 USD: in no margin and no total",
    ];
    assert_eq!(cells(&table), expected, "{table}");
    let words = ["report", "margin", "--by", "kind", "--revenue", r#"{"refund": "0.022", "payout": 1}"#];
    let json = read(&store, &words);
    let rows =
        (&json["rows"][0]["key"], &json["rows"][0]["margin_usd"], &json["rows"][0]["margin_per_mille"]);
    assert_eq!(rows, (&json!("refund"), &json!("0.011"), &json!(500)));
    assert_eq!((&json["by"], &json["unearned_usd"]), (&json!("kind"), &json!("0.00")));
    let csv = printed(&store, &[&words[..], &["--csv"]].concat());
    assert_eq!(csv.lines().nth(2), Some("payout,1,1.00,0.0025,0.9975,997"));
    let (code, _, errors) = fixture::outlay(&["--store", &store, "report", "--revenue", "{}"]);
    assert!(code != 0 && errors.contains("`--revenue` is for"), "{errors}");
}
