//! What `tests/instructions.py` counts: `balances`, `price`, and `call STORE EARLIER`, a guarded
//! call behind so many earlier ones. `fill STORE EARLIER` makes the earlier ones only.
//!
//! Each round of [`counted`] is one act; what stands round it is not counted.

use std::{env, hint::black_box, sync::Arc, thread};

use outlay::{
    Config, Ledger, Limit, Request, Task, Unit, Usage,
    meter::PriceBook,
    policy::{
        Amounts, Window,
        budget::{Ask, Balance, Output, View, decide},
        limit::Ceiling,
    },
};

const ROUNDS: usize = 31;
/// How many of the earlier calls share a task that stays open.
const CALLS_PER_TASK: usize = 100;
/// A file is filled by many, who share commits.
const FILLERS: usize = 16;

#[inline(never)]
fn counted(mut act: impl FnMut()) {
    act();
}

fn rounds(mut act: impl FnMut()) {
    (0..ROUNDS).for_each(|_| counted(&mut act));
}

/// Four accounts of three limits each: decide, hold, release, settle.
fn balances() {
    let ceiling = Ceiling { hard: [Some(1 << 60), Some(1 << 60), Some(1 << 60), None], ..Ceiling::default() };
    let mut held = [Balance::default(); 4];
    let ask = Ask {
        fixed_pico: 2_500_000_000,
        output_pico: 10_000_000,
        input_tokens: 1_000,
        choices: 1,
        output: Output::Exactly(500),
        llm_calls: 1,
        tool_calls: 0,
    };
    let used = Amounts([7_500_000, 1_500, 1, 0]);
    rounds(|| {
        let window = &Window::Life;
        let view =
            |balance: Balance| View { label: "task", ceiling: &ceiling, window, balance, deadline: None };
        let views = [view(held[0]), view(held[1]), view(held[2]), view(held[3])];
        let grant = decide(black_box(&views), &ask, 0).expect("there is room");
        for balance in &mut held {
            let pending = Balance { pending: grant.amounts, ..Balance::default() };
            let settled = Balance { pending: grant.amounts.negated(), settled: used, ..Balance::default() };
            let sum = balance.checked_add(&pending).and_then(|sum| sum.checked_add(&settled));
            *balance = sum.expect("it fits");
        }
    });
}

fn price() {
    let price = PriceBook::bundled().find(None, "gpt-4o", 0).expect("a price");
    let usage = Usage::tokens(1_000, 500);
    rounds(|| drop(black_box(price.charge(black_box(&usage)))));
}

fn open(ledger: &Ledger) -> Task {
    let limits =
        [Limit::usd("1000000").expect("a limit"), Limit::new(Unit::Tokens, 1 << 50).expect("a limit")];
    ledger.task("counted", limits).expect("a task")
}

fn call(task: &Task, request: &Request) {
    let call = task.reserve(request).expect("there is room");
    call.settle(&Usage::tokens(1_000, 500)).expect("it settles");
}

/// Makes `calls` calls and returns the tasks they were made under, still open.
fn fill(ledger: &Ledger, calls: usize) -> Vec<Task> {
    let request = request();
    let mut tasks = Vec::new();
    for no in 0..calls {
        if no % CALLS_PER_TASK == 0 {
            tasks.push(open(ledger));
        }
        call(&tasks[no / CALLS_PER_TASK], &request);
    }
    tasks
}

fn request() -> Request {
    Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500)
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ledger = |store| Ledger::open(store, Arc::new(Config::default())).expect("a ledger");
    let number = |text: &str| text.parse::<usize>().expect("a number of calls");
    match arguments[..] {
        ["balances"] => balances(),
        ["price"] => price(),
        ["call", store, earlier] => {
            let ledger = ledger(store);
            let _open = fill(&ledger, number(earlier));
            let (task, request) = (open(&ledger), request());
            rounds(|| call(&task, &request));
        }
        ["fill", store, earlier] => {
            let (ledger, calls) = (ledger(store), number(earlier));
            let part = |no| calls / FILLERS + usize::from(no < calls % FILLERS);
            thread::scope(|scope| {
                for no in 0..FILLERS {
                    let ledger = &ledger;
                    scope.spawn(move || fill(ledger, part(no)));
                }
            });
        }
        _ => panic!("counted balances | price | call STORE EARLIER | fill STORE EARLIER"),
    }
}
