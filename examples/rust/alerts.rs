//! Somebody is told when half of a budget is spent, and when all of it is.
//!
//! Run it with `cargo run -q --example alerts`. It prints what `examples/python/alerts.py` prints.

use outlay::{BudgetOptions, Ledger, Limit, Request, Result, Usage, policy::Thresholds};

fn main() -> Result<()> {
    let ledger = Ledger::in_memory();
    ledger.on_alert("print", |alert| println!("alert: {alert}"))?;
    let shares = Thresholds::parse(["50%", "100%"])?;
    ledger.set_budget(&BudgetOptions::new().limit(Limit::usd("0.10")?).alerts(shares))?;
    for name in ["refund", "invoice"] {
        let task = ledger.task(name, [])?;
        let request = Request::model("gpt-4o").input_tokens(4_000).max_output_tokens(4_000);
        task.reserve(&request)?.settle(&Usage::tokens(4_000, 4_000))?;
    }
    // Recorded once over all processes; `outlay watch` sends them to a webhook.
    let recorded = ledger.alerts(0, 10)?;
    let shares: Vec<_> = recorded.iter().map(|alert| alert.threshold.to_string()).collect();
    println!("recorded: {}", shares.join(", "));
    Ok(())
}
