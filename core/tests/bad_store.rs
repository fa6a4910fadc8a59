//! What becomes of a ledger whose file is damaged, foreign, refused or out of room?
//!
//! The answer is an error of its kind, never a panic, and never a new ledger in the place of the
//! old: when the fault is gone, all that was settled is there and the ledger goes on.
#![cfg(target_os = "linux")]

#[path = "fixture/mod.rs"]
mod fixture;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use fixture::{cents, config, config_with, hold, refused, spend, url, usd};
use outlay::{
    BudgetOptions, ErrorKind, Ledger, Limit, Result, Task, TaskOptions, Usage,
    report::{By, ReportOptions},
};
use rusqlite::Connection;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

fn open(file: &Path) -> Result<Ledger> {
    Ledger::open(&url(file), config())
}

fn enter(ledger: &Ledger) -> Result<Task> {
    ledger.open_task(TaskOptions::new("t").id("t-1").limit(Limit::usd("1.00").unwrap()))
}

/// A ledger that was closed after it had settled five US cents in a hundred calls.
fn five_cents_spent(folder: &TempDir) -> PathBuf {
    let file = folder.path().join("ledger.db");
    let ledger = open(&file).unwrap();
    ledger.set_budget(&BudgetOptions::new().limit(Limit::usd("0.10").unwrap())).unwrap();
    let task = enter(&ledger).unwrap();
    spend(&task, 5).unwrap();
    for _ in 0..99 {
        spend(&task, 0).unwrap();
    }
    file
}

/// Nothing of it is lost, and the limits hold as before.
fn goes_on(file: &Path) {
    let ledger = open(file).unwrap();
    let task = enter(&ledger).unwrap();
    assert_eq!(cents(&task), (5, 0, 0));
    refused(spend(&task, 6), ErrorKind::BudgetExceeded);
    spend(&task, 5).unwrap();
    ledger.check_balances().unwrap();
}

/// Everything that can be done with a ledger; each act may fail, none may panic.
fn use_all(file: &Path) -> Vec<Result<()>> {
    let ledger = match open(file) {
        Ok(ledger) => ledger,
        Err(error) => return vec![Err(error)],
    };
    vec![
        enter(&ledger).and_then(|task| spend(&task, 1)).map(drop),
        ledger.budgets().map(drop),
        ledger.tasks(10).map(drop),
        ledger.in_doubt(10).map(drop),
        ledger.check_balances(),
        ledger.close(),
    ]
}

/// Breaks the file, sees the fault in one of its uses, mends it and goes on.
fn a_fault(kind: ErrorKind, says: &str, breaks: impl FnOnce(&Path)) {
    let folder = TempDir::new().unwrap();
    let file = five_cents_spent(&folder);
    let whole = fs::read(&file).unwrap();
    breaks(&file);
    let results = use_all(&file);
    let found = results.iter().filter_map(|result| result.as_ref().err());
    let found: Vec<_> = found.map(|error| (error.kind(), error.to_string())).collect();
    assert!(found.iter().any(|(of, text)| *of == kind && text.contains(says)), "{found:?}");
    fs::write(&file, whole).unwrap();
    goes_on(&file);
}

fn sql(file: &Path, text: &str) {
    Connection::open(file).unwrap().execute_batch(text).unwrap();
}

/// The same bytes for the same seed.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
}

#[test]
fn random_bytes_are_no_ledger() {
    a_fault(ErrorKind::Corrupt, "damaged or no ledger", |file| {
        fs::write(file, noise(1).take(20_000).collect::<Vec<_>>()).unwrap();
    });
}

#[test]
fn a_file_cut_short_is_damaged() {
    for bytes in [1, 99, 100, 4_096, 9_000] {
        a_fault(ErrorKind::Corrupt, "", |file| {
            fs::File::options().write(true).open(file).unwrap().set_len(bytes).unwrap();
        });
    }
}

#[test]
fn pages_overwritten_behind_a_whole_header_are_damage() {
    a_fault(ErrorKind::Corrupt, "damaged", |file| {
        let mut bytes = fs::read(file).unwrap();
        for (byte, noise) in bytes[4_096..].iter_mut().zip(noise(2)) {
            *byte = noise;
        }
        fs::write(file, bytes).unwrap();
    });
}

#[test]
fn single_bytes_overwritten_never_panic() {
    let folder = TempDir::new().unwrap();
    let file = five_cents_spent(&folder);
    let whole = fs::read(&file).unwrap();
    for seed in 0..200_u64 {
        let mut bytes = whole.clone();
        let at = seed as usize * 7_919 % (bytes.len() - 100) + 100;
        for (byte, noise) in bytes[at..].iter_mut().take(8).zip(noise(seed)) {
            *byte = noise;
        }
        fs::write(&file, bytes).unwrap();
        drop(use_all(&file));
        drop(fs::remove_file(folder.path().join("ledger.db-wal")));
        drop(fs::remove_file(folder.path().join("ledger.db-shm")));
    }
    fs::write(&file, whole).unwrap();
    goes_on(&file);
}

