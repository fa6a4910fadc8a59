//! Is whatever somebody does to the file found, and named? And nothing else?

#[path = "fixture/mod.rs"]
mod fixture;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use fixture::{HOUR, NOON, Place as Store, hold, open, request, spend, url};
use outlay::{
    Attempt, ErrorKind, Id, Ledger, Limit, ManualClock, TaskOptions, Usage,
    ledger::{Entry, chain},
    report::{Audit, Checkpoint, Place},
    run::BudgetOptions,
    value::SecretKey,
};
use rusqlite::{Connection, params};
use tempfile::TempDir;

const ROUNDS: usize = 1_000;

/// A ledger of two processes, with everything an entry can say, and what came after its checkpoint.
struct Sample {
    folder: TempDir,
    checkpoint: Checkpoint,
    /// The last entry before the checkpoint.
    last: u64,
}

fn work(ledgers: [&Ledger; 2], clock: &ManualClock, rounds: u64) {
    for no in 0..rounds {
        let ledger = ledgers[no as usize % 2];
        let options = TaskOptions::new("refund").tag("tenant", &format!("t{}", no % 5)).unwrap();
        let task =
            ledger.open_task(options.id(&format!("refund-{no}")).limit(Limit::usd("9").unwrap())).unwrap();
        spend(&task, 1 + no).unwrap();
        let other = ledgers[(no as usize + 1) % 2].task("other", [Limit::usd("9").unwrap()]).unwrap();
        spend(&other, 2).unwrap();
        let voided = hold(&task, 3);
        voided.void().unwrap();
        if no % 3 == 0 {
            voided.settle(&Usage::tokens(0, 1_500)).unwrap(); // a correction
            task.reserve(&request(4_000)).unwrap().doubt().unwrap();
        }
        task.tool_call("search").unwrap();
        let outcome = if no % 4 == 0 { Attempt::Failed } else { Attempt::Succeeded };
        task.end(outcome, Some("as it came")).unwrap();
        clock.advance(HOUR);
    }
}

fn sample() -> (Sample, SecretKey) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("honest.db");
    let clock = ManualClock::at(NOON);
    let ledgers = [open(&url(&file), &clock).unwrap(), open(&url(&file), &clock).unwrap()];
    let day = Limit::usd("500").unwrap().per(fixture::window("day"));
    ledgers[0].set_budget(&BudgetOptions::new().per("tenant").limit(day)).unwrap();
    work([&ledgers[0], &ledgers[1]], &clock, 12);
    ledgers[1].forget("task", "refund-3").unwrap();
    let key = SecretKey::generate().unwrap();
    let checkpoint = ledgers[0].checkpoint(&key.to_pem()).unwrap();
    let last = checkpoint.entries();
    let more = ledgers[0].task("later", [Limit::usd("9").unwrap()]).unwrap();
    spend(&more, 7).unwrap();
    more.end(Attempt::Succeeded, None).unwrap();
    for ledger in ledgers {
        ledger.close().unwrap();
    }
    let text = checkpoint.to_string();
    (Sample { folder, checkpoint: text.parse().unwrap(), last }, key)
}

impl Sample {
    fn honest(&self) -> PathBuf {
        self.folder.path().join("honest.db")
    }

    /// What an audit says of a copy that somebody was at.
    fn audit(&self, tamper: impl FnOnce(&Connection)) -> Audit {
        let copy = self.folder.path().join("copy.db");
        fs::copy(self.honest(), &copy).unwrap();
        let db = Connection::open(&copy).unwrap();
        tamper(&db);
        drop(db);
        audit_of(&copy, Some(&self.checkpoint))
    }
}

fn audit_of(file: &Path, checkpoint: Option<&Checkpoint>) -> Audit {
    let ledger = open(&url(file), &ManualClock::at(NOON)).unwrap();
    let audit = ledger.audit(checkpoint).unwrap();
    ledger.close().unwrap();
    audit
}

