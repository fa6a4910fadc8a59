//! How is a chat completion request read?
//!
//! Messages of text alone follow the published rule: three tokens a message, its role and its
//! content, one more for a name, three for the reply. Functions are counted as they are shown to the
//! model, see `namespace`. Whatever else it holds has no known rule and gets more than any recorded
//! call was billed.

use super::{
    super::json::{self, Object},
    Method, namespace,
    prompt::{Frames, Message, Piece, Reading},
    tools,
};
use crate::error::{Error, Result};
use serde_json::Value;

const MESSAGE_TOKENS: u64 = 3;
const NAME_TOKENS: u64 = 1;
const REPLY_TOKENS: u64 = 3;
const FUNCTION_SAVES_TOKENS: u64 = 2;
/// Of the first chat model: more round a message, and a name saves its role.
const FIRST_MESSAGE_TOKENS: u64 = 4;
const FIRST_NAME_SAVES_TOKENS: u64 = 1;
/// Beyond the rule, for a message of a model whose frames are not published.
const UNKNOWN_MESSAGE_TOKENS: u64 = 1;
/// Round a call of a tool, and round its result.
const TOOL_CALL_TOKENS: u64 = 8;
/// Of the templates of open models: what they say on their own when no system text is given, and to
/// open the reply; round a call of a tool or its result; before and after the tools; round one.
const TEMPLATE_TOKENS: u64 = 48;
const TEMPLATE_CALL_TOKENS: u64 = 24;
const TEMPLATE_TOOLS_TOKENS: u64 = 128;
const TEMPLATE_TOOL_TOKENS: u64 = 16;
/// They write the arguments of calls with spaces between.
const TEMPLATE_CALLS_PER_MILLE: u32 = 1_150;
/// Round the call of a function, as found out by others.
const FUNCTION_CALL_TOKENS: u64 = 3;
/// Round the namespace of functions, and what of it a system message saves.
const NAMESPACE_TOKENS: u64 = 9;
const SYSTEM_SAVES_TOKENS: u64 = 4;
/// For saying that no function may be called, or, beside its name, which one must be.
const NO_CALL_TOKENS: u64 = 1;
const NAMED_CALL_TOKENS: u64 = 4;

pub(super) fn read<'a>(body: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    let shows_functions = definitions(body, reading)?;
    reading.frame_tokens += REPLY_TOKENS;
    if reading.frames == Frames::Template {
        reading.frame_tokens += TEMPLATE_TOKENS;
    }
    let mut pads_system = shows_functions;
    for value in json::list(body, "messages")? {
        message(json::object(value, "a message")?, &mut pads_system, reading)?;
    }
    if shows_functions && !pads_system {
        reading.messages[0].unframe(SYSTEM_SAVES_TOKENS);
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

/// Reads tools and functions; says whether they are counted as shown to the model.
fn definitions<'a>(body: &'a Object, reading: &mut Reading<'a, '_>) -> Result<bool> {
    let wrapped = json::list(body, "tools")?;
    let functions = json::list(body, "functions")?;
    if let Some(custom) = json::nested(body, "response_format")?
        && json::text(custom, "type")? != Some("text")
    {
        reading.no_better_than(Method::Calibrated);
        tools::format(custom.get("json_schema"), reading);
    }
    if wrapped.is_empty() && functions.is_empty() {
        return Ok(false);
    }
    let mut message = tools::message();
    let mut inners = Vec::new();
    for tool in wrapped {
        let tool = json::object(tool, "a tool")?;
        let kind = json::text(tool, "type")?.unwrap_or("function");
        let Some(inner) = json::given(tool, kind) else {
            reading.unbounded(format!("a tool of the kind `{kind}`, which runs at the provider"));
            continue;
        };
        tools::definition(inner, &mut message, reading)?;
        inners.push(inner);
    }
    for function in functions {
        tools::definition(function, &mut message, reading)?;
        inners.push(function);
    }
    let has_rule = reading.frames == Frames::Published && inners.len() == wrapped.len() + functions.len();
    if reading.frames == Frames::Template {
        message = Message::new("tools", TEMPLATE_TOOLS_TOKENS);
        for inner in &inners {
            // Some indent them, all put spaces between.
            message.pieces.push(Piece::Text(format!("{inner:#}").into()));
            message.frame(TEMPLATE_TOOL_TOKENS);
        }
    }
    let text = has_rule.then(|| namespace::written(inners.into_iter())).flatten();
    let shows = text.is_some();
    if let Some(text) = text {
        reading.no_better_than(Method::Reconstructed);
        message = Message::new("tools", NAMESPACE_TOKENS);
        message.pieces.push(Piece::Text(text.into()));
    } else {
        reading.no_better_than(Method::Calibrated);
    }
    for key in ["tool_choice", "function_call"] {
        match json::given(body, key) {
            None => {}
            Some(Value::String(choice)) if choice == "auto" => {}
            Some(choice) => called(choice, &mut message),
        }
    }
    reading.messages.insert(0, message);
    Ok(shows)
}

