//! Limits over a part of a task: one turn, and the attempts after the first.

use outlay::{
    Attempt, BudgetOptions, ErrorKind, Limit, Request, Result, Settled, Task, TaskOptions, Unit, Usage,
    Window, run::OnLimit,
};

use crate::fixture::{Place, hold, refused, request, spend, usd, window};

fn spend_in(task: &Task, turn: &str, cents: u64) -> Result<Settled> {
    task.reserve(&request(cents * 1_000).turn(turn))?.settle(&Usage::tokens(0, cents * 1_000))
}

fn per_turn(text: &str) -> Limit {
    Limit::usd(text).unwrap().per(window("turn"))
}

fn each_turn_has_its_own(place: &Place) {
    let options = TaskOptions::new("chat").limit(Limit::usd("1").unwrap()).limit(per_turn("0.05"));
    let task = place.ledger.open_task(options).unwrap();
    spend_in(&task, "first", 4).unwrap();
    let error = refused(spend_in(&task, "first", 2), ErrorKind::BudgetExceeded);
    let said = "task `chat` allows 0.05 USD per turn: 0.04 spent, 0.00 pending, 0.02 requested";
    assert_eq!(error.to_string(), said);
    spend_in(&task, "second", 5).unwrap();
    spend_in(&task, "first", 1).unwrap();
    // A refused call leaves no turn behind; those that name none are of one.
    refused(spend_in(&task, "third", 6), ErrorKind::BudgetExceeded);
    spend_in(&task, "third", 5).unwrap();
    spend(&task, 5).unwrap();
    refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    // What a call holds and what becomes of it is of its turn.
    let held = task.reserve(&request(3_000).turn("fourth")).unwrap();
    let below = place.ledger.open_task(TaskOptions::new("below").under(&task)).unwrap();
    refused(spend_in(&below, "fourth", 3), ErrorKind::BudgetExceeded);
    assert_eq!(task.status().unwrap().text, "0.03 of 0.05 usd used, 0.02 left");
    held.void().unwrap();
    spend_in(&below, "fourth", 5).unwrap();
    let state = place.ledger.find_task("chat").unwrap();
    let limit = state.limits.iter().find(|limit| limit.window == Window::Turn).unwrap();
    assert_eq!((limit.spent, limit.available), (50_000_000, 0), "of the turn that began last");
    place.check();
}

fn tools_and_soft_limits_go_by_turns_too(place: &Place) {
    let calls = Limit::new(Unit::ToolCalls, 1).unwrap().per(window("turn"));
    let soft = Limit::count(Unit::Tokens, "1000").unwrap().soft().per(window("turn"));
    let task = place.ledger.open_task(TaskOptions::new("chat").limit(calls).limit(soft)).unwrap();
    for turn in ["a", "b"] {
        task.tool_call_in("web", Some(turn)).unwrap();
        refused(task.tool_call_in("web", Some(turn)), ErrorKind::BudgetExceeded);
        assert!(!task.reserve(&request(1_000).turn(turn)).unwrap().over_soft());
        assert!(task.reserve(&request(1_000).turn(turn)).unwrap().over_soft());
    }
    refused(task.tool_call_in("web", Some("")), ErrorKind::InvalidInput);
    place.check();
}

fn more_turns_than_a_ledger_in_memory_keeps(place: &Place) {
    let task = place.ledger.open_task(TaskOptions::new("chat").limit(per_turn("0.02"))).unwrap();
    spend(&task, 2).unwrap();
    for turn in 0..300 {
        spend_in(&task, &turn.to_string(), 1).unwrap();
        spend_in(&task, &turn.to_string(), 1).unwrap();
        refused(spend_in(&task, &turn.to_string(), 1), ErrorKind::BudgetExceeded);
    }
    refused(spend(&task, 1), ErrorKind::BudgetExceeded);
}

fn a_turn_goes_on_in_the_next_attempt(place: &Place) {
    let options = || TaskOptions::new("chat").id("chat-1").limit(per_turn("0.05"));
    let task = place.ledger.open_task(options()).unwrap();
    spend_in(&task, "first", 4).unwrap();
    task.end(Attempt::Failed, None).unwrap();
    let ledger = if place.is_shared() { place.another_owner() } else { place.ledger.clone() };
    let task = ledger.open_task(options()).unwrap();
    refused(spend_in(&task, "first", 2), ErrorKind::BudgetExceeded);
    spend_in(&task, "second", 5).unwrap();
}

