//! A budget over tasks: all that run for one tenant, in every process that uses the same ledger.
//!
//! Run it with `cargo run -q --example shared_budget`. It prints what
//! `examples/python/shared_budget.py` prints.

use std::sync::Arc;

use outlay::{
    BudgetOptions, Config, Error, Field, Ledger, Limit, Request, Result, TaskOptions, Usage, Window,
    report::ReportOptions,
};

fn main() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder that is deleted again");
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let ledger = Ledger::open(&store, Arc::new(Config::default()))?;

    // Declared once, for every process; declaring it again with the same limit is no change.
    let month = Limit::usd("0.30")?.per(Window::parse("month", None)?);
    ledger.set_budget(&BudgetOptions::new().tag("tenant", "acme")?.limit(month))?;
    spend(&ledger)?;
    let by_tenant = ReportOptions { by: "tag:tenant".parse()?, since: None };
    for row in ledger.report(&by_tenant)?.rows {
        let (tenant, figures) = (row.key.unwrap_or_default(), row.figures);
        println!("tenant={tenant}: {} in {} calls", figures.spent(), figures.calls());
    }
    Ok(())
}

/// Lets two tasks use up what the tenant has.
fn spend(ledger: &Ledger) -> Result<()> {
    let task = |name: &str, usd: &str, tenant: &str| {
        ledger.open_task(TaskOptions::new(name).limit(Limit::usd(usd)?).tag("tenant", tenant)?)
    };
    let large = Request::model("gpt-4o").input_tokens(40_000).max_output_tokens(10_000);
    let small = Request::model("gpt-4o").input_tokens(16_000).max_output_tokens(2_000);

    let refund = task("refund", "0.50", "acme")?;
    // The least of what its own limit and the tenant's leave.
    println!("refund may use {}", refund.available()?.unwrap_or_default());
    let settled = refund.reserve(&large)?.settle(&Usage::tokens(40_000, 10_000))?;
    println!("refund was charged {}", settled.charge);

    let triage = task("triage", "0.50", "acme")?;
    println!("triage may use {}", triage.available()?.unwrap_or_default());
    let refusal = triage.reserve(&large).unwrap_err();
    println!(
        "triage is refused by {}: {} requested, {} of {} spent",
        shown(&refusal, "budget"),
        shown(&refusal, "requested"),
        shown(&refusal, "spent"),
        shown(&refusal, "limit"),
    );
    let settled = triage.reserve(&small)?.settle(&Usage::tokens(16_000, 1_000))?;
    println!("triage was charged {}", settled.charge);

    let other = task("refund", "1.00", "globex")?;
    println!("globex may use {}", other.available()?.unwrap_or_default());
    Ok(())
}

/// A field of a refusal, as text.
fn shown(refusal: &Error, name: &str) -> String {
    match refusal.field(name) {
        Some(Field::Text(text)) => text.clone(),
        Some(Field::Money(amount)) => amount.to_string(),
        other => format!("{other:?}"),
    }
}
