//! What is left for a task, in words an agent can plan by?

use std::fmt::Write as _;

use super::task::Task;
use crate::{
    error::Result,
    ledger::held,
    policy::{Unit, View, limit::show_time},
};

/// How a task stands against its hard limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Of each limited unit what is used and left, under the limit with the least left, and the
    /// earliest deadline; empty without hard limits.
    pub text: String,
    /// How much of the limit is used that is the most used up, in per cent; nothing without one.
    pub used_percent: Option<u8>,
}

impl Task {
    /// How it stands against all hard limits it falls under, shared ones too. What open calls hold
    /// counts as used, as does what is put by for the last call, which is told.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer.
    ///
    /// ```
    /// use outlay::{Ledger, Limit, Unit};
    ///
    /// let limits = [Limit::usd("0.50")?, Limit::new(Unit::ToolCalls, 4)?];
    /// let task = Ledger::in_memory().task("refund", limits)?;
    /// task.tool_call("search")?;
    /// let status = task.status()?;
    /// assert_eq!(status.text, "0.00 of 0.50 usd used, 0.50 left; 1 of 4 tool calls used, 3 left");
    /// assert_eq!(status.used_percent, Some(25));
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn status(&self) -> Result<Status> {
        let (no, kept) = (self.no(), self.last().cloned());
        self.ledger().current()?.act(move |tx| {
            let balances = held::balances(tx, no)?;
            let views: Vec<_> = balances.iter().map(|(account, balance)| account.view(*balance)).collect();
            let mut status = of(&views);
            if let Some(usd) = kept.as_ref().map(|last| last.kept(tx)).transpose()?.flatten() {
                let _ = write!(status.text, "; {} usd of it kept for the last call", usd.decimal());
            }
            Ok(status)
        })
    }
}

fn of(views: &[View<'_>]) -> Status {
    let mut status = Status::default();
    for unit in Unit::ALL {
        let limits = views.iter().filter_map(|view| {
            let limit = view.ceiling.hard[unit as usize]?;
            Some((view.available(unit)?.clamp(0, limit.max(0)), limit))
        });
        let limits: Vec<(i64, i64)> = limits.collect();
        let Some((left, limit)) = limits.iter().min().copied() else { continue };
        let separator = if status.text.is_empty() { "" } else { "; " };
        let [used, whole, rest] = [limit - left, limit, left].map(|amount| unit.show(amount));
        let unit = unit.name().replace('_', " ");
        let _ = write!(status.text, "{separator}{used} of {whole} {unit} used, {rest} left");
        let most = limits.iter().map(|(left, limit)| percent(limit - left, *limit)).max();
        status.used_percent = status.used_percent.max(most);
    }
    let times = views.iter().filter_map(|view| view.deadline);
    let (hard, soft) = (times.clone().filter_map(|times| times.hard), times.filter_map(|times| times.soft));
    for (said, time) in [("to be done by", soft.min()), ("calls until", hard.min())] {
        let Some(time) = time else { continue };
        let separator = if status.text.is_empty() { "" } else { "; " };
        let _ = write!(status.text, "{separator}{said} {}", show_time(time));
    }
    status
}

/// Rounded down: a limit is not told to be reached before it is.
fn percent(used: i64, limit: i64) -> u8 {
    let percent = (i128::from(used) * 100).checked_div(i128::from(limit)).unwrap_or(100);
    u8::try_from(percent).unwrap_or(100)
}
