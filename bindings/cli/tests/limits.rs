//! What the command says about limits of kinds: is it what can be pasted into outlay.toml?

mod fixture;

use fixture::outlay;
use outlay::{Attempt, Config, Ledger, TaskOptions, Unit, run::config::Choices};
use serde_json::Value;
use tempfile::TempDir;

/// A ledger file with runs of one to five calls of a tool.
fn ledger(folder: &TempDir) -> String {
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let ledger = Ledger::open(&store, Config::default().into()).unwrap();
    for calls in 1..=5 {
        let task = ledger.open_task(TaskOptions::new("run").tag("kind", "refund").unwrap()).unwrap();
        (0..calls).try_for_each(|_| task.tool_call("web")).unwrap();
        task.end(Attempt::Succeeded, None).unwrap();
    }
    ledger.close().unwrap();
    store
}

#[test]
fn what_is_suggested_is_a_configuration() {
    let folder = TempDir::new().unwrap();
    let store = ledger(&folder);
    let asked = ["--store", &store, "limits", "suggest", "--share", "60"];
    let (code, text, errors) = outlay(&asked);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(text.contains("# kind refund: 5 runs in 5 attempts, 5 succeeded\n"), "{text}");
    assert!(text.contains("# WARNING: 5 runs that succeeded are too few to rely on\n"), "{text}");
    assert!(text.ends_with("[kinds.refund]\ntool_calls = 3   # 2 of 5 used more\n"), "{text}");

    let config = Config::default().with(&Choices::from_toml(&text).unwrap()).unwrap();
    let ledger = Ledger::open("memory:", config.into()).unwrap();
    let task = ledger.open_task(TaskOptions::new("run").tag("kind", "refund").unwrap()).unwrap();
    let limits = ledger.find_task(&task.id().to_string()).unwrap().limits;
    assert_eq!((limits.len(), limits[0].unit, limits[0].amount), (1, Unit::ToolCalls, 3));

    let (_, json, _) = outlay(&[&asked[..], &["--json"]].concat());
    let said: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(said["toml"], text.as_str());
    assert_eq!(said["kinds"][0]["limits"][0]["amount"], "3");
    assert_eq!((&said["share"], &said["kinds"][0]["refused"]), (&60.into(), &2.into()));
}

#[test]
fn what_cannot_be_suggested_is_said() {
    let folder = TempDir::new().unwrap();
    let store = ledger(&folder);
    for (words, said) in [
        (["--share", "0"], "share `0` is not from 1 to 100 per cent (invalid_input)\n"),
        (["--kind", "search"], "no task of kind `search` has ended (invalid_input)\n"),
        (["--since", "0s"], ""),
    ] {
        let (code, _, errors) = outlay(&[&["--store", &store, "limits", "suggest"], &words[..]].concat());
        assert_eq!(code, if said.is_empty() { 0 } else { 2 }, "{errors}");
        assert!(errors.ends_with(said), "{errors}");
    }
}
