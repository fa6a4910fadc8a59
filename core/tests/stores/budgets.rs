//! What do tasks share?

use outlay::{ErrorKind, Field, Limit, Task, TaskOptions, Unit, Usage, Window, run::BudgetOptions};

use crate::fixture::{
    DAY, HOUR, MINUTE, NOON, Place, available, cents, hold, refused, request, spend, window,
};

fn dollars(amount: &str, over: &str) -> Limit {
    Limit::usd(amount).unwrap().per(window(over))
}

fn tagged(place: &Place, tags: &[(&str, &str)]) -> Task {
    let options = TaskOptions::new("t");
    let options = tags.iter().fold(options, |options, (key, value)| options.tag(key, value).unwrap());
    place.ledger.open_task(options).unwrap()
}

fn budget(place: &Place, tags: &[(&str, &str)], limit: Limit) {
    let options = BudgetOptions::new().limit(limit);
    let options = tags.iter().fold(options, |options, (key, value)| options.tag(key, value).unwrap());
    place.ledger.set_budget(&options).unwrap();
}

fn a_budget_binds_every_task_of_its_scope_and_no_other(place: &Place) {
    budget(place, &[("tenant", "acme"), ("agent", "support")], dollars("0.10", "life"));
    let both = tagged(place, &[("tenant", "acme"), ("agent", "support"), ("user", "bob")]);
    let same = tagged(place, &[("agent", "support"), ("tenant", "acme")]);
    let others = [
        tagged(place, &[("tenant", "acme")]),
        tagged(place, &[("tenant", "other"), ("agent", "support")]),
        tagged(place, &[]),
    ];
    spend(&both, 6).unwrap();
    let denied = refused(spend(&same, 5), ErrorKind::BudgetExceeded);
    let label = "budget `agent=support,tenant=acme`";
    assert_eq!(denied.field("budget"), Some(&Field::Text(label.to_owned())));
    spend(&same, 4).unwrap();
    assert_eq!(available(&both).as_deref(), Some("0.00"));
    for other in others {
        assert_eq!(available(&other), None);
        spend(&other, 50).unwrap();
    }
    place.check();
}

fn a_budget_without_a_scope_binds_everything(place: &Place) {
    let early = tagged(place, &[]);
    spend(&early, 3).unwrap();
    budget(place, &[], dollars("0.05", "life"));
    spend(&early, 3).unwrap();
    refused(spend(&tagged(place, &[("user", "bob")]), 3), ErrorKind::BudgetExceeded);
    place.check();
}

fn a_budget_declared_again_is_the_same_or_larger(place: &Place) {
    let declare = |usd: &str, over: &str| {
        let options = BudgetOptions::new().tag("tenant", "acme").unwrap().by("ann");
        place.ledger.set_budget(&options.limit(dollars(usd, over)))
    };
    declare("0.05", "day").unwrap();
    let task = tagged(place, &[("tenant", "acme")]);
    spend(&task, 5).unwrap();
    declare("0.05", "day").unwrap();
    refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    refused(declare("0.04", "day"), ErrorKind::Conflict);
    refused(declare("0.05", "month"), ErrorKind::Conflict);
    declare("0.06", "day").unwrap();
    spend(&task, 1).unwrap();
    refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    if place.is_shared() {
        let kinds: String = place.sql("SELECT group_concat(kind) FROM entries WHERE kind IN (9, 10)");
        assert_eq!(kinds, "9,10", "the same again is no entry");
    }
}

fn a_budget_needs_a_limit(place: &Place) {
    refused(place.ledger.set_budget(&BudgetOptions::new()), ErrorKind::InvalidInput);
    let odd = BudgetOptions::new().per("Not a key").limit(dollars("1", "life"));
    refused(place.ledger.set_budget(&odd), ErrorKind::InvalidInput);
}

fn a_budget_per_value_gives_each_its_own(place: &Place) {
    let per = BudgetOptions::new().per("user").limit(dollars("0.05", "life"));
    place.ledger.set_budget(&per).unwrap();
    let (bob, eve) = (tagged(place, &[("user", "bob")]), tagged(place, &[("user", "eve")]));
    spend(&bob, 5).unwrap();
    spend(&eve, 4).unwrap();
    let denied = refused(spend(&tagged(place, &[("user", "bob")]), 1), ErrorKind::BudgetExceeded);
    assert!(denied.to_string().starts_with("budget `user=bob` allows 0.05 USD"), "{denied}");
    assert_eq!((available(&eve).as_deref(), available(&tagged(place, &[]))), (Some("0.01"), None));
    let larger = BudgetOptions::new().per("user").limit(dollars("0.06", "life"));
    place.ledger.set_budget(&larger).unwrap();
    let new = tagged(place, &[("user", "new")]);
    assert_eq!(
        [&bob, &eve, &new].map(|task| available(task).unwrap()),
        ["0.01", "0.02", "0.06"],
        "a grant reaches every value, old and new"
    );
    place.check();
}

fn ten_thousand_values_live_at_a_time_and_no_more(place: &Place) {
    let per = BudgetOptions::new().per("user").limit(dollars("1", "rolling:1m"));
    place.ledger.set_budget(&per).unwrap();
    let values = 10_000;
    for user in 0..values {
        spend(&tagged(place, &[("user", &format!("u{user}"))]), 1).unwrap();
    }
    let late = tagged(place, &[("user", "late")]);
    let denied = refused(spend(&late, 1), ErrorKind::BudgetExceeded);
    assert_eq!(denied.field("budget"), Some(&Field::Text("budget `user=*`".to_owned())));
    spend(&tagged(place, &[("user", "u7")]), 1).unwrap();
    place.clock.advance(2 * MINUTE);
    spend(&late, 1).unwrap();
}

