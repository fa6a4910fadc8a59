//! How does a reservation end?

use outlay::{
    ErrorKind, Limit, Money, Outcome, Request, Usage,
    ledger::{Kind, flag},
    meter::{Exposure, Extracted, ServiceTier},
    run::config::Choices,
};

use crate::fixture::{DAY, EVEN, MODEL, Place, cents, config_with, hold, refused, request, spend, usd};

fn settling_frees_the_hold_and_keeps_the_charge(place: &Place) {
    let task = place.task("1");
    let call = hold(&task, 5);
    assert_eq!((cents(&task), call.outcome()), ((0, 5, 0), None));
    let settled = call.settle(&Usage::tokens(10, 2_000)).unwrap();
    assert_eq!((settled.charge, settled.overrun, settled.estimated), (usd("0.02"), Money::ZERO, false));
    assert_eq!(call.outcome(), Some(Outcome::Settled(settled)));
    assert_eq!(cents(&task), (2, 0, 0));
    assert_eq!(task.balance().unwrap().settled.0, [20_000_000, 2_010, 1, 0]);
    place.check();
}

fn a_void_frees_all_of_it_and_counts_no_call(place: &Place) {
    let task = place.task("1");
    let call = hold(&task, 5);
    call.void().unwrap();
    assert_eq!((cents(&task), call.outcome()), ((0, 0, 0), Some(Outcome::Voided)));
    assert_eq!(task.balance().unwrap().settled.0, [0; 4]);
    place.check();
}

fn doubt_counts_as_spent_at_its_worst_case(place: &Place) {
    let task = place.task("0.07");
    hold(&task, 5).doubt().unwrap();
    assert_eq!(cents(&task), (0, 0, 5));
    let denied = refused(task.reserve(&request(3_000)), ErrorKind::BudgetExceeded);
    assert_eq!(denied.field("contended"), Some(&outlay::Field::Flag(false)), "no waiting would help");
    place.check();
}

fn doubt_ends_in_the_truth_or_in_nothing(place: &Place) {
    let task = place.task("1");
    let (settled, voided) = (hold(&task, 5), hold(&task, 4));
    settled.doubt().unwrap();
    voided.doubt().unwrap();
    assert_eq!(cents(&task), (0, 0, 9));
    settled.settle(&Usage::tokens(0, 3_000)).unwrap();
    voided.void().unwrap();
    assert_eq!(cents(&task), (3, 0, 0));
    refused(settled.doubt(), ErrorKind::Conflict);
    place.check();
}

fn the_same_end_again_is_the_first_result(place: &Place) {
    let task = place.task("1");
    let call = hold(&task, 5);
    let first = call.settle(&Usage::tokens(0, 6_000)).unwrap();
    assert_eq!(first.overrun, usd("0.01"));
    assert_eq!(call.settle(&Usage::tokens(0, 6_000)).unwrap(), first);
    let (voided, doubted) = (hold(&task, 1), hold(&task, 1));
    for _ in 0..2 {
        voided.void().unwrap();
        doubted.doubt().unwrap();
    }
    assert_eq!(cents(&task), (6, 0, 1));
    place.check();
}

fn another_end_is_a_conflict_and_changes_nothing(place: &Place) {
    let task = place.task("1");
    let call = hold(&task, 5);
    call.settle(&Usage::tokens(0, 2_000)).unwrap();
    refused(call.settle(&Usage::tokens(0, 2_001)), ErrorKind::Conflict);
    refused(call.settle(&Usage::tokens(1, 2_000)), ErrorKind::Conflict);
    refused(call.void(), ErrorKind::Conflict);
    refused(call.doubt(), ErrorKind::Conflict);
    let voided = hold(&task, 5);
    voided.void().unwrap();
    refused(voided.doubt(), ErrorKind::Conflict);
    assert_eq!(cents(&task), (2, 0, 0));
    place.check();
}

