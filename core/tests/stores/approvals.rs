//! Who may have more? A refused call asks, a person approves, the call is made again.

use std::sync::Arc;

use outlay::{
    Attempt, BudgetOptions, ErrorKind, Field, Id, Ledger, Limit, Task, TaskOptions, Unit, ledger::Kind,
    policy::Scope, run::OnLimit,
};

use crate::fixture::{Place, available, cents, config_with, hold, refused, request, spend, window};

// Made with `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`.
const MARIA: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINEVODQvaDxRyNIrlqMrZ4B6lYxQbLtMgMSoKRlK4vkC
-----END PRIVATE KEY-----
";
const MARIA_PUBLIC: &str = "MCowBQYDK2VwAyEAgxplQWaYJR6aOUQRbnjjTfWQIKZ7Akv6obfDnc31dEM=";
const JO: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIEiUjHVWWy3as+nLRMw6C6RCYwQ2k4dym8hIwHMbmPfm
-----END PRIVATE KEY-----
";

fn asking(id: &str, limit: &str) -> TaskOptions {
    TaskOptions::new("refund").id(id).limit(Limit::usd(limit).unwrap()).on_limit(OnLimit::Ask)
}

fn open(ledger: &Ledger) -> Task {
    ledger.open_task(asking("refund-1", "0.05")).unwrap()
}

