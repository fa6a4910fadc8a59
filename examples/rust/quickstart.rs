//! The explicit form: reserve before a call, settle what it used, and see what is refused.
//!
//! Run it with `cargo run -q --example quickstart`. It prints what
//! `examples/python/quickstart.py` prints.

use outlay::{Call, ErrorKind, Field, Ledger, Limit, Request, Result, Task, Usage};

const INPUT_TOKENS: u64 = 80_000;

fn main() -> Result<()> {
    // Forgets everything at the end; `Ledger::open("sqlite:PATH", ...)` keeps it.
    let task = Ledger::in_memory().task("refund", [Limit::usd("0.50")?])?;
    let request = Request::model("gpt-4o").input_tokens(INPUT_TOKENS);

    let first = task.reserve(&request.clone().max_output_tokens(16_000))?;
    make_call(&task, &first)?;

    let refusal = task.reserve(&request.clone().max_output_tokens(16_000)).unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::BudgetExceeded);
    println!("refused: {refusal}");
    let Some(&Field::Integer(fits)) = refusal.field("affordable_output_tokens") else { return Err(refusal) };
    println!("{fits} output tokens would fit");

    let second = task.reserve(&request.max_output_tokens(fits.unsigned_abs()))?;
    make_call(&task, &second)
}

/// Stands for a call of the model, which answers with far less than it might have.
fn make_call(task: &Task, call: &Call) -> Result<()> {
    let (held, most) = (call.reserved(), call.max_output_tokens());
    println!("held {held} for {}, at most {most} output tokens", call.model());
    let settled = call.settle(&Usage::tokens(INPUT_TOKENS, 1_200))?;
    println!("charged {}", settled.charge);
    let (balance, available) = (task.balance()?, task.available()?.unwrap_or_default());
    println!("spent {}, available {available}", balance.settled.usd());
    Ok(())
}
