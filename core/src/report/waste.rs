//! What was paid for nothing, and what would have cost less?
//!
//! Each nano-USD that was settled is in one kind at most. In this order a call is asked: was its
//! attempt lost, and had the breaker spoken before, was the same request answered before, did its
//! stream break, was its prompt not read from the cache, was it under no task? The first kind takes
//! what it can prove; what is left of the call goes on to the next.
//!
//! ```
//! use outlay::{Attempt, Ledger, Request, TaskOptions, Usage, report::WasteKind};
//!
//! let ledger = Ledger::in_memory();
//! for (end, output) in [(Attempt::Failed, 500), (Attempt::Succeeded, 100)] {
//!     let task = ledger.open_task(TaskOptions::new("refund").id("refund-4711"))?;
//!     let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
//!     call.settle(&Usage::tokens(1_000, output))?;
//!     task.end(end, None)?;
//! }
//! let waste = ledger.waste(None)?;
//! assert_eq!(waste.kinds[0].kind, WasteKind::Failed);
//! assert_eq!(waste.kinds[0].usd.to_string(), "0.0075 USD");
//! assert_eq!(waste.kinds[0].redone, waste.kinds[0].usd); // the second attempt succeeded
//! # Ok::<(), outlay::Error>(())
//! ```

use std::fmt;

use super::{
    names::Names,
    since::Since,
    text::{Table, count, left_out, shown},
    wasted::{Fold, Item},
};
use crate::{
    error::Result,
    ledger::store::{Filter, Tx},
    run::Ledger,
    value::{Id, Millis, Money},
};

/// Kinds of waste, in the order a call is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WasteKind {
    /// Calls of attempts that bought nothing, made after the first verdict of the breaker.
    Loops,
    /// Calls of attempts that failed, and of all inside them.
    Failed,
    /// Calls of attempts that a verdict ended.
    Stopped,
    /// Calls of attempts whose process died.
    Lost,
    /// A request whose answer the attempt had already been given.
    Repeated,
    /// A stream that was left before the provider said what it used.
    Broken,
    /// Input that was the same as in the call before, and paid for as new.
    CacheMiss,
    /// What no other kind has of calls under no task.
    Untasked,
}

impl WasteKind {
    /// Every kind, the first to be asked first.
    pub const ALL: [Self; 8] = [
        Self::Loops,
        Self::Failed,
        Self::Stopped,
        Self::Lost,
        Self::Repeated,
        Self::Broken,
        Self::CacheMiss,
        Self::Untasked,
    ];

    /// The word reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loops => "loops",
            Self::Failed => "failed attempts",
            Self::Stopped => "stopped attempts",
            Self::Lost => "lost attempts",
            Self::Repeated => "repeated requests",
            Self::Broken => "broken streams",
            Self::CacheMiss => "prompt-cache misses",
            Self::Untasked => "outside any task",
        }
    }

    /// What to do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Loops => "see what repeated in `outlay show`; stop sooner, by the breaker's thresholds",
            Self::Failed => {
                "see why in `outlay show`; keep what is done and resume (`outlay plan` tells if it pays)"
            }
            Self::Stopped => "raise the limit, or stop sooner: a run stopped near its end has bought nothing",
            Self::Lost => "find what killed the process; keep what is done and resume",
            Self::Repeated => "keep the answer: the attempt had it already",
            Self::Broken => "read streams to their end, or ask for fewer tokens",
            Self::CacheMiss => {
                "set a cache breakpoint before the message that changes, or move what changes behind it"
            }
            Self::Untasked => "open a task round these calls: no limit holds them",
        }
    }
}

/// One thing behind a kind of waste: an attempt, or a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WasteItem {
    /// How much of it.
    pub usd: Money,
    /// The id the caller gave the task, else its name.
    pub task: Option<String>,
    /// The task's id in the ledger.
    pub task_id: Option<Id>,
    /// The number of the attempt.
    pub attempt: u32,
    /// The call; nothing where it is the whole attempt.
    pub call: Option<Id>,
    /// Input tokens that might have been read from the cache and were not, at most.
    pub missed_tokens: u64,
    /// Where the request differs from the call before, of a prompt-cache miss whose messages were read:
    /// the index of the message from 0, tools and system text being messages too, and bytes into it, by
    /// whole blocks of 256; each part of a message begins a block.
    pub differs_at: Option<(u32, u64)>,
}

/// One kind of waste.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waste {
    /// What kind.
    pub kind: WasteKind,
    /// How much was wasted.
    pub usd: Money,
    /// Of it, in tasks a later attempt at which succeeded.
    pub redone: Money,
    /// How many calls of a model.
    pub calls: u64,
    /// The dearest attempts or calls of it, the first one first, at most [`WasteReport::ITEMS_MAX`].
    pub items: Vec<WasteItem>,
}

/// How much context the calls carried. Not waste: entries do not tell what of it was needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextLoad {
    /// Input tokens of settled calls whose requests were read.
    pub input_tokens: u64,
    /// Of them definitions of tools, as counted here.
    pub tool_tokens: u64,
    /// What these definitions cost, by the unit prices on record.
    pub tool_usd: Money,
    /// By how many input tokens a call is larger than the one before it in its attempt, on average.
    pub growth_per_call: i64,
}

