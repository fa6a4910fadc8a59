//! Does any damage to its file break a ledger?
//!
//! The input is a list of changes to a whole ledger: three bytes say where, eight what. Whatever
//! the changes: each use gives its result or an error, and comes to an end.
#![no_main]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use libfuzzer_sys::fuzz_target;
use outlay::{
    BudgetOptions, Config, Error, ErrorKind, Family, Ledger, Limit, Request, Result, TaskOptions, Usage,
};
use tempfile::TempDir;

const CHANGE: usize = 11;

/// A folder, in memory where there is such a one, with the file of a ledger that has everything.
struct Whole {
    file: PathBuf,
    bytes: Vec<u8>,
    _folder: TempDir,
}

static WHOLE: LazyLock<Whole> = LazyLock::new(|| {
    let folder = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
    let file = folder.path().join("ledger.db");
    use_all(&file).into_iter().collect::<Result<Vec<_>>>().unwrap();
    let bytes = fs::read(&file).unwrap();
    Whole { file, bytes, _folder: folder }
});

fn use_all(file: &Path) -> Vec<Result<()>> {
    let store = format!("sqlite:{}", file.display());
    let ledger = match Ledger::open(&store, Arc::new(Config::default())) {
        Ok(ledger) => ledger,
        Err(error) => return vec![Err(error)],
    };
    let limit = || Limit::usd("1").unwrap();
    let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(100);
    let budget = BudgetOptions::new()
        .tag("tenant", "acme")
        .and_then(|budget| ledger.set_budget(&budget.limit(limit())));
    let run = || {
        let options = TaskOptions::new("t").id("t-1").tag("tenant", "acme")?.limit(limit());
        let task = ledger.open_task(options)?;
        task.reserve(&request)?.settle(&Usage::tokens(1_000, 50))?;
        task.reserve(&request)?.void()?;
        task.reserve(&request)?.doubt()?;
        task.tool_call("web")?;
        task.summary().map(drop)
    };
    vec![
        budget,
        run(),
        ledger.budgets().map(drop),
        ledger.tasks(10).map(drop),
        ledger.in_doubt(10).map(drop),
        ledger.check_balances(),
        ledger.close(),
    ]
}

/// What a damaged row can come to: a fault, or a rule that what it says now breaks.
fn told(error: &Error) -> bool {
    use ErrorKind::{BudgetExceeded, Conflict, InvalidInput, NotFound, Unsupported};
    let rules = [BudgetExceeded, Conflict, InvalidInput, NotFound, Unsupported];
    error.family() == Family::Fault || rules.contains(&error.kind())
}

fuzz_target!(|input: &[u8]| {
    let whole = &*WHOLE;
    let mut bytes = whole.bytes.clone();
    for change in input.chunks_exact(CHANGE).take(64) {
        let at = change[..3].iter().fold(0, |at, byte| at << 8 | usize::from(*byte)) % (bytes.len() - 8);
        bytes[at..at + 8].copy_from_slice(&change[3..]);
    }
    fs::write(&whole.file, bytes).unwrap();
    for result in use_all(&whole.file) {
        if let Err(error) = result {
            assert!(told(&error), "{error:?}");
        }
    }
    for beside in ["-wal", "-shm"] {
        let mut name = whole.file.clone().into_os_string();
        name.push(beside);
        let _ = fs::remove_file(name);
    }
});
