//! What does a task of a kind take that its caller gives nothing of?
//!
//! The configuration names options by kind; a task that is opened with that kind takes each of them
//! that its caller does not give. A task that has its kind from the task above takes none: the limits of
//! that one hold for it as well. This happens when a task is opened and at no other time.
//!
//! ```
//! use outlay::{Config, Ledger, TaskOptions, run::config::Choices};
//!
//! let choices = Choices::from_toml("[kinds.refund]\nusd = 0.50\nllm_calls = 30")?;
//! let ledger = Ledger::open("memory:", Config::default().with(&choices)?.into())?;
//! let task = ledger.open_task(TaskOptions::new("refund-4711").tag("kind", "refund")?)?;
//! assert_eq!(task.available()?.unwrap().to_string(), "0.50 USD");
//! # Ok::<(), outlay::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{approval::OnLimit, options::TaskOptions, route, watch::Watch};
use crate::{
    error::{Error, Result},
    ledger::open::ceilings,
    policy::{Breaker, Deadline, Limit, Thresholds, Unit, Window},
    sync::Arc,
    value::{Money, as_written, tags::checked_text},
};

/// A hundred years, in seconds.
const DEADLINE_MAX_S: i64 = 100 * 366 * 86_400;

/// The options of a kind as a file or a caller writes them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindChoice {
    /// A number or text (hard, for the life of the task), a table of `amount`, `soft`, `window` and
    /// `tz`, or a list of these.
    pub usd: Option<Value>,
    /// The same, in tokens.
    pub tokens: Option<Value>,
    /// The same, in calls of a model.
    pub llm_calls: Option<Value>,
    /// The same, in calls of a tool.
    pub tool_calls: Option<Value>,
    /// The most all attempts after the first may cost together.
    pub retry_usd: Option<Value>,
    /// See [`TaskOptions::wrap_up`].
    pub wrap_up_usd: Option<Value>,
    /// Seconds after the task was opened for the first time, a table of `amount` and `soft`, or a list.
    pub deadline: Option<Value>,
    /// `raise`, `ask` or `finish`.
    pub on_limit: Option<String>,
    /// See [`TaskOptions::fallback`].
    pub fallback: Option<Vec<String>>,
    /// See [`TaskOptions::alerts`].
    pub alerts: Option<Vec<Value>>,
    /// True, or thresholds as [`Breaker::new`] reads them.
    pub breaker: Option<Value>,
}

/// How a limit is written that is more than a number.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitChoice {
    amount: Value,
    #[serde(default)]
    soft: bool,
    window: Option<String>,
    tz: Option<String>,
}

