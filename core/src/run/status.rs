//! What is left for a task, in words an agent can plan by?

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU8, Ordering},
};

use serde_json::Value;

use super::{model::Asked, task::Task, watch::is_allowed};
use crate::{
    error::Result,
    ledger::held,
    meter::{Ability, Api, Request, newest},
    policy::{Unit, View, limit::show_time},
};

/// How much of a limit a model was last told to be used, in per cent.
#[derive(Debug, Default)]
pub(super) struct Told(AtomicU8);

impl Told {
    pub fn reach(&self, share: u8) {
        self.0.fetch_max(share, Ordering::Relaxed);
    }
}

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

impl Task {
    /// Puts what is left behind the last message of a request, if another of these shares of a limit is
    /// used; the member of the body that was changed, and the share, which is told once that is sent.
    pub(super) fn tell_budget(
        &self,
        api: Api,
        body: &mut Value,
        shares: &[u8],
    ) -> Result<Option<(&'static str, u8)>> {
        let told = self.told().0.load(Ordering::Relaxed);
        if shares.iter().all(|share| *share <= told) || self.binds_thinking(api, body)? {
            return Ok(None);
        }
        let status = match self.status() {
            Err(error) if is_allowed(&*self.ledger().current()?, &error) => return Ok(None),
            status => status?,
        };
        let used = status.used_percent.unwrap_or(0);
        let reached = shares.iter().copied().filter(|share| *share <= used).max().unwrap_or(0);
        if reached <= told {
            return Ok(None);
        }
        let line = format!("[Budget: {}. Plan the rest of the work within what is left.]", status.text);
        Ok(newest::put(api, body, &line, None).map(|member| (member, reached)))
    }

    /// May the model hold its thinking against all that was said before? What was put into one request
    /// and is gone from the next would make that invalid. Claude since 5.1 does; it is known not to only
    /// of those that take a budget of thinking, or no system text between messages.
    fn binds_thinking(&self, api: Api, body: &Value) -> Result<bool> {
        if api.spoken() != Api::AnthropicMessages {
            return Ok(false);
        }
        let ledger = self.ledger().current()?;
        let model = ledger.model(Asked::plain(Request::model(body)?), ledger.now())?;
        let known = model.price().map(|price| price.abilities).unwrap_or_default();
        let adapts = known.has(Ability::AdaptiveThinking) && !known.has(Ability::LaterSystem);
        Ok(!adapts && !known.has(Ability::ThinkingBudget))
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
