//! What does `outlay top` print where there is no terminal?

mod fixture;

use std::sync::Arc;

use fixture::outlay;
use outlay::{Attempt, Config, Ledger, Limit, Request, TaskOptions, Usage, policy::Scope};
use serde_json::Value;

#[test]
fn what_runs_is_told_with_its_limit_and_its_pace() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let ledger = Ledger::open(&store, Arc::new(Config::default())).unwrap();
    let ended = ledger.task("refund", [Limit::usd("1").unwrap()]).unwrap();
    let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500);
    ended.reserve(&request).unwrap().settle(&Usage::tokens(1_000, 500)).unwrap();
    ended.succeed("3").unwrap();
    let (code, out, _) = outlay(&["--store", &store, "top", "--once"]);
    assert_eq!((code, out.as_str()), (0, "nothing is running\n"));

    let task = ledger.task("refund", [Limit::usd("0.02").unwrap()]).unwrap();
    task.reserve(&request).unwrap().settle(&Usage::tokens(1_000, 500)).unwrap();
    let inner = ledger.open_task(TaskOptions::new("search").under(&task)).unwrap();
    inner.reserve(&request).unwrap().settle(&Usage::tokens(1_000, 500)).unwrap();
    ledger.halt(&Scope::parse("search").unwrap(), "maria", "wrong prompt").unwrap();
    let (code, out, _) = outlay(&["--store", &store, "top", "--once"]);
    assert_eq!(code, 0);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(cells(lines[1])[..5], ["refund", "0.0150", "0.0200", "75", "%"]);
    assert_eq!(cells(lines[1])[7], "666.67"); // 3 for 4,500 tokens of such tasks so far
    assert_eq!(cells(lines[2])[..4], ["search", "0.0075", "-", "halted"]);

    let (code, out, _) = outlay(&["--store", &store, "top", "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    let tasks = told["tasks"].as_array().unwrap();
    assert_eq!((code, tasks.len(), &told["more_tasks"]), (0, 2, &0.into()));
    assert_eq!((&tasks[0]["calls_in_window"], &tasks[0]["tokens_in_window"]), (&2.into(), &3_000.into()));
    assert_eq!(
        (tasks[0]["spent_usd"].as_str(), tasks[1]["halted_by"].as_str()),
        (Some("0.015"), Some("maria"))
    );
    inner.end(Attempt::Succeeded, None).unwrap();
}
