//! What would it have cost elsewhere?
//!
//! Every settled call is priced again at its own time, as if it had gone to another model, provider or
//! service tier. Where the other model reads with the same tokenizer the answer is exact; else it is
//! a range, from the ratio of the two tokenizers. What cannot be priced is left out and said, and what
//! is compared and what is left out together are all that was settled.
//!
//! ```
//! use outlay::{Ledger, Request, TaskOptions, Usage, report::WhatIfOptions};
//!
//! let ledger = Ledger::in_memory();
//! let task = ledger.open_task(TaskOptions::new("refund"))?;
//! let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
//! call.settle(&Usage::tokens(1_000, 500))?;
//!
//! let report = ledger.what_if(&WhatIfOptions::model("gpt-4o-mini"))?;
//! assert_eq!(report.totals.recorded.to_string(), "0.0075 USD");
//! assert_eq!(report.totals.least.to_string(), "0.00045 USD");
//! assert!(report.totals.is_exact());
//! # Ok::<(), outlay::Error>(())
//! ```

use std::collections::BTreeMap;

use super::{
    attempts::sum,
    names::Names,
    repriced::{Fold, Missing},
    since::Since,
    tokenizers::{RatioSource, TokenRatio},
};
use crate::{
    error::{Error, Result},
    ledger::store::{Filter, Tx},
    meter::ServiceTier,
    run::Ledger,
    value::{Millis, Money},
};

/// Where the calls would have gone: at least one of the three. What is not said stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhatIfOptions {
    /// To this model; to that of its maker where no provider is said.
    pub model: Option<String>,
    /// To this provider.
    pub provider: Option<String>,
    /// In this service tier.
    pub tier: Option<ServiceTier>,
    /// Only calls reserved from this time on. All calls without it.
    pub since: Option<Since>,
}

impl WhatIfOptions {
    /// All calls, to this model.
    pub fn model(model: &str) -> Self {
        Self { model: Some(model.to_owned()), ..Self::default() }
    }
}

/// What some calls cost, and would have cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repriced {
    /// Calls that are compared.
    pub calls: u64,
    /// What they cost.
    pub recorded: Money,
    /// What they would have cost at least, if answered in as much text.
    pub least: Money,
    /// And at most.
    pub most: Money,
    /// Calls that cannot be compared.
    pub left_out_calls: u64,
    /// What these cost, as far as that is known.
    pub left_out: Money,
}

impl Repriced {
    /// Is it one amount rather than a range?
    pub fn is_exact(&self) -> bool {
        self.least == self.most
    }

    pub(super) fn add(&mut self, other: &Self) -> Result<()> {
        self.calls += other.calls;
        self.left_out_calls += other.left_out_calls;
        for (total, part) in [
            (&mut self.recorded, other.recorded),
            (&mut self.least, other.least),
            (&mut self.most, other.most),
            (&mut self.left_out, other.left_out),
        ] {
            *total = Money::from_nanos(sum(total.nanos(), part.nanos())?);
        }
        Ok(())
    }
}

/// The calls of one task name that asked for one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhatIfRow {
    /// The name of the tasks.
    pub task: Option<String>,
    /// The model that was asked for; nothing for tools.
    pub model: Option<String>,
    /// The model they would have gone to, with its provider; nothing where it has no price.
    pub target: Option<String>,
    /// How many tokens that model has for one of the recorded.
    pub ratio: Option<TokenRatio>,
    /// The figures.
    pub figures: Repriced,
    /// Why calls are left out, each reason with how many.
    pub missing: Vec<(String, u64)>,
}

/// What calls would have cost elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhatIfReport {
    /// Where they would have gone.
    pub asked: WhatIfOptions,
    /// From when on calls are in it.
    pub since: Option<Millis>,
    /// What cost the most first.
    pub rows: Vec<WhatIfRow>,
    /// All rows together.
    pub totals: Repriced,
    /// Of the compared calls, those whose usage is our count, not the provider's.
    pub estimated_calls: u64,
    /// Input of the compared calls that was read from a cache, in tokens.
    pub cached_tokens: u64,
    /// Of the compared calls, those with images or sound.
    pub media_calls: u64,
    /// Entries a ledger in memory keeps no longer: calls reserved by them are not in the report.
    pub dropped_entries: u64,
}

