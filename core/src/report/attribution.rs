//! Whose money was it?
//!
//! One pass over the entries puts every call into one place (task, attempt, model) and adds up
//! what became of it; a report is those places grouped. Kept in memory are the places, and of
//! calls only those that may still change: open, in doubt, estimated or void.

use std::{collections::BTreeMap, fmt, str::FromStr};

use rustc_hash::FxHashMap;

use super::{
    names::Names,
    since::Since,
    text::{Table, count},
};
use crate::{
    error::{Error, ErrorKind, Result},
    ledger::{
        Entry, Kind, flag,
        store::{Filter, State, Tx},
    },
    policy::{Amounts, Balance},
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
    /// Each model that was asked for.
    Model,
    /// Each value of this tag.
    Tag(String),
}

impl By {
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
            "model" => Ok(Self::Model),
            _ => match text.strip_prefix("tag:") {
                Some(key) => Tags::new().set(key, "x").map(|()| Self::Tag(key.to_owned())),
                None => Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!("`{text}` is none of `task`, `attempt`, `agent`, `model` or `tag:NAME`"),
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
            Self::Model => f.write_str("model"),
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

/// What became of some calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Money, tokens, model calls and tool calls: settled, pending and in doubt.
    pub balance: Balance,
    /// The tokens of what is settled, by type.
    pub tokens: Tokens,
    /// Of what is settled: our count, not the provider's.
    pub estimated: Money,
    /// How many settled calls are estimated.
    pub estimated_calls: u64,
    /// What calls cost above their reservations.
    pub overrun: Money,
    /// How many calls used more money or tokens than they had reserved.
    pub overrun_calls: u64,
    /// Calls without a known price: their cost is unknown, and in no sum.
    pub unpriced_calls: u64,
    /// Calls that were reserved and not billed.
    pub voided_calls: u64,
    /// Of the estimated: streams that ended before the provider said what they used.
    pub(super) broken: Money,
    pub(super) broken_calls: u64,
}

impl Figures {
    /// Model calls that were made or may have been: settled, in doubt and pending.
    pub fn calls(&self) -> u64 {
        self.units(2)
    }

    /// Calls of tools.
    pub fn tool_calls(&self) -> u64 {
        self.units(3)
    }

    fn units(&self, unit: usize) -> u64 {
        let Balance { settled, pending, in_doubt } = &self.balance;
        let sum = [settled, pending, in_doubt].iter().map(|amounts| amounts.0[unit]).sum::<i64>();
        u64::try_from(sum).unwrap_or(0)
    }

    /// What was used.
    pub const fn settled(&self) -> Money {
        self.balance.settled.usd()
    }

    /// What calls hold whose outcome nobody knows.
    pub const fn in_doubt(&self) -> Money {
        self.balance.in_doubt.usd()
    }

    /// What open calls hold.
    pub const fn pending(&self) -> Money {
        self.balance.pending.usd()
    }

    /// Settled and in doubt together.
    pub fn spent(&self) -> Money {
        Money::from_nanos(self.balance.spent(crate::policy::Unit::Usd))
    }

    pub(super) fn add(&mut self, other: &Self) -> Result<()> {
        self.move_by(&other.balance)?;
        self.tokens = self.tokens.combined(&other.tokens, u64::saturating_add);
        for (sum, part) in [
            (&mut self.estimated, other.estimated),
            (&mut self.overrun, other.overrun),
            (&mut self.broken, other.broken),
        ] {
            *sum = sum.checked_add(part).ok_or_else(too_large)?;
        }
        self.estimated_calls += other.estimated_calls;
        self.overrun_calls += other.overrun_calls;
        self.unpriced_calls += other.unpriced_calls;
        self.voided_calls += other.voided_calls;
        self.broken_calls += other.broken_calls;
        Ok(())
    }

    fn move_by(&mut self, change: &Balance) -> Result<()> {
        self.balance = self.balance.checked_add(change).ok_or_else(too_large)?;
        Ok(())
    }

