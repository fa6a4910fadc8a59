//! Who is told how much is spent? Once per threshold and window, whatever happens in between.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    thread,
};

use outlay::{
    BudgetOptions, ErrorKind, Ledger, Limit, ManualClock, Task, TaskOptions, Unit, Usage,
    ledger::{Alert, Kind},
    policy::Thresholds,
};
use proptest::prelude::*;

use crate::fixture::{
    DAY, HOUR, MINUTE, NOON, Place, config_with, hold, open, refused, request, spend, window,
};

fn dollars(amount: &str, over: &str) -> Limit {
    Limit::usd(amount).unwrap().per(window(over))
}

fn thresholds(texts: &[&str]) -> Thresholds {
    Thresholds::parse(texts.iter().copied()).unwrap()
}

fn everything(limit: Limit) -> BudgetOptions {
    BudgetOptions::new().limit(limit)
}

fn free_task(ledger: &Ledger) -> Task {
    ledger.task("t", []).unwrap()
}

/// Of each alert the share, and what had been spent.
fn told(ledger: &Ledger) -> Vec<(String, String)> {
    let shown = |alert: Alert| (alert.threshold.to_string(), alert.unit.show(alert.spent));
    ledger.alerts(0, 1_000).unwrap().into_iter().map(shown).collect()
}

fn shares(ledger: &Ledger) -> Vec<String> {
    told(ledger).into_iter().map(|(share, _)| share).collect()
}

/// Keeps the id of each alert it is given.
fn listen(ledger: &Ledger, consumer: &str) -> Arc<Mutex<Vec<String>>> {
    let ids = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&ids);
    ledger.on_alert(consumer, move |alert| list.lock().unwrap().push(alert.id.to_string())).unwrap();
    ids
}

fn ids(ledger: &Ledger) -> Vec<String> {
    ledger.alerts(0, 1_000).unwrap().iter().map(|alert| alert.id.to_string()).collect()
}

fn the_usual_shares_of_a_budget_are_told_once_each(place: &Place) {
    let acme = everything(dollars("1", "life")).tag("tenant", "acme").unwrap();
    place.ledger.set_budget(&acme).unwrap();
    let task = place.ledger.open_task(TaskOptions::new("refund").tag("tenant", "acme").unwrap()).unwrap();
    spend(&task, 49).unwrap();
    assert_eq!(told(&place.ledger), []);
    let heard = listen(&place.ledger, "list");
    for cents in [1, 10, 10, 10, 10, 10] {
        spend(&task, cents).unwrap();
    }
    let pair = |share: &str, spent: &str| (share.to_owned(), spent.to_owned());
    let said = [pair("50%", "0.50"), pair("80%", "0.80"), pair("100%", "1.00")];
    assert_eq!(told(&place.ledger), said);
    assert_eq!(*heard.lock().unwrap(), ids(&place.ledger));

    let first = place.ledger.alerts(0, 1).unwrap().remove(0);
    assert_eq!(first.to_string(), "budget `tenant=acme` has spent 0.50 of 1.00 USD, 50% of the limit");
    assert_eq!((first.task.as_str(), first.at, first.window_start), ("refund", NOON, None));
    if place.is_shared() {
        let kind = Kind::Alerted as u8;
        let entries: i64 = place.sql(&format!("SELECT count(*) FROM entries WHERE kind = {kind}"));
        assert_eq!(entries, 3);
        assert!(place.ledger.audit(None).unwrap().is_sound());
    }
    place.check();
}

fn what_one_call_passes_is_all_told(place: &Place) {
    place
        .ledger
        .set_budget(&everything(dollars("1", "life")).alerts(thresholds(&["0.3", "90%", "1"])))
        .unwrap();
    spend(&free_task(&place.ledger), 95).unwrap();
    assert_eq!(shares(&place.ledger), ["30%", "90%"]);
}

fn what_is_only_held_is_told_to_nobody(place: &Place) {
    place.ledger.set_budget(&everything(dollars("1", "life"))).unwrap();
    let task = free_task(&place.ledger);
    hold(&task, 90).void().unwrap();
    assert_eq!(told(&place.ledger), []);
    let lost = hold(&task, 60);
    lost.doubt().unwrap();
    assert_eq!(shares(&place.ledger), ["50%"], "what may have been billed counts as spent");
    // Nothing was billed after all; passing it again is no news.
    lost.void().unwrap();
    spend(&task, 70).unwrap();
    assert_eq!(shares(&place.ledger), ["50%"]);
    spend(&task, 10).unwrap();
    assert_eq!(shares(&place.ledger), ["50%", "80%"]);
}

