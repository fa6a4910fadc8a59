//! Ledgers, options of the process, forks, and the command line.

use outlay::{
    BudgetOptions, TaskOptions, Unit, Window,
    policy::{Deadline, Scope},
    report::{Checkpoint, Share},
    run::{OnLimit, process},
};
use pyo3::{prelude::*, types::PyDict};

use crate::{
    alert::thresholds,
    audit::Audit,
    convert::{Money, count, decimal_text, limits},
    elsewhere::WhatIfReport,
    error::{guard, invalid, waiting},
    forecast::Forecast,
    kinds::{KindsReport, SloReport},
    margin::MarginReport,
    price::tier,
    report::{MeterReport, ObservedRow, Report},
    suggest::Suggestions,
    task::Task,
    usage::Usage,
    value::ValueReport,
    waste::{TaxReport, WasteReport},
};

/// A request for approval: its id, the task, whose limit, its unit, how much is needed.
type Asked = (String, String, String, String, String);

/// A ledger; `outlay.ledger` opens it once per process.
#[pyclass(frozen, module = "outlay._native")]
pub(crate) struct Ledger(pub(crate) outlay::Ledger);

/// Opens a ledger, or gives the one that is open already.
#[pyfunction]
#[pyo3(signature = (store=None))]
pub(crate) fn ledger(py: Python<'_>, store: Option<&str>) -> PyResult<Ledger> {
    waiting(py, true, || process::ledger(store)).map(Ledger)
}

#[pymethods]
impl Ledger {
    /// The store it was opened at.
    #[getter]
    fn store(&self) -> &str {
        self.0.name()
    }

    /// Opens a task.
    #[pyo3(signature = (
        name, *, id=None, usd=None, tokens=None, llm_calls=None, tool_calls=None, tags=None,
        enforce=true, clamp=false, wait_ms=None, on_limit=None, under=None, by=None, fallback=None,
        deadline_ms=None, deadline_at_ms=None, wrap_up_usd=None, alerts=None, retry_usd=None,
        soft_deadline_ms=None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn task(
        &self,
        py: Python<'_>,
        name: &str,
        id: Option<&str>,
        usd: Option<&Bound<'_, PyAny>>,
        tokens: Option<&Bound<'_, PyAny>>,
        llm_calls: Option<&Bound<'_, PyAny>>,
        tool_calls: Option<&Bound<'_, PyAny>>,
        tags: Option<&Bound<'_, PyDict>>,
        enforce: bool,
        clamp: bool,
        wait_ms: Option<&Bound<'_, PyAny>>,
        on_limit: Option<&str>,
        under: Option<&Task>,
        by: Option<&str>,
        fallback: Option<Vec<String>>,
        deadline_ms: Option<i64>,
        deadline_at_ms: Option<i64>,
        wrap_up_usd: Option<&Bound<'_, PyAny>>,
        alerts: Option<Vec<Bound<'_, PyAny>>>,
        retry_usd: Option<&Bound<'_, PyAny>>,
        soft_deadline_ms: Option<i64>,
    ) -> PyResult<Task> {
        // Python watches itself, also before a call of a tool is made.
        let mut options = TaskOptions::new(name).unwatched();
        for limit in all_limits([usd, tokens, llm_calls, tool_calls])? {
            options = options.limit(limit);
        }
        for (key, value) in texts(py, tags)? {
            options = guard(py, || options.tag(&key, &value))?;
        }
        if let Some(id) = id {
            options = options.id(id);
        }
        if !enforce {
            options = options.observe();
        }
        if clamp {
            options = options.clamp();
        }
        if let Some(wait) = wait_ms {
            options = options.wait_ms(count(wait, "wait_ms")?);
        }
        if let Some(word) = on_limit {
            options = options.on_limit(guard(py, || OnLimit::parse(word))?);
        }
        if let Some(parent) = under {
            options = options.under(&parent.task);
        }
        if let Some(by) = by {
            options = options.by(by);
        }
        let after = deadline_ms.map(Deadline::After);
        if let Some(deadline) = deadline_at_ms.map(Deadline::At).or(after) {
            options = options.deadline(deadline);
        }
        if let Some(length) = soft_deadline_ms {
            options = options.soft_deadline(Deadline::After(length));
        }
        if let Some(alerts) = thresholds(py, alerts)? {
            options = options.alerts(alerts);
        }
        if let Some(models) = &fallback {
            options = guard(py, || options.fallback(models.iter().map(String::as_str)))?;
        }
        if let Some(most) = retry_usd {
            let text = decimal_text(most, "retry_usd")?;
            options = options.limit(guard(py, || outlay::Limit::usd(&text))?.per(Window::Retries));
        }
        if let Some(put_by) = wrap_up_usd {
            let text = decimal_text(put_by, "wrap_up_usd")?;
            options = options.wrap_up(guard(py, || outlay::Money::parse(&text))?);
        }
        let blocking = self.0.is_blocking();
        let task = waiting(py, blocking, || self.0.open_task(options))?;
        Ok(Task { task, blocking })
    }