    /// What part of `whole` was spent here, per mille.
    pub fn share_per_mille(&self, whole: &Self) -> u32 {
        let (part, whole) = (i128::from(self.spent().nanos()), i128::from(whole.spent().nanos()));
        u32::try_from((part * 2_000 + whole).checked_div(whole * 2).unwrap_or(0)).unwrap_or(0)
    }
}

fn too_large() -> Error {
    Error::corrupt("the amounts of this ledger do not add up to 64 bits")
}

/// Tokens by type. Input includes what was read from and written to a cache, output reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// All input.
    pub input: u64,
    /// Of it read from a cache.
    pub cache_read: u64,
    /// Of it written to a cache, of whatever lifetime.
    pub cache_write: u64,
    /// All output.
    pub output: u64,
    /// Of it hidden reasoning.
    pub reasoning: u64,
}

impl Tokens {
    const fn of(entry: &Entry) -> Self {
        Self {
            input: entry.input_tokens,
            cache_read: entry.cache_read_tokens,
            cache_write: entry.cache_write_tokens.saturating_add(entry.cache_write_1h_tokens),
            output: entry.output_tokens,
            reasoning: entry.reasoning_tokens,
        }
    }

    fn combined(&self, other: &Self, by: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            input: by(self.input, other.input),
            cache_read: by(self.cache_read, other.cache_read),
            cache_write: by(self.cache_write, other.cache_write),
            output: by(self.output, other.output),
            reasoning: by(self.reasoning, other.reasoning),
        }
    }
}

/// Where a call happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub task: u32,
    pub attempt: u32,
    pub model: u32,
}

/// A call of which more may be said.
#[derive(Clone, Copy, Debug)]
struct Living {
    /// Which of the places it is in.
    at: u32,
    held: Amounts,
    state: State,
    /// What it adds to its place beside the balance, to be taken back when the truth comes.
    said: Said,
    used_usd: i64,
}

/// What the latest entry about a call said of it.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    tokens: Tokens,
    estimated: Option<i64>,
    broken: Option<i64>,
    overrun: Option<i64>,
    unpriced: bool,
}

/// The fold: feed it entries in order, then read its places.
#[derive(Debug, Default)]
pub(super) struct Attribution {
    pub places: Vec<(Place, Figures)>,
    index: FxHashMap<Place, u32>,
    living: FxHashMap<Id, Living>,
}

impl Attribution {
    /// Adds one entry. An entry about a call whose reservation was not among those given is left
    /// out: the call belongs to an earlier time.
    pub fn add(&mut self, entry: &Entry) -> Result<()> {
        let Some(id) = entry.call else { return Ok(()) };
        if entry.kind == Kind::Reserved {
            return self.reserve(id, entry);
        }
        let Some(call) = self.living.get(&id).copied() else { return Ok(()) };
        let freed = match call.state {
            State::Open => Balance { pending: call.held.negated(), ..Balance::default() },
            State::InDoubt => Balance { in_doubt: call.held.negated(), ..Balance::default() },
            State::Settled | State::Voided => Balance::default(),
        };
        let Some((_, figures)) = self.places.get_mut(call.at as usize) else { return Ok(()) };
        let mut next = call;
        match entry.kind {
            Kind::Settled | Kind::Corrected => {
                figures.move_by(&Balance { settled: entry.amounts(), ..freed })?;
                next.used_usd = call.used_usd.saturating_add(entry.usd);
                next.said = said_by(entry, &call, next.used_usd);
                next.state = State::Settled;
            }
            Kind::Voided => {
                figures.move_by(&freed)?;
                next.said = Said::default();
                next.state = State::Voided;
            }
            Kind::Doubted => {
                figures.move_by(&Balance { in_doubt: call.held, ..freed })?;
                next.state = State::InDoubt;
            }
            _ => return Ok(()),
        }
        figures.replace(&call, &next)?;
        if next.state == State::Settled && next.said.estimated.is_none() {
            self.living.remove(&id);
        } else {
            self.living.insert(id, next);
        }
        Ok(())
    }

    fn reserve(&mut self, id: Id, entry: &Entry) -> Result<()> {
        let Entry { task, attempt, model_asked: model, .. } = *entry;
        let place = Place { task, attempt, model };
        let places = &mut self.places;
        let at = *self.index.entry(place).or_insert_with(|| {
            places.push((place, Figures::default()));
            places.len() as u32 - 1
        });
        let held = entry.amounts();
        let said = Said { unpriced: entry.has(flag::UNPRICED), ..Said::default() };
        let call = Living { at, held, state: State::Open, said, used_usd: 0 };
        if let Some((_, figures)) = places.get_mut(at as usize) {
            figures.move_by(&Balance { pending: held, ..Balance::default() })?;
            figures.unpriced_calls += u64::from(said.unpriced);
        }
        self.living.insert(id, call);
        Ok(())
    }

