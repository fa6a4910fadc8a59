//! Tasks.

use std::collections::HashMap;

use napi::{
    Env,
    bindgen_prelude::{BigInt, Object},
};
use napi_derive::napi;
use outlay::{
    Attempt, Error, ErrorKind, Limit, Money, Request, Task, TaskOptions, Unit, Window,
    meter::ServiceTier,
    policy::{Deadline, Thresholds},
    run::OnLimit,
};

use crate::{
    call::CALLS,
    convert::{LimitSpec, limits, nanos},
    ledger::LEDGERS,
    outcome::{Failure, Tagged, hot, later, now, try_now},
    report::{Summary, summary_of},
    table::Table,
    threads,
};

pub(crate) static TASKS: Table<Task> = Table::new();
static MODELS: Table<String> = Table::new();

/// The answer of a reserve when only money that other calls hold is in the way.
const CONTENDED: f64 = 0.0;

/// How a task is opened.
#[napi(object)]
pub struct TaskSpec {
    /// Its name.
    pub name: String,
    /// The caller's id: entering it again is the next attempt.
    pub id: Option<String>,
    /// Its limits.
    pub limits: Vec<LimitSpec>,
    /// Its tags.
    pub tags: HashMap<String, String>,
    /// Deny nothing, and record what would have been denied?
    pub observe: bool,
    /// Lower a request's own maximum of output where only that makes it fit?
    pub clamp: bool,
    /// How long to wait for money other calls hold, in milliseconds.
    pub wait_ms: Option<i64>,
    /// The handle of the task it lies in.
    pub under: Option<u32>,
    /// Who opens it.
    pub by: Option<String>,
    /// Cheaper models, the first to be tried at the front.
    pub fallback: Option<Vec<String>>,
    /// What a hard limit does to a call: `raise`, `ask` or `finish`.
    pub on_limit: Option<String>,
    /// When its last call may start, in milliseconds after its first opening.
    pub deadline_ms: Option<i64>,
    /// The same, in milliseconds since 1970.
    pub deadline_at_ms: Option<i64>,
    /// From when on its calls are late, in milliseconds after its first opening.
    pub soft_deadline_ms: Option<i64>,
    /// At which shares of its limits to tell.
    pub alerts: Option<Vec<String>>,
    /// The most all attempts after the first may cost together.
    pub retry_usd: Option<String>,
    /// What is put by for one last call.
    pub wrap_up_usd: Option<String>,
}

/// What is known of a task from its opening on.
#[napi(object)]
pub struct TaskFacts {
    /// Its name.
    pub name: String,
    /// Its id in the ledger.
    pub id: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Its tags, inherited ones too.
    pub tags: HashMap<String, String>,
    /// The store of its ledger.
    pub store: String,
    /// Does a call of it wait for a file?
    pub blocking: bool,
    /// How long it waits for money other calls hold, in milliseconds.
    pub wait_ms: i64,
    /// What a hard limit does to a call: `raise`, `ask` or `finish`.
    pub on_limit: String,
}

/// What is known of a request before it is made.
#[napi(object)]
pub struct RequestSpec {
    /// The model's name.
    pub model: String,
    /// The most input tokens it has.
    pub input_tokens: Option<i64>,
    /// The most output tokens of each answer.
    pub max_output_tokens: Option<i64>,
    /// How many answers it asks for.
    pub choices: Option<i64>,
    /// Who bills it.
    pub provider: Option<String>,
    /// A name unique within the attempt.
    pub id: Option<String>,
    /// The most it can cost by the caller's own word.
    pub max_usd: Option<String>,
    /// The service tier it asks for.
    pub service_tier: Option<String>,
    /// What the user's input is called that it helps to answer.
    pub turn: Option<String>,
    /// Is it the last call of the attempt?
    pub r#final: Option<bool>,
}

/// What a task has used, holds and cannot tell, over all attempts.
#[napi(object)]
pub struct TaskBalance {
    /// Settled and in doubt, in nano-USD.
    pub spent: BigInt,
    /// What open calls hold.
    pub pending: BigInt,
    /// What calls hold whose outcome nobody knows.
    pub in_doubt: BigInt,
    /// Tokens used.
    pub tokens: i64,
    /// Calls of a model.
    pub llm_calls: i64,
    /// Calls of a tool.
    pub tool_calls: i64,
}