/// xorshift64: the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Changes an entry or several before the checkpoint; tells the first bad one.
fn tamper_with_entries(db: &Connection, random: &mut Random, last: u64) -> (Place, String) {
    let row = 1 + random.below(last) as i64;
    let seq = row as u64;
    let one = Place::Entries(seq, seq);
    match random.below(8) {
        0..4 => {
            let columns = Entry::COLUMNS;
            let column = columns[random.below(columns.len() as u64) as usize];
            let bit = 1_i64 << random.below(40);
            let sql =
                format!("UPDATE entries SET {column} = ({column} | ?1) - ({column} & ?1) WHERE seq = ?2");
            assert_eq!(db.execute(&sql, params![bit, row]).unwrap(), 1);
            (one, format!("flip {column} of {seq}"))
        }
        4 => {
            let blob = ["call", "under", "proofs", "link"][random.below(4) as usize];
            let sql = format!(
                "UPDATE entries SET {blob} = CASE WHEN {blob} IS NULL THEN zeroblob(36) ELSE NULL END
                 WHERE seq = ?"
            );
            db.execute(&sql, [row]).unwrap();
            (one, format!("swap {blob} of {seq}"))
        }
        5 => {
            db.execute("DELETE FROM entries WHERE seq = ?", [row]).unwrap();
            (one, format!("delete {seq}"))
        }
        6 => {
            let other = 1 + (seq + random.below(last - 1)) % last;
            for (from, to) in [(seq, 0), (other, seq), (0, other)] {
                let sql = "UPDATE entries SET seq = ?2 WHERE seq = ?1";
                db.execute(sql, [from as i64, to as i64]).unwrap();
            }
            let first = seq.min(other);
            (Place::Entries(first, first), format!("exchange {seq} and {other}"))
        }
        _ => {
            db.execute("DELETE FROM entries WHERE seq >= ?", [row]).unwrap();
            (Place::Entries(seq, last), format!("truncate from {seq}"))
        }
    }
}

/// The places of the balances, in order.
fn balances(db: &Connection) -> Vec<(u32, i64)> {
    let mut rows = db.prepare("SELECT account, slot FROM balances ORDER BY account, slot").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

const AMOUNTS: [&str; 12] = [
    "settled_usd",
    "settled_tokens",
    "settled_llm_calls",
    "settled_tool_calls",
    "pending_usd",
    "pending_tokens",
    "pending_llm_calls",
    "pending_tool_calls",
    "in_doubt_usd",
    "in_doubt_tokens",
    "in_doubt_llm_calls",
    "in_doubt_tool_calls",
];

fn tamper_with_balances(db: &Connection, random: &mut Random) -> (Place, String) {
    let rows = balances(db);
    let index = random.below(rows.len() as u64) as usize;
    let (account, slot) = rows[index];
    let place = Place::Balance(account, slot);
    match random.below(4) {
        0 | 1 => {
            let column = AMOUNTS[random.below(12) as usize];
            let sql =
                format!("UPDATE balances SET {column} = {column} + ?3 WHERE account = ?1 AND slot = ?2");
            let by = 1_i64 << random.below(30);
            assert_eq!(db.execute(&sql, params![account, slot, by]).unwrap(), 1);
            (place, format!("{column} of {account} at {slot}"))
        }
        2 => {
            db.execute("DELETE FROM balances WHERE account = ? AND slot = ?", params![account, slot])
                .unwrap();
            (place, format!("delete the balance of {account} at {slot}"))
        }
        _ => {
            let sql = "DELETE FROM balances WHERE account > ?1 OR account = ?1 AND slot >= ?2";
            db.execute(sql, params![account, slot]).unwrap();
            (place, format!("truncate balances from {account} at {slot}"))
        }
    }
}

#[test]
fn whatever_is_done_to_a_row_is_found_and_the_first_bad_one_is_named() {
    let (sample, _) = sample();
    assert!(sample.last > 100 && sample.last < 4_096, "{}", sample.last);
    let honest = audit_of(&sample.honest(), Some(&sample.checkpoint));
    assert!(honest.is_sound(), "{honest}");
    assert_eq!((honest.checkpoint_entries, honest.erased), (Some(sample.last), 1));
    let mut random = Random(0x6f75_746c_6179);
    let mut kinds = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut done = None;
        let entries = random.below(3) > 0;
        let audit = sample.audit(|db| {
            done = Some(if entries {
                tamper_with_entries(db, &mut random, sample.last)
            } else {
                tamper_with_balances(db, &mut random)
            });
        });
        let (place, how) = done.unwrap();
        let first = audit.problems.first().unwrap_or_else(|| panic!("not found: {how}"));
        assert_eq!(first.place, place, "{how}: {audit}");
        *kinds.entry(how.split(' ').next().unwrap().to_owned()).or_insert(0) += 1;
    }
    println!("{ROUNDS} changes found and named: {kinds:?}");
}

