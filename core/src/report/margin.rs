//! What is left of what was earned?
//!
//! Revenue is given by whoever asks, for each customer or whatever else rows are; the ledger knows
//! what was spent. Where no revenue was given, there is no margin: it is not taken for zero.
//!
//! ```
//! use outlay::{Ledger, Request, TaskOptions, Usage, report::{By, MarginOptions}};
//!
//! let ledger = Ledger::in_memory();
//! let task = ledger.open_task(TaskOptions::new("refund").tag("tenant", "acme")?)?;
//! let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
//! call.settle(&Usage::tokens(1_000, 500))?; // 0.0075 USD
//!
//! let options = MarginOptions::by(By::Tag("tenant".into())).revenue("key,revenue_usd\nacme,0.01")?;
//! let row = &ledger.margin(&options)?.rows[0];
//! assert_eq!(row.margin().expect("there is revenue").to_string(), "0.0025 USD");
//! assert_eq!(row.margin_per_mille(), Some(250));
//! # Ok::<(), outlay::Error>(())
//! ```

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{
    attempts::sum,
    rows::{By, ReportOptions},
    since::Since,
    text::{Table, count, left_out},
};
use crate::{
    error::{Error, Result},
    run::Ledger,
    value::{Millis, Money, as_written},
};

/// What a report of margins is to tell.
#[derive(Clone, Debug, Default)]
pub struct MarginOptions {
    /// What its rows are.
    pub by: By,
    /// Only calls reserved from this time on, with all that became of them. All calls without it.
    pub since: Option<Since>,
    /// What was earned, by the key of the row.
    pub revenue: BTreeMap<String, Money>,
}

impl MarginOptions {
    /// Over the whole ledger, with no revenue yet.
    pub fn by(by: By) -> Self {
        Self { by, ..Self::default() }
    }

    /// Adds what was earned, from a JSON object of amounts by key, or from CSV with the columns `key` and
    /// `revenue_usd`; of a key that comes again, both are added up. Other columns are not read.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: neither of the two, a column that is missing, or an amount that cannot be.
    ///
    /// ```
    /// use outlay::report::MarginOptions;
    ///
    /// let json = MarginOptions::default().revenue(r#"{"acme": "100.00", "umbrella": 20}"#)?;
    /// let csv = "invoice,key,revenue_usd\n1,acme,60\n2,acme,40\n3,umbrella,20";
    /// assert_eq!(MarginOptions::default().revenue(csv)?.revenue, json.revenue);
    /// assert!(MarginOptions::default().revenue("tenant,usd\nacme,1").is_err());
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn revenue(mut self, text: &str) -> Result<Self> {
        let text = text.trim_start_matches(BYTE_ORDER_MARK);
        if text.trim_start().starts_with('{') {
            let wrong = |error| Error::invalid(format!("the revenue is no JSON object: {error}"));
            let Members(amounts) = serde_json::from_str(text).map_err(wrong)?;
            for (key, value) in amounts {
                self.earn(&key, &as_written(&value))?;
            }
            return Ok(self);
        }
        let wrong = |error| Error::invalid(format!("the revenue is no CSV: {error}"));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headings = reader.headers().map_err(wrong)?.clone();
        let column = |name: &str| {
            let found = headings.iter().position(|own| own.trim() == name);
            found.ok_or_else(|| Error::invalid(format!("the revenue has no column `{name}`")))
        };
        let (key, usd) = (column("key")?, column("revenue_usd")?);
        for row in reader.records() {
            let row = row.map_err(wrong)?;
            self.earn(row.get(key).unwrap_or_default(), row.get(usd).unwrap_or_default())?;
        }
        Ok(self)
    }

    fn earn(&mut self, key: &str, usd: &str) -> Result<()> {
        let wrong = |error| Error::invalid(format!("the revenue of `{key}`: {error}"));
        let earned = Money::parse(usd).map_err(wrong)?;
        let known = self.revenue.entry(key.to_owned()).or_default();
        *known = Money::from_nanos(sum(known.nanos(), earned.nanos())?);
        Ok(())
    }
}

/// What some programs begin a file with.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The members of an object in their order, one that comes again too.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of amounts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Members, A::Error> {
                std::iter::from_fn(|| map.next_entry().transpose())
                    .collect::<std::result::Result<_, _>>()
                    .map(Members)
            }
        }

        from.deserialize_map(All)
    }
}

/// One customer, or whatever else rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarginRow {
    /// Which one; nothing for calls of none.
    pub key: Option<String>,
    /// What was earned; nothing where that was not said.
    pub revenue: Option<Money>,
    /// What was spent: settled and in doubt.
    pub spent: Money,
    /// By how many calls of a model.
    pub calls: u64,
}

