//! Does any order of the threads' steps break a promise? Seeded schedulers choose the orders.
//!
//! Every lock and every wakeup of the crate is a point where the scheduler may go on with another
//! thread. A lost wakeup or a deadlock leaves nobody to go on with, which it reports; a failure
//! prints the schedule that led to it, for `shuttle::replay`.

#[path = "fixture/mod.rs"]
mod fixture;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use fixture::{Place, request};
use outlay::{
    BudgetOptions, Error, ErrorKind, Ledger, Limit, Money, Result, Task, TaskOptions, Usage, ledger::Kind,
};
use shuttle::{
    Config, FailurePersistence, Runner,
    rand::Rng as _,
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    thread,
};

const THREADS: usize = 3;
const CALLS: usize = 2;
/// What each call holds, in US cents: the budget over all tasks has room for three of the six.
const CALL_CENTS: u64 = 3;
const LIMIT: &str = "0.10";
/// How often a fault may come in the way of one act before it must have gone.
const TRIES: usize = 10_000;

/// For how many turns of the saboteur a fault lasts.
const FAULT_STEPS: usize = 20;
static FAULTS: AtomicUsize = AtomicUsize::new(0);

/// What the faults of the saboteur say.
const ANY: &str = "a fault";
const VOIDS: &str = "a fault of voids";

/// What the callers were told; the ledger must say the same.
#[derive(Default)]
struct Told {
    settled_usd: i64,
    settled_calls: i64,
    doubted_calls: i64,
    created: usize,
}

fn pause() {
    thread::yield_now();
}

/// Was it a fault of the saboteur's that may hit this act? Then the act has done nothing.
fn is_fault(error: &Error, voids: bool) -> bool {
    let text = error.to_string();
    let known = text.ends_with(ANY) || voids && text.ends_with(VOIDS);
    FAULTS.fetch_add(usize::from(known), Ordering::Relaxed);
    known && error.kind() == ErrorKind::StoreUnavailable
}

/// Repeats an act as long as the saboteur is in its way.
fn insist<R>(voids: bool, mut act: impl FnMut() -> Result<R>) -> R {
    for _ in 0..TRIES {
        match act() {
            Err(error) if is_fault(&error, voids) => pause(),
            result => return result.unwrap(),
        }
    }
    panic!("the store never answered again");
}

/// No view of the shared budget may ever be over its limit.
fn watch(ledger: &Ledger) {
    let budget = ledger.budgets().unwrap().remove(0).balance;
    let [settled, pending, in_doubt] =
        [budget.settled, budget.pending, budget.in_doubt].map(|held| held.usd());
    for part in [settled, pending, in_doubt] {
        assert!(part >= Money::ZERO, "{budget:?}");
    }
    let total = settled.nanos() + pending.nanos() + in_doubt.nanos();
    assert!(total <= Money::parse(LIMIT).unwrap().nanos(), "{budget:?}");
}

/// Reserves and ends its calls in every way there is.
fn work(task: &Task) -> Told {
    let mut told = Told::default();
    let (once, again) = (request(0).id("once"), request(CALL_CENTS * 1_000));
    for no in 0..=CALLS {
        let first = no == 0;
        let reserved = task.reserve(if first { &once } else { &again });
        watch(task.ledger());
        let call = match reserved {
            Ok(call) => call,
            Err(error) if is_fault(&error, false) => continue,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::BudgetExceeded, "{error}");
                continue;
            }
        };
        if !call.created() {
            continue;
        }
        told.created += usize::from(first);
        match shuttle::rand::thread_rng().gen_range(0..4) {
            _ if first => {
                insist(false, || call.settle(&Usage::tokens(0, 0)));
                told.settled_calls += 1;
            }
            0 => insist(true, || call.void()),
            1 => {
                // A drop that the ledger does not hear of is made up for at the end of the task.
                drop(call);
                told.doubted_calls += 1;
            }
            cents => {
                let settled = insist(false, || call.settle(&Usage::tokens(0, cents * 1_000)));
                assert_eq!(settled, insist(false, || call.settle(&Usage::tokens(0, cents * 1_000))));
                told.settled_usd += settled.charge.nanos();
                told.settled_calls += 1;
            }
        }
        watch(task.ledger());
    }
    told
}

