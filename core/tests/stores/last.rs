//! Is there always money left for the last call, and is it really the last?

use outlay::{
    Attempt, BudgetOptions, ErrorKind, Field, Limit, Result, Task, TaskOptions, Unit, Usage,
    policy::{Deadline, Scope},
    run::OnLimit,
};

use crate::fixture::{DAY, HOUR, Place, available, cents, hold, refused, request, spend, usd, window};

fn wrapping(limit: &str, put_by: &str) -> TaskOptions {
    TaskOptions::new("refund").limit(Limit::usd(limit).unwrap()).wrap_up(usd(put_by))
}

/// Makes its last call, which costs this much.
fn finish(task: &Task, cents: u64) -> Result<()> {
    let call = task.reserve(&request(cents * 1_000).last())?;
    call.settle(&Usage::tokens(0, cents * 1_000)).map(drop)
}

fn what_is_put_by_pays_for_one_last_call(place: &Place) {
    let task = place.ledger.open_task(wrapping("0.10", "0.04")).unwrap();
    assert_eq!((cents(&task), available(&task).as_deref()), ((0, 4, 0), Some("0.06")));
    let status = task.status().unwrap().text;
    assert_eq!(status, "0.04 of 0.10 usd used, 0.06 left; 0.04 usd of it kept for the last call");
    let summary = task.summary().unwrap();
    assert_eq!((summary.kept, summary.figures.calls()), (usd("0.04"), 0));
    assert!(summary.to_string().contains("0.04 USD pending (0.04 USD of it kept for the last call)"));

    spend(&task, 6).unwrap();
    refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    let last = task.reserve(&request(5_000).last()).unwrap();
    assert_eq!(last.max_output_tokens(), 4_000, "lowered to what is left");
    last.settle(&Usage::tokens(0, 4_000)).unwrap();
    assert_eq!(cents(&task), (10, 0, 0));
    let error = refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    assert_eq!(error.to_string(), "task `refund` has made its last call");
    assert_eq!(error.field("unit"), Some(&Field::Text("last_call".to_owned())));
    assert_eq!(error.field("contended"), Some(&Field::Flag(false)));
    refused(finish(&task, 1), ErrorKind::BudgetExceeded);
    refused(task.tool_call("web"), ErrorKind::BudgetExceeded);
    assert_eq!(task.stopped().unwrap().kind(), ErrorKind::BudgetExceeded);

    let summary = task.summary().unwrap();
    assert_eq!((summary.kept.nanos(), summary.figures.calls(), summary.figures.voided_calls), (0, 2, 0));
    assert_eq!(task.status().unwrap().text, "0.10 of 0.10 usd used, 0.00 left");
    place.check();
}

fn nobody_waits_for_what_they_have_put_by_themselves(place: &Place) {
    // The clock stands still: who waited would wait for ever.
    let task = place.ledger.open_task(wrapping("0.10", "0.04").wait_ms(1_000)).unwrap();
    let below = place.ledger.open_task(TaskOptions::new("below").under(&task).wait_ms(1_000)).unwrap();
    for task in [&task, &below] {
        let error = refused(spend(task, 7), ErrorKind::BudgetExceeded);
        assert_eq!(error.field("contended"), Some(&Field::Flag(false)));
    }
    let held = hold(&task, 6);
    assert!(task.poll(&request(6_000).wait_ms(0)).unwrap().is_none(), "that will come back");
    held.void().unwrap();
    place.check();
}

fn the_last_call_may_use_all_that_is_left(place: &Place) {
    let task = place.ledger.open_task(wrapping("0.10", "0.01")).unwrap();
    finish(&task, 10).unwrap();
    assert_eq!(cents(&task), (10, 0, 0));
    place.check();
}

fn a_last_call_that_was_not_billed_may_be_made_again(place: &Place) {
    let task = place.ledger.open_task(wrapping("0.10", "0.04")).unwrap();
    task.reserve(&request(4_000).last()).unwrap().void().unwrap();
    refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    let again = task.reserve(&request(4_000).last()).unwrap();
    refused(finish(&task, 1), ErrorKind::BudgetExceeded);
    again.doubt().unwrap();
    refused(finish(&task, 1), ErrorKind::BudgetExceeded);
    assert_eq!(cents(&task), (0, 0, 4));
    place.check();
}

