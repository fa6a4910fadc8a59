//! Does a call go to a cheaper model when money gets short, and only where that one can take it?

use std::sync::Arc;

use outlay::{
    Config, Ledger, Limit, Request, Task, TaskOptions, Usage,
    meter::Api,
    run::{config::Choices, exchange::Terms},
};
use serde_json::{Value, json};

/// 0.05 USD with gpt-4o, 0.003 with gpt-4o-mini.
fn asked() -> Request {
    Request::model("gpt-4o").input_tokens(4_000).max_output_tokens(4_000)
}

fn open(fallback: &[&str], limit: Limit) -> Task {
    let options = TaskOptions::new("t").limit(limit).fallback(fallback.iter().copied()).unwrap();
    Ledger::in_memory().open_task(options).unwrap()
}

fn soft(usd: &str) -> Limit {
    Limit::usd(usd).unwrap().soft()
}

/// The model a request would go out with.
fn sent(task: &Task, api: Api, body: &Value) -> String {
    let exchange = task.exchange(api, body.to_string().as_bytes(), &Terms::default()).unwrap();
    let patched = exchange.patch().iter().find(|(key, _)| *key == "model").map(|(_, model)| model.clone());
    assert_eq!(patched.as_ref().unwrap_or(&body["model"]), exchange.call().model());
    let model = exchange.call().model().to_owned();
    exchange.call().void().unwrap();
    model
}

fn chat(messages: Value) -> Value {
    json!({"model": "gpt-4o", "max_tokens": 4_000, "messages": messages})
}

fn hello() -> Value {
    chat(json!([{"role": "user", "content": "hello world"}]))
}

#[test]
fn a_soft_limit_turns_to_the_cheaper_model_and_stays_with_it() {
    let task = open(&["gpt-4o-mini"], soft("0.06"));
    let first = task.reserve(&asked()).unwrap();
    assert_eq!(first.model(), "gpt-4o");
    let second = task.reserve(&asked()).unwrap();
    assert_eq!((second.model(), second.reserved().to_string()), ("gpt-4o-mini", "0.003 USD".to_owned()));
    first.void().unwrap();
    second.settle(&Usage::tokens(4_000, 500)).unwrap();
    // Money is there again; the cache of the new model is worth more.
    assert_eq!(task.reserve(&asked()).unwrap().model(), "gpt-4o-mini");
    assert_eq!(task.balance().unwrap().settled.usd().to_string(), "0.0009 USD");
}

#[test]
fn what_does_not_fit_under_a_hard_limit_may_fit_with_another_model() {
    let task = open(&["gpt-4o-mini"], Limit::usd("0.04").unwrap());
    assert_eq!(task.reserve(&asked()).unwrap().model(), "gpt-4o-mini");
    let poor = open(&["gpt-4o-mini"], Limit::usd("0.002").unwrap());
    assert!(poor.reserve(&asked()).is_err());
}

#[test]
fn money_that_comes_back_is_no_reason() {
    let task = open(&["gpt-4o-mini"], Limit::usd("0.06").unwrap());
    let first = task.reserve(&asked()).unwrap();
    assert!(task.poll(&asked()).unwrap().is_none(), "only pending money is in the way");
    first.settle(&Usage::tokens(4_000, 4_000)).unwrap();
    assert_eq!(task.reserve(&asked()).unwrap().model(), "gpt-4o-mini");
}

#[test]
fn without_a_list_nothing_changes() {
    let task = open(&[], soft("0.01"));
    assert_eq!(task.reserve(&asked()).unwrap().model(), "gpt-4o");
}

#[test]
fn the_first_that_can_take_the_call_does() {
    // Another provider's, dearer, unknown, too short a window, then one that fits.
    let list = ["claude-haiku-4-5", "gpt-4", "no-such-model", "gpt-3.5-turbo", "gpt-4o-mini"];
    let task = open(&list, soft("0.01"));
    let long = asked().input_tokens(16_000);
    assert_eq!(task.reserve(&long).unwrap().model(), "gpt-4o-mini");
    assert_eq!(open(&list[..4], soft("0.01")).reserve(&long).unwrap().model(), "gpt-4o");
    // Only one of the two reasons.
    assert_eq!(open(&["gpt-5-nano"], soft("0.01")).reserve(&asked()).unwrap().model(), "gpt-4o");
}

#[test]
fn a_request_goes_out_with_the_other_model_and_is_charged_for_it() {
    let task = open(&["gpt-4o-mini"], soft("0.01"));
    let body = hello().to_string();
    let exchange = task.exchange(Api::OpenAiChat, body.as_bytes(), &Terms::default()).unwrap();
    assert_eq!(exchange.patch(), [("model", json!("gpt-4o-mini"))]);
    let answer = json!({"model": "gpt-4o-mini", "usage": {"prompt_tokens": 9, "completion_tokens": 1_000}});
    exchange.answered(200, &answer.to_string()).unwrap();
    assert_eq!(task.balance().unwrap().settled.usd().to_string(), "0.00060135 USD");
}

