//! What is planned? A flow as a file or a program writes it.

use serde::Deserialize;

use super::cost::{Cost, Spread};
use crate::{
    error::{Error, Result},
    meter::PriceBook,
    value::{Millis, Usage},
};

const STEPS_MAX: usize = 1_000;
const FAN_OUT_MAX: u32 = 10_000;
const SAMPLES_MAX: u32 = 1_000_000;
const RETRIES_MAX: u32 = 100;
/// Members of steps that are simulated, over all samples: some seconds.
const DRAWS_MAX: u64 = 200_000_000;
/// What succeeds more rarely than once in a thousand runs has no plan worth the name.
const SUCCESS_MIN: f64 = 0.001;

/// What a failed run costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedRunCost {
    /// The steps before the failure, and the step that failed in full.
    #[default]
    Progress,
    /// As much as a run that succeeds.
    Full,
}

/// How often a failed run is tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Retries {
    /// So many times.
    AtMost(u32),
    /// `"until_success"`.
    #[default]
    #[serde(deserialize_with = "until_success")]
    UntilSuccess,
}

fn until_success<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<(), D::Error> {
    let word = String::deserialize(from)?;
    if word == "until_success" { Ok(()) } else { Err(serde::de::Error::custom("no retries")) }
}

/// One step of a flow. What it costs is `usd`, or `input_tokens` and `output_tokens` of a `model`,
/// or of `usd_per_million = { input, output }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// How often it succeeds, from 0 to 1.
    #[serde(default = "always")]
    pub success: f64,
    /// How many of it run at once.
    #[serde(default = "one")]
    pub fan_out: u32,
    /// How many of these must succeed; all without it.
    pub need: Option<u32>,
    usd: Option<Cost>,
    model: Option<String>,
    provider: Option<String>,
    usd_per_million: Option<UnitPrices>,
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    cache_read_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitPrices {
    input: f64,
    output: f64,
}

const fn always() -> f64 {
    1.0
}

const fn one() -> u32 {
    1
}

/// A chain of steps, and what is done when one fails.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// How many tasks.
    #[serde(default = "one_task")]
    pub tasks: u64,
    /// How often a failed run is tried again.
    #[serde(default)]
    pub retries: Retries,
    /// What a failed run costs.
    #[serde(default)]
    pub failed_run_cost: FailedRunCost,
    /// What part of a run each resume from a checkpoint costs. With `progress` that is beside the
    /// step that is done again, and 0 by default; with `full` it is all a resume costs.
    pub resume_cost: Option<f64>,
    /// What part of a run keeping checkpoints costs.
    #[serde(default)]
    pub checkpoint_cost: f64,
    /// What simulations start from: the same seed gives the same figures.
    #[serde(default)]
    pub seed: u64,
    /// How many tasks are simulated.
    #[serde(default = "samples")]
    pub samples: u32,
    /// The steps, in order.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

const fn one_task() -> u64 {
    1
}

const fn samples() -> u32 {
    20_000
}

/// A flow with every cost known.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub stages: Vec<Stage>,
    /// Nothing for until success.
    pub retries: Option<u32>,
    pub mode: FailedRunCost,
    pub resume_cost: Option<f64>,
    pub checkpoint_cost: f64,
    pub seed: u64,
    pub samples: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub cost: Spread,
    pub mean: f64,
    pub success: f64,
    pub fan_out: u32,
    pub need: u32,
}

impl Flow {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: it is not TOML, or says what a flow does not know.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| Error::invalid(format!("the flow: {}", error.message())))
    }

    /// The same from JSON.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: as [`from_toml`](Self::from_toml).
    pub fn from_json(text: &str) -> Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| Error::invalid(format!("the flow: {error}"));
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| wrong(&error))?;
        let value = as_toml(value).ok_or_else(|| wrong(&"a number does not fit"))?;
        Self::deserialize(value).map_err(|error| wrong(&error.message()))
    }

    pub(super) fn model(&self, prices: &PriceBook, now: Millis) -> Result<Model> {
        let part = |name: &str, value: f64, most: f64| {
            let fits = value.is_finite() && (0.0..=most).contains(&value);
            let wrong = || Error::invalid(format!("`{name}` is {value}, not between 0 and {most}"));
            if fits { Ok(value) } else { Err(wrong()) }
        };
        if self.steps.is_empty() || self.steps.len() > STEPS_MAX {
            return Err(Error::invalid(format!("a flow has 1 to {STEPS_MAX} steps")));
        }
        let members: u64 = self.steps.iter().map(|step| u64::from(step.fan_out)).sum();
        if members.saturating_mul(self.samples.into()) > DRAWS_MAX {
            let most = DRAWS_MAX / members.max(1);
            return Err(Error::invalid(format!("`samples` is at most {most} with so many steps")));
        }
        if self.samples == 0 || self.samples > SAMPLES_MAX {
            return Err(Error::invalid(format!("`samples` is 1 to {SAMPLES_MAX}")));
        }
        part("checkpoint_cost", self.checkpoint_cost, 100.0)?;
        let resume_cost = match (self.resume_cost, self.failed_run_cost) {
            (Some(cost), _) => Some(part("resume_cost", cost, 100.0)?),
            (None, FailedRunCost::Progress) => Some(0.0),
            (None, FailedRunCost::Full) => None,
        };
        let retries = match self.retries {
            Retries::UntilSuccess => None,
            Retries::AtMost(most) if most <= RETRIES_MAX => Some(most),
            Retries::AtMost(_) => return Err(Error::invalid(format!("`retries` is at most {RETRIES_MAX}"))),
        };
        let stages = self.steps.iter().map(|step| {
            part("success", step.success, 1.0)?;
            step.stage(prices, now)
        });
        let model = Model {
            stages: stages.collect::<Result<_>>()?,
            retries,
            mode: self.failed_run_cost,
            resume_cost,
            checkpoint_cost: self.checkpoint_cost,
            seed: self.seed,
            samples: self.samples,
        };
        if retries.is_none() && model.run_success() < SUCCESS_MIN {
            let message = format!(
                "a run succeeds with {:.6}: too rarely to be tried until it does; set `retries`",
                model.run_success()
            );
            return Err(Error::invalid(message));
        }
        if !(model.ideal().is_finite() && model.ideal() > 0.0) {
            return Err(Error::invalid("a run must cost more than nothing"));
        }
        Ok(model)
    }
}

