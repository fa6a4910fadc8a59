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
    step.malformed || NAMES.contains(&step.name) || (step.error && says(&step.result, &SAID))
}

/// Did it fail? Some frameworks say so in the text alone.
pub(super) fn is_error(step: &Step<'_>) -> bool {
    let begins =
        |word: &str| step.result.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    step.error || begins("error:") || begins("error ")
}

/// Was a tool asked for that does not exist?
pub(super) fn is_unknown_tool(step: &Step<'_>) -> bool {
    const SAID: [&str; 7] = [
        "unknown tool",
        "no such tool",
        "tool not found",
        "not a valid tool",
        "unknown function",
        "is not an available tool",
        "no tool named",
    ];
    step.unknown_tool || (is_error(step) && says(&step.result, &SAID))
}

fn says(text: &str, words: &[&str]) -> bool {
    let head = text[..text.floor_char_boundary(LOOKED_AT)].to_ascii_lowercase();
    // All of them speak of one or the other, and few errors do.
    (head.contains("tool") || head.contains("function")) && words.iter().any(|word| head.contains(word))
}

/// Does it say, and nothing else, that something is not ready yet?
pub(super) fn is_waiting(step: &Step<'_>) -> bool {
    const SHORT: usize = 120;
    const SAID: [&str; 8] = [
        "pending",
        "queued",
        "in progress",
        "in_progress",
        "not ready",
        "still running",
        "not finished",
        "processing",
    ];
    if step.result.len() > SHORT || is_error(step) {
        return false;
    }
    let said = step.result.to_ascii_lowercase();
    SAID.iter().any(|word| said.contains(word))
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_is_known_by_a_whole_word() {
        for name in ["wait", "poll_job", "get_status", "getStatus", "job-status", "waitForTask", "SLEEP"] {
            assert!(is_poll(name), "{name}");
        }
        for name in ["waiter_call", "statuses", "pollen", "asleep", "search", ""] {
            assert!(!is_poll(name), "{name}");
        }
    }
}
