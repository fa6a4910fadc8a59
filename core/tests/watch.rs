//! What the breaker says of a task is in the ledger, with its grounds, and so is what was spent after it.

use std::sync::Arc;

use outlay::{
    Attempt, Config, ErrorKind, Ledger, Request, Task, TaskOptions, Usage,
    policy::{Breaker, Detector, Level, Step},
    report::{WasteKind, WasteReport},
    run::Watch,
};
use serde_json::json;
use tempfile::TempDir;

/// A ledger in memory and one in a file.
fn ledgers() -> [(TempDir, Ledger); 2] {
    [true, false].map(|is_file| {
        let folder = TempDir::new().unwrap();
        let file = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let ledger = Ledger::open(if is_file { &file } else { "memory:" }, Arc::new(Config::default()));
        (folder, ledger.unwrap())
    })
}

fn watching(task: &Task) -> Watch {
    let watch = Watch::new(Breaker::default());
    watch.record_in(task);
    watch
}

/// The same call with the same result, so often; the result is a secret.
fn repeat(watch: &Watch, times: usize) {
    let told = json!({"kind": "tool", "name": "bash", "args": {"command": "cat key"}, "result": "s3cret"});
    for _ in 0..times {
        watch.observe(&Step::from_json(&told).unwrap()).unwrap();
    }
}

/// 0.0025 + output × 0.00001 USD.
fn spend(task: &Task, output: u64) {
    let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(1_000);
    task.reserve(&request).unwrap().settle(&Usage::tokens(1_000, output)).unwrap();
}

fn usd(report: &WasteReport, kind: WasteKind) -> String {
    let found = report.kinds.iter().find(|waste| waste.kind == kind);
    found.map_or_else(|| "0".to_owned(), |waste| waste.usd.decimal())
}

#[test]
fn every_verdict_is_an_entry_with_its_evidence() {
    for (_folder, ledger) in ledgers() {
        let task = ledger.task("search", []).unwrap();
        let watch = watching(&task);
        repeat(&watch, 6);
        for _ in 0..100 {
            watch.observe_stream("Let me check that again, just to be sure. ").unwrap();
        }
        let said = ledger.verdicts(&task.id(), 100).unwrap();
        let levels: Vec<_> = said.iter().map(|one| (one.verdict.level, one.verdict.detector)).collect();
        let repeated = [Level::Nudge, Level::Nudge, Level::Refuse, Level::Refuse];
        let mut wanted: Vec<_> = repeated.map(|level| (level, Some(Detector::NoProgress))).into();
        wanted.extend([Level::Nudge, Level::Stop].map(|level| (level, Some(Detector::Chant))));
        assert_eq!(levels, wanted, "a stream is judged once for each level");
        let (refused, found) = (&said[2], &said[2].verdict.evidence);
        assert_eq!((refused.attempt, found.tool.as_str(), found.count), (1, "bash", 5));
        assert_eq!((found.first_step, found.last_step, found.threshold), (1, 5, 5));
        assert_eq!(ledger.verdicts(&task.id(), 2).unwrap(), said[..2]);
        ledger.check_balances().unwrap();
    }
}

#[test]
fn the_file_holds_nothing_of_what_was_said_and_its_chain_covers_the_verdicts() {
    let [(folder, ledger), _] = ledgers();
    let task = ledger.task("search", []).unwrap();
    repeat(&watching(&task), 5);
    task.end(Attempt::Stopped, None).unwrap();
    assert!(ledger.audit(None).unwrap().problems.is_empty());
    ledger.close().unwrap();
    for file in
        std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).filter(|file| file.path().is_file())
    {
        let bytes = std::fs::read(file.path()).unwrap();
        for text in ["s3cret", "cat key"] {
            assert!(!bytes.windows(text.len()).any(|part| part == text.as_bytes()), "{text}");
        }
    }
}

#[test]
fn a_verdict_is_of_an_attempt_that_is_open() {
    for (_folder, ledger) in ledgers() {
        let open = || ledger.open_task(TaskOptions::new("search").id("search-1")).unwrap();
        let first = open();
        let watch = watching(&first);
        first.end(Attempt::Failed, None).unwrap();
        let second = open();
        watch.record_in(&second);
        let told = json!({"kind": "llm", "malformed": true});
        let mut said = (0..10).map(|_| watch.observe(&Step::from_json(&told).unwrap()));
        let ended = said.find_map(Result::err).unwrap();
        assert_eq!(ended.kind(), ErrorKind::Conflict);
        assert!(ledger.verdicts(&second.id(), 10).unwrap().is_empty());
    }
}

#[test]
fn what_a_run_that_bought_nothing_spent_after_its_first_verdict_went_into_loops() {
    for (_folder, ledger) in ledgers() {
        let open = |name: &str| ledger.open_task(TaskOptions::new(name).id(name)).unwrap();
        let failed = open("failed");
        let watch = watching(&failed);
        spend(&failed, 50); // 0.003
        repeat(&watch, 3);
        spend(&failed, 150); // 0.004
        let inner = ledger.open_task(TaskOptions::new("inner").under(&failed)).unwrap();
        spend(&inner, 250); // 0.005
        inner.end(Attempt::Succeeded, None).unwrap();
        failed.end(Attempt::Failed, None).unwrap();
        let again = open("failed");
        spend(&again, 350); // 0.006, of an attempt nobody spoke of
        again.end(Attempt::Stopped, None).unwrap();
        let succeeded = open("succeeded");
        let watch = watching(&succeeded);
        repeat(&watch, 3);
        spend(&succeeded, 450);
        succeeded.end(Attempt::Succeeded, None).unwrap();

        let report = ledger.waste(None).unwrap();
        assert_eq!(usd(&report, WasteKind::Loops), "0.009");
        assert_eq!(usd(&report, WasteKind::Failed), "0.003");
        assert_eq!(usd(&report, WasteKind::Stopped), "0.006");
        assert_eq!(report.wasted().decimal(), "0.018");
    }
}