/// What a request says of the call it wants.
fn called<'a>(choice: &'a Value, message: &mut Message<'a>) {
    let named = choice.get("function").unwrap_or(choice).get("name").and_then(Value::as_str);
    match (choice, named) {
        (Value::String(_), _) => message.frame(NO_CALL_TOKENS),
        (_, Some(name)) => {
            message.text(name);
            message.frame(NAMED_CALL_TOKENS);
        }
        (other, None) => message.json(other),
    }
}

/// Reads a message; the first system message is padded where functions are shown.
fn message<'a>(value: &'a Object, pads_system: &mut bool, reading: &mut Reading<'a, '_>) -> Result<()> {
    let role = json::text(value, "role")?.ok_or_else(|| Error::invalid("a message has no `role`"))?;
    let is_padded = role == "system" && std::mem::take(pads_system);
    let frame = match reading.frames {
        Frames::Published => MESSAGE_TOKENS,
        Frames::First => FIRST_MESSAGE_TOKENS,
        Frames::Template | Frames::Unknown => MESSAGE_TOKENS + UNKNOWN_MESSAGE_TOKENS,
    };
    let mut message = Message::new(role, frame);
    message.text(role);
    if let Some(name) = json::text(value, "name")? {
        message.text(name);
        match reading.frames {
            Frames::First => message.unframe(FIRST_NAME_SAVES_TOKENS),
            _ => message.frame(NAME_TOKENS),
        }
    }
    match json::given(value, "content") {
        None => {}
        Some(Value::String(text)) if is_padded => {
            message.pieces.push(Piece::Text(format!("{text}\n").into()));
        }
        Some(Value::String(text)) => message.text(text),
        Some(Value::Array(parts)) => {
            // How the parts of a message are joined is not published.
            if parts.len() != 1 {
                reading.no_better_than(Method::Calibrated);
            }
            message.frame(u64::from(is_padded));
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
        "function" if reading.frames == Frames::Published => message.unframe(FUNCTION_SAVES_TOKENS),
        _ => {
            reading.no_better_than(Method::Calibrated);
            message.frame(call_tokens(reading));
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
            let audio = json::nested(part, "input_audio")?;
            let data = audio.map(|audio| json::text(audio, "data")).transpose()?.flatten();
            reading.sound(data.ok_or_else(|| Error::invalid("a part has no `input_audio.data`"))?);
        }
        Some("file") => {
            let file = json::nested(part, "file")?;
            if file.is_some_and(|file| json::given(file, "file_data").is_some()) {
                reading.document();
            } else {
                reading.unbounded("a file, whose text we do not see");
            }
        }
        other => {
            let other = other.unwrap_or("nothing");
            reading.unbounded(format!("a part of the kind `{other}`, which we do not know"));
        }
    }
    Ok(())
}

/// Round a call of a tool, or its result, where no rule is published.
fn call_tokens(reading: &Reading) -> u64 {
    if reading.frames == Frames::Template { TEMPLATE_CALL_TOKENS } else { TOOL_CALL_TOKENS }
}

/// What an assistant did in an earlier turn.
fn calls<'a>(value: &'a Object, message: &mut Message<'a>, reading: &mut Reading<'a, '_>) -> Result<()> {
    if let Some(refusal) = json::text(value, "refusal")? {
        reading.no_better_than(Method::Calibrated);
        message.text(refusal);
    }
    // Text some servers want back although the maker's own does not know it.
    for key in ["reasoning_content", "reasoning"] {
        if let Some(Value::String(text)) = json::given(value, key) {
            reading.no_better_than(Method::Calibrated);
            message.text(text);
        }
    }
    if json::given(value, "audio").is_some() {
        reading.unbounded("audio the provider kept from an earlier answer");
    }
    let earlier = json::list(value, "tool_calls")?.iter().chain(json::given(value, "function_call"));
    for call in earlier {
        let is_function = call.get("name").is_some() && reading.frames == Frames::Published;
        reading.no_better_than(if is_function { Method::Reconstructed } else { Method::Calibrated });
        message.frame(if is_function { FUNCTION_CALL_TOKENS } else { call_tokens(reading) });
        if reading.frames == Frames::Template {
            reading.enlarge(TEMPLATE_CALLS_PER_MILLE);
        }
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