fn race(place: Place, faults: bool) {
    let tenant = || TaskOptions::new("t").tag("tenant", "acme").unwrap();
    let shared = BudgetOptions::new().tag("tenant", "acme").unwrap().limit(Limit::usd(LIMIT).unwrap());
    place.ledger.set_budget(&shared).unwrap();
    let own = || place.ledger.open_task(tenant().limit(Limit::usd("0.06").unwrap())).unwrap();
    let tasks = [own(), own()];
    let workers: Vec<_> = (0..THREADS)
        .map(|no| {
            let task = tasks[no % tasks.len()].clone();
            thread::spawn(move || work(&task))
        })
        .collect();
    let saboteur = faults.then(|| {
        let database = place.database();
        thread::spawn(move || sabotage(&database))
    });
    let told: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    if let Some(saboteur) = saboteur {
        saboteur.join().unwrap();
    }
    for task in &tasks {
        insist(false, || task.end(outlay::Attempt::Succeeded, None));
    }
    let budget = place.ledger.budgets().unwrap().remove(0).balance;
    let sum = |part: fn(&Told) -> i64| told.iter().map(part).sum::<i64>();
    let calls = outlay::Unit::LlmCalls as usize;
    assert_eq!(budget.pending, outlay::Amounts::ZERO);
    assert_eq!(budget.settled.usd().nanos(), sum(|told| told.settled_usd));
    assert_eq!(budget.settled.0[calls], sum(|told| told.settled_calls));
    assert_eq!(budget.in_doubt.0[calls], sum(|told| told.doubted_calls));
    assert!(
        told.iter().map(|told| told.created).sum::<usize>() <= tasks.len(),
        "a named call was made twice"
    );
    watch(&place.ledger);
    place.check();
}

/// Lets transactions fail for a while: in the middle of an act, at the commit, or for one kind of
/// act only, whose neighbours in the same transaction must not hear of it.
fn sabotage(database: &rusqlite::Connection) {
    database.busy_timeout(Duration::ZERO).unwrap();
    let only_voids = format!("WHEN NEW.kind = {}", Kind::Voided as u8);
    for (table, when, text) in [("balances", "", ANY), ("entries", &only_voids, VOIDS), ("entries", "", ANY)]
    {
        let fail = format!(
            "CREATE TRIGGER fault BEFORE INSERT ON {table} {when} BEGIN SELECT RAISE(ABORT, '{text}'); END"
        );
        for sql in [fail.as_str(), "DROP TRIGGER fault"] {
            // Whoever is writing would never go on while this thread waited for it.
            let done = (0..TRIES).any(|_| database.execute_batch(sql).inspect_err(|_| pause()).is_ok());
            assert!(done, "{sql}");
            (0..FAULT_STEPS).for_each(|_| pause());
        }
    }
}

fn explore(scheduler: impl Scheduler + 'static, race: fn()) {
    let mut config = Config::new();
    // SQLite and the price book need more than the default of 32 KiB.
    config.stack_size = 0x4_0000;
    config.failure_persistence = FailurePersistence::Print;
    Runner::new(scheduler, config).run(race);
}

fn in_memory() {
    race(Place::memory(), false);
}

fn in_a_file() {
    race(Place::sqlite(), false);
}

fn in_a_file_with_faults() {
    race(Place::sqlite(), true);
}

#[test]
fn random_orders_in_memory() {
    explore(RandomScheduler::new(5_000), in_memory);
}

#[test]
fn orders_of_few_changes_in_memory() {
    explore(PctScheduler::new(3, 5_000), in_memory);
}

#[test]
fn random_orders_in_a_file() {
    explore(RandomScheduler::new(500), in_a_file);
}

#[test]
fn orders_of_few_changes_in_a_file() {
    explore(PctScheduler::new(3, 500), in_a_file);
}

#[test]
fn random_orders_in_a_file_that_fails_at_times() {
    explore(RandomScheduler::new(500), in_a_file_with_faults);
    assert!(FAULTS.load(Ordering::Relaxed) > 0, "no fault was met");
}

#[test]
fn orders_of_few_changes_in_a_file_that_fails_at_times() {
    explore(PctScheduler::new(3, 500), in_a_file_with_faults);
    assert!(FAULTS.load(Ordering::Relaxed) > 0, "no fault was met");
}
