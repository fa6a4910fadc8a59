//! `outlay breaker replay` on files.

mod fixture;

use std::fs;

use fixture::outlay;
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
