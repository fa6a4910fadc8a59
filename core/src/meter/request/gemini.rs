//! How is a request of Gemini's `generateContent` or `embedContent` read?
//!
//! The address of such a request names its model and says whether it is streamed; whoever hands it
//! in adds both as `model` and `stream`. Every field may have its name in JSON or in protobuf, and
//! clients mix them. Thoughts are billed within `maxOutputTokens`.

use serde_json::Value;

use super::{
    super::json::{self, Object},
    Method,
    prompt::{Message, Piece, Reading},
    tools,
};
use crate::error::{Error, Result};

/// Round a content; Google publishes no frames, and its own counts have none for plain text.
const CONTENT_TOKENS: u64 = 4;
/// Round a call of a function and round its result.
const CALL_TOKENS: u64 = 8;
/// Tools that run at the provider and are billed by the tokens they bring, and no fee beside.
const FREE_TOOLS: [[&str; 2]; 3] =
    [["codeExecution", "code_execution"], ["urlContext", "url_context"], ["computerUse", "computer_use"]];
/// The tool whose searches the answer tells.
const SEARCH: [&str; 2] = ["googleSearch", "google_search"];
const FUNCTIONS: [&str; 2] = ["functionDeclarations", "function_declarations"];
const CONFIG: [&str; 2] = ["generationConfig", "generation_config"];
const MAXIMUM: [&str; 2] = ["maxOutputTokens", "max_output_tokens"];

pub(super) fn read<'a>(body: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    reading.no_better_than(Method::Calibrated);
    if is_embedding(body) {
        reading.has_hidden_output = false;
        reading.max_output_tokens = Some(0);
        for request in json::list(body, "requests")? {
            embedding(json::object(request, "a request")?, reading)?;
        }
        return embedding(body, reading);
    }
    definitions(body, reading)?;
    let system = name(body, ["systemInstruction", "system_instruction"])?;
    content(body.get(system), Some("system"), reading)?;
    for value in json::list(body, "contents")? {
        content(Some(value), None, reading)?;
    }
    for (names, reason) in [
        (["cachedContent", "cached_content"], "a context the provider keeps"),
        (["continuationToken", "continuation_token"], "a conversation the provider keeps"),
    ] {
        if json::given(body, name(body, names)?).is_some() {
            reading.unbounded(reason);
        }
    }
    match json::nested(body, name(body, CONFIG)?)? {
        Some(config) => generation(config, reading),
        None => Ok(()),
    }
}

/// The field that holds the maximum of output, with what the caller set there, and the maximum's name;
/// nothing if there is no output.
pub(super) fn limits(body: &Object) -> Result<Option<(&'static str, Object, &'static str)>> {
    if is_embedding(body) {
        return Ok(None);
    }
    let key = name(body, CONFIG)?;
    let config = json::nested(body, key)?.cloned().unwrap_or_default();
    let maximum = name(&config, MAXIMUM)?;
    Ok(Some((key, config, maximum)))
}

fn is_embedding(body: &Object) -> bool {
    body.contains_key("requests") || body.contains_key("content")
}

/// Under which of its names a field is given.
fn name(object: &Object, [own, protobuf]: [&'static str; 2]) -> Result<&'static str> {
    match (object.contains_key(own), object.contains_key(protobuf)) {
        (true, true) => Err(Error::invalid(format!("`{own}` is given twice, as `{protobuf}` too"))),
        (_, is_protobuf) => Ok(if is_protobuf { protobuf } else { own }),
    }
}

fn embedding<'a>(request: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    content(request.get("content"), None, reading)?;
    // The title is read with the text.
    let nested = json::nested(request, name(request, ["embedContentConfig", "embed_content_config"])?)?;
    for place in [Some(request), nested].into_iter().flatten() {
        if let Some(title) = json::text(place, "title")? {
            let mut message = Message::new("title", CONTENT_TOKENS);
            message.text(title);
            reading.messages.push(message);
        }
    }
    Ok(())
}

fn generation<'a>(config: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    reading.max_output_tokens = json::count(config, name(config, MAXIMUM)?)?;
    let candidates = json::count(config, name(config, ["candidateCount", "candidate_count"])?)?;
    reading.choices = candidates.unwrap_or(1).max(1);
    for names in [
        ["responseSchema", "response_schema"],
        ["responseJsonSchema", "response_json_schema"],
        ["_responseJsonSchema", "_response_json_schema"],
    ] {
        if let Some(schema) = json::given(config, name(config, names)?) {
            tools::format(Some(schema), reading);
        }
    }
    for kind in json::list(config, name(config, ["responseModalities", "response_modalities"])?)? {
        let is = |name: &str| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(name));
        reading.output_media.audio |= is("AUDIO");
        reading.output_media.image |= is("IMAGE");
    }
    for names in [["routingConfig", "routing_config"], ["modelConfig", "model_config"]] {
        if json::given(config, name(config, names)?).is_some() {
            reading.unpriced.get_or_insert("the provider chooses the model".to_owned());
        }
    }
    if let Some(thinking) = json::nested(config, name(config, ["thinkingConfig", "thinking_config"])?)? {
        let budget = json::given(thinking, name(thinking, ["thinkingBudget", "thinking_budget"])?);
        // -1 leaves the length to the model.
        match budget.and_then(Value::as_i64) {
            Some(0) => reading.has_hidden_output = false,
            Some(budget) => reading.thinking_budget = u64::try_from(budget).ok(),
            None => {}
        }
    }
    Ok(())
}