/// Opens a task; answers its handle.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn open_task(env: &Env, ledger: u32, spec: TaskSpec) -> napi::Result<Object<'_>> {
    let parent = spec.under.map(|parent| TASKS.get(parent));
    let ledger = LEDGERS.get(ledger);
    later(env, move || {
        // TypeScript watches itself, also before a call of a tool is made.
        let mut options = TaskOptions::new(&spec.name).unwatched();
        for limit in limits(spec.limits)? {
            options = options.limit(limit);
        }
        for (key, value) in &spec.tags {
            options = options.tag(key, value)?;
        }
        if let Some(id) = &spec.id {
            options = options.id(id);
        }
        if spec.observe {
            options = options.observe();
        }
        if spec.clamp {
            options = options.clamp();
        }
        if let Some(wait) = spec.wait_ms {
            options = options.wait_ms(wait.unsigned_abs());
        }
        if let Some(parent) = parent {
            options = options.under(&*parent?);
        }
        if let Some(by) = &spec.by {
            options = options.by(by);
        }
        if let Some(models) = &spec.fallback {
            options = options.fallback(models.iter().map(String::as_str))?;
        }
        if let Some(word) = &spec.on_limit {
            options = options.on_limit(OnLimit::parse(word)?);
        }
        let after = spec.deadline_ms.map(Deadline::After);
        if let Some(deadline) = spec.deadline_at_ms.map(Deadline::At).or(after) {
            options = options.deadline(deadline);
        }
        if let Some(length) = spec.soft_deadline_ms {
            options = options.soft_deadline(Deadline::After(length));
        }
        if let Some(alerts) = &spec.alerts {
            options = options.alerts(Thresholds::parse(alerts.iter().map(String::as_str))?);
        }
        if let Some(most) = &spec.retry_usd {
            options = options.limit(Limit::usd(most)?.per(Window::Retries));
        }
        if let Some(put_by) = &spec.wrap_up_usd {
            options = options.wrap_up(Money::parse(put_by)?);
        }
        TASKS.add(ledger?.open_task(options)?)
    })
}

/// The handle of the task of calls under no other.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn default_task(env: &Env, ledger: u32) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || TASKS.add(ledger?.default_task()?))
}

/// What is known of a task from its opening on.
#[napi]
pub fn task_facts(task: u32) -> Tagged<TaskFacts> {
    now(|| {
        let task = TASKS.get(task)?;
        let tags = task.tags().iter();
        Ok(TaskFacts {
            name: task.name().to_owned(),
            id: task.id().to_string(),
            attempt: task.attempt(),
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            store: task.ledger().name().to_owned(),
            blocking: task.ledger().is_blocking(),
            wait_ms: task.wait_ms().unwrap_or(0) as i64,
            on_limit: task.on_limit().name().to_owned(),
        })
    })
}

/// A name for the turn that answers what the user said.
#[napi]
pub fn turn_of(task: u32, said: Vec<String>) -> Tagged<String> {
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    now(|| TASKS.get(task)?.turn_of(&said))
}

/// The number a model's name has in this process.
#[napi]
pub fn intern_model(model: String) -> f64 {
    hot(|| MODELS.add(model).map(f64::from))
}

/// Reserves without waiting: the hot form. A count below 0 is absent.
///
/// Answers the handle of the call, or a negative number if it failed.
#[napi]
pub fn reserve_sync(task: u32, model: u32, input_tokens: f64, max_output_tokens: f64) -> f64 {
    hot(|| {
        let mut request = Request::model(&MODELS.get(model)?).input_tokens(input_tokens as u64).wait_ms(0);
        if max_output_tokens >= 0.0 {
            request = request.max_output_tokens(max_output_tokens as u64);
        }
        CALLS.add(TASKS.get(task)?.reserve(&request)?).map(f64::from)
    })
}

/// Reserves without waiting. Answers the handle of the call, or a negative number if it failed.
#[napi]
pub fn reserve_request_sync(task: u32, spec: RequestSpec, poll: bool) -> f64 {
    hot(|| reserve_by(&*TASKS.get(task)?, &spec, poll))
}

/// The same for a ledger in a file, if nothing else uses it: -2 if it would have to wait.
#[napi]
pub fn try_reserve(task: u32, spec: RequestSpec, poll: bool) -> f64 {
    try_now(|| reserve_by(&*TASKS.get(task)?, &spec, poll))
}

/// The same, however long it waits. With `poll`, 0 if only money that other calls hold is in the way.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn reserve(env: &Env, task: u32, spec: RequestSpec, poll: bool) -> napi::Result<Object<'_>> {
    let task = TASKS.get(task);
    later(env, move || reserve_by(&*task?, &spec, poll))
}

