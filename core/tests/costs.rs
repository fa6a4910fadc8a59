//! What runs of a kind cost is what their calls cost, and how they ended is what was said.

use std::sync::Arc;

use outlay::{
    Attempt, Clock, Config, ErrorKind, Ledger, ManualClock, Money, Request, TaskOptions, Usage,
    report::{By, KindRow, KindsReport, MarginOptions, MarginRow, SloRow},
    run::{Rates, config::Choices},
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

#[test]
fn what_runs_may_cost_is_held_against_what_they_do() {
    let (_folder, ledgers) = stores();
    for ledger in ledgers {
        assert!(ledger.slo(None).unwrap().rows.is_empty());
        let text = "[slo.extractive]\ntarget = 0.003\np95 = '0.005'\ncap = '0.0049'\nmonth = '0.01'\n\
                    [slo.unheard]\ntarget = 1\nmonth = 1";
        let config = Config::default().with(&Choices::from_toml(text).unwrap()).unwrap();
        ledger.set_config(Arc::new(config));
        run(&ledger, refund(), &["gpt-4o"], Some(Attempt::Succeeded));
        run(&ledger, refund(), &["gpt-4o", "gpt-4o"], Some(Attempt::Failed));
        run(&ledger, TaskOptions::new("payout"), &["gpt-4o"], Some(Attempt::Succeeded));
        let report = ledger.slo(None).unwrap();
        let told = |row: &SloRow| {
            let over = row.over().map(Money::decimal);
            (row.kind.clone(), row.what.name(), row.allowed.decimal(), row.runs, over, row.is_met())
        };
        let row = |kind: &str, what, allowed: &str, runs, over: Option<&str>, met| {
            (kind.to_owned(), what, allowed.to_owned(), runs, over.map(str::to_owned), met)
        };
        let expected = [
            row("extractive", "target", "0.003", Some(2), Some("0.0045"), Some(false)),
            row("extractive", "p95", "0.005", Some(2), Some("0.00"), Some(true)),
            row("extractive", "cap", "0.0049", Some(2), Some("0.0001"), Some(false)),
            row("extractive", "month", "0.01", None, Some("-0.0025"), Some(true)),
            row("unheard", "target", "1.00", Some(0), None, None),
            row("unheard", "month", "1.00", None, Some("-1.00"), Some(true)),
        ];
        assert_eq!(report.rows.iter().map(told).collect::<Vec<_>>(), expected);
        assert!(report.rows.iter().all(|row| row.month_end.is_none()), "there is no week of days");
    }
}

#[test]
fn a_month_that_goes_on_like_this_is_told_before_it_is_over() {
    let clock = ManualClock::at(1_793_491_200_000); // 2026-11-01
    let choices = Choices::from_toml("slo.refund.month = 0.05").unwrap();
    let config = Config::default().with(&choices).unwrap();
    let ledger = Ledger::open_with_clock("memory:", Arc::new(config), Clock::Manual(clock.clone())).unwrap();
    for _ in 0..15 {
        run(&ledger, TaskOptions::new("refund"), &["gpt-4o"], Some(Attempt::Succeeded));
        clock.advance(24 * 3_600_000);
    }
    let report = ledger.slo(None).unwrap();
    let month = &report.rows[0];
    assert_eq!((month.actual, month.is_met(), month.will_be_over()), (Some(usd("0.0375")), Some(true), true));
    assert!((month.month_end.unwrap().expected - 0.075).abs() < 1e-6);
    assert!(report.to_string().contains("not for long"), "{report}");
}

#[test]
fn what_may_not_be_configured_says_where() {
    for (text, said) in [
        ("[slo.refund]", "`slo.refund` has none of"),
        ("slo.refund.target = 'cheap'", "`slo.refund.target`: amount `cheap` is not a decimal number"),
        ("slo.refund.cap = -1", "`slo.refund.cap` is negative"),
        ("slo.refund.p99 = 1", "unknown field `p99`"),
        ("compute_usd_per_hour = -0.1", "`compute_usd_per_hour` is negative"),
        ("orchestration_usd_per_entry = 'x'", "`orchestration_usd_per_entry`: amount `x`"),
    ] {
        let error =
            Choices::from_toml(text).and_then(|choices| Config::default().with(&choices)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_run_costs_time_and_entries_beside_its_models() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("ledger.db").display());
    for store in ["memory:", &file] {
        let clock = ManualClock::at(1_793_491_200_000);
        let text = "compute_usd_per_hour = '0.36'\norchestration_usd_per_entry = 0.000025";
        let config = Config::default().with(&Choices::from_toml(text).unwrap()).unwrap();
        let ledger = Ledger::open_with_clock(store, Arc::new(config), Clock::Manual(clock.clone())).unwrap();
        let outer = ledger.open_task(refund()).unwrap();
        clock.advance(60_000);
        let inner = ledger.open_task(TaskOptions::new("lookup").under(&outer)).unwrap();
        let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500);
        inner.reserve(&request).unwrap().settle(&Usage::tokens(1_000, 0)).unwrap(); // 2 entries
        inner.reserve(&request).unwrap().void().unwrap(); // 2 entries
        clock.advance(30_000);
        inner.end(Attempt::Succeeded, None).unwrap();
        outer.end(Attempt::Succeeded, None).unwrap();
        run(&ledger, refund(), &["gpt-4o"], None); // 2 entries, and never over
        clock.advance(3_600_000);
        let report = ledger.kinds(None).unwrap();
        let figures = &report.rows[0].figures;
        // What runs inside a run takes no time of its own.
        assert_eq!((figures.runs, figures.runtime_ms, figures.entries), (2, 90_000, 6));
        let beside = figures.beside_models(&report.rates).unwrap();
        assert_eq!(beside, [Some(usd("0.009")), Some(usd("0.00015"))]);
        assert_eq!(report.totals.beside_models(&Rates::default()).unwrap(), [None, None]);
        let cells: Vec<&str> = "extractive 0.005 0.03 0.009 6 0.00015 0.01415".split(' ').collect();
        let table = report.to_string();
        assert!(table.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == cells), "{table}");
    }
}

