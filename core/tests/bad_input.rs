//! What does the core say to values that cannot be?
//!
//! `InvalidInput` that names them, before anything is held or written; and for a response nobody
//! can read, never nothing.

#[path = "fixture/mod.rs"]
mod fixture;

use std::{fmt::Debug, fs, sync::Arc};

use fixture::{Place, cents, config, hold, refused, request};
use outlay::{
    Attempt, BudgetOptions, Config, Error, ErrorKind, Ledger, Limit, Money, Outcome, Request, Result, Tags,
    Task, TaskOptions, Unit, Usage, Window,
    meter::{Api, Exposure},
    run::{Terms, config::Choices},
};

#[track_caller]
fn invalid<T: Debug>(result: Result<T>) -> Error {
    refused(result, ErrorKind::InvalidInput)
}

#[test]
fn amounts_that_cannot_be() {
    let long = "9".repeat(1_000_000);
    let texts = [
        "",
        " ",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "1,5",
        "1_000",
        "0x10",
        "1e",
        "1e1e1",
        "--1",
        "1 000",
        "１",
        "$1",
        "9223372036.854775808",
        "1e99999999999",
        "1e2147483647",
        &long,
    ];
    for text in texts {
        invalid(Money::parse(text));
        invalid(Limit::usd(text));
        invalid(Limit::count(Unit::Tokens, text));
    }
    for text in ["-1", "-0.01", "-1e5", "1e-10"] {
        invalid(Limit::usd(text));
    }
    for text in ["-1", "0.5", "1e3", "9223372036854775808"] {
        invalid(Limit::count(Unit::LlmCalls, text));
    }
    invalid(Limit::new(Unit::ToolCalls, -1));
    invalid(Limit::new(Unit::Usd, i64::MIN));
}

#[test]
fn windows_that_cannot_be() {
    for text in [
        "",
        "DAY",
        "year",
        "rolling",
        "rolling:",
        "rolling:h",
        "rolling:0h",
        "rolling:-1h",
        "rolling:1.5h",
        "rolling:59s",
        "rolling:367d",
        "rolling:99999999999999999999h",
        "rolling:9223372036854775807d",
        "rolling:1é",
    ] {
        invalid(Window::parse(text, None));
    }
    for zone in ["", "Mars/Olympus", "../../etc/passwd", "Europe/Berlin\0", &"A".repeat(100_000)] {
        invalid(Window::parse("day", Some(zone)));
    }
}

#[test]
fn names_that_cannot_be() {
    let (long, place) = ("x".repeat(257), Place::memory());
    let task = place.task("1");
    for text in ["", "a\0b", "line\nbreak", "\u{7f}", &long] {
        invalid(place.ledger.task(text, []));
        invalid(place.ledger.open_task(TaskOptions::new("t").id(text)));
        invalid(TaskOptions::new("t").tag("tenant", text));
        invalid(TaskOptions::new("t").tag(text, "acme"));
        invalid(BudgetOptions::new().tag("tenant", text));
        invalid(task.reserve(&Request::model(text)));
        invalid(task.reserve(&request(1).id(text)));
        invalid(task.tool_call(text));
        invalid(task.end(Attempt::Failed, Some(text)));
        invalid(place.ledger.set_budget(&BudgetOptions::new().per(text).limit(Limit::usd("1").unwrap())));
        refused(place.ledger.forget("tenant", text), ErrorKind::NotFound);
        assert!(text.parse::<outlay::Id>().is_err());
    }
    let mut tags = Tags::new();
    for no in 0..16 {
        tags.set(&format!("k{no}"), "v").unwrap();
    }
    invalid(tags.set("one-more", "v"));
    let below = (0..8).try_fold(task, |above, _| place.ledger.open_task(TaskOptions::new("t").under(&above)));
    invalid(place.ledger.open_task(TaskOptions::new("t").under(&below.unwrap())));
}

#[test]
fn limits_that_contradict_each_other() {
    let (place, limit) = (Place::memory(), || Limit::usd("1").unwrap());
    invalid(place.ledger.set_budget(&BudgetOptions::new()));
    invalid(place.ledger.set_budget(&BudgetOptions::new().limit(limit()).limit(limit())));
    invalid(place.ledger.task("t", [limit(), limit()]));
}

#[test]
fn requests_that_cannot_be_hold_nothing() {
    let (task, most) = (Place::memory().task("1"), u64::MAX);
    let media = |exposure: Exposure| Request::model("gpt-4o").exposure(exposure);
    for request in [
        request(most),
        request(1).input_tokens(most),
        request(1_000_000_000_001),
        request(1).choices(0),
        request(1).choices(1_001),
        request(1).choices(most),
        request(1_000_000_000_000).choices(1_000),
        request(1).max_usd(Money::from_nanos(-1)),
        request(1).max_usd(Money::from_nanos(i64::MIN)),
        Request::model("nobody-9").max_usd(Money::from_nanos(-1)),
        media(Exposure { input_tokens: most, ..Exposure::default() }),
        media(Exposure { web_searches: most, ..Exposure::default() }),
    ] {
        invalid(task.reserve(&request));
    }
    refused(task.reserve(&request(1).max_usd(Money::from_nanos(i64::MAX))), ErrorKind::BudgetExceeded);
    assert_eq!(cents(&task), (0, 0, 0));
}

