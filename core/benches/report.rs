//! How long does a report take, and in how much memory? `cargo bench --bench report -- 1000000` for that
//! many calls. A file behind it is made if it is not there, kept and used again.
//!
//! The ledger is as agents leave one after thirty days: contexts that grow, caches, voids, tools, failed
//! attempts, counts of our own. Each report is made three times in a process of its own; the fastest is
//! printed, with the most memory the process ever had. The `floor` is what it costs SQLite alone to hand
//! out one column of each entry.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use outlay::{
    Attempt, BudgetOptions, Clock, Config, Ledger, Limit, ManualClock, Millis, Request, Result, Task,
    TaskOptions, Usage, Window,
    meter::Api,
    report::{By, Checkpoint, ReportOptions, WhatIfOptions},
    run::Terms,
    value::SecretKey,
};

/// Calls of one task, in one attempt or two.
const CALLS_PER_TASK: usize = 50;
/// Their commits are written together, as those of a busy process are.
const THREADS: usize = 8;
const ROUNDS: usize = 3;
/// 2026-11-01T00:00:00Z, and how long all calls take.
const BEGIN: Millis = 1_793_491_200_000;
const SPAN: Millis = 30 * 86_400_000;
const MODELS: [&str; 3] = ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"];
const NAMES: [&str; 4] = ["refund", "triage", "review", "extract"];

/// Makes a report, and tells something of it that is not zero.
type Make = fn(&Ledger) -> Result<u64>;

/// The reports, by the name that picks one.
const REPORTS: [(&str, Make); 24] = [
    ("by task", |ledger| by(ledger, By::Task)),
    ("by attempt", |ledger| by(ledger, By::Attempt)),
    ("by kind", |ledger| by(ledger, By::Kind)),
    ("by turn", |ledger| by(ledger, By::Turn)),
    ("by model", |ledger| by(ledger, By::Model)),
    ("by agent", |ledger| by(ledger, By::Agent)),
    ("by tag:tenant", |ledger| by(ledger, By::Tag("tenant".into()))),
    ("waste", |ledger| Ok(ledger.waste(None)?.settled.nanos() as u64)),
    ("tax", |ledger| Ok(ledger.tax(None)?.totals.runs)),
    ("value", |ledger| Ok(ledger.value(None)?.totals.value_nanos as u64)),
    ("kinds", |ledger| Ok(ledger.kinds(None)?.totals.runs)),
    ("observed", |ledger| Ok(1 + ledger.observed(None)?.rows.len() as u64)),
    ("meter", |ledger| Ok(ledger.meter(None)?.rows.iter().map(|row| row.calls).sum())),
    ("what-if, model", |ledger| what_if(ledger, &WhatIfOptions::model("gpt-4.1-mini"))),
    ("what-if, provider", |ledger| {
        what_if(ledger, &WhatIfOptions { provider: Some("openai".into()), ..WhatIfOptions::default() })
    }),
    ("forecast", |ledger| Ok(ledger.forecast(None)?.total.spent.nanos() as u64)),
    ("forecast by tenant", |ledger| Ok(ledger.forecast(Some(By::Tag("tenant".into())))?.rows.len() as u64)),
    ("page by task", |ledger| Ok(ledger.report_html(&ReportOptions::by(By::Task))?.len() as u64)),
    ("top", |ledger| Ok(ledger.live()?.at as u64)),
    ("tasks", |ledger| Ok(ledger.tasks(1_000)?.len() as u64)),
    ("show", |ledger| ledger.summary(&ledger.tasks(1)?[0].id).map(|summary| summary.figures.calls())),
    ("budgets", |ledger| Ok(ledger.budgets()?.len() as u64)),
    ("checkpoint", |ledger| checkpoint(ledger).map(|text| text.len() as u64)),
    ("audit", |ledger| audited(ledger, None)),
];

fn by(ledger: &Ledger, by: By) -> Result<u64> {
    Ok(ledger.report(&ReportOptions::by(by))?.totals.calls())
}

fn what_if(ledger: &Ledger, options: &WhatIfOptions) -> Result<u64> {
    Ok(ledger.what_if(options)?.totals.recorded.nanos() as u64)
}

fn checkpoint(ledger: &Ledger) -> Result<String> {
    Ok(ledger.checkpoint(&SecretKey::generate()?.to_pem())?.to_string())
}