fn a_day_ends_at_its_midnight(place: &Place) {
    budget(place, &[], dollars("0.05", "day"));
    let task = tagged(place, &[]);
    spend(&task, 5).unwrap();
    let denied = refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    assert_eq!(denied.field("resets_at"), Some(&Field::Text("2026-11-23T00:00:00Z".to_owned())));
    place.clock.advance(12 * HOUR - 1);
    refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    place.clock.advance(1);
    spend(&task, 5).unwrap();
    assert_eq!(cents(&task), (10, 0, 0), "the task's own life goes on");
    place.check();
}

fn days_weeks_and_months_have_a_time_zone(place: &Place) {
    let berlin = Window::parse("day", Some("Europe/Berlin")).unwrap();
    budget(place, &[("by", "berlin")], Limit::usd("0.05").unwrap().per(berlin));
    budget(place, &[("by", "week")], dollars("0.05", "week"));
    budget(place, &[("by", "month")], dollars("0.05", "month"));
    let tasks = ["berlin", "week", "month"].map(|by| tagged(place, &[("by", by)]));
    let full = || tasks.iter().map(|task| spend(task, 5).is_err()).collect::<Vec<_>>();
    assert_eq!(full(), [false, false, false]);
    place.clock.set(NOON + 11 * HOUR); // midnight in Berlin
    assert_eq!(full(), [false, true, true]);
    place.clock.set(NOON + 12 * HOUR); // Monday
    assert_eq!(full(), [true, false, true]);
    place.clock.set(NOON + 9 * DAY); // 1 December, a Tuesday of the next week
    assert_eq!(full(), [false, false, false]);
}

fn rolling_money_leaves_with_its_whole_bucket(place: &Place) {
    budget(place, &[], dollars("0.05", "rolling:1h"));
    let task = tagged(place, &[]);
    place.clock.set(NOON + 59_999); // the last moment of a bucket of one minute
    spend(&task, 3).unwrap();
    place.clock.set(NOON + MINUTE);
    spend(&task, 2).unwrap();
    place.clock.set(NOON + HOUR + MINUTE - 1);
    refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    place.clock.set(NOON + HOUR + MINUTE);
    refused(spend(&task, 4), ErrorKind::BudgetExceeded);
    spend(&task, 3).unwrap();
    place.clock.set(NOON + HOUR + 2 * MINUTE);
    spend(&task, 2).unwrap();
    place.check();
}

fn a_call_belongs_to_the_window_of_its_reserve(place: &Place) {
    budget(place, &[], dollars("0.10", "day"));
    let task = tagged(place, &[]);
    let call = hold(&task, 8);
    place.clock.advance(DAY);
    assert_eq!(available(&task).as_deref(), Some("0.10"));
    spend(&task, 7).unwrap();
    call.settle(&Usage::tokens(0, 8_000)).unwrap();
    assert_eq!((cents(&task), available(&task).as_deref()), ((15, 0, 0), Some("0.03")));
    place.clock.set(NOON);
    refused(spend(&task, 4), ErrorKind::BudgetExceeded); // time does not go back
    place.check();
}

fn a_task_can_have_windows_of_its_own(place: &Place) {
    let limits = [
        dollars("0.05", "day"),
        dollars("0.12", "life"),
        Limit::new(Unit::LlmCalls, 2).unwrap().per(window("rolling:1m")),
    ];
    let task = place.ledger.task("t", limits).unwrap();
    spend(&task, 2).unwrap();
    spend(&task, 2).unwrap();
    let denied = refused(task.reserve(&request(1)), ErrorKind::BudgetExceeded);
    assert_eq!(denied.field("unit"), Some(&Field::Text("llm_calls".to_owned())));
    place.clock.advance(2 * MINUTE);
    refused(spend(&task, 2), ErrorKind::BudgetExceeded);
    for day in 1..3 {
        place.clock.set(NOON + day * DAY);
        let fits = spend(&task, 5);
        assert_eq!(fits.is_ok(), day == 1, "the life of the task has 0.12 USD");
    }
    spend(&task, 3).unwrap();
    assert_eq!(cents(&task), (12, 0, 0));
    place.check();
}

fn a_hundred_old_slots_change_nothing(place: &Place) {
    budget(place, &[], dollars("0.05", "day"));
    let task = tagged(place, &[]);
    for day in 0..100 {
        place.clock.set(NOON + day * DAY);
        spend(&task, 5).unwrap();
        refused(spend(&task, 1), ErrorKind::BudgetExceeded);
    }
    assert_eq!(cents(&task), (500, 0, 0));
    place.check();
}

on_every_store! {
    a_budget_binds_every_task_of_its_scope_and_no_other,
    a_budget_without_a_scope_binds_everything,
    a_budget_declared_again_is_the_same_or_larger,
    a_budget_needs_a_limit,
    a_budget_per_value_gives_each_its_own,
    ten_thousand_values_live_at_a_time_and_no_more,
    a_day_ends_at_its_midnight,
    days_weeks_and_months_have_a_time_zone,
    rolling_money_leaves_with_its_whole_bucket,
    a_call_belongs_to_the_window_of_its_reserve,
    a_task_can_have_windows_of_its_own,
    a_hundred_old_slots_change_nothing,
}
