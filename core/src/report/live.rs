//! What is running now, and how fast does it spend?
//!
//! Reading costs the same whatever the size of the ledger: the tasks that are open, found by an index,
//! and the newest entries. Rates are of calls reserved in the last minute, or in the shorter time the
//! newest entries go back.
//!
//! ```
//! use outlay::{Ledger, Limit, Request, Usage};
//!
//! let ledger = Ledger::in_memory();
//! let task = ledger.task("refund", [Limit::usd("0.50")?])?;
//! let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
//! call.settle(&Usage::tokens(1_000, 500))?;
//!
//! let live = ledger.live()?;
//! assert_eq!((live.tasks[0].label.as_str(), live.tasks[0].calls), ("refund", 1));
//! assert_eq!(live.tasks[0].tokens, 1_500);
//! # Ok::<(), outlay::Error>(())
//! ```

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use super::{
    attribution::Attribution,
    names::Names,
    standing::{TaskState, task_state},
};
use crate::{
    error::Result,
    ledger::{Halt, halt::halt_of, open::DEPTH_MAX, store::Filter},
    run::Ledger,
    value::Millis,
};

/// How far back rates look.
const WINDOW_MS: Millis = 60_000;
/// The most entries that rates are made of.
const ENTRIES_MAX: u64 = 20_000;

/// A task with an open attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// How it stands: what it spent, of which limits.
    pub state: TaskState,
    /// The id the caller gave it, else its name.
    pub label: String,
    /// Calls of a model reserved in the window, of tasks inside it too.
    pub calls: u64,
    /// Tokens they used as far as they are settled, input and output.
    pub tokens: u64,
    /// The halt it lies under.
    pub halt: Option<Halt>,
}

/// What is running.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// The time of the ledger.
    pub at: Millis,
    /// How long the window is that calls and tokens are counted in; never zero.
    pub window_ms: Millis,
    /// The newest first, at most [`Live::TASKS_MAX`].
    pub tasks: Vec<Running>,
    /// How many more are open.
    pub more: usize,
}

impl Live {
    /// The most tasks that are listed.
    pub const TASKS_MAX: usize = 200;
}

impl Ledger {
    /// Tells which tasks are open, what they spent and how fast they go.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    ///
    /// ```
    /// use outlay::Ledger;
    ///
    /// assert!(Ledger::in_memory().live()?.tasks.is_empty());
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn live(&self) -> Result<Live> {
        self.read(|tx| {
            let now = tx.now()?;
            let mut rows = Vec::new();
            let own = tx.owner();
            let others = tx.owners()?.into_iter().map(|owner| owner.no).filter(|no| *no != own);
            for owner in others.chain([own]) {
                rows.extend(tx.tasks_of(owner)?);
            }
            rows.sort_by_key(|row| Reverse(row.no));
            let more = rows.len().saturating_sub(Live::TASKS_MAX);
            rows.truncate(Live::TASKS_MAX);
            let newest = Filter { newest: Some(ENTRIES_MAX), ..Filter::default() };
            let mut first = now;
            tx.entries(newest, &mut |entry| {
                first = entry.at_ms;
                false
            })?;
            let window_ms = now.saturating_sub(first).clamp(1_000, WINDOW_MS);
            let mut names = Names::default();
            let mut fold = Attribution::default();
            fold.read(tx, Filter { since: Some(now - window_ms), ..newest })?;
            let mut rates: FxHashMap<u32, (u64, u64)> = FxHashMap::default();
            for (place, figures) in &fold.places {
                let mut task = place.task;
                for _ in 0..=DEPTH_MAX {
                    let (calls, tokens) = rates.entry(task).or_default();
                    *calls += figures.calls();
                    *tokens += figures.tokens.input.saturating_add(figures.tokens.output);
                    task = names.parent(tx, task)?;
                    if task == 0 {
                        break;
                    }
                }
            }
            let mut tasks = Vec::with_capacity(rows.len());
            for row in rows {
                let label = names.task(tx, row.no)?.0.unwrap_or_default();
                let (calls, tokens) = rates.get(&row.no).copied().unwrap_or_default();
                let state = task_state(tx, &mut names, &row)?;
                let halt = halt_of(tx, row.no)?.map(|halt| (*halt).clone());
                tasks.push(Running { state, label, calls, tokens, halt });
            }
            Ok(Live { at: now, window_ms, tasks, more })
        })
    }
}
