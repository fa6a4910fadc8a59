//! What is asked for, before a call is made?

use super::{
    ledger::Ledger,
    model::{Asked, Model},
    task::Task,
};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    ledger::{
        commit::{Facts, Reserve},
        flag,
    },
    meter::{Exposure, ServiceTier},
    policy::{Ask, Output},
    sync::Arc,
    value::{Id, Millis, Money, tags::checked_text, usage::TOKENS_MAX},
};

/// The most answers one request can ask for.
const CHOICES_MAX: u64 = 1_000;

/// What is known of a call before it is made.
///
/// ```
/// use outlay::Request;
///
/// let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(4_000);
/// # let _ = request;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub(crate) model: String,
    pub(crate) provider: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) known_as: Option<Id>,
    pub(crate) exposure: Exposure,
    pub(crate) max_output_tokens: Option<u64>,
    pub(crate) no_output: bool,
    pub(crate) least_output: Option<u64>,
    pub(crate) choices: Option<u64>,
    pub(crate) max_usd: Option<Money>,
    pub(crate) wait_ms: Option<u64>,
    pub(crate) facts: Facts,
    pub(crate) tools: Option<Arc<str>>,
    pub(crate) turn: Option<String>,
    pub(crate) is_last: bool,
    /// Read from a body, for whose model a place is found where it is read.
    pub(crate) is_read: bool,
}

impl Request {
    /// A request to `model`.
    #[inline]
    pub fn model(model: &str) -> Self {
        Self { model: model.to_owned(), ..Self::default() }
    }

    /// Who bills it, where the name of the model does not say.
    #[inline]
    #[must_use]
    pub fn provider(mut self, provider: &str) -> Self {
        self.provider = Some(provider.to_owned());
        self
    }

    /// The most input tokens it has. This is the bound: no margin is added.
    #[inline]
    #[must_use]
    pub fn input_tokens(mut self, tokens: u64) -> Self {
        self.exposure.input_tokens = tokens;
        self
    }

