//! What can be done to a ledger afterwards, and what cannot?

use outlay::{Attempt, ErrorKind, Limit, Outcome, Request, TaskOptions, Usage, run::BudgetOptions};

use crate::fixture::{MODEL, Place, cents, hold, refused, request, spend, usd};

fn a_call_in_doubt_can_be_resolved_by_a_person(place: &Place) {
    let task = place.task("1");
    let (settled, voided) = (hold(&task, 5), hold(&task, 4));
    let ids = [settled.id(), voided.id()];
    drop((settled, voided));
    let open = place.ledger.in_doubt(10).unwrap();
    assert_eq!(
        open.iter().map(|call| (call.id, call.held)).collect::<Vec<_>>(),
        [(ids[0], usd("0.05")), (ids[1], usd("0.04"))]
    );
    assert_eq!(place.ledger.in_doubt(1).unwrap().len(), 1);
    assert_eq!(
        place.ledger.resolve(ids[0], Some(&Usage::tokens(0, 2_000).into()), "ann").unwrap(),
        usd("0.02")
    );
    assert_eq!(place.ledger.resolve(ids[1], None, "ann").unwrap(), usd("0"));
    assert_eq!((cents(&task), place.ledger.in_doubt(10).unwrap().len()), ((2, 0, 0), 0));
    if place.is_shared() {
        let by: String = place.sql(
            "SELECT group_concat(value) FROM names JOIN entries ON note = no WHERE kind IN (4, 5, 6) AND flags & 512",
        );
        assert_eq!(by, "ann,ann");
    }
    place.check();
}

fn only_what_is_in_doubt_can_be_resolved(place: &Place) {
    let task = place.task("1");
    let call = hold(&task, 5);
    refused(place.ledger.resolve(call.id(), None, "ann"), ErrorKind::Conflict);
    call.settle(&Usage::tokens(0, 1_000)).unwrap();
    refused(place.ledger.resolve(call.id(), None, "ann"), ErrorKind::Conflict);
    refused(
        place.ledger.resolve(call.id(), Some(&Usage::tokens(0, 2_000).into()), "ann"),
        ErrorKind::Conflict,
    );
    let nobody = outlay::Id::from_bytes([9; 16]);
    refused(place.ledger.resolve(nobody, None, "ann"), ErrorKind::NotFound);
    assert_eq!(call.outcome().map(|outcome| matches!(outcome, Outcome::Settled(_))), Some(true));
    assert_eq!(cents(&task), (1, 0, 0));
}

fn a_forgotten_value_is_gone_and_the_money_stays(place: &Place) {
    let task = |user: &str| place.ledger.open_task(TaskOptions::new("t").tag("user", user).unwrap()).unwrap();
    let bob = task("bob@example.com");
    spend(&bob, 5).unwrap();
    place.ledger.forget("user", "bob@example.com").unwrap();
    refused(place.ledger.forget("user", "bob@example.com"), ErrorKind::NotFound);
    refused(place.ledger.forget("user", "eve@example.com"), ErrorKind::NotFound);
    spend(&bob, 1).unwrap();
    assert_eq!(cents(&bob), (6, 0, 0));
    if place.is_shared() {
        assert_eq!(place.sql::<i64>("SELECT count(*) FROM names WHERE value LIKE '%bob@%'"), 0);
        assert_eq!(place.sql::<i64>("SELECT count(*) FROM names WHERE key = 'user' AND salt IS NULL"), 1);
        place.database().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let bytes = std::fs::read(place.file()).unwrap();
        let found = bytes.windows(15).any(|window| window == b"bob@example.com");
        assert!(!found, "the file still holds the erased value");
    }
    spend(&task("bob@example.com"), 1).unwrap();
    place.check();
}

fn a_value_with_a_budget_of_its_own_cannot_be_forgotten(place: &Place) {
    let budget = BudgetOptions::new().tag("tenant", "acme").unwrap().limit(Limit::usd("1").unwrap());
    place.ledger.set_budget(&budget).unwrap();
    refused(place.ledger.forget("tenant", "acme"), ErrorKind::Conflict);
}

