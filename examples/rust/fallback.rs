//! Short of money, a run goes on with a cheaper model that can take its calls.
//!
//! Run it with `cargo run -q --example fallback`. It prints what `examples/python/fallback.py` prints.

use outlay::{Ledger, Limit, Request, Result, TaskOptions, Usage};

/// The first cannot see such long calls, the second is another provider's.
const CHEAPER: [&str; 3] = ["gpt-3.5-turbo", "claude-haiku-4-5", "gpt-4o-mini"];

fn main() -> Result<()> {
    let options = TaskOptions::new("refund")
        .limit(Limit::usd("1.00")?)
        .limit(Limit::usd("0.20")?.soft())
        .fallback(CHEAPER)?;
    let task = Ledger::in_memory().open_task(options)?;
    for number in 1..=4 {
        let request = Request::model("gpt-4o").input_tokens(20_000).max_output_tokens(4_000);
        let call = task.reserve(&request)?;
        println!("call {number} goes to {}, at most {}", call.model(), call.reserved());
        call.settle(&Usage::tokens(20_000, 4_000))?;
    }
    println!("spent {}", task.balance()?.settled.usd());
    Ok(())
}
