//! A framework that swallows errors: what does not fit is not sent all the same.
//!
//! No model is called: the answer is made here.
//!
//! Run it with `cargo run -q --example swallowed_error`. It prints what
//! `examples/python/swallowed_error.py` prints.

use outlay::{Attempt, Ledger, Limit, Result, Task, meter::Api, run::Terms};
use serde_json::json;

/// Stands for the many frameworks that make a line of log of any error in a step.
fn framework(mut step: impl FnMut() -> Result<()>, steps: u32) -> &'static str {
    for number in 1..=steps {
        match step() {
            Ok(()) => println!("step {number}: answered"),
            Err(error) => println!("step {number}: failed ({}), going on", error.kind().code()),
        }
    }
    "done"
}

fn main() -> Result<()> {
    let task = Ledger::in_memory().task("research", [Limit::usd("0.03")?])?;
    let mut sent = 0;
    let said = framework(|| step(&task, &mut sent), 6);
    println!("the framework says: {said}");
    println!("requests sent: {sent}, spent {}", task.balance()?.settled.usd());
    if let Some(refusal) = task.stopped() {
        println!("the task was stopped: {}", refusal.kind().code());
        println!("raised: {refusal}");
        task.end(Attempt::Stopped, Some(refusal.kind().code()))?;
    }
    println!("the attempt: {}", task.summary()?.standing.name());
    Ok(())
}

/// One request, answered by nobody but this function.
fn step(task: &Task, sent: &mut u32) -> Result<()> {
    let body = json!({
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Go on with the research."}],
        "max_tokens": 1_000,
    });
    let exchange = task.exchange(Api::OpenAiChat, body.to_string().as_bytes(), &Terms::default())?;
    *sent += 1;
    let usage = json!({"prompt_tokens": 13, "completion_tokens": 900, "total_tokens": 913});
    let answer = json!({"model": "gpt-4o-2024-08-06", "usage": usage});
    exchange.answered(200, &answer.to_string())
}
