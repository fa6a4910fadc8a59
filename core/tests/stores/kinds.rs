//! What does a task take from its kind, and what does its caller's own option take the place of?

use std::sync::Arc;

use outlay::{
    Attempt, Config, ErrorKind, Field, Limit, Money, Result, Task, TaskOptions, Unit,
    meter::Api,
    policy::{Deadline, Deadlines, Thresholds},
    run::{OnLimit, Terms, config::Choices},
};
use serde_json::json;

use crate::fixture::{MINUTE, NOON, Place, cents, config_with, hold, refused, request, spend, usd};

const REFUND: &str = r#"
    usd = [{ amount = "0.50" }, { amount = 0.45, window = "turn" }, { amount = 0.30, soft = true }]
    llm_calls = 30
    tool_calls = 2
    retry_usd = 0.10
    wrap_up_usd = "0.05"
    deadline = 600
    on_limit = "finish"
    fallback = ["gpt-4o-mini"]
    alerts = [0.5, "80%"]
"#;

/// Lets the ledger be configured with a kind `refund` of these options, beside what tests price calls by.
fn configured(place: &Place, refund: &str) {
    let choices = Choices::from_toml(&format!("[kinds.refund]\n{refund}")).unwrap();
    place.ledger.set_config(Arc::new(place.ledger.config().as_ref().clone().with(&choices).unwrap()));
}

fn refund() -> TaskOptions {
    TaskOptions::new("refund").tag("kind", "refund").unwrap()
}

fn open(place: &Place, options: TaskOptions) -> Task {
    place.ledger.open_task(options).unwrap()
}

/// Its limits as they stand in the ledger: unit, amount, hard, window.
fn limits(place: &Place, task: &Task) -> Vec<(Unit, String, bool, String)> {
    let state = place.ledger.find_task(&task.id().to_string()).unwrap();
    let shown = state.limits.into_iter();
    let shown =
        shown.map(|limit| (limit.unit, limit.unit.show(limit.amount), limit.hard, limit.window.to_string()));
    let mut all: Vec<_> = shown.collect();
    all.sort();
    all
}

fn a_task_takes_what_its_kind_has(place: &Place) {
    configured(place, REFUND);
    let task = open(place, refund());
    let of = |unit, amount: &str, hard, window: &str| (unit, amount.to_owned(), hard, window.to_owned());
    let expected = [
        of(Unit::Usd, "0.10", true, "retries"),
        of(Unit::Usd, "0.30", false, "life"),
        of(Unit::Usd, "0.45", true, "turn"),
        of(Unit::Usd, "0.50", true, "life"),
        of(Unit::LlmCalls, "30", true, "life"),
        of(Unit::ToolCalls, "2", true, "life"),
    ];
    assert_eq!(limits(place, &task), expected);
    assert_eq!(task.on_limit(), OnLimit::Finish);
    assert_eq!(cents(&task).1, 5, "what is put by is pending");
    assert_eq!(task.available().unwrap(), Some(usd("0.40")));
    let state = place.ledger.find_task(&task.id().to_string()).unwrap();
    assert_eq!(state.deadline.hard, Some(NOON + 10 * MINUTE));
    task.tool_call("web").unwrap();
    task.tool_call("web").unwrap();
    let third = refused(task.tool_call("web"), ErrorKind::BudgetExceeded);
    assert_eq!(third.field("unit"), Some(&Field::Text("tool_calls".to_owned())));
    place.check();
}

fn the_callers_own_option_wins(place: &Place) {
    configured(place, REFUND);
    let own = refund()
        .limit(Limit::usd("1").unwrap())
        .wrap_up(Money::parse("0.20").unwrap())
        .deadline(Deadline::After(MINUTE))
        .on_limit(OnLimit::Raise)
        .alerts(Thresholds::default());
    let task = open(place, own);
    let usd = |(unit, ..): &(Unit, String, bool, String)| *unit == Unit::Usd;
    let (money, counts): (Vec<_>, Vec<_>) = limits(place, &task).into_iter().partition(usd);
    let amounts: Vec<_> = money.iter().map(|(_, amount, ..)| amount.as_str()).collect();
    assert_eq!(amounts, ["0.10", "1.00"], "`usd` as a whole; `retry_usd` is another option");
    assert_eq!(counts.len(), 2);
    assert_eq!((task.on_limit(), cents(&task).1), (OnLimit::Raise, 20));
    let state = place.ledger.find_task(&task.id().to_string()).unwrap();
    assert_eq!(state.deadline.hard, Some(NOON + MINUTE));
}

