//! What may a task choose: to be told, to watch, to shorten, to wait?

use std::{thread, time::Duration};

use outlay::{
    Clock, ErrorKind, Field, Ledger, Limit, Request, TaskOptions, Unit, Usage, ledger::Kind, ledger::flag,
};

use crate::fixture::{Place, cents, config, config_with, hold, refused, request, spend, url, usd};

fn limited(amount: &str) -> TaskOptions {
    TaskOptions::new("t").limit(Limit::usd(amount).unwrap())
}

fn a_soft_limit_is_told_and_not_refused(place: &Place) {
    let soft = Limit::usd("0.05").unwrap().soft();
    let task = place.ledger.task("t", [soft, Limit::usd("0.10").unwrap()]).unwrap();
    assert!(!hold(&task, 5).over_soft());
    assert!(hold(&task, 1).over_soft(), "what is pending counts");
    if place.is_shared() {
        assert_eq!(place.last_flags(Kind::Reserved) & flag::OVER_SOFT, flag::OVER_SOFT);
    }
    refused(task.reserve(&request(5_000)), ErrorKind::BudgetExceeded);
    assert_eq!(task.available().unwrap(), Some(usd("0.04")), "a soft limit takes nothing from it");
}

fn a_watching_task_denies_nothing_and_records_what_it_would_have(place: &Place) {
    let task = place.ledger.open_task(limited("0.05").observe()).unwrap();
    let fits = task.reserve(&request(5_000)).unwrap();
    assert!(fits.would_deny().is_none());
    let over = task.reserve(&request(2_000)).unwrap();
    assert_eq!(
        over.would_deny().map(|denial| (denial.limit, denial.pending)),
        Some((50_000_000, 50_000_000))
    );
    if place.is_shared() {
        assert_eq!(place.last_flags(Kind::Reserved) & flag::WOULD_DENY, flag::WOULD_DENY);
    }
    fits.settle(&Usage::tokens(0, 5_000)).unwrap();
    over.settle(&Usage::tokens(0, 2_000)).unwrap();
    assert_eq!((cents(&task), task.stopped().is_none()), ((7, 0, 0), true));
    let unknown = task.reserve(&Request::model("nobody-9")).unwrap();
    unknown.settle(&Usage::tokens(10, 10)).unwrap();
    if place.is_shared() {
        assert_eq!(place.last_flags(Kind::Settled) & flag::UNPRICED, flag::UNPRICED, "unknown is not free");
    }
    place.check();
}

fn a_task_that_watches_still_counts_for_a_shared_budget(place: &Place) {
    let budget = outlay::BudgetOptions::new().limit(Limit::usd("0.05").unwrap());
    place.ledger.set_budget(&budget).unwrap();
    let watching = place.ledger.open_task(TaskOptions::new("watching").observe()).unwrap();
    spend(&watching, 9).unwrap();
    let denied = refused(spend(&place.task("1"), 1), ErrorKind::BudgetExceeded);
    assert_eq!(denied.field("spent"), Some(&Field::Money(usd("0.09"))));
}

fn an_unknown_model_is_refused_unless_the_caller_bounds_it(place: &Place) {
    let task = place.task("1");
    refused(task.reserve(&Request::model("nobody-9")), ErrorKind::Unpriced);
    let call = task.reserve(&Request::model("nobody-9").max_usd(usd("0.30"))).unwrap();
    assert_eq!(call.reserved(), usd("0.30"));
    refused(task.reserve(&Request::model("nobody-9").max_usd(usd("0.71"))), ErrorKind::BudgetExceeded);
}

fn the_length_is_chosen_where_none_is_given(place: &Place) {
    let task = place.task("0.05");
    let open = Request::model("house");
    assert_eq!(task.reserve(&open).unwrap().max_output_tokens(), 4_096);
    let task = place.task("0.03");
    assert_eq!(task.reserve(&open).unwrap().max_output_tokens(), 3_000, "what is affordable");
    let task = place.task("0.00256");
    assert_eq!(task.reserve(&open.clone().choices(1)).unwrap().max_output_tokens(), 256);
    let task = place.task("0.00255");
    let denied = refused(task.reserve(&open), ErrorKind::BudgetExceeded);
    assert_eq!(denied.field("affordable_output_tokens"), Some(&Field::Integer(255)));
    assert_eq!(denied.field("requested"), Some(&Field::Money(usd("0.00256"))));
    let tokens = Limit::new(Unit::Tokens, 1_500).unwrap();
    let task = place.ledger.task("t", [tokens]).unwrap();
    let call = task.reserve(&Request::model("house").input_tokens(500).choices(2)).unwrap();
    assert_eq!(call.max_output_tokens(), 500, "two answers of half of what is left");
}

