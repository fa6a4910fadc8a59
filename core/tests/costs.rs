//! What runs of a kind cost is what their calls cost, and how they ended is what was said.

use std::sync::Arc;

use outlay::{
    Attempt, Config, Ledger, Money, Request, TaskOptions, Usage,
    report::{KindRow, KindsReport},
};
use tempfile::TempDir;

fn usd(text: &str) -> Money {
    Money::parse(text).unwrap()
}

fn stores() -> (TempDir, [Ledger; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let open = |store: &str| Ledger::open(store, Arc::new(Config::default())).unwrap();
    (folder, ["memory:", &file].map(open))
}

/// A run of calls of a thousand tokens of input: 0.0025 USD each with gpt-4o, 0.00015 USD with its mini.
fn run(ledger: &Ledger, options: TaskOptions, models: &[&str], end: Option<Attempt>) {
    let task = ledger.open_task(options).unwrap();
    for model in models {
        let request = Request::model(model).input_tokens(1_000).max_output_tokens(500);
        task.reserve(&request).unwrap().settle(&Usage::tokens(1_000, 0)).unwrap();
    }
    if let Some(end) = end {
        task.end(end, None).unwrap();
    } else {
        std::mem::forget(task);
    }
}

fn refund() -> TaskOptions {
    TaskOptions::new("refund").tag("kind", "extractive").unwrap()
}

type Told = (Option<String>, Option<String>, [u64; 4], String, Option<String>);

fn told(row: &KindRow) -> Told {
    let figures = &row.figures;
    let counts = [figures.runs, figures.succeeded, figures.lost, figures.mixed];
    let each = figures.usd_per_success().map(Money::decimal);
    (row.kind.clone(), row.model.clone(), counts, figures.spent.decimal(), each)
}

fn row(kind: &str, model: Option<&str>, counts: [u64; 4], spent: &str, each: Option<&str>) -> Told {
    (Some(kind.to_owned()), model.map(str::to_owned), counts, spent.to_owned(), each.map(str::to_owned))
}

#[test]
fn a_run_is_of_one_kind_and_of_the_model_it_spent_most_on() {
    let (_folder, ledgers) = stores();
    for ledger in ledgers {
        run(&ledger, refund(), &["gpt-4o"], Some(Attempt::Succeeded));
        run(&ledger, refund(), &["gpt-4o", "gpt-4o"], Some(Attempt::Failed));
        run(&ledger, refund(), &["gpt-4o-mini", "gpt-4o", "gpt-4o-mini"], Some(Attempt::Succeeded));
        run(&ledger, refund(), &["gpt-4o-mini"], Some(Attempt::Succeeded));
        run(&ledger, TaskOptions::new("payout"), &["gpt-4o-mini"], None);
        let KindsReport { rows, models, totals, .. } = ledger.kinds(None).unwrap();
        let expected = [
            row("extractive", None, [4, 3, 1, 1], "0.01045", Some("0.003483334")),
            row("payout", None, [1, 0, 0, 0], "0.00015", None),
        ];
        assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), expected);
        let expected = [
            row("extractive", Some("gpt-4o-mini"), [1, 1, 0, 0], "0.00015", Some("0.00015")),
            row("extractive", Some("gpt-4o"), [3, 2, 1, 1], "0.0103", Some("0.00515")),
            row("payout", Some("gpt-4o-mini"), [1, 0, 0, 0], "0.00015", None),
        ];
        assert_eq!(models.iter().map(told).collect::<Vec<_>>(), expected);
        let figures = &rows[0].figures;
        let quantiles = [figures.p50, figures.p95, figures.p99, figures.max];
        assert_eq!(quantiles, ["0.0025", "0.005", "0.005", "0.005"].map(usd));
        assert_eq!((totals.runs, totals.ended(), totals.spent), (5, 4, usd("0.0106")));
        assert_eq!(rows[1].figures.success_interval(), None);
    }
}

#[test]
fn a_rate_says_how_sure_it_is_and_when_it_is_made_of_too_little() {
    let ledger = Ledger::in_memory();
    for number in 0..20 {
        let few = ledger.kinds(None).unwrap();
        assert!(few.totals.is_few(), "{number}");
        let end = if number < 18 { Attempt::Succeeded } else { Attempt::Failed };
        run(&ledger, refund(), &["gpt-4o"], Some(end));
    }
    let report = ledger.kinds(None).unwrap();
    assert!(!report.totals.is_few() && report.notes().is_empty(), "{report}");
    assert_eq!(report.totals.success_per_mille(), Some(900));
    // 18 of 20, as Wilson's formula has it: 0.699 to 0.972.
    let (low, high) = report.totals.success_interval().unwrap();
    assert!((low - 0.6990).abs() < 0.0005 && (high - 0.9721).abs() < 0.0005, "{low} {high}");
    run(&ledger, TaskOptions::new("payout"), &["gpt-4o"], Some(Attempt::Succeeded));
    let notes = ledger.kinds(None).unwrap().notes();
    assert_eq!(notes, ["in 1 of 2 rows by model fewer than 20 runs have ended: too few to choose by"]);
}