fn audited(ledger: &Ledger, against: Option<&Checkpoint>) -> Result<u64> {
    let audit = ledger.audit(against)?;
    assert!(audit.is_sound(), "{audit}");
    Ok(audit.entries)
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [one, name, file] = words.as_slice()
        && one == "one"
    {
        return measure(name, Path::new(file));
    }
    let count = words.first().and_then(|word| word.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = words.get(1).map_or_else(|| folder.path().join("ledger.db"), Into::into);
    if !file.exists() {
        fill(&file, count)?;
    }
    let bytes = fs::metadata(&file).expect("a ledger").len();
    println!("{count} calls, {} bytes each\n", bytes / count as u64);
    println!("{:<24}{:>8}{:>8}{:>8}", "", "wall s", "CPU s", "MB");
    for name in ["floor"].into_iter().chain(REPORTS.map(|(name, _)| name)) {
        let own = std::env::current_exe().expect("this program");
        let status = Command::new(own).args(["one", name]).arg(&file).status().expect("a process");
        assert!(status.success(), "{name}");
    }
    Ok(())
}

fn open(file: &Path, clock: &ManualClock) -> Result<Ledger> {
    let (store, clock) = (format!("sqlite:{}", file.display()), Clock::Manual(clock.clone()));
    Ledger::open_with_clock(&store, Arc::new(Config::default()), clock)
}

fn measure(name: &str, file: &Path) -> Result<()> {
    let ledger = open(file, &ManualClock::at(BEGIN + SPAN))?;
    let report = REPORTS.into_iter().find(|(own, _)| *own == name).map(|(_, report)| report);
    let (mut wall, mut spent) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let (began, before) = (Instant::now(), cpu());
        match report {
            Some(report) => assert_ne!(report(&ledger)?, 0, "an empty report"),
            None => assert_ne!(floor(file), 0),
        }
        wall = wall.min(began.elapsed().as_secs_f64());
        spent = spent.min(cpu().saturating_sub(before).as_secs_f64());
    }
    println!("{name:<24}{wall:>8.3}{spent:>8.3}{:>8}", peak_mb());
    ledger.close()
}

fn floor(file: &Path) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = rusqlite::Connection::open_with_flags(file, flags).expect("a database");
    let mut statement = db.prepare("SELECT flags FROM entries ORDER BY seq").expect("a table");
    let rows = statement.query_map([], |row| row.get::<_, i64>(0)).expect("its rows");
    rows.map(|row| 1 + row.expect("a row")).sum()
}

fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The most memory this process had so far; `-` where the system does not tell.
fn peak_mb() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kb.map_or_else(|| "-".to_owned(), |kb| (kb / 1_000).to_string())
}

fn fill(file: &Path, count: usize) -> Result<()> {
    let (began, clock) = (Instant::now(), ManualClock::at(BEGIN));
    let ledger = open(file, &clock)?;
    let month = Limit::usd("1000000")?.per(Window::parse("month", None)?);
    ledger.set_budget(&BudgetOptions::new().per("tenant").limit(month))?;
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let work = || -> Result<()> {
            loop {
                let first = next.fetch_add(CALLS_PER_TASK, Ordering::Relaxed);
                if first >= count {
                    return Ok(());
                }
                clock.advance(SPAN * CALLS_PER_TASK as Millis / count.max(CALLS_PER_TASK) as Millis);
                work(&ledger, first, CALLS_PER_TASK.min(count - first))?;
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a thread that ends"))
    })?;
    ledger.close()?;
    println!("{count} calls written in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// One task; every eighth fails at first, halfway.
fn work(ledger: &Ledger, first: usize, calls: usize) -> Result<()> {
    let no = first / CALLS_PER_TASK;
    let open = || {
        let options = TaskOptions::new(NAMES[no % 4]).id(&format!("{no}"));
        let options = options.tag("tenant", &format!("tenant-{}", no % 97))?;
        ledger.open_task(options.tag("agent", &format!("agent-{}", no % 5))?)
    };
    let mut task = open()?;
    for turn in 0..calls {
        if no.is_multiple_of(8) && turn == calls / 2 {
            task.end(Attempt::Failed, None)?;
            task = open()?;
        }
        call(&task, first + turn, turn)?;
    }
    task.succeed("1")
}

fn call(task: &Task, no: usize, turn: usize) -> Result<()> {
    let (input, output) = (2_000 + 400 * turn as u64, 100 + (no % 400) as u64);
    if no.is_multiple_of(25) {
        return task.tool_call("search");
    }
    if no.is_multiple_of(2) {
        return exchange(task, no, output);
    }
    let request = Request::model(MODELS[no / 2 % 3]).input_tokens(input).max_output_tokens(500);
    let call = task.reserve(&request)?;
    if no % 99 == 1 {
        return call.void();
    }
    let cache_read_tokens = if turn > 1 && no % 5 != 1 { input * 3 / 4 } else { 0 };
    call.settle(&Usage { cache_read_tokens, ..Usage::tokens(input, output) }).map(drop)
}

/// A call of which a client saw request and answer.
fn exchange(task: &Task, no: usize, output: u64) -> Result<()> {
    let body = format!(
        r#"{{"model": "gpt-4o", "max_tokens": 500, "messages": [
            {{"role": "system", "content": "Answer with a word."}}, {{"role": "user", "content": "{no}?"}}]}}"#
    );
    let answer = format!(
        r#"{{"model": "gpt-4o", "usage": {{"prompt_tokens": 20, "completion_tokens": {output},
            "prompt_tokens_details": {{"cached_tokens": 8}}}}}}"#
    );
    task.exchange(Api::OpenAiChat, body.as_bytes(), &Terms::default())?.answered(200, &answer)
}
