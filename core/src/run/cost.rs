//! What may a run cost, and what does it cost beside its models?
//!
//! Chosen in the configuration, and read by reports alone: nothing is refused by it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    error::{Error, Result},
    value::{Millis, Money, as_written, tags::checked_text},
};

/// What runs of one kind may cost.
///
/// ```
/// use outlay::{Money, run::config::{Choices, Config}};
///
/// let choices = Choices::from_toml("[slo.refund]\ntarget = '0.05'\nmonth = 500")?;
/// let config = Config::default().with(&choices)?;
/// assert_eq!(config.slos["refund"].month, Some(Money::parse("500")?));
/// assert!(Config::default().with(&Choices::from_toml("[slo.refund]\nmonth = 'much'")?).is_err());
/// # Ok::<(), outlay::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slo {
    /// For each that succeeds.
    pub target: Option<Money>,
    /// 95 of 100.
    pub p95: Option<Money>,
    /// Every one.
    pub cap: Option<Money>,
    /// All together in a month.
    pub month: Option<Money>,
}

/// [`Slo`] as a file or a caller writes it: numbers, or texts of decimals.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SloChoice {
    /// See [`Slo::target`].
    pub target: Option<Value>,
    /// See [`Slo::p95`].
    pub p95: Option<Value>,
    /// See [`Slo::cap`].
    pub cap: Option<Value>,
    /// See [`Slo::month`].
    pub month: Option<Value>,
}

/// Reads what the configuration says of each kind.
pub(super) fn slos(choices: &BTreeMap<String, SloChoice>) -> Result<BTreeMap<String, Slo>> {
    let read = |(kind, choice): (&String, &SloChoice)| {
        checked_text("kind", kind)?;
        let own = |name: &str, value: &Option<Value>| amount(&format!("slo.{kind}.{name}"), value.as_ref());
        let slo = Slo {
            target: own("target", &choice.target)?,
            p95: own("p95", &choice.p95)?,
            cap: own("cap", &choice.cap)?,
            month: own("month", &choice.month)?,
        };
        if slo == Slo::default() {
            let message = format!("`slo.{kind}` has none of `target`, `p95`, `cap` and `month`");
            return Err(Error::invalid(message));
        }
        Ok((kind.clone(), slo))
    };
    choices.iter().map(read).collect()
}

/// What a run costs beside its models.
///
/// ```
/// use outlay::{Money, run::Rates};
///
/// let rates = Rates { compute_usd_per_hour: Some(Money::parse("0.36")?), ..Rates::default() };
/// assert_eq!(rates.compute(90_000)?, Some(Money::parse("0.009")?)); // a minute and a half
/// assert_eq!(rates.orchestration(12)?, None); // nobody said what an entry costs
/// # Ok::<(), outlay::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// For every hour a run lasts.
    pub compute_usd_per_hour: Option<Money>,
    /// For every entry of the ledger about its calls.
    pub orchestration_usd_per_entry: Option<Money>,
}

const HOUR: i128 = 3_600_000;

impl Rates {
    /// With what is chosen in place of what there is: numbers, or texts of decimals.
    pub(super) fn with(self, per_hour: Option<&Value>, per_entry: Option<&Value>) -> Result<Self> {
        let hour = amount("compute_usd_per_hour", per_hour)?;
        let entry = amount("orchestration_usd_per_entry", per_entry)?;
        Ok(Self {
            compute_usd_per_hour: hour.or(self.compute_usd_per_hour),
            orchestration_usd_per_entry: entry.or(self.orchestration_usd_per_entry),
        })
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What so long a time costs, rounded up to the nano-USD; nothing without a rate.
    ///
    /// # Errors
    ///
    /// `Corrupt`: more than 64 bits of nano-USD.
    pub fn compute(&self, runtime_ms: Millis) -> Result<Option<Money>> {
        product(self.compute_usd_per_hour, runtime_ms.into(), HOUR)
    }

    /// What so many entries cost; nothing without a rate.
    ///
    /// # Errors
    ///
    /// `Corrupt`: more than 64 bits of nano-USD.
    pub fn orchestration(&self, entries: u64) -> Result<Option<Money>> {
        product(self.orchestration_usd_per_entry, entries.into(), 1)
    }
}

fn product(rate: Option<Money>, number: i128, per: i128) -> Result<Option<Money>> {
    let Some(rate) = rate else { return Ok(None) };
    let nanos = (i128::from(rate.nanos()) * number + per - 1).div_euclid(per);
    let wrong = |_| Error::corrupt("what this ledger's runs cost beside models is more than 64 bits hold");
    i64::try_from(nanos).map(|nanos| Some(Money::from_nanos(nanos))).map_err(wrong)
}

/// An amount that a person wrote as a number or a text; it cannot be negative.
fn amount(name: &str, value: Option<&Value>) -> Result<Option<Money>> {
    let Some(value) = value else { return Ok(None) };
    let text = as_written(value);
    let usd = Money::parse(&text).map_err(|error| Error::invalid(format!("`{name}`: {error}")))?;
    if usd < Money::ZERO {
        return Err(Error::invalid(format!("`{name}` is negative: `{text}`")));
    }
    Ok(Some(usd))
}