/// The numbers of `serde_json` keep every digit, and are no numbers to others for that.
fn as_toml(value: serde_json::Value) -> Option<toml::Value> {
    use serde_json::Value as Json;
    Some(match value {
        Json::Null => return None,
        Json::Bool(value) => value.into(),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64()?.into(),
        },
        Json::String(text) => text.into(),
        Json::Array(items) => items.into_iter().map(as_toml).collect::<Option<Vec<_>>>()?.into(),
        Json::Object(pairs) => {
            let given = pairs.into_iter().filter(|(_, value)| !value.is_null());
            let table = given.map(|(key, value)| Some((key, as_toml(value)?)));
            toml::Value::Table(table.collect::<Option<_>>()?)
        }
    })
}

impl Step {
    fn stage(&self, prices: &PriceBook, now: Millis) -> Result<Stage> {
        let wrong = |what: &str| Error::invalid(format!("step `{}`: {what}", self.name));
        let need = self.need.unwrap_or(self.fan_out);
        if self.fan_out == 0 || self.fan_out > FAN_OUT_MAX || need == 0 || need > self.fan_out {
            return Err(wrong(&format!("`fan_out` is 1 to {FAN_OUT_MAX}, and `need` 1 to that")));
        }
        let usage = Usage {
            cache_read_tokens: self.cache_read_tokens,
            ..Usage::tokens(self.input_tokens, self.output_tokens)
        };
        let cost = match (&self.usd, &self.model, self.usd_per_million) {
            (Some(cost), None, None) => cost.spread().ok_or_else(|| wrong("`usd` is no cost"))?,
            (None, Some(model), None) => {
                let price = prices.find(self.provider.as_deref(), model, now)?;
                Spread::Fixed(price.charge(&usage)?.amount.nanos() as f64 / 1e9)
            }
            (None, None, Some(unit)) if unit.input >= 0.0 && unit.output >= 0.0 => {
                let (input, output) = (self.input_tokens as f64, self.output_tokens as f64);
                Spread::Fixed((input * unit.input + output * unit.output) / 1e6)
            }
            _ => return Err(wrong("it has one of `usd`, `model` and `usd_per_million`")),
        };
        let mean = cost.mean();
        Ok(Stage { cost, mean, success: self.success, fan_out: self.fan_out, need })
    }
}

impl Model {
    /// What a run costs in which nothing fails.
    pub fn ideal(&self) -> f64 {
        self.stages.iter().map(Stage::ideal).sum()
    }

    /// How often a run succeeds at once.
    pub fn run_success(&self) -> f64 {
        self.stages.iter().map(Stage::passes).product()
    }

    pub const fn can_resume(&self) -> bool {
        self.resume_cost.is_some()
    }
}

impl Stage {
    pub fn ideal(&self) -> f64 {
        self.mean * f64::from(self.fan_out)
    }

    /// How often enough of them succeed at once.
    pub fn passes(&self) -> f64 {
        let (n, p) = (self.fan_out, self.success);
        if self.need == n {
            return p.powi(n.cast_signed());
        }
        if p >= 1.0 {
            return 1.0;
        }
        // Of the binomial distribution the terms from none on, each from the one before it.
        let mut term = (1.0 - p).powi(n.cast_signed());
        let mut fewer = 0.0;
        for k in 0..self.need {
            fewer += term;
            term *= f64::from(n - k) / f64::from(k + 1) * p / (1.0 - p);
        }
        (1.0 - fewer).clamp(0.0, 1.0)
    }
}