fn tasks_of_no_kind_of_another_or_inside_take_nothing(place: &Place) {
    configured(place, REFUND);
    let other = TaskOptions::new("t").tag("kind", "search").unwrap();
    for options in [TaskOptions::new("refund"), other] {
        let task = open(place, options);
        assert_eq!((limits(place, &task), task.available().unwrap()), (vec![], None));
    }
    let task = open(place, refund());
    let inside = open(place, TaskOptions::new("step").under(&task));
    assert_eq!(inside.tags().get("kind"), Some("refund"), "the tag is inherited");
    assert_eq!(limits(place, &inside), []);
    assert_eq!(inside.available().unwrap(), Some(usd("0.40")), "but the limits above hold");
    // One that says so itself has limits of its own beside them.
    let own = open(place, refund().wrap_up(Money::parse("0.01").unwrap()).under(&task));
    assert_eq!(limits(place, &own).len(), 6);
    assert_eq!(own.available().unwrap(), Some(usd("0.39")));
}

fn a_changed_configuration_is_as_a_changed_declaration(place: &Place) {
    let enter = || place.ledger.open_task(refund().id("refund-4711"));
    let again = |place: &Place, usd: &str| -> Result<String> {
        configured(place, usd);
        let task = enter()?;
        task.end(Attempt::Failed, None)?;
        Ok(task.available()?.unwrap().to_string())
    };
    assert_eq!(again(place, "usd = 0.50").unwrap(), "0.50 USD");
    assert_eq!(again(place, "usd = 0.50").unwrap(), "0.50 USD");
    assert_eq!(again(place, "usd = 0.75").unwrap(), "0.75 USD", "larger is a grant");
    let smaller = refused(again(place, "usd = 0.60"), ErrorKind::Conflict);
    let said = "task `refund` exists with a hard limit of 0.75 usd, larger than 0.60 usd";
    assert!(smaller.to_string().starts_with(&said[..60]), "{smaller}");
    refused(again(place, "usd = 0.75\nllm_calls = 3"), ErrorKind::Conflict);
    // Nothing configured is nothing declared: what there is stays.
    assert_eq!(again(place, "").unwrap(), "0.75 USD");
    place.check();
}

fn a_breaker_watches_unless_the_caller_says_otherwise(place: &Place) {
    configured(
        place,
        "[kinds.refund.breaker]\nno_progress = { nudge = 2, refuse = 9, pause = 10, stop = 11 }",
    );
    let nudges = |task: &Task| {
        let mut said = vec![json!({"role": "user", "content": "how is the weather?"})];
        let mut nudged = Vec::new();
        for turn in 1..=3 {
            let call = json!({"id": turn.to_string(), "function": {"name": "web", "arguments": "{}"}});
            said.push(json!({"role": "assistant", "tool_calls": [call]}));
            said.push(json!({"role": "tool", "tool_call_id": turn.to_string(), "content": "nothing"}));
            let body = json!({"model": "gpt-4o", "max_tokens": 9, "messages": said}).to_string();
            let exchange = task.exchange(Api::OpenAiChat, body.as_bytes(), &Terms::default()).unwrap();
            nudged.push(exchange.patch().iter().any(|(member, _)| *member == "messages"));
        }
        nudged
    };
    assert_eq!(nudges(&open(place, refund())), [false, true, true]);
    assert_eq!(nudges(&open(place, refund().unwatched())), [false; 3]);
    assert_eq!(nudges(&open(place, TaskOptions::new("t"))), [false; 3]);
}