impl MarginRow {
    /// What is left; nothing where nobody said what was earned.
    pub fn margin(&self) -> Option<Money> {
        Some(Money::from_nanos(self.revenue?.nanos().saturating_sub(self.spent.nanos())))
    }

    /// What is left of a thousand that was earned, rounded down; nothing where nothing was earned.
    pub fn margin_per_mille(&self) -> Option<i64> {
        let revenue = self.revenue.filter(|revenue| *revenue > Money::ZERO)?;
        let per_mille = (i128::from(self.margin()?.nanos()) * 1_000).div_euclid(revenue.nanos().into());
        i64::try_from(per_mille).ok()
    }
}

/// What is left of what was earned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarginReport {
    /// What the rows are.
    pub by: By,
    /// From when on calls are in it.
    pub since: Option<Millis>,
    /// The largest loss first; those whose revenue nobody said come last, the largest spender first.
    pub rows: Vec<MarginRow>,
    /// All rows with revenue together.
    pub totals: MarginRow,
    /// What was spent in the other rows, which have no margin.
    pub unearned: Money,
    /// Entries a ledger in memory keeps no longer: calls reserved by them are not in the report.
    pub dropped_entries: u64,
}

impl Ledger {
    /// Holds what was spent against what was earned.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    pub fn margin(&self, options: &MarginOptions) -> Result<MarginReport> {
        let report = self.report(&ReportOptions { by: options.by.clone(), since: options.since })?;
        let mut rows: BTreeMap<Option<String>, (Money, u64)> = BTreeMap::new();
        rows.extend(options.revenue.keys().map(|key| (Some(key.clone()), Default::default())));
        for row in report.rows {
            let (spent, calls) = rows.entry(row.key).or_default();
            *spent = Money::from_nanos(sum(spent.nanos(), row.figures.spent().nanos())?);
            *calls += row.figures.calls();
        }
        let row = |(key, (spent, calls)): (Option<String>, _)| {
            let revenue = key.as_ref().and_then(|key| options.revenue.get(key)).copied();
            MarginRow { key, revenue, spent, calls }
        };
        let mut rows: Vec<MarginRow> = rows.into_iter().map(row).collect();
        rows.sort_by_key(|row| (row.revenue.is_none(), row.margin(), Reverse(row.spent)));
        let (mut earned, mut spent, mut unearned, mut calls) = (0, 0, 0, 0);
        for row in &rows {
            if let Some(revenue) = row.revenue {
                earned = sum(earned, revenue.nanos())?;
                spent = sum(spent, row.spent.nanos())?;
                calls += row.calls;
            } else {
                unearned = sum(unearned, row.spent.nanos())?;
            }
        }
        let [earned, spent, unearned] = [earned, spent, unearned].map(Money::from_nanos);
        let totals = MarginRow { key: None, revenue: Some(earned), spent, calls };
        let (by, since, dropped_entries) = (report.by, report.since, report.dropped_entries);
        Ok(MarginReport { by, since, rows, totals, unearned, dropped_entries })
    }
}

impl fmt::Display for MarginReport {
    /// A table of plain text, amounts in USD.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.by.to_string();
        let mut table =
            Table::new([by.as_str(), "calls", "revenue", "spent", "margin", "of revenue"]).left(1);
        let rows = self.rows.iter().map(|row| (row.key.as_deref().unwrap_or("(none)"), row));
        for (key, row) in rows.chain([("total", &self.totals)]) {
            let usd = |usd: Option<Money>| usd.map_or_else(|| "-".to_owned(), Money::decimal);
            let part = |share: i64| format!("{:.1} %", share as f64 / 10.0);
            table.row([
                key.to_owned(),
                count(row.calls),
                usd(row.revenue),
                row.spent.decimal(),
                usd(row.margin()),
                row.margin_per_mille().map_or_else(|| "-".to_owned(), part),
            ]);
        }
        table.fmt(f)?;
        for note in self.notes() {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}

impl MarginReport {
    /// What the figures do not say.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let number = |is: fn(&MarginRow) -> bool| self.rows.iter().filter(|row| is(row)).count();
        let (lost, without) = (
            number(|row| row.margin().is_some_and(|left| left < Money::ZERO)),
            number(|row| row.revenue.is_none()),
        );
        if lost > 0 {
            notes.push(format!("{lost} cost more than was earned"));
        }
        if without > 0 {
            let spent = self.unearned;
            notes.push(format!("{without} without revenue spent {spent}: in no margin and no total"));
        }
        let idle = number(|row| row.revenue.is_some() && row.calls == 0 && row.spent == Money::ZERO);
        if idle > 0 {
            notes.push(format!("{idle} with revenue spent nothing: are they called that in the ledger?"));
        }
        notes.extend(left_out(self.dropped_entries));
        notes
    }
}
