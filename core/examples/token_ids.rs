//! Which tokens does our engine make of a text?
//!
//! Reads one JSON object a line, `{"encoding": "o200k_base", "text": "…"}`, and prints one a line:
//! the engine's ids, our count of the whole text, and our count of the same text streamed in
//! pieces. `python/tests/test_token_ids.py` compares all of it with Python tiktoken.
//!
//! ```console
//! $ echo '{"encoding": "o200k_base", "text": "hello world"}' | cargo run -q --example token_ids
//! {"ids":[24912,2375],"tokens":2,"exact":true,"streamed":2,"lowest":2}
//! ```

use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};

use outlay::meter::tokens::{Encoding, Streamed, count, ids};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Question {
    encoding: String,
    text: String,
}

#[derive(Serialize)]
struct Answer {
    ids: Vec<u32>,
    tokens: u64,
    exact: bool,
    streamed: u64,
    lowest: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        let Question { encoding, text } = serde_json::from_str(&line?)?;
        let encoding = match encoding.as_str() {
            "o200k_base" => Encoding::O200k,
            "cl100k_base" => Encoding::Cl100k,
            other => return Err(format!("unknown encoding `{other}`").into()),
        };
        let whole = count(encoding, &text);
        let streamed = stream(encoding, &text);
        let answer = Answer {
            ids: ids(encoding, &text).ok_or("only a reconstruction")?,
            tokens: whole.tokens,
            exact: whole.exact,
            streamed: streamed.tokens().tokens,
            lowest: streamed.lowest(),
        };
        serde_json::to_writer(&mut out, &answer)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Pushes the text in pieces of very different sizes, all of them small at first.
fn stream(encoding: Encoding, text: &str) -> Streamed {
    let mut streamed = Streamed::new(encoding);
    let mut rest = text;
    for size in [1, 2, 3, 5, 8, 13, 400].into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (delta, after) = rest.split_at(rest.ceil_char_boundary(size));
        streamed.push(delta);
        rest = after;
    }
    streamed
}
