//! What is left, and what would have been refused?

use outlay::{
    Attempt, BudgetOptions, Limit, TaskOptions, Unit, Usage,
    ledger::{Kind, flag},
    report::{ObservedRow, Since},
};

use crate::fixture::{DAY, Place, hold, request, spend, usd, window};

fn watching(limits: impl IntoIterator<Item = Limit>) -> TaskOptions {
    let options = TaskOptions::new("refund").tag("tenant", "acme").unwrap().observe();
    limits.into_iter().fold(options, TaskOptions::limit)
}

fn rows(place: &Place, since: Option<&str>) -> Vec<ObservedRow> {
    place.ledger.observed(since.map(|since| since.parse::<Since>().unwrap())).unwrap().rows
}

fn what_would_have_been_refused_is_told_by_task_and_limit(place: &Place) {
    let day = Limit::usd("0.06").unwrap().per(window("day"));
    place.ledger.set_budget(&BudgetOptions::new().tag("tenant", "acme").unwrap().limit(day)).unwrap();
    for _ in 0..2 {
        let limits = [Limit::usd("0.05").unwrap(), Limit::new(Unit::ToolCalls, 0).unwrap()];
        let task = place.ledger.open_task(watching(limits)).unwrap();
        spend(&task, 4).unwrap();
        // Its own limit, which is looked at first.
        task.reserve(&request(3_000)).unwrap().void().unwrap();
        spend(&task, 2).unwrap();
        task.tool_call("web").unwrap();
        place.clock.advance(DAY);
    }
    let task = place.ledger.open_task(watching([])).unwrap();
    spend(&task, 7).unwrap();
    let shown = |row: &ObservedRow| {
        let text = |text: &Option<String>| text.clone().unwrap();
        (text(&row.task), text(&row.budget), text(&row.unit), row.calls, row.settled)
    };
    let row = |budget: &str, unit: &str, calls, cost| {
        ("refund".to_owned(), budget.to_owned(), unit.to_owned(), calls, usd(cost))
    };
    let mut found: Vec<_> = rows(place, None).iter().map(shown).collect();
    found.sort_by_key(|row| row.4);
    let expected = [
        row("task `refund`", "tool_calls", 2, "0"),
        row("task `refund`", "usd", 4, "0.04"),
        row("budget `tenant=acme`", "usd", 1, "0.07"),
    ];
    assert_eq!(found, expected);
    assert_eq!(rows(place, Some("1h")).iter().map(shown).collect::<Vec<_>>(), expected[2..]);
    let own = rows(place, None).into_iter().find(|row| row.calls == 4).unwrap();
    assert_eq!(own.last_at - own.first_at, DAY);
    place.check();
}

/// A limit of each unit over each window of a task, which the second call passes.
fn each_limit() -> impl Iterator<Item = Limit> {
    let amounts = [(Unit::Usd, 10_000_000), (Unit::Tokens, 1_000), (Unit::LlmCalls, 1), (Unit::ToolCalls, 1)];
    let over = move |window: &'static str| {
        amounts.map(|(unit, amount)| Limit::new(unit, amount).unwrap().per(self::window(window)))
    };
    ["life", "day", "rolling:1h", "turn", "retries"].into_iter().flat_map(over)
}

/// Two calls that use the whole limit each, in an attempt that every window covers.
fn two_calls(place: &Place, options: TaskOptions, unit: Unit) -> Vec<bool> {
    place.ledger.open_task(options.clone().id("again")).unwrap().end(Attempt::Failed, None).unwrap();
    let task = place.ledger.open_task(options.id("again")).unwrap();
    let call = || match unit {
        Unit::ToolCalls => task.tool_call_in("web", Some("t")).map(|()| None),
        _ => task.reserve(&request(1_000).turn("t")).map(|call| {
            let over = call.over_soft();
            call.settle(&Usage::tokens(0, 1_000)).unwrap();
            Some(over)
        }),
    };
    [call(), call()].map(|called| called.unwrap().unwrap_or_default()).to_vec()
}

#[test]
fn every_unit_of_every_window_is_observed() {
    for limit in each_limit() {
        for place in [Place::memory(), Place::sqlite()] {
            two_calls(&place, watching([limit.clone()]), limit.unit);
            let found: Vec<_> = rows(&place, None).into_iter().map(|row| (row.unit, row.calls)).collect();
            assert_eq!(found, [(Some(limit.unit.name().to_owned()), 1)], "{limit:?}");
        }
    }
}

#[test]
fn every_unit_of_every_window_may_be_soft() {
    for limit in each_limit() {
        let place = Place::sqlite();
        let options = TaskOptions::new("t").limit(limit.clone().soft());
        let over = two_calls(&place, options, limit.unit);
        if limit.unit != Unit::ToolCalls {
            assert_eq!(over, [false, true], "{limit:?}");
        }
        let is_over = place.last_flags(Kind::Reserved) & flag::OVER_SOFT != 0;
        assert!(is_over, "{limit:?}");
    }
}

fn what_is_enforced_or_fits_is_not_in_it(place: &Place) {
    assert!(spend(&place.task("0.01"), 2).is_err());
    spend(&place.ledger.open_task(watching([Limit::usd("0.05").unwrap()])).unwrap(), 5).unwrap();
    assert!(rows(place, None).is_empty());
}

fn the_status_tells_the_least_left_of_each_unit(place: &Place) {
    let day = Limit::usd("0.20").unwrap().per(window("day"));
    place.ledger.set_budget(&BudgetOptions::new().limit(day)).unwrap();
    let free = place.ledger.task("free", []).unwrap();
    let limits = [Limit::usd("0.50").unwrap(), Limit::new(Unit::LlmCalls, 3).unwrap()];
    let task = place.ledger.task("refund", limits).unwrap();
    let status = task.status().unwrap();
    assert_eq!(status.text, "0.00 of 0.20 usd used, 0.20 left; 0 of 3 llm calls used, 3 left");
    assert_eq!(status.used_percent, Some(0));
    spend(&task, 5).unwrap();
    let held = hold(&task, 8);
    let status = task.status().unwrap();
    assert_eq!(status.text, "0.13 of 0.20 usd used, 0.07 left; 2 of 3 llm calls used, 1 left");
    assert_eq!(status.used_percent, Some(66), "of the calls");
    assert_eq!(free.status().unwrap().used_percent, Some(65), "of the shared budget");
    held.settle(&outlay::Usage::tokens(0, 90_000)).unwrap();
    let over = task.status().unwrap();
    assert!(over.text.starts_with("0.20 of 0.20 usd used, 0.00 left"), "{}", over.text);
    assert_eq!(over.used_percent, Some(100));
}

fn without_hard_limits_there_is_nothing_to_tell(place: &Place) {
    let soft = Limit::usd("1").unwrap().soft();
    let task = place.ledger.task("free", [soft]).unwrap();
    assert_eq!(task.status().unwrap(), outlay::run::Status::default());
}

on_every_store! {
    what_would_have_been_refused_is_told_by_task_and_limit,
    what_is_enforced_or_fits_is_not_in_it,
    the_status_tells_the_least_left_of_each_unit,
    without_hard_limits_there_is_nothing_to_tell,
}