fn a_named_last_call_is_the_same_again(place: &Place) {
    let task = place.ledger.open_task(wrapping("0.10", "0.04")).unwrap();
    let first = task.reserve(&request(4_000).id("answer").last()).unwrap();
    let second = task.reserve(&request(4_000).id("answer").last()).unwrap();
    assert_eq!((first.id(), second.created()), (second.id(), false));
    first.void().unwrap();
}

fn it_is_held_at_every_level_with_one_call(place: &Place) {
    let budget = BudgetOptions::new().tag("tenant", "acme").unwrap().limit(Limit::usd("0.10").unwrap());
    let budget = budget.limit(Limit::new(Unit::LlmCalls, 2).unwrap());
    place.ledger.set_budget(&budget).unwrap();
    let acme = || wrapping("1", "0.05").tag("tenant", "acme").unwrap();
    let (task, other) = (place.ledger.open_task(acme()).unwrap(), place.ledger.open_task(acme()).unwrap());
    // Nobody else has the money, or the calls.
    let error = refused(place.ledger.open_task(acme()), ErrorKind::BudgetExceeded);
    assert_eq!(error.field("contended"), Some(&Field::Flag(true)));
    refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    finish(&task, 5).unwrap();
    finish(&other, 5).unwrap();
    place.check();
}

fn without_room_for_it_the_attempt_ends_at_once(place: &Place) {
    let full = || wrapping("0.10", "0.04").id("refund-4711");
    let task = place.ledger.open_task(full()).unwrap();
    spend(&task, 6).unwrap();
    finish(&task, 4).unwrap();
    task.end(Attempt::Failed, None).unwrap();
    refused(place.ledger.open_task(full()), ErrorKind::BudgetExceeded);
    let summary = place.ledger.summary(&task.id()).unwrap();
    let last = summary.attempts.last().unwrap();
    assert_eq!(
        (last.number, last.standing.name(), last.reason.as_deref()),
        (2, "stopped", Some("budget_exceeded"))
    );
    // With more, the next attempt puts by anew.
    let more = wrapping("0.20", "0.04").id("refund-4711").by("maria");
    let task = place.ledger.open_task(more).unwrap();
    assert_eq!((task.attempt(), cents(&task)), (3, (10, 4, 0)));
    finish(&task, 4).unwrap();
    place.check();
}

fn it_goes_back_when_the_attempt_ends(place: &Place) {
    let full = || wrapping("0.10", "0.10").id("refund-4711");
    for _ in 0..3 {
        let task = place.ledger.open_task(full()).unwrap();
        refused(spend(&task, 1), ErrorKind::BudgetExceeded);
        task.end(Attempt::Failed, None).unwrap();
        assert_eq!(cents(&task), (0, 0, 0));
    }
    drop(place.ledger.open_task(full()).unwrap());
    place.ledger.open_task(full()).unwrap();
    assert!(place.ledger.in_doubt(10).unwrap().is_empty());
    place.check();
}

fn the_sweep_gives_it_back(place: &Place) {
    if !place.is_shared() {
        return;
    }
    let full = || wrapping("0.10", "0.04").id("refund-4711");
    let dead = place.ledger.open_task(full()).unwrap();
    let call = hold(&dead, 1);
    place.kill_first_owner();
    let other = place.another_owner();
    let task = other.open_task(full()).unwrap();
    assert_eq!((task.attempt(), cents(&task)), (2, (0, 4, 1)));
    assert_eq!(other.in_doubt(10).unwrap().len(), 1);
    finish(&task, 4).unwrap();
    let _ = call;
    other.check_balances().unwrap();
}

fn tasks_inside_make_the_same_last_call(place: &Place) {
    let task = place.ledger.open_task(wrapping("0.10", "0.04")).unwrap();
    let inside = |name: &str| TaskOptions::new(name).under(&task).on_limit(OnLimit::Finish);
    let (below, beside) =
        (place.ledger.open_task(inside("a")).unwrap(), place.ledger.open_task(inside("b")).unwrap());
    spend(&beside, 1).unwrap();
    finish(&below, 4).unwrap();
    for task in [&task, &below, &beside] {
        let error = refused(spend(task, 1), ErrorKind::BudgetExceeded);
        assert_eq!(error.to_string(), "task `refund` has made its last call");
        refused(finish(task, 1), ErrorKind::BudgetExceeded);
    }
    // One with money of its own ends alone.
    let task = place.ledger.open_task(wrapping("0.10", "0.04")).unwrap();
    let own = wrapping("0.10", "0.02").under(&task);
    let own = place.ledger.open_task(own).unwrap();
    finish(&own, 2).unwrap();
    refused(spend(&own, 1), ErrorKind::BudgetExceeded);
    spend(&task, 4).unwrap();
    finish(&task, 4).unwrap();
    place.check();
}

