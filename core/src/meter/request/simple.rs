//! How are requests for embeddings and for images read?

use serde_json::Value;

use super::{
    super::json::{self, Object},
    Method,
    prompt::{Message, Reading},
};
use crate::error::{Error, Result};

/// Published output tokens of an image by quality: square, upright, and the most of an upright or a
/// lying one.
const IMAGE_TOKENS: [(&str, [u64; 2]); 3] =
    [("low", [272, 408]), ("medium", [1_056, 1_584]), ("high", [4_160, 6_240])];
/// An image shown before it is finished, in a stream.
const PARTIAL_IMAGE_TOKENS: u64 = 100;

/// Embeddings are billed by the tokens of their texts alone.
pub(super) fn embeddings<'a>(body: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    reading.is_bare_text();
    reading.has_hidden_output = false;
    reading.max_output_tokens = Some(0);
    let mut message = Message::new("input", 0);
    let wrong = |value: &Value| {
        Error::invalid(format!("`input` holds `{}`, neither text nor tokens", json::shown(value)))
    };
    match json::given(body, "input") {
        None => return Err(Error::invalid("the request has no `input`")),
        Some(Value::Array(inputs)) => {
            for input in inputs {
                match input {
                    Value::String(text) => message.text(text),
                    Value::Number(_) => reading.other_tokens += 1,
                    Value::Array(tokens) => reading.other_tokens += tokens.len() as u64,
                    other => return Err(wrong(other)),
                }
            }
        }
        Some(Value::String(text)) => message.text(text),
        Some(other) => return Err(wrong(other)),
    }
    reading.messages.push(message);
    Ok(())
}

/// An image is billed by its prompt and by output tokens that depend on its size and quality.
pub(super) fn images<'a>(body: &'a Object, reading: &mut Reading<'a, '_>) -> Result<()> {
    reading.no_better_than(Method::Calibrated);
    reading.has_hidden_output = false;
    reading.output_media.image = true;
    reading.choices = json::count(body, "n")?.unwrap_or(1).max(1);
    let mut message = Message::new("prompt", 16);
    message.text(json::text(body, "prompt")?.unwrap_or_default());
    reading.messages.push(message);
    for key in ["image", "mask", "markup", "svg", "frame_count"] {
        if json::given(body, key).is_some() {
            reading.unbounded(format!("`{key}`, whose tokens we do not know"));
        }
    }
    let published = reading.price.is_some_and(|price| {
        price.model.starts_with("gpt-image-1") || &*price.model == "chatgpt-image-latest"
    });
    if !published {
        reading.unbounded("images of a model whose image tokens are not published");
        return Ok(());
    }
    let quality = json::text(body, "quality")?.filter(|quality| *quality != "auto").unwrap_or("high");
    let square = json::text(body, "size")? == Some("1024x1024");
    match IMAGE_TOKENS.iter().find(|(name, _)| *name == quality) {
        Some((_, [small, large])) => {
            let partial = json::count(body, "partial_images")?.unwrap_or(0);
            let image = if square { *small } else { *large };
            reading.max_output_tokens = Some(image + partial.saturating_mul(PARTIAL_IMAGE_TOKENS));
        }
        None => reading.unbounded(format!("an image of the quality `{quality}`")),
    }
    Ok(())
}