    /// What the breaker of tasks of a kind goes by, as JSON; None where none is configured.
    fn kind_breaker(&self, kind: &str) -> Option<String> {
        self.0.config().kinds.get(kind)?.breaker().map(ToString::to_string)
    }

    /// The task of calls under no other.
    fn default_task(&self, py: Python<'_>) -> PyResult<Task> {
        let blocking = self.0.is_blocking();
        let task = waiting(py, blocking, || self.0.default_task())?;
        Ok(Task { task, blocking })
    }

    /// Declares a shared budget.
    #[pyo3(signature = (
        *, tags=None, per=None, usd=None, tokens=None, llm_calls=None, tool_calls=None, by=None,
        alerts=None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn budget(
        &self,
        py: Python<'_>,
        tags: Option<&Bound<'_, PyDict>>,
        per: Option<&str>,
        usd: Option<&Bound<'_, PyAny>>,
        tokens: Option<&Bound<'_, PyAny>>,
        llm_calls: Option<&Bound<'_, PyAny>>,
        tool_calls: Option<&Bound<'_, PyAny>>,
        by: Option<&str>,
        alerts: Option<Vec<Bound<'_, PyAny>>>,
    ) -> PyResult<()> {
        let mut options = BudgetOptions::new();
        for (key, value) in texts(py, tags)? {
            options = guard(py, || options.tag(&key, &value))?;
        }
        if let Some(per) = per {
            options = options.per(per);
        }
        for limit in all_limits([usd, tokens, llm_calls, tool_calls])? {
            options = options.limit(limit);
        }
        if let Some(by) = by {
            options = options.by(by);
        }
        if let Some(alerts) = thresholds(py, alerts)? {
            options = options.alerts(alerts);
        }
        waiting(py, true, || self.0.set_budget(&options))
    }

    /// Erases the value of a tag for ever.
    fn forget(&self, py: Python<'_>, key: &str, value: &str) -> PyResult<()> {
        waiting(py, true, || self.0.forget(key, value))
    }

    /// Ends a call in doubt: with its usage, or void without one.
    #[pyo3(signature = (id, usage=None, *, by))]
    fn resolve(&self, py: Python<'_>, id: &str, usage: Option<Usage>, by: &str) -> PyResult<Money> {
        let told = usage.map(|usage| usage.told());
        let run = || self.0.resolve(id.parse()?, told.as_ref(), by);
        waiting(py, true, run).map(Money)
    }

    /// Lets no call in a scope start; returns how many open attempts lie in it.
    #[pyo3(signature = (scope, *, by, reason))]
    fn halt(&self, py: Python<'_>, scope: &str, by: &str, reason: &str) -> PyResult<usize> {
        waiting(py, true, || self.0.halt(&Scope::parse(scope)?, by, reason))
    }

    /// Undoes a halt.
    #[pyo3(signature = (scope, *, by))]
    fn unhalt(&self, py: Python<'_>, scope: &str, by: &str) -> PyResult<()> {
        waiting(py, true, || self.0.unhalt(&Scope::parse(scope)?, by))
    }

    /// The halts in force, oldest first: scope, by whom, why.
    fn halts(&self, py: Python<'_>) -> PyResult<Vec<(String, String, String)>> {
        let halts = waiting(py, true, || self.0.halts())?;
        Ok(halts.into_iter().map(|halt| (halt.scope, halt.by, halt.reason)).collect())
    }