fn a_given_length_is_kept_unless_it_may_be_clamped(place: &Place) {
    let task = place.ledger.open_task(limited("0.03")).unwrap();
    refused(task.reserve(&request(4_000)), ErrorKind::BudgetExceeded);
    let clamping = place.ledger.open_task(limited("0.03").clamp()).unwrap();
    assert_eq!(clamping.reserve(&request(4_000)).unwrap().max_output_tokens(), 3_000);
    refused(clamping.reserve(&request(100)), ErrorKind::BudgetExceeded);
    let clamping = place.ledger.open_task(limited("0.001").clamp()).unwrap();
    refused(clamping.reserve(&request(4_000)), ErrorKind::BudgetExceeded);
    assert_eq!(clamping.reserve(&request(50)).unwrap().max_output_tokens(), 50);
}

fn a_reasoning_model_gets_more_room(place: &Place) {
    let prices = r#"{"prices": {"thinker": {"input": 0, "output": 10, "reasoning": true}}}"#;
    place.ledger.set_config(config_with(prices).into());
    let open = Request::model("thinker");
    let task = place.task("1");
    assert_eq!(task.reserve(&open).unwrap().max_output_tokens(), 16_384);
    let task = place.task("0.04095");
    refused(task.reserve(&open), ErrorKind::BudgetExceeded);
    let task = place.task("0.04096");
    assert_eq!(task.reserve(&open).unwrap().max_output_tokens(), 4_096);
}

fn the_configuration_sets_both_lengths(place: &Place) {
    let options = r#"{"default_max_output_tokens": 900, "min_output_tokens": 700,
        "prices": {"house": {"input": 0, "output": 10, "max_output_tokens": 800}}}"#;
    place.ledger.set_config(config_with(options).into());
    assert_eq!(place.task("1").reserve(&Request::model("house")).unwrap().max_output_tokens(), 800);
    refused(place.task("0.00699").reserve(&Request::model("house")), ErrorKind::BudgetExceeded);
}

/// A ledger of the same kind on the machine's clock, for waiting takes real time.
fn on_real_time(place: &Place) -> Ledger {
    let store = if place.is_shared() { url(&place.file()) } else { "memory:".to_owned() };
    Ledger::open_with_clock(&store, config(), Clock::System).unwrap()
}

fn waiting_gets_the_money_another_call_frees(place: &Place) {
    let ledger = on_real_time(place);
    let task = ledger.task("t", [Limit::usd("0.05").unwrap()]).unwrap();
    let call = hold(&task, 5);
    let denied = refused(task.reserve(&request(1)), ErrorKind::BudgetExceeded);
    assert_eq!(denied.field("contended"), Some(&Field::Flag(true)));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| task.reserve(&request(5_000).wait_ms(60_000)).map(|call| call.void()));
        thread::sleep(Duration::from_millis(40));
        assert!(!waiting.is_finished(), "the money is still held");
        call.void().unwrap();
        waiting.join().unwrap().unwrap().unwrap();
    });
}

fn waiting_ends(place: &Place) {
    let ledger = on_real_time(place);
    let task = ledger.open_task(limited("0.05").wait_ms(30)).unwrap();
    assert!(task.waits());
    let call = hold(&task, 5);
    let started = std::time::Instant::now();
    refused(task.reserve(&request(1)), ErrorKind::BudgetExceeded);
    // The clock of a ledger counts whole milliseconds.
    assert!(started.elapsed() > Duration::from_millis(28));
    call.settle(&Usage::tokens(0, 5_000)).unwrap();
    let started = std::time::Instant::now();
    refused(task.reserve(&request(1).wait_ms(600_000)), ErrorKind::BudgetExceeded);
    assert!(started.elapsed() < Duration::from_mins(1), "what is spent does not come back");
}

fn odd_requests_are_refused(place: &Place) {
    let task = place.task("1");
    for odd in [
        request(1).choices(0),
        request(1).choices(1_001),
        request(u64::MAX),
        request(1).input_tokens(1_000_000_000_001),
        Request::model("even").max_output_tokens(1_000_000_000_000).choices(1_000),
    ] {
        let error = task.reserve(&odd).expect_err("it is absurd");
        assert!(matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::BudgetExceeded), "{error}");
    }
    assert_eq!(cents(&task), (0, 0, 0));
}

on_every_store! {
    a_soft_limit_is_told_and_not_refused,
    a_watching_task_denies_nothing_and_records_what_it_would_have,
    a_task_that_watches_still_counts_for_a_shared_budget,
    an_unknown_model_is_refused_unless_the_caller_bounds_it,
    the_length_is_chosen_where_none_is_given,
    a_given_length_is_kept_unless_it_may_be_clamped,
    a_reasoning_model_gets_more_room,
    the_configuration_sets_both_lengths,
    waiting_gets_the_money_another_call_frees,
    waiting_ends,
    odd_requests_are_refused,
}
