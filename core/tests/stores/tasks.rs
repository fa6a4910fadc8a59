//! What is an attempt, and what lies under what?

use outlay::{Attempt, ErrorKind, Limit, Request, Task, TaskOptions, Unit, Usage, run::BudgetOptions};

use crate::fixture::{Place, available, cents, hold, refused, request, spend, usd, window};

fn dollars(amount: &str) -> Limit {
    Limit::usd(amount).unwrap()
}

fn again(place: &Place, limits: &[Limit]) -> outlay::Result<Task> {
    let options = TaskOptions::new("refund").id("refund-4711").by("ann");
    place.ledger.open_task(limits.iter().cloned().fold(options, TaskOptions::limit))
}

fn a_second_entry_is_the_next_attempt_under_the_same_limits(place: &Place) {
    let first = again(place, &[dollars("0.10")]).unwrap();
    spend(&first, 6).unwrap();
    first.end(Attempt::Failed, Some("no luck")).unwrap();
    let second = again(place, &[dollars("0.10")]).unwrap();
    assert_eq!((first.attempt(), second.attempt(), first.id() == second.id()), (1, 2, true));
    assert_eq!((cents(&second), available(&second).as_deref()), ((6, 0, 0), Some("0.04")));
    refused(spend(&second, 5), ErrorKind::BudgetExceeded);
    spend(&second, 4).unwrap();
    place.check();
}

fn an_open_attempt_of_a_running_owner_is_a_conflict(place: &Place) {
    let first = again(place, &[dollars("1")]).unwrap();
    refused(again(place, &[dollars("1")]), ErrorKind::Conflict);
    drop(first);
    assert_eq!(again(place, &[dollars("1")]).unwrap().attempt(), 2);
}

fn larger_limits_are_a_grant(place: &Place) {
    let first = again(place, &[dollars("0.05")]).unwrap();
    spend(&first, 5).unwrap();
    first.end(Attempt::Stopped, None).unwrap();
    let second = again(place, &[dollars("0.15")]).unwrap();
    assert_eq!(available(&second).as_deref(), Some("0.10"));
    spend(&second, 10).unwrap();
    refused(spend(&second, 1), ErrorKind::BudgetExceeded);
    if place.is_shared() {
        let granted: i64 = place.sql("SELECT usd FROM entries WHERE kind = 10");
        let by: String = place.sql("SELECT value FROM names JOIN entries ON note = no WHERE kind = 10");
        assert_eq!((granted, by.as_str()), (100_000_000, "ann"));
    }
}

fn smaller_or_other_limits_are_a_conflict_and_open_nothing(place: &Place) {
    let calls = Limit::new(Unit::LlmCalls, 3).unwrap();
    again(place, &[dollars("0.50"), calls.clone()]).unwrap().end(Attempt::Failed, None).unwrap();
    for limits in [
        vec![dollars("0.49"), calls.clone()],
        vec![dollars("0.60"), Limit::new(Unit::LlmCalls, 2).unwrap()],
        vec![dollars("0.50")],
        vec![dollars("0.50").soft(), calls.clone()],
        vec![dollars("0.50"), calls.clone(), dollars("9").per(window("day"))],
    ] {
        refused(again(place, &limits), ErrorKind::Conflict);
    }
    let second = again(place, &[dollars("0.50"), calls]).unwrap();
    assert_eq!((second.attempt(), available(&second).as_deref()), (2, Some("0.50")));
}

fn two_limits_of_one_kind_are_refused(place: &Place) {
    refused(place.ledger.task("t", [dollars("1"), dollars("2")]), ErrorKind::InvalidInput);
    place.ledger.task("t", [dollars("1"), dollars("2").soft(), dollars("3").per(window("day"))]).unwrap();
}

fn an_ended_attempt_reserves_nothing_more(place: &Place) {
    let task = place.task("1");
    task.end(Attempt::Succeeded, None).unwrap();
    refused(task.reserve(&request(1)), ErrorKind::Conflict);
    refused(task.tool_call("web"), ErrorKind::Conflict);
    task.end(Attempt::Failed, None).unwrap();
    if place.is_shared() {
        let ends: i64 = place.sql("SELECT count(*) FROM entries WHERE kind = 3");
        let word: String = place.sql("SELECT value FROM names JOIN entries ON note = no WHERE kind = 3");
        assert_eq!((ends, word.as_str()), (1, "succeeded"));
    }
}

