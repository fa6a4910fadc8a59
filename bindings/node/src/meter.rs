//! Counts, prices, and what responses used.

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use outlay::{
    Clock, Error, ErrorKind, Money,
    meter::{self, Api, Counted, Method, PriceBook, ServiceTier},
    run::process,
};

use crate::{
    convert::{UsageSpec, Used, nanos},
    outcome::{Tagged, now},
};

const PICO_PER_NANO: i64 = 1_000;

/// How many tokens something is to a model.
#[napi(object)]
pub struct CountFacts {
    /// The count.
    pub tokens: i64,
    /// The most it is taken to be.
    pub bound: i64,
    /// `exact`, `reconstructed` or `calibrated`.
    pub method: String,
}

/// What a usage costs. Amounts are in nano-USD.
#[napi(object)]
pub struct ChargeFacts {
    /// All of it.
    pub total: BigInt,
    /// What the input costs.
    pub input: BigInt,
    /// What the output costs.
    pub output: BigInt,
    /// Fees per request and search.
    pub fees: BigInt,
    /// How the name was found.
    pub rule: String,
    /// The edition of the prices.
    pub price_version: String,
    /// Who bills it.
    pub provider: String,
    /// The main name of the model.
    pub model: String,
    /// Each unit with its quantity and price.
    pub lines: Vec<ChargeLine>,
}

/// One unit of a charge.
#[napi(object)]
pub struct ChargeLine {
    /// What is counted.
    pub unit: String,
    /// How many.
    pub quantity: i64,
    /// USD per million tokens, or apiece for fees; in nano-USD.
    pub price: BigInt,
}

/// What a response says.
#[napi(object)]
pub struct ExtractedFacts {
    /// What it used, and the cost the provider tells.
    pub usage: UsageSpec,
    /// The model that answered.
    pub model: Option<String>,
    /// The service tier that served it.
    pub service_tier: Option<String>,
    /// What it has beside what we know, by path.
    pub unknown_fields: Vec<String>,
}

/// Counts a text.
#[napi]
pub fn count_text(model: String, text: String) -> Tagged<CountFacts> {
    now(|| PriceBook::bundled().count_text(&model, &text, Clock::System.now()).map(|counted| shown(&counted)))
}

/// Counts messages, given as the JSON of a request's `messages`, `tools` and `tool_choice`.
#[napi]
pub fn count_messages(model: String, request: String) -> Tagged<CountFacts> {
    now(|| {
        let counted = PriceBook::bundled().count_messages(&model, request.as_bytes(), Clock::System.now())?;
        Ok(shown(&counted))
    })
}

fn shown(counted: &Counted) -> CountFacts {
    let method = match counted.method {
        Method::Exact => "exact",
        Method::Reconstructed => "reconstructed",
        Method::Calibrated | Method::Ceiling => "calibrated",
    };
    CountFacts { tokens: counted.tokens as i64, bound: counted.bound as i64, method: method.to_owned() }
}

/// What a usage costs, at a time in milliseconds since 1970; now if there is none.
#[napi]
pub fn price_usage(
    model: String,
    used: UsageSpec,
    provider: Option<String>,
    at: Option<i64>,
    service_tier: Option<String>,
) -> Tagged<ChargeFacts> {
    now(|| {
        let tier = match service_tier {
            None => ServiceTier::Standard,
            Some(word) => ServiceTier::read(&word).ok_or_else(|| {
                let message = format!("`serviceTier` is `{word}`, which is no tier");
                Error::new(ErrorKind::InvalidInput, message)
            })?,
        };
        let used = Used::read(&used)?.usage;
        let at = at.unwrap_or_else(|| Clock::System.now());
        let price = process::config()?.prices.find(provider.as_deref(), &model, at)?;
        let sum = price.charge_served(&used, tier)?;
        let lines = price.lines(&used, tier)?;
        Ok(ChargeFacts {
            total: nanos(sum.amount),
            input: nanos(sum.input),
            output: nanos(sum.output),
            fees: sum.fee_nanos.into(),
            rule: price.rule.code().to_owned(),
            price_version: price.version.to_string(),
            provider: price.provider.to_string(),
            model: price.model.to_string(),
            lines: lines.iter().map(line).collect(),
        })
    })
}

fn line(line: &meter::ChargeLine) -> ChargeLine {
    let is_fee = matches!(line.unit, "request" | "web_search");
    // Pico-USD a token are millionths of a USD per million tokens.
    let nanos =
        if is_fee { line.pico_each / PICO_PER_NANO } else { line.pico_each.saturating_mul(PICO_PER_NANO) };
    ChargeLine { unit: line.unit.to_owned(), quantity: line.quantity as i64, price: nanos.into() }
}

/// Reads the usage of a response, or of a list of a stream's events, from its JSON text.
#[napi]
pub fn extract_usage(body: String, provider: String, api: String) -> Tagged<ExtractedFacts> {
    now(|| {
        let api = Api::find(&provider, &api)?;
        let extracted = meter::usage_of_text(api, &body)?;
        let usage = extracted.usage.as_ref().ok_or_else(|| {
            let message = format!("this has no usage of `{api}`, or is a stream without its end");
            Error::new(ErrorKind::InvalidInput, message)
        })?;
        let cost = extracted.cost.map(|cost: Money| cost.decimal());
        Ok(ExtractedFacts {
            usage: UsageSpec { cost, ..UsageSpec::from(usage) },
            model: extracted.model,
            service_tier: extracted.service_tier,
            unknown_fields: extracted.unknown_fields,
        })
    })
}
