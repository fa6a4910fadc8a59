//! What did logs of other tools record? Their calls as settled calls of a ledger.
//!
//! A call is known by its id: importing the same logs again adds nothing. Of a message that was
//! logged while it streamed the last usage counts; one that a log ends with is an estimate until
//! then. Each call is charged what its model cost at the record's date by our own price book, never
//! what the log says. Lines that cannot be read are counted, and are no error.
//!
//! What a log does not tell stays unknown: whether a session succeeded, and its limits. Tasks that
//! are imported only observe, and count as succeeded.

mod claude_code;
mod codex;
mod files;
mod found;
mod litellm;
mod table;

use std::{fmt, path::Path, str::FromStr, sync::Arc};

use self::{files::files, found::Found};
use crate::{
    error::{Error, ErrorKind, Result},
    ledger::{
        flag,
        store::{Filter, Tx},
    },
    meter::ServiceTier,
    policy::{Amounts, Unit},
    run::{Attempt, Config, Ledger, Request, Task, TaskOptions},
    value::{Clock, Id, ManualClock, Millis, Money},
};

/// Whose logs they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Session logs of Claude Code: JSONL under `~/.claude/projects`.
    ClaudeCode,
    /// Session logs of Codex: JSONL under `~/.codex/sessions`.
    Codex,
    /// Spend logs of LiteLLM's proxy: JSON or JSONL.
    Litellm,
    /// A table: see `docs/import.md` for its columns.
    Csv,
}

impl Source {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Litellm => "litellm",
            Self::Csv => "csv",
        }
    }

    const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::ClaudeCode | Self::Codex => &["jsonl"],
            Self::Litellm => &["json", "jsonl"],
            Self::Csv => &["csv"],
        }
    }
}

impl FromStr for Source {
    type Err = Error;

    /// # Errors
    ///
    /// `InvalidInput`: none of them.
    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::ClaudeCode, Self::Codex, Self::Litellm, Self::Csv];
        let found = all.into_iter().find(|source| source.name() == text);
        let names = || all.map(Self::name).join("`, `");
        found.ok_or_else(|| Error::invalid(format!("`{text}` is none of `{}`", names())))
    }
}

/// What became of the logs. `Display` is some lines of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Files that were read.
    pub files: u64,
    /// Lines, or records of a file that is no lines.
    pub lines: u64,
    /// Calls that are in the ledger now and were not before.
    pub calls: u64,
    /// What these cost, and what corrected calls cost more than before.
    pub spent: Money,
    /// Calls that were in the ledger already, as they are told of now.
    pub known_calls: u64,
    /// Calls that were in the ledger with less than they used in the end, as their logs ended with a
    /// message that was still streaming.
    pub corrected_calls: u64,
    /// Lines about a call that another line told of too.
    pub repeated_lines: u64,
    /// Lines that cannot be read.
    pub malformed_lines: u64,
    /// Lines that tell of no call.
    pub other_lines: u64,
    /// Records of calls that nobody billed: failed, or answered from a cache.
    pub unbilled_calls: u64,
    /// Calls whose model, or whose service tier, has no known price: their cost is unknown, and in no sum.
    pub unpriced_calls: u64,
    /// Calls older than the ledger's last entry, which they are dated as. Their prices are those of
    /// their own date.
    pub redated_calls: u64,
    /// Where the first lines that cannot be read are, and why.
    pub first_malformed: Vec<String>,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, spent, files, lines, .. } = self;
        write!(f, "{calls} calls of {spent} imported from {lines} lines of {files} files")?;
        for (count, what) in [
            (self.known_calls, "calls were in the ledger already"),
            (self.corrected_calls, "calls used more than when they were imported, and are corrected"),
            (self.repeated_lines, "lines told of a call again"),
            (self.other_lines, "lines tell of no call"),
            (self.unbilled_calls, "calls were not billed"),
            (
                self.unpriced_calls,
                "calls are of models or service tiers without a known price: their cost is in no sum",
            ),
            (self.redated_calls, "calls are older than the ledger's last entry, and dated as that"),
            (self.malformed_lines, "lines cannot be read"),
        ] {
            if count > 0 {
                write!(f, "\n{count} {what}")?;
            }
        }
        self.first_malformed.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// Reads the logs at `path`, a file or a folder with all below it, into the ledger at `store`.
///
/// # Errors
///
/// * `NotFound`: there is no such file, or no log in the folder.
/// * `Conflict`: the ledger has shared budgets, which the calls would count against.
/// * `Unsupported`: a ledger in memory.
/// * `InvalidInput`: more calls than can be read at once.
/// * `StoreUnavailable`, `Corrupt`: the ledger could not answer.
pub fn import(source: Source, path: &Path, store: &str, config: Arc<Config>) -> Result<Imported> {
    if store.starts_with("memory:") {
        return Err(Error::new(ErrorKind::Unsupported, "logs are imported into a file; use `sqlite:PATH`"));
    }
    let mut found = Found::default();
    for file in files(path, source.endings())? {
        found.enter(&file);
        match source {
            Source::ClaudeCode => claude_code::read(&file, &mut found)?,
            Source::Codex => codex::read(&file, &mut found)?,
            Source::Litellm => litellm::read(&file, &mut found)?,
            Source::Csv => table::read(&file, &mut found)?,
        }
    }
    // The clock shows each call's own time, which is when its price is looked up and, in a ledger
    // that is not later, what its entries are dated as.
    let first = found.calls.iter().map(|call| call.at).min().unwrap_or(0);
    let clock = ManualClock::at(first);
    // Nor do the options of a kind, which are for tasks to come, bind those of the past.
    let config = Arc::new(Config { kinds: Arc::default(), ..Config::clone(&config) });
    let ledger = Ledger::open_with_clock(store, config, Clock::Manual(clock.clone()))?;
    if !ledger.budgets()?.is_empty() {
        let message = "the ledger has budgets that imported calls would count against; use one of their own";
        return Err(Error::conflict(message));
    }
    let imported = write(&ledger, &clock, source, found);
    ledger.close()?;
    imported
}