#[test]
fn a_missing_table_is_damage() {
    for table in ["meta", "owners", "names", "tasks", "budgets", "accounts", "balances", "calls", "entries"] {
        a_fault(ErrorKind::Corrupt, table, |file| sql(file, &format!("DROP TABLE {table}")));
    }
}

#[test]
fn a_missing_key_is_damage() {
    a_fault(ErrorKind::Corrupt, "a row of the ledger is missing", |file| {
        sql(file, "DELETE FROM meta WHERE key = 'hash_key'");
    });
    a_fault(ErrorKind::Corrupt, "", |file| {
        sql(file, "UPDATE meta SET value = 'short' WHERE key = 'hash_key'");
    });
    a_fault(ErrorKind::Corrupt, "a row of the ledger is missing", |file| {
        sql(file, "DELETE FROM meta WHERE key = 'version'");
    });
}

#[test]
fn rows_that_cannot_be_are_damage() {
    for change in [
        "UPDATE tasks SET attempts = -1",
        "UPDATE tasks SET id = x'00'",
        "UPDATE tasks SET tags = 'text'",
        "UPDATE accounts SET window = 'fortnight'",
        "UPDATE accounts SET hard_usd = 'much'",
        "UPDATE balances SET settled_usd = 9223372036854775807",
        "UPDATE balances SET settled_usd = 0.5",
        "UPDATE calls SET state = 1, under = x'00'",
        "UPDATE entries SET kind = 99",
        "UPDATE entries SET input_tokens = -1",
        "UPDATE entries SET usd = usd + 1",
        "UPDATE owners SET id = x'00', ended_ms = NULL",
    ] {
        let folder = TempDir::new().unwrap();
        let file = five_cents_spent(&folder);
        let whole = fs::read(&file).unwrap();
        sql(&file, change);
        let results = use_all(&file);
        let kinds: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert!(kinds.iter().any(|error| error.kind() == ErrorKind::Corrupt), "{change}: {results:?}");
        fs::write(&file, whole).unwrap();
        goes_on(&file);
    }
}

#[test]
fn a_ledger_of_a_later_version_is_left_alone() {
    a_fault(ErrorKind::Unsupported, "schema 4", |file| sql(file, "PRAGMA user_version = 4"));
}

#[test]
fn a_database_of_somebody_else_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("notes.db");
    for application in [0, 77] {
        sql(
            &file,
            &format!("CREATE TABLE IF NOT EXISTS notes (text); PRAGMA application_id = {application}"),
        );
        let before = fs::read(&file).unwrap();
        let error = refused(open(&file), ErrorKind::Corrupt);
        assert!(error.to_string().contains("not a ledger"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), before, "it was changed");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left beside it");
    }
}

#[test]
fn a_call_let_through_without_the_ledger_is_counted() {
    let folder = TempDir::new().unwrap();
    let file = five_cents_spent(&folder);
    let ledger = open(&file).unwrap();
    let task = enter(&ledger).unwrap();
    assert!(!task.summary().unwrap().to_string().contains("went through"));
    sql(&file, "CREATE TRIGGER fault BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'a fault'); END");
    refused(spend(&task, 1), ErrorKind::StoreUnavailable);
    assert_eq!(ledger.unrecorded_calls(), 0);
    ledger.set_config(Arc::new(config_with(
        r#"{"on_unavailable": "allow", "prices": {
        "house": {"input": "0", "output": "10"}}}"#,
    )));
    let through = hold(&task, 1);
    assert_eq!(through.settle(&Usage::tokens(0, 1_000)).unwrap().charge, usd("0.01"));
    drop(hold(&task, 4));
    sql(&file, "DROP TRIGGER fault");
    spend(&task, 1).unwrap();
    let summary = task.summary().unwrap();
    assert_eq!((summary.unrecorded_calls, cents(&task)), (2, (6, 0, 0)));
    let text = summary.to_string();
    assert!(
        text.ends_with("2 calls of this process went through while the ledger could not answer"),
        "{text}"
    );
}