fn reserve_by(task: &Task, spec: &RequestSpec, poll: bool) -> Result<f64, Error> {
    let count = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
    let mut request = Request::model(&spec.model).wait_ms(0);
    match spec.input_tokens {
        Some(tokens) => request = request.input_tokens(count(tokens)),
        None if spec.max_usd.is_none() => {
            return Err(Request::unbounded("neither `inputTokens` nor `maxUsd` is given"));
        }
        None => {}
    }
    if let Some(tokens) = spec.max_output_tokens {
        request = request.max_output_tokens(count(tokens));
    }
    if let Some(choices) = spec.choices {
        request = request.choices(count(choices));
    }
    if let Some(provider) = &spec.provider {
        request = request.provider(provider);
    }
    if let Some(id) = &spec.id {
        request = request.id(id);
    }
    if let Some(word) = &spec.service_tier {
        let no_tier =
            || Error::new(ErrorKind::InvalidInput, format!("`serviceTier` is `{word}`, which is no tier"));
        request = request.service_tier(ServiceTier::read(word).ok_or_else(no_tier)?);
    }
    if let Some(most) = &spec.max_usd {
        request = request.max_usd(Money::parse(most)?);
    }
    if let Some(turn) = &spec.turn {
        request = request.turn(turn);
    }
    if spec.r#final == Some(true) {
        request = request.last();
    }
    if !poll {
        return CALLS.add(task.reserve(&request)?).map(f64::from);
    }
    match task.poll(&request)? {
        Some(call) => CALLS.add(call).map(f64::from),
        None => Ok(CONTENDED),
    }
}

/// Counts a call of a tool. Negative if it failed.
#[napi]
pub fn tool_call_sync(task: u32, tool: String, turn: Option<String>) -> f64 {
    hot(|| TASKS.get(task)?.tool_call_in(&tool, turn.as_deref()).map(|()| 0.0))
}

/// The same for a ledger in a file, if nothing else uses it: -2 if it would have to wait.
#[napi]
pub fn try_tool_call(task: u32, tool: String, turn: Option<String>) -> f64 {
    try_now(|| TASKS.get(task)?.tool_call_in(&tool, turn.as_deref()).map(|()| 0.0))
}

/// The same, however long it waits.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn tool_call(env: &Env, task: u32, tool: String, turn: Option<String>) -> napi::Result<Object<'_>> {
    let task = TASKS.get(task);
    later(env, move || task?.tool_call_in(&tool, turn.as_deref()).map(|()| 0.0))
}

/// What it has used, holds and cannot tell.
#[napi(ts_return_type = "Promise<TaskBalance | Failure>")]
pub fn task_balance(env: &Env, task: u32) -> napi::Result<Object<'_>> {
    let task = TASKS.get(task);
    later(env, move || {
        let balance = task?.balance()?;
        Ok(TaskBalance {
            spent: balance.spent(Unit::Usd).into(),
            pending: nanos(balance.pending.usd()),
            in_doubt: nanos(balance.in_doubt.usd()),
            tokens: balance.spent(Unit::Tokens),
            llm_calls: balance.spent(Unit::LlmCalls),
            tool_calls: balance.spent(Unit::ToolCalls),
        })
    })
}

/// What is left, in nano-USD; null where no hard limit on money holds.
#[napi(ts_return_type = "Promise<bigint | null | Failure>")]
pub fn task_available(env: &Env, task: u32) -> napi::Result<Object<'_>> {
    let task = TASKS.get(task);
    later(env, move || Ok(task?.available()?.map(nanos)))
}

/// What it spent, by attempt and model, and which part bought nothing.
#[napi(ts_return_type = "Promise<Summary | Failure>")]
pub fn task_summary(env: &Env, task: u32) -> napi::Result<Object<'_>> {
    let task = TASKS.get(task);
    later::<Summary>(env, move || task?.summary().map(summary_of))
}

/// The latest verdict against it.
#[napi]
pub fn task_stopped(task: u32) -> Option<Failure> {
    TASKS.get(task).ok()?.stopped().map(Failure::from)
}

/// Refuses a billed request that cannot be metered, if there is a hard limit on money over it.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn unmetered(env: &Env, task: u32, what: String) -> napi::Result<Object<'_>> {
    let task = TASKS.get(task);
    later(env, move || task?.unmetered(&what).map(|()| 0.0))
}

/// Ends the attempt as `succeeded`, of which the value is kept, `failed` or `stopped`.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn end_task(
    env: &Env,
    task: u32,
    outcome: String,
    reason: Option<String>,
    value: Option<String>,
) -> napi::Result<Object<'_>> {
    let task = TASKS.get(task);
    later(env, move || {
        let known = [Attempt::Succeeded, Attempt::Failed, Attempt::Stopped];
        let attempt = known.into_iter().find(|attempt| attempt.name() == outcome).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("outcome `{outcome}` is not known"))
        })?;
        match (attempt, value) {
            (Attempt::Succeeded, Some(value)) => task?.succeed(&value)?,
            _ => task?.end(attempt, reason.as_deref())?,
        }
        Ok(0.0)
    })
}

/// Forgets a task nobody can reach any more; if its attempt is open, it ends.
#[napi]
pub fn release_task(task: u32) {
    let gone = TASKS.remove(task);
    threads::run(move |_| drop(gone));
}
