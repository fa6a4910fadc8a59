//! What did Codex log? Which model a turn uses, and after every call what the session used so far
//! and in that call. The same count is often logged twice.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{
    claude_code::last_part,
    files::{lines, time},
    found::{Found, Logged, Session},
};
use crate::{error::Result, value::Usage};

#[derive(Deserialize)]
struct Line {
    timestamp: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    payload: Value,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
struct Counts {
    #[serde(rename = "input_tokens")]
    input: u64,
    #[serde(rename = "cached_input_tokens")]
    cached: u64,
    #[serde(rename = "cache_write_input_tokens")]
    cache_write: u64,
    #[serde(rename = "output_tokens")]
    output: u64,
    #[serde(rename = "reasoning_output_tokens")]
    reasoning: u64,
}

#[derive(Deserialize)]
struct Info {
    total_token_usage: Option<Counts>,
    last_token_usage: Option<Counts>,
}

/// What earlier lines of the file said.
#[derive(Default)]
struct State {
    id: String,
    /// The session whose calls the file begins with: its own, or that it was forked from.
    origin: Option<String>,
    cwd: Option<String>,
    model: Option<String>,
    total: Counts,
    calls: u64,
}

pub(super) fn read(file: &Path, found: &mut Found) -> Result<()> {
    let id = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut state = State { id, ..State::default() };
    lines(file, found, |bytes, found| match serde_json::from_slice::<Line>(bytes) {
        Ok(line) => read_line(&line, &mut state, found),
        Err(error) => {
            found.malformed(error);
            Ok(())
        }
    })
}

fn read_line(line: &Line, state: &mut State, found: &mut Found) -> Result<()> {
    let text = |key: &str| line.payload.get(key).and_then(Value::as_str).map(str::to_owned);
    match line.kind.as_deref() {
        Some("session_meta") => {
            // A fork tells of itself, and then repeats what its origin told of itself.
            let id = text("id").unwrap_or_else(|| state.id.clone());
            if state.origin.is_none() {
                state.id.clone_from(&id);
            }
            state.origin = Some(text("forked_from_id").unwrap_or(id));
            state.cwd = text("cwd").or(state.cwd.take());
        }
        Some("turn_context") => {
            state.model = text("model").or(state.model.take());
            state.cwd = text("cwd").or(state.cwd.take());
        }
        Some("event_msg") if text("type").as_deref() == Some("token_count") => {
            return count(line, state, found);
        }
        _ => {}
    }
    found.counts.other_lines += 1;
    Ok(())
}

fn count(line: &Line, state: &mut State, found: &mut Found) -> Result<()> {
    let info = match line.payload.get("info") {
        // Only how much of a subscription is left.
        None | Some(Value::Null) => {
            found.counts.other_lines += 1;
            return Ok(());
        }
        Some(info) => serde_json::from_value::<Info>(info.clone()),
    };
    let info = match info {
        Ok(info) => info,
        Err(error) => {
            found.malformed(error);
            return Ok(());
        }
    };
    if info.total_token_usage == Some(state.total) {
        found.counts.repeated_lines += 1;
        return Ok(());
    }
    let counts = info.last_token_usage.or_else(|| info.total_token_usage?.since(&state.total));
    state.total = info.total_token_usage.unwrap_or(state.total);
    let at = line.timestamp.as_deref().and_then(time);
    let (Some(counts), Some(at), Some(model)) = (counts, at, state.model.clone()) else {
        found.malformed("a count without usage, time or model");
        return Ok(());
    };
    state.calls += 1;
    let session = found.session(&state.id, || {
        let project = state.cwd.as_deref().and_then(last_part).unwrap_or("codex").to_owned();
        Session { id: state.id.clone(), name: project.clone(), tags: vec![("project".to_owned(), project)] }
    });
    // By what was used so far a call that a fork repeats is that of its origin.
    let id = match &info.total_token_usage {
        Some(Counts { input, cached, output, reasoning, .. }) => {
            let origin = state.origin.as_ref().unwrap_or(&state.id);
            format!("{origin}:{input}:{cached}:{output}:{reasoning}")
        }
        None => format!("{}:{}", state.id, state.calls),
    };
    let provider = Some("openai".to_owned());
    found.call(Logged {
        session,
        id: id.into(),
        at,
        provider,
        model,
        told: counts.usage().into(),
        is_open: false,
    })
}

impl Counts {
    /// Nothing when less was used than before.
    fn since(&self, before: &Self) -> Option<Self> {
        Some(Self {
            input: self.input.checked_sub(before.input)?,
            cached: self.cached.checked_sub(before.cached)?,
            cache_write: self.cache_write.checked_sub(before.cache_write)?,
            output: self.output.checked_sub(before.output)?,
            reasoning: self.reasoning.checked_sub(before.reasoning)?,
        })
    }

    fn usage(&self) -> Usage {
        Usage {
            cache_read_tokens: self.cached,
            cache_write_tokens: self.cache_write,
            reasoning_tokens: self.reasoning,
            ..Usage::tokens(self.input, self.output)
        }
    }
}