impl ContextLoad {
    /// What part of the input defines tools, per mille.
    pub fn tools_per_mille(&self) -> u32 {
        let (part, whole) = (u128::from(self.tool_tokens), u128::from(self.input_tokens));
        u32::try_from((part * 1_000).checked_div(whole).unwrap_or(0)).unwrap_or(u32::MAX)
    }
}

/// What was paid for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WasteReport {
    /// From when on calls are in it.
    pub since: Option<Millis>,
    /// The dearest first; no nano-USD is in two.
    pub kinds: Vec<Waste>,
    /// All that was settled, wasted or not.
    pub settled: Money,
    /// How much context the calls carried.
    pub context: ContextLoad,
    /// Entries a ledger in memory keeps no longer: calls reserved by them are not in the report.
    pub dropped_entries: u64,
}

impl WasteReport {
    /// The most attempts or calls listed of a kind.
    pub const ITEMS_MAX: usize = 20;

    /// All kinds together.
    pub fn wasted(&self) -> Money {
        Money::from_nanos(self.kinds.iter().map(|waste| waste.usd.nanos()).sum())
    }
}

impl Ledger {
    /// Tells what was paid for nothing, by kind, with the attempts and calls behind it.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    pub fn waste(&self, since: Option<Since>) -> Result<WasteReport> {
        self.read(|tx| {
            let now = tx.now()?;
            wasted(tx, since.map(|since| since.at(now)))
        })
    }
}

/// What was paid for nothing from this time on.
pub(super) fn wasted(tx: &mut dyn Tx, since: Option<Millis>) -> Result<WasteReport> {
    let mut names = Names::default();
    let fold = Fold::read(tx, &mut names, Filter { since, ..Filter::default() })?;
    let mut kinds = Vec::new();
    for (kind, sum) in WasteKind::ALL.into_iter().zip(&fold.kinds) {
        if sum.usd > 0 {
            let items = sum.items.iter().map(|item| named(tx, &mut names, item));
            let items = items.collect::<Result<_>>()?;
            let [usd, redone] = [sum.usd, sum.redone].map(Money::from_nanos);
            kinds.push(Waste { kind, usd, redone, calls: sum.calls, items });
        }
    }
    kinds.sort_by_key(|waste| std::cmp::Reverse(waste.usd));
    let (settled, context) = (Money::from_nanos(fold.settled), fold.context);
    Ok(WasteReport { since, kinds, settled, context, dropped_entries: tx.dropped() })
}

fn named(tx: &mut dyn Tx, names: &mut Names, item: &Item) -> Result<WasteItem> {
    let (task, task_id) = names.task(tx, item.key.0)?;
    Ok(WasteItem {
        usd: Money::from_nanos(item.usd),
        task,
        task_id,
        attempt: item.key.1,
        call: item.call,
        missed_tokens: item.missed,
        differs_at: item.differs_at,
    })
}

impl fmt::Display for WasteReport {
    /// Tables of plain text, amounts in USD.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: Money| {
            let (part, whole) = (i128::from(part.nanos()), i128::from(self.settled.nanos()));
            let per_mille = (part * 1_000).checked_div(whole).unwrap_or(0);
            format!("{}.{} %", per_mille / 10, per_mille % 10)
        };
        let mut table = Table::new(["waste", "calls", "usd", "redone", "share"]).left(1);
        for Waste { kind, usd, redone, calls, .. } in &self.kinds {
            let cells = [kind.name().to_owned(), count(*calls), usd.decimal(), redone.decimal(), share(*usd)];
            table.row(cells);
        }
        let wasted = self.wasted();
        table.row(["all of it", "", &wasted.decimal(), "", &share(wasted)]);
        writeln!(f, "{table}\nof {} settled", self.settled)?;
        for Waste { kind, items, .. } in &self.kinds {
            write!(f, "\n{}: {}", kind.name(), kind.advice())?;
            for item in items.iter().take(SHOWN_MAX) {
                write!(f, "\n  {item}")?;
            }
            writeln!(f)?;
        }
        let ContextLoad { tool_tokens, tool_usd, growth_per_call, .. } = &self.context;
        let share = self.context.tools_per_mille();
        if self.context.input_tokens > 0 {
            write!(f, "\ncontext: a call has {growth_per_call} input tokens more than the one before it")?;
        }
        if *tool_tokens > 0 {
            let share = format!("{}.{} %", share / 10, share % 10);
            write!(f, "; definitions of tools are {share} of the input and cost {tool_usd}")?;
        }
        left_out(self.dropped_entries).map_or(Ok(()), |note| write!(f, "\n{note}"))
    }
}

/// Items of each kind a person is shown; programs get them all.
const SHOWN_MAX: usize = 3;

impl fmt::Display for WasteItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = self.task.as_deref().unwrap_or("-");
        write!(f, "{} task {} #{}", self.usd, shown(task), self.attempt)?;
        if let Some(call) = self.call {
            write!(f, " call {call}")?;
        }
        if self.missed_tokens > 0 {
            write!(f, ": at most {} tokens missed", count(self.missed_tokens))?;
        }
        if let Some((message, bytes)) = self.differs_at {
            write!(f, ", differs at message {message} byte {bytes}")?;
        }
        Ok(())
    }
}
