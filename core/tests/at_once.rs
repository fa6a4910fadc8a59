//! Is what must not wait done at once or not at all?

#[path = "fixture/mod.rs"]
mod fixture;

use std::{fs, path::Path, sync::Arc, thread};

use fixture::{cents, config, hold, request, url};
use outlay::{
    Call, Config, ErrorKind, Ledger, Limit, Task, TaskOptions, Usage, ledger::at_once, run::config::Choices,
};
use rusqlite::Connection;
use tempfile::TempDir;

fn task(ledger: &Ledger) -> Task {
    ledger.open_task(TaskOptions::new("t").limit(Limit::usd("1.00").unwrap())).unwrap()
}

fn with(options: &str) -> Arc<Config> {
    let choices = Choices::from_json(options).unwrap();
    Arc::new((*config()).clone().with(&choices).unwrap())
}

/// Reserves five US cents.
fn hurried(task: &Task) -> Option<outlay::Result<Call>> {
    at_once(|| task.reserve(&request(5_000)))
}

fn locked(file: &Path) -> Connection {
    let other = Connection::open(file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[test]
fn while_another_process_writes_nothing_is_done() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ledger.db");
    let ledger = Ledger::open(&url(&file), config()).unwrap();
    let task = task(&ledger);
    let call = hurried(&task).unwrap().unwrap();
    let other = locked(&file);
    assert!(hurried(&task).is_none() && task.stopped().is_none());
    assert!(at_once(|| call.settle(&Usage::tokens(0, 1_000))).is_none() && call.outcome().is_none());
    assert!(at_once(|| task.tool_call("search")).is_none());
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(cents(&task), (0, 5, 0));
    at_once(|| call.settle(&Usage::tokens(0, 1_000))).unwrap().unwrap();
    assert_eq!(cents(&task), (1, 0, 0));
    ledger.check_balances().unwrap();
}

#[test]
fn what_had_to_give_up_is_no_unavailable_store() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ledger.db");
    let config = with(r#"{"on_unavailable": "allow"}"#);
    let ledger = Ledger::open(&url(&file), config).unwrap();
    let task = task(&ledger);
    let other = locked(&file);
    assert!(hurried(&task).is_none());
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(task.summary().unwrap().unrecorded_calls, 0);
}

#[test]
fn a_refusal_and_a_mistake_are_answers() {
    let folder = TempDir::new().unwrap();
    let ledger = Ledger::open(&url(&folder.path().join("ledger.db")), config()).unwrap();
    let task = task(&ledger);
    let _held = hold(&task, 100);
    assert_eq!(hurried(&task).unwrap().unwrap_err().kind(), ErrorKind::BudgetExceeded);
    assert_eq!(at_once(|| task.tool_call("")).unwrap().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_commit_that_must_reach_the_disk_waits() {
    let folder = TempDir::new().unwrap();
    let config = with(r#"{"durability": "disk"}"#);
    let ledger = Ledger::open(&url(&folder.path().join("ledger.db")), config).unwrap();
    let task = task(&ledger);
    assert!(hurried(&task).is_none());
    task.reserve(&request(5_000)).unwrap();
}

#[test]
fn the_write_ahead_log_is_copied_by_who_may_wait() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ledger.db");
    let ledger = Ledger::open(&url(&file), config()).unwrap();
    let task = task(&ledger);
    let mut waited = 0;
    for _ in 0..1_500 {
        match at_once(|| task.tool_call("search")) {
            Some(done) => done.unwrap(),
            None => {
                waited += 1;
                task.tool_call("search").unwrap();
            }
        }
    }
    let pages = fs::metadata(file.with_extension("db-wal")).unwrap().len() / 4_096;
    assert!((1_000..1_100).contains(&pages), "{pages} pages");
    assert!((1..150).contains(&waited), "{waited} waited");
}

#[test]
fn the_hurried_and_the_patient_share_a_budget() {
    let folder = TempDir::new().unwrap();
    let ledger = Ledger::open(&url(&folder.path().join("ledger.db")), config()).unwrap();
    let task = task(&ledger);
    let spend = |hurries: bool| {
        for _ in 0..20 {
            let first = if hurries { hurried(&task) } else { None };
            let Ok(call) = first.unwrap_or_else(|| task.reserve(&request(5_000))) else { continue };
            let usage = Usage::tokens(0, 5_000);
            let done = if hurries { at_once(|| call.settle(&usage)) } else { None };
            done.unwrap_or_else(|| call.settle(&usage)).unwrap();
        }
    };
    thread::scope(|scope| {
        for hurries in [true, false, true, false] {
            scope.spawn(move || spend(hurries));
        }
    });
    assert_eq!(cents(&task), (100, 0, 0));
    ledger.check_balances().unwrap();
}
