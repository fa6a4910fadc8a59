//! What the breaker says of a task is in the ledger, with its grounds, and so is what was spent after it.

use std::sync::Arc;

use outlay::{
    Attempt, Config, ErrorKind, Field, Ledger, Limit, Outcome, Request, Task, TaskOptions, Unit, Usage,
    meter::Api,
    policy::{Breaker, Detector, Level, Step},
    report::{WasteKind, WasteReport},
    run::{Exchange, Terms, Watch},
};
use serde_json::{Value, json};
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

/// A conversation in which a model called the same tool so often, with the same result; as the chat API
/// has it.
fn conversation(turns: usize) -> Value {
    let mut messages = vec![json!({"role": "user", "content": "how is the weather?"})];
    for turn in 0..turns {
        let function = json!({"name": "web", "arguments": "{\"query\": \"weather\"}"});
        let calls = [json!({"id": format!("call{turn}"), "type": "function", "function": function})];
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": calls}));
        messages.push(json!({"role": "tool", "tool_call_id": format!("call{turn}"), "content": "nothing"}));
    }
    json!({"model": "gpt-4o", "max_tokens": 100, "messages": messages})
}

fn send(task: &Task, body: &Value) -> outlay::Result<Exchange> {
    task.exchange(Api::OpenAiChat, body.to_string().as_bytes(), &Terms::default())
}

/// What the model reads in place of the last result.
fn told(exchange: &Exchange) -> Option<String> {
    let (_, messages) = exchange.patch().iter().find(|(member, _)| *member == "messages")?;
    Some(messages.as_array()?.last()?["content"].as_str()?.to_owned())
}

#[test]
fn a_watched_task_tells_the_model_refuses_and_stops_by_its_requests() {
    for (_folder, ledger) in ledgers() {
        let task = ledger.task("ask", []).unwrap();
        task.watch_by(&Watch::new(Breaker::default()).into());
        for turns in 0..8 {
            let exchange = send(&task, &conversation(turns)).unwrap();
            let said = told(&exchange);
            match turns {
                0..=2 => assert_eq!(said, None),
                3..=4 => assert!(said.unwrap().starts_with("nothing\n\noutlay breaker: `web` gave the same")),
                _ => assert!(said.unwrap().starts_with("outlay breaker: this call was refused: ")),
            }
            assert_eq!(told(&send(&task, &conversation(turns)).unwrap()).is_some(), turns > 2, "sent again");
        }
        let paused = send(&task, &conversation(8)).unwrap_err();
        assert_eq!(paused.kind(), ErrorKind::ApprovalRequired);
        assert_eq!(paused.field("detector"), Some(&Field::Text("no_progress".into())));
        let Some(Field::Object(evidence)) = paused.field("evidence") else { panic!("{paused:?}") };
        assert_eq!((&evidence["count"], &evidence["tool"]), (&json!(8), &json!("web")));
        assert_eq!(send(&task, &conversation(0)).unwrap_err().kind(), ErrorKind::ApprovalRequired, "until");
        assert!(task.stopped().is_some());
        let levels: Vec<_> = ledger.verdicts(&task.id(), 100).unwrap();
        let levels: Vec<_> = levels.iter().map(|one| one.verdict.level.name()).collect();
        assert_eq!(levels, ["nudge", "nudge", "refuse", "refuse", "refuse", "pause"]);
    }
}

/// The same of an agent that was asked for something of its own.
fn conversation_of(agent: usize, turns: usize) -> Value {
    let mut body = conversation(turns);
    body["messages"][0]["content"] = format!("how is the weather in town {agent}?").into();
    body
}

#[test]
fn agents_side_by_side_are_no_loop_and_one_that_goes_in_circles_is_found() {
    for (_folder, ledger) in ledgers() {
        let task = ledger.task("fan", []).unwrap();
        let watch = Arc::new(Watch::new(Breaker::default()));
        task.watch_by(&watch);
        for turns in 0..3 {
            for agent in 0..10 {
                let said = told(&send(&task, &conversation_of(agent, turns)).unwrap());
                assert_eq!(said, None, "agent {agent}, turn {turns}");
            }
        }
        // Inside, the same words begin another conversation.
        for inner in ["a", "b", "c", "d"] {
            let inner = ledger.open_task(TaskOptions::new(inner).under(&task)).unwrap();
            inner.watch_by(&watch);
            for turns in 0..3 {
                assert_eq!(told(&send(&inner, &conversation(turns)).unwrap()), None);
            }
        }
        for agent in [7, 0] {
            assert!(told(&send(&task, &conversation_of(agent, 3)).unwrap()).is_some(), "agent {agent}");
        }
    }
}

