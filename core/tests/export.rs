//! Exports say what the ledger says, to the nano, and always the same.

#[path = "fixture/mod.rs"]
mod fixture;

use std::collections::{BTreeMap, BTreeSet};

use fixture::{DAY, NOON, Place};
use outlay::{
    Attempt, Ledger, Limit, Money, Request, TaskOptions, Usage,
    meter::Api,
    report::{ExportFormat, ExportOptions, Exported, Since},
    run::Terms,
};
use proptest::prelude::*;
use serde_json::Value;

fn export(
    ledger: &Ledger,
    format: ExportFormat,
    since: Option<i64>,
    until: Option<i64>,
) -> (String, Exported) {
    let mut text = String::new();
    let time = |at: Option<i64>| at.map(Since::At);
    let options = ExportOptions { since: time(since), until: time(until), ..ExportOptions::new(format) };
    let exported = ledger.export(&options, &mut |part| {
        text.push_str(part);
        true
    });
    (text, exported.unwrap())
}

type Row = BTreeMap<String, String>;

fn rows(text: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let heading = reader.headers().unwrap().clone();
    let row = |record: csv::Result<csv::StringRecord>| {
        let record = record.unwrap();
        heading.iter().map(str::to_owned).zip(record.iter().map(str::to_owned)).collect()
    };
    reader.records().map(row).collect()
}

fn quantity(text: &str) -> i64 {
    text.strip_suffix(".0").unwrap().parse().unwrap()
}

/// A decimal of USD in pico-USD.
fn pico(text: &str) -> i128 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction: i128 = format!("{fraction:0<12}").parse().unwrap();
    sign * (whole.parse::<i128>().unwrap() * 1_000_000_000_000 + fraction)
}

/// Quantity times unit price is the cost to the last digit; what was settled differs by less than a
/// nano-USD a row, and in all not at all.
fn check(rows: &[Row], exported: &Exported) {
    let mut billed = 0;
    for row in rows {
        let quantity: i128 = quantity(&row["PricingQuantity"]).into();
        for (each, cost) in [("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")] {
            assert_eq!(pico(&row[each]) * quantity, pico(&row[cost]), "{row:?}");
            assert!(pico(&row[each]) >= 0);
        }
        assert_eq!(row["BilledCost"], row["EffectiveCost"]);
        assert!((pico(&row["BilledCost"]) - pico(&row["ListCost"])).abs() < 1_000, "{row:?}");
        billed += pico(&row["BilledCost"]);
    }
    assert_eq!(billed, i128::from(exported.settled.nanos()) * 1_000);
    assert_eq!(rows.len() as u64, exported.rows);
    let ids: BTreeSet<&str> = rows.iter().map(|row| row["x_RowId"].as_str()).collect();
    assert_eq!(ids.len(), rows.len(), "a row has an id of its own");
}

fn request(model: &str) -> Request {
    Request::model(model).input_tokens(2_000).max_output_tokens(500)
}