    /// Raises the limit that is in the way of a task, by an amount of its unit.
    #[pyo3(signature = (id, *, add, by, key=None))]
    fn approve(
        &self,
        py: Python<'_>,
        id: &str,
        add: &Bound<'_, PyAny>,
        by: &str,
        key: Option<&str>,
    ) -> PyResult<()> {
        let add = decimal_text(add, "add")?;
        waiting(py, true, || self.0.approve(&id.parse()?, &add, by, key).map(drop))
    }

    /// Was it approved? Raises Halted if the task that asks was halted.
    fn is_approved(&self, py: Python<'_>, id: &str) -> PyResult<bool> {
        waiting(py, true, || self.0.is_approved(&id.parse()?))
    }

    /// What tasks ask for that nobody has approved, oldest first: id, task, whose limit, unit, how
    /// much is needed.
    fn approvals(&self, py: Python<'_>) -> PyResult<Vec<Asked>> {
        let asks = waiting(py, true, || self.0.approvals())?;
        let shown = |ask: outlay::ledger::Approval| {
            let (unit, needed) = (ask.unit.name().to_owned(), ask.unit.show(ask.needed));
            (ask.id.to_string(), ask.task, ask.budget, unit, needed)
        };
        Ok(asks.into_iter().map(shown).collect())
    }

    /// The ids of calls in doubt, oldest first, each with what it holds.
    #[pyo3(signature = (most=1000))]
    fn in_doubt(&self, py: Python<'_>, most: usize) -> PyResult<Vec<(String, Money)>> {
        let calls = waiting(py, true, || self.0.in_doubt(most))?;
        Ok(calls.into_iter().map(|call| (call.id.to_string(), Money(call.held))).collect())
    }

    /// How far bounds of input were from the truth.
    #[pyo3(signature = (*, since=None))]
    fn meter_report(&self, py: Python<'_>, since: Option<&str>) -> PyResult<MeterReport> {
        waiting(py, true, || self.0.meter(since.map(str::parse).transpose()?)).map(MeterReport)
    }

    /// Where the money went: by "task", "attempt", "kind", "agent", "step", "turn", "model",
    /// "provider" or "tag:NAME".
    #[pyo3(signature = (by="task", *, since=None))]
    fn report(&self, py: Python<'_>, by: &str, since: Option<&str>) -> PyResult<Report> {
        let read = || {
            let since = since.map(str::parse).transpose()?;
            self.0.report(&outlay::report::ReportOptions { by: by.parse()?, since })
        };
        waiting(py, true, read).map(Report)
    }

    /// The same with charts, as a page of HTML that loads nothing.
    #[pyo3(signature = (by="task", *, since=None))]
    fn report_html(&self, py: Python<'_>, by: &str, since: Option<&str>) -> PyResult<String> {
        let read = || {
            let since = since.map(str::parse).transpose()?;
            self.0.report_html(&outlay::report::ReportOptions { by: by.parse()?, since })
        };
        waiting(py, true, read)
    }

    /// What limits of tasks that only observe would have refused, the dearest first.
    #[pyo3(signature = (*, since=None))]
    fn observed(&self, py: Python<'_>, since: Option<&str>) -> PyResult<Vec<ObservedRow>> {
        let read = || self.0.observed(since.map(str::parse).transpose()?);
        Ok(waiting(py, true, read)?.rows.into_iter().map(ObservedRow).collect())
    }

    /// What was paid for nothing, by kind.
    #[pyo3(signature = (*, since=None))]
    fn waste(&self, py: Python<'_>, since: Option<&str>) -> PyResult<WasteReport> {
        waiting(py, true, || self.0.waste(since.map(str::parse).transpose()?)).map(WasteReport)
    }

    /// Limits that so many per cent of the runs that succeeded would have kept within.
    #[pyo3(signature = (*, kind=None, since=None, share=95))]
    fn suggest_limits(
        &self,
        py: Python<'_>,
        kind: Option<&str>,
        since: Option<&str>,
        share: u8,
    ) -> PyResult<Suggestions> {
        let read = || {
            let share = Share::per_cent(share)?;
            self.0.suggest_limits(kind, since.map(str::parse).transpose()?, share)
        };
        waiting(py, true, read).map(Suggestions)
    }