#[test]
fn a_conversation_made_shorter_goes_on() {
    let [_, (_folder, ledger)] = ledgers();
    // The first words stay, or there is no other conversation whose they could have been.
    for (agents, keeps) in [(1, true), (1, false), (3, true)] {
        let task = ledger.task("ask", []).unwrap();
        task.watch_by(&Watch::new(Breaker::default()).into());
        (1..agents).for_each(|agent| drop(send(&task, &conversation_of(agent, 0)).unwrap()));
        (0..3).for_each(|turns| assert_eq!(told(&send(&task, &conversation_of(0, turns)).unwrap()), None));
        let mut body = conversation_of(0, 3);
        let messages = body["messages"].as_array_mut().unwrap();
        messages.drain(1..5);
        if !keeps {
            messages[0]["content"] = "So far: nothing was found.".into();
        }
        assert!(told(&send(&task, &body).unwrap()).is_some(), "{agents}, {keeps}");
    }
}

#[test]
fn what_is_known_of_many_conversations_is_bounded() {
    let [_, (_folder, ledger)] = ledgers();
    let task = ledger.task("fan", []).unwrap();
    task.watch_by(&Watch::new(Breaker::default()).into());
    for agent in 0..200 {
        (0..3).for_each(|turns| drop(send(&task, &conversation_of(agent, turns)).unwrap()));
    }
    // The oldest but the first are forgotten, the latest are not.
    for (agent, is_known) in [(1, false), (199, true), (0, true)] {
        assert_eq!(told(&send(&task, &conversation_of(agent, 3)).unwrap()).is_some(), is_known, "{agent}");
    }
}

#[test]
fn an_excused_run_goes_on() {
    let [_, (_folder, ledger)] = ledgers();
    let task = ledger.task("ask", []).unwrap();
    let watch = Arc::new(Watch::new(Breaker::default()));
    task.watch_by(&watch);
    let paused = (0..10).find_map(|turns| send(&task, &conversation(turns)).err());
    assert_eq!(paused.unwrap().kind(), ErrorKind::ApprovalRequired);
    watch.excuse();
    assert!(send(&task, &conversation(8)).is_ok(), "the request that was stopped");
    assert!(send(&task, &conversation(9)).is_ok());
}

#[test]
fn a_task_that_observes_is_told_nothing_and_all_is_recorded() {
    let [_, (_folder, ledger)] = ledgers();
    let task = ledger.open_task(TaskOptions::new("ask").observe()).unwrap();
    task.watch_by(&Watch::new(Breaker::default()).into());
    for turns in 0..=12 {
        assert_eq!(told(&send(&task, &conversation(turns)).unwrap()), None);
    }
    let said = ledger.verdicts(&task.id(), 100).unwrap();
    assert_eq!(said.last().unwrap().verdict.level, Level::Stop);
}

#[test]
fn a_request_that_is_watched_above_is_not_counted() {
    let [_, (_folder, ledger)] = ledgers();
    let task = ledger.task("ask", []).unwrap();
    task.watch_by(&Watch::new(Breaker::default()).into());
    let terms = Terms { is_watched: true, ..Terms::default() };
    for turns in 0..=12 {
        let body = conversation(turns).to_string();
        assert!(task.exchange(Api::OpenAiChat, body.as_bytes(), &terms).is_ok());
    }
    assert!(ledger.verdicts(&task.id(), 100).unwrap().is_empty());
}

#[test]
fn a_stream_that_goes_in_circles_is_ended() {
    for (_folder, ledger) in ledgers() {
        let task = ledger.task("ask", []).unwrap();
        task.watch_by(&Watch::new(Breaker::default()).into());
        let mut body = conversation(0);
        body["stream"] = true.into();
        body["max_tokens"] = 5_000.into();
        let exchange = send(&task, &body).unwrap();
        let delta =
            json!({"choices": [{"index": 0, "delta": {"content": "Let me check that again, to be sure. "}}]});
        let event = format!("data: {delta}\n\n");
        let mut out = Vec::new();
        let ended = (0..100).find_map(|_| exchange.push(event.as_bytes(), &mut out).err()).unwrap();
        assert_eq!(ended.kind(), ErrorKind::BreakerTripped);
        assert_eq!(ended.field("detector"), Some(&Field::Text("chant".into())));
        assert!(matches!(exchange.call().outcome(), Some(Outcome::Settled(_))));
        assert_eq!(send(&task, &conversation(0)).unwrap_err().kind(), ErrorKind::BreakerTripped);
    }
}

/// A task of a kind that spends 0.0025 + output × 0.00001 USD and succeeds.
fn succeed(ledger: &Ledger, kind: &str, output: u64) {
    let task = ledger.open_task(TaskOptions::new("past").tag("kind", kind).unwrap()).unwrap();
    spend(&task, output);
    task.end(Attempt::Succeeded, None).unwrap();
}

