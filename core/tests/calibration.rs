//! What do settled calls teach the bounds of those after them?

mod fixture;

use std::sync::Arc;

use fixture::{config_with, url};
use outlay::{
    Config, Ledger, Limit, Task,
    meter::{Api, Method},
    run::Terms,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A micro-USD a token: what is reserved tells the bound.
const PRICES: &str = r#"{"prices": {
    "house": {"input": "1", "output": "0"},
    "other": {"input": "1", "output": "0"}
}}"#;
const NANOS_PER_TOKEN: i64 = 1_000;

fn config() -> Arc<Config> {
    Arc::new(config_with(PRICES))
}

fn task(ledger: &Ledger) -> Task {
    ledger.task("t", [Limit::usd("1000").unwrap()]).unwrap()
}

/// A request of about a thousand tokens: its bound and what was counted of it are told.
fn request(model: &str, has_tools: bool) -> Value {
    let mut body = json!({"model": model, "max_tokens": 1,
        "messages": [{"role": "user", "content": "hello world ".repeat(500)}]});
    if has_tools {
        body["tools"] =
            json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    }
    body
}

/// Reserves for a request, settles at `per_mille` of what was counted, and gives its bound.
fn send_at(task: &Task, body: &Value, per_mille: u64) -> u64 {
    let exchange = task.exchange(Api::OpenAiChat, body.to_string().as_bytes(), &Terms::default()).unwrap();
    let truth = counted(body) * per_mille / 1_000;
    let usage = json!({"prompt_tokens": truth, "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": truth / 2}});
    exchange.answered(200, &json!({"model": body["model"], "usage": usage}).to_string()).unwrap();
    u64::try_from(exchange.call().reserved().nanos() / NANOS_PER_TOKEN).unwrap()
}

fn counted(body: &Value) -> u64 {
    outlay::meter::Request::read(Api::OpenAiChat, body, None).unwrap().facts.input.counted_tokens
}

/// How much of its count a request is bounded by, in per mille.
fn bound_of(task: &Task, body: &Value) -> u64 {
    send_at(task, body, 1_000) * 1_000 / counted(body)
}

#[test]
fn thirty_calls_replace_the_prior_of_their_own_kind_only() {
    let ledger = Ledger::open("memory:", config()).unwrap();
    let task = task(&ledger);
    let body = request("house", false);
    for _ in 0..30 {
        assert_eq!(send_at(&task, &body, 1_300), (counted(&body) * 1_700).div_ceil(1_000));
    }
    // Two per cent above the 99th percentile.
    let learned = bound_of(&task, &body);
    assert!((1_320..1_330).contains(&learned), "{learned}");
    assert_eq!(bound_of(&task, &request("house", true)), 1_700);
    assert_eq!(bound_of(&task, &request("other", false)), 1_700);
    // Above the bound: an overrun, which the next bound holds.
    send_at(&task, &body, 2_500);
    assert!(bound_of(&task, &body) >= 2_499);
}

#[test]
fn a_new_process_begins_with_what_was_learned() {
    let folder = TempDir::new().unwrap();
    let store = url(&folder.path().join("ledger.db"));
    let body = request("house", true);
    {
        let ledger = Ledger::open(&store, config()).unwrap();
        let task = task(&ledger);
        (0..40).for_each(|_| assert!(send_at(&task, &body, 1_200) > 0));
        ledger.close().unwrap();
    }
    let ledger = Ledger::open(&store, config()).unwrap();
    let learned = bound_of(&task(&ledger), &body);
    assert!((1_220..1_228).contains(&learned), "{learned}");
    ledger.check_balances().unwrap();
}

#[test]
fn scripts_learn_apart_in_this_process_and_the_next() {
    let folder = TempDir::new().unwrap();
    let store = url(&folder.path().join("ledger.db"));
    let (english, mut korean) = (request("house", false), request("house", false));
    korean["messages"][0]["content"] = "주문 환불이 아직 ".repeat(300).into();
    let bounds = |ledger: &Ledger| {
        let task = task(ledger);
        [
            send_at(&task, &english, 1_050) * 1_000 / counted(&english),
            send_at(&task, &korean, 1_500) * 1_000 / counted(&korean),
        ]
    };
    let check = |[english, korean]: [u64; 2]| {
        assert!((1_050..1_080).contains(&english) && (1_500..1_540).contains(&korean), "{english} {korean}");
    };
    {
        let ledger = Ledger::open(&store, config()).unwrap();
        (0..40).for_each(|_| _ = bounds(&ledger));
        check(bounds(&ledger));
        ledger.close().unwrap();
    }
    check(bounds(&Ledger::open(&store, config()).unwrap()));
}

/// A conversation of 35 calls, each adding a message: what the last ones were bounded by, above what
/// the provider had counted before, in per mille of what they added.
fn converse(task: &Task) -> u64 {
    let mut messages = vec![json!({"role": "user", "content": "hello world ".repeat(2_000)})];
    let (mut bound, mut before, mut added) = (0, 0, 0);
    for no in 0..35_u64 {
        let body = json!({"model": "house", "max_tokens": 1, "messages": messages});
        let now = counted(&body) * 1_200 / 1_000;
        bound = send_at(task, &body, 1_200);
        added = (bound - before) * 1_000 / (now - before);
        before = now;
        messages.push(json!({"role": "user", "content": format!("{no} {}", "and again ".repeat(300))}));
    }
    assert!(bound > 0);
    added
}