fn every_window_is_told_anew_and_a_late_settle_belongs_to_its_own(place: &Place) {
    place.ledger.set_budget(&everything(dollars("1", "day"))).unwrap();
    let task = free_task(&place.ledger);
    spend(&task, 50).unwrap();
    let late = hold(&task, 40);
    place.clock.advance(DAY);
    spend(&task, 60).unwrap();
    assert_eq!(shares(&place.ledger), ["50%", "50%"]);
    late.settle(&Usage::tokens(0, 40_000)).unwrap();
    let alerts = place.ledger.alerts(0, 10).unwrap();
    let midnight = NOON - 12 * HOUR;
    let windows: Vec<_> = alerts.iter().map(|alert| alert.window_start.unwrap() - midnight).collect();
    assert_eq!((shares(&place.ledger)[2].as_str(), windows), ("80%", vec![0, DAY, 0]));
    assert_eq!(place.ledger.alerts(NOON + 1, 10).unwrap().len(), 2);
}

fn a_rolling_window_is_told_of_once_in_its_length(place: &Place) {
    place.ledger.set_budget(&everything(dollars("1", "rolling:1h")).alerts(thresholds(&["0.5"]))).unwrap();
    let task = free_task(&place.ledger);
    for _ in 0..10 {
        spend(&task, 10).unwrap();
        place.clock.advance(10 * MINUTE);
    }
    // Above half from minute 40 on for good: told then, and again when that has left the window.
    let minutes: Vec<_> =
        place.ledger.alerts(0, 10).unwrap().iter().map(|alert| (alert.at - NOON) / MINUTE).collect();
    assert_eq!(minutes, [40]);
    spend(&task, 10).unwrap();
    place.clock.advance(10 * MINUTE);
    spend(&task, 10).unwrap();
    assert_eq!(place.ledger.alerts(0, 10).unwrap().len(), 2);
}

fn a_raised_limit_is_told_of_as_another_limit(place: &Place) {
    let declare = |usd: &str| place.ledger.set_budget(&everything(dollars(usd, "life"))).unwrap();
    declare("1");
    let task = free_task(&place.ledger);
    spend(&task, 90).unwrap();
    declare("2");
    spend(&task, 20).unwrap();
    let said: Vec<_> = place
        .ledger
        .alerts(0, 10)
        .unwrap()
        .iter()
        .map(|alert| (alert.threshold.to_string(), alert.unit.show(alert.limit)))
        .collect();
    let pair = |share: &str, limit: &str| (share.to_owned(), limit.to_owned());
    assert_eq!(said, [pair("50%", "1.00"), pair("80%", "1.00"), pair("50%", "2.00")]);
}

fn thresholds_declared_later_hold_from_the_next_call_on(place: &Place) {
    let day = || everything(dollars("1", "day"));
    place.ledger.set_budget(&day().alerts(Thresholds::default())).unwrap();
    let task = free_task(&place.ledger);
    spend(&task, 60).unwrap();
    assert_eq!(told(&place.ledger), [], "nobody wants to be told");
    place.ledger.set_budget(&day()).unwrap();
    spend(&task, 1).unwrap();
    assert_eq!(told(&place.ledger), [], "without a word they stay as they are");
    place.ledger.set_budget(&day().alerts(thresholds(&["0.5", "0.7"]))).unwrap();
    spend(&task, 1).unwrap();
    assert_eq!(shares(&place.ledger), ["50%"]);
    spend(&task, 8).unwrap();
    assert_eq!(shares(&place.ledger), ["50%", "70%"]);
}

fn a_task_is_told_of_where_it_asks_for_it(place: &Place) {
    let silent = place.task("1");
    spend(&silent, 100).unwrap();
    assert_eq!(told(&place.ledger), []);
    let calls = Limit::new(Unit::LlmCalls, 4).unwrap();
    let options = TaskOptions::new("loud").id("loud").limit(Limit::usd("1").unwrap()).limit(calls);
    let loud = place.ledger.open_task(options.alerts(thresholds(&["0.5"]))).unwrap();
    spend(&loud, 10).unwrap();
    spend(&loud, 10).unwrap();
    let alert = place.ledger.alerts(0, 10).unwrap().remove(0);
    assert_eq!(alert.to_string(), "task `loud` has spent 2 of 4 llm calls, 50% of the limit");
    spend(&loud, 30).unwrap();
    assert_eq!(shares(&place.ledger).len(), 2, "each limit by itself");
}