#[test]
fn an_open_tool_call_or_an_image_keeps_its_model() {
    let user = json!({"role": "user", "content": "hello world"});
    let call = json!({"role": "assistant", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let result = json!({"role": "tool", "tool_call_id": "a", "content": "done"});
    let task = || open(&["gpt-4o-mini"], soft("0.01"));
    assert_eq!(sent(&task(), Api::OpenAiChat, &chat(json!([user, call]))), "gpt-4o");
    assert_eq!(sent(&task(), Api::OpenAiChat, &chat(json!([user, call, result]))), "gpt-4o-mini");

    let image = json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}});
    let shown = chat(json!([{"role": "user", "content": [image]}]));
    let blind = open(&["gpt-3.5-turbo"], soft("0.01"));
    assert_eq!(sent(&blind, Api::OpenAiChat, &shown), "gpt-4o");
    assert_eq!(sent(&blind, Api::OpenAiChat, &hello()), "gpt-3.5-turbo");
    // Sticky, but not where it cannot follow.
    assert_eq!(sent(&blind, Api::OpenAiChat, &shown), "gpt-4o");
    assert_eq!(sent(&blind, Api::OpenAiChat, &hello()), "gpt-3.5-turbo");
    // What its own answers have is no stranger to it; what the request asks for may be.
    let said = json!({"role": "assistant", "content": "hi", "reasoning_content": "a greeting"});
    assert_eq!(sent(&blind, Api::OpenAiChat, &chat(json!([user, said, user]))), "gpt-3.5-turbo");
    for (key, value) in [
        ("modalities", json!(["text", "audio"])),
        ("tools", json!([{"type": "custom", "custom": {"name": "f"}}])),
    ] {
        let mut body = hello();
        body[key] = value;
        assert_eq!(sent(&blind, Api::OpenAiChat, &body), "gpt-4o", "{key}");
    }
}

#[test]
fn thinking_in_a_turn_keeps_its_model() {
    let user = json!({"role": "user", "content": "hello world"});
    let call = json!({"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}}]});
    let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]});
    let body =
        |messages: Value| json!({"model": "claude-sonnet-4-5", "max_tokens": 900, "messages": messages});
    let task = open(&["claude-haiku-4-5"], soft("0.001"));
    let model = |messages| sent(&task, Api::AnthropicMessages, &body(messages));
    assert_eq!(model(json!([user, call, result])), "claude-sonnet-4-5");
    let answer = json!({"role": "assistant", "content": "done"});
    assert_eq!(model(json!([user, call, result, answer, user])), "claude-haiku-4-5");
    // Having changed in a new turn, the next call of that turn goes on with the new model.
    assert_eq!(model(json!([user, call, result])), "claude-haiku-4-5");
}

#[test]
fn what_the_cache_holds_is_counted_in() {
    // With all of it in the cache, a long prompt costs 0.30 USD per million with Sonnet and 1.00 with Haiku.
    let prompt = "The customer asks for a refund of the order. ".repeat(2_000);
    let body = |more: &str| {
        let messages = json!([{"role": "user", "content": prompt}, {"role": "user", "content": more}]);
        json!({"model": "claude-sonnet-4-5", "max_tokens": 1, "messages": messages})
    };
    let task = open(&["claude-haiku-4-5"], soft("0.10"));
    assert_eq!(sent(&task, Api::AnthropicMessages, &body("a")), "claude-sonnet-4-5");
    let used = task.reserve(&Request::model("gpt-4o").input_tokens(0).max_output_tokens(10_000)).unwrap();
    used.settle(&Usage::tokens(0, 10_000)).unwrap();
    assert_eq!(
        sent(&task, Api::AnthropicMessages, &body("b")),
        "claude-sonnet-4-5",
        "cheaper with its cache"
    );
    let fresh = open(&["claude-haiku-4-5"], soft("0.01"));
    assert_eq!(sent(&fresh, Api::AnthropicMessages, &body("b")), "claude-haiku-4-5");
}

fn configured(toml: &str) -> outlay::Result<Ledger> {
    let ledger = Ledger::in_memory();
    ledger.set_config(Arc::new(Config::default().with(&Choices::from_toml(toml)?)?));
    Ok(ledger)
}

#[test]
fn rules_go_by_model_and_kind() {
    let ledger = configured(
        r#"
        [[routes]]
        model = "^gpt-4o$"
        kind = "extractive"
        fallback = ["gpt-4o-mini"]
        when = "always"

        [[routes]]
        model = "^gpt-4"
        fallback = ["gpt-4.1-nano"]
        "#,
    )
    .unwrap();
    let open = |options: TaskOptions| ledger.open_task(options).unwrap();
    let model = |task: &Task| task.reserve(&asked()).unwrap().model().to_owned();
    let extractive = open(TaskOptions::new("a").tag("kind", "extractive").unwrap());
    assert_eq!(model(&extractive), "gpt-4o-mini", "without any limit");
    assert_eq!(model(&open(TaskOptions::new("b").under(&extractive))), "gpt-4o-mini");
    assert_eq!(model(&open(TaskOptions::new("c"))), "gpt-4o");
    assert_eq!(model(&open(TaskOptions::new("d").limit(soft("0.01")))), "gpt-4.1-nano");
    let own = TaskOptions::new("e").limit(soft("0.01")).fallback([]).unwrap();
    assert_eq!(model(&open(own)), "gpt-4o", "an empty list of its own");
}

#[test]
fn a_rule_that_cannot_be_says_so() {
    let error = |toml: &str| configured(toml).unwrap_err();
    let pattern = error("routes = [{ model = '(', fallback = ['m'] }]");
    assert!(pattern.to_string().starts_with("route `(`: "), "{pattern}");
    let name = error("routes = [{ model = 'm', fallback = [''] }]");
    assert_eq!((pattern.kind().code(), name.kind().code()), ("invalid_input", "invalid_input"));
    let many = TaskOptions::new("t").fallback(["m"; 33]).unwrap_err();
    assert_eq!(many.to_string(), "`33` models to fall back to; at most 32");
}