fn a_void_is_corrected_once_by_the_truth(place: &Place) {
    let task = place.task("1");
    let call = hold(&task, 5);
    call.void().unwrap();
    let settled = call.settle(&Usage::tokens(0, 4_000)).unwrap();
    assert_eq!((settled.charge, settled.estimated), (usd("0.04"), false));
    assert_eq!(call.settle(&Usage::tokens(0, 4_000)).unwrap(), settled);
    refused(call.settle(&Usage::tokens(0, 5_000)), ErrorKind::Conflict);
    refused(call.void(), ErrorKind::Conflict);
    assert_eq!(cents(&task), (4, 0, 0));
    place.check();
}

/// A call of an unpriced model under the caller's own word, settled: its charge is that word.
fn estimated(place: &Place, task: &outlay::Task) -> outlay::Call {
    let request = Request::model("nobody-9").max_usd(usd("0.05")).max_output_tokens(9);
    let call = task.reserve(&request.id("estimated")).unwrap();
    let settled = call.settle(&Usage::tokens(1_000, 2_000)).unwrap();
    assert_eq!((settled.charge, settled.estimated), (usd("0.05"), true));
    let prices =
        r#"{"prices": {"nobody-9": {"input": 10, "output": 10}, "house": {"input": 0, "output": 10}}}"#;
    place.ledger.set_config(config_with(prices).into());
    call
}

fn an_estimate_is_corrected_once_by_the_truth(place: &Place) {
    let task = place.task("1");
    let call = estimated(place, &task);
    assert_eq!(cents(&task), (5, 0, 0));
    let usage = Usage::tokens(1_000, 2_000);
    assert_eq!(place.ledger.resolve(call.id(), Some(&usage.into()), "ann").unwrap(), usd("0.03"));
    assert_eq!(cents(&task), (3, 0, 0));
    assert_eq!(place.ledger.resolve(call.id(), Some(&usage.into()), "ann").unwrap(), usd("0.03"));
    refused(place.ledger.resolve(call.id(), Some(&Usage::tokens(0, 1).into()), "ann"), ErrorKind::Conflict);
    refused(call.settle(&usage), ErrorKind::Conflict);
    place.check();
}

/// A resolved call costs what it would have cost in time, however it was asked for.
fn a_resolved_call_keeps_its_tier_its_provider_its_time_and_its_cost(place: &Place) {
    let task = place.task("1");
    let in_doubt = |request: Request| {
        let call = task.reserve(&request.input_tokens(1_000).max_output_tokens(1_000)).unwrap();
        call.doubt().unwrap();
        call.id()
    };
    let usage = Usage::tokens(1_000, 1_000);
    let resolve = |id, told: &Extracted| place.ledger.resolve(id, Some(told), "ann").unwrap();
    // gpt-5 costs 1.25 and 10 USD, in flex half of it, at Groq nothing like it is sold.
    let flex = in_doubt(Request::model("gpt-5").service_tier(ServiceTier::Flex));
    assert_eq!(resolve(flex, &usage.into()), usd("0.005625"));
    let standard = in_doubt(Request::model("gpt-5").service_tier(ServiceTier::Flex));
    let told = Extracted { service_tier: Some("default".to_owned()), ..usage.into() };
    assert_eq!(resolve(standard, &told), usd("0.01125"));
    let routed = in_doubt(Request::model("openai/gpt-oss-120b").provider("groq"));
    assert_eq!(resolve(routed, &usage.into()), usd("0.00075"));
    let gateway = in_doubt(Request::model("gpt-5"));
    let told = Extracted { cost: Some(usd("0.0123")), ..usage.into() };
    assert_eq!(resolve(gateway, &told), usd("0.0123"));
    let bound = in_doubt(
        Request::model("claude-opus-5").exposure(Exposure { is_regional: true, ..Exposure::tokens(0) }),
    );
    assert_eq!(resolve(bound, &usage.into()), usd("0.033"));
    let later = in_doubt(Request::model("gemini-3.6-flash"));
    // On New Year's Day its price doubles.
    place.clock.advance(60 * DAY);
    assert_eq!(resolve(later, &usage.into()), usd("0.0045"));
    refused(place.ledger.resolve(later, Some(&Extracted::default()), "ann"), ErrorKind::InvalidInput);
    place.check();
}

