//! Does the worst case of this call still fit?
//!
//! [`decide`] judges a call against every account it falls under, as one act: it fits under all
//! hard limits, or it is denied. It changes nothing; the ledger holds what it grants.

use std::fmt::Write as _;

use super::{
    deadline::Deadlines,
    limit::{Amounts, Ceiling, Unit, Window, show_time},
};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    value::{Millis, Money},
};

const PICO_PER_NANO: i128 = 1_000;

/// What an account has used, holds and cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// What was used.
    pub settled: Amounts,
    /// What open reservations hold.
    pub pending: Amounts,
    /// What reservations hold whose outcome nobody knows.
    pub in_doubt: Amounts,
}

impl Balance {
    /// Settled and in doubt together.
    pub fn spent(&self, unit: Unit) -> i64 {
        self.settled.get(unit).saturating_add(self.in_doubt.get(unit))
    }

    /// Field by field; nothing when a sum does not fit.
    #[inline]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        Some(Self {
            settled: self.settled.checked_add(&other.settled)?,
            pending: self.pending.checked_add(&other.pending)?,
            in_doubt: self.in_doubt.checked_add(&other.in_doubt)?,
        })
    }
}

/// One account as a decision sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Who it belongs to, as a message names it: ``task `refund` ``.
    pub label: &'a str,
    /// Its limits.
    pub ceiling: &'a Ceiling,
    /// Their window.
    pub window: &'a Window,
    /// The sum of all slots that count now.
    pub balance: Balance,
    /// From when on no call may start, or is late.
    pub deadline: Option<&'a Deadlines>,
}

impl View<'_> {
    /// What is left under a hard limit; nothing where there is none.
    pub fn available(&self, unit: Unit) -> Option<i64> {
        self.ceiling.hard[unit as usize].map(|limit| limit.saturating_sub(self.used(unit)))
    }

    fn used(&self, unit: Unit) -> i64 {
        self.balance.spent(unit).saturating_add(self.balance.pending.get(unit))
    }

    /// The denial of a call that comes after the deadline.
    fn late(&self, now: Millis) -> Option<Denial> {
        let deadline = self.deadline?.hard.filter(|deadline| *deadline <= now)?;
        Some(Denial {
            budget: self.label.to_owned(),
            unit: Unit::Usd,
            limit: 0,
            window: self.window.clone(),
            spent: 0,
            pending: 0,
            requested: 0,
            affordable_output_tokens: 0,
            contended: false,
            resets_at: None,
            deadline: Some(deadline),
        })
    }
}

/// How long the answer may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// This many tokens, as the caller asked.
    Exactly(u64),
    /// As many as fit, from `least` to `most`.
    Between {
        /// Fewer are not worth a call.
        least: u64,
        /// More are not wanted.
        most: u64,
    },
}

impl Output {
    /// The most tokens each answer may have.
    pub const fn most(self) -> u64 {
        match self {
            Self::Exactly(tokens) | Self::Between { most: tokens, .. } => tokens,
        }
    }
}

/// The worst case of a call, before the length of its answer is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The cost that does not depend on the answer, in pico-USD.
    pub fixed_pico: i128,
    /// The cost of one token of answer, in pico-USD.
    pub output_pico: i64,
    /// The upper bound of the input, in tokens.
    pub input_tokens: u64,
    /// How many answers are asked for.
    pub choices: u64,
    /// How long each answer may get.
    pub output: Output,
    /// Model calls, 0 or 1.
    pub llm_calls: i64,
    /// Tool calls, 0 or 1.
    pub tool_calls: i64,
}

impl Ask {
    /// A call of a tool: counted, not priced.
    pub const TOOL: Self = Self {
        fixed_pico: 0,
        output_pico: 0,
        input_tokens: 0,
        choices: 1,
        output: Output::Exactly(0),
        llm_calls: 0,
        tool_calls: 1,
    };

    /// What has to be held for answers of `output` tokens each; nothing when it does not fit 64 bits.
    pub fn amounts(&self, output: u64) -> Option<Amounts> {
        let tokens = u64::try_from(u128::from(output) * u128::from(self.choices)).ok()?;
        let pico = (i128::from(tokens) * i128::from(self.output_pico)).checked_add(self.fixed_pico)?;
        let nanos = Money::from_pico_up(pico)?.nanos();
        let tokens = i64::try_from(tokens.checked_add(self.input_tokens)?).ok()?;
        Some(Amounts([nanos, tokens, self.llm_calls, self.tool_calls]))
    }