/// Somebody who knows the format: every link and head is computed anew.
fn relink(db: &Connection) {
    let columns = Entry::COLUMNS.join(", ");
    let sql =
        format!("SELECT {columns}, call, under, proofs, link IS NOT NULL, seq FROM entries ORDER BY seq");
    let mut rows = db.prepare(&sql).unwrap();
    let mut rows = rows.query([]).unwrap();
    let mut chains: BTreeMap<u32, (u64, [u8; 32], Vec<Entry>)> = BTreeMap::new();
    while let Some(row) = rows.next().unwrap() {
        const CELLS: usize = Entry::COLUMNS.len();
        let cells: [i64; CELLS] = std::array::from_fn(|column| row.get(column).unwrap());
        let call: Option<[u8; 16]> = row.get(CELLS).unwrap();
        let under: Option<Vec<u8>> = row.get(CELLS + 1).unwrap();
        let under = under.map(|bytes| {
            let pair = |pair: &[u8]| {
                let slot = i64::from_be_bytes(pair[4..].try_into().unwrap());
                (u32::from_be_bytes(pair[..4].try_into().unwrap()), slot)
            };
            bytes.chunks(12).map(pair).collect()
        });
        let proofs: Option<Vec<u8>> = row.get(CELLS + 2).unwrap();
        let proof = |one: &[u8]| {
            (u32::from_be_bytes(one[..4].try_into().unwrap()), <[u8; 32]>::try_from(&one[4..]).unwrap())
        };
        let proofs = proofs.unwrap_or_default().chunks(36).map(proof).collect();
        let entry = Entry::of(&cells, call.map(Id::from_bytes), under, proofs).unwrap();
        let chain = chains.entry(entry.owner).or_default();
        chain.2.push(entry);
        if row.get(CELLS + 3).unwrap() {
            (chain.0, chain.1) = (chain.0 + 1, chain::link(&chain.1, &chain.2));
            chain.2.clear();
            let seq: i64 = row.get(CELLS + 4).unwrap();
            db.execute("UPDATE entries SET link = ? WHERE seq = ?", params![chain.1, seq]).unwrap();
        }
    }
    for (owner, (links, head, _)) in chains {
        db.execute("UPDATE owners SET links = ?, head = ? WHERE no = ?", params![links as i64, head, owner])
            .unwrap();
    }
}

#[test]
fn a_checkpoint_finds_what_a_forger_made_fit_again() {
    let (sample, _) = sample();
    let mut random = Random(7);
    for _ in 0..50 {
        let seq = 1 + random.below(sample.last) as i64;
        let forge = |db: &Connection| {
            db.execute("UPDATE entries SET runtime_ms = runtime_ms + 1 WHERE seq = ?", [seq]).unwrap();
            relink(db);
        };
        let audit = sample.audit(forge);
        assert_eq!(audit.problems[0].place, Place::Entries(seq as u64, seq as u64), "{audit}");
        let alone = audit_of(&sample.folder.path().join("copy.db"), None);
        assert!(alone.is_sound(), "the forger knows how: {alone}");
    }
    // An entry that opened nothing is taken out, and all behind it move up.
    let sql =
        "SELECT seq FROM entries WHERE kind = 3 AND proofs IS NULL AND link IS NOT NULL LIMIT 1 OFFSET 9";
    let mut gone = 0;
    let audit = sample.audit(|db| {
        gone = db.query_row(sql, [], |row| row.get(0)).unwrap();
        let of = "UPDATE tasks SET outcome = 0 WHERE no = (SELECT task FROM entries WHERE seq = ?)";
        db.execute(of, [gone]).unwrap();
        db.execute("DELETE FROM entries WHERE seq = ?", [gone]).unwrap();
        db.execute("UPDATE entries SET seq = -seq WHERE seq > ?", [gone]).unwrap();
        db.execute("UPDATE entries SET seq = -seq - 1 WHERE seq < 0", []).unwrap();
        relink(db);
    });
    assert_eq!(audit.problems[0].place, Place::Entries(gone as u64, gone as u64), "{audit}");
    assert!(audit_of(&sample.folder.path().join("copy.db"), None).is_sound());
}

#[test]
fn names_are_proved_or_erased() {
    let (sample, _) = sample();
    let problem = |sql: &str| {
        let audit = sample.audit(|db| db.execute_batch(sql).unwrap());
        assert_eq!(audit.problems.len(), 1, "{sql}: {audit}");
        let problem = &audit.problems[0];
        assert!(matches!(problem.place, Place::Name(_)), "{audit}");
        problem.what.clone()
    };
    let tenant = "WHERE key = 'tenant' AND value = 't1'";
    assert_eq!(problem(&format!("UPDATE names SET value = 't9' {tenant}")), "not the word its entry proves");
    let erase = format!("UPDATE names SET value = NULL, salt = NULL {tenant}");
    assert_eq!(problem(&erase), "erased, and no entry says so");
    assert_eq!(problem(&format!("DELETE FROM names {tenant}")), "missing");
    assert_eq!(problem("INSERT INTO names (key, value) VALUES ('tenant', 'x')"), "proved by no entry");
}