fn a_forgotten_value_of_a_budget_per_value_starts_anew(place: &Place) {
    let per = BudgetOptions::new().per("user").limit(Limit::usd("0.05").unwrap());
    place.ledger.set_budget(&per).unwrap();
    let task = || place.ledger.open_task(TaskOptions::new("t").tag("user", "bob").unwrap()).unwrap();
    let before = task();
    spend(&before, 5).unwrap();
    place.ledger.forget("user", "bob").unwrap();
    // Its own task has lost the name the budget goes by, and the task's calls go on being counted.
    spend(&before, 1).unwrap();
    spend(&task(), 5).unwrap();
    refused(spend(&task(), 1), ErrorKind::BudgetExceeded);
    place.check();
}

fn names_of_models_survive_being_forgotten(place: &Place) {
    let task = place.task("1");
    let call = hold(&task, 5);
    place.ledger.forget("model", MODEL).unwrap();
    call.settle(&Usage::tokens(0, 5_000)).unwrap();
    spend(&task, 1).unwrap();
    assert_eq!(cents(&task), (6, 0, 0));
    place.check();
}

fn entries_are_added_and_never_changed(place: &Place) {
    if !place.is_shared() {
        return;
    }
    let rows = || -> Vec<String> {
        let database = place.database();
        let columns = outlay::ledger::Entry::COLUMNS.join(" || ',' || ");
        let sql = format!(
            "SELECT {columns} || hex(coalesce(call, '')) || hex(coalesce(under, '')) \
             || hex(coalesce(proofs, '')) || hex(coalesce(link, '')) FROM entries ORDER BY seq"
        );
        let mut statement = database.prepare(&sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let mut before = rows();
    let mut grown = |what: &str| {
        let now = rows();
        assert!(now.len() > before.len() && now.starts_with(&before), "{what}");
        before = now;
    };
    let task = place.ledger.open_task(TaskOptions::new("t").tag("user", "bob").unwrap()).unwrap();
    grown("a task");
    let calls: Vec<_> = (0..4).map(|_| hold(&task, 5)).collect();
    grown("reserves");
    calls[0].settle(&Usage::tokens(0, 1_000)).unwrap();
    calls[1].void().unwrap();
    calls[1].settle(&Usage::tokens(0, 1_000)).unwrap();
    calls[2].doubt().unwrap();
    calls[2].settle(&Usage::tokens(0, 9_000)).unwrap();
    grown("ends and a correction");
    place.ledger.forget("user", "bob").unwrap();
    grown("a forgotten value");
    task.end(Attempt::Failed, Some("why")).unwrap();
    grown("an end");
    refused(task.reserve(&request(1)), ErrorKind::Conflict);
    assert_eq!(rows(), before, "a refusal writes nothing");
}

fn a_changed_balance_is_found(place: &Place) {
    if !place.is_shared() {
        return;
    }
    spend(&place.task("1"), 5).unwrap();
    place.check();
    place.database().execute("UPDATE balances SET settled_usd = settled_usd - 1", []).unwrap();
    refused(place.ledger.check_balances(), ErrorKind::Corrupt);
    place.database().execute("UPDATE balances SET settled_usd = settled_usd + 1", []).unwrap();
    place.check();
    place
        .database()
        .execute("INSERT INTO balances SELECT account, 1, 1,0,0,0, 0,0,0,0, 0,0,0,0 FROM balances", [])
        .unwrap();
    refused(place.ledger.check_balances(), ErrorKind::Corrupt);
}

fn a_request_without_a_price_writes_nothing(place: &Place) {
    let task = place.task("1");
    refused(task.reserve(&Request::model("nobody-9")), ErrorKind::Unpriced);
    if place.is_shared() {
        assert_eq!(place.sql::<i64>("SELECT count(*) FROM entries WHERE kind = 4"), 0);
    }
}

on_every_store! {
    a_call_in_doubt_can_be_resolved_by_a_person,
    only_what_is_in_doubt_can_be_resolved,
    a_forgotten_value_is_gone_and_the_money_stays,
    a_value_with_a_budget_of_its_own_cannot_be_forgotten,
    a_forgotten_value_of_a_budget_per_value_starts_anew,
    names_of_models_survive_being_forgotten,
    entries_are_added_and_never_changed,
    a_changed_balance_is_found,
    a_request_without_a_price_writes_nothing,
}