fn a_soft_limit_is_told_of_where_there_is_no_hard_one(place: &Place) {
    let soft = dollars("0.10", "life").soft();
    place.ledger.set_budget(&everything(soft).alerts(thresholds(&["100%", "150%"]))).unwrap();
    let task = free_task(&place.ledger);
    spend(&task, 12).unwrap();
    spend(&task, 12).unwrap();
    assert_eq!(shares(&place.ledger), ["100%", "150%"]);
}

fn each_value_of_a_tag_is_told_of_by_itself(place: &Place) {
    let each = everything(dollars("1", "life")).per("user").alerts(thresholds(&["0.5"]));
    place.ledger.set_budget(&each).unwrap();
    for user in ["ann", "bob"] {
        let task = place.ledger.open_task(TaskOptions::new("t").tag("user", user).unwrap()).unwrap();
        spend(&task, 60).unwrap();
    }
    let budgets: Vec<_> = place.ledger.alerts(0, 10).unwrap().into_iter().map(|alert| alert.budget).collect();
    assert_eq!(budgets, ["budget `user=ann`", "budget `user=bob`"]);
}

fn a_sustained_share_is_told_of_when_it_stayed_passed(place: &Place) {
    let day = everything(dollars("1", "day")).alerts(thresholds(&["50% for 10m"]));
    place.ledger.set_budget(&day).unwrap();
    let task = free_task(&place.ledger);
    let lost = hold(&task, 60);
    lost.doubt().unwrap();
    place.clock.advance(9 * MINUTE);
    // It was not billed: what was passing has to begin anew.
    lost.void().unwrap();
    place.clock.advance(MINUTE);
    spend(&task, 55).unwrap();
    place.clock.advance(10 * MINUTE - 1);
    spend(&task, 1).unwrap();
    assert_eq!(told(&place.ledger), []);
    place.clock.advance(1);
    spend(&task, 1).unwrap();
    let said = [("50% for 10m".to_owned(), "0.57".to_owned())];
    assert_eq!(told(&place.ledger), said);
    place.clock.advance(HOUR);
    spend(&task, 1).unwrap();
    assert_eq!(told(&place.ledger), said);
}

fn a_sustained_share_needs_no_call_to_be_told_of(place: &Place) {
    let day = everything(dollars("1", "day")).alerts(thresholds(&["50% for 10m", "60% for 13h"]));
    place.ledger.set_budget(&day).unwrap();
    spend(&free_task(&place.ledger), 70).unwrap();
    assert_eq!(told(&place.ledger), []);
    place.clock.advance(10 * MINUTE);
    assert_eq!(shares(&place.ledger), ["50% for 10m"], "whoever asks for alerts judges");
    place.clock.advance(DAY);
    assert_eq!(shares(&place.ledger), ["50% for 10m"], "the day was over before thirteen hours were");
}

fn the_configuration_says_which_shares_are_usual(place: &Place) {
    place.ledger.set_config(Arc::new(config_with(
        r#"{"alerts": [0.25, "40%"], "prices": {"house": {"input": 0, "output": 10}}}"#,
    )));
    place.ledger.set_budget(&everything(dollars("1", "life"))).unwrap();
    spend(&free_task(&place.ledger), 90).unwrap();
    assert_eq!(shares(&place.ledger), ["25%", "40%"]);
}

fn each_consumer_gets_each_alert(place: &Place) {
    place.ledger.set_budget(&everything(dollars("1", "life"))).unwrap();
    let (one, two) = (listen(&place.ledger, "one"), listen(&place.ledger, "two"));
    let task = free_task(&place.ledger);
    spend(&task, 60).unwrap();
    // What a handler itself spends is told too, and a panic of one is nobody else's.
    place.ledger.on_alert("three", |_| panic!("a handler of a test that panics")).unwrap();
    let own = task.clone();
    place.ledger.on_alert("four", move |_| drop(spend(&own, 10))).unwrap();
    spend(&task, 20).unwrap();
    assert_eq!(shares(&place.ledger), ["50%", "80%", "100%"]);
    for heard in [one, two] {
        assert_eq!(*heard.lock().unwrap(), ids(&place.ledger));
    }
    for consumer in ["one", "two", "three", "four"] {
        assert_eq!(place.ledger.undelivered(consumer, 10).unwrap(), []);
    }
    assert_eq!(
        place.ledger.undelivered("watch", 2).unwrap().len(),
        2,
        "whoever comes first gets the last day"
    );
    refused(place.ledger.on_alert("", |_| {}), ErrorKind::InvalidInput);
}

