//! What does an HTTP exchange come to, however it ends?

use std::sync::Arc;

use outlay::{
    ErrorKind, Ledger, Limit, Money, Outcome, Task,
    meter::Api,
    run::{Bound, Config, Exchange, Failure, StreamUsage, Terms},
};

const START: &str = r#"data: {"type":"message_start","message":{"model":"claude-sonnet-4-5","usage":{"input_tokens":10,"output_tokens":1}}}

"#;

fn task(usd: &str) -> Task {
    Ledger::in_memory().task("t", [Limit::usd(usd).unwrap()]).unwrap()
}

fn chat(task: &Task, more: &str) -> Exchange {
    let body = format!(
        r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"hello world"}}],"max_tokens":100{more}}}"#
    );
    task.exchange(Api::OpenAiChat, body.as_bytes(), &Terms::default()).unwrap()
}

fn messages(task: &Task) -> Exchange {
    let body = br#"{"model":"claude-sonnet-4-5","max_tokens":100,"stream":true,
        "messages":[{"role":"user","content":"hello world"}]}"#;
    task.exchange(Api::AnthropicMessages, body, &Terms::default()).unwrap()
}

fn push(exchange: &Exchange, event: &str) -> String {
    let mut out = Vec::new();
    exchange.push(event.as_bytes(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn text(words: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{words}\"}}}}]}}\n\n")
}

fn charge(exchange: &Exchange) -> (Money, bool) {
    match exchange.call().outcome() {
        Some(Outcome::Settled(settled)) => (settled.charge, settled.estimated),
        other => panic!("{other:?}"),
    }
}

/// 9 tokens of input and `output` of gpt-4o, at 2.50 and 10 USD per million.
fn gpt_4o(output: i64) -> Money {
    Money::from_nanos(9 * 2_500 + output * 10_000)
}

#[test]
fn a_stream_left_before_its_end_costs_all_it_was_allowed() {
    let task = task("1");
    let exchange = chat(&task, r#","stream":true"#);
    push(&exchange, &text("one two"));
    exchange.ended().unwrap();
    assert_eq!(charge(&exchange), (gpt_4o(100), true));
    exchange.ended().unwrap();
    assert_eq!(task.balance().unwrap().pending.usd(), Money::ZERO);
}

#[test]
fn a_whole_answer_without_usage_costs_the_upper_count_of_its_text() {
    let task = task("1");
    let exchange = chat(&task, r#","stream":true"#);
    push(&exchange, &text("one two"));
    push(&exchange, "data: [DONE]\n\n");
    exchange.ended().unwrap();
    assert_eq!(charge(&exchange), (gpt_4o(2 + 2), true));
}

#[test]
fn an_answer_whose_stream_carries_an_error_costs_all_it_was_allowed() {
    let task = task("1");
    let exchange = chat(&task, r#","stream":true"#);
    push(&exchange, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n");
    push(&exchange, "data: [DONE]\n\n");
    exchange.ended().unwrap();
    assert_eq!(charge(&exchange), (gpt_4o(100), true));
}

#[test]
fn what_the_provider_said_of_the_input_counts_though_the_stream_was_left() {
    let task = task("1");
    let exchange = messages(&task);
    push(&exchange, START);
    exchange.ended().unwrap();
    assert_eq!(charge(&exchange), (Money::from_nanos(10 * 3_000 + 100 * 15_000), true));
    assert!(charge(&exchange).0 < exchange.call().reserved());
}

#[test]
fn a_usage_that_cannot_be_costs_the_reservation() {
    for (completion, shown) in [("-5", "-5"), ("99999999999999999999", "huge"), ("\"7\"", "text")] {
        let task = task("1");
        let usage = format!(r#""usage":{{"prompt_tokens":9,"completion_tokens":{completion}}}"#);
        let whole = chat(&task, "");
        whole.answered(200, &format!(r#"{{"model":"gpt-4o",{usage}}}"#)).unwrap();
        assert_eq!(charge(&whole), (whole.call().reserved(), true), "{shown}");
        let stream = chat(&task, r#","stream":true"#);
        push(&stream, &format!("data: {{\"choices\":[],{usage}}}\n\n"));
        stream.ended().unwrap();
        assert!(charge(&stream).0 >= gpt_4o(0) && charge(&stream).1, "{shown}");
        assert_eq!(task.balance().unwrap().pending.usd(), Money::ZERO);
    }
}

#[test]
fn a_status_says_whether_it_was_billed() {
    for (status, outcome) in [
        (400, Outcome::Voided),
        (408, Outcome::InDoubt),
        (429, Outcome::Voided),
        (500, Outcome::Voided),
        (502, Outcome::InDoubt),
        (503, Outcome::Voided),
        (504, Outcome::InDoubt),
        (520, Outcome::InDoubt),
        (529, Outcome::Voided),
    ] {
        let exchange = chat(&task("1"), "");
        exchange.answered(status, "").unwrap();
        assert_eq!(exchange.call().outcome(), Some(outcome), "{status}");
        // Only the first end counts.
        exchange.failed(Failure::Unknown).unwrap();
        assert_eq!(exchange.call().outcome(), Some(outcome), "{status}");
    }
}

#[test]
fn what_was_not_sent_is_void_and_what_was_is_in_doubt() {
    let task = task("1");
    drop(chat(&task, ""));
    assert_eq!(task.balance().unwrap().spent(outlay::Unit::Usd), 0);
    let sent = chat(&task, "");
    sent.call().set_sent(true);
    drop(sent);
    assert_eq!(task.balance().unwrap().in_doubt.usd(), gpt_4o(100));
}

#[test]
fn a_stream_beyond_its_reservation_is_cut_and_costs_all_of_it() {
    let task = task("1");
    let exchange = chat(&task, r#","stream":true"#);
    let mut out = Vec::new();
    let cut = (0..200).find_map(|_| exchange.push(text("one two").as_bytes(), &mut out).err()).unwrap();
    assert_eq!(cut.kind(), ErrorKind::BudgetExceeded);
    assert_eq!(charge(&exchange), (gpt_4o(100), true));
    let terms = Terms { max_usd: Some(Money::from_nanos(123_456)), ..Terms::default() };
    let body = br#"{"model":"gpt-4o","max_tokens":100,"stream":true,"messages":[]}"#;
    let bounded = task.exchange(Api::OpenAiChat, body, &terms).unwrap();
    assert!((0..20).any(|_| bounded.push(text("one two").as_bytes(), &mut out).is_err()));
    assert_eq!(charge(&bounded), (Money::from_nanos(123_456), true));
    assert_eq!(task.stopped().unwrap().kind(), ErrorKind::BudgetExceeded);
}

#[test]
fn the_event_asked_for_on_the_callers_behalf_is_kept_back() {
    let exchange = chat(&task("1"), r#","stream":true"#);
    let usage = r#"data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}"#;
    let handed_on = [text("one two"), format!("{usage}\n\n"), "data: [DONE]\n\n".to_owned()];
    let handed_on: String = handed_on.iter().map(|event| push(&exchange, event)).collect();
    exchange.ended().unwrap();
    assert_eq!(handed_on, text("one two") + "data: [DONE]\n\n");
    assert_eq!(charge(&exchange), (gpt_4o(2), false));
}

#[test]
fn a_poll_for_money_that_others_hold_is_no_verdict() {
    let task = task("0.0011");
    let body = br#"{"model":"gpt-4o","max_tokens":100,"messages":[{"role":"user","content":"hello world"}]}"#;
    let outgoing = task.outgoing(Api::OpenAiChat, body, &Terms::default()).unwrap();
    let first = outgoing.poll().unwrap().unwrap();
    assert!(outgoing.poll().unwrap().is_none(), "only pending money is in the way");
    assert!(task.stopped().is_none(), "a poll is no verdict");
    assert!(outgoing.reserve(Some(0)).is_err() && task.stopped().is_some());
    first.failed(Failure::NotSent).unwrap();
    assert!(outgoing.poll().unwrap().is_some());
}

#[test]
fn a_request_waits_for_money_unless_its_task_says_otherwise() {
    let outgoing = |task: &Task| {
        let body = br#"{"model":"gpt-4o","max_tokens":1,"messages":[]}"#;
        task.outgoing(Api::OpenAiChat, body, &Terms::default()).unwrap()
    };
    assert_eq!(outgoing(&task("1")).wait_ms(), 30_000);
    let options = outlay::TaskOptions::new("t").wait_ms(0);
    assert_eq!(outgoing(&Ledger::in_memory().open_task(options).unwrap()).wait_ms(), 0);
}

fn through(api: Api, task: &Task, more: &str) -> Exchange {
    let body = format!(r#"{{"model":"gpt-4o","messages":[],"max_tokens":100{more}}}"#);
    task.exchange(api, body.as_bytes(), &Terms::default()).unwrap()
}

#[test]
fn a_gateways_word_on_the_cost_is_the_charge() {
    let task = task("1");
    let usage = r#"{"prompt_tokens":9,"completion_tokens":4,"cost":0.00034225,"is_byok":false}"#;
    let whole = through(Api::OpenRouterChat, &task, "");
    whole.answered(200, &format!(r#"{{"usage":{usage}}}"#)).unwrap();
    let streamed = through(Api::OpenRouterChat, &task, r#","stream":true"#);
    push(&streamed, &format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"));
    streamed.ended().unwrap();
    for exchange in [whole, streamed] {
        assert_eq!(charge(&exchange), (Money::from_nanos(342_250), false));
    }
    // A cost that cannot be is no cost of zero.
    let wrong = through(Api::OpenRouterChat, &task, "");
    wrong.answered(200, r#"{"usage":{"prompt_tokens":9,"completion_tokens":4,"cost":-1}}"#).unwrap();
    assert_eq!(charge(&wrong), (wrong.call().reserved(), true));
}

#[test]
fn reasoning_beside_the_output_is_charged() {
    let task = task("1");
    let exchange = through(Api::XaiChat, &task, "");
    let details = r#""completion_tokens_details":{"reasoning_tokens":40}"#;
    let body = format!(r#"{{"usage":{{"prompt_tokens":9,"completion_tokens":4,{details}}}}}"#);
    exchange.answered(200, &body).unwrap();
    assert_eq!(charge(&exchange), (gpt_4o(44), false));
}

#[test]
fn what_nobody_knows_of_a_usage_can_be_asked_for_once() {
    let task = task("1");
    let usage = r#"{"prompt_tokens":9,"completion_tokens":4,"smell_tokens":7}"#;
    let whole = chat(&task, "");
    whole.answered(200, &format!(r#"{{"usage":{usage}}}"#)).unwrap();
    let streamed = chat(&task, r#","stream":true"#);
    push(&streamed, &format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n"));
    streamed.ended().unwrap();
    for exchange in [whole, streamed] {
        assert_eq!(exchange.take_unknown_fields(), ["smell_tokens"]);
        assert_eq!(exchange.take_unknown_fields(), [""; 0]);
    }
}

/// 9 tokens of input and 10 of output of gpt-5 at so many pico-USD each.
fn gpt_5(input: i64, output: i64) -> Money {
    Money::from_nanos((9 * input + 10 * output).div_euclid(1_000) + i64::from((9 * input) % 1_000 > 0))
}

#[test]
fn a_service_tier_has_its_own_price() {
    let answer = |tier: &str| {
        format!(
            r#"{{"model":"gpt-5","service_tier":{tier},"usage":{{"prompt_tokens":9,"completion_tokens":10}}}}"#
        )
    };
    for (asked, told, charged) in [
        ("flex", r#""flex""#, gpt_5(625_000, 5_000_000)),
        ("flex", r#""default""#, gpt_5(1_250_000, 10_000_000)),
        ("flex", "null", gpt_5(625_000, 5_000_000)),
        ("auto", r#""flex""#, gpt_5(625_000, 5_000_000)),
        ("priority", r#""priority""#, gpt_5(2_500_000, 20_000_000)),
        ("priority", r#""default""#, gpt_5(1_250_000, 10_000_000)),
        ("auto", r#""priority""#, gpt_5(2_500_000, 20_000_000)),
    ] {
        let task = task("1");
        let body = format!(
            r#"{{"model":"gpt-5","service_tier":"{asked}","max_completion_tokens":10,
                "messages":[{{"role":"user","content":"hello world"}}]}}"#
        );
        let exchange = task.exchange(Api::OpenAiChat, body.as_bytes(), &Terms::default()).unwrap();
        if asked != "auto" {
            assert!(exchange.call().reserved() >= charged, "{asked} {told}");
        }
        exchange.answered(200, &answer(told)).unwrap();
        assert_eq!(charge(&exchange), (charged, false), "{asked} {told}");
    }
}

#[test]
fn requests_that_cannot_be_bounded_yet_are_refused() {
    for api in [Api::BedrockConverse, Api::OpenAiRealtime, Api::LangChain] {
        let error = task("1").exchange(api, br#"{"model":"gpt-4o"}"#, &Terms::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn a_strict_bound_holds_a_token_for_every_byte() {
    let config = Config { bound: Bound::Strict, ..Config::default() };
    let ledger = Ledger::open("memory:", Arc::new(config)).unwrap();
    let task = ledger.task("t", [Limit::usd("1").unwrap()]).unwrap();
    // The role and the text in bytes, and the six tokens of the frame.
    assert_eq!(chat(&task, "").call().reserved(), Money::from_nanos(21 * 2_500 + 100 * 10_000));
}

#[test]
fn a_tier_without_a_price_is_refused_before_and_held_in_full_after() {
    let task = task("1");
    let body = br#"{"model":"gpt-3.5-turbo","service_tier":"priority","max_tokens":10,"messages":[]}"#;
    let error = task.exchange(Api::OpenAiChat, body, &Terms::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unpriced);
    let body = br#"{"model":"gpt-3.5-turbo","max_tokens":10,"messages":[]}"#;
    let exchange = task.exchange(Api::OpenAiChat, body, &Terms::default()).unwrap();
    let answer = r#"{"service_tier":"priority","usage":{"prompt_tokens":9,"completion_tokens":10}}"#;
    exchange.answered(200, answer).unwrap();
    assert_eq!(charge(&exchange), (exchange.call().reserved(), true));
}

/// Claude Opus 5 at 5 USD and 25 USD per million tokens, times so many tenths.
fn opus(input: i64, output: i64, tenths: i64) -> Money {
    Money::from_nanos((input * 5_000 + output * 25_000) * tenths / 10)
}

#[test]
fn a_region_costs_a_tenth_more_whoever_names_it() {
    let body = |geo: &str| {
        format!(
            r#"{{"model":"claude-opus-5","max_tokens":100{geo},"messages":[{{"role":"user","content":"hi"}}]}}"#
        )
    };
    let answer = |geo: &str| {
        format!(
            r#"{{"model":"claude-opus-5","usage":{{"input_tokens":10,"output_tokens":20,"inference_geo":"{geo}"}}}}"#
        )
    };
    let us = r#","inference_geo":"us""#;
    let far = Terms { is_regional: true, ..Terms::default() };
    for (asked, terms, told, tenths) in [
        ("", Terms::default(), "global", 10),
        ("", Terms::default(), "not_available", 10),
        ("", Terms::default(), "us", 11),
        (us, Terms::default(), "us", 11),
        ("", far.clone(), "global", 11),
    ] {
        let task = task("1");
        let exchange = task.exchange(Api::AnthropicMessages, body(asked).as_bytes(), &terms).unwrap();
        exchange.answered(200, &answer(told)).unwrap();
        assert_eq!(charge(&exchange), (opus(10, 20, tenths), false), "{asked} {told}");
    }
    let task = task("1");
    let held = |asked: &str| {
        let exchange = task.exchange(Api::AnthropicMessages, body(asked).as_bytes(), &Terms::default());
        exchange.unwrap().call().reserved().nanos()
    };
    assert_eq!(held(us) * 10, held("") * 11);
    // Of a host, a model without such a price costs what it costs elsewhere.
    let old = br#"{"model":"gpt-4o","max_tokens":100,"messages":[]}"#;
    assert!(task.exchange(Api::OpenAiChat, old, &far).is_ok());
}

#[test]
fn a_stream_may_be_left_without_usage_for_servers_that_refuse_to_be_asked() {
    let ledger = Ledger::in_memory();
    ledger.set_config(Arc::new(Config { stream_usage: StreamUsage::Leave, ..Config::default() }));
    let task = ledger.task("t", [Limit::usd("1").unwrap()]).unwrap();
    let exchange = chat(&task, r#","stream":true"#);
    assert_eq!(exchange.patch(), []);
    push(&exchange, &text("one two"));
    push(&exchange, "data: [DONE]\n\n");
    exchange.ended().unwrap();
    assert!(charge(&exchange).1);
    // What comes all the same is the caller's, and is charged.
    let exchange = chat(&task, r#","stream":true"#);
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n";
    assert_eq!(push(&exchange, usage), usage);
    push(&exchange, "data: [DONE]\n\n");
    exchange.ended().unwrap();
    assert_eq!(charge(&exchange), (gpt_4o(2), false));
}
