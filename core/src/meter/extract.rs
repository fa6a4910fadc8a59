//! What did the provider say was used?
//!
//! One table per protocol says which field of a response becomes which count of a [`Usage`], so that
//! nothing vanishes unseen: a field no table knows is listed in [`Extracted::unknown_fields`]. A
//! count that is missing, negative, no number or larger than its whole is an error that names its
//! field; no usage at all is none, never zero.
//!
//! ```
//! use outlay::{Usage, meter::{Api, usage}};
//!
//! let body = serde_json::json!({
//!     "model": "claude-haiku-4-5-20251001",
//!     "usage": {"input_tokens": 100, "cache_read_input_tokens": 900, "output_tokens": 50},
//! });
//! let extracted = usage(Api::AnthropicMessages, &body)?;
//! let expected = Usage { cache_read_tokens: 900, ..Usage::tokens(1_000, 50) };
//! assert_eq!(extracted.usage, Some(expected));
//! # Ok::<(), outlay::Error>(())
//! ```

mod shape;

use serde_json::Value;

use super::{
    api::Api,
    json::{self, Object},
};
use crate::{
    error::{Error, Result},
    value::Usage,
};
use shape::Shape;

/// What a response says about its usage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// The usage; nothing if the response has none.
    pub usage: Option<Usage>,
    /// The model that answered.
    pub model: Option<String>,
    /// The service tier that served it.
    pub service_tier: Option<String>,
    /// Fields of the usage, by path, that hold something no table knows: perhaps billed, not charged.
    pub unknown_fields: Vec<String>,
}

/// Reads the usage of a whole response.
///
/// # Errors
///
/// `InvalidInput`: the body is no object, or its usage cannot be; the message names the field.
pub fn usage(api: Api, body: &Value) -> Result<Extracted> {
    let body = json::object(body, "the response")?;
    let mut extracted = Extracted {
        model: json::text(body, "model")?.map(str::to_owned),
        service_tier: json::text(body, "service_tier")?.map(str::to_owned),
        ..Extracted::default()
    };
    let Some(found) = json::nested(body, "usage")? else { return Ok(extracted) };
    if extracted.service_tier.is_none() {
        extracted.service_tier = json::text(found, "service_tier")?.map(str::to_owned);
    }
    let shape = Shape::of(api);
    let mut usage = shape.read(found)?;
    extracted.unknown_fields = shape.unknown(found);
    match api {
        Api::OpenAiResponses => usage.web_searches = searches(body)?,
        Api::OpenAiImages => {
            // Without details all output is image: the dearer part of the two.
            if json::given(found, "output_tokens_details").is_none() {
                usage.output_image_tokens = usage.output_tokens;
            }
            if json::given(body, "svg_usage").is_some() {
                extracted.unknown_fields.push("svg_usage".to_owned());
            }
        }
        Api::AnthropicMessages => {
            let rounds = json::list(found, "iterations")?;
            for (index, round) in rounds.iter().enumerate() {
                add_round(json::object(round, "an iteration")?, index, &shape, &mut usage, &mut extracted)?;
            }
        }
        Api::OpenAiChat | Api::OpenAiEmbeddings => {}
    }
    usage.check()?;
    extracted.usage = Some(usage);
    Ok(extracted)
}

/// Searches are billed apiece, but only the output tells how many there were.
fn searches(body: &Object) -> Result<u64> {
    let search = |item: &&Value| {
        let action = item.get("action").and_then(|action| action.get("type"));
        item.get("type").is_some_and(|kind| kind == "web_search_call")
            && action.is_none_or(|action| action == "search")
    };
    Ok(json::list(body, "output")?.iter().filter(search).count() as u64)
}

/// The totals leave out the rounds that are not the model's own messages.
fn add_round(
    round: &Object,
    index: usize,
    shape: &Shape,
    usage: &mut Usage,
    extracted: &mut Extracted,
) -> Result<()> {
    if json::text(round, "type")?.is_none_or(|kind| kind == "message") {
        return Ok(());
    }
    let model = json::text(round, "model")?;
    if model.is_some() && model != extracted.model.as_deref() {
        extracted.unknown_fields.push(format!("iterations.{index}"));
        return Ok(());
    }
    let more = shape.read(round)?;
    let pairs = [
        (&mut usage.input_tokens, more.input_tokens),
        (&mut usage.cache_read_tokens, more.cache_read_tokens),
        (&mut usage.cache_write_tokens, more.cache_write_tokens),
        (&mut usage.cache_write_1h_tokens, more.cache_write_1h_tokens),
        (&mut usage.output_tokens, more.output_tokens),
        (&mut usage.reasoning_tokens, more.reasoning_tokens),
    ];
    for (total, tokens) in pairs {
        let sum = total.checked_add(tokens);
        *total =
            sum.ok_or_else(|| Error::invalid(format!("`iterations.{index}` is more than a call can use")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
