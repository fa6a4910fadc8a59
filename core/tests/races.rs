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

use fixture::{Place, cents, spend};
use outlay::{BudgetOptions, ErrorKind, Ledger, Limit, Task, TaskOptions};

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
