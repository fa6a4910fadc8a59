//! May a handler of alerts use what its alert came out of? It runs inside somebody's act.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use outlay::{
    BudgetOptions, ErrorKind, Ledger, Limit, Outcome, TaskOptions,
    meter::Api,
    policy::{Breaker, Thresholds},
    run::{Terms, Watch},
};
use serde_json::json;

use crate::fixture::{MINUTE, Place, refused, request, spend, usd};

/// Nobody waits so long but one who waits for ever.
const FOR_EVER: Duration = Duration::from_mins(5);

/// What `act` comes to, if it comes to anything.
fn through<R: Send + 'static>(act: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(act()));
    result.recv_timeout(FOR_EVER).expect("it hangs, or it panicked")
}

/// Does `handle` once, when the first alert is handed over; gives what it comes to.
fn at_the_first_alert<R: Send + 'static>(
    ledger: &Ledger,
    handle: impl FnOnce() -> R + Send + 'static,
) -> mpsc::Receiver<R> {
    let (done, result) = mpsc::channel();
    let once = Mutex::new(Some((handle, done)));
    let handler = move |_: &_| {
        let first = once.lock().unwrap().take();
        if let Some((handle, done)) = first {
            done.send(handle()).unwrap();
        }
    };
    ledger.on_alert("once", handler).unwrap();
    result
}

/// A dollar, of which half is told of when it stayed spent for a minute.
fn dollar_for_a_minute() -> (Limit, Thresholds) {
    (Limit::usd("1").unwrap(), Thresholds::parse(["50% for 1m"]).unwrap())
}

/// Half of a budget over all is spent: the next act hands over the first alert, to `handle`.
fn before_an_alert<R: Send + 'static>(
    place: &Place,
    handle: impl FnOnce() -> R + Send + 'static,
) -> mpsc::Receiver<R> {
    let (limit, alerts) = dollar_for_a_minute();
    place.ledger.set_budget(&BudgetOptions::new().limit(limit.clone()).alerts(alerts)).unwrap();
    spend(&place.ledger.task("t", []).unwrap(), 60).unwrap();
    let handled = at_the_first_alert(&place.ledger, handle);
    place.clock.advance(MINUTE);
    // What another ledger records makes every ledger of the process look.
    let other = Place::memory();
    let at_once = Thresholds::parse(["50%"]).unwrap();
    other.ledger.set_budget(&BudgetOptions::new().limit(limit).alerts(at_once)).unwrap();
    spend(&other.ledger.task("t", []).unwrap(), 60).unwrap();
    handled
}

fn it_may_ask_for_the_last_call_that_passed_the_share(place: &Place) {
    let (limit, alerts) = dollar_for_a_minute();
    let options = TaskOptions::new("refund").limit(limit).alerts(alerts).wrap_up(usd("0.10"));
    let task = place.ledger.open_task(options).unwrap();
    spend(&task, 60).unwrap();
    let own = task.clone();
    let again = at_the_first_alert(&place.ledger, move || own.reserve(&request(1_000).last()));
    place.clock.advance(MINUTE);
    // Taking what is put by changes what is spent and held, so this act records the alert.
    through(move || task.reserve(&request(1_000).last()).map(drop)).unwrap();
    refused(again.try_recv().unwrap(), ErrorKind::BudgetExceeded);
    place.check();
}

fn it_may_ask_for_the_default_task_that_is_opened(place: &Place) {
    let own = place.ledger.clone();
    let asked = before_an_alert(place, move || own.default_task().unwrap().id());
    let own = place.ledger.clone();
    let opened = through(move || own.default_task().unwrap().id());
    assert_eq!(asked.try_recv().unwrap(), opened, "there is one");
}

fn it_may_ask_for_the_default_task_that_ends_with_its_ledger(place: &Place) {
    let first = place.ledger.default_task().unwrap().id();
    let own = place.ledger.clone();
    let asked = before_an_alert(place, move || own.default_task().unwrap().id());
    let own = place.ledger.clone();
    through(move || own.close()).unwrap();
    assert_ne!(asked.try_recv().unwrap(), first);
}

fn it_may_end_the_stream_that_is_judged(place: &Place) {
    streamed(place, "\n\n");
}

/// The last event of a stream is read when no more bytes come.
fn it_may_end_the_stream_that_is_judged_at_its_end(place: &Place) {
    streamed(place, "");
}

/// A watched answer goes in circles, in one event that ends like this.
fn streamed(place: &Place, end: &str) {
    let task = place.ledger.task("ask", []).unwrap();
    task.watch_by(&Watch::new(Breaker::default()).into());
    let said = json!([{"role": "user", "content": "how is the weather?"}]);
    let body = json!({"model": "gpt-4o", "max_tokens": 5_000, "stream": true, "messages": said}).to_string();
    let exchange = Arc::new(task.exchange(Api::OpenAiChat, body.as_bytes(), &Terms::default()).unwrap());

    let own = Arc::clone(&exchange);
    let handled = before_an_alert(place, move || own.ended());
    let text = "Let me check that again, to be sure. ".repeat(100);
    let event = format!("data: {}{end}", json!({"choices": [{"index": 0, "delta": {"content": text}}]}));
    let own = Arc::clone(&exchange);
    let pushed = through(move || {
        let mut out = Vec::new();
        let pushed = own.push(event.as_bytes(), &mut out);
        own.rest(&mut out);
        pushed
    });
    handled.try_recv().unwrap().unwrap();
    assert!(matches!(exchange.call().outcome(), Some(Outcome::Settled(_))));
    assert_eq!(pushed.is_err(), !end.is_empty(), "{pushed:?}");
    refused(task.exchange(Api::OpenAiChat, body.as_bytes(), &Terms::default()), ErrorKind::BreakerTripped);
}

on_every_store! {
    it_may_ask_for_the_last_call_that_passed_the_share,
    it_may_ask_for_the_default_task_that_is_opened,
    it_may_ask_for_the_default_task_that_ends_with_its_ledger,
    it_may_end_the_stream_that_is_judged,
    it_may_end_the_stream_that_is_judged_at_its_end,
}
