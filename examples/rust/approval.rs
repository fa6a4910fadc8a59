//! A run that reaches its limit asks for more, and goes on once somebody has approved it.
//!
//! Run it with `cargo run -q --example approval`. It prints what `examples/python/approval.py` prints.

use outlay::{ErrorKind, Field, Ledger, Limit, Request, Result, Task, TaskOptions, Usage, run::OnLimit};

fn main() -> Result<()> {
    let ledger = Ledger::in_memory();
    let options = TaskOptions::new("refund").limit(Limit::usd("0.08")?).on_limit(OnLimit::Ask);
    let task = ledger.open_task(options)?;
    step(&task)?;
    let required = step(&task).unwrap_err();
    assert_eq!(required.kind(), ErrorKind::ApprovalRequired);
    println!("asked: {}", required.to_string().split(':').next().unwrap_or_default());

    // Elsewhere, by a person: outlay approve ID --add 0.05 --by maria
    let Some(Field::Text(id)) = required.field("id") else { return Err(required) };
    let id = id.parse()?;
    ledger.approve(&id, "0.05", "maria", None)?;
    if ledger.is_approved(&id)? {
        println!("approved: {} available", task.available()?.unwrap_or_default());
    }
    step(&task)
}

/// Stands for a step of the run: one call of a model.
fn step(task: &Task) -> Result<()> {
    let request = Request::model("gpt-4o").input_tokens(4_000).max_output_tokens(4_000);
    task.reserve(&request)?.settle(&Usage::tokens(4_000, 4_000))?;
    println!("a step was made: {} spent", task.balance()?.settled.usd());
    Ok(())
}