fn delivered_is_what_a_consumer_says_it_has_had(place: &Place) {
    place.ledger.set_budget(&everything(dollars("1", "life"))).unwrap();
    spend(&free_task(&place.ledger), 100).unwrap();
    let alerts = place.ledger.undelivered("watch", 10).unwrap();
    // In another order than they were recorded in, and one twice.
    for alert in [&alerts[1], &alerts[1], &alerts[0]] {
        place.ledger.delivered("watch", alert).unwrap();
    }
    assert_eq!(place.ledger.undelivered("watch", 10).unwrap(), alerts[2..]);
    place.ledger.delivered("watch", &alerts[2]).unwrap();
    assert_eq!(place.ledger.undelivered("watch", 10).unwrap(), []);
    place.clock.advance(2 * DAY);
    assert_eq!(place.ledger.undelivered("new", 10).unwrap(), [], "nothing older than a day");
}

/// A budget for each user, and users who pass all of its shares, which are sixteen.
fn many_alerts(place: &Place, users: usize, suffix: &str) {
    let shares: Vec<String> = (1..=16).map(|part| format!("{}%{suffix}", part * 5)).collect();
    let sixteen = Thresholds::parse(shares.iter().map(String::as_str)).unwrap();
    let each = everything(dollars("1", "life")).per("user").alerts(sixteen);
    place.ledger.set_budget(&each).unwrap();
    for user in 0..users {
        let options = TaskOptions::new("t").tag("user", &format!("u{user}")).unwrap();
        spend(&place.ledger.open_task(options).unwrap(), 80).unwrap();
    }
}

fn a_consumer_with_many_gaps_gives_up_the_oldest(place: &Place) {
    many_alerts(place, 33, "");
    let alerts = place.ledger.undelivered("watch", 1_000).unwrap();
    assert_eq!(alerts.len(), 33 * 16);
    let had = |count: usize| alerts.iter().skip(1).step_by(2).take(count);
    had(256).for_each(|alert| place.ledger.delivered("watch", alert).unwrap());
    let left = place.ledger.undelivered("watch", 1_000).unwrap();
    assert_eq!((left.len(), left[0].id), (33 * 16 - 256, alerts[0].id), "256 gaps are kept");
    had(257).for_each(|alert| place.ledger.delivered("watch", alert).unwrap());
    let left = place.ledger.undelivered("watch", 1_000).unwrap();
    assert_eq!((left.len(), left[0].id), (33 * 16 - 257 - 1, alerts[2].id));
}

fn of_much_that_is_passing_the_first_due_is_judged_first(place: &Place) {
    many_alerts(place, 63, " for 20h");
    let late = everything(dollars("1", "life")).tag("team", "late").unwrap();
    place.ledger.set_budget(&late.alerts(thresholds(&["50% for 10m"]))).unwrap();
    let options = TaskOptions::new("t").tag("team", "late").unwrap();
    spend(&place.ledger.open_task(options).unwrap(), 60).unwrap();
    place.clock.advance(10 * MINUTE);
    assert_eq!(shares(&place.ledger), ["50% for 10m"]);
}

on_every_store! {
    the_usual_shares_of_a_budget_are_told_once_each,
    what_one_call_passes_is_all_told,
    what_is_only_held_is_told_to_nobody,
    every_window_is_told_anew_and_a_late_settle_belongs_to_its_own,
    a_rolling_window_is_told_of_once_in_its_length,
    a_raised_limit_is_told_of_as_another_limit,
    thresholds_declared_later_hold_from_the_next_call_on,
    a_task_is_told_of_where_it_asks_for_it,
    a_soft_limit_is_told_of_where_there_is_no_hard_one,
    each_value_of_a_tag_is_told_of_by_itself,
    a_sustained_share_is_told_of_when_it_stayed_passed,
    a_sustained_share_needs_no_call_to_be_told_of,
    the_configuration_says_which_shares_are_usual,
    each_consumer_gets_each_alert,
    delivered_is_what_a_consumer_says_it_has_had,
    a_consumer_with_many_gaps_gives_up_the_oldest,
    of_much_that_is_passing_the_first_due_is_judged_first,
}

#[test]
fn owners_that_race_record_each_alert_once_and_each_delivers_its_own() {
    let place = Place::sqlite();
    let shares: Vec<String> = (1..=16).map(|part| format!("{}%", part * 5)).collect();
    let sixteen = Thresholds::parse(shares.iter().map(String::as_str)).unwrap();
    place.ledger.set_budget(&everything(dollars("1", "day")).alerts(sixteen)).unwrap();
    let owners: Vec<Ledger> = (0..4).map(|_| place.another_owner()).collect();
    let heard: Vec<_> = owners.iter().map(|owner| listen(owner, "list")).collect();
    thread::scope(|scope| {
        for owner in &owners {
            for _ in 0..4 {
                let task = free_task(owner);
                scope.spawn(move || (0..10).for_each(|_| drop(spend(&task, 1))));
            }
        }
    });
    assert_eq!(told(&place.ledger).len(), 16);
    let mut delivered: Vec<String> = heard.iter().flat_map(|ids| ids.lock().unwrap().clone()).collect();
    let mut recorded = ids(&place.ledger);
    delivered.sort_unstable();
    recorded.sort_unstable();
    assert_eq!(delivered, recorded, "each alert by the owner that recorded it, and by no other");
    place.check();
}

