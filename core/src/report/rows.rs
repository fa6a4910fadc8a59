//! What are the rows of a report?
//!
//! The places of an attribution, grouped by what a reader asks for and named.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::{
    attribution::{Attribution, Figures, Place, Tokens},
    names::Names,
    since::Since,
    text::{Table, count},
};
use crate::{
    error::{Error, ErrorKind, Result},
    ledger::store::{Filter, Part, Tx},
    run::Ledger,
    value::{Id, Millis, Money, Tags},
};

/// What the rows of a report are.
///
/// ```
/// use outlay::report::By;
///
/// assert_eq!("tag:tenant".parse::<By>()?, By::Tag("tenant".into()));
/// assert_eq!("agent".parse::<By>()?.to_string(), "agent");
/// assert!("colour".parse::<By>().is_err());
/// # Ok::<(), outlay::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// Each task; what runs in a task inside another is the inner one's.
    #[default]
    Task,
    /// Each attempt at a task.
    Attempt,
    /// Each value of the tag `agent`.
    Agent,
    /// Each kind: the tag `kind` of the outermost task a call lies in, else that task's name.
    Kind,
    /// Each durable step, by its name.
    Step,
    /// Each turn, by its name.
    Turn,
    /// Each model that was asked for.
    Model,
    /// Each provider that was asked.
    Provider,
    /// Each value of this tag.
    Tag(String),
}

impl By {
    /// What a fold has to tell apart beside tasks and models.
    pub(super) const fn part(&self) -> Option<Part> {
        match self {
            Self::Step => Some(Part::Step),
            Self::Turn => Some(Part::Turn),
            Self::Provider => Some(Part::Provider),
            _ => None,
        }
    }

    fn tag(&self) -> Option<&str> {
        match self {
            Self::Agent => Some("agent"),
            Self::Tag(key) => Some(key),
            _ => None,
        }
    }
}

impl FromStr for By {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "task" => Ok(Self::Task),
            "attempt" => Ok(Self::Attempt),
            "agent" => Ok(Self::Agent),
            "kind" => Ok(Self::Kind),
            "step" => Ok(Self::Step),
            "turn" => Ok(Self::Turn),
            "model" => Ok(Self::Model),
            "provider" => Ok(Self::Provider),
            _ => match text.strip_prefix("tag:") {
                Some(key) => Tags::new().set(key, "x").map(|()| Self::Tag(key.to_owned())),
                None => Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!(
                        "`{text}` is none of `task`, `attempt`, `kind`, `agent`, `step`, `turn`, `model`, \
                         `provider` or `tag:NAME`"
                    ),
                )),
            },
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task => f.write_str("task"),
            Self::Attempt => f.write_str("attempt"),
            Self::Agent => f.write_str("agent"),
            Self::Kind => f.write_str("kind"),
            Self::Step => f.write_str("step"),
            Self::Turn => f.write_str("turn"),
            Self::Model => f.write_str("model"),
            Self::Provider => f.write_str("provider"),
            Self::Tag(key) => write!(f, "tag:{key}"),
        }
    }
}

/// What a report is to tell.
#[derive(Clone, Debug, Default)]
pub struct ReportOptions {
    /// What its rows are.
    pub by: By,
    /// Only calls reserved from this time on, with all that became of them. All calls without it.
    pub since: Option<Since>,
}

impl ReportOptions {
    /// Over the whole ledger.
    pub const fn by(by: By) -> Self {
        Self { by, since: None }
    }

    /// Only calls reserved from this time on.
    #[must_use]
    pub const fn since(mut self, since: Since) -> Self {
        self.since = Some(since);
        self
    }
}

/// One line of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The task's own id or name, or which kind, step, turn, model, provider or value of the tag it is;
    /// `erased` where it was forgotten, nothing where there is none.
    pub key: Option<String>,
    /// The task, in a report by task or attempt.
    pub task: Option<Id>,
    /// The number of the attempt, in a report by attempt.
    pub attempt: Option<u32>,
    /// What became of its calls.
    pub figures: Figures,
    /// Its part of all that was spent.
    pub share_per_mille: u32,
}

/// Where the money went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the rows are.
    pub by: By,
    /// From when on calls are in it.
    pub since: Option<Millis>,
    /// The largest spender first.
    pub rows: Vec<Row>,
    /// All rows together.
    pub totals: Figures,
    /// Entries a ledger in memory keeps no longer: calls reserved by them are not in the report.
    pub dropped_entries: u64,
}

