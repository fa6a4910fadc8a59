//! Reports say what the balances say, whatever happened before.

use std::sync::Arc;

use outlay::{
    Attempt, Balance, Call, Clock, Config, ErrorKind, Id, Ledger, Limit, ManualClock, Money, Outcome,
    Request, Task, TaskOptions, Unit, Usage, Window,
    meter::Api,
    report::{By, Figures, KindsReport, MarginOptions, Report, ReportOptions, Since, Standing, Summary},
    run::{BudgetOptions, Exchange, Terms},
};
use proptest::{collection::vec, prelude::*};

const MODELS: [&str; 3] = ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"];
const STREAMED: &str = r#"{"model": "gpt-4o", "stream": true, "max_tokens": 400,
    "messages": [{"role": "user", "content": "hello"}]}"#;
const NOON: i64 = 1_795_348_800_000;

/// What a random run does next.
#[derive(Clone, Debug)]
enum Step {
    Reserve {
        model: usize,
        output: u64,
        named: bool,
    },
    /// Uses this many tokens of the input and output, of what was reserved.
    Settle {
        input: u64,
        output: u64,
        cached: u64,
    },
    Void,
    /// Settles what was void or estimated by what the provider says later.
    Correct {
        output: u64,
    },
    /// A stream that is left before its end.
    Stream {
        output: usize,
    },
    /// A model without a price, at the caller's own word.
    OwnWord,
    Doubt,
    Tool,
    /// Ends the attempt, and opens the next one.
    Retry(usize),
    /// Opens a task inside, and works in it from now on.
    Enter,
    Leave(usize),
    Resolve(bool),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let settle = (0..3_000_u64, 0..3_000_u64, 0..100_u64);
    prop_oneof![
        6 => (0..3_usize, 1..2_000_u64, any::<bool>())
            .prop_map(|(model, output, named)| Step::Reserve { model, output, named }),
        5 => settle.prop_map(|(input, output, share)| Step::Settle {
            input, output, cached: input * share / 100
        }),
        2 => Just(Step::Void),
        1 => (0..2_000_u64).prop_map(|output| Step::Correct { output }),
        2 => (1..200_usize).prop_map(|output| Step::Stream { output }),
        1 => Just(Step::OwnWord),
        1 => Just(Step::Doubt),
        2 => Just(Step::Tool),
        1 => (0..3_usize).prop_map(Step::Retry),
        1 => Just(Step::Enter),
        1 => (0..3_usize).prop_map(Step::Leave),
        1 => any::<bool>().prop_map(Step::Resolve),
        1 => (0..90_000_i64).prop_map(Step::Wait),
    ]
}

const ENDS: [Attempt; 3] = [Attempt::Succeeded, Attempt::Failed, Attempt::Stopped];

/// A call the provider may still say something about.
enum Correctable {
    Voided(Call),
    Left(Box<Exchange>),
}

/// One program: a stack of tasks, and the calls that are open in it.
struct Program {
    ledger: Ledger,
    clock: ManualClock,
    stack: Vec<(Task, Vec<Call>)>,
    correctable: Vec<Correctable>,
    doubted: Vec<Id>,
    opened: usize,
}

impl Program {
    fn new(store: &str) -> Self {
        let clock = ManualClock::at(NOON);
        let config = Arc::new(Config::default());
        let ledger = Ledger::open_with_clock(store, config, Clock::Manual(clock.clone())).unwrap();
        let day = Limit::usd("1000000").unwrap().per(Window::parse("day", None).unwrap());
        let budget = BudgetOptions::new().per("agent").limit(day);
        ledger.set_budget(&budget).unwrap();
        let mut program = Self {
            ledger,
            clock,
            stack: Vec::new(),
            correctable: Vec::new(),
            doubted: Vec::new(),
            opened: 0,
        };
        program.enter();
        program
    }

    fn options(name: &str) -> TaskOptions {
        TaskOptions::new(name).id(name).limit(Limit::usd("100000").unwrap())
    }

