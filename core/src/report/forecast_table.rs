//! How does a forecast look in a terminal?

use std::fmt;

use super::{
    forecast::{BudgetForecast, Forecast, ForecastRow},
    text::{Table, left_out},
    trend::{Backtest, Projection},
};
use crate::{policy::limit::show_time, value::Money};

impl fmt::Display for Forecast {
    /// Tables of plain text, amounts in USD, with how far such guesses were off before.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.by.as_ref().map_or_else(|| "scope".to_owned(), ToString::to_string);
        let headings = [by.as_str(), "this month", "by its end", "9 of 10 times", "guessed by"];
        let mut table = Table::new(headings).left(1);
        for row in &self.rows {
            table.row(cells(row.key.as_deref().unwrap_or("(none)"), row));
        }
        table.row(cells("total", &self.total));
        table.fmt(f)?;
        if !self.budgets.is_empty() {
            let headings = ["budget", "window", "limit", "spent", "by its reset", "used up", "9 of 10 times"];
            let mut table = Table::new(headings).left(2);
            for budget in &self.budgets {
                table.row(budget_cells(budget));
            }
            write!(f, "\n\n{table}\n")?;
        }
        for note in self.notes() {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}

impl Forecast {
    /// What the figures do not say, and how such guesses did on this history.
    pub fn notes(&self) -> Vec<String> {
        let month_ends_at = show_time(self.month_ends_at);
        let mut notes = vec![format!("the month ends {month_ends_at}; days are those of UTC")];
        match (&self.total.month_end, self.total.test) {
            (None, _) => {
                notes.push("there is less than a week of whole days: nothing is forecast".to_owned());
            }
            (_, None) => notes.push(
                "there is less than four weeks of whole days: whether days of the week tell anything is \
                 not tested, and the mean is taken"
                    .to_owned(),
            ),
            (_, Some(test)) => notes.push(tested(&test)),
        }
        notes.extend(left_out(self.dropped_entries));
        notes
    }
}

/// How both guesses of the total did.
fn tested(test: &Backtest) -> String {
    let Backtest { cuts, mean_error, weekday_error, within } = test;
    let is_better = if weekday_error < mean_error {
        "so days of the week are used"
    } else {
        "no better, so the mean is used"
    };
    format!(
        "of the total, four days were guessed after each of {cuts} cuts through the history: the mean was \
         {mean_error:.2} USD off, weekdays with a recent level {weekday_error:.2} USD, {is_better}; \
         {within} of the {cuts} were in the interval"
    )
}

fn range(projection: &Projection) -> String {
    format!("{:.2} to {:.2}", projection.low, projection.high)
}

fn cells(name: &str, row: &ForecastRow) -> [String; 5] {
    let none = || "-".to_owned();
    let way = match (&row.month_end, row.follows_weekdays) {
        (None, _) => "-",
        (_, true) => "weekdays",
        (_, false) => "mean",
    };
    [
        name.to_owned(),
        row.spent.decimal(),
        row.month_end.as_ref().map_or_else(none, |end| format!("{:.2}", end.expected)),
        row.month_end.as_ref().map_or_else(none, range),
        way.to_owned(),
    ]
}

fn budget_cells(budget: &BudgetForecast) -> [String; 7] {
    let none = || "-".to_owned();
    let time = |at: Option<i64>| at.map_or_else(|| "not before".to_owned(), show_time);
    let (used_up, between) = budget.used_up.map_or_else(
        || (none(), none()),
        |used| (time(used.expected), format!("{} to {}", time(used.earliest), time(used.latest))),
    );
    [
        if budget.name.is_empty() { "(everything)".to_owned() } else { budget.name.clone() },
        budget.window.to_string(),
        Money::decimal(budget.limit),
        Money::decimal(budget.spent),
        budget.at_reset.as_ref().map_or_else(none, |end| format!("{:.2}", end.expected)),
        used_up,
        between,
    ]
}
