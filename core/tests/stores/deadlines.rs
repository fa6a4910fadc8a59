//! Until when? No call starts after the deadline of its task or of one above, in any attempt.

use outlay::{
    Attempt, ErrorKind, Field, Limit, Request, Task, TaskOptions,
    ledger::{Kind, flag},
    policy::{Deadline, Deadlines},
    run::OnLimit,
};

use crate::fixture::{HOUR, MINUTE, NOON, Place, refused, request, spend};

fn until(place: &Place, deadline: Deadline) -> Task {
    let options = TaskOptions::new("refund").id("refund-4711").limit(Limit::usd("1").unwrap());
    place.ledger.open_task(options.deadline(deadline)).unwrap()
}

fn no_call_starts_after_a_deadline_not_below_either(place: &Place) {
    let task = until(place, Deadline::After(10 * MINUTE));
    let below = place.ledger.open_task(TaskOptions::new("step").under(&task)).unwrap();
    place.clock.set(NOON + 10 * MINUTE - 1);
    assert!(task.status().unwrap().text.ends_with("left; calls until 2026-11-22T12:10:00Z"));
    let sent = task.reserve(&request(1_000)).unwrap();
    spend(&below, 1).unwrap();
    place.clock.set(NOON + 10 * MINUTE);
    for task in [&task, &below] {
        let error = refused(spend(task, 1), ErrorKind::BudgetExceeded);
        assert_eq!(error.to_string(), "task `refund` had a deadline at 2026-11-22T12:10:00Z");
        assert_eq!(error.field("unit"), Some(&Field::Text("deadline".to_owned())));
        assert_eq!(error.field("limit"), Some(&Field::Text("2026-11-22T12:10:00Z".to_owned())));
        refused(task.tool_call("web"), ErrorKind::BudgetExceeded);
        assert_eq!(task.stopped().unwrap().kind(), ErrorKind::BudgetExceeded);
    }
    // What was sent in time is owed.
    sent.void().unwrap();
    place.check();
}

fn a_deadline_holds_for_later_attempts_and_only_moves_on(place: &Place) {
    until(place, Deadline::After(HOUR)).end(Attempt::Failed, None).unwrap();
    place.clock.set(NOON + 30 * MINUTE);
    // The same again: an hour from the first opening, not from this one.
    until(place, Deadline::After(HOUR)).end(Attempt::Failed, None).unwrap();
    until(place, Deadline::At(NOON + HOUR)).end(Attempt::Failed, None).unwrap();
    let options = || TaskOptions::new("refund").id("refund-4711");
    refused(place.ledger.open_task(options().deadline(Deadline::After(HOUR - 1))), ErrorKind::Conflict);
    let kept = place.ledger.open_task(options()).unwrap();
    place.clock.set(NOON + HOUR);
    refused(spend(&kept, 1), ErrorKind::BudgetExceeded);
    kept.end(Attempt::Stopped, None).unwrap();
    // The limit is larger too: of a conflict neither is written, of a grant both.
    let larger = || options().limit(Limit::usd("2").unwrap());
    refused(place.ledger.open_task(larger().deadline(Deadline::After(1))), ErrorKind::Conflict);
    let grants = |place: &Place| {
        let query = format!("SELECT count(*) FROM entries WHERE kind = {}", Kind::Granted as u8);
        if place.is_shared() { place.sql::<i64>(&query) } else { 0 }
    };
    let before = grants(place);
    let later = place.ledger.open_task(larger().deadline(Deadline::After(2 * HOUR)).by("maria")).unwrap();
    assert_eq!(grants(place) - before, if place.is_shared() { 2 } else { 0 });
    spend(&later, 1).unwrap();
    assert_eq!(later.available().unwrap().unwrap().to_string(), "1.99 USD");
    place.clock.set(NOON + 2 * HOUR);
    refused(spend(&later, 1), ErrorKind::BudgetExceeded);
    place.check();
}

