//! Tasks.

use outlay::{Attempt, meter::Api};
use pyo3::prelude::*;

use crate::{
    breaker::Breaker,
    call::Call,
    convert::{Money, count, decimal_text},
    error::{guard, invalid, patiently, raise, waiting},
    exchange::{LARGE_BYTES, Outgoing},
    price::tier,
    report::Summary,
    tracing::Trace,
};

/// One attempt at a task; `outlay.Task` wraps it.
#[pyclass(frozen, module = "outlay._native", weakref)]
pub(crate) struct Task {
    pub(crate) task: outlay::Task,
    pub(crate) blocking: bool,
}

#[pymethods]
impl Task {
    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.task.name()
    }

    /// Its id in the ledger.
    #[getter]
    fn id(&self) -> String {
        self.task.id().to_string()
    }

    /// Which attempt this is, from 1.
    #[getter]
    fn attempt(&self) -> u32 {
        self.task.attempt()
    }

    /// Its tags, inherited ones too.
    #[getter]
    fn tags(&self) -> std::collections::BTreeMap<String, String> {
        self.task.tags().iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// What a hard limit does to a call: "raise", "ask" or "finish".
    #[getter]
    fn on_limit(&self) -> &'static str {
        self.task.on_limit().name()
    }

    /// Does a call of it wait for a file?
    #[getter]
    fn blocking(&self) -> bool {
        self.blocking
    }

    /// Reserves the most a call can cost, before the call is made.
    ///
    /// The amount is held against every budget the call falls under, as one act: all of them hold
    /// it, or none does. End the call with exactly one of `settle` and `void`.
    ///
    /// Args:
    ///     model: the model's name.
    ///     input_tokens: the most input tokens the request has; no margin is added.
    ///     max_output_tokens: the most output tokens of each answer; chosen for you if absent.
    ///     choices: how many answers are asked for.
    ///     provider: who bills it, where the name of the model does not say.
    ///     id: a name unique within the attempt; reserving it again gives the same call.
    ///     max_usd: the most it can cost by your own word, held instead of the computed worst case.
    ///     wait_ms: wait so long for money that other calls hold.
    ///     service_tier: the tier it asks for, such as "flex" or "priority"; the dearer of it and
    ///         standard is held, and it is charged at unless the usage tells another.
    ///     turn: what the user's input is called that it helps to answer; limits per turn go by it.
    ///     final: it is the last call of the attempt, paid from what `wrap_up_usd` has put by.
    ///
    /// Raises:
    ///     BudgetExceeded: a hard limit would be passed. Nothing is held.
    ///     Unpriced: the model or its tier has no known price. Nothing is held.
    ///     InvalidInput: a number that cannot be.
    ///     Conflict: the attempt has ended, or the id was used with another request.
    ///     StoreUnavailable: the ledger could not answer. Do not make the call.
    ///
    /// Example:
    ///     >>> import outlay
    ///     >>> with outlay.task("t", usd=1, store="memory:") as t:
    ///     ...     t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=4000).reserved
    ///     Money('0.0425')
    #[pyo3(signature = (
        *, model, input_tokens=None, max_output_tokens=None, choices=None, provider=None, id=None,
        max_usd=None, wait_ms=None, service_tier=None, turn=None, r#final=false
    ))]
    #[allow(clippy::too_many_arguments)]
    fn reserve(
        &self,
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        input_tokens: Option<&Bound<'_, PyAny>>,
        max_output_tokens: Option<&Bound<'_, PyAny>>,
        choices: Option<&Bound<'_, PyAny>>,
        provider: Option<&str>,
        id: Option<&str>,
        max_usd: Option<&Bound<'_, PyAny>>,
        wait_ms: Option<&Bound<'_, PyAny>>,
        service_tier: Option<&str>,
        turn: Option<&str>,
        r#final: bool,
    ) -> PyResult<Call> {
        let Ok(model) = model.cast::<pyo3::types::PyString>() else {
            return Err(invalid(py, "`model` is not a text".to_owned()));
        };
        if input_tokens.is_none() && max_usd.is_none() {
            let reason = "neither `input_tokens` nor `max_usd` is given";
            return Err(raise(py, &outlay::Request::unbounded(reason)));
        }
        let counted = |value: Option<&Bound<'_, PyAny>>, name| value.map(|it| count(it, name)).transpose();
        let input_tokens = counted(input_tokens, "input_tokens")?;
        let max_output_tokens = counted(max_output_tokens, "max_output_tokens")?;
        let choices = counted(choices, "choices")?;
        let max_usd = max_usd.map(|most| decimal_text(most, "max_usd")).transpose()?;
        let max_usd = max_usd.map(|most| guard(py, || outlay::Money::parse(&most))).transpose()?;
        let service_tier = service_tier.map(|word| tier(py, word)).transpose()?;
        let wait_ms = counted(wait_ms, "wait_ms")?;
        // Only moves from here on: a way out between them would make each a copy.
        let mut request = outlay::Request::model(&model.to_string_lossy()).wait_ms(0);
        if let Some(tokens) = input_tokens {
            request = request.input_tokens(tokens);
        }
        if let Some(tokens) = max_output_tokens {
            request = request.max_output_tokens(tokens);
        }
        if let Some(choices) = choices {
            request = request.choices(choices);
        }
        if let Some(provider) = provider {
            request = request.provider(provider);
        }
        if let Some(id) = id {
            request = request.id(id);
        }
        if let Some(most) = max_usd {
            request = request.max_usd(most);
        }
        if let Some(tier) = service_tier {
            request = request.service_tier(tier);
        }
        if let Some(turn) = turn {
            request = request.turn(turn);
        }
        if r#final {
            request = request.last();
        }
        let reserve = || self.task.reserve(&request);
        let call = match wait_ms.or(self.task.wait_ms()).unwrap_or(0) {
            0 => waiting(py, self.blocking, reserve)?,
            wait_ms => patiently(py, wait_ms, || self.task.poll(&request), reserve)?,
        };
        Ok(Call { call, blocking: self.blocking, trace: Trace::default() })
    }

    /// Reads and counts a request from the JSON body about to be sent; for integrations.
    #[pyo3(signature = (
        api, body, *, host=None, wait_ms=None, max_usd=None, max_input_tokens=None, turn=None,
        watched=false, keeps_model=false, tell_budget=vec![], r#final=false
    ))]
    #[allow(clippy::too_many_arguments)]
    fn outgoing(
        &self,
        py: Python<'_>,
        api: &str,
        body: &str,
        host: Option<&str>,
        wait_ms: Option<u64>,
        max_usd: Option<&Bound<'_, PyAny>>,
        max_input_tokens: Option<&Bound<'_, PyAny>>,
        turn: Option<String>,
        watched: bool,
        keeps_model: bool,
        tell_budget: Vec<u8>,
        r#final: bool,
    ) -> PyResult<Outgoing> {
        let mut terms = outlay::run::Terms {
            wait_ms,
            turn,
            is_regional: host.is_some_and(outlay::meter::is_regional),
            is_watched: watched,
            keeps_model,
            tell_budget,
            is_last: r#final,
            ..Default::default()
        };
        if let Some(most) = max_usd {
            let text = decimal_text(most, "max_usd")?;
            terms.max_usd = Some(guard(py, || outlay::Money::parse(&text))?);
        }
        if let Some(tokens) = max_input_tokens {
            terms.max_input_tokens = Some(count(tokens, "max_input_tokens")?);
        }
        let free = self.blocking || body.len() > LARGE_BYTES;
        let read = || {
            let api = api.parse::<Api>()?;
            self.task.outgoing(host.map_or(api, |host| api.at(host)), body.as_bytes(), &terms)
        };
        let outgoing = waiting(py, free, read)?;
        Ok(Outgoing { outgoing, blocking: self.blocking })
    }

    /// Asks this breaker about its requests from now on. What it says is recorded in the first task
    /// that it watches.
    fn watch(&self, breaker: &Breaker) {
        self.task.watch_by(&breaker.watch);
    }

    /// The ledger it is recorded in.
    fn ledger(&self) -> crate::ledger::Ledger {
        crate::ledger::Ledger(self.task.ledger().clone())
    }

    /// What it spent, by attempt and model, and which part bought nothing.
    fn summary(&self, py: Python<'_>) -> PyResult<Summary> {
        waiting(py, self.blocking, || self.task.summary()).map(Summary)
    }

    /// Refuses a billed request that cannot be metered, if there is a hard limit on money over it.
    fn unmetered(&self, py: Python<'_>, what: &str) -> PyResult<()> {
        waiting(py, self.blocking, || self.task.unmetered(what))
    }

    /// Counts a call of a tool against `tool_calls`, and in a turn against what that may use.
    ///
    /// Raises:
    ///     BudgetExceeded: no call of a tool is left.
    #[pyo3(signature = (tool, *, turn=None))]
    fn tool_call(&self, py: Python<'_>, tool: &str, turn: Option<&str>) -> PyResult<()> {
        waiting(py, self.blocking, || self.task.tool_call_in(tool, turn))
    }

    /// What it has used and cannot tell, over all attempts.
    #[getter]
    fn spent(&self, py: Python<'_>) -> PyResult<Money> {
        let balance = waiting(py, self.blocking, || self.task.balance())?;
        Ok(Money(outlay::Money::from_nanos(balance.spent(outlay::Unit::Usd))))
    }

    /// What open calls hold.
    #[getter]
    fn pending(&self, py: Python<'_>) -> PyResult<Money> {
        waiting(py, self.blocking, || self.task.balance()).map(|balance| Money(balance.pending.usd()))
    }

    /// What calls hold whose outcome nobody knows.
    #[getter]
    fn in_doubt(&self, py: Python<'_>) -> PyResult<Money> {
        waiting(py, self.blocking, || self.task.balance()).map(|balance| Money(balance.in_doubt.usd()))
    }

    /// What is left: the least over every hard limit on money; None where there is none.
    #[getter]
    fn available(&self, py: Python<'_>) -> PyResult<Option<Money>> {
        waiting(py, self.blocking, || self.task.available()).map(|left| left.map(Money))
    }

    /// How much of each unit was used: usd (in nano-USD), tokens, llm_calls, tool_calls.
    fn used(&self, py: Python<'_>) -> PyResult<std::collections::BTreeMap<&'static str, i64>> {
        let balance = waiting(py, self.blocking, || self.task.balance())?;
        Ok(outlay::Unit::ALL.into_iter().map(|unit| (unit.name(), balance.spent(unit))).collect())
    }

    /// How it stands against its hard limits, in words, and how many per cent are used of the limit
    /// that is the most used up.
    fn status(&self, py: Python<'_>) -> PyResult<(String, Option<u8>)> {
        let status = waiting(py, self.blocking, || self.task.status())?;
        Ok((status.text, status.used_percent))
    }

    /// The latest verdict against it as an exception, or None.
    #[getter]
    fn stopped(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let error = self.task.stopped()?;
        Some(raise(py, &error).into_value(py).into_any())
    }

    /// Ends the attempt. One that succeeded may have been worth something, as a decimal number.
    #[pyo3(signature = (outcome, reason=None, value=None))]
    fn end(&self, py: Python<'_>, outcome: &str, reason: Option<&str>, value: Option<&str>) -> PyResult<()> {
        let attempt = match outcome {
            "succeeded" => Attempt::Succeeded,
            "failed" => Attempt::Failed,
            "stopped" => Attempt::Stopped,
            other => return Err(invalid(py, format!("outcome `{other}` is not known"))),
        };
        waiting(py, self.blocking, || match (attempt, value) {
            (Attempt::Succeeded, Some(value)) => self.task.succeed(value),
            _ => self.task.end(attempt, reason),
        })
    }
}
