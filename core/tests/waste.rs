//! Waste and the tax of failure are what they were made to be, and no nano-USD is in two kinds.

use std::sync::Arc;

use outlay::{
    Attempt, Clock, Config, Ledger, ManualClock, Money, Request, Task, TaskOptions, Usage,
    meter::Api,
    report::{By, ReportOptions, Waste, WasteKind, WasteReport},
    run::{Exchange, Terms, config::Choices},
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Input 2, read from the cache 0.5, output 10 USD per million tokens; and one without a cache.
const PRICES: &str = r#"{"prices": {
    "gpt-4o": {"input": "2", "cache_read": "0.5", "output": "10"},
    "gpt-4o-mini": {"input": "2", "output": "10"}
}}"#;

struct Place {
    _folder: TempDir,
    ledger: Ledger,
    clock: ManualClock,
}

fn places() -> [Place; 2] {
    [true, false].map(|is_file| {
        let folder = TempDir::new().unwrap();
        let file = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let config = Arc::new(Config::default().with(&Choices::from_json(PRICES).unwrap()).unwrap());
        let clock = ManualClock::at(1_795_000_000_000);
        let store = if is_file { &file } else { "memory:" };
        let ledger = Ledger::open_with_clock(store, config, Clock::Manual(clock.clone())).unwrap();
        Place { _folder: folder, ledger, clock }
    })
}

/// A conversation in messages of one word over and over.
fn body(model: &str, messages: &[(&str, usize)]) -> Vec<u8> {
    let message = |(word, times): &(&str, usize)| json!({"role": "user", "content": word.repeat(*times)});
    let messages: Vec<Value> = messages.iter().map(message).collect();
    json!({"model": model, "max_tokens": 400, "messages": messages}).to_string().into_bytes()
}

fn send(task: &Task, body: &[u8]) -> Exchange {
    task.exchange(Api::OpenAiChat, body, &Terms::default()).unwrap()
}

fn answer(exchange: &Exchange, input: u64, cached: u64) {
    let usage = json!({"prompt_tokens": input, "completion_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": cached}});
    exchange.answered(200, &json!({"model": "gpt-4o", "usage": usage}).to_string()).unwrap();
}

fn simple(task: &Task, output: u64) {
    let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(1_000);
    task.reserve(&request).unwrap().settle(&Usage::tokens(1_000, output)).unwrap();
}

fn found(report: &WasteReport, kind: WasteKind) -> Option<&Waste> {
    report.kinds.iter().find(|waste| waste.kind == kind)
}

fn usd(report: &WasteReport, kind: WasteKind) -> String {
    found(report, kind).map_or_else(|| "0".to_owned(), |waste| waste.usd.decimal())
}

#[test]
fn an_attempt_that_bought_nothing_is_waste_with_all_inside_it() {
    for Place { ledger, .. } in places() {
        let open = |name: &str| ledger.open_task(TaskOptions::new(name).id(name)).unwrap();
        let first = open("refund");
        simple(&first, 100); // 0.003
        let inner = ledger.open_task(TaskOptions::new("search").under(&first)).unwrap();
        simple(&inner, 300); // 0.005
        inner.end(Attempt::Succeeded, None).unwrap();
        first.end(Attempt::Failed, Some("no JSON")).unwrap();
        let second = open("refund");
        simple(&second, 800);
        second.end(Attempt::Succeeded, None).unwrap();
        let stopped = open("audit");
        simple(&stopped, 0); // 0.002
        stopped.end(Attempt::Stopped, None).unwrap();

        let report = ledger.waste(None).unwrap();
        let failed = found(&report, WasteKind::Failed).unwrap();
        assert_eq!((failed.usd.decimal().as_str(), failed.calls), ("0.008", 2));
        assert_eq!(failed.redone, failed.usd);
        let [item] = failed.items.as_slice() else { panic!("{failed:?}") };
        assert_eq!((item.task.as_deref(), item.attempt, item.call), (Some("refund"), 1, None));
        let stopped = found(&report, WasteKind::Stopped).unwrap();
        assert_eq!((stopped.usd.decimal().as_str(), stopped.redone), ("0.002", Money::ZERO));
        assert_eq!(report.kinds.len(), 2);
        assert_eq!(report.settled.decimal(), "0.02");
    }
}