    fn enter(&mut self) {
        self.opened += 1;
        let agent = format!("agent-{}", self.opened % 3);
        let mut options = Self::options(&format!("task-{}", self.opened));
        match self.stack.last() {
            Some((parent, _)) => options = options.under(parent),
            None => options = options.tag("agent", &agent).unwrap(),
        }
        options = options.tag("tenant", ["acme", "umbrella"][self.opened % 2]).unwrap();
        let task = self.ledger.open_task(options).unwrap();
        self.stack.push((task, Vec::new()));
    }

    fn run(&mut self, step: &Step) {
        let depth = self.stack.len();
        let (task, calls) = self.stack.last_mut().unwrap();
        match *step {
            Step::Reserve { model, output, named } => {
                let mut request = Request::model(MODELS[model]).input_tokens(2_000).max_output_tokens(output);
                request = request.turn(&format!("turn-{}", output % 3));
                if named {
                    request = request.id(&format!("call-{output}-{model}"));
                }
                let call = task.reserve(&request).unwrap();
                if call.created() {
                    calls.push(call);
                }
            }
            Step::Settle { input, output, cached } => {
                if let Some(call) = calls.pop() {
                    let usage = Usage { cache_read_tokens: cached, ..Usage::tokens(input, output) };
                    call.settle(&usage).unwrap();
                }
            }
            Step::Void => {
                if let Some(call) = calls.pop() {
                    call.void().unwrap();
                    self.correctable.push(Correctable::Voided(call));
                }
            }
            Step::Correct { output } => {
                let usage = Usage::tokens(1_500, output);
                match self.correctable.pop() {
                    Some(Correctable::Voided(call)) => drop(call.settle(&usage).unwrap()),
                    Some(Correctable::Left(exchange)) => drop(exchange.call().settle(&usage).unwrap()),
                    None => {}
                }
            }
            Step::Stream { output } => {
                let exchange =
                    task.exchange(Api::OpenAiChat, STREAMED.as_bytes(), &Terms::default()).unwrap();
                let text = "word ".repeat(output);
                let event =
                    format!(r#"data: {{"choices": [{{"index": 0, "delta": {{"content": "{text}"}}}}]}}"#);
                exchange.push(format!("{event}\n\n").as_bytes(), &mut Vec::new()).unwrap();
                exchange.ended().unwrap();
                self.correctable.push(Correctable::Left(Box::new(exchange)));
            }
            Step::OwnWord => {
                let request = Request::model("house-7b").input_tokens(10).max_output_tokens(10);
                let call = task.reserve(&request.max_usd(Money::from_nanos(7))).unwrap();
                assert!(call.settle(&Usage::tokens(1, 1)).unwrap().estimated);
            }
            Step::Doubt => {
                if let Some(call) = calls.pop() {
                    call.doubt().unwrap();
                    self.doubted.push(call.id());
                }
            }
            Step::Tool => task.tool_call("search").unwrap(),
            Step::Retry(end) if depth == 1 => {
                calls.clear();
                task.end(ENDS[end], Some("again")).unwrap();
                *task = self.ledger.open_task(Self::options(task.name())).unwrap();
            }
            Step::Enter if depth < 4 => self.enter(),
            Step::Leave(end) if depth > 1 => {
                calls.clear();
                task.end(ENDS[end], None).unwrap();
                self.stack.pop();
            }
            Step::Resolve(billed) => {
                if let Some(id) = self.doubted.pop() {
                    let told = billed.then(|| Usage::tokens(10, 10).into());
                    self.ledger.resolve(id, told.as_ref(), "ops").unwrap();
                }
            }
            Step::Wait(millis) => self.clock.advance(millis),
            _ => {}
        }
    }
}

fn sum<'a>(figures: impl IntoIterator<Item = &'a Figures>) -> Balance {
    figures.into_iter().fold(Balance::default(), |sum, one| sum.checked_add(&one.balance).unwrap())
}

fn report(ledger: &Ledger, by: By) -> Report {
    ledger.report(&ReportOptions::by(by)).unwrap()
}

