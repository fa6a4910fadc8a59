//! `outlay report forecast` against a real ledger in a file.

mod fixture;

use std::sync::Arc;

use outlay::{Clock, Config, Ledger, Limit, ManualClock, Request, TaskOptions, Usage, run::BudgetOptions};
use serde_json::Value;

const DAY: i64 = 86_400_000;

#[test]
fn a_forecast_reads_as_a_table_json_and_csv() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    // Its last call lies in the future, so that the command's own clock, which never goes back, is known.
    let clock = ManualClock::at(4_102_444_800_000); // 2100-01-01
    let config = Arc::new(Config::default());
    let ledger = Ledger::open_with_clock(&store, config, Clock::Manual(clock.clone())).unwrap();
    ledger.set_budget(&BudgetOptions::new().limit(Limit::usd("60").unwrap())).unwrap();
    for _ in 0..10 {
        let task = ledger.open_task(TaskOptions::new("=refund")).unwrap();
        let request = Request::model("gpt-4o").input_tokens(2_000_000).max_output_tokens(1);
        task.reserve(&request).unwrap().settle(&Usage::tokens(2_000_000, 0)).unwrap();
        clock.advance(DAY);
    }
    let task = ledger.open_task(TaskOptions::new("=refund")).unwrap();
    task.reserve(&Request::model("gpt-4o").input_tokens(1).max_output_tokens(1)).unwrap().void().unwrap();
    ledger.close().unwrap();
    let ask = |words: &[&str]| fixture::outlay(&[&["--store", &store, "report"], words].concat());

    let (_, table, errors) = ask(&["forecast", "--by", "task"]);
    assert_eq!(errors, "");
    let line =
        |at: usize| table.lines().nth(at).unwrap_or("").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(line(1), "=refund 50.00 155.00 155.00 to 155.00 mean");
    assert!(line(5).starts_with("(everything) life 60.00 50.00 - 2100-01-13T00:00:00Z "), "{table}");
    let (_, text, _) = ask(&["forecast", "--json"]);
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&read["total"]["spent_usd"], &read["total"]["expected_usd"]),
        (&"50.00".into(), &155.0.into())
    );
    assert_eq!(read["month_ends_at"], "2100-02-01T00:00:00Z");
    assert_eq!(read["budgets"][0]["used_up_at"], "2100-01-13T00:00:00Z");
    assert_eq!(read["rows"], Value::Array(vec![]));
    let (_, csv, _) = ask(&["forecast", "--by", "task", "--csv"]);
    let rows: Vec<&str> = csv.lines().collect();
    assert!(rows[1].starts_with("row,\"'=refund\",,,,50.00,2100-02-01T00:00:00Z,155.0,"), "{csv}");
    assert!(rows[2].starts_with("total,,,,,50.00,") && rows[3].starts_with("budget,,life,60.00,true,50.00,"));

    for (words, part) in [
        (&["forecast", "--since", "7d"][..], "eight weeks"),
        (&["forecast", "--by", "attempt"], "attempt"),
        (&["waste", "--by", "agent"], "`--by`"),
    ] {
        let (code, _, errors) = ask(words);
        assert!(code == 2 && errors.contains(part), "{words:?}: {code} {errors}");
    }
}
