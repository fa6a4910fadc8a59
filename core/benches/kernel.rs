//! The rows of the performance table: `cargo bench -p outlay --bench kernel`.
//!
//! CPU rows are thread time, median of rounds; rows with a file are wall time. Nothing is
//! asserted: machines differ, and the figures are for reading.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use outlay::{
    Config, Ledger, Limit, Request, Unit, Usage,
    meter::{PriceBook, tokens},
    policy::{
        Amounts, Window,
        budget::{Ask, Balance, Output, View, decide},
        limit::Ceiling,
    },
};

const ROUNDS: usize = 31;

fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Nanoseconds of CPU per repetition, median of rounds.
fn median_ns(repetitions: u32, mut act: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = cpu();
            (0..repetitions).for_each(|_| act());
            cpu().saturating_sub(start).as_nanos() as f64 / f64::from(repetitions)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn row(what: &str, measured: f64, unit: &str, bar: &str) {
    println!("{what:<44}{measured:>12.1} {unit:<6}bar {bar}");
}

/// Four accounts of three limits each: decide, hold, release, settle.
fn balances() -> f64 {
    let ceiling = Ceiling { hard: [Some(1 << 60), Some(1 << 60), Some(1 << 60), None], ..Ceiling::default() };
    let mut held = [Balance::default(); 4];
    let ask = Ask {
        fixed_pico: 2_500_000_000,
        output_pico: 10_000_000,
        input_tokens: 1_000,
        choices: 1,
        output: Output::Exactly(500),
        llm_calls: 1,
        tool_calls: 0,
    };
    let used = Amounts([7_500_000, 1_500, 1, 0]);
    median_ns(20_000, || {
        let window = &Window::Life;
        let view =
            |balance: Balance| View { label: "task", ceiling: &ceiling, window, balance, deadline: None };
        let views = [view(held[0]), view(held[1]), view(held[2]), view(held[3])];
        let grant = decide(std::hint::black_box(&views), &ask, 0).expect("there is room");
        for balance in &mut held {
            let pending = Balance { pending: grant.amounts, ..Balance::default() };
            let settled = Balance { pending: grant.amounts.negated(), settled: used, ..Balance::default() };
            let sum = balance.checked_add(&pending).and_then(|sum| sum.checked_add(&settled));
            *balance = sum.expect("it fits");
        }
    })
}

fn whole_call(ledger: &Ledger, repetitions: u32) -> f64 {
    let limits =
        [Limit::usd("1000000").expect("a limit"), Limit::new(Unit::Tokens, 1 << 50).expect("a limit")];
    let task = ledger.task("bench", limits).expect("a task");
    let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500);
    let usage = Usage::tokens(1_000, 500);
    median_ns(repetitions, || {
        task.reserve(&request).expect("there is room").settle(&usage).expect("it settles");
    })
}

/// Wall time of calls in a file by so many threads: calls a second, and the median of one.
fn in_file(durability: &str, threads: usize, calls: usize) -> (f64, f64) {
    let folder = tempfile::tempdir().expect("a folder");
    let choices =
        outlay::run::config::Choices { durability: Some(durability.to_owned()), ..Default::default() };
    let config = Config::default().with(&choices).expect("options");
    let store = format!("sqlite:{}", folder.path().join("bench.db").display());
    let ledger = Ledger::open(&store, Arc::new(config)).expect("a ledger");
    let task = ledger.task("bench", [Limit::usd("1000000").expect("a limit")]).expect("a task");
    let start = Instant::now();
    let work = || {
        let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500);
        let once = |_| {
            let start = Instant::now();
            let call = task.reserve(&request).expect("there is room");
            call.settle(&Usage::tokens(1_000, 500)).expect("it settles");
            start.elapsed().as_nanos() as f64 / 1_000.0
        };
        (0..calls).map(once).collect::<Vec<f64>>()
    };
    let mut taken: Vec<f64> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("it ends")).collect()
    });
    let per_second = (threads * calls) as f64 / start.elapsed().as_secs_f64();
    taken.sort_by(f64::total_cmp);
    (per_second, taken[taken.len() / 2])
}

fn count_speed() -> f64 {
    let prose = include_str!("../DESIGN.md").repeat(40);
    let _ = tokens::count(tokens::Encoding::O200k, "load");
    let ns = median_ns(1, || {
        std::hint::black_box(tokens::count(tokens::Encoding::O200k, &prose));
    });
    prose.len() as f64 * 1_000.0 / ns
}

/// Looking names up and charging, apart and together.
fn prices() {
    let book = PriceBook::bundled();
    let usage = Usage::tokens(1_000, 500);
    let find = |name: &str| book.find(Some("anthropic"), name, 0).expect("a price");
    let text = include_str!("../prices/book.txt");
    let first = median_ns(3, || {
        let book = PriceBook::unchecked(text.into()).expect("a book");
        drop(std::hint::black_box(book.find(None, "gpt-4o", 0)));
    });
    row("first use of the price book", first / 1_000.0, "us", "-");
    let mut number = 0;
    // Each a name nobody has asked for yet.
    let new = median_ns(1_000, || {
        number += 1;
        let name = format!("claude-sonnet-4-5-{:08}", 20_250_000 + number % 1_000_000);
        drop(std::hint::black_box(find(&name)));
    });
    row("find a name for the first time", new, "ns", "-");
    let name = "claude-sonnet-4-5-20250929";
    row("find a known name", median_ns(20_000, || drop(std::hint::black_box(find(name)))), "ns", "<= 200");
    let price = find(name);
    let charge = || drop(std::hint::black_box(price.charge(&usage)));
    row("price one usage", median_ns(20_000, charge), "ns", "<= 200");
    let both = || drop(std::hint::black_box(find(name).charge(&usage)));
    row("find a known name and price one usage", median_ns(20_000, both), "ns", "-");
}

fn main() {
    row("balances: reserve + settle, 4 x 3 limits", balances(), "ns", "<= 60");
    let ledger = Ledger::in_memory();
    row("whole guarded call, memory", whole_call(&ledger, 2_000), "ns", "<= 400");
    prices();
    let (_, median) = in_file("os", 1, 3_000);
    row("guarded call, SQLite, os, p50", median, "us", "<= 100");
    let (alone, _) = in_file("disk", 1, 100);
    let (together, _) = in_file("disk", 64, 100);
    // A guarded call is two entries.
    row("SQLite, disk, 64 callers", together * 2.0, "entries/s", ">= 20,000");
    row("  against one caller", together / alone, "times", ">= 20");
    row("count o200k, prose", count_speed(), "MB/s", ">= 50");
}