/// Everything a report may never get wrong, whatever happened.
fn check(ledger: &Ledger) {
    ledger.check_balances().unwrap();
    let tasks = ledger.tasks(1_000).unwrap();
    let roots = tasks.iter().filter(|task| task.parent.is_none());
    let kept = roots.fold(Balance::default(), |sum, task| sum.checked_add(&task.balance).unwrap());
    let tags = ["tenant", "x"].map(|key| By::Tag(key.into()));
    let own = [By::Task, By::Attempt, By::Kind, By::Agent, By::Step, By::Turn, By::Model, By::Provider];
    for by in own.into_iter().chain(tags) {
        let report = report(ledger, by);
        assert_eq!(report.totals.balance, kept, "{}", report.by);
        assert_eq!(sum(report.rows.iter().map(|row| &row.figures)), kept, "{}", report.by);
        let tokens = report.totals.tokens.input + report.totals.tokens.output;
        assert_eq!(i64::try_from(tokens).unwrap(), kept.settled.get(Unit::Tokens));
        let spent: Vec<_> = report.rows.iter().map(|row| row.figures.spent()).collect();
        assert!(spent.is_sorted_by(|a, b| a >= b));
        assert_eq!(
            report.totals.in_doubt(),
            report
                .rows
                .iter()
                .fold(Money::ZERO, |sum, row| { sum.checked_add(row.figures.in_doubt()).unwrap() })
        );
    }
    let KindsReport { rows, models, totals, .. } = ledger.kinds(None).unwrap();
    for rows in [&rows, &models] {
        let (mut spent, mut runs) = (0, 0);
        for row in rows {
            spent += row.figures.spent.nanos();
            runs += row.figures.runs;
        }
        assert_eq!((spent, runs), (kept.spent(Unit::Usd), totals.runs));
    }
    let margin = ledger.margin(&MarginOptions::by(By::Agent)).unwrap();
    let spent: i64 = margin.rows.iter().map(|row| row.spent.nanos()).sum();
    assert_eq!((spent, margin.unearned.nanos()), (kept.spent(Unit::Usd), spent));
    let agents = report(ledger, By::Agent);
    for budget in ledger.budgets().unwrap().iter().filter(|budget| budget.value.is_some()) {
        let row = agents.rows.iter().find(|row| row.key == budget.value);
        // Days have passed in no history.
        assert_eq!(row.map(|row| row.figures.balance).unwrap_or_default(), budget.balance);
    }
    for task in tasks {
        let summary = ledger.summary(&task.id).unwrap();
        assert_eq!(summary.figures.balance, task.balance);
        check_summary(&summary);
    }
}

fn check_summary(summary: &Summary) {
    assert_eq!(summary.figures.balance, summary.balance);
    assert_eq!(sum(summary.attempts.iter().map(|line| &line.figures)), summary.balance);
    assert_eq!(sum(summary.by_model.iter().map(|row| &row.figures)), summary.balance);
    let lost: i64 = summary.bought_nothing.iter().map(|loss| loss.usd.nanos()).sum();
    assert!(lost <= summary.spent().nanos(), "a cent is lost twice: {summary}");
    let of = |what: &str| {
        let losses = summary.bought_nothing.iter();
        losses.filter(|loss| loss.what == what).map(|loss| loss.usd).fold(Money::ZERO, |_, usd| usd)
    };
    assert_eq!(of("calls in doubt"), summary.balance.in_doubt.usd());
    let failed = summary.attempts.iter().filter(|line| line.standing == Standing::Failed);
    let failed = sum(failed.map(|line| &line.figures)).settled.get(Unit::Usd);
    assert!(of("failed attempts").nanos() + of("stopped attempts").nanos() >= failed);
    assert!(summary.to_string().contains(&format!("{} spent", summary.spent())));
}

