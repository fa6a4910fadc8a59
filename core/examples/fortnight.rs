//! Which ledger do pictures in the docs show? `cargo run --example fortnight -- FILE [DAYS]` makes it.
//!
//! Two weeks of three kinds of tasks for four tenants, with prices of the book, failures, caches and
//! retries, all from one seed: the same ledger each time, but for ids. It ends in the past.

use std::sync::Arc;

use outlay::{
    Attempt, Clock, Config, Ledger, Limit, ManualClock, Millis, Request, Result, Task, TaskOptions, Usage,
};

/// 2026-11-09T00:00:00Z, a Monday.
const BEGIN: Millis = 1_794_182_400_000;
const HOUR: u64 = 3_600_000;
/// Name, tag `agent`, model, limit in USD, calls, input tokens of the first, output tokens of each.
const KINDS: [(&str, &str, &str, &str, u64, u64, u64); 4] = [
    ("refactor module", "coder", "claude-sonnet-4-5", "5.00", 36, 14_000, 1_400),
    ("answer ticket", "support", "gpt-4o", "0.50", 7, 3_000, 500),
    ("review change", "reviewer", "gpt-5", "1.50", 10, 9_000, 1_800),
    ("extract invoice", "extractor", "gpt-4o-mini", "0.05", 3, 6_000, 400),
];
const TENANTS: [&str; 4] = ["acme", "umbrella", "initech", "globex"];

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let file = words.next().expect("a file for the ledger");
    let days = words.next().map_or(14, |days| days.parse().expect("a number of days"));
    let clock = ManualClock::at(BEGIN);
    let config = Arc::new(Config::default());
    let ledger = Ledger::open_with_clock(&format!("sqlite:{file}"), config, Clock::Manual(clock.clone()))?;
    let mut random = fastrand::Rng::with_seed(17);
    for day in 0..days {
        let weight = if day % 7 < 5 { 3 } else { 1 };
        for no in 0..8 * weight {
            let at = BEGIN + (day * 24 * HOUR) as Millis + (no * 12 * HOUR / (8 * weight)) as Millis;
            clock.set(at + 7 * HOUR as Millis); // what is running goes on: a ledger's time never goes back
            work(&ledger, &clock, &mut random, day * 100 + no)?;
            if no % 8 == 0 {
                call(&ledger.default_task()?, "gpt-4o", 20_000, 0, 2_000)?;
            }
        }
    }
    ledger.close()
}

/// One task, tried until it succeeds or has failed three times.
fn work(ledger: &Ledger, clock: &ManualClock, random: &mut fastrand::Rng, no: u64) -> Result<()> {
    let (name, agent, model, limit, calls, input, output) =
        KINDS[[0, 1, 1, 1, 2, 2, 3, 3][random.usize(..8)]];
    let tenant = TENANTS[[0, 0, 0, 1, 1, 2, 3][random.usize(..7)]];
    for attempt in 1..=3 {
        let options = TaskOptions::new(name).id(&format!("{name} {no}")).limit(Limit::usd(limit)?);
        let task = ledger.open_task(options.tag("agent", agent)?.tag("tenant", tenant)?)?;
        let fails = random.u32(..100) < 18;
        let calls = random.u64(calls / 2..=calls * 3 / 2).max(1) / if fails { 2 } else { 1 };
        let mut context = random.u64(input / 2..=input * 3 / 2);
        let mut stopped = false;
        for turn in 0..calls.max(1) {
            clock.advance(random.i64(2_000..40_000));
            let output = random.u64(output / 2..=output * 3 / 2);
            // Now and then a prompt changes at its beginning, and nothing is read from the cache.
            let cached = if turn > 0 && random.u32(..100) < 80 { context * 9 / 10 } else { 0 };
            stopped = call(&task, model, context, cached, output).is_err();
            if stopped {
                break;
            }
            context += output + random.u64(..800);
        }
        let end = match (stopped, fails) {
            (true, _) => Attempt::Stopped,
            (false, true) => Attempt::Failed,
            (false, false) => Attempt::Succeeded,
        };
        if end == Attempt::Succeeded {
            task.succeed("1")?;
            return Ok(());
        }
        task.end(end, None)?;
        if attempt == 3 || stopped {
            return Ok(());
        }
    }
    Ok(())
}

fn call(task: &Task, model: &str, context: u64, cached: u64, output: u64) -> Result<()> {
    let call = task.reserve(&Request::model(model).input_tokens(context).max_output_tokens(output * 2))?;
    call.settle(&Usage { cache_read_tokens: cached, ..Usage::tokens(context, output) })?;
    Ok(())
}
