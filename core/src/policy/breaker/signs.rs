//! What does a step look like, where nobody declared it?
//!
//! Words that tool names and error texts of agent frameworks have in common; a flag of the step or a
//! declaration for its tool goes before.

use super::step::Step;

/// How much of an error is looked at.
const LOOKED_AT: usize = 300;

/// Was the model's answer not to be understood?
pub(super) fn is_malformed(step: &Step<'_>) -> bool {
    const NAMES: [&str; 5] =
        ["format_error", "parse_error", "malformed", "invalid_tool_call", "parser_error"];
    const SAID: [&str; 5] = [
        "malformed tool call",
        "malformed function call",
        "could not parse tool",
        "failed to parse tool",
        "invalid json in tool",
    ];
    step.malformed || NAMES.contains(&step.name) || (step.error == Some(true) && says(&step.result, &SAID))
}

/// Did it fail? What only a program that failed writes goes before a flag that says otherwise: such a flag
/// mostly means that the tool itself ran.
pub(super) fn is_error(step: &Step<'_>) -> bool {
    const TOLD: [&str; 4] = ["error:", "{\"error\":\"", "{\"error\": \"", "{\"error\": {"];
    let text = step.result.trim_ascii_start();
    let begins = |word: &str| text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    let failed = || {
        let code = text.strip_prefix("<returncode>").and_then(|rest| rest.split_once('<'));
        code.is_some_and(|(code, _)| code != "0") || begins("traceback (most recent call last)")
    };
    step.error.unwrap_or_else(|| TOLD.into_iter().any(begins)) || failed()
}

/// Was a tool asked for that does not exist?
pub(super) fn is_unknown_tool(step: &Step<'_>) -> bool {
    const SAID: [&str; 8] = [
        "unknown tool",
        "no such tool",
        "tool not found",
        "not a valid tool",
        "unknown function",
        "is not an available tool",
        "no tool named",
        "unavailable tool",
    ];
    step.unknown_tool || (is_error(step) && (says(&step.result, &SAID) || is_missing(step)))
}

/// Does it say of this very tool that there is none?
fn is_missing(step: &Step<'_>) -> bool {
    const QUOTES: [char; 3] = ['\'', '"', '`'];
    let head = &step.result[..step.result.floor_char_boundary(LOOKED_AT)];
    let Some((_, told)) = head.split_once("ool ") else { return false };
    let said =
        told.trim_start_matches(QUOTES).strip_prefix(step.name).map(|said| said.trim_start_matches(QUOTES));
    let ends = [" not found", " does not exist", " is not available"];
    said.is_some_and(|said| !step.name.is_empty() && ends.into_iter().any(|end| said.starts_with(end)))
}

/// Does a user, or a program in the user's place, say no more than that it shall go on?
pub(super) fn is_go_on(text: &str) -> bool {
    const SHORT: usize = 120;
    const WORDS: [&str; 6] = ["continue", "go on", "keep going", "proceed", "try again", "retry"];
    if text.len() > SHORT {
        return false;
    }
    let said = text.to_ascii_lowercase();
    WORDS.into_iter().any(|word| said.contains(word))
}

fn says(text: &str, words: &[&str]) -> bool {
    let head = text[..text.floor_char_boundary(LOOKED_AT)].to_ascii_lowercase();
    // All of them speak of one or the other, and few errors do.
    (head.contains("tool") || head.contains("function")) && words.iter().any(|word| head.contains(word))
}

