//! What will the month cost, and when is a budget used up?
//!
//! The days of the last eight weeks are taken as they were spent, in UTC, and go on as [`Trend`] tells.
//! What was spent is exact; what is to come is a guess with an interval, and stands in floats.
//!
//! ```
//! use outlay::{Clock, Config, Ledger, ManualClock, Request, TaskOptions, Usage};
//!
//! let clock = ManualClock::at(1_793_491_200_000); // 2026-11-01
//! let ledger = Ledger::open_with_clock("memory:", Config::default().into(), Clock::Manual(clock.clone()))?;
//! let task = ledger.open_task(TaskOptions::new("refund"))?;
//! for _ in 0..15 {
//!     let call = task.reserve(&Request::model("gpt-4o").input_tokens(400_000).max_output_tokens(1))?;
//!     call.settle(&Usage::tokens(400_000, 0))?; // 1 USD
//!     clock.advance(24 * 3_600_000);
//! }
//! let forecast = ledger.forecast(None)?;
//! assert_eq!(forecast.total.spent.to_string(), "15.00 USD");
//! let month = forecast.total.month_end.expect("two weeks are enough");
//! assert!((month.expected - 30.0).abs() < 0.01);
//! # Ok::<(), outlay::Error>(())
//! ```

use super::{
    names::Names,
    rows::By,
    spending::{Spending, by_key},
    standing::{LimitState, limits},
    trend::{Backtest, Projection, Trend},
};
use crate::{
    error::{Error, Result},
    ledger::store::{Account, Budget, Tx},
    policy::{Unit, Window},
    run::Ledger,
    value::{Millis, Money},
};

pub(super) const DAY: Millis = 86_400_000;
/// The days a forecast learns from.
pub(super) const DAYS: usize = 56;
/// A budget that lasts longer is not forecast to its end.
const AHEAD_MAX: usize = 366;

/// What one scope will have spent.
#[derive(Clone, Debug, PartialEq)]
pub struct ForecastRow {
    /// The name of the tasks, the model or the value of the tag; nothing where there is none.
    pub key: Option<String>,
    /// What was settled of calls reserved in this month.
    pub spent: Money,
    /// What the month will have cost in USD by its end; nothing where there is less than a week of
    /// whole days.
    pub month_end: Option<Projection>,
    /// Was it better on this history to tell days of the week from each other, than their mean?
    pub follows_weekdays: bool,
    /// How far both were off; nothing where there are less than four weeks.
    pub test: Option<Backtest>,
}

/// When a limit will be used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedUp {
    /// When it is expected; nothing if not before the window ends, or within a year.
    pub expected: Option<Millis>,
    /// Nine times of ten not earlier than this.
    pub earliest: Option<Millis>,
    /// Nor later than this.
    pub latest: Option<Millis>,
}

/// What a shared budget will have spent when its window ends.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetForecast {
    /// The tags it covers, as `tenant=acme`.
    pub name: String,
    /// Its window.
    pub window: Window,
    /// How much it allows.
    pub limit: Money,
    /// May it not be passed?
    pub hard: bool,
    /// Settled and in doubt within the window.
    pub spent: Money,
    /// When the window ends; never for a life.
    pub resets_at: Option<Millis>,
    /// What it will have spent in USD by then, were there no limit; nothing for a life.
    pub at_reset: Option<Projection>,
    /// When the limit will be used up; nothing where there is less than a week of whole days.
    pub used_up: Option<UsedUp>,
}

/// What will have been spent.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The time of the forecast.
    pub at: Millis,
    /// When the month ends, in UTC.
    pub month_ends_at: Millis,
    /// What the rows are, if there are any.
    pub by: Option<By>,
    /// The largest spender of the month first. What they spent adds up to the total.
    pub rows: Vec<ForecastRow>,
    /// All tasks together.
    pub total: ForecastRow,
    /// Limits on money of shared budgets. Those over a rolling window have no forecast, as what leaves
    /// them is not known by the day.
    pub budgets: Vec<BudgetForecast>,
    /// Entries a ledger in memory keeps no longer: calls reserved by them are not in the report.
    pub dropped_entries: u64,
}