    /// The longest answer that fits under every hard limit on money and tokens.
    fn affordable(&self, views: &[View<'_>]) -> u64 {
        let choices = i128::from(self.choices.max(1));
        let mut tokens = i128::from(i64::MAX);
        for view in views {
            if let Some(nanos) = view.available(Unit::Usd) {
                let left = (i128::from(nanos) * PICO_PER_NANO).saturating_sub(self.fixed_pico);
                let each = i128::from(self.output_pico).saturating_mul(choices);
                tokens = tokens.min(if left < 0 { -1 } else { left.checked_div(each).unwrap_or(tokens) });
            }
            if let Some(left) = view.available(Unit::Tokens) {
                let left = i128::from(left) - i128::from(self.input_tokens);
                tokens = tokens.min(if left < 0 { -1 } else { left / choices });
            }
        }
        u64::try_from(tokens).unwrap_or(0)
    }
}

/// What a call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What is to be held.
    pub amounts: Amounts,
    /// How long each answer may get, in tokens.
    pub max_output_tokens: u64,
    /// Does it pass a soft limit or deadline?
    pub over_soft: bool,
}

/// Why a call may not be made. It names one limit; there may be others.
#[derive(Clone, Debug, PartialEq)]
pub struct Denial {
    /// Whose limit it is, as in ``task `refund` ``.
    pub budget: String,
    /// What is limited.
    pub unit: Unit,
    /// How much of it is allowed.
    pub limit: i64,
    /// Over which window.
    pub window: Window,
    /// Settled and in doubt.
    pub spent: i64,
    /// Held by open reservations.
    pub pending: i64,
    /// What this call would have held.
    pub requested: i64,
    /// How long an answer would still fit, in tokens.
    pub affordable_output_tokens: u64,
    /// Would it fit if nothing were pending?
    pub contended: bool,
    /// When the window ends.
    pub resets_at: Option<Millis>,
    /// The deadline that has passed: then it is the limit, and unit and amounts say nothing.
    pub deadline: Option<Millis>,
}