#[test]
fn a_usage_that_cannot_be_leaves_the_call_open() {
    let most = u64::MAX;
    let plain = Usage::tokens(100, 100);
    let usages = [
        Usage::tokens(most, 0),
        Usage::tokens(0, most),
        Usage::tokens(1_000_000_000_001, 0),
        Usage { web_searches: most, ..plain },
        Usage { cache_read_tokens: 101, ..plain },
        Usage { cache_read_tokens: 60, cache_write_tokens: 60, ..plain },
        Usage { cache_write_tokens: most, cache_write_1h_tokens: most, ..plain },
        Usage { input_audio_tokens: 101, ..plain },
        Usage { input_audio_tokens: 60, input_image_tokens: 60, ..plain },
        Usage { input_audio_tokens: most, input_image_tokens: most, ..plain },
        Usage { reasoning_tokens: 101, ..plain },
        Usage { output_audio_tokens: 60, output_image_tokens: 60, ..plain },
        Usage { output_audio_tokens: most, output_image_tokens: 1, ..plain },
    ];
    for place in [Place::memory(), Place::sqlite()] {
        let task = place.task("1");
        let call = hold(&task, 5);
        for usage in &usages {
            invalid(call.settle(usage));
            invalid(usage.check());
        }
        assert_eq!(cents(&task), (0, 5, 0));
        call.settle(&Usage::tokens(0, 5_000)).unwrap();
        let doubted = hold(&task, 5);
        doubted.doubt().unwrap();
        for usage in &usages {
            invalid(place.ledger.resolve(doubted.id(), Some(&(*usage).into()), "ann"));
        }
        assert_eq!(cents(&task), (5, 0, 5));
        place.check();
    }
}

#[test]
fn usage_beyond_all_money_is_refused_and_the_call_stays_open() {
    let task = Place::memory().task("1");
    let dear = Config::default()
        .with(&Choices::from_json(r#"{"prices": {"dear": {"input": "9000", "output": "9000"}}}"#).unwrap());
    task.ledger().set_config(Arc::new(dear.unwrap()));
    let call = task.reserve(&Request::model("dear").max_output_tokens(1)).unwrap();
    invalid(call.settle(&Usage::tokens(1_000_000_000_000, 1_000_000_000_000)));
    call.settle(&Usage::tokens(0, 1)).unwrap();
}

fn exchange(task: &Task, stream: bool) -> outlay::run::Exchange {
    let body = format!(
        r#"{{"model": "gpt-4o", "stream": {stream}, "max_tokens": 100,
            "messages": [{{"role": "user", "content": "hi"}}]}}"#
    );
    task.exchange(Api::OpenAiChat, body.as_bytes(), &Terms::default()).unwrap()
}

/// Usage of a response that says what cannot be.
const NO_USAGE: [&str; 14] = [
    "null",
    "[]",
    r#""many""#,
    "{}",
    r#"{"prompt_tokens": null, "completion_tokens": null}"#,
    r#"{"prompt_tokens": -5, "completion_tokens": 3}"#,
    r#"{"prompt_tokens": 5, "completion_tokens": -3}"#,
    r#"{"prompt_tokens": "5", "completion_tokens": "3"}"#,
    r#"{"prompt_tokens": 5.5, "completion_tokens": 3}"#,
    r#"{"prompt_tokens": 1e300, "completion_tokens": 3}"#,
    r#"{"prompt_tokens": 18446744073709551616, "completion_tokens": 3}"#,
    r#"{"prompt_tokens": true, "completion_tokens": [3]}"#,
    r#"{"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}"#,
    r#"{"prompt_tokens": 5, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 9}}"#,
];