#[test]
fn a_request_that_was_answered_is_a_repeat() {
    for Place { ledger, .. } in places() {
        let task = ledger.open_task(TaskOptions::new("t")).unwrap();
        let same = body("gpt-4o", &[("hello ", 3)]);
        // The second goes out before the first is answered: nobody could have known the answer.
        let (first, second) = (send(&task, &same), send(&task, &same));
        answer(&first, 20, 0);
        answer(&second, 20, 0);
        let third = send(&task, &same);
        answer(&third, 20, 0); // 20 × 2 + 100 × 10 = 1,040 µUSD
        answer(&send(&task, &body("gpt-4o-mini", &[("hello ", 3)])), 20, 0);
        answer(&send(&task, &body("gpt-4o", &[("hello ", 4)])), 20, 0);
        let report = ledger.waste(None).unwrap();
        assert_eq!(usd(&report, WasteKind::Repeated), "0.00104");
        let repeated = found(&report, WasteKind::Repeated).unwrap();
        assert_eq!(repeated.items[0].call, Some(third.call().id()));
        // Another attempt was not answered yet.
        answer(&send(&ledger.open_task(TaskOptions::new("t")).unwrap(), &same), 20, 0);
        assert_eq!(usd(&ledger.waste(None).unwrap(), WasteKind::Repeated), "0.00104");
    }
}

#[test]
fn what_the_cache_could_have_had_is_told_with_its_place() {
    for Place { ledger, .. } in places() {
        let task = ledger.open_task(TaskOptions::new("t")).unwrap();
        let long = ("hello ", 3_000);
        answer(&send(&task, &body("gpt-4o", &[long, ("a", 1)])), 4_000, 0);
        let second = send(&task, &body("gpt-4o", &[long, ("b", 1), ("c", 1)]));
        answer(&second, 4_000, 0);
        let report = ledger.waste(None).unwrap();
        let missed = found(&report, WasteKind::CacheMiss).unwrap();
        let [item] = missed.items.as_slice() else { panic!("{missed:?}") };
        // The role is a block of its own.
        assert_eq!((item.call, item.differs_at), (Some(second.call().id()), Some((1, 256))));
        // Some 3,000 words of one token each, in blocks of 128.
        assert!((2_944..=3_072).contains(&item.missed_tokens), "{item:?}");
        assert_eq!(item.missed_tokens % 128, 0);
        // 2 − 0.5 USD per million.
        assert_eq!(missed.usd.nanos(), item.missed_tokens as i64 * 1_500);

        // Read from the cache, too short, of another model, or before the answer: nothing missed.
        answer(&send(&task, &body("gpt-4o", &[long, ("b", 1), ("d", 1)])), 4_000, 3_072);
        answer(&send(&task, &body("gpt-4o-mini", &[long, ("b", 1), ("e", 1)])), 4_000, 0);
        answer(&send(&task, &body("gpt-4o-mini", &[long, ("b", 1), ("f", 1)])), 4_000, 0);
        let short = ledger.open_task(TaskOptions::new("short")).unwrap();
        for word in ["a", "b"] {
            answer(&send(&short, &body("gpt-4o", &[("hello ", 900), (word, 1)])), 1_000, 0);
        }
        let hasty = ledger.open_task(TaskOptions::new("hasty")).unwrap();
        let both = ["a", "b"].map(|word| send(&hasty, &body("gpt-4o", &[long, (word, 1)])));
        both.iter().for_each(|exchange| answer(exchange, 4_000, 0));
        assert_eq!(found(&ledger.waste(None).unwrap(), WasteKind::CacheMiss).unwrap().items.len(), 1);
    }
}

