//! What did the provider say was used?
//!
//! One table per API (`extract/tables.rs`) says which field of a response becomes which count of a
//! [`Usage`], so that nothing vanishes unseen: a field no table knows is listed in
//! [`Extracted::unknown_fields`]. A count that is missing, negative, no whole number or larger than
//! its whole is an error that names its field; no usage at all is none, never zero.
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
mod tables;

use std::borrow::Cow;

use serde_json::Value;

use super::{
    api::Api,
    json::{self, Object},
};
use crate::{
    error::Result,
    value::{Money, Usage},
};
use shape::{Rule, at};

pub(super) use shape::Shape;

/// What a response says about its usage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// The usage; nothing if the response has none.
    pub usage: Option<Usage>,
    /// What the provider charges for it, where it says so; rounded up to whole nano-USD.
    pub cost: Option<Money>,
    /// The model that answered.
    pub model: Option<String>,
    /// The service tier that served it; also `fast`, which Anthropic tells as a speed.
    pub service_tier: Option<String>,
    /// The region it was bound to, where the provider has a price for that.
    pub region: Option<String>,
    /// Fields of the usage, by path, that hold something no table knows: perhaps billed, not charged.
    /// At most 32.
    pub unknown_fields: Vec<String>,
}

impl From<Usage> for Extracted {
    /// A usage somebody knows, and nothing else.
    fn from(usage: Usage) -> Self {
        Self { usage: Some(usage), ..Self::default() }
    }
}

/// Reads the usage of a whole response.
///
/// # Errors
///
/// `InvalidInput`: the body is no object, or its usage cannot be; the message names the field.
pub fn usage(api: Api, body: &Value) -> Result<Extracted> {
    let body = json::object(body, "the response")?;
    let model = text(body, Shape::of(api).models);
    match Shape::of(api).find(body)? {
        Some(found) => usage_apart(api, &found, model.as_deref(), body),
        None => Ok(Extracted { model, service_tier: tier(body), ..Extracted::default() }),
    }
}

/// Reads a usage and what else the `body` around it tells of it.
pub(super) fn usage_apart(api: Api, found: &Object, model: Option<&str>, body: &Object) -> Result<Extracted> {
    let shape = if api == Api::AiSdk { Shape::of_ai_sdk(found) } else { Shape::of(api) };
    let mut extracted = Extracted {
        model: model.map(str::to_owned),
        service_tier: fast(found).or_else(|| tier(body)).or_else(|| tier(found)),
        region: region(found),
        ..Extracted::default()
    };
    let mut usage = shape.read(found)?;
    extracted.cost = shape.cost(found)?;
    extracted.unknown_fields = shape.unknown(found, &usage);
    match api.spoken() {
        Api::OpenAiResponses if usage.web_searches == 0 => usage.web_searches = searches(body)?,
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
            add_rounds(&shape, json::list(found, "iterations")?, &mut usage, &mut extracted)?;
        }
        Api::GeminiGenerate => usage.web_searches = grounded(body),
        _ => {}
    }
    usage.check()?;
    extracted.usage = Some(usage);
    Ok(extracted)
}

impl Shape {
    /// The usage in a response, under the names of its table.
    fn find<'a>(&self, body: &'a Object) -> Result<Option<Cow<'a, Object>>> {
        for root in self.roots {
            let found = match *root {
                "" => Some(body).filter(|body| self.has_any(body)),
                root => at(body, root)?.map(|value| json::object(value, "the usage")).transpose()?,
            };
            if let Some(found) = found {
                return Ok(Some(self.named(found)));
            }
        }
        Ok(None)
    }

    /// Takes what an event of a stream tells of the usage; false if it tells nothing.
    pub(super) fn fold(&self, known: &mut Option<Object>, event: &Object) -> bool {
        let told = self.events.iter().find_map(|path| match *path {
            "" => Some(event).filter(|event| self.has_any(event)),
            path => at(event, path).ok()?.and_then(Value::as_object),
        });
        let Some(told) = told else { return false };
        let told = self.named(told).into_owned();
        match (self.rule, known.as_mut()) {
            (Rule::Last, _) | (_, None) => *known = Some(told),
            (Rule::Merge, Some(known)) => {
                known.extend(told.into_iter().filter(|(_, value)| !value.is_null()));
            }
            (Rule::Sum, Some(known)) => add(known, &told),
        }
        true
    }

    /// Google's Python client gives back in snake case what it was sent in camel case.
    fn named<'a>(&self, found: &'a Object) -> Cow<'a, Object> {
        if self.is_camel && !self.has_any(found) {
            return Cow::Owned(camel(found));
        }
        Cow::Borrowed(found)
    }
}