/// Judges `ask` against every account it falls under.
///
/// # Errors
///
/// The [`Denial`] of one limit; one that only waiting cannot cure comes first.
pub fn decide(views: &[View<'_>], ask: &Ask, now: Millis) -> Result<Grant, Box<Denial>> {
    let chosen = match ask.output {
        Output::Exactly(tokens) => tokens,
        Output::Between { least, most } => most.min(ask.affordable(views)).max(least),
    };
    // What does not fit 64 bits fits under no limit, and no ledger could hold it.
    let amounts = ask.amounts(chosen).unwrap_or(Amounts([i64::MAX; 4]));
    let passes = passes(views, &amounts, now);
    if passes.hard
        && let Some(denial) = first_denial(views, ask, &amounts, now)
    {
        return Err(denial);
    }
    Ok(Grant { amounts, max_output_tokens: chosen, over_soft: passes.soft })
}

/// The same without refusing: what an observed call holds, and what would have been said.
pub fn observe(views: &[View<'_>], ask: &Ask, now: Millis) -> (Grant, Option<Box<Denial>>) {
    match decide(views, ask, now) {
        Ok(grant) => (grant, None),
        Err(denial) => {
            let chosen = ask.output.most();
            let amounts = ask.amounts(chosen).unwrap_or(Amounts::ZERO);
            let over_soft = passes(views, &amounts, now).soft;
            (Grant { amounts, max_output_tokens: chosen, over_soft }, Some(denial))
        }
    }
}

struct Passes {
    hard: bool,
    soft: bool,
}

/// Which kinds of limits these amounts would pass, without saying which one.
fn passes(views: &[View<'_>], amounts: &Amounts, now: Millis) -> Passes {
    let mut passes = Passes { hard: false, soft: false };
    for View { balance, ceiling, deadline, .. } in views {
        if let Some(deadline) = deadline {
            let is_past = |time: Option<Millis>| time.is_some_and(|time| time <= now);
            passes.hard |= is_past(deadline.hard);
            passes.soft |= is_past(deadline.soft);
        }
        for unit in 0..Unit::ALL.len() {
            let requested = amounts.0[unit];
            let parts = [balance.in_doubt.0[unit], balance.pending.0[unit], requested];
            let sum = parts.iter().try_fold(balance.settled.0[unit], |sum, part| sum.checked_add(*part));
            let after = sum.unwrap_or(i64::MAX);
            // A call that asks for none of a unit is not stopped by what others used of it.
            let over = |limit: Option<i64>| requested != 0 && limit.is_some_and(|limit| after > limit);
            passes.hard |= over(ceiling.hard[unit]);
            passes.soft |= over(ceiling.soft[unit]);
        }
    }
    passes
}

fn first_denial(views: &[View<'_>], ask: &Ask, amounts: &Amounts, now: Millis) -> Option<Box<Denial>> {
    if let Some(denial) = views.iter().find_map(|view| view.late(now)) {
        return Some(Box::new(denial));
    }
    let mut contended = None;
    for view in views {
        for unit in Unit::ALL {
            let Some(limit) = view.ceiling.hard[unit as usize] else { continue };
            let (requested, spent) = (amounts.get(unit), view.balance.spent(unit));
            let pending = view.balance.pending.get(unit);
            if requested == 0 || spent.saturating_add(pending).saturating_add(requested) <= limit {
                continue;
            }
            let denial = Box::new(Denial {
                budget: view.label.to_owned(),
                unit,
                limit,
                window: view.window.clone(),
                spent,
                pending,
                requested,
                affordable_output_tokens: ask.affordable(views),
                contended: spent.saturating_add(requested) <= limit,
                resets_at: view.window.leaves_at(view.window.oldest(now)),
                deadline: None,
            });
            if !denial.contended {
                return Some(denial);
            }
            contended = contended.or(Some(denial));
        }
    }
    contended
}

impl Denial {
    /// What was passed: the name of the unit, or `deadline`.
    pub const fn limit_name(&self) -> &'static str {
        if self.deadline.is_some() { "deadline" } else { self.unit.name() }
    }

    /// The denial as the error a caller gets.
    pub fn into_error(self) -> Error {
        if let Some(deadline) = self.deadline {
            return self.into_late(deadline);
        }
        let show = |amount| self.unit.show(amount);
        let unit = if self.unit == Unit::Usd { "USD".to_owned() } else { self.unit.name().replace('_', " ") };
        let mut message = format!("{} allows {} {unit}", self.budget, show(self.limit));
        match &self.window {
            Window::Life => {}
            Window::Retries => message.push_str(" for attempts after the first"),
            Window::Rolling(_) => {
                let window = self.window.to_string();
                let _ = write!(message, " in any {}", window.trim_start_matches("rolling:"));
            }
            window => {
                let _ = write!(message, " per {window}");
            }
        }
        let (spent, pending) = (show(self.spent), show(self.pending));
        let _ = write!(message, ": {spent} spent, {pending} pending, {} requested", show(self.requested));
        if let Some(at) = self.resets_at {
            let _ = write!(message, ", resets {}", show_time(at));
        }
        let amount = |amount| match self.unit {
            Unit::Usd => Field::Money(Money::from_nanos(amount)),
            _ => Field::Integer(amount),
        };
        let affordable = i64::try_from(self.affordable_output_tokens).unwrap_or(i64::MAX);
        Error::new(ErrorKind::BudgetExceeded, message)
            .with("budget", Field::Text(self.budget.clone()))
            .with("unit", Field::Text(self.unit.name().to_owned()))
            .with("limit", amount(self.limit))
            .with("spent", amount(self.spent))
            .with("pending", amount(self.pending))
            .with("requested", amount(self.requested))
            .with("affordable_output_tokens", Field::Integer(affordable))
            .with("contended", Field::Flag(self.contended))
            .with("window", Field::Text(self.window.to_string()))
            .with("resets_at", self.resets_at.map_or(Field::Absent, |at| Field::Text(show_time(at))))
    }

    fn into_late(self, deadline: Millis) -> Error {
        let time = show_time(deadline);
        Error::new(ErrorKind::BudgetExceeded, format!("{} had a deadline at {time}", self.budget))
            .with("budget", Field::Text(self.budget.clone()))
            .with("unit", Field::Text(self.limit_name().to_owned()))
            .with("limit", Field::Text(time))
            .with("spent", Field::Absent)
            .with("pending", Field::Absent)
            .with("requested", Field::Absent)
            .with("affordable_output_tokens", Field::Integer(0))
            .with("contended", Field::Flag(false))
            .with("window", Field::Text(self.window.to_string()))
            .with("resets_at", Field::Absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: Ask = Ask {
        fixed_pico: 10_000_000_000, // 0.01 USD
        output_pico: 10_000_000,    // 10 USD per million
        input_tokens: 1_000,
        choices: 1,
        output: Output::Exactly(4_000),
        llm_calls: 1,
        tool_calls: 0,
    };

    fn view(ceiling: &Ceiling, settled: i64, pending: i64) -> View<'_> {
        let balance = Balance {
            settled: Amounts([settled, 0, 0, 0]),
            pending: Amounts([pending, 0, 0, 0]),
            ..Balance::default()
        };
        View { label: "task `t`", ceiling, window: &Window::Life, balance, deadline: None }
    }

    fn usd(nanos: i64) -> Ceiling {
        Ceiling { hard: [Some(nanos), None, None, None], ..Ceiling::default() }
    }

    #[test]
    fn the_last_nano_fits_and_one_more_does_not() {
        let ceiling = usd(50_000_000);
        assert_eq!(decide(&[view(&ceiling, 0, 0)], &ASK, 0).unwrap().amounts.usd().nanos(), 50_000_000);
        let denial = decide(&[view(&ceiling, 1, 0)], &ASK, 0).unwrap_err();
        assert_eq!(
            (denial.requested, denial.contended, denial.affordable_output_tokens),
            (50_000_000, false, 3_999)
        );
        assert!(decide(&[view(&ceiling, 0, 1)], &ASK, 0).unwrap_err().contended);
    }

    #[test]
    fn an_open_length_is_what_fits_but_not_less_than_is_worth_a_call() {
        let ceiling = usd(50_000_000);
        let ask = Ask { output: Output::Between { least: 256, most: 8_000 }, ..ASK };
        assert_eq!(decide(&[view(&ceiling, 10_000_000, 0)], &ask, 0).unwrap().max_output_tokens, 3_000);
        let denial = decide(&[view(&ceiling, 38_000_000, 0)], &ask, 0).unwrap_err();
        assert_eq!((denial.requested, denial.affordable_output_tokens), (12_560_000, 200));
    }

    #[test]
    fn what_waiting_cannot_cure_is_named_first() {
        let (tight, wide) = (usd(50_000_000), usd(100_000_000));
        let denial = decide(&[view(&wide, 0, 60_000_000), view(&tight, 1, 0)], &ASK, 0).unwrap_err();
        assert!(!denial.contended && denial.limit == 50_000_000);
    }

    #[test]
    fn what_is_free_passes_a_spent_budget() {
        let ceiling = usd(0);
        assert!(decide(&[view(&ceiling, 5, 0)], &Ask::TOOL, 0).is_ok());
    }

    #[test]
    fn a_deadline_ends_what_is_free_too_and_is_named_before_any_amount() {
        let (none, spent) = (Ceiling::default(), usd(0));
        let passed = Deadlines { hard: Some(1_795_305_600_000), soft: None };
        let late = View { deadline: Some(&passed), ..view(&none, 0, 0) };
        assert!(decide(&[late], &Ask::TOOL, 1_795_305_599_999).is_ok());
        let denial = decide(&[view(&spent, 5, 0), late], &ASK, 1_795_305_600_000).unwrap_err();
        assert_eq!((denial.limit_name(), denial.contended), ("deadline", false));
        let error = denial.into_error();
        assert_eq!(error.to_string(), "task `t` had a deadline at 2026-11-22T00:00:00Z");
        assert_eq!(error.field("unit"), Some(&Field::Text("deadline".to_owned())));
        let (_, denied) = observe(&[late], &Ask::TOOL, 1_795_305_600_000);
        assert!(denied.is_some_and(|denial| denial.deadline.is_some()));
    }

    #[test]
    fn an_absurd_ask_is_denied_not_wrapped() {
        let ceiling = usd(i64::MAX - 1);
        let ask = Ask { output: Output::Exactly(u64::MAX), choices: u64::MAX, output_pico: i64::MAX, ..ASK };
        assert!(decide(&[view(&ceiling, 0, 0)], &ask, 0).is_err());
    }

    #[test]
    fn the_message_reads_as_documented() {
        let ceiling = usd(1_000_000_000);
        let window = Window::parse("day", None).unwrap();
        let balance = Balance {
            settled: Amounts([750_000_000, 0, 0, 0]),
            pending: Amounts([250_000_000, 0, 0, 0]),
            ..Balance::default()
        };
        let label = "budget `tenant=acme`";
        let view = View { label, ceiling: &ceiling, window: &window, balance, deadline: None };
        let ask = Ask { fixed_pico: 500_000_000_000, output: Output::Exactly(0), ..ASK };
        let error = decide(&[view], &ask, 1_795_266_000_000).unwrap_err().into_error();
        assert_eq!(
            error.to_string(),
            "budget `tenant=acme` allows 1.00 USD per day: 0.75 spent, 0.25 pending, 0.50 requested, \
             resets 2026-11-22T00:00:00Z"
        );
    }
}