impl Ledger {
    /// Tells what the month will cost, and when budgets will be used up.
    ///
    /// `by` makes a row of each kind, model, agent, value of a tag or name of tasks.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: rows of attempts, steps, turns or providers.
    /// * `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    pub fn forecast(&self, by: Option<By>) -> Result<Forecast> {
        if let Some(by @ (By::Attempt | By::Step | By::Turn | By::Provider)) = &by {
            return Err(Error::invalid(format!("there is no forecast by {by}")));
        }
        self.read(|tx| {
            let calendar = Calendar::at(tx.now()?);
            let accounts = accounts(tx)?;
            let spending = Spending::read(tx, &calendar, accounts.iter().map(|(_, account)| account.no))?;
            let mut names = Names::default();
            let mut rows = Vec::new();
            if let Some(by) = &by {
                for (no, daily) in by_key(tx, &mut names, &spending, by)? {
                    rows.push(calendar.row(names.text(tx, no)?, &daily));
                }
            }
            rows.sort_by(|a, b| b.spent.cmp(&a.spent).then_with(|| a.key.cmp(&b.key)));
            let mut budgets = Vec::new();
            for (budget, account) in &accounts {
                let name = budget.name(names.text(tx, account.value)?.as_deref());
                let balance = tx.balance(account.no, account.window.oldest(calendar.now))?;
                let trend = calendar.trend(spending.of_account(account.no));
                let limits = limits(account, &balance, calendar.now);
                for limit in limits.iter().filter(|limit| limit.unit == Unit::Usd) {
                    budgets.push(calendar.budget(&name, limit, trend.as_ref()));
                }
            }
            budgets.sort_by(|a, b| (&a.name, a.limit).cmp(&(&b.name, b.limit)));
            Ok(Forecast {
                at: calendar.now,
                month_ends_at: calendar.month_ends_at,
                by,
                rows,
                total: calendar.row(None, &spending.total),
                budgets,
                dropped_entries: tx.dropped(),
            })
        })
    }
}

/// The accounts of shared budgets that limit money, but for patterns.
fn accounts(tx: &mut dyn Tx) -> Result<Vec<(Budget, Account)>> {
    let mut found = Vec::new();
    for budget in tx.budgets()? {
        for account in tx.all_accounts_of_budget(budget.no)? {
            let is_pattern = budget.per.is_some() && account.value == 0;
            let ceiling = &account.ceiling;
            if !is_pattern && (ceiling.hard[0].is_some() || ceiling.soft[0].is_some()) {
                found.push((budget.clone(), account));
            }
        }
    }
    Ok(found)
}

/// Which days there are, seen from now.
pub(super) struct Calendar {
    pub now: Millis,
    /// The number of the first day that is learned from.
    pub first_day: Millis,
    month_began_at: Millis,
    month_ends_at: Millis,
}

impl Calendar {
    pub fn at(now: Millis) -> Self {
        let month = Window::Month(jiff::tz::TimeZone::UTC).slot(now);
        let first_day = now.div_euclid(DAY) - DAYS as Millis;
        Self { now, first_day, month_began_at: month.start, month_ends_at: month.end }
    }

    /// What to expect of the days from today on, after the first day anything was spent.
    fn trend(&self, daily: Option<&[i64; DAYS + 1]>) -> Option<Trend> {
        let whole = daily?.get(..DAYS)?;
        let begun = whole.iter().position(|nanos| *nanos != 0)?;
        let usd: Vec<f64> = whole.iter().skip(begun).map(|nanos| *nanos as f64 / 1e9).collect();
        // The first day of 1970 was a Thursday.
        let weekday = (self.first_day + begun as Millis + 3).rem_euclid(7);
        Trend::fit(&usd, weekday as usize)
    }