fn more_for_a_turn_can_be_approved(place: &Place) {
    let options = TaskOptions::new("chat").limit(per_turn("0.05")).on_limit(OnLimit::Ask);
    let task = place.ledger.open_task(options).unwrap();
    spend_in(&task, "first", 5).unwrap();
    let error = refused(spend_in(&task, "second", 6), ErrorKind::ApprovalRequired);
    let asks = place.ledger.approvals().unwrap();
    assert_eq!((asks.len(), asks[0].needed), (1, 10_000_000), "{error}");
    place.ledger.approve(&asks[0].id, "0.01", "maria", None).unwrap();
    spend_in(&task, "second", 6).unwrap();
    place.check();
}

fn retries(text: &str) -> Limit {
    Limit::usd(text).unwrap().per(window("retries"))
}

fn attempts_after_the_first_have_a_limit_together(place: &Place) {
    let soft = Limit::new(Unit::LlmCalls, 1).unwrap().soft().per(window("retries"));
    let options = || {
        let options = TaskOptions::new("refund").id("refund-4711").limit(Limit::usd("1").unwrap());
        options.limit(retries("0.10")).limit(soft.clone())
    };
    let first = place.ledger.open_task(options()).unwrap();
    spend(&first, 50).unwrap();
    first.end(Attempt::Failed, None).unwrap();

    let second = place.ledger.open_task(options()).unwrap();
    assert!(!hold(&second, 4).over_soft());
    // Its hold is in doubt from the end of the attempt on, and counts.
    second.end(Attempt::Failed, None).unwrap();
    let other = if place.is_shared() { place.another_owner() } else { place.ledger.clone() };
    let third = other.open_task(options()).unwrap();
    let below = other.open_task(TaskOptions::new("below").under(&third)).unwrap();
    let held = hold(&below, 6);
    assert!(held.over_soft());
    let error = refused(spend(&third, 1), ErrorKind::BudgetExceeded);
    let said = "task `refund` allows 0.10 USD for attempts after the first: 0.04 spent, 0.06 pending, \
                0.01 requested";
    assert_eq!(error.to_string(), said);
    assert_eq!(third.available().unwrap(), Some(usd("0")));
    held.void().unwrap();
    spend(&third, 6).unwrap();
    third.end(Attempt::Failed, None).unwrap();
    // A grant is one like any other.
    refused(other.open_task(options().limit(retries("0.20"))), ErrorKind::InvalidInput);
    let larger = TaskOptions::new("refund").id("refund-4711").limit(Limit::usd("1").unwrap());
    let fourth = place.ledger.open_task(larger.limit(retries("0.20")).limit(soft.clone())).unwrap();
    spend(&fourth, 10).unwrap();
    refused(spend(&fourth, 1), ErrorKind::BudgetExceeded);
    place.check();
}

fn the_next_attempt_in_the_same_process_is_a_retry(place: &Place) {
    let options = || TaskOptions::new("t").id("t-1").limit(retries("0.05"));
    let first = place.ledger.open_task(options()).unwrap();
    spend(&first, 20).unwrap();
    first.end(Attempt::Failed, None).unwrap();
    for _ in 0..5 {
        let again = place.ledger.open_task(options()).unwrap();
        spend(&again, 1).unwrap();
        again.end(Attempt::Failed, None).unwrap();
    }
    let sixth = place.ledger.open_task(options()).unwrap();
    refused(spend(&sixth, 1), ErrorKind::BudgetExceeded);
    place.check();
}

fn what_stays_open_inside_is_a_retry_too(place: &Place) {
    let options = || TaskOptions::new("t").id("t-1").limit(retries("0.05"));
    let first = place.ledger.open_task(options()).unwrap();
    let inside = place.ledger.open_task(TaskOptions::new("inside").under(&first)).unwrap();
    spend(&inside, 20).unwrap();
    first.end(Attempt::Failed, None).unwrap();
    let other = if place.is_shared() { place.another_owner() } else { place.ledger.clone() };
    let second = other.open_task(options()).unwrap();
    spend(&inside, 3).unwrap();
    refused(spend(&inside, 3), ErrorKind::BudgetExceeded);
    spend(&second, 2).unwrap();
    refused(spend(&second, 1), ErrorKind::BudgetExceeded);
    place.check();
}

