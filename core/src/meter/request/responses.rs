//! How is a request of the Responses API read?
//!
//! No rule for its frames is published, so every item gets more than a chat message does. Items of
//! unknown kinds count as the JSON they are sent as. What the provider adds on its own (a stored
//! conversation, a template, files) makes the input unbounded; searches and remote tools do so
//! unless `max_tool_calls` caps them and the model's window is known.

use serde_json::Value;

use super::{
    super::json::{self, Object},
    Method,
    prompt::{Message, Reading},
    tools,
};
use crate::{
    error::{Error, Result},
    meter::price::CacheWrite,
};

const REPLY_TOKENS: u64 = 8;
const ITEM_TOKENS: u64 = 8;

pub(super) fn read<'a>(body: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    reading.no_better_than(Method::Calibrated);
    reading.frame_tokens += REPLY_TOKENS;
    definitions(body, reading)?;
    if let Some(instructions) = json::given(body, "instructions") {
        message("system", instructions, reading)?;
    }
    match json::given(body, "input") {
        None => {}
        Some(text @ Value::String(_)) => message("user", text, reading)?,
        Some(Value::Array(items)) => {
            for value in items {
                item(value, reading)?;
            }
        }
        Some(other) => {
            return Err(Error::invalid(format!(
                "`input` is `{}`, neither text nor a list",
                json::shown(other)
            )));
        }
    }
    for (key, reason) in [
        ("previous_response_id", "text the provider kept from an earlier response"),
        ("conversation", "a conversation the provider keeps"),
        ("prompt", "a prompt template the provider keeps"),
        ("context_management", "a context the provider rewrites"),
    ] {
        if json::given(body, key).is_some() {
            reading.unbounded(reason);
        }
    }
    reading.max_output_tokens = json::count(body, "max_output_tokens")?;
    terms(body, reading)
}

fn terms<'a>(body: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    if let Some(options) = json::nested(body, "prompt_cache_options")? {
        reading.cache_write = CacheWrite::Default;
        if json::text(options, "ttl")?.is_some_and(|ttl| ttl != "30m") {
            reading.unpriced = Some("a cache of this lifetime has a price of its own".to_owned());
        }
    }
    if let Some(programs) = json::nested(body, "access_programs")?
        && let Some(cyber) = json::text(programs, "cyber")?.filter(|cyber| *cyber != "standard")
    {
        reading.unpriced = Some(format!("the access program `{cyber}` has a price of its own"));
    }
    let reasoning = json::nested(body, "reasoning")?;
    if reasoning.and_then(|reasoning| reasoning.get("effort")).is_some_and(|effort| effort == "none") {
        reading.has_hidden_output = false;
    }
    if let Some(text) = json::nested(body, "text")?
        && let Some(format) = json::nested(text, "format")?
        && json::text(format, "type")? != Some("text")
    {
        tools::format(text.get("format"), reading);
    }
    Ok(())
}

fn definitions<'a>(body: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    let definitions = json::list(body, "tools")?;
    if definitions.is_empty() {
        return Ok(());
    }
    let cap = json::count(body, "max_tool_calls")?;
    let mut message = tools::message();
    for value in definitions {
        let tool = json::object(value, "a tool")?;
        tools::definition(value, &mut message, reading)?;
        let kind = json::text(tool, "type")?.unwrap_or_default();
        match kind {
            "function" | "custom" | "namespace" | "local_shell" | "apply_patch" => {}
            _ if kind.starts_with("computer") => {}
            "shell" if runs_locally(tool) => {}
            _ if kind.starts_with("web_search") || kind == "mcp" => {
                let Some(cap) = cap else {
                    reading.unbounded(format!("the tool `{kind}` without `max_tool_calls`"));
                    continue;
                };
                reading.extra_rounds = cap;
                if kind != "mcp" {
                    reading.web_searches = Some(cap);
                }
            }
            // Sandboxes, file searches and drawn images have fees that the usage does not tell.
            _ => reading.unbounded(format!("the tool `{kind}`, which runs at the provider")),
        }
    }
    reading.messages.push(message);
    Ok(())
}

