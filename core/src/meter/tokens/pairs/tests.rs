use std::collections::BTreeMap;
use std::{env, fs};

use super::*;
use crate::meter::tokens::{Count, Streamed, count};

const ALL: [(&str, Encoding); 5] = [
    ("o200k", Encoding::O200k),
    ("cl100k", Encoding::Cl100k),
    ("deepseek", Encoding::DeepSeek),
    ("qwen", Encoding::Qwen),
    ("tekken", Encoding::Tekken),
];

type Vector = (String, BTreeMap<String, Vec<u32>>);

/// Texts and the ids that the references make of them, by `core/vocab/pairs.py`.
fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../../../../tests/vectors/pair_tokens.json")).unwrap()
}

#[test]
fn the_references_make_the_same_ids() {
    for (text, truth) in vectors() {
        for (name, encoding) in ALL {
            assert_eq!(ids(encoding, &text), truth[name], "{name}: {text:?}");
        }
    }
}

/// Texts take each other's places among what was seen, and every encoding has its own.
#[test]
fn what_was_seen_before_counts_as_it_did() {
    for _ in 0..2 {
        for (text, truth) in vectors() {
            for (name, encoding) in ALL {
                assert_eq!(tokens(encoding, &text), truth[name].len() as u64, "{name}: {text:?}");
            }
        }
    }
    // Zeros fill up what is kept of a shorter piece.
    for text in ["\0", "\0\0", "\0\0\0", "=", "=\0", "=\0\0"] {
        for (name, encoding) in ALL {
            assert_eq!(tokens(encoding, text), ids(encoding, text).len() as u64, "{name}: {text:?}");
        }
    }
}

/// `v/bin/python core/vocab/pairs.py --texts FOLDER… > texts.jsonl`, then
/// `OUTLAY_PAIR_TEXTS=texts.jsonl cargo test --release -p outlay the_references`.
#[test]
fn the_references_make_the_same_ids_of_files() {
    let Ok(path) = env::var("OUTLAY_PAIR_TEXTS") else { return };
    let (mut texts, mut bytes) = (0, 0);
    for line in std::io::BufRead::lines(std::io::BufReader::new(fs::File::open(path).unwrap())) {
        let (text, truth): Vector = serde_json::from_str(&line.unwrap()).unwrap();
        for (name, encoding) in ALL {
            assert_eq!(ids(encoding, &text), truth[name], "{name}: {text:?}");
        }
        (texts, bytes) = (texts + 1, bytes + text.len());
    }
    println!("{texts} texts, {bytes} bytes");
    assert!(texts > 0);
}

#[test]
fn a_stream_counts_as_its_whole_text_does() {
    let all: String = vectors().into_iter().map(|(text, _)| text + " ").collect();
    for (_, encoding) in ALL {
        for size in [1, 3, 17, 400] {
            let mut streamed = Streamed::new(encoding);
            let mut rest = all.as_str();
            while !rest.is_empty() {
                let (delta, after) = rest.split_at(rest.ceil_char_boundary(size));
                streamed.push(delta);
                assert!(streamed.lowest() <= streamed.tokens().tokens);
                rest = after;
            }
            assert_eq!(streamed.tokens(), count(encoding, &all), "{encoding:?} in pieces of {size}");
            assert_eq!(streamed.tokens(), Count { tokens: tokens(encoding, &all), exact: true });
        }
    }
}

#[test]
fn no_text_has_more_tokens_than_its_ceiling() {
    for text in
        ["\u{1d160}".repeat(600), "\u{fb2c}".repeat(600), "\u{958}".repeat(600), "\u{e000}".repeat(600)]
    {
        for (_, encoding) in ALL {
            let Count { tokens: ceiling, exact } = count(encoding, &text);
            assert!(!exact && tokens(encoding, &text) <= ceiling, "{:?}", &text[..4]);
        }
    }
}

#[test]
fn characters_are_composed_for_qwen_alone() {
    let (apart, together) = ("cafe\u{301} \u{1112}\u{1161}\u{11ab}", "café 한");
    assert_eq!(ids(Encoding::Qwen, apart), ids(Encoding::Qwen, together));
    assert_ne!(ids(Encoding::DeepSeek, apart), ids(Encoding::DeepSeek, together));
    assert_ne!(ids(Encoding::Tekken, apart), ids(Encoding::Tekken, together));
}
