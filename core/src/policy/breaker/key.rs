//! When are two calls the same? Digests of the call, of its result and of its error.
//!
//! Arguments are the same whatever the order of their keys, their white space and the keys declared
//! volatile; results and errors are the same when nothing but volatile values differs, and another
//! digest tells whether one did.

use serde_json::Value;

use super::{
    config::Rule,
    hash::{Digest, of},
    mask::{Named, Sink, is_drawn, masked},
};

/// Deeper arguments are the same below this.
const DEPTH_MAX: u32 = 64;
/// How much of an error is read, from each of its ends.
const ERROR_END_MAX: usize = 512;

/// What stands for a mask in a digest.
const MASK: u64 = u64::MAX;

/// Digests of the masked text and of what the masks cover.
struct Halves {
    told: Digest,
    covered: Digest,
}

impl Sink for Halves {
    fn plain(&mut self, piece: &[u8]) {
        self.told.bytes(piece);
    }

    fn mask(&mut self, covered: &[u8]) {
        self.told.number(MASK);
        self.covered.bytes(covered);
    }
}

/// Which arguments and results of a tool count.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub tool: &'a str,
    pub rule: Option<&'a Rule>,
    pub volatile: &'a [String],
}

/// The tool with its canonical arguments.
pub(super) fn call(name: &str, args: Option<&Value>, terms: Terms<'_>) -> u64 {
    let mut digest = Digest::new(1);
    digest.bytes(name.as_bytes());
    // Some frameworks hand over the arguments as the text the model wrote.
    let parsed = match args {
        Some(Value::String(text)) if text.trim_start().starts_with('{') => serde_json::from_str(text).ok(),
        _ => None,
    };
    match parsed.as_ref().or(args) {
        Some(Value::Object(members)) => {
            let wanted = terms.rule.map_or(&[][..], |rule| &rule.loop_key);
            let counts = |key: &str| wanted.is_empty() || wanted.iter().any(|one| one == key);
            digest.number(object(members.iter().filter(|(key, _)| counts(key)), terms, 0));
        }
        Some(other) => digest.number(value(other, terms, 0)),
        None => {}
    }
    digest.finish()
}

/// The same for what a hook gave as the key.
pub(super) fn named(name: &str, key: &str) -> u64 {
    let mut digest = Digest::new(1);
    digest.bytes(name.as_bytes());
    digest.bytes(key.as_bytes());
    digest.finish()
}

/// The sum over the members, so that their order does not matter.
fn object<'a>(
    members: impl Iterator<Item = (&'a String, &'a Value)> + Clone,
    terms: Terms<'_>,
    depth: u32,
) -> u64 {
    let runs = members.clone().any(|(key, _)| matches!(key.as_str(), "command" | "cmd" | "code"));
    let part = |(key, member): &(&String, &Value)| Part::of(key, member, terms, runs);
    // Where there is nothing else, a thought or a time is what the call is about.
    let most = members.clone().map(|member| part(&member)).min().filter(|most| *most != Part::Noise);
    members.filter(|member| Some(part(member)) == most).fold(2_u64, |sum, (key, member)| {
        let mut digest = Digest::new(3);
        digest.bytes(key.as_bytes());
        digest.number(value(member, terms, depth + 1));
        sum.wrapping_add(digest.finish())
    })
}

/// What a member of the arguments is to the call; what comes first counts, and only that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Asked,
    /// What the model says about it.
    Thought,
    /// When it was made.
    Time,
    /// Declared not to matter, or known to differ at every call.
    Noise,
}

impl Part {
    /// `runs`: does a command stand beside it, which says all there is?
    fn of(key: &String, member: &Value, terms: Terms<'_>, runs: bool) -> Self {
        if terms.rule.is_some_and(|rule| rule.ignore.contains(key)) || terms.volatile.contains(key) {
            return Self::Noise;
        }
        match (key.as_str(), Named::of(key.as_bytes())) {
            ("thought" | "thoughts" | "reasoning" | "rationale", _) => Self::Thought,
            ("description" | "explanation" | "reason", _) if runs => Self::Thought,
            (_, Some(Named::Nonce)) => Self::Noise,
            (_, Some(Named::Time)) => Self::Time,
            (_, Some(Named::Id)) if !is_about(terms.tool, key) && is_random(member) => Self::Noise,
            _ => Self::Asked,
        }
    }
}