fn its_deadline_may_be_soft(place: &Place) {
    configured(place, "deadline = [600, { amount = 300, soft = true }]");
    let deadlines = |options| {
        let task = open(place, options);
        place.ledger.find_task(&task.id().to_string()).unwrap().deadline
    };
    let (hard, soft) = (Some(NOON + 10 * MINUTE), Some(NOON + 5 * MINUTE));
    assert_eq!(deadlines(refund()), Deadlines { hard, soft });
    let own = refund().soft_deadline(Deadline::After(MINUTE));
    assert_eq!(deadlines(own), Deadlines { hard: None, soft: Some(NOON + MINUTE) }, "the option as a whole");
}

fn its_limits_hold_and_only_under_enforcement(place: &Place) {
    configured(place, "usd = 0.05");
    let task = open(place, refund());
    hold(&task, 5);
    refused(task.reserve(&request(1_000)), ErrorKind::BudgetExceeded);
    let watching = open(place, refund().observe());
    spend(&watching, 9).unwrap();
    assert_eq!(cents(&watching).0, 9);
    place.check();
}

on_every_store![
    a_task_takes_what_its_kind_has,
    the_callers_own_option_wins,
    tasks_of_no_kind_of_another_or_inside_take_nothing,
    a_changed_configuration_is_as_a_changed_declaration,
    a_breaker_watches_unless_the_caller_says_otherwise,
    its_deadline_may_be_soft,
    its_limits_hold_and_only_under_enforcement,
];

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (text, said) in [
        ("usd = -1", "kinds.refund.usd: limit `-1.00` of usd is negative"),
        ("usd = true", "kinds.refund.usd: `true` is not a number"),
        ("usd = [1, 2]", "kinds.refund: two limits of usd for the window `life`"),
        ("tokens = 1.5", "kinds.refund.tokens: limit `1.5` of tokens is not a whole number"),
        ("tool_calls = { amount = 1, window = 'fortnight' }", "kinds.refund.tool_calls: window `fortnight`"),
        ("tool_calls = { amount = 1, sof = true }", "kinds.refund.tool_calls: unknown field `sof`"),
        ("retry_usd = 'much'", "kinds.refund.retry_usd: "),
        ("wrap_up_usd = []", "kinds.refund.wrap_up_usd: `[]` is not a number"),
        ("deadline = -5", "kinds.refund.deadline: `-5` is not a number of seconds"),
        ("deadline = 1e12", "kinds.refund.deadline: "),
        ("deadline = [5, 6]", "kinds.refund.deadline: `6` is not one hard or one soft deadline"),
        ("deadline = { amount = 5, window = 'day' }", "kinds.refund.deadline: "),
        ("on_limit = 'stop'", "kinds.refund.on_limit: on_limit `stop` is not `raise`, `ask` or `finish`"),
        ("fallback = ['']", "kinds.refund.fallback: "),
        ("alerts = ['often']", "kinds.refund.alerts: "),
        ("breaker = { cycle = { warn = 4 } }", "kinds.refund.breaker: `cycle` has no level `warn`"),
        // Where the text itself is wrong the line is told.
        ("\nusdd = 1", "line 3: unknown field `usdd`"),
        ("on_limit = 5", "line 2: invalid type"),
    ] {
        let choices = Choices::from_toml(&format!("[kinds.refund]\n{text}"));
        let error = choices.and_then(|choices| Config::default().with(&choices)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        assert!(error.to_string().starts_with(said), "{text}: {error}");
    }
}

#[test]
fn kinds_are_read_from_json_as_from_toml() {
    let json =
        r#"{"kinds": {"refund": {"usd": {"amount": "1", "soft": false, "window": "day", "tz": null}}}}"#;
    let config = Config::default().with(&Choices::from_json(json).unwrap()).unwrap();
    let place = Place::memory();
    place.ledger.set_config(Arc::new(Config { kinds: config.kinds, ..config_with("{}") }));
    let task = open(&place, refund());
    assert_eq!(limits(&place, &task), [(Unit::Usd, "1.00".to_owned(), true, "day".to_owned())]);
}
