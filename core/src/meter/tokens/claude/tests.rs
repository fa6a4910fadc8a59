use std::fs;

use serde_json::Value;

use super::*;
use crate::meter::tokens::{Count, Streamed, count};

const ALL: [Encoding; 3] = [Encoding::Claude3, Encoding::Claude47, Encoding::Claude48];

/// Texts and what the reference counts for them, in the order of [`ALL`].
fn vectors() -> Vec<(String, Vec<u64>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/claude_tokens.json");
    let vectors: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let row = |row: &Value| {
        let counts = row[1].as_array().unwrap().iter().map(|count| count.as_u64().unwrap());
        (row[0].as_str().unwrap().to_owned(), counts.collect())
    };
    vectors["texts"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn counts_as_the_reference_does() {
    let vectors = vectors();
    assert!(vectors.len() > 500);
    for (text, truth) in vectors.iter().filter(|(text, _)| !text.is_empty()) {
        let ours = ALL.map(|encoding| tokens(encoding, None, text));
        assert_eq!(ours[..], truth[..], "{text:?}");
    }
}

/// The reference's own probes and the provider's answers, if `claude.py --probes` wrote them, or
/// other texts and the reference's counts, if `claude.py --texts` did.
#[test]
fn counts_as_the_provider_answered() {
    let Ok(path) = std::env::var("OUTLAY_CLAUDE_PROBES") else {
        eprintln!("skipped: OUTLAY_CLAUDE_PROBES names no file");
        return;
    };
    let mut wrong = Vec::new();
    let mut tried = 0;
    for line in fs::read_to_string(path).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let named = ["claude3", "claude47", "claude48"].iter().position(|name| line["encoding"] == *name);
        let encoding = ALL[named.unwrap()];
        for (text, truth) in line["probes"].as_object().unwrap() {
            tried += 1;
            let ours = tokens(encoding, None, text);
            if Some(ours) != truth.as_u64() {
                wrong.push((encoding, text.clone(), ours, truth.clone()));
            }
        }
    }
    eprintln!("{tried} probes, {} counted otherwise", wrong.len());
    assert!(wrong.is_empty() && tried > 0, "{:?}", &wrong[..wrong.len().min(20)]);
}

#[test]
fn a_cut_changes_nothing() {
    let mut cuts = 0;
    for (text, _) in vectors().into_iter().filter(|(text, _)| text.len() < 300) {
        for (at, next) in text.char_indices().skip(1) {
            let previous = text[..at].chars().next_back().unwrap();
            if !is_cut(previous, next) {
                continue;
            }
            cuts += 1;
            for encoding in ALL {
                let parts =
                    tokens(encoding, None, &text[..at]) + tokens(encoding, Some(previous), &text[at..]);
                assert_eq!(parts, tokens(encoding, None, &text), "{encoding:?} {text:?} at {at}");
            }
        }
    }
    assert!(cuts > 1_000, "only {cuts} cuts were tried");
}

#[test]
fn a_stream_counts_as_its_whole_text_does() {
    let all: String = vectors().into_iter().map(|(text, _)| text).collect();
    for encoding in ALL {
        for size in [1, 3, 17, 400] {
            let mut streamed = Streamed::new(encoding);
            let mut rest = all.as_str();
            while !rest.is_empty() {
                let (delta, after) = rest.split_at(rest.ceil_char_boundary(size));
                streamed.push(delta);
                rest = after;
            }
            assert_eq!(streamed.tokens(), count(encoding, &all), "{encoding:?} in pieces of {size}");
            assert_eq!(streamed.tokens().tokens, tokens(encoding, None, &all));
        }
    }
}

#[test]
fn only_a_run_without_a_cut_costs_exactness() {
    for encoding in ALL {
        let long = "q".repeat(encoding.run_max_bytes() - 1);
        assert!(count(encoding, &format!("a {long}")).exact);
        let Count { tokens, exact } = count(encoding, &format!("a b{long} c"));
        assert!(!exact && tokens >= TOKENS_PER_BYTE * long.len() as u64);
    }
}

#[test]
fn no_text_has_more_tokens_than_its_ceiling() {
    for text in [
        "A1".repeat(500),
        "É1".repeat(500),
        "! ".repeat(500),
        "\u{1d160}".repeat(500),
        "\u{344}1".repeat(500),
    ] {
        for encoding in ALL {
            assert!(tokens(encoding, None, &text) <= TOKENS_PER_BYTE * text.len() as u64, "{:?}", &text[..8]);
        }
    }
}
