//! Does every settle that returned survive `kill -9`, at whatever moment it comes?

#[path = "fixture/mod.rs"]
mod fixture;

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use fixture::{open, spend, url};
use outlay::{Limit, ManualClock};
use rusqlite::Connection;
use tempfile::TempDir;

const SEED: u64 = 0x6f75_746c_6179;

/// `cargo test --test kill` alone builds no examples.
fn built_victim() -> PathBuf {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "outlay", "--example", "kill_victim", "--profile", profile]);
    assert!(cargo.status().unwrap().success());
    let tests = std::env::current_exe().unwrap();
    tests.parent().and_then(Path::parent).unwrap().join("examples").join("kill_victim")
}

/// Lets it write for a while after its first settle, kills it, returns the lines it printed.
fn killed_after(mut child: Child, wait: Duration) -> String {
    let mut pipe = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    });
    thread::sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

fn number(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

type Settles = Vec<(outlay::Id, i64)>;

fn all_are_there(db: &Connection, settles: &Settles) {
    let mut found = db.prepare("SELECT used_usd FROM calls WHERE id = ? AND state = 2").unwrap();
    for (id, nanos) in settles {
        let used: i64 =
            found.query_row([id.bytes()], |row| row.get(0)).expect("a settle that returned is lost");
        assert_eq!(used, *nanos, "call {id}");
    }
}

/// Kills one owner of the file and looks at what it left; returns the settles it saw.
fn round(victim: &Path, file: &Path, wait: Duration) -> Settles {
    let child = Command::new(victim).arg(file).stdout(Stdio::piped()).spawn();
    let printed = killed_after(child.unwrap(), wait);
    let whole = printed.rfind('\n').map_or("", |end| &printed[..end]);
    let pairs = whole.lines().map(|line| line.split_once(' ').expect("an id and a charge"));
    let settles = pairs.map(|(id, nanos)| (id.parse().unwrap(), nanos.parse().unwrap())).collect();
    // Another owner goes on at once, without waiting for anything of the dead one.
    let other = open(&url(file), &ManualClock::at(fixture::NOON)).unwrap();
    let task = other.task("after", [Limit::usd("1").unwrap()]).unwrap();
    spend(&task, 1).unwrap();
    other.sweep().unwrap();
    other.check_balances().unwrap();
    let db = Connection::open(file).unwrap();
    all_are_there(&db, &settles);
    let open = "SELECT count(*) FROM calls WHERE state IN (0, 4)";
    assert_eq!(number(&db, open), 0, "open calls of a dead owner, or what it had put by");
    settles
}

#[test]
fn every_settle_that_returned_is_there_after_a_kill() {
    let rounds: u32 = std::env::var("OUTLAY_KILL_ROUNDS").map_or(30, |text| text.parse().unwrap());
    let victim = built_victim();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ledger.db");
    let (mut random, mut seen, mut rounds_with_settles) = (SEED, Vec::new(), 0);
    for _ in 0..rounds {
        // xorshift64: the moments are the same in every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let settles = round(&victim, &file, Duration::from_millis(20 + random % 400));
        rounds_with_settles += u32::from(!settles.is_empty());
        seen.extend(settles);
    }
    let audit = open(&url(&file), &ManualClock::at(fixture::NOON)).unwrap().audit(None).unwrap();
    assert!(audit.is_sound(), "after {rounds} kills: {audit}");
    let db = Connection::open(&file).unwrap();
    // Later kills took nothing from the earlier ones either.
    all_are_there(&db, &seen);
    let in_doubt = number(&db, "SELECT count(*) FROM calls WHERE state = 1");
    let entries = audit.entries;
    println!("{rounds} kills, {} settles kept, {in_doubt} calls in doubt, {entries} entries", seen.len());
    assert!(rounds_with_settles * 2 > rounds, "killed too early to prove anything");
    assert!(in_doubt > 0, "no call was in flight at any kill");
}
