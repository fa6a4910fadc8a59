//! How long does a report take? `cargo bench --bench report -- 100000` for that many calls.

use std::{sync::Arc, time::Instant};

use outlay::{
    Config, Ledger, Request, TaskOptions, Usage,
    report::{By, ReportOptions, WhatIfOptions},
    value::SecretKey,
};

/// Calls of one task; a task each is the worst case for names, one for all the best.
const CALLS_PER_TASK: usize = 50;

fn main() {
    let count = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let ledger = Ledger::open(&store, Arc::new(Config::default())).expect("a ledger");
    let began = Instant::now();
    fill(&ledger, count).expect("a filled ledger");
    println!("{count} calls written in {:.1} s", began.elapsed().as_secs_f64());
    for by in [By::Task, By::Attempt, By::Kind, By::Turn, By::Model, By::Tag("tenant".into())] {
        let mut fastest = f64::MAX;
        for _ in 0..3 {
            let began = Instant::now();
            let report = ledger.report(&ReportOptions::by(by.clone())).expect("a report");
            fastest = fastest.min(began.elapsed().as_secs_f64());
            assert_eq!(report.totals.calls(), count as u64);
        }
        println!("report by {by} over {count} calls: {fastest:.3} s");
    }
    let mut fastest = f64::MAX;
    for _ in 0..3 {
        let began = Instant::now();
        let report = ledger.waste(None).expect("a report");
        fastest = fastest.min(began.elapsed().as_secs_f64());
        assert!(report.settled.nanos() > 0);
    }
    println!("waste over {count} calls: {fastest:.3} s");
    let began = Instant::now();
    let tax = ledger.tax(None).expect("a report");
    println!("tax over {count} calls: {:.3} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    ledger.value(None).expect("a report");
    println!("value over {count} calls: {:.3} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let kinds = ledger.kinds(None).expect("a report");
    println!("kinds over {count} calls: {:.3} s", began.elapsed().as_secs_f64());
    assert_eq!(kinds.totals.runs, tax.totals.runs);
    let began = Instant::now();
    ledger.what_if(&WhatIfOptions::model("gpt-4.1-mini")).expect("a report");
    println!("what-if over {count} calls: {:.3} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    ledger.forecast(Some(By::Tag("tenant".into()))).expect("a report");
    println!("forecast over {count} calls: {:.3} s", began.elapsed().as_secs_f64());
    assert_eq!(tax.totals.runs, count.div_ceil(CALLS_PER_TASK) as u64);
    let tasks = ledger.tasks(1).expect("a task");
    let began = Instant::now();
    ledger.summary(&tasks[0].id).expect("a summary");
    println!("summary of a task of {CALLS_PER_TASK} calls: {:.6} s", began.elapsed().as_secs_f64());
    let key = SecretKey::generate().expect("random bits").to_pem();
    let began = Instant::now();
    let checkpoint = ledger.checkpoint(&key).expect("a checkpoint");
    println!("checkpoint over {count} calls: {:.3} s", began.elapsed().as_secs_f64());
    for (what, against) in [("audit", None), ("audit against a checkpoint", Some(&checkpoint))] {
        let began = Instant::now();
        let audit = ledger.audit(against).expect("an audit");
        assert!(audit.is_sound(), "{audit}");
        println!("{what} over {count} calls: {:.3} s", began.elapsed().as_secs_f64());
    }
}

fn fill(ledger: &Ledger, count: usize) -> outlay::Result<()> {
    let models = ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"];
    for first in (0..count).step_by(CALLS_PER_TASK) {
        let tenant = format!("tenant-{}", first % 97);
        let task = ledger.open_task(TaskOptions::new("refund").tag("tenant", &tenant)?)?;
        for call in first..count.min(first + CALLS_PER_TASK) {
            let request = Request::model(models[call % 3]).input_tokens(1_000).max_output_tokens(500);
            task.reserve(&request)?.settle(&Usage::tokens(1_000, (call % 500) as u64))?;
        }
    }
    Ok(())
}
