//! Who has it open? What only several owners of one file can show, and what memory does instead.

use outlay::{Attempt, ErrorKind, Ledger, Limit, TaskOptions, Usage, ledger::Kind, ledger::flag};

use crate::fixture::{Place, cents, config, hold, refused, request, spend};

fn limited(id: &str) -> TaskOptions {
    TaskOptions::new("t").id(id).limit(Limit::usd("0.10").unwrap())
}

#[test]
fn each_ledger_in_memory_is_its_own() {
    let (one, two) = (Ledger::in_memory(), Ledger::in_memory());
    let task = one.open_task(limited("same")).unwrap();
    two.open_task(limited("same")).unwrap();
    assert_eq!(task.attempt(), 1);
}

#[test]
fn two_owners_share_one_budget() {
    let place = Place::sqlite();
    let other = place.another_owner();
    let budget = outlay::BudgetOptions::new().limit(Limit::usd("0.10").unwrap());
    place.ledger.set_budget(&budget).unwrap();
    let (here, there) = (place.task("1"), other.task("t", []).unwrap());
    spend(&here, 6).unwrap();
    refused(spend(&there, 5), ErrorKind::BudgetExceeded);
    let more = outlay::BudgetOptions::new().limit(Limit::usd("0.11").unwrap());
    other.set_budget(&more).unwrap();
    spend(&here, 5).unwrap();
    refused(spend(&there, 1), ErrorKind::BudgetExceeded);
    place.check();
}

#[test]
fn an_attempt_open_in_another_owner_is_a_conflict_until_that_owner_ends() {
    let place = Place::sqlite();
    let other = place.another_owner();
    let first = place.ledger.open_task(limited("t-1")).unwrap();
    refused(other.open_task(limited("t-1")), ErrorKind::Conflict);
    drop(first);
    let second = other.open_task(limited("t-1")).unwrap();
    assert_eq!(second.attempt(), 2);
    refused(place.ledger.open_task(limited("t-1")), ErrorKind::Conflict);
    other.close().unwrap();
    assert_eq!(place.ledger.open_task(limited("t-1")).unwrap().attempt(), 3);
}

#[test]
fn what_a_dead_owner_left_open_is_in_doubt_and_its_attempt_lost() {
    let place = Place::sqlite();
    let other = place.another_owner();
    let task = place.ledger.open_task(limited("t-1")).unwrap();
    let (call, settled) = (hold(&task, 5), hold(&task, 2));
    settled.settle(&Usage::tokens(0, 2_000)).unwrap();
    assert_eq!(other.sweep().unwrap(), 0, "it is alive");
    place.kill_first_owner();
    assert_eq!(other.sweep().unwrap(), 1);
    assert_eq!(cents(&task), (2, 0, 5));
    let word: String = place.sql("SELECT value FROM names JOIN entries ON note = no WHERE kind = 3");
    assert_eq!(word, "lost");
    let second = other.open_task(limited("t-1")).unwrap();
    assert_eq!(second.attempt(), 2);
    refused(second.reserve(&request(4_000)), ErrorKind::BudgetExceeded);
    refused(task.reserve(&request(1)), ErrorKind::Conflict); // the zombie's attempt is over
    call.settle(&Usage::tokens(0, 1_000)).unwrap(); // but what it really used is taken
    assert_eq!(place.last_flags(Kind::Settled) & flag::LATE, flag::LATE);
    assert_eq!(cents(&second), (3, 0, 0));
    spend(&second, 7).unwrap();
    place.check();
}

#[test]
fn opening_an_attempt_of_a_dead_owner_sweeps_it_first() {
    let place = Place::sqlite();
    let other = place.another_owner();
    let task = place.ledger.open_task(limited("t-1")).unwrap();
    let call = hold(&task, 5);
    place.kill_first_owner();
    let second = other.open_task(limited("t-1")).unwrap();
    assert_eq!((second.attempt(), cents(&second)), (2, (0, 0, 5)));
    call.void().unwrap();
    assert_eq!(cents(&second), (0, 0, 0));
}

