//! Reports say what the balances say, whatever happened before.

use std::sync::Arc;

use outlay::{
    Attempt, Balance, Call, Clock, Config, Ledger, Limit, ManualClock, Money, Request, Task, TaskOptions,
    Unit, Usage, Window,
    report::{By, Figures, Report, ReportOptions, Standing, Summary},
    run::BudgetOptions,
};
use proptest::{collection::vec, prelude::*};

const MODELS: [&str; 3] = ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"];
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
        1 => Just(Step::Void),
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

/// One program: a stack of tasks, and the calls that are open in it.
struct Program {
    ledger: Ledger,
    clock: ManualClock,
    stack: Vec<(Task, Vec<Call>)>,
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
        let mut program = Self { ledger, clock, stack: Vec::new(), opened: 0 };
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
            Step::Void => calls.pop().into_iter().for_each(|call| call.void().unwrap()),
            Step::Doubt => calls.pop().into_iter().for_each(|call| call.doubt().unwrap()),
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
                if let Some(call) = self.ledger.in_doubt(1).unwrap().first() {
                    let usage = billed.then(|| Usage::tokens(10, 10));
                    self.ledger.resolve(call.id, usage, "ops").unwrap();
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
    for by in [By::Task, By::Attempt, By::Agent, By::Model, By::Tag("tenant".into()), By::Tag("x".into())] {
        let report = report(ledger, by);
        assert_eq!(report.totals.balance, kept, "{}", report.by);
        assert_eq!(sum(report.rows.iter().map(|row| &row.figures)), kept, "{}", report.by);
        let tokens = report.totals.usage.total_tokens();
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
    fn reports_add_up_to_the_balances_in_a_file(steps in vec(step(), 0..60)) {
        let folder = tempfile::tempdir().unwrap();
        run(&format!("sqlite:{}", folder.path().join("ledger.db").display()), &steps);
    }
}