fn definitions<'a>(body: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    let mut message = tools::message();
    for tool in json::list(body, "tools")? {
        let tool = json::object(tool, "a tool")?;
        for function in json::list(tool, name(tool, FUNCTIONS)?)? {
            tools::definition(function, &mut message, reading)?;
        }
        for (kind, value) in tool {
            if FUNCTIONS.contains(&kind.as_str()) || value.is_null() {
                continue;
            }
            reading.unbounded(format!("the tool `{kind}`, which runs at the provider"));
            let has_price = reading.price.is_some_and(|price| price.web_search_nanos().is_some());
            let is_priced = SEARCH.contains(&kind.as_str()) && has_price;
            if !is_priced && !FREE_TOOLS.iter().any(|names| names.contains(&kind.as_str())) {
                let fee = format!("the tool `{kind}` has a fee that the usage does not tell");
                reading.unpriced.get_or_insert(fee);
            }
        }
    }
    if !message.pieces.is_empty() {
        reading.messages.push(message);
    }
    Ok(())
}

/// A content: an object with parts, or in a system instruction its bare text or part.
fn content<'a>(value: Option<&'a Value>, role: Option<&'a str>, reading: &mut Reading<'a, '_>) -> Result<()> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(()) };
    if let Value::String(text) = value {
        let mut message = Message::new(role.unwrap_or("user"), CONTENT_TOKENS);
        message.text(text);
        reading.messages.push(message);
        return Ok(());
    }
    let object = json::object(value, "a content")?;
    let role = role.or(json::text(object, "role")?).unwrap_or("user");
    let mut message = Message::new(role, CONTENT_TOKENS);
    match json::given(object, "parts") {
        // A list of one, as protobuf reads it.
        Some(Value::Object(only)) => part(only, &mut message, reading)?,
        Some(_) => parts(object, &mut message, reading)?,
        None => part(object, &mut message, reading)?,
    }
    reading.messages.push(message);
    Ok(())
}

fn parts<'a>(holder: &'a Object, message: &mut Message<'a>, reading: &mut Reading<'a, '_>) -> Result<()> {
    for value in json::list(holder, "parts")? {
        part(json::object(value, "a part")?, message, reading)?;
    }
    Ok(())
}

fn part<'a>(part: &'a Object, message: &mut Message<'a>, reading: &mut Reading<'a, '_>) -> Result<()> {
    for (kind, value) in part.iter().filter(|(_, value)| !value.is_null()) {
        match kind.as_str() {
            "text" => message.text(json::text(part, kind)?.unwrap_or_default()),
            // The whole thought is in it, and it is billed as input; the text may be a summary.
            "thoughtSignature" | "thought_signature" => {
                message.pieces.push(Piece::Sealed(json::text(part, kind)?.unwrap_or_default()));
            }
            "functionResponse" | "function_response" => {
                result(json::object(value, "a result")?, message, reading)?;
            }
            "functionCall"
            | "function_call"
            | "executableCode"
            | "executable_code"
            | "codeExecutionResult"
            | "code_execution_result" => {
                message.json(value);
                message.frame(CALL_TOKENS);
            }
            "inlineData" | "inline_data" | "fileData" | "file_data" => {
                media(json::object(value, "the data of a part")?, message, reading)?;
            }
            "role" | "thought" | "mediaResolution" | "media_resolution" | "videoMetadata"
            | "video_metadata" | "partMetadata" | "part_metadata" => {}
            other => reading.unbounded(format!("a part of the kind `{other}`, which we do not know")),
        }
    }
    Ok(())
}

/// What a function gave back; it may hold media beside its JSON.
fn result<'a>(result: &'a Object, message: &mut Message<'a>, reading: &mut Reading<'a, '_>) -> Result<()> {
    message.frame(CALL_TOKENS);
    for (_, value) in result.iter().filter(|(key, _)| *key != "parts") {
        message.json(value);
    }
    parts(result, message, reading)
}

fn media<'a>(data: &'a Object, message: &mut Message<'a>, reading: &mut Reading<'a, '_>) -> Result<()> {
    let kind = json::text(data, name(data, ["mimeType", "mime_type"])?)?.unwrap_or("of no type");
    let source = json::text(data, name(data, ["fileUri", "file_uri"])?)?.or(json::text(data, "data")?);
    let source = source.unwrap_or_default();
    match kind.split('/').next().unwrap_or_default() {
        "image" => reading.image(message, source, false),
        "audio" | "video" => {
            reading.input_media.audio = true;
            reading.unbounded(format!("a file `{kind}`, whose length we do not read"));
        }
        _ => reading.unbounded(format!("a file `{kind}`, whose pages we do not read")),
    }
    Ok(())
}