fn runs_locally(tool: &Object) -> bool {
    let environment = tool.get("environment").and_then(Value::as_object);
    environment.and_then(|environment| environment.get("type")).is_some_and(|kind| kind == "local")
}

/// A message whose content is text or a list of parts.
fn message<'a>(role: &'a str, content: &'a Value, reading: &mut Reading<'a, '_>) -> Result<()> {
    let mut message = Message::new(role, ITEM_TOKENS);
    parts(content, &mut message, reading)?;
    reading.messages.push(message);
    Ok(())
}

fn item<'a>(value: &'a Value, reading: &mut Reading<'a, '_>) -> Result<()> {
    let item = json::object(value, "an item of the input")?;
    let kind = json::text(item, "type")?.unwrap_or("message");
    let role = json::text(item, "role")?.unwrap_or(kind);
    let mut message = Message::new(role, ITEM_TOKENS);
    match kind {
        "message" => parts(item.get("content").unwrap_or(&Value::Null), &mut message, reading)?,
        "function_call" | "custom_tool_call" => {
            for key in ["name", "arguments", "input"] {
                message.text(json::text(item, key)?.unwrap_or_default());
            }
        }
        "function_call_output" | "custom_tool_call_output" | "computer_call_output" => {
            parts(item.get("output").unwrap_or(&Value::Null), &mut message, reading)?;
        }
        "reasoning" | "compaction" => sealed(item, &mut message)?,
        "item_reference" => reading.unbounded("an item the provider kept"),
        "image_generation_call" => {
            reading.image(&mut message, json::text(item, "result")?.unwrap_or_default(), false);
        }
        _ => message.json(value),
    }
    reading.messages.push(message);
    Ok(())
}

/// Reasoning comes back encrypted: its text cannot be counted, only bounded.
fn sealed<'a>(item: &'a Object, message: &mut Message<'a>) -> Result<()> {
    use super::prompt::Piece;
    if let Some(text) = json::text(item, "encrypted_content")? {
        message.pieces.push(Piece::Sealed(text));
    }
    for key in ["summary", "content"] {
        if let Some(value) = json::given(item, key) {
            message.json(value);
        }
    }
    Ok(())
}

fn parts<'a>(content: &'a Value, message: &mut Message<'a>, reading: &mut Reading<'a, '_>) -> Result<()> {
    match content {
        Value::Null => Ok(()),
        Value::String(text) => {
            message.text(text);
            Ok(())
        }
        Value::Array(parts) => parts.iter().try_for_each(|part| self::part(part, message, reading)),
        single => self::part(single, message, reading),
    }
}

fn part<'a>(value: &'a Value, message: &mut Message<'a>, reading: &mut Reading<'a, '_>) -> Result<()> {
    let part = json::object(value, "a part of an item")?;
    if json::given(part, "prompt_cache_breakpoint").is_some() {
        reading.cache_write = CacheWrite::Default;
    }
    match json::text(part, "type")?.unwrap_or_default() {
        "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text" => {
            message.text(json::text(part, "text")?.unwrap_or_default());
        }
        "refusal" => message.text(json::text(part, "refusal")?.unwrap_or_default()),
        "input_image" | "computer_screenshot" => {
            let source = json::text(part, "image_url")?.or(json::text(part, "file_id")?);
            let low = json::text(part, "detail")? == Some("low");
            reading.image(message, source.unwrap_or_default(), low);
        }
        "input_file" if json::given(part, "file_data").is_some() => reading.document(),
        "input_file" => reading.unbounded("a file, whose text we do not see"),
        "input_audio" => {
            let audio = json::nested(part, "input_audio")?;
            let data = audio.map(|audio| json::text(audio, "data")).transpose()?.flatten();
            reading.sound(data.ok_or_else(|| Error::invalid("a part has no `input_audio.data`"))?);
        }
        "item_reference" => reading.unbounded("an item the provider kept"),
        _ => message.json(value),
    }
    Ok(())
}