/// Runs it without the rights of root, as no mode keeps root out.
fn without_rights(test: fn(TempDir)) {
    let run = move || {
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::process::Uid::from_raw(65_534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        test(TempDir::new().unwrap());
    };
    std::thread::spawn(run).join().unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_that_may_only_be_read_is_refused() {
    without_rights(|folder| {
        let file = five_cents_spent(&folder);
        set_mode(&file, 0o400);
        let error = refused(open(&file), ErrorKind::StoreUnavailable);
        assert!(error.to_string().contains("Permission denied"), "{error}");
        set_mode(&file, 0o600);
        goes_on(&file);
    });
}

#[test]
fn a_file_that_may_not_be_read_is_refused() {
    without_rights(|folder| {
        let file = five_cents_spent(&folder);
        set_mode(&file, 0o000);
        refused(open(&file), ErrorKind::StoreUnavailable);
        set_mode(&file, 0o600);
        goes_on(&file);
    });
}

#[test]
fn a_folder_that_may_only_be_read_is_refused() {
    without_rights(|folder| {
        let file = five_cents_spent(&folder);
        set_mode(folder.path(), 0o500);
        let there = refused(open(&file), ErrorKind::StoreUnavailable);
        let new = refused(open(&folder.path().join("new.db")), ErrorKind::StoreUnavailable);
        let deep = refused(open(&folder.path().join("deep/new.db")), ErrorKind::StoreUnavailable);
        let said = [there, new, deep].map(|error| error.to_string());
        assert!(
            said[0].contains("read-only") && said[1..].iter().all(|text| text.contains("denied")),
            "{said:?}"
        );
        set_mode(folder.path(), 0o700);
        goes_on(&file);
    });
}

/// Settles until there is no room, then makes room; nothing that was settled may be lost.
fn runs_out_of_room(folder: &Path, fill: impl FnOnce(), make_room: impl FnOnce()) {
    let file = folder.join("ledger.db");
    let ledger = open(&file).unwrap();
    let task = enter(&ledger).unwrap();
    let open_call = hold(&task, 3);
    spend(&task, 5).unwrap();
    fill();
    let refusal = (0..10_000).find_map(|_| spend(&task, 0).err());
    refused(refusal.map_or(Ok(()), Err), ErrorKind::StoreUnavailable);
    refused(open_call.settle(&Usage::tokens(0, 1_000)), ErrorKind::StoreUnavailable);
    assert_eq!(cents(&task), (5, 3, 0), "what is there can still be read");
    refused(open(&file), ErrorKind::StoreUnavailable);
    make_room();
    open_call.settle(&Usage::tokens(0, 1_000)).unwrap();
    assert_eq!(cents(&task), (6, 0, 0));
    open(&file).unwrap().check_balances().unwrap();
    drop((open_call, task, ledger));
    assert_eq!(cents(&enter(&open(&file).unwrap()).unwrap()), (6, 0, 0));
}

/// The folder with little room, in the process made for it.
const ROOM: &str = "OUTLAY_TEST_ROOM";

/// Runs this test alone in another process, started by a shell that gives it little room.
fn with_little_room(test: &str, shell: &str) -> Output {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", shell]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(ROOM, folder.path());
    command.output().unwrap()
}

fn succeeded(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_full_disk_loses_nothing() {
    if let Some(folder) = std::env::var_os(ROOM) {
        let folder = PathBuf::from(folder);
        let ballast = folder.join("ballast");
        let fill = || {
            let mut file = fs::File::create(&ballast).unwrap();
            while file.write_all(&[1; 4_096]).is_ok() {}
        };
        return runs_out_of_room(&folder, fill, || fs::remove_file(&ballast).unwrap());
    }
    let mount = r#"mount -t tmpfs -o size=1m none "$OUTLAY_TEST_ROOM" && echo mounted && exec "$0" "$@""#;
    let rights = if rustix::process::geteuid().is_root() { "-m" } else { "-Urm" };
    let shell = format!("exec unshare {rights} sh -c '{mount}' \"$0\" \"$@\"");
    let output = with_little_room("a_full_disk_loses_nothing", &shell);
    if output.stdout.starts_with(b"mounted") {
        succeeded(&output);
    } else {
        println!("skipped: no small disk can be mounted here; the next test has a bound instead");
    }
}

#[test]
fn a_bound_on_the_size_of_files_loses_nothing() {
    if let Some(folder) = std::env::var_os(ROOM) {
        let before = getrlimit(Resource::Fsize);
        let fill = || setrlimit(Resource::Fsize, Rlimit { current: Some(200_000), ..before }).unwrap();
        let make_room = || setrlimit(Resource::Fsize, before).unwrap();
        return runs_out_of_room(Path::new(&folder), fill, make_room);
    }
    // Whoever writes over the bound is killed, unless it inherits that the signal is ignored.
    let shell = r#"trap "" XFSZ; exec "$0" "$@""#;
    succeeded(&with_little_room("a_bound_on_the_size_of_files_loses_nothing", shell));
}

#[test]
fn a_task_that_lies_in_itself_is_no_endless_report() {
    let folder = TempDir::new().unwrap();
    let file = five_cents_spent(&folder);
    sql(&file, "UPDATE tasks SET parent = no");
    let options = ReportOptions::by(By::Kind);
    // Either answer is one.
    let _ = open(&file).and_then(|ledger| ledger.report(&options));
}
