//! Does the breaker leave legitimate repetition alone, and find loops whatever differs in them?

use outlay::policy::{Breaker, Level, Step};
use serde_json::{Value, json};

/// Drawn at random by the look of it, another for each `n`.
fn drawn(n: u64) -> String {
    format!(
        "{:016x}{:016x}",
        (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        (n + 7).wrapping_mul(0xd1b5_4a32_d192_ed03)
    )
}

fn uuid(n: u64) -> String {
    let all = drawn(n);
    format!("{}-{}-4{}-a{}-{}", &all[..8], &all[8..12], &all[13..16], &all[17..20], &all[20..])
}

fn step(name: &str, args: &Value, result: impl Into<Value>) -> Value {
    json!({"kind": "tool", "name": name, "args": args, "result": result.into()})
}

fn bash(command: &str, result: impl Into<Value>) -> Value {
    step("bash", &json!({"command": command}), result)
}

fn failed(mut step: Value, error: bool) -> Value {
    step["error"] = json!(error);
    step
}

fn user(said: &str) -> Value {
    json!({"kind": "user", "result": said})
}

fn llm(said: &str) -> Value {
    json!({"kind": "llm", "result": said})
}

/// The highest level at any step, and the step of the first verdict.
fn heard(steps: impl IntoIterator<Item = Value>) -> (Level, Option<usize>) {
    let mut breaker = Breaker::default();
    let levels = steps.into_iter().map(|step| breaker.observe(&Step::from_json(&step).unwrap()).level);
    let levels: Vec<Level> = levels.collect();
    (
        levels.iter().copied().max().unwrap(),
        levels.iter().position(|level| *level != Level::Ok).map(|at| at + 1),
    )
}

type Turn = fn(u64) -> Vec<Value>;

/// What is done so many times with good reason, and the most that may be said of it.
const LEGITIMATE: &[(&str, u64, Level, Turn)] = &[
    ("things by their uuid", 10, Level::Ok, |n| {
        vec![step("update_ticket", &json!({"id": uuid(n), "status": "closed"}), "ok")]
    }),
    ("things by a digest", 10, Level::Ok, |n| {
        vec![step("revert", &json!({"id": drawn(n), "push": true}), "done")]
    }),
    ("an id further in", 10, Level::Ok, |n| {
        vec![step(
            "api",
            &json!({"method": "PATCH", "body": {"id": uuid(n), "state": "shipped"}}),
            "204 No Content",
        )]
    }),
    ("processes", 10, Level::Ok, |n| vec![step("kill_process", &json!({"pid": 3100 + n}), "killed")]),
    ("requests by number", 10, Level::Ok, |n| {
        vec![step("approve", &json!({"request_id": format!("REQ-{n}"), "ok": true}), "approved")]
    }),
    ("sessions by a drawn id", 10, Level::Ok, |n| {
        vec![step("close_session", &json!({"session_id": uuid(n)}), "closed")]
    }),
    ("traces", 10, Level::Ok, |n| {
        vec![step("get_trace", &json!({"trace_id": drawn(n), "limit": 9}), "no spans")]
    }),
    ("moments", 10, Level::Ok, |n| {
        vec![step("is_market_open", &json!({"timestamp": format!("2026-11-{}T10:00:00Z", 10 + n)}), "true")]
    }),
    ("lengths of time", 10, Level::Ok, |n| vec![step("record_lap", &json!({"elapsed": n * 3}), "recorded")]),
    ("time that remains", 12, Level::Ok, |n| {
        vec![bash("status", format!("copying to the archive, {} s remaining", 120 - 10 * n))]
    }),
    ("numbered requests", 15, Level::Ok, |n| vec![bash("./next", format!("processed req-{n}"))]),
    ("a queue of numbers", 15, Level::Ok, |n| vec![step("pop", &json!({}), json!({"request_id": n}))]),
    ("a queue of uuids", 12, Level::Nudge, |n| {
        vec![step("pop", &json!({}), json!({"task": "review", "id": uuid(n)}))]
    }),
    ("a checksum that changes", 12, Level::Nudge, |n| {
        vec![bash("md5sum out.bin", format!("{}  out.bin", drawn(n)))]
    }),
    ("a bisection", 9, Level::Nudge, |n| {
        vec![bash("make test", "ok"), bash("git bisect good", format!("[{}] update", drawn(n)))]
    }),
    ("a register", 12, Level::Nudge, |n| vec![bash("reg", format!("0x{:08x} loaded", n * 4096))]),
    ("a benchmark", 12, Level::Nudge, |n| vec![bash("./bench", format!("run took 1.{n}31s"))]),
    ("pods that start", 12, Level::Nudge, |n| {
        vec![bash("kubectl get pods", format!("NAME READY AGE\nweb-6d4cf56db6 0/1 {}s", 15 * n))]
    }),
    ("a job that runs", 12, Level::Ok, |n| {
        vec![step(
            "BashOutput",
            &json!({"bash_id": "b1"}),
            format!("<status>running</status>\n<timestamp>2026-11-22T10:00:{n:02}Z</timestamp>"),
        )]
    }),
    ("one word of waiting", 15, Level::Ok, |_| vec![step("job", &json!({"id": 1}), "running")]),
    ("waiting and looking", 15, Level::Ok, |_| {
        vec![step("sleep", &json!({"seconds": 60}), "slept"), bash("ls out", "")]
    }),
    ("questions by number", 10, Level::Ok, |n| {
        vec![
            user(&format!("question {n}")),
            step("get_cart", &json!({}), "empty"),
            llm("Your cart is empty."),
        ]
    }),
    ("a log that quotes the breaker", 20, Level::Ok, |n| {
        vec![bash("tail a.log", format!("outlay breaker: line {n} of the service"))]
    }),
    ("a log of errors", 20, Level::Ok, |n| {
        vec![failed(step("read_log", &json!({"line": n}), format!("Error: connection reset {n}")), false)]
    }),
    ("documentation of errors", 20, Level::Ok, |n| {
        vec![step(
            "docs",
            &json!({"q": n}),
            format!("Error handling: an unknown function raises NameError ({n})"),
        )]
    }),
];

/// What goes on and on, and the turn by which it has to be found.
const LOOPS: &[(&str, usize, Turn)] = &[
    ("a number of the request", 3, |n| {
        vec![step("f", &json!({"q": "x", "request_id": uuid(n), "ts": n}), "r")]
    }),
    ("a description of the command", 3, |n| {
        vec![step("Bash", &json!({"command": "ls", "description": format!("try {n}")}), "a")]
    }),
    ("an explanation of the command", 3, |n| {
        vec![step(
            "run_terminal_cmd",
            &json!({"command": "npm test", "explanation": format!("try {n}")}),
            "1 failing",
        )]
    }),
    ("a stamp before nothing", 3, |n| vec![bash("x", format!("[2026-11-22 10:00:{n:02}] "))]),
    ("a temporary file", 3, |n| vec![bash("x", format!("log in /tmp/tmp{}", &drawn(n)[..8]))]),
    ("a file of mktemp", 3, |n| vec![bash("x", format!("log in /tmp/tmp.{}", &drawn(n)[..10]))]),
    ("a folder of pytest", 3, |n| vec![bash("x", format!("/tmp/pytest-of-root/pytest-{n}/test_x0 failed"))]),
    ("minutes and seconds", 3, |n| vec![bash("x", format!("real {n}m{n}.{}s", 100 + n))]),
    ("hours", 3, |n| vec![bash("x", format!("up {n}h, {} hours, 0:00:{n:02}", n + 2))]),
    ("a process in brackets", 3, |n| vec![bash("x", format!("worker[{}]: died", 300 + n))]),
    ("a process by the word", 3, |n| vec![bash("x", format!("Process {} exited; Process ID: {n}", 300 + n))]),
    ("a thread", 3, |n| vec![bash("x", format!("Thread-{n} (worker) failed"))]),
    ("seconds since 1970", 3, |n| {
        vec![bash("x", format!("{{\"created\": {}, \"x\": 1}}", 1_763_784_513 + n))]
    }),
    ("microseconds since 1970", 3, |n| vec![bash("x", format!("{} boom", 1_763_784_513_000_000 + n))]),
    ("a port", 3, |n| vec![bash("x", format!("127.0.0.1:{} refused", 40_000 + n))]),
    ("a short commit", 3, |n| vec![bash("x", format!("HEAD is now at {n:02}ab{n:02}f fix"))]),
    ("tracebacks under other arguments", 5, |n| {
        let said = format!("Traceback (most recent call last):\nModuleNotFoundError: No module named 'm{n}'");
        vec![step("py", &json!({"code": n}), said)]
    }),
    ("return codes under other arguments", 5, |n| {
        vec![bash(
            &format!("foo{n}"),
            format!("<returncode>127</returncode>\nbash: foo{n}: command not found"),
        )]
    }),
    ("errors in JSON", 5, |n| vec![step("get", &json!({"n": n}), json!({"error": "not available"}))]),
    ("five jobs in turn", 20, |_| {
        (0..5).map(|job| step("get_status", &json!({"id": job}), "running")).collect()
    }),
    ("six orders in turn", 20, |_| {
        (0..6).map(|order| step("check", &json!({"order": order}), "pending")).collect()
    }),
    ("a sentence about processing", 3, |_| {
        vec![step("order", &json!({"n": 1}), "The order 12 is processing since Monday.")]
    }),
    ("git status", 3, |_| vec![step("git_status", &json!({}), "clean"), step("git_diff", &json!({}), "")]),
    ("tools that are not there", 3, |n| {
        let name = format!("tool{n}");
        let said = format!("Tool '{name}' not found in agent Support");
        vec![failed(step(&name, &json!({"n": n}), said), true)]
    }),
    ("complaints of a parser", 10, |n| {
        let answer = json!({"kind": "llm", "result": "x", "malformed": true});
        vec![answer, user(&format!("Expecting value: line {n} {}", uuid(n)))]
    }),
    ("two automatic users", 5, |n| {
        vec![bash("ls", "a"), user(if n % 2 == 0 { "Continue." } else { "Go on." })]
    }),
    ("an automatic user who counts", 4, |n| {
        vec![llm("I am sorry."), user(&format!("attempt {n}: continue"))]
    }),
];

#[test]
fn legitimate_repetition_is_left_alone() {
    let judged =
        LEGITIMATE.iter().map(|(name, turns, most, turn)| (name, most, heard((0..*turns).flat_map(turn))));
    let alarms: Vec<_> = judged.filter(|(_, most, (highest, _))| highest > *most).collect();
    assert!(alarms.is_empty(), "{alarms:?}");
}

#[test]
fn loops_are_found_whatever_differs_in_them() {
    let judged = LOOPS.iter().map(|(name, within, turn)| (name, heard((0..*within as u64).flat_map(turn)).1));
    let missed: Vec<_> = judged.filter(|(_, first)| first.is_none()).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn a_masked_change_reaches_the_levels_above_a_nudge_at_three_times_the_count() {
    let mut breaker = Breaker::default();
    let steps = (0..40).map(|n| bash("./bench", format!("took {n}.5 s")));
    let levels: Vec<Level> =
        steps.map(|step| breaker.observe(&Step::from_json(&step).unwrap()).level).collect();
    let first = [Level::Nudge, Level::Refuse, Level::Pause, Level::Stop]
        .map(|level| levels.iter().position(|one| *one == level));
    assert_eq!(first.map(|at| at.map(|at| at + 1)), [3, 13, 22, 34].map(Some));
}

#[test]
fn other_errors_after_a_refusal_are_news() {
    let mut steps = vec![bash("q", "same"); 5];
    steps.extend(
        (0..8_u8).map(|n| failed(bash("q", format!("HTTP 4{n:02}: {}", char::from(b'a' + n))), true)),
    );
    let mut breaker = Breaker::default();
    let levels: Vec<Level> =
        steps.iter().map(|step| breaker.observe(&Step::from_json(step).unwrap()).level).collect();
    assert_eq!(levels[4], Level::Refuse);
    assert!(levels[5..].iter().all(|level| *level == Level::Ok), "{levels:?}");
}

#[test]
fn only_answers_that_can_be_read_end_a_row_of_those_that_cannot() {
    let broken = json!({"kind": "llm", "result": "x", "malformed": true});
    let mut steps = vec![broken.clone(); 9];
    steps.extend([llm("Here it is."), llm("And the next."), broken]);
    assert_eq!(heard(steps).0, Level::Ok);
}