fn a_task_inside_outlives_the_one_above(place: &Place) {
    let task = place.ledger.open_task(wrapping("0.10", "0.04")).unwrap();
    let below = place.ledger.open_task(TaskOptions::new("below").under(&task)).unwrap();
    task.end(Attempt::Succeeded, None).unwrap();
    spend(&below, 10).unwrap();
    place.check();
}

fn halts_and_deadlines_win(place: &Place) {
    let options = wrapping("0.10", "0.04").deadline(Deadline::After(HOUR));
    let task = place.ledger.open_task(options).unwrap();
    place.ledger.halt(&Scope::parse("all").unwrap(), "maria", "no").unwrap();
    refused(finish(&task, 4), ErrorKind::Halted);
    refused(place.ledger.open_task(wrapping("0.10", "0.04")), ErrorKind::Halted);
    place.ledger.unhalt(&Scope::parse("all").unwrap(), "maria").unwrap();
    place.clock.advance(HOUR);
    refused(finish(&task, 4), ErrorKind::BudgetExceeded);
    assert_eq!(cents(&task), (0, 4, 0), "a refused last call has taken nothing");
    place.check();
}

fn in_the_next_window_it_is_judged_by_that(place: &Place) {
    let budget = BudgetOptions::new().limit(Limit::usd("0.10").unwrap().per(window("day")));
    place.ledger.set_budget(&budget.limit(Limit::usd("0.10").unwrap().per(window("rolling:1h")))).unwrap();
    let task = place.ledger.open_task(wrapping("1", "0.04")).unwrap();
    place.clock.advance(DAY);
    spend(&place.task("1"), 8).unwrap();
    let last = task.reserve(&request(4_000).last()).unwrap();
    assert_eq!(last.max_output_tokens(), 2_000, "what was put by lies in another window");
    last.void().unwrap();
    spend(&place.task("1"), 2).unwrap();
    refused(finish(&task, 1), ErrorKind::BudgetExceeded);
    place.check();
}

fn who_observes_puts_nothing_by_and_is_refused_nothing(place: &Place) {
    let task = place.ledger.open_task(wrapping("0.01", "0.04").observe()).unwrap();
    assert_eq!(cents(&task), (0, 0, 0));
    finish(&task, 4).unwrap();
    finish(&task, 4).unwrap();
    spend(&task, 1).unwrap();
}

fn a_last_call_needs_money_put_by(place: &Place) {
    let error = refused(finish(&place.task("1"), 1), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("wrap_up_usd"), "{error}");
    let finishing = TaskOptions::new("t").on_limit(OnLimit::Finish);
    refused(place.ledger.open_task(finishing), ErrorKind::InvalidInput);
    for nothing in ["0", "-1"] {
        let options = TaskOptions::new("t").wrap_up(usd(nothing));
        refused(place.ledger.open_task(options), ErrorKind::InvalidInput);
    }
}

on_every_store! {
    what_is_put_by_pays_for_one_last_call,
    nobody_waits_for_what_they_have_put_by_themselves,
    the_last_call_may_use_all_that_is_left,
    a_last_call_that_was_not_billed_may_be_made_again,
    a_named_last_call_is_the_same_again,
    it_is_held_at_every_level_with_one_call,
    without_room_for_it_the_attempt_ends_at_once,
    it_goes_back_when_the_attempt_ends,
    the_sweep_gives_it_back,
    tasks_inside_make_the_same_last_call,
    a_task_inside_outlives_the_one_above,
    halts_and_deadlines_win,
    in_the_next_window_it_is_judged_by_that,
    who_observes_puts_nothing_by_and_is_refused_nothing,
    a_last_call_needs_money_put_by,
}