#[test]
fn each_unit_is_a_row() {
    let place = Place::sqlite();
    let options = TaskOptions::new("refund").id("refund-4711").tag("tenant", "=acme").unwrap();
    let task = place.ledger.open_task(options).unwrap();
    let usage = Usage { cache_read_tokens: 900, reasoning_tokens: 7, ..Usage::tokens(1_000, 107) };
    task.reserve(&request("gpt-4o-mini")).unwrap().settle(&usage).unwrap();
    let (text, exported) = export(&place.ledger, ExportFormat::Focus, None, None);
    let rows = rows(&text);
    check(&rows, &exported);
    let told = |row: &Row| {
        ["SkuMeter", "ConsumedQuantity", "ConsumedUnit", "ListUnitPrice"].map(|name| row[name].clone())
    };
    let each: Vec<[String; 4]> = rows.iter().map(told).collect();
    assert_eq!(
        each,
        [
            ["Cache Read Tokens", "900.0", "Tokens", "0.000000075"],
            ["Input Tokens", "100.0", "Tokens", "0.00000015"],
            ["Output Tokens", "100.0", "Tokens", "0.0000006"],
            ["Reasoning Tokens", "7.0", "Tokens", "0.0000006"],
        ]
    );
    let row = &rows[0];
    for (name, value) in [
        ("ProviderName", "OpenAI"),
        ("ServiceName", "OpenAI API"),
        ("ServiceCategory", "AI and Machine Learning"),
        ("BillingPeriodStart", "2026-11-01T00:00:00Z"),
        ("BillingPeriodEnd", "2026-12-01T00:00:00Z"),
        ("ChargePeriodStart", "2026-11-22T12:00:00Z"),
        ("ChargePeriodEnd", "2026-11-22T13:00:00Z"),
        ("Tags", r#"{"tenant":"=acme"}"#),
        ("SkuId", "openai/gpt-4o-mini/cache_read"),
        ("x_TaskName", "refund-4711"),
        ("x_AttemptNumber", "1"),
        ("ChargeClass", ""),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
    assert_eq!(
        place
            .ledger
            .report(&outlay::report::ReportOptions::by(outlay::report::By::Task))
            .unwrap()
            .totals
            .settled(),
        exported.settled
    );
}

#[test]
fn a_name_is_never_a_formula() {
    let place = Place::sqlite();
    let task = place.ledger.open_task(TaskOptions::new("=cmd|'calc'!A1")).unwrap();
    task.reserve(&request("gpt-4o")).unwrap().settle(&Usage::tokens(10, 1)).unwrap();
    task.tool_call("@SUM(A1)").unwrap();
    for format in [ExportFormat::Focus, ExportFormat::Csv] {
        let (text, _) = export(&place.ledger, format, None, None);
        let cells = rows(&text).into_iter().flat_map(BTreeMap::into_values);
        let run: Vec<String> = cells
            .filter(|cell| cell.starts_with(['=', '+', '-', '@', '\t']) && cell.parse::<f64>().is_err())
            .collect();
        assert!(run.is_empty(), "{run:?}");
        assert!(text.contains("'=cmd"));
    }
}

/// An estimate in November, and the provider's word for it in December.
#[test]
fn a_truth_of_a_later_month_is_a_correction() {
    let place = Place::sqlite();
    let task = place.ledger.task("t", [Limit::usd("5").unwrap()]).unwrap();
    let body = r#"{"model": "gpt-4o", "stream": true, "max_tokens": 400,
        "messages": [{"role": "user", "content": "hello"}]}"#;
    let exchange = task.exchange(Api::OpenAiChat, body.as_bytes(), &Terms::default()).unwrap();
    exchange.push(b"data: {\"choices\": [{\"delta\": {\"content\": \"Hi\"}}]}\n\n", &mut Vec::new()).unwrap();
    exchange.ended().unwrap();
    let (november, first) = export(&place.ledger, ExportFormat::Focus, None, Some(NOON + DAY));
    check(&rows(&november), &first);
    let told = |row: &Row| (row["SkuMeter"].clone(), quantity(&row["PricingQuantity"]));
    let estimate: Vec<(String, i64)> = rows(&november).iter().map(told).collect();
    assert_eq!(rows(&november)[0]["x_IsEstimated"], "true");

    place.clock.advance(10 * DAY);
    exchange.call().settle(&Usage::tokens(100, 20)).unwrap();
    let (december, second) = export(&place.ledger, ExportFormat::Focus, Some(NOON + DAY), None);
    let corrections = rows(&december);
    check(&corrections, &second);
    assert!(corrections.iter().all(|row| row["ChargeClass"] == "Correction"));
    let each: Vec<(String, i64)> = corrections.iter().map(told).collect();
    let truth = [("Input Tokens".to_owned(), 100), ("Output Tokens".to_owned(), 20)];
    let change = truth.iter().zip(&estimate).map(|((meter, now), (_, then))| (meter.clone(), now - then));
    assert_eq!(each, change.collect::<Vec<_>>());
    assert_eq!(first.settled.checked_add(second.settled), Money::parse("0.00045").ok());
    // What was exported in November is still that.
    let (again, _) = export(&place.ledger, ExportFormat::Focus, None, Some(NOON + DAY));
    assert_eq!(again, november);
}

#[test]
fn a_call_without_a_price_is_in_no_row_and_told_of() {
    let place = Place::sqlite();
    let task = place.ledger.open_task(TaskOptions::new("t").observe()).unwrap();
    task.reserve(&request("nobody-knows-1")).unwrap().settle(&Usage::tokens(10, 1)).unwrap();
    let (text, exported) = export(&place.ledger, ExportFormat::Focus, None, None);
    assert_eq!((rows(&text).len(), exported.unpriced_calls), (0, 1));
    assert!(exported.to_string().ends_with("\n1 calls have no known price: their cost is in no sum"));
}

#[test]
fn entries_are_told_whole_in_both_forms() {
    let place = Place::sqlite();
    let options = TaskOptions::new("refund").tag("tenant", "acme").unwrap();
    let task = place.ledger.open_task(options).unwrap();
    task.reserve(&request("gpt-4o")).unwrap().settle(&Usage::tokens(1_000, 500)).unwrap();
    task.end(Attempt::Failed, Some("no JSON")).unwrap();
    let (sheet, one) = export(&place.ledger, ExportFormat::Csv, None, None);
    let (objects, two) = export(&place.ledger, ExportFormat::Jsonl, None, None);
    assert_eq!(one, two);
    let objects: Vec<Value> = objects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rows = rows(&sheet);
    assert_eq!((rows.len(), objects.len()), (one.rows as usize, two.rows as usize));
    for (row, object) in rows.iter().zip(&objects) {
        for (name, cell) in row {
            let value = match &object[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(*cell, value, "{name}");
        }
    }
    let settled = objects.iter().find(|object| object["kind"] == "settled").unwrap();
    assert_eq!(settled["usd"], 7_500_000);
    assert_eq!(settled["usd_text"], "0.0075");
    assert_eq!(settled["at"], "2026-11-22T12:00:00.000Z");
    assert_eq!(settled["tags"]["tenant"], "acme");
    let ended = objects.iter().find(|object| object["kind"] == "attempt_ended").unwrap();
    assert_eq!((&ended["note"], &ended["subject"]), (&"failed".into(), &"no JSON".into()));
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let place = Place::memory();
    let task = place.task("1000");
    for _ in 0..2_000 {
        fixture::spend(&task, 1).unwrap();
    }
    let mut parts = 0;
    let options = ExportOptions::new(ExportFormat::Jsonl);
    place
        .ledger
        .export(&options, &mut |_| {
            parts += 1;
            false
        })
        .unwrap();
    assert_eq!(parts, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is used and corrected: rows add up, and periods add up to the whole.
    #[test]
    fn rows_are_the_ledger_to_the_nano(
        calls in prop::collection::vec(
            (0..4_usize, 0..3_000_u64, 0..100_u64, 0..3_000_u64, 0..100_u64, 0..4_u8, 0..20_i64), 1..60),
        cut in 0..600_i64,
    ) {
        let place = Place::sqlite();
        let task = place.ledger.task("t", [Limit::usd("1000000").unwrap()]).unwrap();
        let models = ["gpt-4o-mini", "claude-haiku-4-5", "gemini-2.5-flash-lite", "gpt-5-nano"];
        for (model, input, cached, output, hidden, end, wait) in calls {
            let call = task.reserve(&request(models[model])).unwrap();
            let usage = Usage {
                cache_read_tokens: input * cached / 100,
                reasoning_tokens: output * hidden / 100,
                ..Usage::tokens(input, output)
            };
            place.clock.advance(wait * 1_000);
            match end {
                0 => call.void().unwrap(),
                1 => call.doubt().unwrap(),
                2 => drop(call.settle_at(&usage, Money::from_nanos(i64::try_from(output).unwrap()))),
                _ => drop(call.settle(&usage).unwrap()),
            }
            if end == 0 && hidden % 2 == 0 {
                call.settle(&usage).unwrap();
            }
        }
        let settled = task.balance().unwrap().settled.usd();
        let cut = NOON + cut * 1_000;
        let (all, whole) = export(&place.ledger, ExportFormat::Focus, None, None);
        prop_assert_eq!(whole.settled, settled);
        check(&rows(&all), &whole);
        let (first, before) = export(&place.ledger, ExportFormat::Focus, None, Some(cut));
        let (rest, after) = export(&place.ledger, ExportFormat::Focus, Some(cut), None);
        let heading = first.lines().next().unwrap().len() + 2;
        prop_assert_eq!(format!("{first}{}", &rest[heading..]), all);
        prop_assert_eq!(before.settled.checked_add(after.settled), Some(settled));
    }
}
