//! What the month will cost.

use outlay::{policy::limit::show_time, report};
use pyo3::prelude::*;

use crate::convert::Money;

type Interval = Option<(f64, f64)>;

/// What one scope will have spent by the end of the month.
#[pyclass(frozen, get_all, module = "outlay")]
#[derive(Clone)]
pub(crate) struct ForecastRow {
    /// The name of the tasks, the model or the value of the tag; None in the total.
    key: Option<String>,
    /// What was settled of calls reserved in this month.
    spent: Money,
    /// What the month will have cost in USD; None where there is less than a week of whole days.
    expected: Option<f64>,
    /// Where that lies 9 times of 10.
    interval: Interval,
    /// Did it do better on this history to tell days of the week from each other, than their mean?
    follows_weekdays: bool,
    /// After how many cuts through the history four days were guessed; 0 where it is too short.
    cuts: usize,
    /// How far the mean was off in USD, on average; None without cuts.
    mean_error: Option<f64>,
    /// How far weekdays with a recent level were off.
    weekday_error: Option<f64>,
    /// After how many cuts the truth was in the interval.
    within: usize,
}

impl ForecastRow {
    fn of(row: &report::ForecastRow) -> Self {
        Self {
            key: row.key.clone(),
            spent: Money(row.spent),
            expected: row.month_end.map(|end| end.expected),
            interval: row.month_end.map(|end| (end.low, end.high)),
            follows_weekdays: row.follows_weekdays,
            cuts: row.test.map_or(0, |test| test.cuts),
            mean_error: row.test.map(|test| test.mean_error),
            weekday_error: row.test.map(|test| test.weekday_error),
            within: row.test.map_or(0, |test| test.within),
        }
    }
}

#[pymethods]
impl ForecastRow {
    fn __repr__(&self) -> String {
        let key = self.key.as_deref().unwrap_or("total");
        let expected = self.expected.map_or_else(|| "-".to_owned(), |usd| format!("{usd:.2}"));
        format!("<ForecastRow {key}: {} spent, {expected} expected>", self.spent.0)
    }
}

/// What a shared budget will have spent when its window ends.
#[pyclass(frozen, get_all, module = "outlay")]
#[derive(Clone)]
pub(crate) struct BudgetForecast {
    /// The tags it covers, as "tenant=acme"; "" for everything.
    name: String,
    /// Its window, such as "month".
    window: String,
    /// How much it allows.
    limit: Money,
    /// May it not be passed?
    hard: bool,
    /// Settled and in doubt within the window.
    spent: Money,
    /// When the window ends; None for a life.
    resets_at: Option<String>,
    /// What it will have spent in USD by then, were there no limit; None for a life.
    expected: Option<f64>,
    /// Where that lies 9 times of 10.
    interval: Interval,
    /// When the limit is expected to be used up; None if not before the window ends, or within a
    /// year, or where too little is known.
    used_up_at: Option<String>,
    /// Nine times of ten not earlier than this.
    used_up_earliest: Option<String>,
    /// Nor later than this; None if perhaps not at all.
    used_up_latest: Option<String>,
}

impl BudgetForecast {
    fn of(budget: &report::BudgetForecast) -> Self {
        let used = budget.used_up;
        Self {
            name: budget.name.clone(),
            window: budget.window.to_string(),
            limit: Money(budget.limit),
            hard: budget.hard,
            spent: Money(budget.spent),
            resets_at: budget.resets_at.map(show_time),
            expected: budget.at_reset.map(|end| end.expected),
            interval: budget.at_reset.map(|end| (end.low, end.high)),
            used_up_at: used.and_then(|used| used.expected).map(show_time),
            used_up_earliest: used.and_then(|used| used.earliest).map(show_time),
            used_up_latest: used.and_then(|used| used.latest).map(show_time),
        }
    }
}

#[pymethods]
impl BudgetForecast {
    fn __repr__(&self) -> String {
        let used_up = self.used_up_at.as_deref().unwrap_or("not before it resets");
        format!("<BudgetForecast {}: {} of {}, used up {used_up}>", self.name, self.spent.0, self.limit.0)
    }
}

/// What will have been spent. `str()` is a table with notes.
#[pyclass(frozen, module = "outlay")]
pub(crate) struct Forecast(pub(crate) report::Forecast);

#[pymethods]
impl Forecast {
    /// When the month ends, in UTC.
    #[getter]
    fn month_ends_at(&self) -> String {
        show_time(self.0.month_ends_at)
    }

    /// By what was asked for, the largest spender of the month first.
    #[getter]
    fn rows(&self) -> Vec<ForecastRow> {
        self.0.rows.iter().map(ForecastRow::of).collect()
    }

    /// All tasks together.
    #[getter]
    fn total(&self) -> ForecastRow {
        ForecastRow::of(&self.0.total)
    }

    /// Limits on money of shared budgets; those over a rolling window have no forecast.
    #[getter]
    fn budgets(&self) -> Vec<BudgetForecast> {
        self.0.budgets.iter().map(BudgetForecast::of).collect()
    }

    /// What the figures do not say, and how such guesses did on this history.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.0.notes()
    }

    /// Entries a ledger in memory keeps no longer: calls reserved by them are not in the report.
    #[getter]
    fn dropped_entries(&self) -> u64 {
        self.0.dropped_entries
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Forecast: {} spent this month>", self.0.total.spent)
    }
}