/// Does the tool act on what this names, as `close_session` on a `session_id`?
fn is_about(tool: &str, key: &str) -> bool {
    let thing = key.trim_end_matches(['i', 'd', 'I', 'D', '_', '-']).as_bytes();
    tool.as_bytes().windows(thing.len().max(1)).any(|part| part.eq_ignore_ascii_case(thing))
}

fn is_random(id: &Value) -> bool {
    match id {
        Value::String(text) => is_drawn(text.as_bytes()),
        Value::Number(number) => is_drawn(number.to_string().as_bytes()),
        _ => false,
    }
}

fn value(value_: &Value, terms: Terms<'_>, depth: u32) -> u64 {
    if depth > DEPTH_MAX {
        return 4;
    }
    match value_ {
        Value::Null => 5,
        Value::Bool(flag) => 6 + u64::from(*flag),
        Value::Number(number) => {
            let text = number.to_string();
            of(8, text.strip_suffix(".0").unwrap_or(&text).as_bytes())
        }
        Value::String(text) => words(text),
        Value::Array(items) => {
            let mut digest = Digest::new(9);
            items.iter().for_each(|item| digest.number(value(item, terms, depth + 1)));
            digest.finish()
        }
        Value::Object(members) => object(members.iter(), terms, depth),
    }
}

/// A text by its words, whatever stands between them.
fn words(text: &str) -> u64 {
    let mut digest = Digest::new(10);
    for word in text.as_bytes().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        digest.bytes(word);
    }
    digest.finish()
}

/// What the call gave, masked, and what of it the masks cover; of the fields that mean progress only, where
/// the tool declares them.
pub(super) fn result(text: &str, error: bool, terms: Terms<'_>) -> (u64, u64) {
    let progress = terms.rule.map_or(&[][..], |rule| &rule.progress);
    let parsed: Option<Value> = if progress.is_empty() { None } else { serde_json::from_str(text).ok() };
    let mut digest = Digest::new(u64::from(error));
    match parsed {
        Some(Value::Object(members)) => {
            let counts = members.iter().filter(|(key, _)| progress.contains(key));
            digest.number(object(counts, Terms { rule: None, volatile: &[], ..terms }, 0));
            (digest.finish(), 0)
        }
        _ => {
            let mut halves = Halves { told: digest, covered: Digest::new(15) };
            if !masked(text, &mut halves) {
                halves.told = digest;
                halves.told.bytes(text.as_bytes());
            }
            (halves.told.finish(), halves.covered.finish())
        }
    }
}

/// An error without what names the things it is about: numbers, paths, quoted names, arguments.
pub(super) fn error(text: &str, args: Option<&Value>) -> u64 {
    let bytes = text.as_bytes();
    let mut digest = Digest::new(11);
    let tail = bytes.len().saturating_sub(ERROR_END_MAX).max(ERROR_END_MAX.min(bytes.len()));
    error_words(&bytes[..bytes.len().min(ERROR_END_MAX)], args, &mut digest);
    error_words(&bytes[tail..], args, &mut digest);
    digest.finish()
}

/// Is this word the whole of an argument?
fn is_argument(word: &[u8], args: Option<&Value>) -> bool {
    let mut texts = args.and_then(Value::as_object).into_iter().flat_map(serde_json::Map::values);
    texts.any(|value| value.as_str().is_some_and(|text| text.as_bytes().eq_ignore_ascii_case(word)))
}

