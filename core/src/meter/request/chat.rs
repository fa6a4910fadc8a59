//! How is a chat completion request read?
//!
//! Messages of text alone follow the published rule: three tokens a message, its role and its
//! content, one more for a name, three for the reply. Whatever else it holds has no published rule
//! and gets more than any recorded call was billed.

use super::{
    super::json::{self, Object},
    prompt::{Message, Reading},
    tools,
};
use crate::error::{Error, Result};
use serde_json::Value;

const MESSAGE_TOKENS: u64 = 3;
const NAME_TOKENS: u64 = 1;
const REPLY_TOKENS: u64 = 3;
const FUNCTION_SAVES_TOKENS: u64 = 2;
/// Beyond the rule, for a message of a model whose frames are not published.
const UNKNOWN_MESSAGE_TOKENS: u64 = 1;
/// Round a call of a tool, and round its result.
const TOOL_CALL_TOKENS: u64 = 8;

pub(super) fn read<'a>(body: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    definitions(body, reading)?;
    reading.frame_tokens += REPLY_TOKENS;
    for value in json::list(body, "messages")? {
        message(json::object(value, "a message")?, reading)?;
    }
    let maxima = [json::count(body, "max_completion_tokens")?, json::count(body, "max_tokens")?];
    reading.max_output_tokens = maxima.into_iter().flatten().min();
    reading.choices = json::count(body, "n")?.unwrap_or(1).max(1);
    media(body, reading)?;
    if json::given(body, "prediction").is_some() {
        reading.unbounded("a prediction, whose rejected tokens are billed beyond the maximum");
    }
    if json::given(body, "web_search_options").is_some() {
        reading.unbounded("searches without a cap");
    }
    if json::text(body, "reasoning_effort")? == Some("none") {
        reading.has_hidden_output = false;
    }
    Ok(())
}

fn definitions<'a>(body: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    let wrapped = json::list(body, "tools")?;
    let functions = json::list(body, "functions")?;
    if let Some(custom) = json::nested(body, "response_format")?
        && json::text(custom, "type")? != Some("text")
    {
        reading.exact = false;
        tools::format(custom.get("json_schema"), reading);
    }
    if wrapped.is_empty() && functions.is_empty() {
        return Ok(());
    }
    reading.exact = false;
    let mut message = tools::message();
    for tool in wrapped {
        let tool = json::object(tool, "a tool")?;
        let kind = json::text(tool, "type")?.unwrap_or("function");
        let Some(inner) = json::given(tool, kind) else {
            reading.unbounded(format!("a tool of the kind `{kind}`, which runs at the provider"));
            continue;
        };
        tools::definition(inner, &mut message, reading)?;
    }
    for function in functions {
        tools::definition(function, &mut message, reading)?;
    }
    for key in ["tool_choice", "function_call"] {
        if let Some(choice) = json::given(body, key).filter(|choice| choice.is_object()) {
            message.json(choice);
        }
    }
    reading.messages.insert(0, message);
    Ok(())
}

fn message<'a>(value: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    let role = json::text(value, "role")?.ok_or_else(|| Error::invalid("a message has no `role`"))?;
    let known = reading.price.is_some_and(|price| price.exact_frames);
    let mut message = Message::new(role, MESSAGE_TOKENS + if known { 0 } else { UNKNOWN_MESSAGE_TOKENS });
    message.text(role);
    if let Some(name) = json::text(value, "name")? {
        message.text(name);
        message.frame(NAME_TOKENS);
    }
    match json::given(value, "content") {
        None => {}
        Some(Value::String(text)) => message.text(text),
        Some(Value::Array(parts)) => {
            // How the parts of a message are joined is not published.
            reading.exact &= parts.len() == 1;
            for part in parts {
                self::part(json::object(part, "a part of a message")?, &mut message, reading)?;
            }
        }
        Some(other) => {
            return Err(Error::invalid(format!(
                "`content` is `{}`, neither text nor a list",
                json::shown(other)
            )));
        }
    }
    calls(value, &mut message, reading)?;
    match role {
        "system" | "user" | "assistant" => {}
        // The old kind of result is published and checked too.
        "function" if known => message.unframe(FUNCTION_SAVES_TOKENS),
        _ => {
            reading.exact = false;
            message.frame(TOOL_CALL_TOKENS);
        }
    }
    reading.messages.push(message);
    Ok(())
}

fn part<'a>(part: &'a Object, message: &mut Message<'a>, reading: &mut Reading<'a, '_>) -> Result<()> {
    match json::text(part, "type")? {
        Some("text") => message.text(json::text(part, "text")?.unwrap_or_default()),
        Some("refusal") => message.text(json::text(part, "refusal")?.unwrap_or_default()),
        Some("image_url") => {
            let image = json::nested(part, "image_url")?;
            let image = image.ok_or_else(|| Error::invalid("a part has no `image_url`"))?;
            let low = json::text(image, "detail")? == Some("low");
            reading.image(message, json::text(image, "url")?.unwrap_or_default(), low);
        }
        Some("input_audio") => {
            reading.input_media.audio = true;
            reading.unbounded("audio, whose length we do not read");
        }
        Some("file") => reading.unbounded("a file, whose text we do not see"),
        other => {
            let other = other.unwrap_or("nothing");
            reading.unbounded(format!("a part of the kind `{other}`, which we do not know"));
        }
    }
    Ok(())
}

/// What an assistant did in an earlier turn.
fn calls<'a>(value: &'a Object, message: &mut Message<'a>, reading: &mut Reading<'a, '_>) -> Result<()> {
    if let Some(refusal) = json::text(value, "refusal")? {
        reading.exact = false;
        message.text(refusal);
    }
    // Text some servers want back although the maker's own does not know it.
    for key in ["reasoning_content", "reasoning"] {
        if let Some(Value::String(text)) = json::given(value, key) {
            reading.exact = false;
            message.text(text);
        }
    }
    if json::given(value, "audio").is_some() {
        reading.unbounded("audio the provider kept from an earlier answer");
    }
    let earlier = json::list(value, "tool_calls")?.iter().chain(json::given(value, "function_call"));
    for call in earlier {
        reading.exact = false;
        message.frame(TOOL_CALL_TOKENS);
        let call = json::object(call, "a call of a tool")?;
        let inner = ["function", "custom"].into_iter().find_map(|key| call.get(key)?.as_object());
        let inner = inner.unwrap_or(call);
        for key in ["name", "arguments", "input"] {
            match json::given(inner, key) {
                Some(Value::String(text)) => message.text(text),
                Some(other) => message.json(other),
                None => {}
            }
        }
    }
    Ok(())
}

fn media(body: &Object, reading: &mut Reading<'_, '_>) -> Result<()> {
    let wanted = json::list(body, "modalities")?;
    reading.output_media.audio = wanted.iter().any(|kind| kind == "audio");
    Ok(())
}
