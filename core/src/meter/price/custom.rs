//! How does a user say what a model costs?
//!
//! By an object of decimal numbers in USD per million tokens. Numbers are read by the decimal form
//! they were typed in; a price finer than a pico-USD per token is rounded up, never to nothing.

use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    ModelPrice,
    table::{Dated, Rates, UNKNOWN_PRIOR_PER_MILLE},
};
use crate::{
    error::{Error, Result},
    meter::tokens::{self, Encoding},
    value::{Millis, money::decimal},
};

/// Ten USD a token: a dearer price is a slip of the pen.
const PRICE_MAX_PICO: i128 = 10_000_000_000_000;
const PICO_PLACES: i32 = 6;
const NANO_PLACES: i32 = 9;

/// What the user says of one model.
#[derive(Default)]
pub(super) struct Entry {
    rates: Option<Rates>,
    request_nanos: i64,
    web_search_nanos: Option<i64>,
    max_output_tokens: Option<u64>,
    context_window: Option<u64>,
    reasoning: Option<bool>,
}

/// Reads the whole object.
pub(super) fn read(json: &str) -> Result<Vec<(String, Entry)>> {
    let value: Value = serde_json::from_str(json)
        .map_err(|error| Error::invalid(format!("the prices do not read as JSON: {error}")))?;
    let Value::Object(models) = value else {
        return Err(Error::invalid("the prices must be an object from model name to prices"));
    };
    models.iter().map(|(name, fields)| Ok((name.clone(), entry(name, fields)?))).collect()
}

/// The edition of prices that `json` makes of the edition `base`.
pub(super) fn version(base: &str, json: &str) -> String {
    let digest = Sha256::digest(json.as_bytes());
    format!("{base}+{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
}

impl Entry {
    /// The prices of the model, from those `known` so far.
    pub(super) fn applied(&self, name: &str, known: Option<&Dated>, version: &Arc<str>) -> Result<Dated> {
        let with_facts = |price: &ModelPrice| ModelPrice {
            version: version.clone(),
            max_output_tokens: self.max_output_tokens.or(price.max_output_tokens),
            context_window: self.context_window.or(price.context_window),
            reasoning: self.reasoning.unwrap_or(price.reasoning),
            ..price.clone()
        };
        let Some(rates) = &self.rates else {
            let known = known.ok_or_else(|| {
                Error::invalid(format!("model `{name}` has no known price: give its `input` and `output`"))
            })?;
            return Ok(known.iter().map(|(from, price)| (*from, Arc::new(with_facts(price)))).collect());
        };
        let newest = known.and_then(|dated| dated.last());
        let facts = newest.map_or_else(|| unknown(name), |(_, price)| (**price).clone());
        let price = ModelPrice {
            base: rates.resolved(),
            tiers: Box::default(),
            request_nanos: self.request_nanos,
            web_search_nanos: self.web_search_nanos,
            ..with_facts(&facts)
        };
        Ok(Box::from([(Millis::MIN, Arc::new(price))]))
    }
}

fn unknown(name: &str) -> ModelPrice {
    let (encoding, prior_per_mille) =
        tokens::family(name).unwrap_or((Encoding::O200k, UNKNOWN_PRIOR_PER_MILLE));
    ModelPrice {
        provider: "custom".into(),
        model: name.into(),
        version: "".into(),
        context_window: None,
        max_output_tokens: None,
        reasoning: false,
        thinks_on_request: false,
        encoding,
        prior_per_mille,
        exact_frames: false,
        image_tokens: None,
        unreported_searches: false,
        base: Rates::default().resolved(),
        tiers: Box::default(),
        request_nanos: 0,
        web_search_nanos: None,
        // Nobody knows whether it does.
        automatic_cache_writes: true,
    }
}

fn entry(model: &str, fields: &Value) -> Result<Entry> {
    let Value::Object(fields) = fields else {
        return Err(Error::invalid(format!("the prices of model `{model}` must be an object")));
    };
    let mut entry = Entry::default();
    let mut rates = Rates::default();
    for (key, value) in fields {
        let price = |places| amount(model, key, value, places);
        match key.as_str() {
            "input" => rates.input = price(PICO_PLACES)?,
            "output" => rates.output = price(PICO_PLACES)?,
            "cache_read" => rates.cache_read = Some(price(PICO_PLACES)?),
            "cache_write" => rates.cache_write = Some(price(PICO_PLACES)?),
            "cache_write_1h" => rates.cache_write_1h = Some(price(PICO_PLACES)?),
            "input_audio" => rates.input_audio = Some(price(PICO_PLACES)?),
            "input_image" => rates.input_image = Some(price(PICO_PLACES)?),
            "output_audio" => rates.output_audio = Some(price(PICO_PLACES)?),
            "output_image" => rates.output_image = Some(price(PICO_PLACES)?),
            "request" => entry.request_nanos = price(NANO_PLACES)?,
            "web_search" => entry.web_search_nanos = Some(price(NANO_PLACES)?),
            "max_output_tokens" => entry.max_output_tokens = Some(count(model, key, value)?),
            "context_window" => entry.context_window = Some(count(model, key, value)?),
            "reasoning" => {
                let flag = value.as_bool();
                entry.reasoning = Some(flag.ok_or_else(|| wrong(model, key, value, "true or false"))?);
            }
            _ => return Err(Error::invalid(format!("`{key}` of model `{model}` is no price and no fact"))),
        }
    }
    entry.rates = given_rates(model, fields)?.then_some(rates);
    Ok(entry)
}

/// Are there prices? Then there must be both: a price left out would read as free.
fn given_rates(model: &str, fields: &Map<String, Value>) -> Result<bool> {
    let facts = ["max_output_tokens", "context_window", "reasoning"];
    if fields.keys().all(|key| facts.contains(&key.as_str())) {
        return Ok(false);
    }
    for key in ["input", "output"] {
        if !fields.contains_key(key) {
            return Err(Error::invalid(format!(
                "model `{model}` needs `{key}` beside its other prices; 0 if it is free"
            )));
        }
    }
    Ok(true)
}

fn amount(model: &str, key: &str, value: &Value, places: i32) -> Result<i64> {
    const FINE: i32 = 18;
    let wrong = || wrong(model, key, value, "an amount of USD");
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return Err(wrong()),
    };
    let fine = decimal(&text, places + FINE).ok_or_else(wrong)?;
    let unit = 10_i128.pow(FINE as u32);
    let whole = fine / unit + i128::from(fine % unit > 0);
    if fine < 0 || text.starts_with('-') || whole > PRICE_MAX_PICO {
        return Err(wrong());
    }
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let least = i64::from(mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte)));
    i64::try_from(whole).map(|whole| whole.max(least)).map_err(|_| wrong())
}

fn count(model: &str, key: &str, value: &Value) -> Result<u64> {
    let count = value.as_u64().filter(|count| (1..=1_000_000_000).contains(count));
    count.ok_or_else(|| wrong(model, key, value, "a whole number of tokens"))
}

fn wrong(model: &str, key: &str, value: &Value, what: &str) -> Error {
    let shown: String = value.to_string().chars().take(40).collect();
    Error::invalid(format!("`{key}` of model `{model}` is `{shown}`, not {what}"))
}
