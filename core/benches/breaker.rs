//! What a decision of the breaker costs: `cargo bench -p outlay --bench breaker`.
//!
//! Thread CPU time per observed step, median of rounds, and the bytes of the state, after 10, 1,000
//! and 100,000 earlier steps. A step is as in recorded runs of coding agents: 260 bytes of arguments
//! and 340 bytes of result on average. Nothing is asserted: the figures are for reading.

use std::{borrow::Cow, hint::black_box, time::Duration};

use outlay::policy::{Breaker, Step, StepKind};
use serde_json::{Value, json};

const ROUNDS: usize = 31;
const STEPS: usize = 64;

fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Nanoseconds per repetition, median of rounds.
fn median_ns(repetitions: usize, mut act: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = cpu();
            (0..repetitions).for_each(|_| act());
            cpu().saturating_sub(start).as_nanos() as f64 / repetitions as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// What a coding agent calls and gets, with numbers, paths and times in it.
fn calls(result_bytes: usize) -> Vec<(Value, String)> {
    let call = |n: usize| {
        let command = format!("cd /testbed && sed -n '{n},{}p' module/part_{n}.py | grep -v '^#' ", n + 40);
        let args = json!({"command": command.repeat(3), "timeout": 30});
        let line =
            format!("  File \"module/part_{n}.py\", line {n}, in test_separable: assert value == expected\n");
        let mut result =
            format!("<returncode>0</returncode>\nran {n} tests in 0.{n}s at 0x7f3a9c00{n:04x}\n");
        result.push_str(&line.repeat(result_bytes / line.len() + 1));
        result.truncate(result_bytes);
        (args, result)
    };
    (0..STEPS).map(call).collect()
}

fn step((args, result): &(Value, String), error: bool) -> Step<'_> {
    let mut step = Step::new(StepKind::Tool, "bash");
    (step.args, step.result, step.error) = (Some(args), Cow::Borrowed(result.as_str()), Some(error));
    step
}

fn row(what: &str, measured: f64, unit: &str, bar: &str) {
    println!("{what:<52}{measured:>10.1} {unit:<6}bar {bar}");
}

fn main() {
    let typical = calls(340);
    for before in [10, 1_000, 100_000] {
        let mut breaker = Breaker::default();
        for n in 0..before {
            breaker.observe(&step(&typical[n % STEPS], n % 7 == 0));
        }
        let mut n = 0;
        let each = median_ns(2_000, || {
            n += 1;
            black_box(breaker.observe(&step(&typical[n % STEPS], n % 7 == 0)));
        });
        row(&format!("breaker decision after {before} steps"), each, "ns", "3000 ns");
        row(&format!("breaker state after {before} steps"), breaker.state().len() as f64, "B", "8192 B");
    }
    for bytes in [2_000, 10_000] {
        let long = calls(bytes);
        let (mut breaker, mut n) = (Breaker::default(), 0);
        let each = median_ns(500, || {
            n += 1;
            black_box(breaker.observe(&step(&long[n % STEPS], false)));
        });
        row(&format!("breaker decision on {bytes} bytes of result"), each, "ns", "–");
    }
    let text = "The model goes on, and says something else in each of its sentences. ";
    let mut breaker = Breaker::default();
    let each = median_ns(2_000, || {
        black_box(breaker.observe_stream(text));
    });
    row(&format!("breaker on {} bytes of a stream", text.len()), each, "ns", "–");
}