#[test]
fn only_what_a_conversation_adds_is_bounded() {
    let folder = TempDir::new().unwrap();
    let store = url(&folder.path().join("ledger.db"));
    {
        let ledger = Ledger::open(&store, config()).unwrap();
        let added = converse(&task(&ledger));
        // Two per cent above what was always added, and the room for frames.
        assert!((1_020..1_080).contains(&added), "{added}");
        ledger.close().unwrap();
    }
    // The next process knows it from the second call on.
    let ledger = Ledger::open(&store, config()).unwrap();
    let task = task(&ledger);
    let first = json!({"role": "user", "content": "hello world ".repeat(2_000)});
    let second = json!({"role": "user", "content": "and again ".repeat(300)});
    let mut bounds = Vec::new();
    for messages in [json!([first]), json!([first, second]), json!([second])] {
        let body = json!({"model": "house", "max_tokens": 1, "messages": messages});
        bounds.push(send_at(&task, &body, 1_200) * 1_000 / counted(&body));
    }
    assert!((1_700..1_702).contains(&bounds[0]), "{bounds:?}");
    assert!((1_200..1_230).contains(&bounds[1]), "{bounds:?}");
    // Another conversation begins anew.
    assert!((1_700..1_704).contains(&bounds[2]), "{bounds:?}");
}

#[test]
fn what_is_no_count_of_the_whole_teaches_nothing() {
    let ledger = Ledger::open("memory:", config()).unwrap();
    let task = task(&ledger);
    let body = request("house", false);
    let bytes = body.to_string().into_bytes();
    let answer = r#"{"model": "house", "usage": {"prompt_tokens": 5000, "completion_tokens": 1}}"#;
    let given = Terms { max_input_tokens: Some(5_000), ..Terms::default() };
    for _ in 0..40 {
        task.exchange(Api::OpenAiChat, &bytes, &given).unwrap().answered(200, answer).unwrap();
        // No usage: settled at our own count.
        let exchange = task.exchange(Api::OpenAiChat, &bytes, &Terms::default()).unwrap();
        exchange.answered(200, "{}").unwrap();
        // Nothing was counted by the provider, or it did not say so.
        send_at(&task, &body, 0);
        task.exchange(Api::OpenAiChat, &bytes, &Terms::default()).unwrap().answered(400, "").unwrap();
    }
    assert_eq!(bound_of(&task, &body), 1_700);
    assert_eq!(ledger.meter(None).unwrap().rows[0].calls, 1);
}

#[test]
fn an_exact_bound_stays_and_a_reconstruction_never_falls() {
    let ledger = Ledger::open("memory:", Arc::new(Config::default())).unwrap();
    let task = task(&ledger);
    for (model, method) in [("gpt-4o", Method::Exact), ("claude-sonnet-4-5", Method::Reconstructed)] {
        let body = json!({"model": model, "max_tokens": 1,
            "messages": [{"role": "user", "content": "hello world ".repeat(500)}]});
        let held = |task: &Task| {
            let bytes = body.to_string().into_bytes();
            let exchange = task.exchange(Api::OpenAiChat, &bytes, &Terms::default()).unwrap();
            let answer = json!({"model": model, "usage": {"prompt_tokens": 600, "completion_tokens": 1}});
            exchange.answered(200, &answer.to_string()).unwrap();
            exchange.call().reserved()
        };
        let first = held(&task);
        (0..40).for_each(|_| assert_eq!(held(&task), first, "{model}"));
        let report = ledger.meter(None).unwrap();
        let row = report.rows.iter().find(|row| row.model.as_deref() == Some(model)).unwrap();
        assert_eq!((row.method, row.calls, row.overruns), (method, 41, 0));
    }
    // Another 600 tokens more than there can be, by the reconstruction: it is raised.
    let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 1,
        "messages": [{"role": "user", "content": "hello ".repeat(200)}]});
    let bytes = body.to_string().into_bytes();
    let send = || {
        let exchange = task.exchange(Api::AnthropicMessages, &bytes, &Terms::default()).unwrap();
        let answer = r#"{"model": "claude-sonnet-4-5", "usage": {"input_tokens": 900, "output_tokens": 1}}"#;
        exchange.answered(200, answer).unwrap();
        exchange.call().reserved()
    };
    let first = send();
    assert!(send() > first);
}

#[test]
fn the_report_tells_how_far_bounds_were_from_the_truth() {
    let ledger = Ledger::open("memory:", config()).unwrap();
    let task = task(&ledger);
    let body = request("house", false);
    // Of 1,010 counted; the bound is 1.7 times that, which two calls exceed.
    (0..8).for_each(|_| assert!(send_at(&task, &body, 1_000) > 0));
    (0..2).for_each(|_| assert!(send_at(&task, &body, 2_000) > 0));
    task.reserve(&outlay::Request::model("house").input_tokens(7)).unwrap().void().unwrap();
    let report = ledger.meter(None).unwrap();
    let [row] = &report.rows[..] else { panic!("{report}") };
    assert_eq!((row.calls, row.overruns, row.method), (10, 2, Method::Calibrated));
    assert_eq!((row.truth_over_count.largest(), row.bound_over_truth.largest()), (2_000, 1_701));
    assert!((1_000..1_008).contains(&row.truth_over_count.quantile(500)));
    assert!((2_000..2_016).contains(&row.truth_over_count.quantile(950)));
    assert!(report.to_string().starts_with("provider   model   tools   method       calls   overruns"));
}
