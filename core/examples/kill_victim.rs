//! Reserves and settles without end and prints every settle that returned, until it is killed.
//!
//! The argument is the path of a ledger file. `core/tests/kill.rs` runs and kills it.

use std::{env, error::Error, io::Write as _, sync::Arc, thread};

use outlay::{Config, Ledger, Limit, Money, Request, Result, Task, TaskOptions, Usage, run::config::Choices};

const PRICES: &str = r#"{"prices": {"house": {"input": "0", "output": "10"}}}"#;
const THREADS: u64 = 8;

fn spend_for_ever(task: &Task, thread: u64) -> Result<()> {
    for no in 0.. {
        let call = task.reserve(&Request::model("house").max_output_tokens(2_000))?;
        let id = call.id();
        let settled = call.settle(&Usage::tokens(0, 1 + (no * THREADS + thread) % 2_000))?;
        // One write of one line: a killed process leaves a whole line or none.
        let line = format!("{id} {}\n", settled.charge.nanos());
        std::io::stdout().lock().write_all(line.as_bytes()).expect("the pipe is open");
    }
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: kill_victim PATH")?;
    let config = Config::default().with(&Choices::from_json(PRICES)?)?;
    let ledger = Ledger::open(&format!("sqlite:{path}"), Arc::new(config))?;
    let options = TaskOptions::new("victim").limit(Limit::usd("1000000")?).wrap_up(Money::parse("1")?);
    let task = ledger.open_task(options)?;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|no| (no, &task))
            .map(|(no, task)| scope.spawn(move || spend_for_ever(task, no)))
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
    })?;
    Ok(())
}