fn an_estimate_settled_again_still_says_so(place: &Place) {
    let task = place.task("1");
    let call = estimated(place, &task);
    let again = call.settle(&Usage::tokens(1_000, 2_000)).unwrap();
    assert_eq!((again.charge, again.estimated), (usd("0.05"), true));
}

fn a_truth_of_the_same_amounts_makes_an_estimate_final(place: &Place) {
    let task = place.task("1");
    let call = estimated(place, &task);
    let same = Usage::tokens(2_500, 500);
    let cheap = r#"{"prices": {"nobody-9": {"input": 20, "output": 0}}}"#;
    place.ledger.set_config(config_with(cheap).into());
    assert_eq!(place.ledger.resolve(call.id(), Some(&same.into()), "ann").unwrap(), usd("0.05"));
    refused(place.ledger.resolve(call.id(), Some(&Usage::tokens(0, 1).into()), "ann"), ErrorKind::Conflict);
    place.check();
}

fn more_than_was_held_is_accepted_and_told(place: &Place) {
    let task = place.task("0.05");
    let call = hold(&task, 5);
    let settled = call.settle(&Usage::tokens(0, 8_000)).unwrap();
    assert_eq!((settled.charge, settled.overrun), (usd("0.08"), usd("0.03")));
    assert_eq!((cents(&task), task.available().unwrap()), ((8, 0, 0), Some(Money::ZERO)));
    refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    if place.is_shared() {
        assert_eq!(place.last_flags(Kind::Settled) & flag::OVERRUN, flag::OVERRUN);
    }
    place.check();
}

fn a_named_call_exists_once(place: &Place) {
    let task = place.task("1");
    let want = request(5_000).id("call-1");
    let (first, second) = (task.reserve(&want).unwrap(), task.reserve(&want).unwrap());
    assert_eq!((first.created(), second.created()), (true, false));
    assert_eq!((first.id(), first.reserved()), (second.id(), second.reserved()));
    assert_eq!(second.max_output_tokens(), 5_000);
    drop(second);
    assert_eq!((cents(&task), first.outcome()), ((0, 5, 0), None), "the second handle ends nothing");
    first.settle(&Usage::tokens(0, 1_000)).unwrap();
    let third = task.reserve(&want).unwrap();
    let Some(Outcome::Settled(settled)) = third.outcome() else { panic!("{:?}", third.outcome()) };
    assert_eq!(settled.charge, usd("0.01"), "a second handle tells what the first came to");
    assert_eq!(cents(&task), (1, 0, 0));
    assert!(!task.reserve(&want).unwrap().created());
    place.check();
}

fn a_name_with_another_request_is_a_conflict(place: &Place) {
    let task = place.task("1");
    let _first = task.reserve(&request(5_000).id("call-1")).unwrap();
    for other in [
        request(5_001).id("call-1"),
        request(5_000).input_tokens(1).id("call-1"),
        request(5_000).choices(2).id("call-1"),
        request(5_000).max_usd(usd("0.01")).id("call-1"),
        Request::model(EVEN).max_output_tokens(5_000).id("call-1"),
    ] {
        refused(task.reserve(&other), ErrorKind::Conflict);
    }
    assert_eq!(cents(&task), (0, 5, 0));
}

fn a_name_belongs_to_its_attempt(place: &Place) {
    let want = request(5_000).id("call-1");
    let options = || outlay::TaskOptions::new("t").id("t-1");
    let first = place.ledger.open_task(options()).unwrap();
    let one = first.reserve(&want).unwrap();
    one.settle(&Usage::tokens(0, 5_000)).unwrap();
    first.end(outlay::Attempt::Failed, None).unwrap();
    let second = place.ledger.open_task(options()).unwrap();
    let other = second.reserve(&want).unwrap();
    assert!(other.created() && other.id() != one.id());
    other.void().unwrap();
    assert_eq!(cents(&second), (5, 0, 0));
}

fn a_dropped_call_is_void_if_it_was_not_sent_and_in_doubt_otherwise(place: &Place) {
    let task = place.task("1");
    for (sent, after) in [(Some(false), (0, 0, 0)), (Some(true), (0, 0, 5)), (None, (0, 0, 10))] {
        let call = hold(&task, 5);
        if let Some(sent) = sent {
            call.set_sent(sent);
        }
        drop(call);
        assert_eq!(cents(&task), after, "{sent:?}");
    }
    place.check();
}