/// The id of the request that a refused call makes.
#[track_caller]
fn asked<T: std::fmt::Debug>(result: outlay::Result<T>) -> Id {
    let error = refused(result, ErrorKind::ApprovalRequired);
    match error.field("id") {
        Some(Field::Text(id)) => id.parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn a_refused_call_asks_once_and_goes_on_when_somebody_approves(place: &Place) {
    let task = open(&place.ledger);
    spend(&task, 4).unwrap();
    let error = refused(task.reserve(&request(3_000)), ErrorKind::ApprovalRequired);
    let id: Id = asked(Err::<(), _>(error.clone()));
    let said = "task `refund` allows 0.05 USD: 0.04 spent, 0.00 pending, 0.03 requested; \
                `ID` asks for approval";
    assert_eq!(error.to_string(), said.replace("ID", &id.to_string()));
    assert_eq!(error.field("requested"), Some(&Field::Money(outlay::Money::parse("0.03").unwrap())));
    assert_eq!(cents(&task), (4, 0, 0), "it holds nothing");
    assert_eq!(asked(task.reserve(&request(2_000))), id, "a smaller call asks nothing new");
    assert_eq!(place.ledger.approvals().unwrap()[0].needed, 20_000_000);
    assert_eq!(asked(task.reserve(&request(4_000))), id);

    let open = place.ledger.approvals().unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((&*open[0].task, &*open[0].budget, open[0].unit), ("refund", "task `refund`", Unit::Usd));
    assert_eq!((open[0].limit, open[0].needed, open[0].granted), (50_000_000, 30_000_000, None));
    assert!(!place.ledger.is_approved(&id).unwrap());

    let given = place.ledger.approve(&id, "0.02", "maria", None).unwrap();
    assert_eq!(
        (given.limit, given.granted, given.by.as_deref()),
        (70_000_000, Some(20_000_000), Some("maria"))
    );
    assert!(place.ledger.is_approved(&id).unwrap());
    assert!(place.ledger.approvals().unwrap().is_empty());
    spend(&task, 3).unwrap();
    assert_ne!(asked(task.reserve(&request(1_000))), id, "what is approved is not asked again");
    place.ledger.approve(&id, "0.02", "maria", None).unwrap();
    assert_eq!(available(&task).as_deref(), Some("0.00"), "approving again changes nothing");
    refused(place.ledger.approve(&id, "0.03", "maria", None), ErrorKind::Conflict);
    place.check();
}

fn a_later_attempt_has_what_was_approved_on_top_of_what_it_declares(place: &Place) {
    let first = open(&place.ledger);
    let id = asked(first.reserve(&request(6_000)));
    first.end(Attempt::Stopped, None).unwrap();
    place.ledger.approve(&id, "0.02", "maria", None).unwrap();
    let second = open(&place.ledger);
    assert_eq!((second.attempt(), available(&second).as_deref()), (2, Some("0.07")));
    second.end(Attempt::Succeeded, None).unwrap();
    let third = place.ledger.open_task(asking("refund-1", "0.06")).unwrap();
    assert_eq!(available(&third).as_deref(), Some("0.08"));
    drop(third);
    let error = refused(place.ledger.open_task(asking("refund-1", "0.05")), ErrorKind::Conflict);
    assert!(error.to_string().contains("a hard limit of 0.06 usd, larger than 0.05"), "{error}");
}

fn the_limit_that_refused_is_raised_whatever_it_is_of(place: &Place) {
    let day = Limit::usd("0.03").unwrap().per(window("day"));
    let budget = BudgetOptions::new().tag("tenant", "acme").unwrap().limit(day);
    place.ledger.set_budget(&budget).unwrap();
    let tools = Limit::new(Unit::ToolCalls, 1).unwrap();
    let options = asking("refund-1", "0.05").tag("tenant", "acme").unwrap().limit(tools);
    let task = place.ledger.open_task(options).unwrap();
    let shared = asked(spend(&task, 5));
    task.tool_call("web").unwrap();
    let counted = asked(task.tool_call("web"));
    let asks = place.ledger.approvals().unwrap();
    let mut asks: Vec<_> = asks.iter().map(|ask| (ask.id, &*ask.budget, ask.unit, ask.needed)).collect();
    asks.sort_by_key(|ask| ask.2);
    let usd = (shared, "budget `tenant=acme`", Unit::Usd, 20_000_000);
    assert_eq!(asks, [usd, (counted, "task `refund`", Unit::ToolCalls, 1)]);
    refused(place.ledger.approve(&counted, "0.50", "maria", None), ErrorKind::InvalidInput);
    place.ledger.approve(&counted, "1", "maria", None).unwrap();
    task.tool_call("web").unwrap();
    place.ledger.approve(&shared, "0.02", "maria", None).unwrap();
    spend(&task, 5).unwrap();
    place.ledger.set_budget(&budget).unwrap();
    asked(spend(&task, 1));
    place.check();
}

fn nobody_is_asked_where_waiting_helps_or_nothing_is_enforced(place: &Place) {
    let task = open(&place.ledger);
    let held = hold(&task, 5);
    refused(task.reserve(&request(1_000)), ErrorKind::BudgetExceeded);
    held.void().unwrap();
    let watched = place.ledger.open_task(asking("refund-2", "0.01").observe()).unwrap();
    spend(&watched, 5).unwrap();
    assert!(place.ledger.approvals().unwrap().is_empty());
}

fn what_cannot_be_approved_is_refused(place: &Place) {
    let task = open(&place.ledger);
    let id = asked(task.reserve(&request(6_000)));
    for add in ["0", "-1", "lots", "9223372036.9"] {
        refused(place.ledger.approve(&id, add, "maria", None), ErrorKind::InvalidInput);
    }
    refused(place.ledger.approve(&id, "1", "", None), ErrorKind::InvalidInput);
    let unknown = Id::from_bytes([7; 16]);
    refused(place.ledger.approve(&unknown, "1", "maria", None), ErrorKind::NotFound);
    refused(place.ledger.is_approved(&unknown), ErrorKind::NotFound);
    place.ledger.halt(&Scope::All, "maria", "bill").unwrap();
    refused(place.ledger.is_approved(&id), ErrorKind::Halted);
    refused(task.reserve(&request(6_000)), ErrorKind::Halted);
}

fn with_approvers_configured_a_grant_needs_the_key_of_one(place: &Place) {
    let task = open(&place.ledger);
    let id = asked(task.reserve(&request(6_000)));
    let keys = format!(r#"{{"approvers": {{"maria": "{MARIA_PUBLIC}"}}}}"#);
    place.ledger.set_config(Arc::new(config_with(&keys)));
    for (by, key) in [("maria", None), ("maria", Some(JO)), ("jo", Some(JO)), ("maria", Some("no key"))] {
        refused(place.ledger.approve(&id, "0.05", by, key), ErrorKind::InvalidInput);
    }
    assert!(!place.ledger.is_approved(&id).unwrap());
    place.ledger.approve(&id, "0.05", "maria", Some(MARIA)).unwrap();
    assert!(place.ledger.is_approved(&id).unwrap());
}

on_every_store! {
    a_refused_call_asks_once_and_goes_on_when_somebody_approves,
    a_later_attempt_has_what_was_approved_on_top_of_what_it_declares,
    the_limit_that_refused_is_raised_whatever_it_is_of,
    nobody_is_asked_where_waiting_helps_or_nothing_is_enforced,
    what_cannot_be_approved_is_refused,
    with_approvers_configured_a_grant_needs_the_key_of_one,
}

#[test]
fn another_owner_approves_and_a_restart_forgets_nothing() {
    let place = Place::sqlite();
    let id = asked(open(&place.ledger).reserve(&request(6_000)));
    place.ledger.close().unwrap();
    let other = place.another_owner();
    other.approve(&id, "0.05", "maria", None).unwrap();
    other.close().unwrap();
    let later = place.another_owner();
    spend(&open(&later), 6).unwrap();
    let why = |kind: Kind| -> String {
        let kind = kind as u8;
        place.sql(&format!("SELECT value FROM names JOIN entries ON evidence = no WHERE kind = {kind}"))
    };
    assert_eq!([why(Kind::Verdict), why(Kind::Granted)], [id.to_string(), id.to_string()]);
    later.check_balances().unwrap();
}
