//! How does a user say what a model costs?
//!
//! By an object of decimal numbers in USD per million tokens. Numbers are read by the decimal form
//! they were typed in; a price finer than a pico-USD per token is rounded up, never to nothing.

use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    Abilities, ByContext, ModelPrice, Rule, Served,
    row::{Dated, Row, unknown},
    units::Rates,
};
use crate::{
    error::{Error, Result},
    value::{Millis, money::decimal},
};

/// Ten USD a token: a dearer price is a slip of the pen.
const PRICE_MAX_PICO: i128 = 10_000_000_000_000;
const PICO_PLACES: i32 = 6;
const NANO_PLACES: i32 = 9;

const WHOLE_PPM: i64 = 1_000_000;

/// What the user says of one model.
#[derive(Default)]
pub(super) struct Entry {
    like: Option<String>,
    discount: Option<Discount>,
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

/// What is left to pay, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Discount(i64);

impl Discount {
    /// The same prices, less the discount; each is rounded up.
    pub(super) fn applied(self, row: &Row) -> Row {
        let price = row.price.as_ref().map(|price| Arc::new(self.price(price)));
        Row { price, ..row.clone() }
    }

    fn price(self, price: &ModelPrice) -> ModelPrice {
        ModelPrice {
            request_nanos: self.amount(price.request_nanos),
            web_search_nanos: price.web_search_nanos.map(|nanos| self.amount(nanos)),
            web_search_most_nanos: price.web_search_most_nanos.map(|nanos| self.amount(nanos)),
            ..price.with_units(|amount| self.amount(amount))
        }
    }

    fn amount(self, amount: i64) -> i64 {
        let parts = i128::from(amount) * i128::from(self.0);
        // At most what it was, so it fits.
        ((parts + i128::from(WHOLE_PPM) - 1) / i128::from(WHOLE_PPM)) as i64
    }
}

impl Entry {
    /// The name whose prices it has.
    pub(super) fn like(&self) -> Option<&str> {
        self.like.as_deref()
    }

    /// The discount of an entry that says nothing else.
    pub(super) fn discount_alone(&self, name: &str) -> Result<Discount> {
        let facts = [self.max_output_tokens, self.context_window];
        let more = self.rates.is_some() || self.like.is_some() || self.reasoning.is_some();
        let alone = self.discount.filter(|_| !more && facts == [None, None]);
        alone.ok_or_else(|| Error::invalid(format!("`{name}` can have a `discount` and nothing else")))
    }

    /// The prices of the model, from those `known` so far.
    pub(super) fn applied(&self, name: &str, known: Option<&[Row]>, version: &Arc<str>) -> Result<Dated> {
        let with_facts = |price: &ModelPrice| ModelPrice {
            rule: Rule::Yours,
            version: version.clone(),
            max_output_tokens: self.max_output_tokens.or(price.max_output_tokens),
            context_window: self.context_window.or(price.context_window),
            reasoning: self.reasoning.unwrap_or(price.reasoning),
            ..price.clone()
        };
        let Some(rates) = &self.rates else {
            let known = known.ok_or_else(|| {
                let asked = self.like.as_deref().unwrap_or(name);
                Error::invalid(format!("model `{asked}` has no known price: give its `input` and `output`"))
            })?;
            let own = |row: &Row| {
                let row = Row {
                    price: row.price.as_deref().map(|price| Arc::new(with_facts(price))),
                    ..row.clone()
                };
                self.discount.map_or(row.clone(), |discount| discount.applied(&row))
            };
            return Ok(known.iter().map(own).collect());
        };
        // Nobody knows whether an unknown model writes to a cache unasked.
        let unknown = || ModelPrice {
            automatic_cache_writes: true,
            abilities: Abilities::ANY,
            ..unknown("custom", name, version)
        };
        let newest = known.and_then(|rows| rows.last()?.price.as_deref());
        let price = ModelPrice {
            standard: Served {
                charged: ByContext { base: rates.resolved(), tiers: Box::default() },
                disputed: None,
            },
            served: Arc::from([]),
            request_nanos: self.request_nanos,
            web_search_nanos: self.web_search_nanos,
            web_search_most_nanos: self.web_search_nanos,
            ..with_facts(&newest.map_or_else(unknown, ModelPrice::clone))
        };
        let row = Row { from: Millis::MIN, hours: None, price: Some(Arc::new(price)), other: Box::default() };
        Ok(Box::from([self.discount.map_or(row.clone(), |discount| discount.applied(&row))]))
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
            "input_video" => rates.input_video = Some(price(PICO_PLACES)?),
            "output_video" => rates.output_video = Some(price(PICO_PLACES)?),
            "output_reasoning" => rates.reasoning = Some(price(PICO_PLACES)?),
            "request" => entry.request_nanos = price(NANO_PLACES)?,
            "web_search" => entry.web_search_nanos = Some(price(NANO_PLACES)?),
            "as" => {
                let name = value.as_str().filter(|name| !name.is_empty());
                let name = name.ok_or_else(|| wrong(model, key, value, "the name of a model"))?;
                entry.like = Some(name.to_owned());
            }
            "discount" => entry.discount = Some(discount(model, key, value)?),
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
    if entry.rates.is_some() && entry.like.is_some() {
        return Err(Error::invalid(format!("model `{model}` has prices of its own and those of another")));
    }
    Ok(entry)
}

/// `15%`: what is taken off, at most all of it.
fn discount(model: &str, key: &str, value: &Value) -> Result<Discount> {
    const PERCENT_PLACES: i32 = 4;
    let percent = value.as_str().and_then(|text| text.trim().strip_suffix('%'));
    let off = percent.and_then(|digits| decimal(digits.trim_end(), PERCENT_PLACES));
    let off = off.and_then(|off| i64::try_from(off).ok()).filter(|off| (0..=WHOLE_PPM).contains(off));
    let off = off.ok_or_else(|| wrong(model, key, value, "a percentage such as `\"15%\"`"))?;
    Ok(Discount(WHOLE_PPM - off))
}

/// Are there prices? Then there must be both: a price left out would read as free.
fn given_rates(model: &str, fields: &Map<String, Value>) -> Result<bool> {
    let facts = ["max_output_tokens", "context_window", "reasoning", "as", "discount"];
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
