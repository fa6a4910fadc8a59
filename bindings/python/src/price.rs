//! Prices.

use outlay::{
    Clock, Millis,
    meter::{self, ServiceTier},
    run::process,
};
use pyo3::{
    prelude::*,
    types::{IntoPyDict, PyDate, PyDateTime},
};

use crate::{
    convert::Money,
    error::{guard, invalid, waiting},
    usage::Usage,
};

const PICO_PER_NANO: i64 = 1_000;

/// What a usage costs, with the unit prices that make it up.
///
/// `input` and `output` are each rounded up to a nano-USD by themselves; `total` is rounded once, and
/// includes fees per request and search.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Charge {
    sum: meter::Charge,
    lines: Vec<meter::ChargeLine>,
    price: std::sync::Arc<meter::ModelPrice>,
}

#[pymethods]
impl Charge {
    /// All of it.
    #[getter]
    fn total(&self) -> Money {
        Money(self.sum.amount)
    }

    /// What the input costs.
    #[getter]
    fn input(&self) -> Money {
        Money(self.sum.input)
    }

    /// What the output costs.
    #[getter]
    fn output(&self) -> Money {
        Money(self.sum.output)
    }

    /// Fees per request and search.
    #[getter]
    fn fees(&self) -> Money {
        Money(outlay::Money::from_nanos(self.sum.fee_nanos))
    }

    /// How the name was found: "listed", "snapshot", "fine_tune", "maker", "local" or "yours".
    #[getter]
    fn rule(&self) -> &'static str {
        self.price.rule.code()
    }

    /// The edition of the prices.
    #[getter]
    fn price_version(&self) -> &str {
        &self.price.version
    }

    /// Who bills it.
    #[getter]
    fn provider(&self) -> &str {
        &self.price.provider
    }

    /// The main name of the model.
    #[getter]
    fn model(&self) -> &str {
        &self.price.model
    }

    /// Each unit with its quantity and its price: USD per million tokens, or apiece for fees.
    #[getter]
    fn lines(&self) -> Vec<(&'static str, u64, Money)> {
        let each = |line: &meter::ChargeLine| {
            let is_fee = matches!(line.unit, "request" | "web_search");
            // Pico-USD a token are millionths of a USD per million tokens.
            let nanos = if is_fee {
                line.pico_each / PICO_PER_NANO
            } else {
                line.pico_each.saturating_mul(PICO_PER_NANO)
            };
            (line.unit, line.quantity, Money(outlay::Money::from_nanos(nanos)))
        };
        self.lines.iter().map(each).collect()
    }

    fn __repr__(&self) -> String {
        format!("<Charge {} {} as {}>", self.price.model, self.sum.amount, self.rule())
    }
}

/// What a usage of a model costs.
///
/// Args:
///     model: its name, with or without its provider ("bedrock/us.anthropic.claude-opus-5").
///     usage: what was used.
///     provider: who bills it, where the name does not say.
///     at: when, as a `datetime` (UTC if it has no zone) or a `date`; now by default.
///     service_tier: the tier that served it, such as "flex" or "batch".
///
/// Raises:
///     Unpriced: no price is known of the model, its tier or its searches.
///     InvalidInput: a usage or a time that cannot be.
///
/// Example:
///     >>> import outlay
///     >>> charge = outlay.price("gpt-4o-2024-08-06", outlay.Usage(1000, 500))
///     >>> print(charge.total, charge.input, charge.output, charge.rule)
///     0.0075 USD 0.0025 USD 0.005 USD listed
///     >>> charge.lines
///     [('input', 1000, Money('2.50')), ('output', 500, Money('10.00'))]
///     >>> print(outlay.price("gpt-5", outlay.Usage(1000, 500), service_tier="flex").total)
///     0.003125 USD
///     >>> outlay.price("gpt-4o-foo", outlay.Usage(1000, 500))  # doctest: +ELLIPSIS
///     Traceback (most recent call last):
///         ...
///     outlay.errors.Unpriced: model `gpt-4o-foo` has no known price; ...
#[pyfunction]
#[pyo3(signature = (model, usage, provider=None, at=None, *, service_tier=None))]
pub(crate) fn price(
    py: Python<'_>,
    model: &str,
    usage: &Usage,
    provider: Option<&str>,
    at: Option<&Bound<'_, PyAny>>,
    service_tier: Option<&str>,
) -> PyResult<Charge> {
    let at = at.filter(|at| !at.is_none()).map_or_else(|| Ok(Clock::System.now()), millis)?;
    let tier = service_tier.map_or(Ok(ServiceTier::Standard), |word| tier(py, word))?;
    let config = waiting(py, true, process::config)?;
    guard(py, || {
        let price = config.prices.find(provider, model, at)?;
        let sum = price.charge_served(&usage.used, tier)?;
        Ok(Charge { sum, lines: price.lines(&usage.used, tier)?, price })
    })
}

/// The service tier a word means.
pub(crate) fn tier(py: Python<'_>, word: &str) -> PyResult<ServiceTier> {
    ServiceTier::read(word)
        .ok_or_else(|| invalid(py, format!("`service_tier` is `{word}`, which is no tier")))
}

/// A time in milliseconds since 1970.
fn millis(at: &Bound<'_, PyAny>) -> PyResult<Millis> {
    let py = at.py();
    let datetime = py.import("datetime")?;
    let class = datetime.getattr("datetime")?;
    let time = if at.is_instance_of::<PyDateTime>() {
        at.clone()
    } else if at.is_instance_of::<PyDate>() {
        class.call_method1("combine", (at, datetime.getattr("time")?.call0()?))?
    } else {
        return Err(invalid(py, "`at` is no `datetime` and no `date`".to_owned()));
    };
    let utc = datetime.getattr("timezone")?.getattr("utc")?;
    let time = if time.getattr("tzinfo")?.is_none() {
        let zone = [("tzinfo", &utc)].into_py_dict(py)?;
        time.call_method("replace", (), Some(&zone))?
    } else {
        time
    };
    let epoch = class.call1((1970, 1, 1, 0, 0, 0, 0, utc))?;
    let millisecond = datetime.getattr("timedelta")?.call1((0, 0, 1_000))?;
    time.sub(epoch)?.floor_div(millisecond)?.extract()
}