fn a_task_without_a_deadline_gets_none_later(place: &Place) {
    let options = || TaskOptions::new("t").id("t-1");
    place.ledger.open_task(options()).unwrap().end(Attempt::Failed, None).unwrap();
    refused(place.ledger.open_task(options().deadline(Deadline::After(HOUR))), ErrorKind::Conflict);
}

fn what_waits_for_money_ends_at_the_deadline(place: &Place) {
    let options = TaskOptions::new("t").limit(Limit::usd("0.05").unwrap()).deadline(Deadline::After(HOUR));
    let task = place.ledger.open_task(options).unwrap();
    let held = task.reserve(&request(5_000)).unwrap();
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| task.reserve(&request(5_000).wait_ms(600_000_000)));
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(!waiting.is_finished());
        place.clock.set(NOON + HOUR);
        let error = refused(waiting.join().unwrap(), ErrorKind::BudgetExceeded);
        assert_eq!(error.field("unit"), Some(&Field::Text("deadline".to_owned())));
    });
    held.void().unwrap();
}

fn the_wait_for_an_approval_does_not_count(place: &Place) {
    let above = until(place, Deadline::After(HOUR));
    let options = TaskOptions::new("step").limit(Limit::usd("0.01").unwrap()).on_limit(OnLimit::Ask);
    let task = place.ledger.open_task(options.under(&above).deadline(Deadline::After(30 * MINUTE))).unwrap();
    place.clock.set(NOON + 20 * MINUTE);
    let asked = refused(task.reserve(&request(5_000)), ErrorKind::ApprovalRequired);
    let Some(Field::Text(id)) = asked.field("id") else { panic!("{asked}") };
    // It waits past both deadlines; time itself is not asked for.
    place.clock.set(NOON + 3 * HOUR);
    refused(task.reserve(&request(5_000)), ErrorKind::BudgetExceeded);
    place.ledger.approve(&id.parse().unwrap(), "0.50", "maria", None).unwrap();
    // Approved again it waits no longer.
    place.ledger.approve(&id.parse().unwrap(), "0.50", "maria", None).unwrap();
    place.clock.advance(10 * MINUTE - 1);
    spend(&task, 5).unwrap();
    place.clock.advance(1);
    refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    place.clock.advance(30 * MINUTE - 1);
    spend(&above, 1).unwrap();
    place.clock.advance(1);
    refused(spend(&above, 1), ErrorKind::BudgetExceeded);
    above.end(Attempt::Stopped, None).unwrap();
    // What was waited is on top of what is declared again.
    until(place, Deadline::After(HOUR));
    place.check();
}

fn soft(place: &Place, minutes: i64) -> outlay::Result<Task> {
    let options = TaskOptions::new("refund").id("refund-4711").deadline(Deadline::After(HOUR));
    place.ledger.open_task(options.soft_deadline(Deadline::After(minutes * MINUTE)))
}

fn a_soft_deadline_is_told_and_refuses_nothing(place: &Place) {
    let task = soft(place, 10).unwrap();
    let told = "to be done by 2026-11-22T12:10:00Z; calls until 2026-11-22T13:00:00Z";
    assert_eq!(task.status().unwrap().text, told);
    let below = place.ledger.open_task(TaskOptions::new("step").under(&task)).unwrap();
    let is_late = |task: &Task| {
        let call = task.reserve(&request(1_000)).unwrap();
        call.void().unwrap();
        call.over_soft()
    };
    place.clock.set(NOON + 10 * MINUTE - 1);
    assert_eq!([&task, &below].map(is_late), [false; 2]);
    place.clock.advance(1);
    assert_eq!([&task, &below].map(is_late), [true; 2]);
    task.tool_call("web").unwrap();
    if place.is_shared() {
        assert_eq!(place.last_flags(Kind::Reserved) & flag::OVER_SOFT, flag::OVER_SOFT);
    }
    assert!(task.stopped().is_none());
    assert!(place.ledger.observed(None).unwrap().rows.is_empty());
    place.check();
}