#[test]
fn a_response_that_says_what_cannot_be_is_never_free() {
    let bodies = NO_USAGE.iter().map(|usage| format!(r#"{{"model": "gpt-4o", "usage": {usage}}}"#));
    let others = ["", "{", "[1]", "null", "\u{0}", "<html>busy</html>", r#"{"usage": {"#].map(str::to_owned);
    for body in bodies.chain(others) {
        let task = Place::memory().task("1");
        let exchange = exchange(&task, false);
        let reserved = exchange.call().reserved();
        exchange.answered(200, &body).unwrap();
        let known = match exchange.call().outcome() {
            Some(Outcome::Settled(settled)) => settled.estimated && settled.charge > Money::ZERO,
            Some(Outcome::InDoubt) => true,
            _ => false,
        };
        assert!(known, "{body}: {:?}", exchange.call().outcome());
        let balance = task.balance().unwrap();
        assert!(
            balance.pending.usd() == Money::ZERO && balance.settled.usd() <= reserved,
            "{body}: {balance:?}"
        );
    }
}

#[test]
fn a_stream_that_says_what_cannot_be_is_never_free() {
    let usages = NO_USAGE.iter().map(|usage| format!("data: {{\"choices\": [], \"usage\": {usage}}}\n\n"));
    let others = ["data: {\n\n", "\n\n\n", "data: [DONE]\n\n", ": x\n", "event: \u{0}\n\n", "data: []\n\n"];
    for events in usages.chain(others.map(str::to_owned)) {
        let task = Place::memory().task("1");
        let exchange = exchange(&task, true);
        let mut out = Vec::new();
        exchange.push(events.as_bytes(), &mut out).unwrap();
        exchange
            .push(b"data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"hi\"}}]}\n\n", &mut out)
            .unwrap();
        exchange.ended().unwrap();
        let outcome = exchange.call().outcome();
        let Some(Outcome::Settled(settled)) = outcome else { panic!("{events}: {outcome:?}") };
        assert!(settled.estimated && settled.charge > Money::ZERO, "{events}: {settled:?}");
    }
}

#[test]
fn requests_nobody_can_read_are_refused() {
    let task = Place::memory().task("1");
    let deep = "[".repeat(100_000);
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "{",
        r#"{"model": 5}"#,
        r#"{"model": ""}"#,
        r#"{"model": null, "messages": []}"#,
        &deep,
        r#"{"model": "gpt-4o", "messages": [], "n": -1}"#,
        r#"{"model": "gpt-4o", "messages": [], "n": "two"}"#,
        r#"{"model": "gpt-4o", "messages": [], "max_tokens": -1}"#,
        r#"{"model": "gpt-4o", "messages": [], "max_tokens": 1.5}"#,
        r#"{"model": "gpt-4o", "messages": [], "max_tokens": 1e30}"#,
        r#"{"model": "gpt-4o", "messages": [], "max_tokens": "many"}"#,
    ] {
        invalid(task.exchange(Api::OpenAiChat, body.as_bytes(), &Terms::default()).map(drop));
    }
    assert_eq!(task.balance().unwrap().pending.usd(), Money::ZERO);
}

#[test]
fn options_that_cannot_be() {
    for text in [
        "",
        "{",
        "[]",
        "5",
        r#"{"storre": "memory:"}"#,
        r#"{"durability": "never"}"#,
        r#"{"unbound": "maybe"}"#,
        r#"{"default_max_output_tokens": 0}"#,
        r#"{"min_output_tokens": 0}"#,
        r#"{"min_output_tokens": -1}"#,
        r#"{"min_output_tokens": 1.5}"#,
        r#"{"store": 5}"#,
        r#"{"prices": []}"#,
        r#"{"prices": {"m": 1}}"#,
        r#"{"prices": {"m": {"input": "nan", "output": "1"}}}"#,
        r#"{"prices": {"m": {"input": "-1", "output": "1"}}}"#,
        r#"{"prices": {"m": {"input": "1e30", "output": "1"}}}"#,
        r#"{"prices": {"m": {"input": "1"}}}"#,
    ] {
        let read = Choices::from_json(text).and_then(|choices| Config::default().with(&choices));
        let error = read.map(drop).err().unwrap_or_else(|| panic!("{text}"));
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}: {error}");
    }
}

#[test]
fn stores_that_cannot_be() {
    let folder = tempfile::TempDir::new().unwrap();
    let at = |name: &str| format!("sqlite:{}/{name}", folder.path().display());
    for store in [
        "sqlite:",
        "sqlite:/",
        "sqlite:..",
        "sqlite:../up.db",
        &at("../up.db"),
        &at("a\0b.db"),
        &at("x.db?mode=ro"),
        &at("x.db#1"),
        "sqlite://user:hunter2@host/x.db",
        "sqlite://host/x.db",
        "memory:a b",
        "memory:../x",
        "memory:\0",
        "memory://user:hunter2@host",
        &format!("sqlite:{}", folder.path().display()),
    ] {
        let error = invalid(Ledger::open(store, config()));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    for store in [
        "",
        "memory",
        "sqlite",
        "ledger.db",
        "/tmp/ledger.db",
        "postgresql://user:hunter2@host/x",
        "mysql:x",
        "SQLITE:x",
        "user:hunter2@host",
        "\0",
        "file:x.db",
        "https://hunter2@host/",
    ] {
        let error = refused(Ledger::open(store, config()), ErrorKind::Unsupported);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let long = at(&"x".repeat(10_000));
    refused(Ledger::open(&long, config()), ErrorKind::StoreUnavailable);
    fs::write(folder.path().join("file"), "").unwrap();
    refused(Ledger::open(&at("file/below.db"), config()), ErrorKind::StoreUnavailable);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
}