fn a_call_left_is_ended_once(place: &Place) {
    let task = place.task("1");
    let call = hold(&task, 5);
    call.leave().unwrap();
    call.leave().unwrap();
    assert_eq!((cents(&task), call.outcome()), ((0, 0, 5), Some(Outcome::InDoubt)));
    call.settle(&Usage::tokens(0, 5_000)).unwrap();
    call.leave().unwrap();
    drop(call);
    assert_eq!(cents(&task), (5, 0, 0));
}

fn an_impossible_usage_leaves_the_call_open(place: &Place) {
    let task = place.task("1");
    let call = hold(&task, 5);
    let parts = Usage { reasoning_tokens: 2, ..Usage::tokens(1, 1) };
    for usage in [parts, Usage::tokens(0, u64::MAX), Usage { cache_read_tokens: 9, ..Usage::tokens(1, 1) }] {
        refused(call.settle(&usage), ErrorKind::InvalidInput);
    }
    assert_eq!((cents(&task), call.outcome()), ((0, 5, 0), None));
    call.settle(&Usage::tokens(1, 1)).unwrap();
    place.check();
}

fn a_sum_that_does_not_fit_is_refused_and_the_call_stays_open(place: &Place) {
    let prices = Choices::from_json(r#"{"prices": {"dear": {"input": "9999999", "output": "9999999"}}}"#);
    let config = outlay::Config::default().with(&prices.unwrap()).unwrap();
    place.ledger.set_config(config.into());
    let task = place.ledger.task("t", []).unwrap();
    // Six billion USD each; nine billion is the most a balance can hold.
    let spend = || {
        let call = task.reserve(&Request::model("dear").max_output_tokens(600_000_000))?;
        call.settle(&Usage::tokens(0, 600_000_000)).map(|_| call)
    };
    spend().unwrap();
    refused(spend(), ErrorKind::InvalidInput);
    let call = task.reserve(&Request::model("dear").max_output_tokens(1)).unwrap();
    refused(call.settle(&Usage::tokens(0, 600_000_000)), ErrorKind::InvalidInput);
    call.settle(&Usage::tokens(0, 1)).unwrap();
    place.check();
}

fn the_last_nano_can_be_spent_and_no_more(place: &Place) {
    let task = place.ledger.task("t", [Limit::usd("0.00001").unwrap()]).unwrap();
    let call = task.reserve(&Request::model(MODEL).max_output_tokens(1)).unwrap();
    assert_eq!(call.reserved(), Money::from_nanos(10_000));
    refused(task.reserve(&request(1)), ErrorKind::BudgetExceeded);
    call.settle(&Usage::tokens(0, 1)).unwrap();
    assert_eq!(task.available().unwrap(), Some(Money::ZERO));
}

on_every_store! {
    settling_frees_the_hold_and_keeps_the_charge,
    a_void_frees_all_of_it_and_counts_no_call,
    doubt_counts_as_spent_at_its_worst_case,
    doubt_ends_in_the_truth_or_in_nothing,
    the_same_end_again_is_the_first_result,
    another_end_is_a_conflict_and_changes_nothing,
    a_void_is_corrected_once_by_the_truth,
    an_estimate_is_corrected_once_by_the_truth,
    a_resolved_call_keeps_its_tier_its_provider_its_time_and_its_cost,
    an_estimate_settled_again_still_says_so,
    a_truth_of_the_same_amounts_makes_an_estimate_final,
    more_than_was_held_is_accepted_and_told,
    a_named_call_exists_once,
    a_name_with_another_request_is_a_conflict,
    a_name_belongs_to_its_attempt,
    a_dropped_call_is_void_if_it_was_not_sent_and_in_doubt_otherwise,
    a_call_left_is_ended_once,
    an_impossible_usage_leaves_the_call_open,
    a_sum_that_does_not_fit_is_refused_and_the_call_stays_open,
    the_last_nano_can_be_spent_and_no_more,
}
