//! Who was told to stop? No call starts under a halt, in any owner, and no stream goes on.

use std::{thread::sleep, time::Duration};

use outlay::{
    ErrorKind, Field, Ledger, ManualClock, Outcome, Task, TaskOptions,
    ledger::Kind,
    meter::Api,
    policy::Scope,
    run::{Exchange, Terms},
};

use crate::fixture::{NOON, Place, cents, open, refused, request, spend};

const WORD: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n";

fn scope(text: &str) -> Scope {
    Scope::parse(text).unwrap()
}

fn refund(ledger: &Ledger) -> Task {
    ledger.open_task(TaskOptions::new("refund").id("refund-4711").tag("tenant", "acme").unwrap()).unwrap()
}

fn stream(task: &Task) -> Exchange {
    let body = br#"{"model": "house", "messages": [], "max_tokens": 5000, "stream": true}"#;
    task.exchange(Api::OpenAiChat, body, &Terms::default()).unwrap()
}

fn push(exchange: &Exchange) -> outlay::Result<()> {
    exchange.push(WORD, &mut Vec::new())
}

fn no_call_starts_under_a_halt_until_it_is_undone(place: &Place) {
    let task = refund(&place.ledger);
    let below = place.ledger.open_task(TaskOptions::new("step").under(&task)).unwrap();
    let other = place.ledger.task("other", []).unwrap();
    let uuid = task.id().to_string();
    for named in ["refund", "refund-4711", &uuid, "tenant=acme"] {
        assert_eq!(place.ledger.halt(&scope(named), "maria", "wrong customer").unwrap(), 2, "{named}");
        for task in [&task, &below] {
            let error = refused(spend(task, 1), ErrorKind::Halted);
            assert_eq!(error.to_string(), format!("`{named}` was halted by `maria`: wrong customer"));
            assert_eq!(error.field("scope"), Some(&Field::Text(named.to_owned())));
            assert_eq!(error.field("by"), Some(&Field::Text("maria".to_owned())));
            assert_eq!(error.field("reason"), Some(&Field::Text("wrong customer".to_owned())));
            refused(task.tool_call("web"), ErrorKind::Halted);
            assert_eq!(task.stopped().unwrap().kind(), ErrorKind::Halted);
        }
        spend(&other, 1).unwrap();
        place.ledger.unhalt(&scope(named), "jo").unwrap();
        spend(&below, 1).unwrap();
    }
    assert_eq!(place.ledger.halt(&scope("all"), "maria", "bill").unwrap(), 3);
    refused(spend(&other, 1), ErrorKind::Halted);
    place.check();
}

fn a_halt_holds_for_what_comes_later_and_for_what_observes(place: &Place) {
    assert_eq!(place.ledger.halt(&scope("tenant=acme"), "maria", "bill").unwrap(), 0);
    refused(spend(&refund(&place.ledger), 1), ErrorKind::Halted);
    let watched = TaskOptions::new("watched").tag("tenant", "acme").unwrap().observe();
    refused(spend(&place.ledger.open_task(watched).unwrap(), 1), ErrorKind::Halted);
}

fn a_halt_is_listed_replaced_and_kept_from_being_forgotten(place: &Place) {
    let acme = scope("tenant=acme");
    refused(place.ledger.unhalt(&acme, "jo"), ErrorKind::NotFound);
    place.ledger.halt(&acme, "maria", "bill").unwrap();
    place.ledger.halt(&acme, "jo", "the bill again").unwrap();
    place.ledger.halt(&scope("all"), "jo", "everything").unwrap();
    let halts = place.ledger.halts().unwrap();
    let shown: Vec<_> = halts.iter().map(|halt| (&*halt.scope, &*halt.by, &*halt.reason)).collect();
    assert_eq!(shown.len(), 2);
    assert!(shown.contains(&("tenant=acme", "jo", "the bill again")));
    assert!(shown.contains(&("all", "jo", "everything")));
    refused(place.ledger.forget("tenant", "acme"), ErrorKind::Conflict);
    place.ledger.unhalt(&acme, "jo").unwrap();
    place.ledger.forget("tenant", "acme").unwrap();
    for wrong in ["", "Ten ant=acme", "tenant=", "a\nb"] {
        refused(Scope::parse(wrong), ErrorKind::InvalidInput);
    }
    refused(place.ledger.halt(&acme, "maria", ""), ErrorKind::InvalidInput);
}