fn run(store: &str, steps: &[Step]) {
    let mut program = Program::new(store);
    for step in steps {
        program.run(step);
    }
    check(&program.ledger);
    // Whatever is left open is in doubt from here on.
    let ledger = program.ledger.clone();
    drop(program);
    check(&ledger);
    assert_eq!(report(&ledger, By::Task).totals.pending(), Money::ZERO);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn reports_add_up_to_the_balances_in_memory(steps in vec(step(), 0..80)) {
        run("memory:", &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_file_and_the_memory_tell_the_same_of_any_time(steps in vec(step(), 0..60)) {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let [mut memory, mut file] = ["memory:", &file].map(Program::new);
        for step in &steps {
            memory.run(step);
            file.run(step);
        }
        for at in (0..20).map(|part| NOON - 1 + part * 300_000).chain([NOON, NOON + 1, i64::MAX]) {
            let told = |program: &Program| {
                let options = ReportOptions::by(By::Attempt).since(Since::At(at));
                let rows = program.ledger.report(&options).unwrap().rows;
                rows.into_iter().map(|row| (row.key, row.attempt, row.figures)).collect::<Vec<_>>()
            };
            assert_eq!(told(&memory), told(&file), "since {at}");
        }
    }

    #[test]
    fn reports_add_up_to_the_balances_in_a_file(steps in vec(step(), 0..60)) {
        let folder = tempfile::tempdir().unwrap();
        run(&format!("sqlite:{}", folder.path().join("ledger.db").display()), &steps);
    }
}

fn sample() -> (Ledger, Task) {
    let ledger = Ledger::in_memory();
    let task = ledger.task("refund", [Limit::usd("1").unwrap()]).unwrap();
    (ledger, task)
}

fn gpt(output: u64) -> Request {
    Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(output)
}

/// What a summary says was lost: kind, nano-USD, calls.
fn losses(summary: &Summary) -> Vec<(&'static str, i64, u64)> {
    summary.bought_nothing.iter().map(|loss| (loss.what, loss.usd.nanos(), loss.calls)).collect()
}

#[test]
fn a_cent_that_bought_nothing_is_of_one_kind() {
    let ledger = Ledger::in_memory();
    let open = || ledger.open_task(TaskOptions::new("refund").id("r")).unwrap();
    let broken = |task: &Task| {
        let exchange = task.exchange(Api::OpenAiChat, STREAMED.as_bytes(), &Terms::default()).unwrap();
        exchange.ended().unwrap();
        match exchange.call().outcome() {
            Some(Outcome::Settled(settled)) if settled.estimated => settled.charge.nanos(),
            other => panic!("{other:?}"),
        }
    };
    let first = open();
    first.reserve(&gpt(100)).unwrap().settle(&Usage::tokens(1_000, 0)).unwrap(); // 2,500,000 nano-USD
    let in_failed = broken(&first);
    first.reserve(&gpt(100)).unwrap().doubt().unwrap(); // 3,500,000
    first.end(Attempt::Failed, None).unwrap();
    let second = open();
    second.reserve(&gpt(100)).unwrap().settle(&Usage::tokens(1_000, 100)).unwrap();
    let inner = ledger.open_task(TaskOptions::new("inner").under(&second)).unwrap();
    inner.reserve(&gpt(100)).unwrap().settle(&Usage::tokens(1_000, 100)).unwrap(); // 3,500,000
    inner.end(Attempt::Stopped, None).unwrap();
    let in_good = broken(&second);
    second.end(Attempt::Succeeded, None).unwrap();

    let summary = second.summary().unwrap();
    let expected = [
        ("failed attempts", 2_500_000 + in_failed, 2),
        ("stopped attempts", 3_500_000, 1),
        ("calls in doubt", 3_500_000, 1),
        ("estimated", in_good, 1),
    ];
    assert_eq!(losses(&summary), expected);
    let spent: Vec<i64> = summary.attempts.iter().map(|line| line.figures.spent().nanos()).collect();
    assert_eq!(spent, [6_000_000 + in_failed, 7_000_000 + in_good]);
    check_summary(&summary);
}

#[test]
fn what_runs_inside_belongs_to_the_attempt_it_ran_in() {
    let ledger = Ledger::in_memory();
    let open = || ledger.open_task(TaskOptions::new("outer").id("outer")).unwrap();
    let inside = |outer: &Task| {
        let inner = ledger.open_task(TaskOptions::new("inner").id("inner").under(outer)).unwrap();
        let deepest = ledger.open_task(TaskOptions::new("deepest").under(&inner)).unwrap();
        deepest.reserve(&gpt(100)).unwrap().settle(&Usage::tokens(1_000, 0)).unwrap();
        deepest.end(Attempt::Succeeded, None).unwrap();
        inner.end(Attempt::Succeeded, None).unwrap();
    };
    let first = open();
    inside(&first);
    first.end(Attempt::Failed, None).unwrap();
    let second = open();
    inside(&second);
    inside(&second);
    let summary = second.summary().unwrap();
    let lines: Vec<_> =
        summary.attempts.iter().map(|line| (line.standing, line.figures.spent().nanos())).collect();
    assert_eq!(lines, [(Standing::Failed, 2_500_000), (Standing::Running, 5_000_000)]);
    // Whatever became of the tasks inside, the attempt they were for failed.
    assert_eq!(losses(&summary), [("failed attempts", 2_500_000, 1)]);
    // A report counts each call once, where it was made.
    let report = report(&ledger, By::Task);
    let rows: Vec<_> = report.rows.iter().map(|row| (row.key.as_deref(), row.figures.calls())).collect();
    assert_eq!(rows, [(Some("deepest"), 1); 3]);
    assert!(report.rows.iter().all(|row| row.task != Some(second.id())));
}

#[test]
fn the_truth_takes_the_place_of_an_estimate() {
    let (ledger, task) = sample();
    let exchange = task.exchange(Api::OpenAiChat, STREAMED.as_bytes(), &Terms::default()).unwrap();
    exchange.ended().unwrap();
    let totals = report(&ledger, By::Model).totals;
    assert_eq!((totals.estimated, totals.estimated_calls), (totals.settled(), 1));
    assert_eq!(report(&ledger, By::Model).notes().len(), 1);
    exchange.call().settle(&Usage::tokens(8, 1_000)).unwrap();
    let totals = report(&ledger, By::Model).totals;
    assert_eq!((totals.estimated, totals.estimated_calls), (Money::ZERO, 0));
    assert_eq!((totals.tokens.input, totals.tokens.output, totals.calls()), (8, 1_000, 1));
    // 8 × 2.50 and 1,000 × 10 USD per million, of which 400 output tokens had been reserved.
    assert_eq!((totals.settled().nanos(), totals.overrun_calls), (10_020_000, 1));
    assert!(totals.overrun > Money::ZERO && totals.overrun < totals.settled());
    assert!(losses(&task.summary().unwrap()).is_empty());
}

#[test]
fn an_unknown_price_is_told_and_is_not_zero_among_the_priced() {
    let ledger = Ledger::in_memory();
    let task = ledger.open_task(TaskOptions::new("t").observe()).unwrap();
    let unpriced = Request::model("house-7b").input_tokens(10).max_output_tokens(10);
    let call = task.reserve(&unpriced).unwrap();
    assert_eq!(report(&ledger, By::Model).totals.unpriced_calls, 1);
    call.settle(&Usage::tokens(10, 10)).unwrap();
    task.reserve(&unpriced).unwrap().void().unwrap();
    let report = report(&ledger, By::Model);
    assert_eq!((report.totals.unpriced_calls, report.totals.calls()), (1, 1));
    assert_eq!((report.totals.tokens.input, report.totals.tokens.output), (10, 10));
    assert!(report.to_string().ends_with("1 call has no known price: its cost is in no sum"));
    assert!(task.summary().unwrap().to_string().contains("no known price"));
}

#[test]
fn a_call_is_told_by_its_turn_its_provider_and_the_kind_of_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("ledger.db").display());
    for store in ["memory:", &file] {
        let ledger = Ledger::open(store, Arc::new(Config::default())).unwrap();
        let run = ledger.open_task(TaskOptions::new("refund").tag("kind", "extractive").unwrap()).unwrap();
        let inner = ledger.open_task(TaskOptions::new("lookup").under(&run)).unwrap();
        // Named as others are by their tag: the same kind.
        let plain = ledger.open_task(TaskOptions::new("extractive")).unwrap();
        let claude = Request::model("claude-sonnet-4-5").input_tokens(1_000).max_output_tokens(500);
        let calls = [
            (&run, gpt(500).turn("first"), 500),  // 0.0075 USD
            (&inner, claude.turn("first"), 0),    // 0.003 USD
            (&plain, gpt(500).turn("second"), 0), // 0.0025 USD
        ];
        for (task, request, output) in calls {
            task.reserve(&request).unwrap().settle(&Usage::tokens(1_000, output)).unwrap();
        }
        plain.tool_call("search").unwrap();
        let told = |by: By| {
            let rows = report(&ledger, by).rows.into_iter();
            let cells = rows.map(|row| (row.key, row.figures.spent().decimal(), row.figures.tool_calls()));
            cells.collect::<Vec<_>>()
        };
        let row = |key: &str, usd: &str, tools| (Some(key.to_owned()), usd.to_owned(), tools);
        assert_eq!(told(By::Kind), [row("extractive", "0.013", 1)]);
        let none = (None, "0.00".to_owned(), 1);
        assert_eq!(told(By::Turn), [row("first", "0.0105", 0), row("second", "0.0025", 0), none.clone()]);
        assert_eq!(told(By::Provider), [row("openai", "0.01", 0), row("anthropic", "0.003", 0), none]);
        assert_eq!(told(By::Step), [(None, "0.013".to_owned(), 1)]); // nothing ran in a step
    }
}