#[test]
fn the_largest_loss_comes_first_and_unknown_revenue_is_not_zero() {
    let (_folder, ledgers) = stores();
    for ledger in ledgers {
        for (tenant, calls) in [("acme", 1), ("umbrella", 2), ("globex", 1), ("initech", 3)] {
            let task = TaskOptions::new("refund").tag("tenant", tenant).unwrap();
            run(&ledger, task, &vec!["gpt-4o"; calls], Some(Attempt::Succeeded));
        }
        run(&ledger, TaskOptions::new("refund"), &["gpt-4o"], Some(Attempt::Succeeded));
        let earned = "key,revenue_usd\nacme,0.01\numbrella,0.002\numbrella,0.001\nglobex,0\nhooli,5";
        let options = MarginOptions::by(By::Tag("tenant".to_owned())).revenue(earned).unwrap();
        let report = ledger.margin(&options).unwrap();
        let told = |row: &MarginRow| {
            let key = row.key.clone().unwrap_or_default();
            (key, row.spent.decimal(), row.margin().map(Money::decimal), row.margin_per_mille())
        };
        let row = |key: &str, spent: &str, margin: Option<&str>, share| {
            (key.to_owned(), spent.to_owned(), margin.map(str::to_owned), share)
        };
        let expected = [
            row("globex", "0.0025", Some("-0.0025"), None),
            row("umbrella", "0.005", Some("-0.002"), Some(-667)),
            row("acme", "0.0025", Some("0.0075"), Some(750)),
            row("hooli", "0.00", Some("5.00"), Some(1_000)),
            row("initech", "0.0075", None, None),
            row("", "0.0025", None, None),
        ];
        assert_eq!(report.rows.iter().map(told).collect::<Vec<_>>(), expected);
        assert_eq!(told(&report.totals), row("", "0.01", Some("5.003"), Some(998)));
        assert_eq!(report.unearned, usd("0.01"));
        let said = [
            "2 cost more than was earned",
            "2 without revenue spent 0.01 USD: in no margin and no total",
            "1 with revenue spent nothing: are they called that in the ledger?",
        ];
        assert_eq!(report.notes(), said);
    }
    for (text, said) in [
        ("[1]", "no column `key`"),
        ("{1}", "no JSON object"),
        (r#"{"acme": "1", "acme": "much"}"#, "the revenue of `acme`: amount `much`"),
        (r#"{"acme": "much"}"#, "the revenue of `acme`: amount `much`"),
        ("key,revenue_usd\nacme", "no CSV"),
    ] {
        let error = MarginOptions::default().revenue(text).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains(said), "{error}");
    }
    // However often a key comes, and whatever program wrote the file.
    for text in ["{\"acme\": 60, \"acme\": \"40\"}", "key,revenue_usd\nacme,60\nacme,40"] {
        for text in [text.to_owned(), format!("\u{feff}{text}")] {
            let earned = MarginOptions::default().revenue(&text).unwrap().revenue;
            assert_eq!(earned["acme"].to_string(), "100.00 USD", "{text}");
        }
    }
}
