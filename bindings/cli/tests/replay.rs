//! `outlay breaker replay` on files and on tasks.

mod fixture;

use std::{fs, sync::Arc};

use fixture::outlay;
use outlay::{
    Config, Ledger,
    policy::{Breaker, Step},
    run::Watch,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A file of these lines, and its path.
fn file(folder: &TempDir, name: &str, lines: &[String]) -> String {
    let path = folder.path().join(name);
    fs::write(&path, lines.join("\n")).unwrap();
    path.display().to_string()
}

fn verdicts(words: &[&str]) -> Vec<Value> {
    let (code, out, errors) = outlay(words);
    assert_eq!((code, errors.as_str()), (0, ""));
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn step() -> Value {
    json!({"kind": "tool", "name": "bash", "args": {"command": "ls"}, "result": "a.txt", "error": false})
}

#[test]
fn steps_are_one_run_with_a_verdict_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "steps.jsonl", &vec![step().to_string(); 5]);
    let said = verdicts(&["breaker", "replay", &path]);
    let levels: Vec<&Value> = said.iter().map(|verdict| &verdict["level"]).collect();
    assert_eq!(levels, ["ok", "ok", "nudge", "nudge", "refuse"]);
    assert_eq!(said[0], json!({"step": 1, "level": "ok", "detector": null, "evidence": {}}));
    assert_eq!((&said[4]["detector"], &said[4]["evidence"]["count"]), (&"no_progress".into(), &5.into()));
}

#[test]
fn each_line_with_steps_is_a_run_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let run = |id: &str| json!({"run_id": id, "success": true, "steps": [step(), step()]}).to_string();
    let path = file(&folder, "runs.jsonl", &[run("a"), String::new(), run("b")]);
    let config = file(&folder, "config.json", &[json!({"no_progress": {"nudge": 2}}).to_string()]);
    assert!(verdicts(&["breaker", "replay", &path]).iter().all(|said| said["level"] == "ok"));
    let said = verdicts(&["breaker", "replay", &path, "--config", &config]);
    let told: Vec<_> = said.iter().map(|one| (one["run_id"].as_str().unwrap(), &one["level"])).collect();
    let [ok, nudge] = [json!("ok"), json!("nudge")];
    assert_eq!(told, [("a", &ok), ("a", &nudge), ("b", &ok), ("b", &nudge)]);
}

#[test]
fn what_cannot_be_read_is_said_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let replay = |lines: &[String]| outlay(&["breaker", "replay", &file(&folder, "x.jsonl", lines)]);
    for (line, code, said) in
        [("{", 2, ", line 2 is no JSON: "), ("{\"kind\": \"x\"}", 2, ", line 2: there is no kind")]
    {
        let (found, out, errors) = replay(&[step().to_string(), line.to_owned()]);
        assert_eq!((found, out.as_str()), (code, ""));
        assert!(errors.contains(said) && errors.lines().count() == 1, "{errors}");
    }
    let (code, _, errors) = outlay(&["breaker", "replay", "/nowhere/steps.jsonl"]);
    assert_eq!((code, errors.as_str()), (1, "outlay: there is no file `/nowhere/steps.jsonl` (not_found)\n"));
}

/// A ledger in a file where a task made the same step five times.
fn ledger(folder: &TempDir) -> String {
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let ledger = Ledger::open(&store, Arc::new(Config::default())).unwrap();
    let task = ledger.task("refund", []).unwrap();
    let watch = Watch::new(Breaker::default());
    watch.record_in(&task);
    for _ in 0..5 {
        watch.observe(&Step::from_json(&step()).unwrap()).unwrap();
    }
    ledger.close().unwrap();
    store
}

#[test]
fn of_a_task_what_was_said_is_printed_with_its_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let store = ledger(&folder);
    let said = verdicts(&["--store", &store, "breaker", "replay", "refund"]);
    let recorded: Vec<_> = said.iter().map(|one| (&one["step"], &one["level"])).collect();
    let [nudge, refuse] = [json!("nudge"), json!("refuse")];
    assert_eq!(recorded, [(&3.into(), &nudge), (&4.into(), &nudge), (&5.into(), &refuse)]);
    let path = file(&folder, "steps.jsonl", &vec![step().to_string(); 5]);
    let replayed = verdicts(&["breaker", "replay", &path]);
    assert_eq!(said[2]["evidence"], replayed[4]["evidence"], "as it was said at the time");
    assert_eq!((&said[2]["detector"], &said[2]["attempt"]), (&"no_progress".into(), &1.into()));

    let shown = outlay(&["--store", &store, "show", "refund"]).1;
    let cells: Vec<_> = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    let row = ["refuse", "1", "no_progress", "bash", "1", "to", "5", "5"];
    assert!(cells.iter().any(|line| line.starts_with(&row)), "{shown}");
    let (_, out, _) = outlay(&["--store", &store, "show", "refund", "--json"]);
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["verdicts"], json!(said));
}

#[test]
fn what_is_neither_file_nor_task_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = ledger(&folder);
    let replay = |words: &[&str]| outlay(&[&["--store", &store, "breaker", "replay"], words].concat());
    let (code, out, errors) = replay(&["payout"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(errors.contains("`payout`") && errors.contains("not_found"), "{errors}");
    let config = file(&folder, "config.json", &["{}".to_owned()]);
    let (code, _, errors) = replay(&["refund", "--config", &config]);
    assert!(code == 2 && errors.contains("keeps no steps"), "{errors}");
}