fn a_soft_deadline_only_moves_on(place: &Place) {
    let end = |task: Task| task.end(Attempt::Failed, None).unwrap();
    end(soft(place, 10).unwrap());
    end(soft(place, 10).unwrap());
    let earlier = refused(soft(place, 9), ErrorKind::Conflict);
    let said =
        "task `refund` exists with a soft deadline at 2026-11-22T12:10:00Z, later than 2026-11-22T12:09:00Z";
    assert_eq!(earlier.to_string(), said);
    end(soft(place, 20).unwrap());
    let state = place.ledger.find_task("refund-4711").unwrap();
    assert_eq!(state.deadline, Deadlines { hard: Some(NOON + HOUR), soft: Some(NOON + 20 * MINUTE) });
    let other = || TaskOptions::new("t").id("t-1");
    end(place.ledger.open_task(other().deadline(Deadline::After(HOUR))).unwrap());
    let late = other().soft_deadline(Deadline::After(HOUR));
    let missing = refused(place.ledger.open_task(late), ErrorKind::Conflict);
    assert_eq!(missing.to_string(), "task `t` exists without a soft deadline");
}

fn the_wait_for_an_approval_does_not_count_for_a_soft_one_either(place: &Place) {
    let options = TaskOptions::new("t").limit(Limit::usd("0.01").unwrap()).on_limit(OnLimit::Ask);
    let options = options.soft_deadline(Deadline::After(10 * MINUTE));
    let task = place.ledger.open_task(options).unwrap();
    let asked = refused(task.reserve(&request(5_000)), ErrorKind::ApprovalRequired);
    let Some(Field::Text(id)) = asked.field("id") else { panic!("{asked}") };
    place.clock.advance(HOUR);
    place.ledger.approve(&id.parse().unwrap(), "0.50", "maria", None).unwrap();
    place.clock.advance(10 * MINUTE - 1);
    assert!(!task.reserve(&request(1_000)).unwrap().over_soft());
    place.clock.advance(1);
    assert!(task.reserve(&request(1_000)).unwrap().over_soft());
}

fn being_late_takes_no_cheaper_model(place: &Place) {
    let options = TaskOptions::new("t").fallback(["gpt-4o-mini"]).unwrap();
    let task = place.ledger.open_task(options.soft_deadline(Deadline::At(NOON))).unwrap();
    let call = task.reserve(&Request::model("gpt-4o").input_tokens(9).max_output_tokens(9)).unwrap();
    assert_eq!((call.over_soft(), call.model()), (true, "gpt-4o"));
}

fn a_task_that_observes_records_what_came_too_late(place: &Place) {
    let options = TaskOptions::new("t").observe().deadline(Deadline::At(NOON));
    let task = place.ledger.open_task(options).unwrap();
    let call = task.reserve(&request(1_000)).unwrap();
    assert_eq!(call.would_deny().unwrap().limit_name(), "deadline");
    let report = place.ledger.observed(None).unwrap();
    let row = &report.rows[0];
    assert_eq!((row.budget.as_deref(), row.unit.as_deref()), (Some("task `t`"), Some("deadline")));
}

on_every_store! {
    no_call_starts_after_a_deadline_not_below_either,
    a_deadline_holds_for_later_attempts_and_only_moves_on,
    a_task_without_a_deadline_gets_none_later,
    what_waits_for_money_ends_at_the_deadline,
    the_wait_for_an_approval_does_not_count,
    a_soft_deadline_is_told_and_refuses_nothing,
    a_soft_deadline_only_moves_on,
    the_wait_for_an_approval_does_not_count_for_a_soft_one_either,
    being_late_takes_no_cheaper_model,
    a_task_that_observes_records_what_came_too_late,
}
