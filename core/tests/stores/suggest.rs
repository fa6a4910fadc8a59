//! Which limits are suggested, and are they what runs used?

use std::sync::Arc;

use outlay::{
    Attempt, Config, ErrorKind, Task, TaskOptions, Unit,
    report::{Share, Since, SuggestedLimits, Suggestions},
    run::config::Choices,
};

use crate::fixture::{HOUR, NOON, Place, refused, request, spend};

fn open(place: &Place, kind: &str, id: &str) -> Task {
    place.ledger.open_task(TaskOptions::new("run").id(id).tag("kind", kind).unwrap()).unwrap()
}

fn suggest(place: &Place, since: Option<Since>) -> Suggestions {
    place.ledger.suggest_limits(None, since, Share::default()).unwrap()
}

fn amounts(of: &SuggestedLimits) -> Vec<(Unit, i64)> {
    of.limits.iter().map(|limit| (limit.unit, limit.amount)).collect()
}

/// Twenty runs of 1 to 20 cents: the third was tried twice, in the fourth a task inside spent all of it.
fn twenty(place: &Place) {
    for cents in 1..=20 {
        let id = format!("refund-{cents}");
        if cents == 3 {
            let first = open(place, "refund", &id);
            spend(&first, 1).unwrap();
            first.end(Attempt::Failed, None).unwrap();
        }
        let task = open(place, "refund", &id);
        match cents {
            3 => spend(&task, 2).unwrap(),
            4 => {
                let inside = place.ledger.open_task(TaskOptions::new("step").under(&task)).unwrap();
                spend(&inside, 4).unwrap()
            }
            _ => spend(&task, cents).unwrap(),
        };
        task.end(Attempt::Succeeded, None).unwrap();
    }
}

fn what_most_runs_used_is_suggested(place: &Place) {
    twenty(place);
    let suggested = suggest(place, None);
    let [refund] = suggested.kinds.as_slice() else { panic!("{suggested:?}") };
    assert_eq!((refund.runs, refund.attempts, refund.succeeded, refund.refused), (20, 21, 20, 2));
    let expected = [(Unit::Usd, 190_000_000), (Unit::Tokens, 19_000), (Unit::LlmCalls, 1)];
    assert_eq!(amounts(refund), expected, "one was above in money and tokens, another in calls");
    let refused_by: Vec<_> = refund.limits.iter().map(|limit| limit.refused).collect();
    assert_eq!(refused_by, [1, 1, 1]);
    assert_eq!(refund.warning().unwrap(), "20 runs that succeeded are few: the dearest may be yet to come");
}

fn what_did_not_succeed_is_only_counted(place: &Place) {
    twenty(place);
    for (id, outcome) in [("a", Attempt::Failed), ("b", Attempt::Stopped)] {
        let task = open(place, "refund", id);
        spend(&task, 90).unwrap();
        task.end(outcome, None).unwrap();
    }
    // Open, of no kind, and of one in which none succeeded.
    let still_open = open(place, "refund", "c");
    spend(&still_open, 90).unwrap();
    let plain = place.task("1");
    spend(&plain, 90).unwrap();
    plain.end(Attempt::Succeeded, None).unwrap();
    open(place, "search", "d").end(Attempt::Failed, None).unwrap();
    let suggested = suggest(place, None);
    let [refund, search] = suggested.kinds.as_slice() else { panic!("{suggested:?}") };
    assert_eq!((refund.runs, refund.succeeded, suggested.without_kind), (22, 20, 1));
    assert_eq!(amounts(refund)[0], (Unit::Usd, 190_000_000));
    assert_eq!((search.runs, search.succeeded, search.limits.len()), (1, 0, 0));
    let text = suggested.to_string();
    assert!(text.contains("# 1 runs have no kind") && text.contains("nothing to go by"), "{text}");
}

fn a_kind_or_a_time_may_be_asked_for(place: &Place) {
    twenty(place);
    place.clock.set(NOON + HOUR);
    let task = open(place, "search", "a");
    // Held, and never settled: in doubt at its worst case, which counts as used.
    drop(task.reserve(&request(2_000)).unwrap());
    task.end(Attempt::Succeeded, None).unwrap();
    let later = suggest(place, Some(Since::At(NOON + HOUR)));
    assert_eq!(later.kinds.iter().map(|kind| kind.kind.as_str()).collect::<Vec<_>>(), ["search"]);
    assert_eq!(amounts(&later.kinds[0])[0], (Unit::Usd, 20_000_000));
    let ask = |kind, since| place.ledger.suggest_limits(Some(kind), since, Share::default());
    assert_eq!(ask("refund", None).unwrap().kinds[0].runs, 20);
    refused(ask("refund", Some(Since::At(NOON + HOUR))), ErrorKind::InvalidInput);
    refused(ask("nobody", None), ErrorKind::InvalidInput);
    refused(Share::per_cent(0), ErrorKind::InvalidInput);
}

fn what_is_printed_can_be_configured(place: &Place) {
    twenty(place);
    let odd = open(place, "two words.\"quoted\"", "odd");
    odd.tool_call("web").unwrap();
    odd.end(Attempt::Succeeded, None).unwrap();
    let text = suggest(place, None).to_string();
    let config = place.ledger.config().as_ref().clone().with(&Choices::from_toml(&text).unwrap()).unwrap();
    place.ledger.set_config(Arc::<Config>::new(config));
    let task = open(place, "refund", "new");
    let state = place.ledger.find_task(&task.id().to_string()).unwrap();
    let limits: Vec<_> = state.limits.iter().map(|limit| (limit.unit, limit.amount, limit.hard)).collect();
    let expected = [(Unit::Usd, 190_000_000, true), (Unit::Tokens, 19_000, true), (Unit::LlmCalls, 1, true)];
    assert_eq!(limits, expected, "{text}");
    let odd = open(place, "two words.\"quoted\"", "odd again");
    odd.tool_call("web").unwrap();
    refused(odd.tool_call("web"), ErrorKind::BudgetExceeded);
}

on_every_store![
    what_most_runs_used_is_suggested,
    what_did_not_succeed_is_only_counted,
    a_kind_or_a_time_may_be_asked_for,
    what_is_printed_can_be_configured,
];