/// The time before the rules: nothing behind it is ever read from the cache.
#[test]
fn a_prefix_that_breaks_early_costs_what_lies_behind_it() {
    for Place { ledger, clock: time, .. } in places() {
        let rules = ("hello ", 3_000);
        let turn = |task: &Task, messages: &[(&str, usize)], input, cached| {
            let exchange = send(task, &body("gpt-4o", messages));
            answer(&exchange, input, cached);
            exchange.call().id()
        };
        let clock = ledger.open_task(TaskOptions::new("clock")).unwrap();
        let first = turn(&clock, &[("one ", 1), rules, ("a", 1)], 3_020, 0);
        let second = turn(&clock, &[("two ", 1), rules, ("a", 1)], 3_020, 0);
        // Some of it was read, and of what is new nothing could have been.
        let third = turn(&clock, &[("six ", 1), rules, ("a", 1), ("b", 1)], 5_000, 1_024);
        let report = ledger.waste(None).unwrap();
        let missed = found(&report, WasteKind::CacheMiss).unwrap();
        let items: Vec<_> =
            missed.items.iter().map(|item| (item.call, item.missed_tokens, item.differs_at)).collect();
        // Whole blocks of 128 of the 3,020 tokens of the call before.
        let place = Some((0, 256));
        assert_eq!(items, [(Some(second), 2_944, place), (Some(third), 2_944 - 1_024, place)], "{first}");
        assert_eq!(missed.usd.nanos(), (2_944 + 1_920) * 1_500);
        assert!(report.to_string().contains("at most 2,944 tokens missed, differs at message 0"), "{report}");

        // Another question after the same rules, and what was too short to keep.
        let asked = ledger.open_task(TaskOptions::new("asked")).unwrap();
        for (page, input) in [("one ", 9_000), ("two ", 9_000)] {
            turn(&asked, &[rules, (page, 3_000)], input, 2_944);
        }
        let short = ledger.open_task(TaskOptions::new("short")).unwrap();
        for word in ["one ", "two "] {
            turn(&short, &[(word, 1), ("hello ", 500), ("a", 1)], 520, 0);
        }
        // And what no cache is sure to have kept.
        time.advance(300_001);
        turn(&clock, &[("ten ", 1), rules, ("a", 1), ("b", 1)], 5_000, 0);
        assert_eq!(found(&ledger.waste(None).unwrap(), WasteKind::CacheMiss).unwrap().items.len(), 2);
    }
}

#[test]
fn a_broken_stream_and_calls_under_no_task_are_waste() {
    for Place { ledger, .. } in places() {
        let body = br#"{"model": "gpt-4o", "stream": true, "max_tokens": 400,
            "messages": [{"role": "user", "content": "hello"}]}"#;
        let streamed = send(&ledger.open_task(TaskOptions::new("t")).unwrap(), body);
        streamed.ended().unwrap();
        simple(&ledger.default_task().unwrap(), 100);
        let report = ledger.waste(None).unwrap();
        let broken = ledger.report(&ReportOptions::by(By::Task)).unwrap().totals.estimated;
        assert!(broken > Money::ZERO);
        assert_eq!(found(&report, WasteKind::Broken).unwrap().usd, broken);
        assert_eq!(usd(&report, WasteKind::Untasked), "0.003");
        assert_eq!(report.wasted(), report.settled);
    }
}

#[test]
fn context_is_told_beside_waste() {
    for Place { ledger, .. } in places() {
        let task = ledger.open_task(TaskOptions::new("t")).unwrap();
        let tool = json!({"type": "function", "function": {"name": "search", "parameters": {"type": "object"},
            "description": "finds ".repeat(500)}});
        for (input, word) in [(1_000, "a"), (1_300, "b"), (2_000, "c")] {
            let body = json!({"model": "gpt-4o-mini", "max_tokens": 400, "tools": [tool],
                "messages": [{"role": "user", "content": word}]});
            answer(&send(&task, body.to_string().as_bytes()), input, 0);
        }
        let context = ledger.waste(None).unwrap().context;
        assert_eq!((context.growth_per_call, context.input_tokens), (500, 4_300));
        assert!((1_500..1_700).contains(&context.tool_tokens), "{context:?}");
        assert_eq!(context.tool_usd.nanos(), context.tool_tokens as i64 * 2_000);
    }
}

