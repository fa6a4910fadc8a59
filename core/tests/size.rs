//! How large does a ledger file grow?

mod fixture;

use fixture::{Place, spend};
use outlay::{Limit, Task, meter::Api, run::exchange::Terms};

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
