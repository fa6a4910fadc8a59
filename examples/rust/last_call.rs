//! A run that reaches its limit still has the money for one last call, which says what it found.
//!
//! Run it with `cargo run -q --example last_call`. It prints what `examples/python/last_call.py` prints.

use outlay::{Field, Ledger, Limit, Money, Request, Result, Task, TaskOptions, Usage};

fn main() -> Result<()> {
    let options = TaskOptions::new("refund").limit(Limit::usd("0.20")?).wrap_up(Money::parse("0.05")?);
    let task = Ledger::in_memory().open_task(options)?;
    println!("available at the start: {}", task.available()?.unwrap_or_default());
    let refusal = loop {
        if let Err(refusal) = step(&task, false) {
            break refusal;
        }
    };
    println!("refused: {refusal}");
    step(&task, true)?;
    if let Err(refusal) = step(&task, false)
        && let Some(Field::Text(unit)) = refusal.field("unit")
    {
        println!("after the last call: {unit}");
    }
    println!("spent {}", task.balance()?.settled.usd());
    Ok(())
}

/// Stands for a step of the run: one call of a model.
fn step(task: &Task, is_last: bool) -> Result<()> {
    let most = if is_last { 2_000 } else { 4_000 };
    let request = Request::model("gpt-4o").input_tokens(4_000).max_output_tokens(most);
    let request = if is_last { request.last() } else { request };
    task.reserve(&request)?.settle(&Usage::tokens(4_000, most))?;
    let what = if is_last { "the last call" } else { "a step" };
    println!("{what} was made: {} spent", task.balance()?.settled.usd());
    Ok(())
}
