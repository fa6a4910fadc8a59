//! Values: money, usage, limits, and the numbers people type.

use outlay::{Unit, Window};
use pyo3::{
    basic::CompareOp,
    prelude::*,
    types::{PyBool, PyFloat, PyInt, PyString},
};

use crate::error::{guard, invalid};

/// An exact amount of money.
///
/// `str()` prints it with its unit ("0.0075 USD"), `usd` is a `decimal.Decimal`, `nanos` the whole
/// number of nano-USD. Amounts can be compared, added and subtracted.
#[pyclass(frozen, module = "outlay", from_py_object)]
#[derive(Clone, Copy)]
pub(crate) struct Money(pub(crate) outlay::Money);

#[pymethods]
impl Money {
    /// Reads a number of USD by its decimal form.
    #[new]
    fn new(py: Python<'_>, usd: &Bound<'_, PyAny>) -> PyResult<Self> {
        let text = decimal_text(usd, "usd")?;
        guard(py, || outlay::Money::parse(&text)).map(Self)
    }

    /// From a whole number of nano-USD.
    #[staticmethod]
    fn from_nanos(nanos: i64) -> Self {
        Self(outlay::Money::from_nanos(nanos))
    }

    /// In nano-USD.
    #[getter]
    fn nanos(&self) -> i64 {
        self.0.nanos()
    }

    /// In USD, as an exact `decimal.Decimal`.
    #[getter]
    fn usd<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("decimal")?.getattr("Decimal")?.call1((self.0.decimal(),))
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("Money('{}')", self.0.decimal())
    }

    fn __richcmp__(&self, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Py<PyAny>> {
        let py = other.py();
        match other.extract::<Self>() {
            Ok(other) => {
                Ok(op.matches(self.0.cmp(&other.0)).into_pyobject(py)?.to_owned().into_any().unbind())
            }
            Err(_) => Ok(py.NotImplemented()),
        }
    }

    fn __hash__(&self) -> i64 {
        self.0.nanos()
    }

    fn __bool__(&self) -> bool {
        self.0 != outlay::Money::ZERO
    }

    fn __add__(&self, py: Python<'_>, other: Self) -> PyResult<Self> {
        sum(py, self.0, other.0)
    }

    fn __sub__(&self, py: Python<'_>, other: Self) -> PyResult<Self> {
        sum(py, self.0, outlay::Money::from_nanos(-other.0.nanos()))
    }
}

fn sum(py: Python<'_>, a: outlay::Money, b: outlay::Money) -> PyResult<Money> {
    a.checked_add(b).map(Money).ok_or_else(|| invalid(py, format!("`{a}` and `{b}` do not add up")))
}

/// What one call used, in whole tokens.
///
/// Input includes what was read from and written to a cache; output includes reasoning.
#[pyclass(frozen, eq, module = "outlay", from_py_object)]
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Usage(pub(crate) outlay::Usage);

#[pymethods]
impl Usage {
    #[new]
    #[pyo3(signature = (
        input_tokens=None, output_tokens=None, *, cache_read_tokens=None, cache_write_tokens=None,
        cache_write_1h_tokens=None, reasoning_tokens=None, input_audio_tokens=None,
        input_image_tokens=None, output_audio_tokens=None, output_image_tokens=None, web_searches=None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        input_tokens: Option<&Bound<'_, PyAny>>,
        output_tokens: Option<&Bound<'_, PyAny>>,
        cache_read_tokens: Option<&Bound<'_, PyAny>>,
        cache_write_tokens: Option<&Bound<'_, PyAny>>,
        cache_write_1h_tokens: Option<&Bound<'_, PyAny>>,
        reasoning_tokens: Option<&Bound<'_, PyAny>>,
        input_audio_tokens: Option<&Bound<'_, PyAny>>,
        input_image_tokens: Option<&Bound<'_, PyAny>>,
        output_audio_tokens: Option<&Bound<'_, PyAny>>,
        output_image_tokens: Option<&Bound<'_, PyAny>>,
        web_searches: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let read = |value: Option<&Bound<'_, PyAny>>, name| match value {
            Some(value) => count(value, name),
            None => Ok(0),
        };
        let usage = outlay::Usage {
            input_tokens: read(input_tokens, "input_tokens")?,
            cache_read_tokens: read(cache_read_tokens, "cache_read_tokens")?,
            cache_write_tokens: read(cache_write_tokens, "cache_write_tokens")?,
            cache_write_1h_tokens: read(cache_write_1h_tokens, "cache_write_1h_tokens")?,
            input_audio_tokens: read(input_audio_tokens, "input_audio_tokens")?,
            input_image_tokens: read(input_image_tokens, "input_image_tokens")?,
            output_tokens: read(output_tokens, "output_tokens")?,
            reasoning_tokens: read(reasoning_tokens, "reasoning_tokens")?,
            output_audio_tokens: read(output_audio_tokens, "output_audio_tokens")?,
            output_image_tokens: read(output_image_tokens, "output_image_tokens")?,
            web_searches: read(web_searches, "web_searches")?,
            ..outlay::Usage::default()
        };
        guard(py, || usage.check())?;
        Ok(Self(usage))
    }

    /// All input tokens.
    #[getter]
    fn input_tokens(&self) -> u64 {
        self.0.input_tokens
    }

    /// All output tokens.
    #[getter]
    fn output_tokens(&self) -> u64 {
        self.0.output_tokens
    }

    /// Input read from a cache.
    #[getter]
    fn cache_read_tokens(&self) -> u64 {
        self.0.cache_read_tokens
    }

    /// Input written to a cache of the default lifetime.
    #[getter]
    fn cache_write_tokens(&self) -> u64 {
        self.0.cache_write_tokens
    }

    /// Input written to a cache that lives one hour.
    #[getter]
    fn cache_write_1h_tokens(&self) -> u64 {
        self.0.cache_write_1h_tokens
    }

    /// Output the caller does not see.
    #[getter]
    fn reasoning_tokens(&self) -> u64 {
        self.0.reasoning_tokens
    }

    fn __repr__(&self) -> String {
        let (input, output) = (self.0.input_tokens, self.0.output_tokens);
        format!("Usage(input_tokens={input}, output_tokens={output})")
    }
}

