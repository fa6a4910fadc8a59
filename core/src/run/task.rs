//! Which unit of work is this?
//!
//! A [`Task`] is one attempt at a unit of work, with limits over all its attempts. Every call
//! under it is held against those limits, those of the tasks above it, and every shared budget
//! its tags fall under.

use std::{sync::OnceLock, thread::sleep, time::Duration};

use super::{
    approval::OnLimit,
    call::Call,
    config::{OnUnavailable, Unmetered},
    kinds,
    last::Last,
    ledger::Ledger,
    options::TaskOptions,
    prefix::Latest,
    request::Request,
    route::{Fallback, Replaced},
    status::Told,
    watch::Watch,
};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    ledger::{
        commit::{self, Facts, Names, Reserve, Verdict},
        gave_up, held, last,
        open::{self, OpenTask, Opened},
    },
    policy::{Ask, Balance, Unit},
    sync::{Arc, Mutex, lock},
    value::{Id, Millis, Money, Tags, tags::checked_text},
};

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It did what was wanted.
    Succeeded,
    /// It did not.
    Failed,
    /// A verdict ended it.
    Stopped,
}

impl Attempt {
    /// The word reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// One attempt at a task. Clones are the same attempt.
#[derive(Clone)]
pub struct Task(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    no: u32,
    id: Id,
    attempt: u32,
    name: String,
    tags: Tags,
    observes: bool,
    clamps: bool,
    wait_ms: Option<u64>,
    on_limit: OnLimit,
    state: Mutex<Standing>,
    latest: Latest,
    fallback: Option<Fallback>,
    replaced: Replaced,
    told: Told,
    watch: OnceLock<Arc<Watch>>,
    /// What is put by for the last call, its own or of the task above; nothing for most.
    last: Option<Arc<Last>>,
}

#[derive(Default)]
struct Standing {
    ended: bool,
    stopped: Option<Error>,
}

const WAIT_MAX: Duration = Duration::from_millis(50);

impl Task {
    /// Tells no handler of alerts of it: that is for the caller to do, without its locks.
    pub(super) fn open(ledger: Ledger, mut options: TaskOptions) -> Result<Self> {
        options.check()?;
        let watch = kinds::complete(&mut options, &ledger.config().kinds);
        let above_last = Last::inherited(&options)?;
        let above =
            options.parent.as_ref().map_or_else(|| Ok(Tags::new()), |parent| parent.above(&ledger))?;
        let (mut tags, own) = (above.clone(), options.tags.clone());
        for (key, value) in own.iter() {
            tags.set(key, value)?;
        }
        let fallback =
            Fallback::inherited(options.fallback.take(), options.parent.as_ref(), &ledger.config().routes);
        let mut want = options.wanted(tags);
        loop {
            want.id = Some(ledger.next_id(ledger.now()));
            let (attempt, above, own) = (want.clone(), above.clone(), own.clone());
            let opened = ledger.act_untold(move |tx| {
                open::check_override(tx, &above, &own)?;
                open::open_task(tx, &attempt)
            })?;
            match opened {
                Opened::Yes { no, id, attempt } => {
                    let OpenTask { name, tags, observes, .. } = want;
                    let TaskOptions { clamps, wait_ms, on_limit, wrap_up, .. } = options;
                    let inner = Inner {
                        ledger,
                        no,
                        id,
                        attempt,
                        name,
                        tags,
                        observes,
                        clamps,
                        wait_ms,
                        on_limit: on_limit.unwrap_or_default(),
                        state: Mutex::default(),
                        latest: Latest::default(),
                        fallback,
                        replaced: Replaced::default(),
                        told: Told::default(),
                        watch: OnceLock::new(),
                        last: above_last,
                    };
                    return Ok(Self::putting_by(inner, wrap_up.filter(|_| !observes))?.watched(watch));
                }
                Opened::Held { owner } if ledger.is_alive(owner)? => {
                    return Err(running(&want.caller.unwrap_or_default()));
                }
                Opened::Held { .. } => drop(ledger.sweep()?),
            }
        }
    }