#[test]
fn a_run_that_spends_more_than_its_kind_needs_is_told_and_then_asks() {
    for (_folder, ledger) in ledgers() {
        for output in [50, 150, 100, 50, 50] {
            succeed(&ledger, "refund", output); // at most 0.004, so 0.006 is expected
        }
        succeed(&ledger, "audit", 900);
        let lost = ledger.open_task(TaskOptions::new("lost").tag("kind", "refund").unwrap()).unwrap();
        spend(&lost, 900);
        lost.end(Attempt::Failed, None).unwrap();

        let task = ledger.open_task(TaskOptions::new("now").tag("kind", "refund").unwrap()).unwrap();
        let watch = Arc::new(Watch::new(Breaker::default()));
        task.watch_by(&watch);
        spend(&task, 300); // 0.0055
        let plain =
            json!({"model": "gpt-4o", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]});
        let void = |exchange: Exchange| exchange.call().void().unwrap();
        let first = send(&task, &plain).unwrap();
        assert_eq!(told(&first), None);
        void(first);
        spend(&task, 0); // 0.008
        let second = send(&task, &plain).unwrap();
        assert!(
            told(&second).unwrap().starts_with("hi\n\noutlay breaker: this run has spent 133 % of the most")
        );
        void(second);
        let third = send(&task, &plain).unwrap();
        assert_eq!(told(&third), None, "said once");
        void(third);
        spend(&task, 200); // 0.0125
        let asked = send(&task, &plain).unwrap_err();
        assert_eq!(asked.kind(), ErrorKind::ApprovalRequired);
        assert_eq!(asked.field("detector"), Some(&Field::Text("doomed".into())));
        watch.excuse();
        void(send(&task, &plain).unwrap());
        spend(&task, 950); // 0.0245: 200 % more than what was excused
        assert!(told(&send(&task, &plain).unwrap()).is_some(), "the ladder begins again");
        let said = ledger.verdicts(&task.id(), 10).unwrap();
        let said: Vec<_> = said.iter().map(|one| (one.verdict.level, one.verdict.evidence.count)).collect();
        assert_eq!(said, [(Level::Nudge, 133), (Level::Pause, 208), (Level::Nudge, 408)]);
    }
}

#[test]
fn without_a_success_of_its_kind_nothing_is_expected() {
    for (_folder, ledger) in ledgers() {
        succeed(&ledger, "audit", 0);
        let task = ledger.open_task(TaskOptions::new("now").tag("kind", "refund").unwrap()).unwrap();
        task.watch_by(&Watch::new(Breaker::default()).into());
        spend(&task, 1_000);
        assert_eq!(told(&send(&task, &conversation(0)).unwrap()), None);
        // Without a kind, the name tells what is alike; after one success nobody is asked.
        let task = ledger.task("past", []).unwrap();
        task.watch_by(&Watch::new(Breaker::default()).into());
        for asked in [1, 2] {
            spend(&task, 1_000);
            assert_eq!(told(&send(&task, &conversation(0)).unwrap()).is_some(), asked == 1);
        }
    }
}

#[test]
fn what_a_refused_request_was_to_tell_is_told_later() {
    let task = Ledger::in_memory().task("t", [Limit::usd("0.02").unwrap()]).unwrap();
    spend(&task, 500);
    let terms = Terms { tell_budget: vec![25], wait_ms: Some(0), ..Terms::default() };
    let ask = |output: u64| {
        let body =
            json!({"model": "gpt-4o", "max_tokens": output, "messages": [{"role": "user", "content": "hi"}]});
        task.exchange(Api::OpenAiChat, body.to_string().as_bytes(), &terms)
    };
    let is_told = |exchange: Exchange| {
        exchange.patch().iter().any(|(_, value)| value.to_string().contains("[Budget: "))
    };
    assert_eq!(ask(9_000).err().unwrap().kind(), ErrorKind::BudgetExceeded);
    assert!(is_told(ask(9).unwrap()));
    assert!(!is_told(ask(9).unwrap()));
}

#[test]
fn a_task_goes_on_when_the_watched_one_above_has_ended() {
    for (_folder, ledger) in ledgers() {
        let above = ledger.task("above", []).unwrap();
        let inner = ledger.open_task(TaskOptions::new("inner").under(&above)).unwrap();
        let watch = Watch::new(Breaker::default()).into();
        above.watch_by(&watch);
        inner.watch_by(&watch);
        above.end(Attempt::Succeeded, None).unwrap();
        for turns in 0..6 {
            let exchange = send(&inner, &conversation(turns)).unwrap();
            assert_eq!(told(&exchange).is_some(), turns > 2);
        }
        assert!(ledger.verdicts(&above.id(), 10).unwrap().is_empty());
    }
}

#[test]
fn what_is_left_is_told_once_and_to_no_model_that_binds_its_thinking() {
    let limit = || Limit::new(Unit::LlmCalls, 4).unwrap();
    let terms = Terms { tell_budget: vec![25], ..Terms::default() };
    for (model, times) in [("claude-haiku-4-5", 1), ("claude-haiku-5-5", 0), ("claude-fable-5-2", 0)] {
        let task = Ledger::in_memory().task("t", [limit()]).unwrap();
        let body = json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        let told = (0..4).filter(|_| {
            let exchange =
                task.exchange(Api::AnthropicMessages, body.to_string().as_bytes(), &terms).unwrap();
            let is_told =
                exchange.patch().iter().any(|(_, value)| value.to_string().contains("[Budget: 1 of 4"));
            exchange.answered(200, "{}").unwrap();
            is_told
        });
        assert_eq!(told.count(), times, "{model}");
    }
}