impl Ledger {
    /// Tells where the money went.
    ///
    /// Every call is in one row: that of its own task, attempt, model or tag value. The totals
    /// are the sum of the rows, and the sum of the ledger's balances.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    ///
    /// ```
    /// use outlay::{Ledger, Limit, Request, TaskOptions, Usage, report::{By, ReportOptions}};
    ///
    /// let ledger = Ledger::in_memory();
    /// for (tenant, output) in [("acme", 500), ("umbrella", 100)] {
    ///     let task = ledger.open_task(TaskOptions::new("refund").tag("tenant", tenant)?)?;
    ///     let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
    ///     call.settle(&Usage::tokens(1_000, output))?;
    /// }
    /// let report = ledger.report(&ReportOptions::by(By::Tag("tenant".into())))?;
    /// let rows: Vec<_> = report.rows.iter().map(|row| (row.key.as_deref(), row.share_per_mille)).collect();
    /// assert_eq!(rows, [(Some("acme"), 682), (Some("umbrella"), 318)]);
    /// assert_eq!(report.totals.spent().to_string(), "0.011 USD");
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn report(&self, options: &ReportOptions) -> Result<Report> {
        let ReportOptions { by, since } = options.clone();
        self.read(|tx| {
            let now = tx.now()?;
            let since = since.map(|since| since.at(now));
            let mut fold = Attribution::default();
            fold.read(tx, Filter { since, part: by.part(), ..Filter::default() })?;
            let (rows, totals) = grouped(tx, &fold.places, &by)?;
            Ok(Report { by, since, rows, totals, dropped_entries: tx.dropped() })
        })
    }
}

/// What tells one row from another: a dictionary id or task, and an attempt.
type Group = (u32, u32);

/// The places added up by what `by` says.
pub(super) fn grouped(tx: &mut dyn Tx, places: &[(Place, Figures)], by: &By) -> Result<(Vec<Row>, Figures)> {
    let mut names = Names::default();
    let mut groups: BTreeMap<Group, Figures> = BTreeMap::new();
    let mut totals = Figures::default();
    for (place, figures) in places {
        let group = match by {
            By::Task => (place.task, 0),
            By::Attempt => (place.task, place.attempt),
            By::Kind => (names.kind(tx, place.task)?, 0),
            By::Step | By::Turn | By::Provider => (place.part, 0),
            By::Model => (place.model, 0),
            By::Agent | By::Tag(_) => (names.tag(tx, place.task, by.tag().unwrap_or_default())?, 0),
        };
        groups.entry(group).or_default().add(figures)?;
        totals.add(figures)?;
    }
    let mut rows = Vec::with_capacity(groups.len());
    for ((no, attempt), figures) in groups {
        let of_task = matches!(by, By::Task | By::Attempt);
        let (key, task) = if of_task { names.task(tx, no)? } else { (names.text(tx, no)?, None) };
        let attempt = (*by == By::Attempt).then_some(attempt);
        let share_per_mille = figures.share_per_mille(&totals);
        rows.push(Row { key, task, attempt, figures, share_per_mille });
    }
    rows.sort_by(|a, b| {
        let order = |row: &Row| (std::cmp::Reverse(row.figures.spent()), row.attempt);
        order(a).cmp(&order(b)).then_with(|| (&a.key, a.task).cmp(&(&b.key, b.task)))
    });
    Ok((rows, totals))
}

impl Row {
    /// Its key as a person reads it.
    pub fn label(&self) -> String {
        let key = self.key.as_deref().unwrap_or("(none)");
        self.attempt.map_or_else(|| key.to_owned(), |number| format!("{key} #{number}"))
    }
}

impl fmt::Display for Report {
    /// A table of plain text, amounts in USD. Of the input `cached` was read from a cache and `written` to
    /// one, of the output `reasoning` is hidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.by.to_string();
        let headings = ["calls", "tool calls", "input", "cached", "written", "output", "reasoning"];
        let last = ["spent", "in doubt", "pending", "share"];
        let mut table = Table::new([by.as_str()].into_iter().chain(headings).chain(last)).left(1);
        let total = Row {
            key: Some("total".to_owned()),
            task: None,
            attempt: None,
            figures: self.totals,
            share_per_mille: self.totals.share_per_mille(&self.totals),
        };
        for row in self.rows.iter().chain([&total]) {
            let Tokens { input, cache_read, cache_write, output, reasoning } = row.figures.tokens;
            let tokens = [input, cache_read, cache_write, output, reasoning];
            let counts = [row.figures.calls(), row.figures.tool_calls()].into_iter().chain(tokens).map(count);
            let money = [row.figures.spent(), row.figures.in_doubt(), row.figures.pending()];
            let share = format!("{}.{} %", row.share_per_mille / 10, row.share_per_mille % 10);
            let cells = counts.chain(money.map(Money::decimal)).chain([share]);
            table.row([row.label()].into_iter().chain(cells));
        }
        table.fmt(f)?;
        for note in self.notes() {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}

impl Report {
    /// What the figures do not say: estimates, overruns, unknown prices, entries no longer kept.
    pub fn notes(&self) -> Vec<String> {
        self.totals.notes(self.dropped_entries)
    }
}