fn a_stream_is_cut_within_half_a_second_of_a_halt_and_costs_its_reservation(place: &Place) {
    let (task, other) = (refund(&place.ledger), place.ledger.task("other", []).unwrap());
    let (cut, kept) = (stream(&task), stream(&other));
    push(&cut).unwrap();
    push(&kept).unwrap();
    place.ledger.halt(&scope("refund"), "maria", "bill").unwrap();
    push(&cut).unwrap();
    place.clock.advance(500);
    refused(push(&cut), ErrorKind::Halted);
    push(&kept).unwrap();
    assert_eq!(cents(&task), (5, 0, 0));
    assert!(matches!(cut.call().outcome(), Some(Outcome::Settled(settled)) if settled.estimated));
    assert_eq!(task.stopped().unwrap().kind(), ErrorKind::Halted);
    place.check();
}

fn a_stream_looks_again_after_the_clock_was_set_back(place: &Place) {
    let cut = stream(&refund(&place.ledger));
    push(&cut).unwrap();
    place.ledger.halt(&scope("all"), "maria", "bill").unwrap();
    place.clock.set(NOON - 3_600_000);
    refused(push(&cut), ErrorKind::Halted);
}

fn a_reserve_that_waits_ends_by_a_halt(place: &Place) {
    let task = place.task("0.05");
    let held = task.reserve(&request(5_000)).unwrap();
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| task.reserve(&request(5_000).wait_ms(600_000)));
        sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished());
        place.ledger.halt(&scope("t"), "maria", "bill").unwrap();
        refused(waiting.join().unwrap(), ErrorKind::Halted);
    });
    held.void().unwrap();
}

on_every_store! {
    no_call_starts_under_a_halt_until_it_is_undone,
    a_halt_holds_for_what_comes_later_and_for_what_observes,
    a_halt_is_listed_replaced_and_kept_from_being_forgotten,
    a_stream_is_cut_within_half_a_second_of_a_halt_and_costs_its_reservation,
    a_stream_looks_again_after_the_clock_was_set_back,
    a_reserve_that_waits_ends_by_a_halt,
}

#[test]
fn every_owner_obeys_and_the_entries_say_who_and_why() {
    let place = Place::sqlite();
    let clock = ManualClock::at(NOON);
    let other = open(place.ledger.name(), &clock).unwrap();
    let task = refund(&other);
    spend(&task, 1).unwrap();
    let streaming = stream(&task);
    push(&streaming).unwrap();
    assert_eq!(place.ledger.halt(&scope("tenant=acme"), "maria", "bill").unwrap(), 1);
    refused(spend(&task, 1), ErrorKind::Halted);
    clock.advance(500);
    refused(push(&streaming), ErrorKind::Halted);
    place.ledger.unhalt(&scope("tenant=acme"), "jo").unwrap();
    spend(&task, 1).unwrap();
    let named = |column: &str, kind: Kind| {
        let kind = kind as u8;
        place.sql::<String>(&format!(
            "SELECT value FROM names JOIN entries ON {column} = no WHERE kind = {kind}"
        ))
    };
    let halted = ["subject", "note", "evidence"].map(|column| named(column, Kind::Halted));
    assert_eq!(halted, ["acme", "maria", "bill"]);
    assert_eq!(["subject", "note"].map(|column| named(column, Kind::Unhalted)), ["acme", "jo"]);
}
