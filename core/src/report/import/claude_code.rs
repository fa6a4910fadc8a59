//! What did Claude Code log? A line for every message, and of an answer that streams one for every
//! part of it, each with the usage so far.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    files::{lines, time},
    found::{Found, Logged, Session},
};
use crate::{
    error::Result,
    meter::{self, Api},
};

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "sessionId")]
    session: Option<String>,
    timestamp: Option<String>,
    uuid: Option<String>,
    cwd: Option<String>,
    #[serde(rename = "gitBranch")]
    branch: Option<String>,
    #[serde(default)]
    message: Value,
}

#[derive(Deserialize)]
struct Message {
    id: Option<String>,
    model: Option<String>,
    usage: Option<Value>,
    stop_reason: Option<String>,
}

pub(super) fn read(file: &Path, found: &mut Found) -> Result<()> {
    let of_file = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    lines(file, found, |bytes, found| match serde_json::from_slice::<Line>(bytes) {
        Ok(line) => read_line(line, &of_file, found),
        Err(error) => {
            found.malformed(error);
            Ok(())
        }
    })
}

fn read_line(line: Line, of_file: &str, found: &mut Found) -> Result<()> {
    let message = serde_json::from_value::<Message>(line.message).ok();
    let Some(Message { id, model: Some(model), usage: Some(usage), stop_reason }) = message else {
        // What a user said, or what a tool answered.
        if line.kind.as_deref() == Some("assistant") {
            found.malformed("an answer without model or usage");
        } else {
            found.counts.other_lines += 1;
        }
        return Ok(());
    };
    if model == "<synthetic>" {
        // Made by the client itself.
        found.counts.other_lines += 1;
        return Ok(());
    }
    let (Some(id), Some(at)) = (id.or(line.uuid), line.timestamp.as_deref().and_then(time)) else {
        found.malformed("an answer without id or time");
        return Ok(());
    };
    let told = match meter::usage(Api::AnthropicMessages, &json!({ "usage": usage })) {
        Ok(told) => told,
        Err(error) => {
            found.malformed(error);
            return Ok(());
        }
    };
    let session = line.session.unwrap_or_else(|| of_file.to_owned());
    let session = found.session(&session, || {
        let project = line.cwd.as_deref().and_then(last_part).unwrap_or("claude-code").to_owned();
        let mut tags = vec![("project".to_owned(), project.clone())];
        tags.extend(line.branch.map(|branch| ("branch".to_owned(), branch)));
        Session { id: session.clone(), name: project, tags }
    });
    let provider = if id.starts_with("msg_bdrk_") {
        Some("bedrock".to_owned())
    } else if id.starts_with("msg_vrtx_") {
        Some("vertex_ai".to_owned())
    } else {
        None
    };
    found.call(Logged { session, id: id.into(), at, provider, model, told, is_open: stop_reason.is_none() })
}

/// Of a path on whatever system.
pub(super) fn last_part(path: &str) -> Option<&str> {
    path.rsplit(['/', '\\']).find(|part| !part.is_empty())
}