#[test]
fn a_task_is_what_its_entries_say() {
    let (sample, _) = sample();
    let columns = ["caller", "name", "parent", "depth", "attempts", "opened_ms", "outcome"];
    let edits = columns.map(|column| format!("UPDATE tasks SET {column} = {column} + 1 WHERE no = 3"));
    let tags = "(SELECT tags FROM tasks WHERE tags <> task.tags AND length(tags) > 0)";
    let others = [
        format!("UPDATE tasks AS task SET tags = {tags} WHERE no = 3"),
        "UPDATE tasks SET tags = x'' WHERE no = 3".to_owned(),
        "UPDATE tasks SET id = randomblob(16) WHERE no = 3".to_owned(),
        "UPDATE tasks SET depth = 'deep' WHERE no = 3".to_owned(),
        "DELETE FROM tasks WHERE no = 3".to_owned(),
    ];
    for edit in edits.into_iter().chain(others) {
        let mut changed = 0;
        let audit = sample.audit(|db| changed = db.execute(&edit, []).unwrap());
        assert_eq!(changed, 1, "{edit}");
        let places: Vec<Place> = audit.problems.iter().map(|problem| problem.place).collect();
        assert_eq!(places, [Place::Task(3)], "{edit}: {audit}");
    }
    let copied = "INSERT INTO tasks SELECT 999, randomblob(16), 0, name, parent, depth, tags, attempts, owner, \
        opened_ms, observes, outcome FROM tasks WHERE no = 3";
    let audit = sample.audit(|db| db.execute_batch(copied).unwrap());
    assert_eq!(audit.to_string(), "task 999: opened by no entry");
}

#[test]
fn a_checkpoint_that_was_edited_or_is_of_another_ledger_is_refused() {
    let (sample, key) = sample();
    let text = sample.checkpoint.to_string();
    let parsed = |text: &str| text.parse::<Checkpoint>().unwrap_err().kind();
    assert_eq!(parsed(&text.replacen("\"entries\":", "\"entries\": ", 1)), ErrorKind::Corrupt);
    assert_eq!(parsed(text.lines().next().unwrap()), ErrorKind::InvalidInput);
    assert_eq!(parsed("{}\n{}\n"), ErrorKind::InvalidInput);
    let signer = sample.checkpoint.signed_by();
    assert_eq!(signer, key.public().to_string());
    sample.checkpoint.expect_signer(&signer).unwrap();
    let other = SecretKey::generate().unwrap().public().to_string();
    assert_eq!(sample.checkpoint.expect_signer(&other).unwrap_err().kind(), ErrorKind::Conflict);

    let place = Store::sqlite();
    spend(&place.task("1"), 1).unwrap();
    let refused = place.ledger.audit(Some(&sample.checkpoint)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(Store::memory().ledger.audit(None).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn what_does_not_add_up_is_not_signed() {
    let (sample, key) = sample();
    Connection::open(sample.honest())
        .unwrap()
        .execute("UPDATE entries SET usd = 0 WHERE seq = 9", [])
        .unwrap();
    let ledger = open(&url(&sample.honest()), &ManualClock::at(NOON)).unwrap();
    assert_eq!(ledger.checkpoint(&key.to_pem()).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn many_entries_share_a_mark_and_a_bad_one_is_named_within_its_commit() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("honest.db");
    let ledger = open(&url(&file), &ManualClock::at(NOON)).unwrap();
    let task = ledger.task("t", [Limit::usd("100000").unwrap()]).unwrap();
    for _ in 0..4_500 {
        spend(&task, 1).unwrap();
    }
    let checkpoint = ledger.checkpoint(&SecretKey::generate().unwrap().to_pem()).unwrap();
    assert!(ledger.audit(Some(&checkpoint)).unwrap().is_sound());
    spend(&task, 1).unwrap();
    assert!(ledger.audit(Some(&checkpoint)).unwrap().is_sound());
    drop(task);
    ledger.close().unwrap();
    let db = Connection::open(&file).unwrap();
    db.execute("UPDATE entries SET tokens = tokens + 1 WHERE seq = 7001", []).unwrap();
    drop(db);
    let audit = audit_of(&file, Some(&checkpoint));
    assert_eq!(audit.problems[0].place, Place::Entries(7_001, 7_001), "{audit}");
}
