//! What is one call, from its reservation to its end?
//!
//! A [`Call`] is made by [`Task::reserve`] and ends once: settled, void or in doubt. Dropping it
//! open ends it too: void if it is known not to have been sent, in doubt otherwise.

use super::{calibration::Lesson, model::Model, task::Task};
use crate::{
    error::{Error, Result},
    ledger::{
        commit::{Ended, Ending, Settle},
        flag,
        store::State,
    },
    meter::{Extracted, ServiceTier},
    policy::{Amounts, Ask, Denial, Grant},
    sync::{Arc, Mutex, MutexGuard, lock},
    value::{Id, Money, Usage},
};

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It used this much.
    Settled(Settled),
    /// It was not billed.
    Voided,
    /// Nobody knows whether it was billed.
    InDoubt,
}

/// What a call used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The charge.
    pub charge: Money,
    /// What the charge was above the reservation, or nothing.
    pub overrun: Money,
    /// Is it our count, not the provider's?
    pub estimated: bool,
}

/// What a call was settled by, kept by [`Call::keep`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What it used.
    pub usage: Usage,
    /// The model that answered.
    pub model: Arc<str>,
}

/// One reserved call.
pub struct Call {
    task: Task,
    model: Arc<Model>,
    id: Id,
    created: bool,
    recorded: bool,
    reserved: Money,
    max_output_tokens: u64,
    over_soft: bool,
    denied: Option<Box<Denial>>,
    state: Mutex<Standing>,
}

#[derive(Default)]
struct Standing {
    /// Known to be sent or not; unknown in the explicit form.
    sent: Option<bool>,
    outcome: Option<Outcome>,
    /// What its usage will teach, once.
    lesson: Option<Box<Lesson>>,
    /// What it is settled by, where somebody asked for that to be kept.
    kept: Option<Box<Option<Kept>>>,
}

impl Standing {
    fn settled(&mut self, settled: Settled, by: &Settle, asked: &Arc<str>) {
        self.outcome = Some(Outcome::Settled(settled));
        if let Some(kept) = &mut self.kept {
            let model = Arc::clone(by.model_used.as_ref().unwrap_or(asked));
            **kept = Some(Kept { usage: by.usage, model });
        }
    }
}

impl Call {
    pub(super) fn held(
        task: &Task,
        model: Arc<Model>,
        id: Id,
        created: bool,
        grant: Grant,
        ended: Option<&Ended>,
        denied: Option<Box<Denial>>,
    ) -> Self {
        let task = task.clone();
        let outcome = ended.map(|ended| match ended.state {
            State::Voided => Outcome::Voided,
            State::Settled => Outcome::Settled(settled_of(ended)),
            State::Open | State::InDoubt | State::Kept => Outcome::InDoubt,
        });
        // A second handle on a call leaves its end to the first.
        let outcome = if created { outcome } else { outcome.or(Some(Outcome::InDoubt)) };
        let state = Mutex::new(Standing { outcome, ..Standing::default() });
        let Grant { amounts, max_output_tokens, over_soft } = grant;
        let (recorded, reserved) = (true, amounts.usd());
        Self { task, model, id, created, recorded, reserved, max_output_tokens, over_soft, denied, state }
    }

    /// A call the ledger knows nothing of, since it could not answer and the user allowed that.
    pub(super) fn unrecorded(task: &Task, model: Arc<Model>, id: Id, ask: &Ask) -> Self {
        let most = ask.output.most();
        let amounts = ask.amounts(most).unwrap_or_default();
        let grant = Grant { amounts, max_output_tokens: most, over_soft: false };
        let mut call = Self::held(task, model, id, true, grant, None, None);
        call.recorded = false;
        call
    }

    /// Its id in the ledger.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The model it is reserved for.
    pub fn model(&self) -> &str {
        &self.model.asked
    }

    /// The task it belongs to.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The most output tokens each answer may have; this must go into the request.
    pub fn max_output_tokens(&self) -> u64 {
        self.max_output_tokens
    }

    /// Is this the first reservation under its id? Only then may the call be sent.
    pub fn created(&self) -> bool {
        self.created
    }

    /// What is held for it.
    pub fn reserved(&self) -> Money {
        self.reserved
    }

    /// Does it pass a soft limit?
    pub fn over_soft(&self) -> bool {
        self.over_soft
    }

    /// Why it would have been denied, under a task that only observes.
    pub fn would_deny(&self) -> Option<&Denial> {
        self.denied.as_deref()
    }

    /// What it came to; nothing while it is open.
    pub fn outcome(&self) -> Option<Outcome> {
        lock(&self.state).outcome
    }

    /// Who bills it, as the price list names them; empty if nobody knows.
    pub fn provider(&self) -> &str {
        self.model.price().map_or("", |price| &price.provider)
    }