#[test]
fn a_report_since_a_time_holds_the_calls_reserved_since() {
    let clock = ManualClock::at(NOON);
    let config = Arc::new(Config::default());
    let ledger = Ledger::open_with_clock("memory:", config, Clock::Manual(clock.clone())).unwrap();
    let task = ledger.task("t", []).unwrap();
    let early = task.reserve(&gpt(100)).unwrap();
    clock.advance(3_600_000);
    let late = task.reserve(&gpt(200)).unwrap();
    // The early one settles within the time, and yet belongs to the time of its reserve.
    early.settle(&Usage::tokens(1_000, 100)).unwrap();
    late.settle(&Usage::tokens(1_000, 200)).unwrap();
    let since = |since| ledger.report(&ReportOptions::by(By::Task).since(since)).unwrap();
    let last = since(Since::Last(60_000));
    assert_eq!((last.totals.tokens.output, last.totals.calls()), (200, 1));
    assert_eq!(last.rows, since(Since::At(NOON + 3_600_000)).rows);
    assert_eq!(last.since, Some(NOON + 3_540_000));
    assert_eq!(since(Since::At(NOON)).totals.calls(), 2);
    assert_eq!(since(Since::At(NOON + 3_600_001)).rows, []);
}

#[test]
fn calls_in_doubt_are_listed_oldest_first_however_they_are_named() {
    let clock = ManualClock::at(NOON);
    let config = Arc::new(Config::default());
    let ledger = Ledger::open_with_clock("memory:", config, Clock::Manual(clock.clone())).unwrap();
    let task = ledger.task("t", []).unwrap();
    let reserve = |name: &str| {
        clock.advance(1);
        let call = task.reserve(&gpt(100).id(name)).unwrap();
        call.doubt().unwrap();
        call.id()
    };
    let ids: Vec<Id> = (0..20).map(|number| reserve(&format!("call-{number}"))).collect();
    let listed: Vec<Id> = ledger.doubted_calls(100).unwrap().iter().map(|call| call.id).collect();
    assert_eq!(listed, ids);
    assert_eq!(ledger.in_doubt(1).unwrap()[0].id, ids[0]);
}

