//! May a handler of alerts use what its alert came out of? It runs inside somebody's act.

use std::{
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use outlay::{ErrorKind, Ledger, Limit, TaskOptions, policy::Thresholds};

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

on_every_store! {
    it_may_ask_for_the_last_call_that_passed_the_share,
}
