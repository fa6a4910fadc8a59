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

/// A limit: an amount, hard or soft, over a window.
///
/// Windows are "life" (the default), "day", "week" (from Monday), "month" and "rolling:24h", and of
/// a task "turn" (a user's input and all that answers it) and "retries" (attempts after the first).
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

    /// How much, as a decimal number.
    #[getter]
    fn amount(&self) -> &str {
        &self.amount
    }

    /// Is it told, not enforced?
    #[getter]
    fn soft(&self) -> bool {
        self.soft
    }

    /// Over what.
    #[getter]
    fn window(&self) -> String {
        self.window.to_string()
    }

    /// The time zone of a calendar window.
    #[getter]
    fn tz(&self) -> Option<&str> {
        self.window.zone()
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
        let read = outlay::Limit::parse(unit, &limit.amount)?;
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
