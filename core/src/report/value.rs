//! What did the money buy?
//!
//! Who ends a run may say what it was worth, in units of their own: tickets, points, USD. A run is
//! an attempt at a task that lies in no other; what it was worth is shared by the agents and models
//! that worked in it, in proportion to what they spent.
//!
//! ```
//! use outlay::{Ledger, Request, TaskOptions, Usage};
//!
//! let ledger = Ledger::in_memory();
//! let task = ledger.open_task(TaskOptions::new("refund"))?;
//! let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
//! call.settle(&Usage::tokens(1_000, 500))?; // 0.0075 USD
//! task.succeed("3")?;
//!
//! let report = ledger.value(None)?;
//! assert_eq!(report.totals.per_usd(), Some(400.0));
//! # Ok::<(), outlay::Error>(())
//! ```

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
    fmt,
};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    attempts::{Attempts, Key, sum},
    attribution::{Attribution, Figures, Place},
    names::Names,
    since::Since,
    text::{Table, count, left_out},
};
use crate::{
    error::Result,
    ledger::store::{Filter, Tx},
    run::Ledger,
    value::{Id, Millis, Money},
};

/// What was spent, and what it was worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worth {
    /// Billionths of the caller's unit.
    pub value_nanos: i64,
    /// What was settled.
    pub usd: Money,
    /// The tokens of it, input and output.
    pub tokens: i64,
}

impl Worth {
    /// Value in exact decimals.
    pub fn value(&self) -> String {
        Money::from_nanos(self.value_nanos).decimal()
    }

    /// Value for each USD; nothing where nothing was spent.
    pub fn per_usd(&self) -> Option<f64> {
        (self.usd > Money::ZERO).then(|| self.value_nanos as f64 / self.usd.nanos() as f64)
    }

    /// Value for each million tokens; nothing where none was used.
    pub fn per_million_tokens(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.value_nanos as f64 / 1_000.0 / self.tokens as f64)
    }

    fn add(&mut self, other: &Self) -> Result<()> {
        self.value_nanos = sum(self.value_nanos, other.value_nanos)?;
        self.usd = Money::from_nanos(sum(self.usd.nanos(), other.usd.nanos())?);
        self.tokens = sum(self.tokens, other.tokens)?;
        Ok(())
    }

    /// What was worth less for its money comes first; of what was worth the same, the dearer.
    fn poorer_first(&self, other: &Self) -> Ordering {
        let product =
            |value: &Self, spent: &Self| i128::from(value.value_nanos) * i128::from(spent.usd.nanos());
        product(self, other).cmp(&product(other, self)).then_with(|| other.usd.cmp(&self.usd))
    }
}

/// What the rows of one group are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueBy {
    /// The kinds of the tasks that lie in no other; see [`By::Kind`](super::By::Kind).
    Kind,
    /// The values of the tag `agent`.
    Agent,
    /// The models that were asked for.
    Model,
}

impl ValueBy {
    const ALL: [Self; 3] = [Self::Kind, Self::Agent, Self::Model];

    /// The word reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Agent => "agent",
            Self::Model => "model",
        }
    }
}

/// What one kind of task, agent or model was worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueRow {
    /// What it is.
    pub by: ValueBy,
    /// Which one; `erased` where it was forgotten, nothing where there is none.
    pub key: Option<String>,
    /// Its figures.
    pub worth: Worth,
}

/// What one run was worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunWorth {
    /// The id the caller gave the task, else its name.
    pub task: Option<String>,
    /// The task's id in the ledger.
    pub task_id: Option<Id>,
    /// The number of the attempt.
    pub attempt: u32,
    /// Its figures.
    pub worth: Worth,
}

/// What the money bought, over runs of those kinds of tasks of which one said what it was worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueReport {
    /// From when on calls are in it.
    pub since: Option<Millis>,
    /// By kind, by agent and by model; of each what was worth the least for its money first. The rows of
    /// each add up to the totals.
    pub rows: Vec<ValueRow>,
    /// The runs that were worth the least for their money, the dearer first, at most
    /// [`ValueReport::RUNS_MAX`].
    pub runs: Vec<RunWorth>,
    /// All runs together.
    pub totals: Worth,
    /// Entries a ledger in memory keeps no longer: calls reserved by them are not in the report.
    pub dropped_entries: u64,
}

impl ValueReport {
    /// The most runs that are listed.
    pub const RUNS_MAX: usize = 20;
}

impl Ledger {
    /// Tells what the money bought, for those who say it with [`succeed`](crate::Task::succeed).
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    pub fn value(&self, since: Option<Since>) -> Result<ValueReport> {
        self.read(|tx| {
            let now = tx.now()?;
            let since = since.map(|since| since.at(now));
            let mut names = Names::default();
            let runs = Runs::read(tx, &mut names, Filter { since, ..Filter::default() })?;
            let (rows, totals) = runs.rows(tx, &mut names)?;
            let runs = runs.listed(tx, &mut names)?;
            Ok(ValueReport { since, rows, runs, totals, dropped_entries: tx.dropped() })
        })
    }
}

/// A run: its kind, what it was worth, and where in it how much was spent.
#[derive(Debug, Default)]
struct Run {
    kind: u32,
    worth: Worth,
    parts: Vec<(Place, Worth)>,
}

struct Runs(Vec<(Key, Run)>);