    fn row(&self, key: Option<String>, daily: &[i64; DAYS + 1]) -> ForecastRow {
        let from = (self.month_began_at.div_euclid(DAY) - self.first_day).max(0) as usize;
        let spent =
            Money::from_nanos(daily.iter().skip(from).fold(0, |sum, nanos| sum.saturating_add(*nanos)));
        let trend = self.trend(Some(daily));
        let month_end =
            trend.as_ref().map(|trend| beyond(spent, trend.ahead(&self.parts_until(self.month_ends_at))));
        ForecastRow {
            key,
            spent,
            month_end,
            follows_weekdays: trend.as_ref().is_some_and(Trend::follows_weekdays),
            test: trend.as_ref().and_then(Trend::test),
        }
    }

    /// Of today and each day after it, the part that lies between now and then.
    fn parts_until(&self, end: Millis) -> Vec<f64> {
        let today = self.now.div_euclid(DAY);
        let days = (0..AHEAD_MAX as Millis).map(|ahead| {
            let (from, to) = ((today + ahead) * DAY, (today + ahead + 1) * DAY);
            (to.min(end) - from.max(self.now)).max(0) as f64 / DAY as f64
        });
        days.take_while(|part| *part > 0.0).collect()
    }

    fn budget(&self, name: &str, limit: &LimitState, trend: Option<&Trend>) -> BudgetForecast {
        let mut forecast = BudgetForecast {
            name: name.to_owned(),
            window: limit.window.clone(),
            limit: Money::from_nanos(limit.amount),
            hard: limit.hard,
            spent: Money::from_nanos(limit.spent),
            resets_at: limit.resets_at,
            at_reset: None,
            used_up: None,
        };
        let trend = trend.filter(|_| !matches!(limit.window, Window::Rolling(_)));
        let parts = self.parts_until(limit.resets_at.unwrap_or(Millis::MAX));
        if limit.spent >= limit.amount {
            let now = Some(self.now);
            forecast.used_up = Some(UsedUp { expected: now, earliest: now, latest: now });
        } else {
            forecast.used_up = trend.map(|trend| self.used_up(&forecast, trend, &parts));
        }
        let at_reset = trend.filter(|_| limit.resets_at.is_some());
        forecast.at_reset = at_reset.map(|trend| beyond(forecast.spent, trend.ahead(&parts)));
        forecast
    }

    /// When the sum of what was and what will be spent comes to the limit.
    fn used_up(&self, forecast: &BudgetForecast, trend: &Trend, parts: &[f64]) -> UsedUp {
        let (limit, spent) = (usd(forecast.limit), usd(forecast.spent));
        let paths: Vec<Projection> = (0..=parts.len()).map(|days| trend.ahead(&parts[..days])).collect();
        let reached = |of: fn(&Projection) -> f64| {
            let day = paths.iter().position(|path| spent + of(path) >= limit)?;
            let [before, after] = [day.saturating_sub(1), day].map(|day| spent + of(&paths[day]));
            // Within a day it is spent evenly, as far as anybody knows.
            let part =
                if after > before { ((limit - before) / (after - before)).clamp(0.0, 1.0) } else { 1.0 };
            let passed: f64 = parts[..day.saturating_sub(1)].iter().sum();
            let last = parts.get(day.saturating_sub(1)).copied().unwrap_or(0.0);
            Some(self.now + ((passed + part * last) * DAY as f64) as Millis)
        };
        UsedUp {
            expected: reached(|path| path.expected),
            earliest: reached(|path| path.high),
            latest: reached(|path| path.low),
        }
    }
}

fn usd(money: Money) -> f64 {
    money.nanos() as f64 / 1e9
}

fn beyond(spent: Money, ahead: Projection) -> Projection {
    let spent = usd(spent);
    Projection { expected: spent + ahead.expected, low: spent + ahead.low, high: spent + ahead.high }
}