#[test]
fn an_owner_that_left_a_great_many_open_is_swept_of_all() {
    let place = Place::sqlite();
    let other = place.another_owner();
    let first = place.task("1");
    // Opened one by one they would take ten thousand commits.
    let copies = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10010)
        INSERT INTO tasks SELECT no + i, randomblob(16), 0, name, parent, depth, tags, attempts, owner,
            opened_ms, observes, outcome FROM tasks, n WHERE no = 1";
    assert_eq!(place.database().execute(copies, []).unwrap(), 10_010);
    let last = place.ledger.open_task(limited("t-last")).unwrap();
    let call = hold(&last, 5);
    place.kill_first_owner();
    assert_eq!(other.open_task(limited("t-last")).unwrap().attempt(), 2);
    assert_eq!(place.sql::<i64>("SELECT count(*) FROM tasks WHERE owner = 1"), 0);
    assert_eq!(cents(&last), (0, 0, 5));
    drop((call, first));
}

#[test]
fn a_closed_owner_has_nothing_open_and_opens_nothing() {
    let place = Place::sqlite();
    let task = place.task("1");
    let call = hold(&task, 5);
    place.ledger.default_task().unwrap();
    place.ledger.close().unwrap();
    place.ledger.close().unwrap();
    let other = place.another_owner();
    assert_eq!(place.sql::<i64>("SELECT count(*) FROM calls WHERE state = 0"), 0);
    refused(place.ledger.open_task(limited("t-1")), ErrorKind::StoreUnavailable);
    refused(place.ledger.default_task(), ErrorKind::StoreUnavailable);
    call.settle(&Usage::tokens(0, 5_000)).unwrap(); // what was used is never refused
    assert_eq!(other.open_task(limited("t-1")).unwrap().attempt(), 1);
    assert_eq!(place.sql::<i64>("SELECT count(*) FROM tasks WHERE owner = 1"), 0);
    place.check();
}

#[test]
fn a_ledger_dropped_ends_its_owner() {
    let place = Place::sqlite();
    let other = place.another_owner();
    let task = other.open_task(limited("t-1")).unwrap();
    task.end(Attempt::Succeeded, None).unwrap();
    drop((task, other));
    assert_eq!(place.sql::<i64>("SELECT count(*) FROM owners WHERE ended_ms IS NULL"), 1);
    let mut owners = place.file().into_os_string();
    owners.push("-owners");
    assert_eq!(std::fs::read_dir(owners).unwrap().count(), 1);
}

#[test]
fn a_child_can_lie_under_a_task_of_another_owner() {
    let place = Place::sqlite();
    let above = place.task("0.05");
    let below = place.another_owner().open_task(TaskOptions::new("below").under(&above)).unwrap();
    spend(&below, 5).unwrap();
    refused(spend(&above, 1), ErrorKind::BudgetExceeded);
}

#[test]
fn many_can_open_a_new_file_at_once() {
    for _ in 0..5 {
        let folder = tempfile::TempDir::new().unwrap();
        let store = crate::fixture::url(&folder.path().join("deep/er/ledger.db"));
        std::thread::scope(|scope| {
            let open = || {
                Ledger::open(&store, config()).map(|ledger| ledger.task("t", []).map(|task| spend(&task, 1)))
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            for thread in threads {
                thread.join().unwrap().unwrap().unwrap().unwrap();
            }
        });
        Ledger::open(&store, config()).unwrap().check_balances().unwrap();
    }
}

#[test]
#[cfg(unix)]
fn folders_and_files_are_the_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("deep/er/ledger.db");
    let ledger = Ledger::open(&crate::fixture::url(&file), config()).unwrap();
    spend(&ledger.task("t", []).unwrap(), 1).unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let beside = |suffix: &str| {
        let mut name = file.clone().into_os_string();
        name.push(suffix);
        std::path::PathBuf::from(name)
    };
    for folder in [folder.path().join("deep"), folder.path().join("deep/er"), beside("-owners")] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    for file in [file.clone(), beside("-wal"), beside("-shm")] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}
