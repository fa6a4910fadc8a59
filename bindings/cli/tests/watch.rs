//! `outlay watch` and `outlay alerts` on a ledger in a file.

use std::{cell::RefCell, sync::Arc};

use outlay::{BudgetOptions, Config, Ledger, Limit, Unit, policy::Scope};
use outlay_cli::Post;
use serde_json::Value;
use tempfile::TempDir;

fn run(words: &[&str], post: Option<Post<'_>>) -> (i32, String, String) {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let code = outlay_cli::run_with(&words, post, &mut out, &mut errors);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code, text(out), text(errors))
}

/// A ledger where half and four fifths of five calls were passed.
fn sample(folder: &TempDir) -> (String, Ledger) {
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let ledger = Ledger::open(&store, Arc::new(Config::default())).unwrap();
    let five = Limit::new(Unit::ToolCalls, 5).unwrap();
    ledger.set_budget(&BudgetOptions::new().limit(five)).unwrap();
    let task = ledger.task("search", []).unwrap();
    (0..4).for_each(|_| task.tool_call("web").unwrap());
    (store, ledger)
}

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_was_printed_is_not_printed_again_but_to_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ledger) = sample(&folder);
    let once = ["--store", &store, "watch", "--once", "--json"];
    let (code, out, errors) = run(&once, None);
    assert_eq!((code, errors.as_str()), (0, ""));
    let said = lines(&out);
    let shares: Vec<&Value> = said.iter().map(|alert| &alert["threshold"]).collect();
    assert_eq!(shares, ["50%", "80%"]);
    assert_eq!((&said[0]["spent"], &said[0]["limit"]), (&"3".into(), &"5".into()));
    assert_eq!(run(&once, None), (0, String::new(), String::new()));
    let other = ["--store", &store, "watch", "--once", "--json", "--name", "other"];
    assert_eq!(run(&other, None).1, out);

    ledger.halt(&Scope::parse("search").unwrap(), "maria", "wrong prompt").unwrap();
    let (_, out, _) = run(&["--store", &store, "watch", "--once"], None);
    assert!(out.ends_with("halted: `search` by `maria`: wrong prompt\n"), "{out}");

    let (_, listed, _) = run(&["--store", &store, "alerts", "--since", "1h", "--json"], None);
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed, said);
    let (_, table, _) = run(&["--store", &store, "alerts"], None);
    assert!(table.contains("the budget over all tasks   50%      tool calls"), "{table}");
}

#[test]
fn a_webhook_gets_each_alert_until_it_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _ledger) = sample(&folder);
    let got = RefCell::new(Vec::new());
    let post = |url: &str, headers: &[(&str, String)], body: &str| {
        assert_eq!(url, "https://hooks.example/secret");
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        got.borrow_mut().push((headers, body.to_owned()));
        match got.borrow().len() {
            1 => Ok(500),
            2 => Err("no answer".to_owned()),
            _ => Ok(204),
        }
    };
    // Every process has a search path: a secret that needs no setting.
    let url = ["--url", "https://hooks.example/secret", "--secret-env", "PATH"];
    let words: Vec<&str> = ["--store", &store, "watch", "--once"].into_iter().chain(url).collect();
    let (code, out, errors) = run(&words, Some(&post));
    assert_eq!((code, out.lines().count()), (0, 2));
    assert_eq!(errors.matches("was not taken").count(), 2);
    assert!(!errors.contains("hooks.example"), "the URL may be a secret");
    let got = got.into_inner();
    let ids: Vec<Value> = got.iter().map(|(_, body)| lines(body)[0]["id"].clone()).collect();
    assert_eq!(ids, [&ids[0], &ids[1], &ids[0], &ids[1]].map(Clone::clone));
    for (headers, body) in &got {
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Content-Type", "Outlay-Id", "Outlay-Timestamp", "Outlay-Signature"]);
        assert_eq!(lines(body)[0]["id"], headers[1].1.as_str());
    }
    assert_eq!(run(&words, Some(&post_never)), (0, String::new(), String::new()));
}

fn post_never(_: &str, _: &[(&str, String)], _: &str) -> Result<u16, String> {
    panic!("everything was delivered")
}

#[test]
fn what_cannot_be_sent_safely_is_refused() {
    let send = |words: &[&str], post: Option<Post<'_>>| {
        let words: Vec<&str> = ["watch", "--once"].iter().chain(words).copied().collect();
        let (code, _, errors) = run(&words, post);
        (code, errors)
    };
    let (code, said) = send(&["--url", "https://hooks.example"], None);
    assert_eq!(code, 3);
    assert!(said.contains("the command of the Python package"), "{said}");
    let (code, said) = send(&["--url", "http://hooks.example", "--secret-env", "PATH"], Some(&post_never));
    assert_eq!(code, 2);
    assert!(said.contains("`--allow-http`"), "{said}");
    let unset = ["--url", "https://hooks.example", "--secret-env", "OUTLAY_NO_SUCH_SECRET"];
    let (code, said) = send(&unset, Some(&post_never));
    assert_eq!(code, 2);
    assert!(said.contains("the environment has no `OUTLAY_NO_SUCH_SECRET`"), "{said}");
}
