//! How large does a ledger grow?

mod fixture;

use fixture::{Place, cents, hold, refused, spend};
use outlay::{ErrorKind, Limit, Task, Usage, meter::Api, run::exchange::Terms};

/// With indexes, rows and the chain.
const BYTES_PER_CALL: u64 = 400;
const CALLS: u64 = 3_000;

/// A call as an instrumented client makes it: counted, hashed, compared with the one before.
fn send(task: &Task, no: u64) {
    let body = format!(
        r#"{{"model": "gpt-4o", "max_tokens": 4000, "messages": [
            {{"role": "system", "content": "Answer with a word."}}, {{"role": "user", "content": "{no}?"}}]}}"#
    );
    let answer = format!(
        r#"{{"model": "gpt-4o-2024-08-06", "usage": {{"prompt_tokens": 20, "completion_tokens": {},
            "prompt_tokens_details": {{"cached_tokens": 8}}}}}}"#,
        no % 4_000
    );
    let exchange = task.exchange(Api::OpenAiChat, body.as_bytes(), &Terms::default()).unwrap();
    exchange.answered(200, &answer).unwrap();
}

fn bytes_per_call(mut call: impl FnMut(&Task, u64)) -> u64 {
    let place = Place::sqlite();
    let task = place.ledger.task("t", [Limit::usd("1000000").unwrap()]).unwrap();
    let mut run = |calls| {
        for no in calls {
            place.clock.advance(1_500);
            call(&task, no);
        }
        // All of the write-ahead log goes into the file.
        let done: i64 = place.sql("PRAGMA wal_checkpoint(TRUNCATE)");
        assert_eq!(done, 0, "nobody reads meanwhile");
        std::fs::metadata(place.file()).unwrap().len()
    };
    let before = run(0..500);
    (run(500..500 + CALLS) - before) / CALLS
}

#[test]
fn a_call_takes_few_bytes() {
    let given = bytes_per_call(|task, _| assert!(spend(task, 1).is_ok()));
    let sent = bytes_per_call(send);
    println!("bytes a call: {given} with given counts, {sent} by a client");
    assert!(given <= BYTES_PER_CALL && sent <= BYTES_PER_CALL, "{given} and {sent} bytes a call");
}

#[test]
fn memory_drops_the_oldest_entries_and_keeps_the_balances() {
    let place = Place::memory();
    let task = place.task("1000000");
    let usage = Usage::tokens(0, 1_000);
    let (first, open, voided) = (hold(&task, 1), hold(&task, 1), hold(&task, 1));
    let settled = first.settle(&usage).unwrap();
    voided.void().unwrap();
    for _ in 0..40_000 {
        spend(&task, 1).unwrap();
    }
    assert_eq!(first.settle(&usage).unwrap(), settled, "its entries are kept");
    refused(first.void(), ErrorKind::Conflict);
    for _ in 0..20_000 {
        spend(&task, 1).unwrap();
    }
    refused(first.settle(&usage), ErrorKind::NotFound);
    refused(voided.void(), ErrorKind::NotFound);
    refused(place.ledger.check_balances(), ErrorKind::Unsupported);
    assert_eq!(cents(&task), (60_001, 1, 0));
    open.settle(&usage).unwrap();
    assert_eq!(open.settle(&usage).map(|again| again.charge).unwrap_or_default(), settled.charge);
    assert_eq!(cents(&task), (60_002, 0, 0));
}