/// What tasks of one kind take that their callers give nothing of.
#[derive(Clone, Debug, Default)]
pub struct KindOptions {
    limits: Vec<Limit>,
    deadline: Option<Deadline>,
    soft_deadline: Option<Deadline>,
    on_limit: Option<OnLimit>,
    wrap_up: Option<Money>,
    fallback: Option<route::Models>,
    alerts: Option<Thresholds>,
    /// As it was written, and read.
    breaker: Option<(Value, Breaker)>,
    /// Each option that is given, and its value as JSON.
    given: Vec<(&'static str, Value)>,
}

/// The options of every kind that has some.
pub type Kinds = BTreeMap<String, KindOptions>;

/// Reads the options of every kind.
pub(super) fn read(choices: &BTreeMap<String, KindChoice>) -> Result<Kinds> {
    let one = |(kind, choice): (&String, &KindChoice)| {
        checked_text("kind", kind)?;
        Ok((kind.clone(), KindOptions::read(kind, choice)?))
    };
    choices.iter().map(one).collect()
}

impl KindOptions {
    fn read(kind: &str, choice: &KindChoice) -> Result<Self> {
        let wrong = |option: &str, error: &Error| Error::invalid(format!("kinds.{kind}.{option}: {error}"));
        let mut options = Self { given: choice.given(), ..Self::default() };
        let units = [&choice.usd, &choice.tokens, &choice.llm_calls, &choice.tool_calls];
        for (unit, value) in Unit::ALL.into_iter().zip(units) {
            let Some(value) = value else { continue };
            let limits = limits(unit, value).map_err(|error| wrong(unit.name(), &error))?;
            options.limits.extend(limits);
        }
        if let Some(most) = &choice.retry_usd {
            let limit = number(most).and_then(|most| Limit::usd(&most));
            let limit = limit.map_err(|error| wrong("retry_usd", &error))?;
            options.limits.push(limit.per(Window::Retries));
        }
        ceilings(&options.limits).map_err(|error| Error::invalid(format!("kinds.{kind}: {error}")))?;
        if let Some(put_by) = &choice.wrap_up_usd {
            let put_by = number(put_by).and_then(|put_by| Money::parse(&put_by));
            options.wrap_up = Some(put_by.map_err(|error| wrong("wrap_up_usd", &error))?);
        }
        if let Some(after) = &choice.deadline {
            options.read_deadline(after).map_err(|error| wrong("deadline", &error))?;
        }
        if let Some(word) = &choice.on_limit {
            options.on_limit = Some(OnLimit::parse(word).map_err(|error| wrong("on_limit", &error))?);
        }
        if let Some(models) = &choice.fallback {
            let models = route::models(models.iter().map(String::as_str));
            options.fallback = Some(models.map_err(|error| wrong("fallback", &error))?);
        }
        if let Some(alerts) = &choice.alerts {
            options.alerts = Some(thresholds(alerts).map_err(|error| wrong("alerts", &error))?);
        }
        if let Some(given) = choice.breaker.as_ref().filter(|given| **given != Value::Bool(false)) {
            let usual = || Value::Object(serde_json::Map::new());
            let config = if *given == Value::Bool(true) { usual() } else { given.clone() };
            let breaker = Breaker::new(&config).map_err(|error| wrong("breaker", &error))?;
            options.breaker = Some((config, breaker));
        }
        Ok(options)
    }

    fn read_deadline(&mut self, value: &Value) -> Result<()> {
        let one = std::slice::from_ref(value);
        for value in value.as_array().map_or(one, Vec::as_slice) {
            let choice = LimitChoice::read(value)?;
            let place = if choice.soft { &mut self.soft_deadline } else { &mut self.deadline };
            let has_window = choice.window.is_some_and(|window| window != "life");
            if has_window || place.is_some() {
                return Err(Error::invalid(format!("`{value}` is not one hard or one soft deadline")));
            }
            *place = Some(deadline(&choice.amount)?);
        }
        Ok(())
    }

    /// Each option that is given, in the order of [`KindChoice`], and its value as it was written.
    ///
    /// ```
    /// use outlay::{Config, run::config::Choices};
    ///
    /// let choices = Choices::from_toml("[kinds.refund]\nusd = 0.50\non_limit = 'ask'")?;
    /// let kinds = Config::default().with(&choices)?.kinds;
    /// let given: Vec<_> = kinds["refund"].given().map(|(option, _)| option).collect();
    /// assert_eq!(given, ["usd", "on_limit"]);
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn given(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.given.iter().map(|(option, value)| (*option, value))
    }