fn a_turn_gets_no_second_limit_while_others_come(place: &Place) {
    let task = place.ledger.open_task(TaskOptions::new("t").limit(per_turn("0.05"))).unwrap();
    let name = |no: u32| format!("turn {no}");
    for no in 0..100 {
        spend_in(&task, &name(no), 1).unwrap();
    }
    // Those named later have the larger numbers, and go first when they are heard of first.
    let again = place.ledger.open_task(TaskOptions::new("t").limit(per_turn("0.05"))).unwrap();
    for no in (0..100).rev().chain(100..160) {
        spend_in(&again, &name(no), 3).unwrap();
        refused(spend_in(&again, &name(no), 3), ErrorKind::BudgetExceeded);
    }
    let late = again.reserve(&request(2_000).turn("turn 3")).unwrap();
    for no in 160..400 {
        spend_in(&again, &name(no), 5).unwrap();
        refused(spend_in(&again, "turn 3", 1), ErrorKind::BudgetExceeded);
    }
    late.void().unwrap();
    spend_in(&again, "turn 3", 2).unwrap();
}

/// A limit of so many units, of which each call of [`one`] uses one.
fn units(unit: Unit, amount: i64) -> Limit {
    match unit {
        Unit::Usd => Limit::usd(&format!("{amount}")).unwrap(),
        _ => Limit::new(unit, amount).unwrap(),
    }
}

fn one(unit: Unit) -> Request {
    match unit {
        Unit::Usd => Request::model("gift").max_usd(usd("1")),
        Unit::Tokens => request(1),
        _ => request(0),
    }
}

fn every_unit_can_be_limited_hard_and_soft_in_every_window(place: &Place) {
    for (no, unit) in Unit::ALL.into_iter().enumerate() {
        for of in ["life", "day", "rolling:1h", "turn"] {
            let name = format!("{no}-{}", of.replace(':', "-"));
            let limit = || units(unit, 2).per(window(of));
            let half = units(unit, 1).per(window(of)).soft();
            let task = if of == "turn" {
                place.ledger.open_task(TaskOptions::new("t").limit(limit()).limit(half)).unwrap()
            } else {
                let budget = BudgetOptions::new().tag("tenant", &name).unwrap();
                place.ledger.set_budget(&budget.limit(limit()).limit(half)).unwrap();
                place.ledger.open_task(TaskOptions::new("t").tag("tenant", &name).unwrap()).unwrap()
            };
            let use_one = || match unit {
                Unit::ToolCalls => task.tool_call_in("web", Some("a")).map(|()| None),
                _ => task.reserve(&one(unit).turn("a")).map(|call| Some(call.over_soft())),
            };
            assert_ne!(use_one().unwrap(), Some(true), "{unit:?} {of}");
            assert_ne!(use_one().unwrap(), Some(false), "{unit:?} {of}");
            let error = refused(use_one(), ErrorKind::BudgetExceeded);
            let expected = outlay::Field::Text(unit.name().to_owned());
            assert_eq!(error.field("unit"), Some(&expected), "{of}");
        }
    }
}

fn no_budget_is_per_turn_or_for_retries(place: &Place) {
    for limit in [per_turn("1"), retries("1")] {
        refused(place.ledger.set_budget(&BudgetOptions::new().limit(limit)), ErrorKind::InvalidInput);
    }
}

on_every_store! {
    each_turn_has_its_own,
    tools_and_soft_limits_go_by_turns_too,
    more_turns_than_a_ledger_in_memory_keeps,
    a_turn_goes_on_in_the_next_attempt,
    more_for_a_turn_can_be_approved,
    attempts_after_the_first_have_a_limit_together,
    the_next_attempt_in_the_same_process_is_a_retry,
    every_unit_can_be_limited_hard_and_soft_in_every_window,
    what_stays_open_inside_is_a_retry_too,
    a_turn_gets_no_second_limit_while_others_come,
    no_budget_is_per_turn_or_for_retries,
}
