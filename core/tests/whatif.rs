//! What would have been is what the other price list says, to the nano, and nothing is lost on the way.

mod fixture;

use fixture::{NOON, Place};
use outlay::{
    ErrorKind, Ledger, Money, Request, Task, TaskOptions, Usage,
    meter::ServiceTier,
    report::{By, RatioSource, ReportOptions, Repriced, WhatIfOptions},
};
use proptest::{collection::vec, prelude::*};

const MODELS: [&str; 4] = ["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", "local"];
const PRICES: &str = r#"{"prices": {
    "local": {"input": "1", "output": "2"},
    "ours": {"input": "2", "cache_read": "0.5", "output": "10"}
}}"#;

fn places() -> [Place; 2] {
    Place::each(NOON, PRICES)
}

fn task(ledger: &Ledger, name: &str) -> Task {
    ledger.open_task(TaskOptions::new(name)).unwrap()
}

fn spend(task: &Task, model: &str, usage: &Usage) -> Money {
    let request =
        Request::model(model).input_tokens(usage.input_tokens).max_output_tokens(usage.output_tokens);
    let call = task.reserve(&request).unwrap();
    call.settle(usage).unwrap();
    task.ledger().report(&ReportOptions::by(By::Task)).unwrap().totals.settled()
}

#[test]
fn the_same_tokenizer_is_exact_and_another_a_range() {
    for Place { ledger, .. } in places() {
        let usage = Usage { cache_read_tokens: 600, ..Usage::tokens(1_000, 500) };
        spend(&task(&ledger, "refund"), "gpt-4o", &usage);
        let mini = ledger.what_if(&WhatIfOptions::model("gpt-4o-mini")).unwrap();
        // 400 × 0.15 + 600 × 0.075 + 500 × 0.60 USD per million.
        assert_eq!(mini.totals.least, Money::from_nanos(405_000));
        assert!(mini.totals.is_exact());
        assert_eq!(mini.totals.recorded, Money::from_nanos(6_750_000));
        let claude = ledger.what_if(&WhatIfOptions::model("claude-sonnet-4-5")).unwrap();
        let ratio = claude.rows[0].ratio.unwrap();
        assert_eq!(ratio.source, RatioSource::Samples);
        assert!(claude.totals.least < claude.totals.most);
        // 400 × 3 + 600 × 0.30 + 500 × 15 USD per million, were a token a token.
        let nanos = |per_mille: u32| 8_880_000 * i64::from(per_mille) / 1_000;
        let [low, high] = [ratio.low_per_mille, ratio.high_per_mille].map(nanos);
        assert!((claude.totals.least.nanos() - low).abs() < 30_000, "{claude}");
        assert!((claude.totals.most.nanos() - high).abs() < 30_000, "{claude}");
        assert_eq!(claude.rows[0].target.as_deref(), Some("anthropic/claude-sonnet-4-5"));
        assert!(claude.notes().iter().any(|note| note.starts_with("600 tokens came from a cache")));
    }
}

#[test]
fn a_tier_and_a_provider_are_those_of_the_price_list() {
    for Place { ledger, .. } in places() {
        spend(&task(&ledger, "refund"), "gpt-4o", &Usage::tokens(1_000, 500));
        spend(&task(&ledger, "refund"), "claude-haiku-4-5", &Usage::tokens(1_000, 500));
        let batch = WhatIfOptions { tier: Some(ServiceTier::Batch), ..WhatIfOptions::default() };
        let batch = ledger.what_if(&batch).unwrap();
        let halved = batch.rows.iter().find(|row| row.model.as_deref() == Some("gpt-4o")).unwrap();
        assert_eq!(halved.figures.least, Money::from_nanos(3_750_000));
        // A discount the book does not have is not taken for the usual price.
        let flex = WhatIfOptions { tier: Some(ServiceTier::Flex), ..WhatIfOptions::default() };
        let flex = ledger.what_if(&flex).unwrap();
        assert_eq!((flex.totals.calls, flex.totals.left_out_calls), (0, 2), "{flex}");
        assert!(flex.to_string().contains("left out: 1 of gpt-4o, no price is known there"), "{flex}");
        let other = WhatIfOptions { provider: Some("openai".to_owned()), ..WhatIfOptions::default() };
        let other = ledger.what_if(&other).unwrap();
        assert_eq!(other.totals.least, Money::from_nanos(7_500_000));
        assert_eq!((other.totals.left_out_calls, other.totals.left_out), (1, Money::from_nanos(3_500_000)));
        let claude = other.rows.iter().find(|row| row.target.is_none()).unwrap();
        assert_eq!(claude.missing, [("no price is known there".to_owned(), 1)]);
        let said = "\nleft out: 1 of claude-haiku-4-5, no price is known there\n";
        assert!(other.to_string().contains(said), "{other}");
    }
}