    /// How often runs fail, and what that cost.
    #[pyo3(signature = (*, since=None))]
    fn tax(&self, py: Python<'_>, since: Option<&str>) -> PyResult<TaxReport> {
        waiting(py, true, || self.0.tax(since.map(str::parse).transpose()?)).map(TaxReport)
    }

    /// What the money bought, by runs that said what they were worth.
    #[pyo3(signature = (*, since=None))]
    fn value(&self, py: Python<'_>, since: Option<&str>) -> PyResult<ValueReport> {
        waiting(py, true, || self.0.value(since.map(str::parse).transpose()?)).map(ValueReport)
    }

    /// What a run of each kind costs, how often it succeeds, and with which model.
    #[pyo3(signature = (*, since=None))]
    fn kinds(&self, py: Python<'_>, since: Option<&str>) -> PyResult<KindsReport> {
        waiting(py, true, || self.0.kinds(since.map(str::parse).transpose()?)).map(KindsReport)
    }

    /// Whether runs of each kind cost what the configuration says they may.
    #[pyo3(signature = (*, since=None))]
    fn slo(&self, py: Python<'_>, since: Option<&str>) -> PyResult<SloReport> {
        waiting(py, true, || self.0.slo(since.map(str::parse).transpose()?)).map(SloReport)
    }

    /// What is left of what was earned; `revenue` is CSV or a JSON object.
    #[pyo3(signature = (by, revenue, *, since=None))]
    fn margin(&self, py: Python<'_>, by: &str, revenue: &str, since: Option<&str>) -> PyResult<MarginReport> {
        let read = || {
            let since = since.map(str::parse).transpose()?;
            let options =
                outlay::report::MarginOptions { since, ..outlay::report::MarginOptions::by(by.parse()?) };
            self.0.margin(&options.revenue(revenue)?)
        };
        waiting(py, true, read).map(MarginReport)
    }

    /// What was recorded, priced as if it had gone to another model, provider or service tier.
    #[pyo3(signature = (model=None, *, provider=None, service_tier=None, since=None))]
    fn what_if(
        &self,
        py: Python<'_>,
        model: Option<&str>,
        provider: Option<&str>,
        service_tier: Option<&str>,
        since: Option<&str>,
    ) -> PyResult<WhatIfReport> {
        let tier = service_tier.map(|word| tier(py, word)).transpose()?;
        let (model, provider) = (model.map(str::to_owned), provider.map(str::to_owned));
        let read = || {
            let since = since.map(str::parse).transpose()?;
            self.0.what_if(&outlay::report::WhatIfOptions { model, provider, tier, since })
        };
        waiting(py, true, read).map(WhatIfReport)
    }

    /// What the month will cost, and when budgets will be used up.
    #[pyo3(signature = (by=None))]
    fn forecast(&self, py: Python<'_>, by: Option<&str>) -> PyResult<Forecast> {
        waiting(py, true, || self.0.forecast(by.map(str::parse).transpose()?)).map(Forecast)
    }

    /// Recomputes every balance from the entries; raises Corrupt if one differs.
    fn check_balances(&self, py: Python<'_>) -> PyResult<()> {
        waiting(py, true, || self.0.check_balances())
    }

    /// Computes chains, balances and names again. With the text of a checkpoint, holds what lies
    /// before it against it; with a public key too, refuses a checkpoint by another key.
    #[pyo3(signature = (checkpoint=None, *, key=None))]
    fn audit(&self, py: Python<'_>, checkpoint: Option<&str>, key: Option<&str>) -> PyResult<Audit> {
        let read = || {
            let kept: Option<Checkpoint> = checkpoint.map(str::parse).transpose()?;
            if let (Some(kept), Some(key)) = (&kept, key) {
                kept.expect_signer(key)?;
            }
            self.0.audit(kept.as_ref())
        };
        waiting(py, true, read).map(Audit)
    }

    /// What the ledger is now, signed by an Ed25519 key in PEM, as a text to keep elsewhere.
    fn checkpoint(&self, py: Python<'_>, key_pem: &str) -> PyResult<String> {
        waiting(py, true, || self.0.checkpoint(key_pem)).map(|checkpoint| checkpoint.to_string())
    }