#[test]
fn what_a_dead_owner_did_not_deliver_the_next_one_does() {
    let place = Place::sqlite();
    place.ledger.set_budget(&everything(dollars("1", "day"))).unwrap();
    spend(&free_task(&place.ledger), 60).unwrap();
    let other = place.another_owner();
    assert_eq!(*listen(&other, "list").lock().unwrap(), [""; 0], "it may be about to deliver it itself");
    place.kill_first_owner();
    let next = place.another_owner();
    assert_eq!(*listen(&next, "list").lock().unwrap(), ids(&next));
    assert_eq!(*listen(&next, "list").lock().unwrap(), [""; 0], "it was delivered");
}

#[test]
fn what_a_consumer_has_had_behind_an_alert_of_another_owner_is_one_stretch() {
    let place = Place::sqlite();
    let other = place.another_owner();
    other.set_budget(&everything(dollars("1", "life")).alerts(thresholds(&["50%"]))).unwrap();
    spend(&free_task(&other), 60).unwrap();
    other.set_budget(&everything(dollars("100", "life"))).unwrap();
    let heard = listen(&place.ledger, "list");
    many_alerts(&place, 3, "");
    assert_eq!(heard.lock().unwrap().len(), 3 * 16);
    let (after, bytes): (i64, i64) = (
        place.sql("SELECT after FROM consumers WHERE name = 'list'"),
        place.sql("SELECT length(delivered) FROM consumers WHERE name = 'list'"),
    );
    assert_eq!((after, bytes), (0, 16), "two numbers, however many alerts there were");
    assert_eq!(*listen(&other, "list").lock().unwrap(), ids(&other)[..1]);
    assert_eq!(place.sql::<i64>("SELECT after FROM consumers WHERE name = 'list'"), 3 * 16 + 1);
}

#[derive(Clone, Debug)]
enum Act {
    Spend(u64),
    Doubt(u64),
    Undo(prop::sample::Index),
    Wait,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1_u64..40).prop_map(Act::Spend),
        2 => (1_u64..40).prop_map(Act::Doubt),
        2 => any::<prop::sample::Index>().prop_map(Act::Undo),
        1 => Just(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn an_alert_is_recorded_exactly_when_a_window_first_reaches_its_share(acts in prop::collection::vec(act(), 1..60)) {
        let clock = ManualClock::at(NOON);
        let ledger = open("memory:", &clock).unwrap();
        ledger.set_budget(&everything(dollars("1", "day"))).unwrap();
        let task = free_task(&ledger);
        let (mut spent, mut lost, mut expected) = ([0; 64], Vec::new(), BTreeSet::new());
        let mut day = 0;
        for act in acts {
            match act {
                Act::Spend(cents) => {
                    if spend(&task, cents).is_ok() { spent[day] += cents; }
                }
                Act::Doubt(cents) => {
                    if let Ok(call) = task.reserve(&request(cents * 1_000)) {
                        call.doubt().unwrap();
                        spent[day] += cents;
                        lost.push((call, day, cents));
                    }
                }
                Act::Undo(_) if lost.is_empty() => {}
                Act::Undo(which) => {
                    let (call, day, cents) = lost.swap_remove(which.index(lost.len()));
                    call.void().unwrap();
                    spent[day] -= cents;
                }
                Act::Wait => {
                    clock.advance(DAY);
                    day += 1;
                }
            }
            for share in [50, 80, 100] {
                if spent[day] >= share { expected.insert((day as i64, share as u32)); }
            }
        }
        let midnight = NOON - 12 * HOUR;
        let alerts = ledger.alerts(0, 1_000).unwrap();
        let place = |alert: &Alert| ((alert.window_start.unwrap() - midnight) / DAY, alert.threshold.per_mille / 10);
        let recorded: BTreeSet<_> = alerts.iter().map(place).collect();
        prop_assert_eq!(alerts.len(), recorded.len(), "one was recorded twice");
        prop_assert_eq!(recorded, expected);
    }
}