    /// The attempt just opened, with so much put by for its last call; without room for it, it ends.
    fn putting_by(mut inner: Inner, usd: Option<Money>) -> Result<Self> {
        let Some(usd) = usd else { return Ok(Self(Arc::new(inner))) };
        let above = inner.last.take();
        let mut task = Self(Arc::new(inner));
        let last = task.put_by(usd, above);
        if let Err(error) = &last {
            task.end(Attempt::Stopped, Some(error.kind().code()))?;
        }
        if let (Some(inner), last) = (Arc::get_mut(&mut task.0), last?) {
            inner.last = Some(last);
        }
        Ok(task)
    }

    /// The same, watched by this if by any.
    fn watched(self, watch: Option<Arc<Watch>>) -> Self {
        watch.iter().for_each(|watch| self.watch_by(watch));
        self
    }

    /// The tags of what lies under it in `ledger`.
    fn above(&self, ledger: &Ledger) -> Result<Tags> {
        // After a fork a parent in memory has stayed behind, one in a file has not.
        self.0.ledger.current()?;
        if self.0.ledger.name() != ledger.name() {
            return Err(Error::invalid("a task lies in the ledger of the task it is under"));
        }
        Ok(self.0.tags.clone())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its id in the ledger.
    pub fn id(&self) -> Id {
        self.0.id
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// Its tags, inherited ones too.
    pub fn tags(&self) -> &Tags {
        &self.0.tags
    }

    /// The ledger it is recorded in.
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// Does it deny nothing?
    pub fn observes(&self) -> bool {
        self.0.observes
    }

    /// How long it was told to wait for money that other calls hold, if it was.
    pub fn wait_ms(&self) -> Option<u64> {
        self.0.wait_ms
    }

    /// May a reserve of it wait for money that other calls hold?
    pub fn waits(&self) -> bool {
        self.0.wait_ms.unwrap_or(0) > 0
    }

    pub(super) fn fallback(&self) -> Option<&Fallback> {
        self.0.fallback.as_ref()
    }

    /// From now on this watch is told what requests of the task say is new, what it answers goes to the
    /// model with them, and its verdicts are recorded; see [`Watch`]. Only the first watch counts.
    ///
    /// ```
    /// use outlay::{Ledger, meter::Api, policy::Breaker, run::{Terms, Watch}};
    /// use serde_json::{Value, json};
    ///
    /// let task = Ledger::in_memory().task("search", [])?;
    /// task.watch_by(&Watch::new(Breaker::default()).into());
    /// let mut said: Vec<Value> = vec![json!({"role": "user", "content": "how is the weather?"})];
    /// for turn in 1..=3 {
    ///     let call = json!({"id": turn.to_string(), "function": {"name": "web", "arguments": "{}"}});
    ///     said.push(json!({"role": "assistant", "tool_calls": [call]}));
    ///     said.push(json!({"role": "tool", "tool_call_id": turn.to_string(), "content": "nothing"}));
    ///     let body = json!({"model": "gpt-4o", "max_tokens": 9, "messages": said}).to_string();
    ///     let exchange = task.exchange(Api::OpenAiChat, body.as_bytes(), &Terms::default())?;
    ///     assert_eq!(exchange.patch().iter().any(|(member, _)| *member == "messages"), turn == 3);
    /// }
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn watch_by(&self, watch: &Arc<Watch>) {
        watch.record_in(self);
        self.0.watch.get_or_init(|| Arc::clone(watch));
    }

    pub(super) fn watch(&self) -> Option<&Arc<Watch>> {
        self.0.watch.get()
    }

    pub(super) fn replaced(&self) -> &Replaced {
        &self.0.replaced
    }

    pub(super) fn told(&self) -> &Told {
        &self.0.told
    }

    /// What happens to a call of it that a hard limit refuses.
    pub fn on_limit(&self) -> OnLimit {
        self.0.on_limit
    }

    pub(super) fn last(&self) -> Option<&Arc<Last>> {
        self.0.last.as_ref()
    }

    pub(crate) fn no(&self) -> u32 {
        self.0.no
    }

    pub(crate) fn clamps(&self) -> bool {
        self.0.clamps
    }

    /// Reserves the most a call can cost, before the call is made.
    ///
    /// The amount is held against every budget the call falls under, as one act: all of them
    /// hold it, or none does. Two calls racing for the last cent cannot both win it.
    ///
    /// A reservation is a promise, not a payment. End it with exactly one of
    /// [`settle`](Call::settle) (the call was made; this is what it used) or
    /// [`void`](Call::void) (nothing was billed). If its owner dies, it becomes `in_doubt` and
    /// counts as spent, at its worst case, until resolved: nobody can know whether the provider
    /// billed it.
    ///
    /// # Units
    ///
    /// Token counts are whole tokens; the amount held is list price in nano-USD, rounded up once.
    ///
    /// # Errors
    ///
    /// * `BudgetExceeded`: a hard limit would be passed. Nothing is held. The error names the
    ///   limit, how many output tokens would still fit, and when the limit resets.
    /// * `ApprovalRequired`: the same under [`OnLimit::Ask`]; the field `id` is what to approve.
    /// * `Halted`: somebody halted a scope this task lies in. Nothing is held.
    /// * `Unpriced`, `Unbounded`: the worst case cannot be known. Nothing is held.
    /// * `Conflict`: the attempt has ended, or the call id was used with another request.
    /// * `StoreUnavailable`: the ledger could not answer. Do not make the call.
    ///
    /// Passing a soft limit is not an error: the reservation says so.
    ///
    /// # Example
    ///
    /// ```
    /// use outlay::{ErrorKind, Ledger, Limit, Request, Usage};
    ///
    /// let ledger = Ledger::in_memory();
    /// let task = ledger.task("triage", [Limit::usd("0.06")?])?;
    /// let request = Request::model("gpt-4o").input_tokens(4_000).max_output_tokens(4_000);
    ///
    /// let call = task.reserve(&request)?; // holds 0.05 USD
    /// let denied = task.reserve(&request).unwrap_err();
    /// assert_eq!(denied.kind(), ErrorKind::BudgetExceeded);
    ///
    /// // The answer turned out shorter than feared; the rest is free again.
    /// call.settle(&Usage::tokens(4_000, 500))?;
    /// assert_eq!(task.available()?.unwrap().to_string(), "0.045 USD");
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn reserve(&self, request: &Request) -> Result<Call> {
        let result = self.try_reserve(request);
        self.note_stop(&result);
        result
    }

    /// Reserves without waiting; nothing, and no verdict either, if only pending money is in the way.
    ///
    /// For callers that must not block a thread, as an event loop: ask again after a pause.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve).
    ///
    /// ```
    /// use outlay::{Ledger, Limit, Request};
    ///
    /// let task = Ledger::in_memory().task("t", [Limit::usd("0.05")?])?;
    /// let request = Request::model("gpt-4o").input_tokens(0).max_output_tokens(4_000);
    /// let first = task.poll(&request)?.expect("nothing else is held");
    /// assert!(task.poll(&request)?.is_none() && task.stopped().is_none());
    /// # let _ = first;
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn poll(&self, request: &Request) -> Result<Option<Call>> {
        match self.try_reserve(request) {
            Err(error) if error.field("contended") == Some(&Field::Flag(true)) => Ok(None),
            result => {
                self.note_stop(&result);
                result.map(Some)
            }
        }
    }

    fn try_reserve(&self, request: &Request) -> Result<Call> {
        let ledger = self.0.ledger.current()?;
        let now = ledger.now();
        let routed;
        let request = match self.0.fallback {
            // What the body said is in its facts: the exchange has chosen its model already.
            Some(_) if !request.is_read() => {
                routed = self.routed(&ledger, request.clone(), now)?;
                &routed
            }
            _ => request,
        };
        let (want, model) = request.prepare(self, &ledger, now)?;
        let verdict = match self.held(&ledger, &want, now, request) {
            Err(error) if error.kind() == ErrorKind::StoreUnavailable && !gave_up() => {
                if ledger.config().on_unavailable == OnUnavailable::Allow {
                    ledger.count_unrecorded();
                    return Ok(Call::unrecorded(self, model, want.id, &want.ask));
                }
                return Err(error);
            }
            verdict => verdict?,
        };
        match verdict {
            Verdict::Denied(denial) => Err(self.refusal(denial)),
            Verdict::Held { id, created, grant, ended, denied, names } => {
                if created {
                    model.remember(names);
                }
                Ok(Call::held(self, model, id, created, grant, ended.as_deref(), denied))
            }
        }
    }

    /// Reserves, and where only pending money is in the way waits for it.
    fn held(&self, ledger: &Ledger, want: &Reserve, now: Millis, request: &Request) -> Result<Verdict> {
        let reserve = |now| match &self.0.last {
            None if request.is_last && !self.0.observes => Err(Last::missing()),
            None => ledger.reserve(want, now),
            Some(last) => last.reserve(ledger, want, request.is_last),
        };
        let wait_ms = request.wait().or(self.0.wait_ms).unwrap_or(0);
        if wait_ms == 0 {
            return reserve(now);
        }
        let until = now.saturating_add(wait_ms as Millis);
        let mut pause = Duration::from_millis(1);
        loop {
            let verdict = reserve(ledger.now())?;
            match &verdict {
                Verdict::Denied(denial) if denial.contended && ledger.now() < until => {
                    sleep(pause);
                    pause = (pause * 2).min(WAIT_MAX);
                }
                _ => return Ok(verdict),
            }
        }
    }

    /// Refuses a billed request that cannot be metered, if there is a hard limit on money over it
    /// and the options do not allow it.
    ///
    /// # Errors
    ///
    /// `Unsupported`: what cannot be metered, by name.
    pub fn unmetered(&self, what: &str) -> Result<()> {
        let allowed = self.0.ledger.config().unmetered == Unmetered::Allow;
        if allowed || self.0.observes || self.available()?.is_none() {
            return Ok(());
        }
        let message = format!(
            "`{what}` costs money that outlay cannot meter, and this task has a limit in USD; \
             configure `unmetered=\"allow\"` to let it through unrecorded"
        );
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// Counts a call of a tool against `tool_calls`.
    ///
    /// # Errors
    ///
    /// `BudgetExceeded`: no call of a tool is left. `Conflict`: the attempt has ended.
    ///
    /// ```
    /// use outlay::{Ledger, Limit, Unit};
    ///
    /// let task = Ledger::in_memory().task("search", [Limit::new(Unit::ToolCalls, 1)?])?;
    /// task.tool_call("web")?;
    /// assert!(task.tool_call("web").is_err());
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn tool_call(&self, tool: &str) -> Result<()> {
        self.tool_call_in(tool, None)
    }

    /// The same in a turn, which limits per turn go by.
    ///
    /// # Errors
    ///
    /// As [`tool_call`](Self::tool_call).
    pub fn tool_call_in(&self, tool: &str, turn: Option<&str>) -> Result<()> {
        checked_text("tool", tool)?;
        turn.map_or(Ok(()), |turn| checked_text("turn", turn))?;
        let ledger = self.0.ledger.current()?;
        let want = Reserve { turn: turn.map(Arc::from), ..self.unmodelled(&ledger, Ask::TOOL, 0) };
        let tool = tool.to_owned();
        let put_by = self.0.last.as_ref().map(|last| last.chain()).unwrap_or_default();
        let counted = ledger.act(move |tx| {
            last::check(tx, &want, &put_by)?;
            commit::tool_call(tx, &want, &tool)
        });
        let result = match counted {
            Ok(Verdict::Denied(denial)) => Err(self.refusal(denial)),
            Ok(Verdict::Held { .. }) => Ok(()),
            Err(error) => Err(error),
        };
        self.note_stop(&result);
        result
    }

    /// What holds `ask`, for no model.
    pub(super) fn unmodelled(&self, ledger: &Ledger, ask: Ask, flags: u32) -> Reserve {
        Reserve {
            id: ledger.next_id(ledger.now()),
            named: false,
            task: self.0.no,
            attempt: self.0.attempt,
            observes: self.0.observes,
            ask,
            facts: Facts { flags, ..Facts::default() },
            names: Names::Known([0; 3]),
            tools: None,
            turn: None,
        }
    }

    pub(super) fn note_stop<T>(&self, result: &Result<T>) {
        if let Err(error) = result
            && error.family() == crate::error::Family::Stopped
        {
            lock(&self.0.state).stopped = Some(error.clone());
        }
    }

    /// The latest request of this attempt.
    pub(super) fn latest(&self) -> &Latest {
        &self.0.latest
    }

    /// Notes a verdict that came from elsewhere, as a cut stream.
    pub(crate) fn stop(&self, error: &Error) {
        lock(&self.0.state).stopped = Some(error.clone());
    }

    /// The latest verdict against this attempt, whoever swallowed it.
    pub fn stopped(&self) -> Option<Error> {
        lock(&self.0.state).stopped.clone()
    }

    /// What it has used, holds, and cannot tell, over all attempts.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer. `NotFound`: a ledger in memory has dropped
    /// the task since it ended.
    pub fn balance(&self) -> Result<Balance> {
        let no = self.0.no;
        self.0.ledger.current()?.read(move |tx| {
            let accounts = tx.accounts_of_task(no)?;
            let life = accounts.iter().find(|account| account.window == crate::policy::Window::Life);
            // A ledger in memory keeps ended tasks for a while only.
            let gone = || Error::new(ErrorKind::NotFound, "this task is kept in the ledger no longer");
            tx.balance(life.ok_or_else(gone)?.no, 0)
        })
    }

    /// What is left for a call now: the least over every hard limit on money it falls under;
    /// nothing where there is none.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer.
    pub fn available(&self) -> Result<Option<Money>> {
        let no = self.0.no;
        let left = self.0.ledger.current()?.act(move |tx| {
            let balances = held::balances(tx, no)?;
            Ok(balances
                .iter()
                .filter_map(|(account, balance)| account.view(*balance).available(Unit::Usd))
                .min())
        })?;
        Ok(left.map(|nanos| Money::from_nanos(nanos.max(0))))
    }

    /// Ends the attempt. Calls it left open are in doubt from then on. Only the first end counts.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer; the attempt is still open.
    pub fn end(&self, attempt: Attempt, reason: Option<&str>) -> Result<()> {
        self.end_worth(attempt, reason, 0)
    }

    /// Ends the attempt: it did what was wanted, which is worth this much, a decimal number in a unit of
    /// the caller's own. `outlay report value` holds it against what was spent; no balance changes.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: not a decimal number, negative, or beyond nine billion.
    /// * `StoreUnavailable`: the ledger could not answer; the attempt is still open.
    ///
    /// ```
    /// let task = outlay::Ledger::in_memory().task("refund", [])?;
    /// assert!(task.succeed("-1").is_err());
    /// task.succeed("2.5")?;
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn succeed(&self, value: &str) -> Result<()> {
        let wrong =
            || Error::invalid(format!("value `{value}` is not a decimal number of up to nine billion"));
        let units = Money::parse(value).map_err(|_| wrong())?;
        if units < Money::ZERO {
            return Err(wrong());
        }
        self.end_worth(Attempt::Succeeded, None, units.nanos())
    }

    fn end_worth(&self, attempt: Attempt, reason: Option<&str>, value: i64) -> Result<()> {
        if let Some(reason) = reason {
            checked_text("reason", reason)?;
        }
        if lock(&self.0.state).ended {
            return Ok(());
        }
        let ledger = self.0.ledger.current()?;
        let (no, number, reason) = (self.0.no, self.0.attempt, reason.map(ToOwned::to_owned));
        ledger.act(move |tx| open::end_attempt(tx, no, number, attempt.name(), reason.as_deref(), value))?;
        lock(&self.0.state).ended = true;
        Ok(())
    }
}

fn running(id: &str) -> Error {
    Error::conflict(format!("task `{id}` has an open attempt in a running process"))
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.state.get_mut().is_ok_and(|state| state.ended) || !self.ledger.is_own() {
            return;
        }
        let outcome = if std::thread::panicking() { Attempt::Failed } else { Attempt::Succeeded };
        let (no, attempt) = (self.no, self.attempt);
        // Nobody is left to be told; the attempt is lost when its owner ends.
        let _ = self.ledger.act(move |tx| open::end_attempt(tx, no, attempt, outcome.name(), None, 0));
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Task({} {}, attempt {})", self.0.name, self.0.id, self.0.attempt)
    }
}