impl Ledger {
    /// Prices what was recorded as if it had gone to another model, provider or service tier.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: nothing is to be other than it was.
    /// * `Unpriced`: nobody knows what the model costs.
    /// * `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    pub fn what_if(&self, asked: &WhatIfOptions) -> Result<WhatIfReport> {
        let config = self.config();
        if (&asked.model, &asked.provider, asked.tier) == (&None, &None, None) {
            return Err(Error::invalid("say which model, provider or service tier it would have been"));
        }
        self.read(|tx| {
            let now = tx.now()?;
            if let Some(model) = &asked.model {
                config.prices.find(asked.provider.as_deref(), model, now)?;
            }
            let since = asked.since.map(|since| since.at(now));
            let fold = Fold::read(tx, &config.prices, asked, Filter { since, ..Filter::default() })?;
            let rows = rows(tx, &fold)?;
            let mut totals = Repriced::default();
            rows.iter().try_for_each(|row| totals.add(&row.figures))?;
            Ok(WhatIfReport {
                asked: asked.clone(),
                since,
                rows,
                totals,
                estimated_calls: fold.estimated_calls,
                cached_tokens: fold.cached_tokens,
                media_calls: fold.media_calls,
                dropped_entries: tx.dropped(),
            })
        })
    }
}

/// The places of a fold by the name of the task and the route.
fn rows(tx: &mut dyn Tx, fold: &Fold<'_>) -> Result<Vec<WhatIfRow>> {
    let mut names = Names::default();
    let mut groups: BTreeMap<(u32, u32), (Repriced, [u64; Missing::COUNT])> = BTreeMap::new();
    for (task, route, sums) in fold.places() {
        let key = (names.name_of_task(tx, task)?, route);
        let (figures, missing) = groups.entry(key).or_default();
        figures.add(&sums.figures)?;
        missing.iter_mut().zip(sums.missing).for_each(|(total, part)| *total += part);
    }
    let mut rows = Vec::with_capacity(groups.len());
    for ((name, route), (figures, missing)) in groups {
        let route = fold.route(route);
        let missing = Missing::ALL.iter().zip(missing).filter(|(_, calls)| *calls > 0);
        rows.push(WhatIfRow {
            task: names.text(tx, name)?,
            model: route.and_then(|route| route.model.clone()),
            target: route.and_then(|route| route.target.clone()),
            ratio: route.and_then(|route| route.ratio),
            figures,
            missing: missing.map(|(why, calls)| (why.words().to_owned(), calls)).collect(),
        });
    }
    let spent = |row: &WhatIfRow| row.figures.recorded.nanos().saturating_add(row.figures.left_out.nanos());
    rows.sort_by(|a, b| {
        spent(b)
            .cmp(&spent(a))
            .then_with(|| (&a.task, &a.model, &a.target).cmp(&(&b.task, &b.model, &b.target)))
    });
    Ok(rows)
}

impl WhatIfReport {
    /// What the figures do not say, and what nobody can know.
    pub fn notes(&self) -> Vec<String> {
        let Self { totals, estimated_calls, cached_tokens, media_calls, dropped_entries, .. } = self;
        let mut notes = vec![
            "prices are those of the time of each call; whether another model would have done the work, \
             and in answers of the same length, nobody can know from a ledger"
                .to_owned(),
        ];
        let is_from = |source| move |row: &WhatIfRow| row.ratio.is_some_and(|ratio| ratio.source == source);
        if self.rows.iter().any(is_from(RatioSource::Samples)) {
            notes.push(
                "ranges by sample texts: both tokenizers counted prose, code, JSON and Chinese; other texts \
                 may lie outside"
                    .to_owned(),
            );
        }
        if self.rows.iter().any(is_from(RatioSource::Family)) {
            notes.push(
                "ranges by family bounds: a tokenizer is not published, so they are as wide as its family \
                 was ever measured"
                    .to_owned(),
            );
        }
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                notes.push(format!("{} {what}", super::text::count(count)));
            }
        };
        say(
            *cached_tokens,
            "tokens came from a cache, and are taken to do so there: it may keep less or nothing",
        );
        say(*media_calls, "calls have images or sound: other models make other numbers of tokens of them");
        say(*estimated_calls, "calls have our own count, as no provider's came");
        say(totals.left_out_calls, "calls are left out on both sides");
        say(*dropped_entries, "older entries are kept no longer: their calls are left out");
        notes
    }
}