impl Runs {
    fn read(tx: &mut dyn Tx, names: &mut Names, filter: Filter) -> Result<Self> {
        let attempts = Attempts::read(tx, names)?;
        let mut fold = Attribution::default();
        fold.read(tx, filter)?;
        let mut runs: FxHashMap<Key, Run> = FxHashMap::default();
        for (place, figures) in fold.places {
            let root = attempts.root((place.task, place.attempt));
            let run = runs.entry(root).or_default();
            let spent = spent(&figures);
            run.worth.add(&spent)?;
            run.parts.push((place, spent));
        }
        for (key, value) in attempts.values() {
            if let Some(run) = runs.get_mut(&attempts.root(key)) {
                run.worth.value_nanos = sum(run.worth.value_nanos, value)?;
            }
        }
        let mut valued = FxHashSet::default();
        for (key, run) in &mut runs {
            run.kind = names.kind(tx, key.0)?;
            if run.worth.value_nanos != 0 {
                valued.insert(run.kind);
            }
        }
        let mut runs: Vec<_> = runs.into_iter().filter(|(_, run)| valued.contains(&run.kind)).collect();
        runs.sort_unstable_by_key(|(key, _)| *key);
        Ok(Self(runs))
    }

    fn rows(&self, tx: &mut dyn Tx, names: &mut Names) -> Result<(Vec<ValueRow>, Worth)> {
        let mut groups = ValueBy::ALL.map(|_| BTreeMap::<u32, Worth>::new());
        let mut totals = Worth::default();
        for (_, run) in &self.0 {
            totals.add(&run.worth)?;
            for (place, worth) in run.shared() {
                let keys = [run.kind, names.tag(tx, place.task, "agent")?, place.model];
                for (group, key) in groups.iter_mut().zip(keys) {
                    group.entry(key).or_default().add(&worth)?;
                }
            }
        }
        let mut rows = Vec::new();
        for (by, group) in ValueBy::ALL.into_iter().zip(groups) {
            let from = rows.len();
            for (no, worth) in group {
                rows.push(ValueRow { by, key: names.text(tx, no)?, worth });
            }
            if let Some(own) = rows.get_mut(from..) {
                own.sort_by(|a, b| a.worth.poorer_first(&b.worth).then_with(|| a.key.cmp(&b.key)));
            }
        }
        Ok((rows, totals))
    }

    fn listed(&self, tx: &mut dyn Tx, names: &mut Names) -> Result<Vec<RunWorth>> {
        let mut runs: Vec<_> = self.0.iter().filter(|(_, run)| run.worth.usd > Money::ZERO).collect();
        runs.sort_by(|(a, one), (b, other)| one.worth.poorer_first(&other.worth).then_with(|| a.cmp(b)));
        let mut named = |(key, run): &(Key, Run)| {
            let (task, task_id) = names.task(tx, key.0)?;
            Ok(RunWorth { task, task_id, attempt: key.1, worth: run.worth })
        };
        runs.into_iter().take(ValueReport::RUNS_MAX).map(&mut named).collect()
    }
}

fn spent(figures: &Figures) -> Worth {
    let settled = figures.balance.settled;
    Worth { value_nanos: 0, usd: settled.usd(), tokens: settled.0[1] }
}

impl Run {
    /// Its parts with their shares of what it was worth, which add up to it.
    fn shared(&self) -> Vec<(Place, Worth)> {
        let mut parts = self.parts.clone();
        parts.sort_by_key(|(place, worth)| (Reverse(worth.usd), *place));
        let whole = i128::from(self.worth.usd.nanos());
        let (mut spent, mut given) = (0_i128, 0_i128);
        for (_, worth) in &mut parts {
            spent += i128::from(worth.usd.nanos());
            // All of it to the first where nothing was spent.
            let value = i128::from(self.worth.value_nanos);
            let until = (value * spent).checked_div(whole).unwrap_or(value);
            worth.value_nanos = (until - given) as i64;
            given = until;
        }
        parts
    }
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}

impl fmt::Display for ValueReport {
    /// Tables of plain text, amounts in USD.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = ["value", "spent", "tokens", "value/USD", "value/million tokens"];
        let cells = |worth: &Worth| {
            let tokens = count(u64::try_from(worth.tokens).unwrap_or(0));
            let ratios = [worth.per_usd(), worth.per_million_tokens()].map(ratio);
            [worth.value(), worth.usd.decimal(), tokens].into_iter().chain(ratios)
        };
        let mut tables = Vec::new();
        for by in ValueBy::ALL {
            let mut table = Table::new([by.name()].into_iter().chain(figures)).left(1);
            for row in self.rows.iter().filter(|row| row.by == by) {
                let key = row.key.clone().unwrap_or_else(|| "(none)".to_owned());
                table.row([key].into_iter().chain(cells(&row.worth)));
            }
            tables.push(table.to_string());
        }
        let mut table = Table::new(["run"].into_iter().chain(figures)).left(1);
        for RunWorth { task, attempt, worth, .. } in &self.runs {
            let name = format!("{} #{attempt}", task.as_deref().unwrap_or("-"));
            table.row([name].into_iter().chain(cells(worth)));
        }
        tables.push(table.to_string());
        f.write_str(&tables.join("\n\n"))?;
        left_out(self.dropped_entries).map_or(Ok(()), |note| write!(f, "\n{note}"))
    }
}