fn camel(object: &Object) -> Object {
    let item = |item: &Value| match item {
        Value::Object(fields) => fields.iter().map(|(key, value)| (camel_name(key), value.clone())).collect(),
        other => other.clone(),
    };
    let named = |value: &Value| match value {
        Value::Array(items) => items.iter().map(item).collect(),
        other => other.clone(),
    };
    object.iter().map(|(key, value)| (camel_name(key), named(value))).collect()
}

fn camel_name(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut all, word| {
        let mut letters = word.chars();
        all.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        all.push_str(letters.as_str());
        all
    })
}

/// Adds each number to the one of the same name; of all else the later counts.
fn add(known: &mut Object, told: &Object) {
    for (key, value) in told.iter().filter(|(_, value)| !value.is_null()) {
        match (known.get_mut(key), value) {
            (Some(Value::Object(known)), Value::Object(told)) => add(known, told),
            (Some(sum), value) if sum.as_u64().is_some() && value.as_u64().is_some() => {
                *sum = sum.as_u64().unwrap_or(0).saturating_add(value.as_u64().unwrap_or(0)).into();
            }
            _ => {
                known.insert(key.clone(), value.clone());
            }
        }
    }
}

fn text(body: &Object, paths: &[&str]) -> Option<String> {
    paths.iter().find_map(|path| at(body, path).ok()??.as_str()).map(str::to_owned)
}

fn tier(object: &Object) -> Option<String> {
    text(object, &["service_tier", "serviceTier", "serviceTier.type"])
}

/// A speed has prices of its own, whatever tier of capacity is told beside it.
fn fast(found: &Object) -> Option<String> {
    text(found, &["speed"]).filter(|speed| speed == "fast")
}

/// Anthropic says `global` or `not_available` where nothing was bound.
fn region(found: &Object) -> Option<String> {
    let told = text(found, &["inference_geo"])?;
    Some(told).filter(|region| !["global", "not_available"].contains(&region.as_str()))
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

/// Google's own searches stand beside the usage too; whether each is billed is the price list's to know.
pub(super) fn grounded(body: &Object) -> u64 {
    let candidates = body.get("candidates").and_then(Value::as_array);
    let searches = candidates.into_iter().flatten().map(|candidate| {
        let queries =
            candidate.get("groundingMetadata").and_then(|grounding| grounding.get("webSearchQueries"));
        queries.and_then(Value::as_array).map_or(0, |queries| queries.len() as u64)
    });
    searches.sum()
}

/// Adds the rounds that the totals leave out: those for which nothing is left in them beside the
/// model's own messages.
fn add_rounds(shape: &Shape, rounds: &[Value], usage: &mut Usage, extracted: &mut Extracted) -> Result<()> {
    let is_message = |round: &&Value| {
        let kind = round.get("type").and_then(Value::as_str);
        kind.is_none_or(|kind| kind == "message")
    };
    let mut left = (usage.input_tokens, usage.output_tokens);
    let mut take = |round: &Usage| {
        let rest = (left.0.checked_sub(round.input_tokens), left.1.checked_sub(round.output_tokens));
        left = (rest.0.unwrap_or(0), rest.1.unwrap_or(0));
        rest.0.is_some() && rest.1.is_some()
    };
    for round in rounds.iter().filter(is_message) {
        take(&shape.read(json::object(round, "an iteration")?)?);
    }
    for (index, round) in rounds.iter().enumerate().filter(|(_, round)| !is_message(round)) {
        let round = json::object(round, "an iteration")?;
        let more = shape.read(round)?;
        let model = json::text(round, "model")?;
        if take(&more) {
            continue;
        }
        if model.is_some() && model != extracted.model.as_deref() {
            extracted.unknown_fields.push(format!("iterations.{index}"));
            continue;
        }
        let pairs = [
            (&mut usage.input_tokens, more.input_tokens),
            (&mut usage.cache_read_tokens, more.cache_read_tokens),
            (&mut usage.cache_write_tokens, more.cache_write_tokens),
            (&mut usage.cache_write_1h_tokens, more.cache_write_1h_tokens),
            (&mut usage.output_tokens, more.output_tokens),
            (&mut usage.reasoning_tokens, more.reasoning_tokens),
        ];
        for (total, tokens) in pairs {
            *total = total.saturating_add(tokens);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
