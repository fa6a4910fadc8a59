//! How fast are tokens counted, at best, at worst, first and again?
//! `cargo bench -p outlay --bench tokens`.
//!
//! CPU time of the thread. Nothing is asserted: machines differ, and the figures are for reading.

use std::{fs, path::Path, time::Duration};

use outlay::{
    Ledger, Limit,
    meter::{
        Api,
        tokens::{Encoding, count},
    },
    run::exchange::Terms,
};
use serde_json::json;

const ENCODINGS: [(&str, Encoding); 7] = [
    ("o200k", Encoding::O200k),
    ("cl100k", Encoding::Cl100k),
    ("deepseek", Encoding::DeepSeek),
    ("qwen", Encoding::Qwen),
    ("tekken", Encoding::Tekken),
    ("claude3", Encoding::Claude3),
    ("claude48", Encoding::Claude48),
];
const MIB: usize = 1 << 20;
const ROUNDS: usize = 5;

fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn timed<T>(act: impl FnOnce() -> T) -> (T, f64) {
    let start = cpu();
    let result = act();
    (result, cpu().saturating_sub(start).as_secs_f64())
}

/// The files of the repository with this ending, one after the other.
fn files(folder: &str, ending: &str) -> String {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, ending, found);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), ending, &mut found);
    found.sort();
    found.concat()
}

/// Repeats random choices until there is a MiB of text; seeded, so that every run has the same.
fn random(choose: impl Fn(u64) -> char) -> String {
    let mut state = 1_u64;
    let mut text = String::new();
    while text.len() < MIB {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(choose(state >> 33));
    }
    text
}

fn texts() -> Vec<(&'static str, String)> {
    const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let any = |n: u64| char::from_u32((n % 0x11_0000) as u32).unwrap_or('?');
    vec![
        ("our docs", files("..", "md")),
        ("our Rust", files("src", "rs")),
        ("our price JSON", files("prices", "json")),
        ("1 MiB of one letter", "a".repeat(MIB)),
        ("1 MiB of spaces", " ".repeat(MIB)),
        ("1 MiB of newlines", "\n".repeat(MIB)),
        ("random letters", random(|n| char::from(b'a' + (n % 26) as u8))),
        ("random capitals and digits", random(|n| char::from(b"AQ1"[(n % 3) as usize]))),
        ("random Han", random(|n| char::from_u32(0x4E00 + (n % 20_000) as u32).unwrap())),
        ("random Unicode", random(any)),
        ("random base64", random(|n| char::from(BASE64[(n % 64) as usize]))),
    ]
}

fn speeds() {
    for (name, encoding) in ENCODINGS {
        let (_, seconds) = timed(|| count(encoding, "hello world"));
        println!("{name:<10}first count after the start, vocabulary loaded {:>10.1} ms", seconds * 1e3);
    }
    println!("\n{:<28}{:>12}{:>34}", "", "MB/s, first", "MB/s, median | ms for all | exact");
    for (what, text) in texts() {
        for (name, encoding) in ENCODINGS {
            let (counted, first) = timed(|| count(encoding, &text));
            let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| timed(|| count(encoding, &text)).1).collect();
            rounds.sort_by(f64::total_cmp);
            let (median, megabytes) = (rounds[ROUNDS / 2], text.len() as f64 / 1e6);
            println!(
                "{what:<28}{name:<9}{:>8.1}{:>12.1}{:>12.1} ms  {:>8} {}",
                megabytes / first,
                megabytes / median,
                median * 1e3,
                counted.tokens,
                if counted.exact { "exact" } else { "ceiling" },
            );
        }
    }
}

/// The whole way of a request to its bound, for a conversation that grows by one message.
fn recounts() {
    let words = files("..", "md");
    let messages: Vec<_> = (0..400)
        .map(|n| {
            let at = words.floor_char_boundary(n * 1_000 % (words.len() - 4_000));
            let end = words.floor_char_boundary(at + 3_000);
            json!({"role": "user", "content": format!("{n} {}", &words[at..end])})
        })
        .collect();
    for model in ["gpt-4o", "claude-sonnet-5"] {
        let task = Ledger::in_memory().task("recount", [Limit::usd("1000").unwrap()]).unwrap();
        let api = if model == "gpt-4o" { Api::OpenAiChat } else { Api::AnthropicMessages };
        let body = |length: usize| {
            json!({"model": model, "max_tokens": 10, "messages": messages[..length]}).to_string().into_bytes()
        };
        let (whole, grown) = (body(399), body(400));
        let terms = Terms::default();
        let (first, whole_seconds) = timed(|| task.outgoing(api, &whole, &terms).unwrap());
        let (second, grown_seconds) = timed(|| task.outgoing(api, &grown, &terms).unwrap());
        drop((first, second));
        println!(
            "\n{model}: 399 messages, {:.1} MB, read and counted {:.1} ms; with one more {:.2} ms: 1/{:.0}",
            whole.len() as f64 / 1e6,
            whole_seconds * 1e3,
            grown_seconds * 1e3,
            whole_seconds / grown_seconds
        );
    }
}

fn main() {
    speeds();
    recounts();
}
