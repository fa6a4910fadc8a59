//! An operator halts all runs of one customer, and lets them go on again.
//!
//! Run it with `cargo run -q --example kill_switch`. It prints what `examples/python/kill_switch.py`
//! prints.

use outlay::{ErrorKind, Field, Ledger, Limit, Request, Result, TaskOptions, Usage, policy::Scope};

fn main() -> Result<()> {
    let ledger = Ledger::in_memory();
    step(&ledger, "acme")?;
    step(&ledger, "globex")?;
    // From a shell: outlay halt tenant=acme --by maria --reason "wrong prompt rolled out"
    let acme = Scope::parse("tenant=acme")?;
    ledger.halt(&acme, "maria", "wrong prompt rolled out")?;
    for tenant in ["acme", "globex"] {
        let Err(halted) = step(&ledger, tenant) else { continue };
        assert_eq!(halted.kind(), ErrorKind::Halted);
        let field = |name| match halted.field(name) {
            Some(Field::Text(text)) => text.as_str(),
            _ => "",
        };
        println!("{} was halted by {}: {}", field("scope"), field("by"), field("reason"));
    }
    ledger.unhalt(&acme, "maria")?;
    step(&ledger, "acme")
}

/// Stands for a run of a customer: one call of a model.
fn step(ledger: &Ledger, tenant: &str) -> Result<()> {
    let options = TaskOptions::new("refund").limit(Limit::usd("1")?).tag("tenant", tenant)?;
    let task = ledger.open_task(options)?;
    let request = Request::model("gpt-4o").input_tokens(4_000).max_output_tokens(1_000);
    task.reserve(&request)?.settle(&Usage::tokens(4_000, 500))?;
    println!("a run of {tenant} spent {}", task.balance()?.settled.usd());
    Ok(())
}
