//! How is a request of the Messages API read?
//!
//! Text is counted by a reconstruction of the maker's tokenizer; frames and the text the provider
//! puts before tools are its published figures, rounded up, or a margin where it publishes none. A
//! cache write is expected wherever the request carries `cache_control`.

use serde_json::Value;

use super::{
    super::json::{self, Object},
    prompt::{Message, Reading},
    tools,
};
use crate::{
    error::{Error, Result},
    meter::{price::CacheWrite, tokens::Encoding},
};

/// Round every message but the first, whose frame is in the request's.
const MESSAGE_TOKENS: u64 = 4;
/// Beyond that, for every message and block.
const MARGIN_TOKENS: u64 = 8;
/// Round a call of a tool, and round its result, beside the margin of every block.
const TOOL_CALL_TOKENS: u64 = 24;
/// The provider's own text before tools: 346 tokens with most models it is published for, at most 530.
const TOOL_SYSTEM_TOKENS: u64 = 346;
const TOOL_SYSTEM_MARGIN_TOKENS: u64 = 184;
/// Tools whose text the provider writes, and its published length.
const WRITTEN_TOOLS: [(&str, u64); 4] =
    [("bash_", 245), ("text_editor_", 700), ("computer_2024", 1_300), ("computer_2025", 1_300)];

pub(super) fn read<'a>(body: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    reading.frame_tokens += frame_tokens(reading.encoding);
    definitions(body, reading)?;
    for key in ["system", "prefill"] {
        if let Some(content) = json::given(body, key) {
            let mut message = new_message(if key == "system" { key } else { "assistant" }, 0);
            blocks(content, &mut message, reading)?;
            reading.messages.push(message);
        }
    }
    for (index, value) in json::list(body, "messages")?.iter().enumerate() {
        let value = json::object(value, "a message")?;
        let role = json::text(value, "role")?.ok_or_else(|| Error::invalid("a message has no `role`"))?;
        let mut message = new_message(role, if index == 0 { 0 } else { MESSAGE_TOKENS });
        blocks(value.get("content").unwrap_or(&Value::Null), &mut message, reading)?;
        reading.messages.push(message);
    }
    for (key, reason) in [
        ("mcp_servers", "remote tools without a cap"),
        ("container", "a container the provider keeps"),
        ("context_management", "a context the provider rewrites"),
    ] {
        if json::given(body, key).is_some() {
            reading.unbounded(reason);
        }
    }
    for key in ["output_config", "output_format"] {
        if let Some(config) = json::nested(body, key)?
            && (config.contains_key("format") || config.contains_key("schema"))
        {
            reading.frame_tokens += TOOL_SYSTEM_TOKENS + TOOL_SYSTEM_MARGIN_TOKENS;
            tools::format(body.get(key), reading);
        }
    }
    reading.max_output_tokens = json::count(body, "max_tokens")?;
    thinking(body, reading)?;
    let marked = ["system", "tools", "messages"].into_iter().filter_map(|key| body.get(key));
    reading.cache_write = marked.map(cache_write).max().unwrap_or_default().max(own_cache_write(body));
    Ok(())
}

/// Round a single message, as measured for each generation.
fn frame_tokens(encoding: Encoding) -> u64 {
    match encoding {
        Encoding::Claude47 => 11,
        Encoding::Claude48 => 6,
        _ => 7,
    }
}

fn new_message(role: &str, frame_tokens: u64) -> Message<'_> {
    let mut message = Message::new(role, frame_tokens);
    message.margin(MARGIN_TOKENS);
    message
}

fn thinking(body: &Object, reading: &mut Reading<'_, '_>) -> Result<()> {
    let thinking = json::nested(body, "thinking")?;
    let kind = thinking.map(|thinking| json::text(thinking, "type")).transpose()?.flatten();
    reading.has_hidden_output = match kind {
        Some("disabled") => false,
        Some(_) => true,
        // Without the field some models think and some do not.
        None => reading.price.is_none_or(|price| price.reasoning && !price.thinks_on_request),
    };
    if let Some(thinking) = thinking {
        reading.thinking_budget = json::count(thinking, "budget_tokens")?;
    }
    Ok(())
}