    /// Ends owners that died; returns how many of their calls are in doubt now.
    fn sweep(&self, py: Python<'_>) -> PyResult<usize> {
        waiting(py, true, || self.0.sweep())
    }

    fn __repr__(&self) -> String {
        format!("<Ledger {}>", self.0.name())
    }
}

fn all_limits(values: [Option<&Bound<'_, PyAny>>; 4]) -> PyResult<Vec<outlay::Limit>> {
    let each = values.into_iter().zip(Unit::ALL).map(|(value, unit)| limits(value, unit));
    each.collect::<PyResult<Vec<_>>>().map(|all| all.concat())
}

fn texts(py: Python<'_>, tags: Option<&Bound<'_, PyDict>>) -> PyResult<Vec<(String, String)>> {
    let Some(tags) = tags else { return Ok(Vec::new()) };
    let text = |value: &Bound<'_, PyAny>| -> PyResult<String> {
        value.extract().map_err(|_| invalid(py, "tags are texts by texts".to_owned()))
    };
    tags.iter().map(|(key, value)| Ok((text(&key)?, text(&value)?))).collect()
}

/// Changes options of the process, given as JSON.
#[pyfunction]
pub(crate) fn configure(py: Python<'_>, json: &str) -> PyResult<()> {
    waiting(py, true, || {
        let choices = outlay::run::config::Choices::from_json(json)?;
        let config = (*process::config()?).clone().with(&choices)?;
        process::configure(config);
        Ok(())
    })
}

/// Gives every option of the process its default again.
#[pyfunction]
pub(crate) fn reset_options() {
    process::configure(outlay::Config::default());
}

/// What happens to calls under no task: "warn" or "refuse".
#[pyfunction]
pub(crate) fn unbound_policy(py: Python<'_>) -> PyResult<&'static str> {
    let config = waiting(py, true, process::config)?;
    Ok(if config.unbound == outlay::run::Unbound::Warn { "warn" } else { "refuse" })
}

/// What happens to billed methods that cannot be metered: "refuse" or "allow".
#[pyfunction]
pub(crate) fn unmetered_policy(py: Python<'_>) -> PyResult<&'static str> {
    let config = waiting(py, true, process::config)?;
    Ok(if config.unmetered == outlay::run::Unmetered::Refuse { "refuse" } else { "allow" })
}

/// To be called before a fork.
#[pyfunction]
pub(crate) fn before_fork() {
    process::before_fork();
}

/// To be called after a fork, in the parent.
#[pyfunction]
pub(crate) fn after_fork_in_parent() {
    process::after_fork_in_parent();
}

/// To be called after a fork, in the child.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    process::after_fork_in_child();
}

/// Ends this process as an owner of its ledgers.
#[pyfunction]
pub(crate) fn close_all(py: Python<'_>) {
    py.detach(process::close_all);
}

/// The codes of every kind of error, with its family.
#[pyfunction]
pub(crate) fn error_codes() -> Vec<(&'static str, String)> {
    let family = |kind: outlay::ErrorKind| format!("{:?}", kind.family()).to_lowercase();
    outlay::ErrorKind::ALL.into_iter().map(|kind| (kind.code(), family(kind))).collect()
}

/// Runs the command line; returns its exit code. Webhooks are sent by `outlay._post`.
#[pyfunction]
pub(crate) fn run_command(py: Python<'_>, arguments: Vec<String>) -> i32 {
    py.detach(|| outlay_cli::run_posting(&arguments, &post))
}

fn post(url: &str, headers: &[(&str, String)], body: &str) -> Result<u16, String> {
    Python::attach(|py| {
        let send = || {
            let given = PyDict::new(py);
            for (name, value) in headers {
                given.set_item(name, value)?;
            }
            py.import("outlay._post")?.call_method1("post", (url, given, body))
        };
        let answer = send().map_err(|error| error.get_type(py).to_string())?;
        answer.extract::<u16>().map_err(|_| answer.to_string())
    })
}

/// The version of the package.
#[pyfunction]
pub(crate) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