fn error_words(text: &[u8], args: Option<&Value>, digest: &mut Digest) {
    let (mut quote, mut masking) = (None, false);
    for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        let opens = |byte: &u8| matches!(byte, b'\'' | b'"' | b'`');
        quote = quote.or(word.first().copied().filter(opens));
        let named = quote.is_some();
        if quote.is_some_and(|mark| word.len() > 1 && word[1..].contains(&mark)) {
            quote = None;
        }
        let is_end = |byte: &u8| byte.is_ascii_punctuation();
        let from = word.iter().position(|byte| !is_end(byte)).unwrap_or(word.len());
        let to = word.iter().rposition(|byte| !is_end(byte)).map_or(from, |last| last + 1);
        let core = &word[from..to];
        let plain = core.iter().all(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii());
        if named || !plain || is_argument(core, args) {
            if !masking {
                digest.number(MASK);
            }
            masking = true;
        } else if !core.is_empty() {
            masking = false;
            digest.bytes(core);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: Terms<'_> = Terms { tool: "t", rule: None, volatile: &[] };

    fn same(a: Value, b: Value) -> bool {
        call("t", Some(&a), PLAIN) == call("t", Some(&b), PLAIN)
    }

    #[test]
    fn order_white_space_and_volatile_keys_do_not_matter() {
        assert!(same(json!({"a": 1, "b": [1, {"c": 2}]}), json!({"b": [1.0, {"c": 2}], "a": 1})));
        assert!(same(json!({"command": "ls  -R\n"}), json!({"command": " ls -R"})));
        assert!(same(
            json!({"q": "x", "request_id": "8f3a9b2c", "ts": 1}),
            json!({"q": "x", "requestId": 7_714_023})
        ));
        assert!(same(json!({"request_id": "8f3a9b2c"}), json!({"request_id": "77aa00cd"})));
        assert!(same(
            json!({"command": "ls", "description": "a"}),
            json!({"command": "ls", "description": "b"})
        ));
        assert!(same(json!(r#"{"b": 2, "a": 1}"#), json!({"a": 1, "b": 2})));
        assert!(same(json!({"thought": "hm", "ts": 1}), json!({"thought": "hm", "ts": 2})));
        assert!(same(json!({"q": 1, "thought": "let me see"}), json!({"q": 1, "thought": "once more"})));
    }

    #[test]
    fn what_was_asked_for_matters() {
        assert!(!same(json!({"a": 1}), json!({"a": 2})));
        assert!(!same(json!({"a": [1, 2]}), json!({"a": [2, 1]})));
        assert!(!same(json!({"id": 1, "status": "closed"}), json!({"id": 2, "status": "closed"})));
        for key in ["id", "uuid", "description", "pid", "timestamp", "elapsed"] {
            assert!(!same(json!({key: "8f3a9b2c"}), json!({key: "77aa00cd"})), "{key}");
        }
        assert!(!same(json!({"q": 1, "id": "8f3a9b2c"}), json!({"q": 1, "id": "77aa00cd"})));
        assert!(!same(json!({"q": 1, "request_id": "REQ-1"}), json!({"q": 1, "request_id": "REQ-2"})));
        let close = |id| {
            call(
                "close_session",
                Some(&json!({"session_id": id, "now": true})),
                Terms { tool: "close_session", ..PLAIN },
            )
        };
        assert_ne!(close("8f3a9b2c"), close("77aa00cd"));
        assert!(!same(json!({"thought": "let me see"}), json!({"thought": "once more"})));
        assert!(!same(json!({"date": "2024-05-21"}), json!({"date": "2024-05-22"})));
        assert!(!same(json!({"a": "x", "b": "y"}), json!({"a": "y", "b": "x"})));
        assert_ne!(call("t", None, PLAIN), call("u", None, PLAIN));
    }

    #[test]
    fn an_error_is_the_same_whatever_it_names() {
        let said = |text| error(text, None);
        let file = said("cat: /tmp/a1.txt: No such file or directory");
        assert_eq!(file, said("cat: /var/b.txt: No such file or directory"));
        assert_eq!(said("user 'john doe' not found"), said("user 'mia' not found"));
        assert_ne!(said("user 'mia' not found"), said("order 'mia' not found"));
        assert_ne!(file, said("cat: /var/b.txt: Permission denied"));
        let city = |name: &str| error(&format!("there is no city {name}."), Some(&json!({"city": name})));
        assert_eq!(city("Paris"), city("Rome"));
    }

    #[test]
    fn a_field_declared_as_progress_is_the_result() {
        let rule = Rule { progress: vec!["done".into()], ..Rule::default() };
        let terms = Terms { rule: Some(&rule), ..PLAIN };
        let seen = |text| result(text, false, terms);
        assert_eq!(seen(r#"{"done": 3, "at": "x"}"#), seen(r#"{"at": "y", "done": 3}"#));
        assert_ne!(seen(r#"{"done": 3}"#), seen(r#"{"done": 4}"#));
    }
}