    /// Folds the entries that `filter` lets through.
    pub fn read(&mut self, tx: &mut dyn Tx, filter: Filter) -> Result<()> {
        let mut failure = None;
        tx.movements(filter, &mut |entry| match self.add(entry) {
            Ok(()) => true,
            Err(error) => {
                failure = Some(error);
                false
            }
        })?;
        failure.map_or(Ok(()), Err)
    }
}

fn said_by(entry: &Entry, call: &Living, used_usd: i64) -> Said {
    let over = used_usd.saturating_sub(call.held.0[0]).max(0);
    Said {
        tokens: Tokens::of(entry),
        estimated: entry.has(flag::ESTIMATED).then_some(used_usd),
        broken: (entry.has(flag::ESTIMATED) && entry.has(flag::STREAMED)).then_some(used_usd),
        overrun: entry.has(flag::OVERRUN).then_some(over),
        unpriced: entry.has(flag::UNPRICED),
    }
}

impl Figures {
    /// Takes back what was said of a call before, and adds what is said now.
    fn replace(&mut self, before: &Living, now: &Living) -> Result<()> {
        self.tokens = self.tokens.combined(&before.said.tokens, u64::saturating_sub);
        self.tokens = self.tokens.combined(&now.said.tokens, u64::saturating_add);
        for (call, sign) in [(before, -1), (now, 1)] {
            let counts = i64::from(call.state == State::Voided);
            self.voided_calls = self.voided_calls.wrapping_add_signed(counts * sign);
            let counts = i64::from(call.said.unpriced);
            self.unpriced_calls = self.unpriced_calls.wrapping_add_signed(counts * sign);
            let parts = [
                (&mut self.estimated, &mut self.estimated_calls, call.said.estimated),
                (&mut self.overrun, &mut self.overrun_calls, call.said.overrun),
                (&mut self.broken, &mut self.broken_calls, call.said.broken),
            ];
            for (sum, calls, part) in parts {
                let Some(part) = part else { continue };
                let part = Money::from_nanos(part.saturating_mul(sign));
                *sum = sum.checked_add(part).ok_or_else(too_large)?;
                *calls = calls.wrapping_add_signed(sign);
            }
        }
        Ok(())
    }
}

/// One line of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The task's own id or name, the model or the value of the tag; `erased` where it was
    /// forgotten, nothing where there is none.
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
            fold.read(tx, Filter { task: None, since })?;
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
    /// A table of plain text, amounts in USD.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.by.to_string();
        let headings = ["calls", "tool calls", "input", "cached", "output", "reasoning", "spent", "in doubt"];
        let last = ["pending", "share"];
        let mut table = Table::new([by.as_str()].into_iter().chain(headings).chain(last)).left(1);
        let total = Row {
            key: Some("total".to_owned()),
            task: None,
            attempt: None,
            figures: self.totals,
            share_per_mille: self.totals.share_per_mille(&self.totals),
        };
        for row in self.rows.iter().chain([&total]) {
            let Tokens { input, cache_read, output, reasoning, .. } = row.figures.tokens;
            let tokens = [input, cache_read, output, reasoning];
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

impl Figures {
    /// What the sums do not say, a sentence each.
    pub(super) fn notes(&self, dropped_entries: u64) -> Vec<String> {
        let Self { estimated, estimated_calls, overrun, overrun_calls, unpriced_calls, .. } = self;
        let calls = |calls: &u64| if *calls == 1 { "1 call".to_owned() } else { format!("{calls} calls") };
        let mut notes = Vec::new();
        if *estimated_calls > 0 {
            notes.push(format!("{estimated} of it is estimated, in {}", calls(estimated_calls)));
        }
        if *overrun_calls > 0 {
            notes.push(format!("{} used {overrun} more than was reserved", calls(overrun_calls)));
        }
        if *unpriced_calls > 0 {
            let (have, their) = if *unpriced_calls == 1 { ("has", "its") } else { ("have", "their") };
            let calls = calls(unpriced_calls);
            notes.push(format!("{calls} {have} no known price: {their} cost is in no sum"));
        }
        if dropped_entries > 0 {
            notes.push(format!(
                "{dropped_entries} older entries are kept no longer: their calls are left out"
            ));
        }
        notes
    }
}