    /// The most output tokens each answer may have. Without it the ledger chooses, and the choice
    /// must go into the request.
    #[inline]
    #[must_use]
    pub fn max_output_tokens(mut self, tokens: u64) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }

    /// How many answers it asks for.
    #[inline]
    #[must_use]
    pub fn choices(mut self, choices: u64) -> Self {
        self.choices = Some(choices);
        self
    }

    /// A name for the call, unique within the attempt: reserving it again gives the same call.
    #[inline]
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// The id it has in the ledger already, or will have.
    pub(crate) fn known_as(mut self, id: Id) -> Self {
        self.known_as = Some(id);
        self
    }

    /// The most it can cost by the caller's own word, held instead of the computed worst case.
    #[inline]
    #[must_use]
    pub fn max_usd(mut self, most: Money) -> Self {
        self.max_usd = Some(most);
        self
    }

    /// Wait so long for money other calls hold; overrides the task's choice.
    #[inline]
    #[must_use]
    pub fn wait_ms(mut self, wait_ms: u64) -> Self {
        self.wait_ms = Some(wait_ms);
        self
    }

    /// It is the last call of its attempt: it takes the place of what was put by
    /// ([`TaskOptions::wrap_up`](super::TaskOptions::wrap_up)). Its own maximum of output is lowered where
    /// only that makes it fit. If it is voided, it may be made again.
    #[must_use]
    pub fn last(mut self) -> Self {
        self.is_last = true;
        self
    }

    /// The turn it belongs to: what the user's input is called that it helps to answer. Limits per
    /// [`Window::Turn`](crate::Window::Turn) go by it.
    #[must_use]
    pub fn turn(mut self, turn: &str) -> Self {
        self.turn = Some(turn.to_owned());
        self
    }

    /// The service tier it asks for; it may be served as usual after all, so the dearer is held.
    #[inline]
    #[must_use]
    pub fn service_tier(mut self, tier: ServiceTier) -> Self {
        self.exposure.service_tier = tier;
        self
    }

    /// What a cache, searches or media can add to its cost.
    #[must_use]
    pub fn exposure(mut self, exposure: Exposure) -> Self {
        self.exposure = exposure;
        self
    }

    /// The error of a request whose worst case nobody can know, for `reason`.
    pub fn unbounded(reason: &str) -> Error {
        let advice = "give `max_usd` or `max_input_tokens`";
        Error::new(
            ErrorKind::Unbounded,
            format!("the worst case of this request is unknown: {reason}; {advice}"),
        )
        .with("reason", Field::Text(reason.to_owned()))
    }

    /// Was it read from a body?
    pub(super) const fn is_read(&self) -> bool {
        self.is_read
    }

    pub(super) const fn wait(&self) -> Option<u64> {
        self.wait_ms
    }

    /// The worst case by the price the model has now, with what is recorded of the request.
    #[inline]
    pub(super) fn worst(
        &self,
        task: &Task,
        ledger: &Ledger,
        now: Millis,
    ) -> Result<(Ask, Facts, Arc<Model>)> {
        let choices = self.choices.unwrap_or(1);
        if choices == 0 || choices > CHOICES_MAX {
            return Err(Error::invalid(format!(
                "`{choices}` answers; a request can ask for 1 to {CHOICES_MAX}"
            )));
        }
        let largest = self.exposure.input_tokens.max(self.max_output_tokens.unwrap_or(0));
        if largest > TOKENS_MAX {
            return Err(Error::invalid(format!("a count of `{largest}` tokens is more than a call can use")));
        }
        let model = ledger.model(self.asked(), now)?;
        let mut facts = self.facts;
        facts.input_bound = self.exposure.input_tokens;
        let ask = self.ask(task, &model, choices, &mut facts)?;
        Ok((ask, facts, model))
    }

    /// What it wants to hold.
    #[inline]
    pub(super) fn prepare(&self, task: &Task, ledger: &Ledger, now: Millis) -> Result<(Reserve, Arc<Model>)> {
        let (ask, mut facts, model) = self.worst(task, ledger, now)?;
        // Only a named call is ever compared; the rest need not pay for a hash.
        if facts.request_hash == 0 && self.id.is_some() {
            facts.request_hash = self.hash(ledger);
        }
        let (no, attempt) = (task.no(), task.attempt());
        let id = match (&self.id, self.known_as) {
            (Some(name), _) => {
                checked_text("call id", name)?;
                ledger.named_call(no, attempt, name)
            }
            (None, known) => known.unwrap_or_else(|| ledger.next_id(now)),
        };
        let turn = self.turn.as_deref();
        turn.map_or(Ok(()), |turn| checked_text("turn", turn))?;
        let turn = turn.map(Arc::from);
        let reserve = Reserve {
            id,
            named: self.id.is_some() || self.known_as.is_some(),
            task: no,
            attempt,
            observes: task.observes(),
            ask,
            facts,
            names: model.names(),
            tools: self.tools.clone(),
            turn,
        };
        Ok((reserve, model))
    }

    /// The worst case by the price of `model`.
    fn ask(&self, task: &Task, model: &Model, choices: u64, facts: &mut Facts) -> Result<Ask> {
        let (fixed_pico, output_pico) = match (self.max_usd, model.price()) {
            (Some(most), _) => (word_pico(most)?, 0),
            (None, Ok(price)) => {
                let worst = price.worst(&self.exposure)?;
                (worst.input_pico + i128::from(worst.fee_nanos) * 1_000, worst.output_pico_per_token)
            }
            (None, Err(_)) if task.observes() => {
                facts.flags |= flag::UNPRICED;
                (0, 0)
            }
            (None, Err(unpriced)) => return Err(unpriced),
        };
        let mut output = self.output(task, model);
        if let (Some(most_usd), Output::Between { least, most }) = (self.max_usd, output)
            && let Ok(price) = model.price()
        {
            // What is sent out must hold the answer to the caller's word.
            let affordable = price.worst(&self.exposure)?.affordable_output_tokens(most_usd).unwrap_or(0);
            let most = most.min(affordable / choices).max(1);
            output = Output::Between { least: least.min(most), most };
        }
        let ask = Ask {
            fixed_pico,
            output_pico,
            input_tokens: self.exposure.input_tokens,
            choices,
            output,
            llm_calls: 1,
            tool_calls: 0,
        };
        if ask.amounts(output.most()).is_none() {
            return Err(Error::invalid("the worst case of this request is beyond nine billion USD"));
        }
        Ok(ask)
    }

    fn asked(&self) -> Asked<'_> {
        let provider = self.provider.as_deref();
        let Exposure { service_tier: tier, is_regional, .. } = self.exposure;
        Asked { provider, model: &self.model, tier, is_regional }
    }

    /// A keyed hash of all that decides what it holds.
    fn hash(&self, ledger: &Ledger) -> i64 {
        let choices = (self.max_output_tokens, self.choices.unwrap_or(1), self.max_usd);
        let terms = format!("{:?} {:?} {choices:?}", self.provider, self.exposure);
        ledger.keyed_hash(&[self.model.as_bytes(), &[0], terms.as_bytes()])
    }

    fn output(&self, task: &Task, model: &Model) -> Output {
        if self.no_output {
            return Output::Exactly(0);
        }
        let least = model.least_output.max(self.least_output.unwrap_or(0));
        match self.max_output_tokens {
            Some(tokens) if !task.clamps() && !self.is_last => Output::Exactly(tokens),
            Some(tokens) => Output::Between { least: least.min(tokens), most: tokens },
            None => {
                let most = model.default_output.max(least);
                let own = model.price().ok().and_then(|price| price.max_output_tokens);
                let most = own.map_or(most, |own| own.min(most));
                Output::Between { least: least.min(most), most }
            }
        }
    }
}

/// The caller's word on what it costs at most, in pico-USD.
fn word_pico(most: Money) -> Result<i128> {
    if most < Money::ZERO {
        return Err(Error::invalid(format!("`{most}` is negative; no call costs less than nothing")));
    }
    Ok(i128::from(most.nanos()) * 1_000)
}