    /// The thresholds of the breaker that watches its tasks, if one does.
    pub fn breaker(&self) -> Option<&Value> {
        self.breaker.as_ref().map(|(config, _)| config)
    }
}

impl KindChoice {
    fn given(&self) -> Vec<(&'static str, Value)> {
        let list = |all: &[String]| Value::from(all.to_vec());
        let all = [
            ("usd", self.usd.clone()),
            ("tokens", self.tokens.clone()),
            ("llm_calls", self.llm_calls.clone()),
            ("tool_calls", self.tool_calls.clone()),
            ("retry_usd", self.retry_usd.clone()),
            ("wrap_up_usd", self.wrap_up_usd.clone()),
            ("deadline", self.deadline.clone()),
            ("on_limit", self.on_limit.clone().map(Value::from)),
            ("fallback", self.fallback.as_deref().map(list)),
            ("alerts", self.alerts.clone().map(Value::from)),
            ("breaker", self.breaker.clone()),
        ];
        all.into_iter().filter_map(|(option, value)| Some((option, value?))).collect()
    }
}

/// Gives a task about to be opened what its kind has and its caller did not give; returns the breaker that
/// is to watch it.
pub(super) fn complete(options: &mut TaskOptions, kinds: &Kinds) -> Option<Arc<Watch>> {
    let kind = if kinds.is_empty() { None } else { options.tags.get("kind") };
    let kind = kind.and_then(|kind| kinds.get(kind))?;
    let is_given = |limit: &Limit| {
        let option = |limit: &Limit| (limit.unit, limit.window == Window::Retries);
        options.limits.iter().any(|own| option(own) == option(limit))
    };
    let own: Vec<Limit> = kind.limits.iter().filter(|limit| !is_given(limit)).cloned().collect();
    options.limits.extend(own);
    if options.deadline.is_none() && options.soft_deadline.is_none() {
        (options.deadline, options.soft_deadline) = (kind.deadline, kind.soft_deadline);
    }
    options.on_limit = options.on_limit.or(kind.on_limit);
    options.wrap_up = options.wrap_up.or(kind.wrap_up);
    options.fallback = options.fallback.take().or_else(|| kind.fallback.clone());
    options.alerts = options.alerts.take().or_else(|| kind.alerts.clone());
    let breaker = kind.breaker.as_ref().filter(|_| !options.is_unwatched);
    breaker.map(|(_, breaker)| Watch::new(breaker.clone()).into())
}

fn limits(unit: Unit, value: &Value) -> Result<Vec<Limit>> {
    match value {
        Value::Array(several) => several.iter().map(|one| limit(unit, one)).collect(),
        one => Ok(vec![limit(unit, one)?]),
    }
}

impl LimitChoice {
    fn read(value: &Value) -> Result<Self> {
        match value {
            Value::Object(_) => Self::deserialize(value).map_err(|error| Error::invalid(error.to_string())),
            amount => Ok(Self { amount: amount.clone(), soft: false, window: None, tz: None }),
        }
    }
}

fn limit(unit: Unit, value: &Value) -> Result<Limit> {
    let choice = LimitChoice::read(value)?;
    let amount = number(&choice.amount)?;
    let limit = Limit::parse(unit, &amount)?;
    let window = Window::parse(choice.window.as_deref().unwrap_or("life"), choice.tz.as_deref())?;
    let limit = limit.per(window);
    Ok(if choice.soft { limit.soft() } else { limit })
}

/// The decimal form of a number, or of a text that is to be one.
fn number(value: &Value) -> Result<String> {
    match value {
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text.clone()),
        other => Err(Error::invalid(format!("`{other}` is not a number"))),
    }
}

fn deadline(value: &Value) -> Result<Deadline> {
    // Read as money is, so that no float comes in between: a nano-USD is a billionth of a second.
    let seconds = number(value).and_then(|text| Money::parse(&text)).ok();
    let length = seconds.map(|seconds| seconds.nanos() / 1_000_000);
    let length = length.filter(|length| (0..=DEADLINE_MAX_S * 1_000).contains(length));
    length
        .map(Deadline::After)
        .ok_or_else(|| Error::invalid(format!("`{value}` is not a number of seconds up to a hundred years")))
}

/// Shares of a limit, as numbers or as texts.
pub(super) fn thresholds(alerts: &[Value]) -> Result<Thresholds> {
    let texts: Vec<String> = alerts.iter().map(as_written).collect();
    Thresholds::parse(texts.iter().map(String::as_str))
}
