//! How is a task opened, and a budget declared?

use std::mem::take;

use super::{approval::OnLimit, route, task::Task};
use crate::{
    error::Result,
    ledger::open::OpenTask,
    policy::{Deadline, Limit, Thresholds},
    value::{Money, Tags, tags::checked_text},
};

/// How a task is opened.
///
/// ```
/// use outlay::{Ledger, Limit, TaskOptions, Unit};
///
/// let options = TaskOptions::new("refund")
///     .id("refund-4711")
///     .tag("tenant", "acme")?
///     .limit(Limit::usd("0.50")?)
///     .limit(Limit::new(Unit::LlmCalls, 30)?);
/// let task = Ledger::in_memory().open_task(options)?;
/// assert_eq!((task.name(), task.attempt()), ("refund", 1));
/// # Ok::<(), outlay::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TaskOptions {
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) tags: Tags,
    pub(super) limits: Vec<Limit>,
    pub(super) deadline: Option<Deadline>,
    pub(super) soft_deadline: Option<Deadline>,
    pub(super) alerts: Option<Thresholds>,
    pub(super) observes: bool,
    pub(super) clamps: bool,
    pub(super) wait_ms: Option<u64>,
    pub(super) on_limit: Option<OnLimit>,
    pub(super) parent: Option<Task>,
    pub(super) by: Option<String>,
    pub(super) fallback: Option<route::Models>,
    pub(super) wrap_up: Option<Money>,
    pub(super) is_unwatched: bool,
}

impl TaskOptions {
    /// A task of this name, without limits.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Entering a task of the same id again is its next attempt.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// One more tag; the class of the task is the tag `kind`.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: see [`Tags::set`].
    pub fn tag(mut self, key: &str, value: &str) -> Result<Self> {
        self.tags.set(key, value)?;
        Ok(self)
    }

    /// One more limit.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }

    /// When its last call may start, in whatever attempt; calls after it are `BudgetExceeded`. The time
    /// a person takes to approve what it asks for does not count.
    ///
    /// ```
    /// use outlay::{Ledger, Request, TaskOptions, policy::Deadline};
    ///
    /// let task = Ledger::in_memory().open_task(TaskOptions::new("t").deadline(Deadline::After(0)))?;
    /// let late = task.tool_call("search").unwrap_err();
    /// assert!(late.to_string().starts_with("task `t` had a deadline at "));
    /// # Ok::<(), outlay::Error>(())
    /// ```
    #[must_use]
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// From when on its calls are told to be late, in whatever attempt: they are over a soft limit, and
    /// the status says until when it was to be done. Waits for approvals do not count here either.
    ///
    /// ```
    /// use outlay::{Ledger, Request, TaskOptions, policy::Deadline};
    ///
    /// let options = TaskOptions::new("t").soft_deadline(Deadline::After(0));
    /// let task = Ledger::in_memory().open_task(options)?;
    /// let call = task.reserve(&Request::model("gpt-4o").input_tokens(9).max_output_tokens(9))?;
    /// assert!(call.over_soft());
    /// # Ok::<(), outlay::Error>(())
    /// ```
    #[must_use]
    pub fn soft_deadline(mut self, deadline: Deadline) -> Self {
        self.soft_deadline = Some(deadline);
        self
    }

    /// At which parts of its limits an alert is recorded; without a word at none, or as before.
    #[must_use]
    pub fn alerts(mut self, alerts: Thresholds) -> Self {
        self.alerts = Some(alerts);
        self
    }

    /// Deny nothing, and record what would have been denied.
    #[must_use]
    pub fn observe(mut self) -> Self {
        self.observes = true;
        self
    }

    /// Lower a request's own maximum of output tokens where only that makes it fit.
    #[must_use]
    pub fn clamp(mut self) -> Self {
        self.clamps = true;
        self
    }

    /// Wait so long for money that other calls hold, before denying.
    #[must_use]
    pub fn wait_ms(mut self, wait_ms: u64) -> Self {
        self.wait_ms = Some(wait_ms);
        self
    }

