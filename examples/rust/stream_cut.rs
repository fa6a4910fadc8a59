//! A stream that does not end: it is stopped when what was held for it is used up.
//!
//! The caller says by `Terms::max_usd` what the answer can cost, though the request allows more.
//! The answer goes on and on. It is cut, the text that came until then stays, and the call is
//! settled at all that was held, since more than that came. No model is called: the events are
//! made here.
//!
//! Run it with `cargo run -q --example stream_cut`. It prints what
//! `examples/python/stream_cut.py` prints.

use outlay::{
    Ledger, Limit, Money, Outcome, Result,
    meter::Api,
    run::{Exchange, Terms},
};
use serde_json::json;

const SENTENCE: &str = "Then the agent looked at the order again.";
const SENTENCES: usize = 300;

fn main() -> Result<()> {
    let task = Ledger::in_memory().task("story", [Limit::usd("0.50")?])?;
    let body = json!({
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Tell me how the refund went."}],
        "max_tokens": 4_000,
        "stream": true,
    });
    let terms = Terms { max_usd: Some(Money::parse("0.002")?), ..Terms::default() };
    let exchange = task.exchange(Api::OpenAiChat, body.to_string().as_bytes(), &terms)?;
    // Here the body goes out, with the fields of `exchange.patch()` set in it.
    println!("held {}", exchange.call().reserved());
    read(&exchange);

    if let Some(Outcome::Settled(settled)) = exchange.call().outcome() {
        let how = if settled.estimated { "estimated" } else { "exact" };
        println!("settled {}, {how}", settled.charge);
    }
    let (balance, available) = (task.balance()?, task.available()?.unwrap_or_default());
    let (spent, pending) = (balance.settled.usd(), balance.pending.usd());
    println!("task: spent {spent}, pending {pending}, available {available}");
    Ok(())
}

/// Reads the answer and keeps what came.
fn read(exchange: &Exchange) {
    let story = [SENTENCE; SENTENCES].join(" ");
    let mut text = String::new();
    for word in story.split_inclusive(' ') {
        let event = json!({"choices": [{"index": 0, "delta": {"content": word}}]});
        let bytes = format!("data: {event}\n\n");
        // What is to be handed on to the reader of the stream, if there is one.
        let mut out = Vec::new();
        if let Err(cut) = exchange.push(bytes.as_bytes(), &mut out) {
            // Here the connection is closed.
            println!("kept: \"{}\"", &text[..SENTENCE.len()]);
            let held = exchange.call().reserved();
            println!("cut: {}, the {held} held for it are used up", cut.kind().code());
            return;
        }
        text.push_str(word);
    }
}
