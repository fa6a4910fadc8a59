//! Do racing calls ever spend more than the cap, or less than they could?

#[path = "fixture/mod.rs"]
mod fixture;

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use fixture::{Place, cents, request, spend, usd};
use outlay::{
    Attempt, BudgetOptions, ErrorKind, Ledger, Limit, Task, TaskOptions, Usage, run::config::Choices,
};

const THREADS: usize = 64;
const CAP: &str = "1.00";
/// What each call holds and charges, in US cents: twenty fill the cap.
const CALL_CENTS: u64 = 5;

/// Lets every thread call at once, over and over until it is refused; counts the calls made.
fn race(tasks: &[Task]) -> usize {
    let made = AtomicUsize::new(0);
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for no in 0..THREADS {
            let (task, made, start) = (&tasks[no % tasks.len()], &made, &start);
            scope.spawn(move || {
                start.wait();
                loop {
                    match spend(task, CALL_CENTS) {
                        Ok(_) => made.fetch_add(1, Ordering::Relaxed),
                        Err(error) => break assert_eq!(error.kind(), ErrorKind::BudgetExceeded, "{error}"),
                    };
                    assert!(made.load(Ordering::Relaxed) <= THREADS, "the cap does not hold");
                }
            });
        }
    });
    made.into_inner()
}

fn one_task(place: &Place) {
    let task = place.task(CAP);
    let made = race(std::slice::from_ref(&task));
    assert_eq!(made, 20);
    assert_eq!(cents(&task), (100, 0, 0));
    place.check();
}

#[test]
fn sixty_four_threads_make_exactly_twenty_calls_in_memory() {
    one_task(&Place::memory());
}

#[test]
fn sixty_four_threads_make_exactly_twenty_calls_in_a_file() {
    one_task(&Place::sqlite());
}

/// A ledger in which the limit of each task comes from its kind.
fn of_kind(ledger: &Ledger) {
    let kinds = format!(r#"{{"kinds": {{"refund": {{"usd": "{CAP}"}}}}}}"#);
    let choices = Choices::from_json(&kinds).unwrap();
    ledger.set_config(ledger.config().as_ref().clone().with(&choices).unwrap().into());
}

fn refund() -> TaskOptions {
    TaskOptions::new("refund").tag("kind", "refund").unwrap()
}

#[test]
fn sixty_four_threads_keep_the_limit_of_a_kind() {
    for place in [Place::memory(), Place::sqlite()] {
        of_kind(&place.ledger);
        let tasks = [place.ledger.open_task(refund()).unwrap(), place.ledger.open_task(refund()).unwrap()];
        assert_eq!(race(&tasks), 40, "each has its own");
        assert_eq!([cents(&tasks[0]), cents(&tasks[1])], [(100, 0, 0); 2]);
        place.check();
    }
}

/// One task entered by id from two owners, whichever is first: of both together.
#[test]
fn owners_that_take_turns_at_a_task_keep_the_limit_of_its_kind_together() {
    let place = Place::sqlite();
    let other = place.another_owner();
    let ledgers = [&place.ledger, &other];
    ledgers.into_iter().for_each(of_kind);
    let made = AtomicUsize::new(0);
    let start = Barrier::new(ledgers.len());
    thread::scope(|scope| {
        for ledger in ledgers {
            let (made, start) = (&made, &start);
            scope.spawn(move || {
                start.wait();
                loop {
                    let task = match ledger.open_task(refund().id("refund-4711")) {
                        Ok(task) => task,
                        // The other one has it.
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                            thread::yield_now();
                            continue;
                        }
                    };
                    let call = spend(&task, CALL_CENTS);
                    task.end(Attempt::Failed, None).unwrap();
                    match call {
                        Ok(_) => made.fetch_add(1, Ordering::Relaxed),
                        Err(error) => break assert_eq!(error.kind(), ErrorKind::BudgetExceeded, "{error}"),
                    };
                }
            });
        }
    });
    assert_eq!(made.into_inner(), 20);
    place.check();
}

#[test]
fn two_owners_of_one_file_make_exactly_twenty_calls_together() {
    let place = Place::sqlite();
    let other = place.another_owner();
    let shared = BudgetOptions::new().tag("tenant", "acme").unwrap().limit(Limit::usd(CAP).unwrap());
    place.ledger.set_budget(&shared).unwrap();
    let open =
        |ledger: &Ledger| ledger.open_task(TaskOptions::new("t").tag("tenant", "acme").unwrap()).unwrap();
    let tasks = [open(&place.ledger), open(&other)];
    assert_eq!(race(&tasks), 20);
    let spent: i64 = tasks.iter().map(|task| cents(task).0).sum();
    assert_eq!(spent, 100);
    place.check();
}

/// Many tasks that race for one budget, each with its last call put by.
fn last_calls_are_paid(ledgers: &[&Ledger], place: &Place) {
    let budget = BudgetOptions::new().tag("tenant", "acme").unwrap().limit(Limit::usd(CAP).unwrap());
    place.ledger.set_budget(&budget).unwrap();
    let open = |no: usize| {
        let options = TaskOptions::new("t").tag("tenant", "acme").unwrap();
        ledgers[no % ledgers.len()].open_task(options.wrap_up(usd("0.05"))).unwrap()
    };
    let tasks: Vec<Task> = (0..8).map(open).collect();
    // Forty of a hundred cents are put by: twelve calls are left for all.
    assert_eq!(race(&tasks), 12);
    let made = AtomicUsize::new(0);
    thread::scope(|scope| {
        // Several threads of one task make its last call at once: one of them can.
        for no in 0..THREADS {
            let (task, made) = (&tasks[no % tasks.len()], &made);
            scope.spawn(move || match task.reserve(&request(CALL_CENTS * 1_000).last()) {
                Ok(call) => {
                    call.settle(&Usage::tokens(0, CALL_CENTS * 1_000)).unwrap();
                    made.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::BudgetExceeded, "{error}"),
            });
        }
    });
    assert_eq!(made.into_inner(), tasks.len());
    let spent: i64 = tasks.iter().map(|task| cents(task).0).sum();
    assert_eq!(spent, 100);
    place.check();
}

#[test]
fn every_last_call_that_was_put_by_is_made_in_memory() {
    let place = Place::memory();
    last_calls_are_paid(&[&place.ledger], &place);
}

#[test]
fn every_last_call_that_was_put_by_is_made_by_two_owners_of_one_file() {
    let place = Place::sqlite();
    let other = place.another_owner();
    last_calls_are_paid(&[&place.ledger, &other], &place);
}