fn write(ledger: &Ledger, clock: &ManualClock, source: Source, mut found: Found) -> Result<Imported> {
    let mut imported = std::mem::take(&mut found.counts);
    found.calls.sort_by_key(|call| call.at);
    let ids: Vec<Id> = found.calls.iter().map(|call| ledger.imported_call(source, &call.id)).collect();
    let (known, last_at) = ledger.read(|tx| {
        let known = ids.iter().map(|id| Ok(tx.call(id)?.map(|row| row.correctable.then_some(row.used))));
        Ok((known.collect::<Result<Vec<_>>>()?, last_entry(tx)?))
    })?;
    let mut left = vec![0_u32; found.sessions.len()];
    for (call, known) in found.calls.iter().zip(&known) {
        left[call.session as usize] += u32::from(known.is_none());
    }
    let mut open: Vec<Option<Task>> = vec![None; found.sessions.len()];
    for ((call, id), known) in found.calls.iter().zip(ids).zip(known) {
        clock.set(call.at);
        if let Some(estimate) = known {
            match estimate.map_or(Ok(None), |before| correct(ledger, call, id, &before))? {
                Some(more) => {
                    imported.corrected_calls += 1;
                    imported.spent = imported.spent.checked_add(more).unwrap_or(imported.spent);
                }
                None => imported.known_calls += 1,
            }
            continue;
        }
        let at = call.session as usize;
        let task = match open[at].take() {
            Some(task) => task,
            None => ledger.open_task(found.sessions[at].options(source)?.observe())?,
        };
        let settled = settle(&task, call, id)?;
        imported.calls += 1;
        imported.unpriced_calls += u64::from(settled.is_none());
        imported.redated_calls += u64::from(call.at < last_at);
        let spent = settled.and_then(|usd| imported.spent.checked_add(usd));
        imported.spent = spent.unwrap_or(imported.spent);
        left[at] -= 1;
        if left[at] == 0 {
            task.end(Attempt::Succeeded, None)?;
        } else {
            open[at] = Some(task);
        }
    }
    Ok(imported)
}

/// Ends an estimate by what its message used in the end, or by the same if that is all, once it does not
/// stream any more. What it cost more, if it used more.
fn correct(ledger: &Ledger, call: &found::Logged, id: Id, before: &Amounts) -> Result<Option<Money>> {
    // The one correction there is waits for the log to go on.
    if call.is_open {
        return Ok(None);
    }
    let usage = call.usage();
    let tokens = i64::try_from(usage.total_tokens()).unwrap_or(i64::MAX);
    let is_more = tokens > before.0[Unit::Tokens as usize];
    match ledger.resolve(id, Some(&call.told), "import") {
        Ok(charge) => Ok(charge.checked_add(before.negated().usd()).filter(|_| is_more)),
        Err(error) if error.kind() == ErrorKind::Unpriced => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a call cost; nothing when its model has no known price.
fn settle(task: &Task, call: &found::Logged, id: Id) -> Result<Option<Money>> {
    let (config, usage) = (task.ledger().config(), &call.usage());
    let price = config.prices.find(call.provider.as_deref(), &call.model, call.at);
    let of_capacity = price.as_ref().is_ok_and(|price| &*price.provider == "anthropic");
    let tier = ServiceTier::Standard.told(of_capacity, call.told.service_tier.as_deref());
    let charge = price.and_then(|price| {
        let price = if call.told.region.is_some() { Arc::new(price.in_region()?) } else { price };
        price.charge_served(usage, tier)
    });
    let charge = charge.ok();
    let mut request = Request::model(&call.model)
        .input_tokens(usage.input_tokens)
        .max_output_tokens(usage.output_tokens.max(1))
        .known_as(id);
    if let Some(provider) = &call.provider {
        request = request.provider(provider);
    }
    if let Some(charge) = &charge {
        request = request.max_usd(charge.amount);
    }
    let reserved = task.reserve(&request)?;
    let settled =
        reserved.settle_as(usage, Some(&call.told), tier, if call.is_open { flag::ESTIMATED } else { 0 })?;
    Ok(charge.is_some().then_some(settled.charge))
}

impl TaskOptions {
    /// As far as the text fits: logs have names of any length.
    fn tag_of_log(self, key: &str, value: &str) -> Result<Self> {
        match found::fitting(value) {
            Some(value) => self.tag(key, &value),
            None => Ok(self),
        }
    }
}

impl Ledger {
    /// The same record is the same call, whatever task or file it is found in.
    fn imported_call(&self, source: Source, id: &str) -> Id {
        self.named_call(0, 0, &format!("{}\0{id}", source.name()))
    }
}

/// When the last entry was written.
fn last_entry(tx: &mut dyn Tx) -> Result<Millis> {
    let mut last = Millis::MIN;
    tx.entries(Filter { newest: Some(1), ..Filter::default() }, &mut |entry| {
        last = entry.at_ms;
        true
    })?;
    Ok(last)
}