/// Does it say, and little else, that something is not ready yet? Tags and numbers do not count.
pub(super) fn is_waiting(step: &Step<'_>) -> bool {
    const SHORT: usize = 120;
    const IDLE: [&str; 13] =
        ["status", "state", "job", "task", "the", "is", "it", "in", "still", "not", "yet", "please", "wait"];
    if step.result.len() > SHORT || is_error(step) {
        return false;
    }
    let said = step.result.to_ascii_lowercase();
    let untagged = said.split('<').map(|part| part.split_once('>').map_or(part, |(_, rest)| rest));
    let words = untagged.flat_map(|part| part.split(|one: char| !one.is_ascii_alphanumeric()));
    let (mut waits, mut others, mut is_sure, mut before) = (0, 0, false, "");
    for word in words.filter(|word| word.starts_with(|one: char| one.is_ascii_alphabetic())) {
        match (before, word) {
            ("in", "progress")
            | ("still", "running")
            | ("not", "ready" | "finished" | "done" | "complete" | "completed")
            | (_, "pending" | "queued" | "processing" | "inprogress") => {
                (waits, is_sure) = (waits + word.len(), true);
            }
            // A server that is running is what it should be: alone it may be meant of a piece of work.
            (_, "running" | "waiting" | "starting" | "scheduled") => waits += word.len(),
            (_, word) if IDLE.contains(&word) => {}
            (_, other) => others += other.len(),
        }
        before = word;
    }
    waits > 0 && if is_sure { waits >= others } else { others == 0 }
}

/// Does the name say that the tool only looks whether something is ready?
pub(super) fn is_poll(name: &str) -> bool {
    const WORDS: [&str; 4] = ["poll", "wait", "sleep", "status"];
    let bytes = name.as_bytes();
    let begins = |at: usize| {
        let before = at.checked_sub(1).map_or(b'_', |last| bytes[last]);
        !before.is_ascii_alphabetic() || (bytes[at].is_ascii_uppercase() && before.is_ascii_lowercase())
    };
    let ends = |at: usize| bytes.get(at).is_none_or(|byte| !byte.is_ascii_lowercase());
    WORDS.iter().any(|word| {
        let found = |at: &usize| {
            let part = bytes.get(*at..*at + word.len());
            part.is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
        };
        (0..bytes.len()).filter(found).any(|at| begins(at) && ends(at + word.len()))
    }) && !is_git(name)
}

/// The status of a working copy changes with one's own work, not with time.
fn is_git(name: &str) -> bool {
    name.split(|one: char| !one.is_ascii_alphanumeric()).any(|word| word.eq_ignore_ascii_case("git"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(result: &str, error: Option<bool>) -> Step<'_> {
        Step { result: result.into(), error, ..Step::new(crate::policy::StepKind::Tool, "t") }
    }

    #[test]
    fn a_failure_is_known_by_its_flag_or_by_how_it_begins() {
        let traceback = "Traceback (most recent call last):\n  File \"x\"";
        for (text, error, wanted) in [
            ("fine", Some(true), true),
            ("Error: no such user", None, true),
            ("Error: connection reset (from a log)", Some(false), false),
            ("Error handling in Rust", None, false),
            (r#"{"error": "no such user"}"#, None, true),
            (r#"{"error": null, "user": 3}"#, None, false),
            (traceback, Some(false), true),
            ("<returncode>127</returncode>\nsh: foo: not found", Some(false), true),
            ("<returncode>0</returncode>", None, false),
        ] {
            assert_eq!(is_error(&step(text, error)), wanted, "{text}");
        }
    }

    #[test]
    fn waiting_is_most_of_what_is_said() {
        for text in [
            "pending",
            "running",
            "<status>running</status>\n<timestamp>2026-11-22T10:00:05Z</timestamp>",
            r#"{"state": "IN_PROGRESS"}"#,
            r#"{"status": "queued", "id": 7}"#,
            "The build is still in progress (3 of 10).",
            "not ready yet",
        ] {
            assert!(is_waiting(&step(text, None)), "{text}");
        }
        for text in
            ["The order 12 is processing since Monday.", "nginx is running", "done", "", "Error: pending"]
        {
            assert!(!is_waiting(&step(text, None)), "{text}");
        }
    }

    #[test]
    fn a_poll_is_known_by_a_whole_word() {
        for name in ["wait", "poll_job", "get_status", "getStatus", "job-status", "waitForTask", "SLEEP"] {
            assert!(is_poll(name), "{name}");
        }
        for name in ["waiter_call", "statuses", "pollen", "asleep", "search", "git_status", ""] {
            assert!(!is_poll(name), "{name}");
        }
    }
}