#[test]
fn what_does_not_fit_is_left_out_and_nothing_asked_or_known_is_an_error() {
    for Place { ledger, .. } in places() {
        let own = task(&ledger, "read");
        spend(&own, "gemini-2.5-flash", &Usage::tokens(900_000, 10));
        own.tool_call("search").unwrap();
        let report = ledger.what_if(&WhatIfOptions::model("gpt-4o-mini")).unwrap();
        assert_eq!((report.totals.calls, report.totals.left_out_calls), (0, 2));
        assert!(report.totals.left_out > Money::ZERO && report.totals.most == Money::ZERO);
        let missing: Vec<_> =
            report.rows.iter().flat_map(|row| &row.missing).map(|(why, _)| why.as_str()).collect();
        assert_eq!(missing, ["they do not fit that model", "calls of tools"]);
        for (asked, kind) in [
            (WhatIfOptions::default(), ErrorKind::InvalidInput),
            (WhatIfOptions::model("gpt-nonesuch"), ErrorKind::Unpriced),
        ] {
            assert_eq!(ledger.what_if(&asked).unwrap_err().kind(), kind);
        }
    }
}

/// Which task and model, input, of it cached per mille, output, and the minutes before it.
fn call() -> impl Strategy<Value = (usize, usize, u64, u64, u64, i64)> {
    (0..3_usize, 0..4_usize, 1..50_000_u64, 0..=1_000_u64, 1..5_000_u64, 0..3_000_i64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn all_that_was_settled_is_compared_or_left_out_to_the_nano(
        calls in vec(call(), 1..20),
        target in prop_oneof![Just("gpt-4o-mini"), Just("ours"), Just("claude-opus-4-8"), Just("local")],
    ) {
        for Place { ledger, clock, .. } in places() {
            let tasks = ["refund", "triage", "refund"].map(|name| task(&ledger, name));
            let mut settled = Money::ZERO;
            for (at, model, input, cached, output, minutes) in &calls {
                clock.advance(minutes * 60_000);
                let cache_read_tokens = input * cached / 1_000;
                let usage = Usage { cache_read_tokens, ..Usage::tokens(*input, *output) };
                settled = spend(&tasks[*at], MODELS[*model], &usage);
            }
            let report = ledger.what_if(&WhatIfOptions::model(target)).unwrap();
            let total = report.totals;
            prop_assert_eq!(total.recorded.nanos() + total.left_out.nanos(), settled.nanos());
            prop_assert_eq!(total.calls + total.left_out_calls, calls.len() as u64);
            let recorded = |row: &Repriced| row.recorded;
            for figure in [recorded, |row: &Repriced| row.least, |row: &Repriced| row.most] {
                let sum: i64 = report.rows.iter().map(|row| figure(&row.figures).nanos()).sum();
                prop_assert_eq!(sum, figure(&total).nanos());
            }
            prop_assert!(total.least <= total.most);
            // As it was is what it cost.
            let same = WhatIfOptions { tier: Some(ServiceTier::Standard), ..WhatIfOptions::default() };
            let same = ledger.what_if(&same).unwrap().totals;
            prop_assert_eq!((same.least, same.most, same.left_out_calls), (settled, settled, 0));
        }
    }
}