    /// Keeps what the call will be settled by, for [`kept`](Self::kept).
    pub fn keep(&self) {
        lock(&self.state).kept.get_or_insert_default();
    }

    /// What the call was settled by; nothing before, and nothing without [`keep`](Self::keep).
    ///
    /// ```
    /// use outlay::{Ledger, Limit, Request, Usage};
    ///
    /// let task = Ledger::in_memory().task("t", [Limit::usd("1")?])?;
    /// let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
    /// call.keep();
    /// call.settle(&Usage::tokens(1_000, 500))?;
    /// let kept = call.kept().unwrap();
    /// assert_eq!((kept.usage.output_tokens, &*kept.model), (500, "gpt-4o"));
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn kept(&self) -> Option<Kept> {
        lock(&self.state).kept.as_deref().cloned().flatten()
    }

    pub(crate) fn price(&self) -> Result<&Arc<crate::meter::ModelPrice>> {
        self.model.price()
    }

    /// Says what its usage will teach.
    pub(super) fn set_lesson(&self, lesson: Option<Lesson>) {
        lock(&self.state).lesson = lesson.map(Box::new);
    }

    /// Says whether the request has gone out.
    pub fn set_sent(&self, sent: bool) {
        lock(&self.state).sent = Some(sent);
    }

    /// Ends the call with what it used.
    ///
    /// More than was reserved is accepted and recorded as overrun. Settling again with the same
    /// usage gives the same result.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: a usage that cannot be. The call is still open.
    /// * `Conflict`: it ended otherwise before.
    /// * `StoreUnavailable`: the ledger could not answer. The call is still open; settle it again.
    ///
    /// ```
    /// use outlay::{Ledger, Limit, Request, Usage};
    ///
    /// let task = Ledger::in_memory().task("t", [Limit::usd("1")?])?;
    /// let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
    /// let settled = call.settle(&Usage::tokens(1_000, 500))?;
    /// assert_eq!(settled.charge.to_string(), "0.0075 USD");
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn settle(&self, usage: &Usage) -> Result<Settled> {
        self.settle_as(usage, None, self.model.tier, 0)
    }

    /// Ends the call with what it used and what the provider says it charges for that: a gateway's
    /// word is the truth, whatever the price list says.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle); `InvalidInput` too if the charge is negative.
    ///
    /// ```
    /// use outlay::{Ledger, Limit, Money, Request, Usage};
    ///
    /// let task = Ledger::in_memory().task("t", [Limit::usd("1")?])?;
    /// let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
    /// let settled = call.settle_at(&Usage::tokens(1_000, 500), Money::parse("0.0071")?)?;
    /// assert_eq!(settled.charge.to_string(), "0.0071 USD");
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn settle_at(&self, usage: &Usage, charge: Money) -> Result<Settled> {
        self.settle_told(&Extracted { cost: Some(charge), ..(*usage).into() })
    }

    /// Ends the call with what its response said: its usage, at the provider's own charge if it told
    /// one, else by the service tier and the region it was served in.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle); `InvalidInput` too if it tells no usage, `Unpriced` if nobody knows
    /// what the tier or the region it tells costs. The call is still open.
    ///
    /// ```
    /// use outlay::{Ledger, Limit, Request, meter::{self, Api}};
    ///
    /// let task = Ledger::in_memory().task("t", [Limit::usd("1")?])?;
    /// let call = task.reserve(&Request::model("gpt-5").input_tokens(1_000).max_output_tokens(500))?;
    /// let body = serde_json::json!({"model": "gpt-5-2025-08-07", "service_tier": "flex",
    ///     "usage": {"prompt_tokens": 1_000, "completion_tokens": 500}});
    /// let settled = call.settle_told(&meter::usage(Api::OpenAiChat, &body)?)?;
    /// assert_eq!(settled.charge.to_string(), "0.003125 USD");
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn settle_told(&self, told: &Extracted) -> Result<Settled> {
        let usage = told.usage.ok_or_else(|| Error::invalid("the response tells no usage"))?;
        if let Some(charge) = told.cost.filter(|charge| *charge < Money::ZERO) {
            return Err(Error::invalid(format!("a charge of `{charge}` is negative")));
        }
        self.settle_as(&usage, Some(told), self.model.tier_told(told.service_tier.as_deref()), 0)
    }