fn the_end_of_an_attempt_leaves_its_open_calls_in_doubt(place: &Place) {
    let task = place.task("1");
    let (open, settled) = (hold(&task, 5), hold(&task, 3));
    settled.settle(&Usage::tokens(0, 3_000)).unwrap();
    task.end(Attempt::Failed, None).unwrap();
    assert_eq!(cents(&task), (3, 0, 5));
    open.settle(&Usage::tokens(0, 1_000)).unwrap();
    assert_eq!(cents(&task), (4, 0, 0));
    place.check();
}

fn a_child_is_held_under_every_task_above_it(place: &Place) {
    let above = place.task("0.10");
    let middle = place.ledger.open_task(TaskOptions::new("middle").under(&above)).unwrap();
    let below = TaskOptions::new("below").under(&middle).limit(dollars("0.06"));
    let below = place.ledger.open_task(below).unwrap();
    assert_eq!(available(&below).as_deref(), Some("0.06"));
    spend(&below, 5).unwrap();
    assert_eq!((cents(&above), cents(&middle), cents(&below)), ((5, 0, 0), (5, 0, 0), (5, 0, 0)));
    let denied = refused(spend(&below, 2), ErrorKind::BudgetExceeded);
    assert!(denied.to_string().starts_with("task `below` allows 0.06 USD"), "{denied}");
    let call = hold(&middle, 5);
    let denied = refused(spend(&below, 1), ErrorKind::BudgetExceeded);
    assert!(denied.to_string().starts_with("task `t` allows 0.10 USD"), "{denied}");
    assert_eq!(available(&below).as_deref(), Some("0.00"));
    call.void().unwrap();
    assert_eq!((cents(&above), cents(&below)), ((5, 0, 0), (5, 0, 0)));
    place.check();
}

fn a_refused_call_is_held_nowhere(place: &Place) {
    let above = place.task("1");
    let tight = TaskOptions::new("tight").under(&above).limit(dollars("0.01"));
    let tight = place.ledger.open_task(tight).unwrap();
    refused(spend(&tight, 2), ErrorKind::BudgetExceeded);
    assert_eq!((cents(&above), cents(&tight)), ((0, 0, 0), (0, 0, 0)));
    assert!(tight.stopped().is_some() && above.stopped().is_none());
    spend(&tight, 1).unwrap();
}

fn tasks_lie_eight_deep_and_no_deeper(place: &Place) {
    let mut task = place.task("1");
    for depth in 1..=8 {
        let options = TaskOptions::new(&format!("depth {depth}")).under(&task);
        task = place.ledger.open_task(options).unwrap();
    }
    spend(&task, 1).unwrap();
    refused(place.ledger.open_task(TaskOptions::new("too deep").under(&task)), ErrorKind::InvalidInput);
}

fn tags_are_inherited_and_may_be_changed_where_no_budget_is(place: &Place) {
    let above = TaskOptions::new("above").tag("tenant", "acme").unwrap().tag("kind", "support").unwrap();
    let above = place.ledger.open_task(above).unwrap();
    let below = TaskOptions::new("below").under(&above).tag("tenant", "other").unwrap();
    let below = place.ledger.open_task(below).unwrap();
    assert_eq!((below.tags().get("tenant"), below.tags().get("kind")), (Some("other"), Some("support")));
    assert_eq!(above.tags().get("tenant"), Some("acme"));
}

fn a_tag_with_a_budget_cannot_be_changed_below(place: &Place) {
    let budget = BudgetOptions::new().tag("tenant", "acme").unwrap().limit(dollars("1"));
    place.ledger.set_budget(&budget).unwrap();
    place.ledger.set_budget(&BudgetOptions::new().per("user").limit(dollars("1"))).unwrap();
    let options = TaskOptions::new("above").tag("tenant", "acme").unwrap().tag("user", "bob").unwrap();
    let above = place.ledger.open_task(options).unwrap();
    for (key, value) in [("tenant", "other"), ("user", "eve")] {
        let below = TaskOptions::new("below").under(&above).tag(key, value).unwrap();
        refused(place.ledger.open_task(below), ErrorKind::Conflict);
    }
    let below = TaskOptions::new("below").under(&above).tag("tenant", "acme").unwrap();
    spend(&place.ledger.open_task(below).unwrap(), 1).unwrap();
}