#[test]
fn a_name_of_several_tasks_is_a_conflict_that_lists_them() {
    let ledger = Ledger::in_memory();
    let tasks: Vec<Task> = (0..12).map(|_| ledger.task("refund", []).unwrap()).collect();
    let error = ledger.find_task("refund").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let (newest, oldest) = (tasks[11].id().to_string(), tasks[0].id().to_string());
    assert!(error.to_string().contains(&newest) && error.to_string().ends_with(" and more"));
    assert!(!error.to_string().contains(&oldest));
    assert_eq!(ledger.find_task(&oldest).unwrap().id, tasks[0].id());
    // An id its caller gave goes before a name.
    let named = ledger.open_task(TaskOptions::new("other").id("refund")).unwrap();
    assert_eq!(ledger.find_task("refund").unwrap().id, named.id());
}

#[test]
fn what_a_ledger_in_memory_keeps_no_longer_is_told() {
    let (ledger, task) = sample();
    for _ in 0..51_000 {
        task.reserve(&gpt(0)).unwrap().settle(&Usage::tokens(1, 0)).unwrap();
    }
    let report = report(&ledger, By::Task);
    // Two entries a call, and two of the task itself; a hundred thousand are kept.
    assert_eq!((report.dropped_entries, report.totals.calls()), (2_002, 50_000));
    assert!(report.notes()[0].starts_with("2002 older entries"));
    let summary = task.summary().unwrap();
    assert_eq!((summary.spent().nanos(), summary.dropped_entries), (51_000 * 2_500, 2_002));
    assert_eq!(summary.figures.spent().nanos(), 50_000 * 2_500);
}