    /// Ends the call with `usage`, with what else the response told, its cost and its model, and by
    /// the tier it was served by.
    pub(crate) fn settle_as(
        &self,
        usage: &Usage,
        told: Option<&Extracted>,
        tier: ServiceTier,
        flags: u32,
    ) -> Result<Settled> {
        usage.check()?;
        let (charge, price, flags) = match self.model.charge(usage, told, tier) {
            Ok((charge, price)) => (charge, price, flags),
            Err(_) if self.task.observes() => (Money::ZERO, None, flags | flag::UNPRICED),
            // Priced by the caller's own `max_usd` only: that word is the charge.
            Err(_) if self.model.price().is_err() => (self.reserved(), None, flags | flag::ESTIMATED),
            Err(error) => return Err(error),
        };
        let model = told.and_then(|told| told.model.as_deref());
        let model_used = model.filter(|model| *model != self.model()).map(Arc::from);
        let settle = Settle { usage: *usage, usd: charge.nanos(), flags, model_used, price, by: None };
        let (settled, mut state) = self.settle_by(settle)?;
        if !settled.estimated
            && let Some(lesson) = state.lesson.take()
        {
            lesson.teach(self.task.latest(), usage.input_tokens);
        }
        Ok(settled)
    }

    /// Ends the call at our own count of what it used.
    pub(crate) fn settle_estimated(
        &self,
        usage: &Usage,
        charge: Money,
        model: Option<&str>,
        flags: u32,
    ) -> Result<Settled> {
        let model_used = model.filter(|model| *model != self.model()).map(Arc::from);
        let flags = flags | flag::ESTIMATED;
        let settle = Settle { usage: *usage, usd: charge.nanos(), flags, model_used, ..Settle::default() };
        self.settle_by(settle).map(|(settled, _)| settled)
    }

    fn settle_by(&self, settle: Settle) -> Result<(Settled, MutexGuard<'_, Standing>)> {
        let ending = Ending::Settle(settle);
        let settled = settled_of(&self.end(&ending)?);
        let mut state = lock(&self.state);
        if let Ending::Settle(by) = &ending {
            state.settled(settled, by, &self.model.asked);
        }
        Ok((settled, state))
    }

    /// Ends the call at its reservation, as nobody knows how much of it was used.
    pub(crate) fn settle_reserved(&self, usage: &Usage, flags: u32) -> Result<Settled> {
        self.settle_estimated(usage, self.reserved, None, flags)
    }

    /// Ends the call as not billed.
    ///
    /// # Errors
    ///
    /// `Conflict`: it ended otherwise before. `StoreUnavailable`: the call is still open.
    pub fn void(&self) -> Result<()> {
        self.end(&Ending::Void { by: None })?;
        lock(&self.state).outcome = Some(Outcome::Voided);
        Ok(())
    }

    /// Ends the call as one of which nobody knows whether it was billed: it counts as spent at
    /// its worst case until it is settled, voided or resolved.
    ///
    /// # Errors
    ///
    /// `Conflict`: it ended otherwise before. `StoreUnavailable`: the call is still open.
    pub fn doubt(&self) -> Result<()> {
        self.end(&Ending::Doubt)?;
        lock(&self.state).outcome = Some(Outcome::InDoubt);
        Ok(())
    }

    /// Ends an open call as the block round it ends: not sent is void, the rest in doubt.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the call is still open.
    pub fn leave(&self) -> Result<()> {
        let Standing { sent, outcome, .. } = *lock(&self.state);
        match sent {
            _ if outcome.is_some() => Ok(()),
            Some(false) => self.void(),
            _ => self.doubt(),
        }
    }

    /// Ends an open call nobody can reach any more, as its drop does. Is its end left to this handle:
    /// neither to another one of the call, nor to the process this was forked from?
    #[doc(hidden)]
    pub fn abandon(&self) -> bool {
        let is_ours = self.created && self.task.ledger().is_own();
        if is_ours {
            // Nobody is left to be told; the call is in doubt when its attempt ends.
            let _ = self.leave();
        }
        is_ours
    }

    fn end(&self, ending: &Ending) -> Result<Ended> {
        if !self.recorded {
            let (usd, flags) = match ending {
                Ending::Settle(settle) => (settle.usd, settle.flags),
                _ => (0, 0),
            };
            let [used, held] = [usd, self.reserved.nanos()].map(|usd| Amounts([usd, 0, 0, 0]));
            return Ok(Ended { state: State::Settled, used, held, estimated: flags & flag::ESTIMATED != 0 });
        }
        self.task.ledger().end_call(self.id, ending)
    }
}

fn settled_of(ended: &Ended) -> Settled {
    let over = (ended.used.0[0] - ended.held.0[0]).max(0);
    Settled { charge: ended.used.usd(), overrun: Money::from_nanos(over), estimated: ended.estimated }
}

impl Drop for Call {
    fn drop(&mut self) {
        let has_ended = self.state.get_mut().is_ok_and(|state| state.outcome.is_some());
        if !has_ended {
            self.abandon();
        }
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Call({} {}, {} reserved)", self.model(), self.id, self.reserved())
    }
}