    /// Cheaper models, the first to be tried at the front: once a call would pass a soft limit, or not
    /// fit under a hard one, the first that can take it does, and the attempt stays with it. Tasks
    /// below use them too. None at all: not even those of the configuration.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: more than 32, or a name that cannot be.
    pub fn fallback<'a>(mut self, models: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        self.fallback = Some(route::models(models)?);
        Ok(self)
    }

    /// What happens to a call that a hard limit refuses.
    #[must_use]
    pub fn on_limit(mut self, on_limit: OnLimit) -> Self {
        self.on_limit = Some(on_limit);
        self
    }

    /// Puts so much by for one last call, when the attempt starts: that and one call of a model are held
    /// under every limit the task falls under. [`Request::last`](super::Request::last) then takes its
    /// place, and the attempt makes no call after it. What was put by counts as pending, and is given
    /// back when the attempt ends.
    ///
    /// ```
    /// use outlay::{ErrorKind, Ledger, Limit, Money, Request, TaskOptions};
    ///
    /// let options = TaskOptions::new("refund").limit(Limit::usd("0.10")?).wrap_up(Money::parse("0.05")?);
    /// let task = Ledger::in_memory().open_task(options)?;
    /// let request = Request::model("gpt-4o").input_tokens(4_000).max_output_tokens(4_000);
    ///
    /// let call = task.reserve(&request)?; // holds 0.05 USD
    /// assert_eq!(task.reserve(&request).unwrap_err().kind(), ErrorKind::BudgetExceeded);
    /// assert_eq!(task.reserve(&request.clone().last())?.reserved().to_string(), "0.05 USD");
    /// assert_eq!(task.reserve(&request.last()).unwrap_err().kind(), ErrorKind::BudgetExceeded);
    /// # let _ = call;
    /// # Ok::<(), outlay::Error>(())
    /// ```
    #[must_use]
    pub fn wrap_up(mut self, usd: Money) -> Self {
        self.wrap_up = Some(usd);
        self
    }

    /// The task it lies in: its tags are inherited, its limits hold too.
    #[must_use]
    pub fn under(mut self, parent: &Task) -> Self {
        self.parent = Some(parent.clone());
        self
    }

    /// Nobody watches it but who is named by [`Task::watch_by`], whatever the configuration says of its
    /// kind.
    #[must_use]
    pub fn unwatched(mut self) -> Self {
        self.is_unwatched = true;
        self
    }

    /// What the ledger is asked for a task with these tags, its own and inherited ones.
    pub(super) fn wanted(&mut self, tags: Tags) -> OpenTask {
        OpenTask {
            id: None,
            caller: self.id.take(),
            name: take(&mut self.name),
            parent: self.parent.as_ref().map_or(0, Task::no),
            tags,
            limits: take(&mut self.limits),
            deadlines: [self.deadline.take(), self.soft_deadline.take()],
            alerts: self.alerts.take(),
            observes: self.observes,
            by: self.by.take(),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        checked_text("task name", &self.name)?;
        self.id.as_deref().map_or(Ok(()), |id| checked_text("task id", id))
    }

    /// Who opens it, for the entry of a grant.
    #[must_use]
    pub fn by(mut self, name: &str) -> Self {
        self.by = Some(name.to_owned());
        self
    }
}

/// A shared budget as its owner declares it.
///
/// ```
/// use outlay::{Ledger, Limit, TaskOptions, Window, run::BudgetOptions};
///
/// let ledger = Ledger::in_memory();
/// let month = Limit::usd("50")?.per(Window::parse("month", Some("Europe/Berlin"))?);
/// ledger.set_budget(&BudgetOptions::new().tag("tenant", "acme")?.limit(month))?;
///
/// let task = ledger.open_task(TaskOptions::new("refund").tag("tenant", "acme")?)?;
/// assert_eq!(task.available()?.unwrap().to_string(), "50.00 USD");
/// # Ok::<(), outlay::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct BudgetOptions {
    pub(super) scope: Tags,
    pub(super) per: Option<String>,
    pub(super) limits: Vec<Limit>,
    pub(super) alerts: Option<Thresholds>,
    pub(super) by: Option<String>,
}

impl BudgetOptions {
    /// A budget over everything, with no limits yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only tasks with this tag fall under it.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: see [`Tags::set`].
    pub fn tag(mut self, key: &str, value: &str) -> Result<Self> {
        self.scope.set(key, value)?;
        Ok(self)
    }

    /// Each value of this tag has a budget of its own (at most ten thousand at a time).
    #[must_use]
    pub fn per(mut self, key: &str) -> Self {
        self.per = Some(key.to_owned());
        self
    }

    /// One more limit.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }

    /// At which parts of its limits an alert is recorded; without a word at those of the
    /// configuration, or as before.
    #[must_use]
    pub fn alerts(mut self, alerts: Thresholds) -> Self {
        self.alerts = Some(alerts);
        self
    }

    /// Who declares it, for the entry of a grant.
    #[must_use]
    pub fn by(mut self, name: &str) -> Self {
        self.by = Some(name.to_owned());
        self
    }
}