fn definitions<'a>(body: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    let definitions = json::list(body, "tools")?;
    if definitions.is_empty() {
        return Ok(());
    }
    let mut message = tools::message();
    message.frame(TOOL_SYSTEM_TOKENS);
    message.margin(TOOL_SYSTEM_MARGIN_TOKENS);
    for value in definitions {
        let tool = json::object(value, "a tool")?;
        tools::definition(value, &mut message, reading)?;
        let Some(kind) = json::text(tool, "type")?.filter(|kind| *kind != "custom") else { continue };
        if let Some((_, tokens)) = WRITTEN_TOOLS.iter().find(|(prefix, _)| kind.starts_with(prefix)) {
            message.frame(*tokens);
        } else if kind.starts_with("web_search_") || kind.starts_with("web_fetch_") {
            let Some(cap) = json::count(tool, "max_uses")? else {
                reading.unbounded(format!("the tool `{kind}` without `max_uses`"));
                continue;
            };
            reading.extra_rounds = reading.extra_rounds.saturating_add(cap);
            if kind.starts_with("web_search_") {
                reading.web_searches = Some(reading.web_searches.unwrap_or(0).saturating_add(cap));
            }
        } else {
            reading.unbounded(format!("the tool `{kind}`, whose text or runs we do not see"));
        }
    }
    reading.messages.push(message);
    Ok(())
}

fn blocks<'a>(content: &'a Value, message: &mut Message<'a>, reading: &mut Reading<'a, '_>) -> Result<()> {
    match content {
        Value::Null => Ok(()),
        Value::String(text) => {
            message.text(text);
            Ok(())
        }
        Value::Array(blocks) => blocks.iter().try_for_each(|value| block(value, message, reading)),
        other => {
            Err(Error::invalid(format!("`content` is `{}`, neither text nor a list", json::shown(other))))
        }
    }
}

fn block<'a>(value: &'a Value, message: &mut Message<'a>, reading: &mut Reading<'a, '_>) -> Result<()> {
    use super::prompt::Piece;
    let block = json::object(value, "a block of a message")?;
    message.margin(MARGIN_TOKENS);
    match json::text(block, "type")?.unwrap_or_default() {
        "text" => message.text(json::text(block, "text")?.unwrap_or_default()),
        "thinking" => {
            message.text(json::text(block, "thinking")?.unwrap_or_default());
            // The whole thought is in the signature; the text may be a summary of it.
            message.pieces.push(Piece::Sealed(json::text(block, "signature")?.unwrap_or_default()));
        }
        "redacted_thinking" => {
            message.pieces.push(Piece::Sealed(json::text(block, "data")?.unwrap_or_default()));
        }
        "tool_use" | "server_tool_use" => {
            message.margin(TOOL_CALL_TOKENS);
            message.text(json::text(block, "name")?.unwrap_or_default());
            message.json(block.get("input").unwrap_or(&Value::Null));
        }
        "tool_result" => {
            message.margin(TOOL_CALL_TOKENS);
            blocks(block.get("content").unwrap_or(&Value::Null), message, reading)?;
        }
        "image" => {
            let source = json::nested(block, "source")?;
            let keys = ["data", "url", "file_id"];
            let source = source.and_then(|source| keys.iter().find_map(|key| source.get(*key)?.as_str()));
            reading.image(message, source.unwrap_or_default(), false);
        }
        "document" => document(block, message, reading)?,
        "container_upload" => reading.unbounded("a file, whose text we do not see"),
        _ => message.json(value),
    }
    Ok(())
}

fn document<'a>(block: &'a Object, message: &mut Message<'a>, reading: &mut Reading<'a, '_>) -> Result<()> {
    for key in ["title", "context"] {
        message.text(json::text(block, key)?.unwrap_or_default());
    }
    let Some(source) = json::nested(block, "source")? else { return Ok(()) };
    match json::text(source, "type")? {
        Some("text") => message.text(json::text(source, "data")?.unwrap_or_default()),
        Some("content") => blocks(source.get("content").unwrap_or(&Value::Null), message, reading)?,
        Some("base64") => reading.document(),
        _ => reading.unbounded("a document, whose pages we do not see"),
    }
    Ok(())
}

/// The dearest cache write asked for anywhere in `value`.
fn cache_write(value: &Value) -> CacheWrite {
    match value {
        Value::Array(items) => items.iter().map(cache_write).max().unwrap_or_default(),
        Value::Object(fields) => {
            let below = fields.values().map(cache_write).max().unwrap_or_default();
            below.max(own_cache_write(fields))
        }
        _ => CacheWrite::None,
    }
}

fn own_cache_write(fields: &Object) -> CacheWrite {
    match json::given(fields, "cache_control") {
        None => CacheWrite::None,
        Some(control) if control.get("ttl").is_some_and(|ttl| ttl != "5m") => CacheWrite::OneHour,
        Some(_) => CacheWrite::Default,
    }
}