fn a_task_lies_in_the_ledger_of_the_one_above(place: &Place) {
    let above = place.task("1");
    let other = Place::memory().ledger;
    if place.is_shared() {
        refused(other.open_task(TaskOptions::new("below").under(&above)), ErrorKind::InvalidInput);
    }
    let elsewhere = Place::sqlite();
    refused(elsewhere.ledger.open_task(TaskOptions::new("below").under(&above)), ErrorKind::InvalidInput);
}

fn an_id_cannot_move_under_another_task(place: &Place) {
    let (one, two) = (place.task("1"), place.task("1"));
    let options = |above| TaskOptions::new("below").id("below-1").under(above);
    place.ledger.open_task(options(&one)).unwrap().end(Attempt::Failed, None).unwrap();
    refused(place.ledger.open_task(options(&two)), ErrorKind::Conflict);
    assert_eq!(place.ledger.open_task(options(&one)).unwrap().attempt(), 2);
}

fn names_and_ids_are_checked(place: &Place) {
    for name in ["", "a\nb", &"x".repeat(257)] {
        refused(place.ledger.open_task(TaskOptions::new(name)), ErrorKind::InvalidInput);
        refused(place.ledger.open_task(TaskOptions::new("t").id(name)), ErrorKind::InvalidInput);
        let task = place.task("1");
        refused(task.reserve(&request(1).id(name)), ErrorKind::InvalidInput);
        refused(task.tool_call(name), ErrorKind::InvalidInput);
        refused(task.reserve(&Request::model(name)), ErrorKind::InvalidInput);
    }
}

fn the_default_task_is_one_and_has_no_limit(place: &Place) {
    let task = place.ledger.default_task().unwrap();
    assert_eq!((task.name(), available(&task)), ("default", None));
    spend(&task, 500).unwrap();
    assert_eq!(place.ledger.default_task().unwrap().balance().unwrap().settled.usd(), usd("5"));
}

fn tool_calls_count_apart_from_model_calls(place: &Place) {
    let limits = [Limit::new(Unit::ToolCalls, 2).unwrap(), Limit::new(Unit::LlmCalls, 1).unwrap()];
    let task = place.ledger.task("t", limits).unwrap();
    task.tool_call("web").unwrap();
    spend(&task, 1).unwrap();
    let denied = refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    assert_eq!(denied.to_string(), "task `t` allows 1 llm calls: 1 spent, 0 pending, 1 requested");
    task.tool_call("web").unwrap();
    refused(task.tool_call("files"), ErrorKind::BudgetExceeded);
    assert_eq!(task.balance().unwrap().settled.0, [10_000_000, 1_000, 1, 2]);
    place.check();
}

fn a_limit_on_tokens_counts_input_and_output(place: &Place) {
    let task = place.ledger.task("t", [Limit::new(Unit::Tokens, 1_000).unwrap()]).unwrap();
    let call = task.reserve(&request(400).input_tokens(600)).unwrap();
    refused(task.reserve(&request(1)), ErrorKind::BudgetExceeded);
    call.settle(&Usage::tokens(500, 300)).unwrap();
    task.reserve(&request(100).input_tokens(100)).unwrap().void().unwrap();
    refused(task.reserve(&request(101).input_tokens(100)), ErrorKind::BudgetExceeded);
}

on_every_store! {
    a_second_entry_is_the_next_attempt_under_the_same_limits,
    an_open_attempt_of_a_running_owner_is_a_conflict,
    larger_limits_are_a_grant,
    smaller_or_other_limits_are_a_conflict_and_open_nothing,
    two_limits_of_one_kind_are_refused,
    an_ended_attempt_reserves_nothing_more,
    the_end_of_an_attempt_leaves_its_open_calls_in_doubt,
    a_child_is_held_under_every_task_above_it,
    a_refused_call_is_held_nowhere,
    tasks_lie_eight_deep_and_no_deeper,
    tags_are_inherited_and_may_be_changed_where_no_budget_is,
    a_tag_with_a_budget_cannot_be_changed_below,
    a_task_lies_in_the_ledger_of_the_one_above,
    an_id_cannot_move_under_another_task,
    names_and_ids_are_checked,
    the_default_task_is_one_and_has_no_limit,
    tool_calls_count_apart_from_model_calls,
    a_limit_on_tokens_counts_input_and_output,
}
