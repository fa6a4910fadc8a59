//! Does any response break the reading of what it used?
//!
//! The first byte chooses the API, the second where the rest is cut in two. Whatever the bytes:
//! a usage that is read can be, a stream says the same however it is cut, and a call that was
//! answered is never left open or free.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use outlay::{
    Ledger, Limit, Money, Outcome, Task,
    meter::{self, Api, Delta, StreamReader},
    run::Terms,
};
use serde_json::Value;

static TASK: LazyLock<Task> = LazyLock::new(|| {
    let limit = Limit::usd("9000000000").unwrap();
    Ledger::in_memory().task("fuzz", [limit]).unwrap()
});

fuzz_target!(|input: &[u8]| {
    let [first, cut, bytes @ ..] = input else { return };
    let Some(api) = Api::all().nth(usize::from(*first) % Api::all().count()) else { return };
    let at = usize::from(*cut).min(bytes.len());
    if let Ok(body) = serde_json::from_slice::<Value>(bytes) {
        if let Ok(extracted) = meter::usage(api, &body)
            && let Some(usage) = extracted.usage
        {
            usage.check().unwrap();
        }
        drop(meter::Request::read(api, &body, None));
    }
    for hides in [false, true] {
        let whole = read(api, hides, &[bytes]);
        assert_eq!(whole, read(api, hides, &[&bytes[..at], &bytes[at..]]));
        assert!(hides || whole.0 == bytes);
    }
    answered(api, bytes, at);
});

type Seen = (Vec<u8>, String, String, bool);

fn read(api: Api, hides: bool, parts: &[&[u8]]) -> Seen {
    let (mut reader, mut out, mut text) = (StreamReader::new(api, hides), Vec::new(), String::new());
    let note = |reader: &mut StreamReader, text: &mut String| {
        for Delta { text: piece, .. } in reader.deltas() {
            text.push_str(&piece);
        }
    };
    for part in parts {
        let _ = reader.push(part, &mut out);
        note(&mut reader, &mut text);
    }
    reader.end(&mut out);
    note(&mut reader, &mut text);
    let usage = reader.usage();
    if let Ok(Some(extracted)) = &usage
        && let Some(usage) = extracted.usage
    {
        usage.check().unwrap();
    }
    (out, text, format!("{usage:?} {:?}", reader.model()), reader.is_finished())
}

fn answered(api: Api, bytes: &[u8], at: usize) {
    let model = if api.provider() == "anthropic" { "claude-sonnet-4-5" } else { "gpt-4o" };
    for stream in [false, true] {
        let body = format!(
            r#"{{"model": "{model}", "stream": {stream}, "max_tokens": 50, "input": "a", "prompt": "a",
            "messages": [{{"role": "user", "content": "a"}}]}}"#
        );
        let Ok(exchange) = TASK.exchange(api, body.as_bytes(), &Terms::default()) else { continue };
        if stream {
            let mut out = Vec::new();
            for part in [&bytes[..at], &bytes[at..]] {
                if exchange.push(part, &mut out).is_err() {
                    break;
                }
            }
            let _ = exchange.ended();
        } else {
            let _ = exchange.answered(200, &String::from_utf8_lossy(bytes));
        }
        match exchange.call().outcome() {
            Some(Outcome::Settled(settled)) => assert!(settled.charge >= Money::ZERO),
            Some(Outcome::InDoubt) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(TASK.balance().unwrap().pending.usd(), Money::ZERO);
}