#[test]
fn budgets_of_each_value_stand_beside_their_pattern() {
    let ledger = Ledger::in_memory();
    let day = Limit::usd("2").unwrap().per(Window::parse("day", None).unwrap());
    ledger.set_budget(&BudgetOptions::new().per("user").limit(day)).unwrap();
    let task = ledger.open_task(TaskOptions::new("t").tag("user", "maria").unwrap()).unwrap();
    let call = task.reserve(&gpt(100)).unwrap();
    let budgets = ledger.budgets().unwrap();
    let names: Vec<_> =
        budgets.iter().map(|budget| (budget.name.as_str(), budget.value.as_deref())).collect();
    assert_eq!(names, [("user=*", None), ("user=maria", Some("maria"))]);
    let limit = &budgets[1].limits[0];
    assert_eq!((limit.pending, limit.available), (3_500_000, 2_000_000_000 - 3_500_000));
    assert!(limit.resets_at.is_some());
    call.settle(&Usage::tokens(1_000, 0)).unwrap();
    assert_eq!(ledger.budgets().unwrap()[1].limits[0].spent, 2_500_000);
}

/// Run by `an_attempt_of_a_dead_process_is_lost` in a process of its own.
#[test]
#[ignore = "dies"]
fn a_process_that_dies() {
    let Ok(store) = std::env::var("OUTLAY_TEST_STORE") else { return };
    let ledger = Ledger::open(&store, Arc::new(Config::default())).unwrap();
    let task = ledger.open_task(TaskOptions::new("refund").id("r")).unwrap();
    task.reserve(&gpt(100)).unwrap().settle(&Usage::tokens(1_000, 0)).unwrap();
    let _open = task.reserve(&gpt(100)).unwrap();
    std::process::abort();
}

#[test]
fn an_attempt_of_a_dead_process_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "a_process_that_dies", "--ignored"]).env("OUTLAY_TEST_STORE", &store);
    assert!(!child.output().unwrap().status.success());
    let ledger = Ledger::open(&store, Arc::new(Config::default())).unwrap();
    let state = ledger.find_task("r").unwrap();
    assert_eq!(state.standing, Standing::Lost);
    let summary = ledger.summary(&state.id).unwrap();
    assert_eq!(losses(&summary), [("lost attempts", 2_500_000, 1), ("calls in doubt", 3_500_000, 1)]);
    assert_eq!(ledger.doubted_calls(10).unwrap()[0].model.as_deref(), Some("gpt-4o"));
    check(&ledger);
}