#[test]
fn the_tax_is_what_was_lost_over_what_was_useful() {
    for Place { ledger, .. } in places() {
        for (id, ends) in [
            ("a", &[Attempt::Failed, Attempt::Stopped, Attempt::Succeeded][..]),
            ("b", &[Attempt::Succeeded][..]),
            ("c", &[Attempt::Failed][..]),
        ] {
            for end in ends {
                let task = ledger.open_task(TaskOptions::new("refund").id(id)).unwrap();
                simple(&task, 100); // 1,100 tokens, 0.003
                // Of a run that succeeds, this is lost all the same.
                let inner = ledger.open_task(TaskOptions::new("search").under(&task)).unwrap();
                simple(&inner, 0); // 1,000 tokens, 0.002
                inner.end(Attempt::Failed, None).unwrap();
                task.end(*end, None).unwrap();
            }
        }
        let open = ledger.open_task(TaskOptions::new("audit")).unwrap();
        simple(&open, 0);
        let report = ledger.tax(None).unwrap();
        let names: Vec<_> = report.rows.iter().map(|row| row.task.as_deref()).collect();
        assert_eq!(names, [Some("refund"), Some("audit")]);
        let tax = report.rows[0].tax;
        assert_eq!((tax.first_runs, tax.first_lost, tax.runs, tax.succeeded, tax.deepest), (3, 2, 5, 2, 3));
        assert_eq!((tax.useful.usd.decimal().as_str(), tax.useful.tokens), ("0.006", 2_200));
        assert_eq!((tax.lost.usd.decimal().as_str(), tax.lost.tokens), ("0.019", 8_300));
        assert_eq!((tax.first_lost_per_mille(), tax.runs_per_success()), (Some(666), Some(2_500)));
        assert_eq!(tax.per_mille(), Some(3_166));
        assert_eq!(report.rows[1].tax.open.usd.decimal(), "0.002");
        assert_eq!(report.rows[1].tax.per_mille(), None);
        let settled = ledger.report(&ReportOptions::by(By::Task)).unwrap().totals.settled();
        assert_eq!(settled.decimal(), "0.027");
    }
}

#[test]
fn value_is_held_against_what_was_spent() {
    for Place { ledger, .. } in places() {
        let run = |name: &str, outputs: &[u64]| {
            let agents = ["planner", "coder"];
            let task = ledger.open_task(TaskOptions::new(name)).unwrap();
            for (agent, output) in agents.into_iter().zip(outputs) {
                let options = TaskOptions::new("agent").under(&task).tag("agent", agent).unwrap();
                let inner = ledger.open_task(options).unwrap();
                simple(&inner, *output);
                inner.end(Attempt::Succeeded, None).unwrap();
            }
            task
        };
        run("fix", &[0, 400]).succeed("1").unwrap(); // 0.002 and 0.006 USD
        run("fix", &[800]).end(Attempt::Failed, None).unwrap(); // 0.01
        run("fix", &[0]).succeed("0.5").unwrap(); // 0.002
        run("chat", &[100]).end(Attempt::Succeeded, None).unwrap(); // nobody says what it was worth

        let report = ledger.value(None).unwrap();
        let totals = report.totals;
        assert_eq!(
            (totals.value().as_str(), totals.usd.decimal().as_str(), totals.tokens),
            ("1.50", "0.02", 5_200)
        );
        assert_eq!(totals.per_usd(), Some(75.0));
        let rows: Vec<_> = report
            .rows
            .iter()
            .map(|row| {
                (row.by.name(), row.key.as_deref().unwrap(), row.worth.value(), row.worth.usd.decimal())
            })
            .collect();
        let row = |by, key, value: &str, usd: &str| (by, key, value.to_owned(), usd.to_owned());
        assert_eq!(
            rows,
            [
                row("kind", "fix", "1.50", "0.02"),
                row("agent", "planner", "0.75", "0.014"),
                row("agent", "coder", "0.75", "0.006"),
                row("model", "gpt-4o", "1.50", "0.02"),
            ]
        );
        let runs: Vec<_> =
            report.runs.iter().map(|run| (run.worth.value(), run.worth.usd.decimal())).collect();
        let run = |value: &str, usd: &str| (value.to_owned(), usd.to_owned());
        assert_eq!(runs, [run("0.00", "0.01"), run("1.00", "0.008"), run("0.50", "0.002")]);
        ledger.check_balances().unwrap();
        for wrong in ["", "-1", "one", "1e400", "9999999999"] {
            assert!(run_of(&ledger).succeed(wrong).is_err(), "{wrong}");
        }
    }
}