/// A limit: an amount, hard or soft, over a window.
///
/// Windows are "life" (the default), "day", "week" (from Monday), "month" and "rolling:24h".
#[pyclass(frozen, module = "outlay", from_py_object)]
#[derive(Clone)]
pub(crate) struct Limit {
    amount: String,
    soft: bool,
    window: Window,
}

#[pymethods]
impl Limit {
    #[new]
    #[pyo3(signature = (amount, *, soft=false, window="life", tz=None))]
    fn new(
        py: Python<'_>,
        amount: &Bound<'_, PyAny>,
        soft: bool,
        window: &str,
        tz: Option<&str>,
    ) -> PyResult<Self> {
        let amount = decimal_text(amount, "amount")?;
        let window = guard(py, || Window::parse(window, tz))?;
        Ok(Self { amount, soft, window })
    }

    fn __repr__(&self) -> String {
        let soft = if self.soft { ", soft=True" } else { "" };
        format!("Limit({}{soft}, window='{}')", self.amount, self.window)
    }
}

/// A limit argument: a number (hard, life), a `Limit`, or a list of them.
pub(crate) fn limits(value: Option<&Bound<'_, PyAny>>, unit: Unit) -> PyResult<Vec<outlay::Limit>> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(Vec::new()) };
    let py = value.py();
    if let Ok(several) = value.extract::<Vec<Bound<'_, PyAny>>>() {
        let each = several.iter().map(|one| limits(Some(one), unit));
        return each.collect::<PyResult<Vec<_>>>().map(|all| all.concat());
    }
    let limit = match value.extract::<Limit>() {
        Ok(limit) => limit,
        Err(_) => Limit { amount: decimal_text(value, unit.name())?, soft: false, window: Window::Life },
    };
    let read = || {
        let read = match unit {
            Unit::Usd => outlay::Limit::usd(&limit.amount)?,
            _ => outlay::Limit::count(unit, &limit.amount)?,
        };
        let read = if limit.soft { read.soft() } else { read };
        Ok(read.per(limit.window.clone()))
    };
    guard(py, read).map(|limit| vec![limit])
}

/// The shortest decimal form of a number a person typed.
pub(crate) fn decimal_text(value: &Bound<'_, PyAny>, name: &str) -> PyResult<String> {
    let is_decimal = || value.get_type().name().is_ok_and(|name| name == "Decimal");
    if value.is_instance_of::<PyBool>() {
        return Err(wrong(value, name, "a number"));
    }
    if value.is_instance_of::<PyFloat>() {
        return value.repr().map(|text| text.to_string());
    }
    if value.is_instance_of::<PyInt>() || value.is_instance_of::<PyString>() || is_decimal() {
        return value.str().map(|text| text.to_string());
    }
    match value.extract::<Money>() {
        Ok(money) => Ok(money.0.decimal()),
        Err(_) => Err(wrong(value, name, "a number")),
    }
}

/// A whole number that is not negative.
pub(crate) fn count(value: &Bound<'_, PyAny>, name: &str) -> PyResult<u64> {
    if !value.is_instance_of::<PyInt>() || value.is_instance_of::<PyBool>() {
        return Err(wrong(value, name, "a whole number"));
    }
    value.extract().map_err(|_| wrong(value, name, "a whole number that is not negative"))
}

fn wrong(value: &Bound<'_, PyAny>, name: &str, wanted: &str) -> PyErr {
    let shown = value.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string());
    let shown: String = shown.chars().take(40).collect();
    invalid(value.py(), format!("`{name}` is `{shown}`, not {wanted}"))
}