fn run_of(ledger: &Ledger) -> Task {
    ledger.open_task(TaskOptions::new("t")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn shares_of_a_value_add_up(runs in vec((0..5_000_000_000_i64, vec(0..900_u64, 0..5)), 1..6)) {
        let ledger = Ledger::in_memory();
        for (value, outputs) in &runs {
            let task = ledger.open_task(TaskOptions::new("t")).unwrap();
            for (number, output) in outputs.iter().enumerate() {
                let agent = ["a", "b", "c"][number % 3];
                let options = TaskOptions::new("inner").under(&task).tag("agent", agent).unwrap();
                simple(&ledger.open_task(options).unwrap(), *output);
            }
            task.succeed(&Money::from_nanos(*value).decimal()).unwrap();
        }
        let report = ledger.value(None).unwrap();
        let worked: i64 = runs.iter().filter(|(_, outputs)| !outputs.is_empty()).map(|(value, _)| value).sum();
        prop_assert_eq!(report.totals.value_nanos, worked);
        for by in ["kind", "agent", "model"] {
            let rows = || report.rows.iter().filter(|row| row.by.name() == by).map(|row| row.worth);
            prop_assert_eq!(rows().map(|worth| worth.value_nanos).sum::<i64>(), report.totals.value_nanos);
            prop_assert_eq!(rows().map(|worth| worth.usd.nanos()).sum::<i64>(), report.totals.usd.nanos());
            prop_assert_eq!(rows().map(|worth| worth.tokens).sum::<i64>(), report.totals.tokens);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Sends a conversation of so many long messages ending in this one.
    Send {
        long: usize,
        last: usize,
        cached: u64,
    },
    Break,
    Simple(u64),
    Untasked,
    Retry(usize),
    Enter,
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_usize, 0..3_usize, 0..3_000_u64)
            .prop_map(|(long, last, cached)| Step::Send { long, last, cached }),
        1 => Just(Step::Break),
        2 => (0..900_u64).prop_map(Step::Simple),
        1 => Just(Step::Untasked),
        2 => (0..3_usize).prop_map(Step::Retry),
        1 => Just(Step::Enter),
        1 => (0..3_usize).prop_map(Step::Leave),
    ]
}

fn play(ledger: &Ledger, steps: &[Step]) {
    const ENDS: [Attempt; 3] = [Attempt::Succeeded, Attempt::Failed, Attempt::Stopped];
    let open = || ledger.open_task(TaskOptions::new("root").id("root")).unwrap();
    let mut tasks = vec![open()];
    for step in steps {
        let task = tasks.last().unwrap().clone();
        match *step {
            Step::Send { long, last, cached } => {
                let mut messages = vec![("hello ", 1_500); long];
                messages.push((["a", "b", "c"][last], 1));
                let input = 1_500 * long as u64 + 10;
                answer(&send(&task, &body("gpt-4o", &messages)), input, cached.min(input));
            }
            Step::Break => {
                let body = br#"{"model": "gpt-4o", "stream": true, "max_tokens": 40, "messages": []}"#;
                send(&task, body).ended().unwrap();
            }
            Step::Simple(output) => simple(&task, output),
            Step::Untasked => simple(&ledger.default_task().unwrap(), 10),
            Step::Retry(how) if tasks.len() == 1 => {
                task.end(ENDS[how], None).unwrap();
                tasks = vec![open()];
            }
            Step::Enter if tasks.len() < 4 => {
                tasks.push(ledger.open_task(TaskOptions::new("inner").under(&task)).unwrap());
            }
            Step::Leave(how) if tasks.len() > 1 => {
                task.end(ENDS[how], None).unwrap();
                tasks.pop();
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_nano_is_in_two_kinds(steps in vec(step(), 1..40)) {
        let mut reports = Vec::new();
        for Place { ledger, .. } in places() {
            play(&ledger, &steps);
            let report = ledger.waste(None).unwrap();
            let totals = ledger.report(&ReportOptions::by(By::Task)).unwrap().totals;
            prop_assert_eq!(report.settled, totals.settled());
            prop_assert!(report.wasted() <= report.settled);
            for waste in &report.kinds {
                let items: i64 = waste.items.iter().map(|item| item.usd.nanos()).sum();
                prop_assert!(items <= waste.usd.nanos() && waste.redone <= waste.usd);
                let all_listed = waste.items.len() < WasteReport::ITEMS_MAX;
                prop_assert!(!all_listed || items == waste.usd.nanos());
            }
            let tax = ledger.tax(None).unwrap().totals;
            let parts = [tax.useful, tax.lost, tax.open];
            prop_assert_eq!(parts.iter().map(|part| part.usd.nanos()).sum::<i64>(), totals.settled().nanos());
            let tokens = totals.balance.settled.0[1];
            prop_assert_eq!(parts.iter().map(|part| part.tokens).sum::<i64>(), tokens);
            reports.push(report.kinds.iter().map(|kind| (kind.kind, kind.usd)).collect::<Vec<_>>());
        }
        prop_assert_eq!(&reports[0], &reports[1]);
    }
}
