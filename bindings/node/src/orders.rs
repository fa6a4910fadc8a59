//! What do people order, allow, and find out? Halts, approvals, and what limits would have refused.

use napi::{
    Env,
    bindgen_prelude::{BigInt, Object},
};
use napi_derive::napi;
use outlay::{
    ledger::{Approval, Halt},
    policy::Scope,
    report::ObservedRow,
};

use crate::{convert::nanos, ledger::LEDGERS, outcome::later, task::TASKS};

/// The calls of one task name that one limit would have refused.
#[napi(object)]
pub struct Observed {
    /// The name of the tasks.
    pub task: Option<String>,
    /// Whose limit it is.
    pub budget: Option<String>,
    /// What is limited.
    pub unit: Option<String>,
    /// How many calls, of models and tools.
    pub calls: f64,
    /// What they cost, in nano-USD.
    pub settled: BigInt,
}

/// What a task asks for that nobody has approved.
#[napi(object)]
pub struct Asked {
    /// What to approve it by.
    pub id: String,
    /// The name of the task.
    pub task: String,
    /// Whose limit is in its way.
    pub budget: String,
    /// What is limited.
    pub unit: String,
    /// How much is needed at least, as a decimal number.
    pub needed: String,
}

/// A halt in force.
#[napi(object)]
pub struct HaltInForce {
    /// What is halted.
    pub scope: String,
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Lets no call in a scope start until it is undone; answers how many open attempts lie in it.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn halt(env: &Env, ledger: u32, scope: String, by: String, reason: String) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || Ok(ledger?.halt(&Scope::parse(&scope)?, &by, &reason)? as f64))
}

/// Undoes a halt.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn unhalt(env: &Env, ledger: u32, scope: String, by: String) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || ledger?.unhalt(&Scope::parse(&scope)?, &by).map(|()| 0.0))
}

/// The halts in force, oldest first.
#[napi(ts_return_type = "Promise<Array<HaltInForce> | Failure>")]
pub fn halts(env: &Env, ledger: u32) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || {
        let shown = |halt: Halt| HaltInForce { scope: halt.scope, by: halt.by, reason: halt.reason };
        Ok(ledger?.halts()?.into_iter().map(shown).collect::<Vec<_>>())
    })
}

/// What tasks ask for that nobody has approved, oldest first.
#[napi(ts_return_type = "Promise<Array<Asked> | Failure>")]
pub fn approvals(env: &Env, ledger: u32) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    let shown = |ask: Approval| Asked {
        id: ask.id.to_string(),
        unit: ask.unit.name().to_owned(),
        needed: ask.unit.show(ask.needed),
        task: ask.task,
        budget: ask.budget,
    };
    later(env, move || Ok(ledger?.approvals()?.into_iter().map(shown).collect::<Vec<_>>()))
}

/// Gives a task what it asks for.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn approve(
    env: &Env,
    ledger: u32,
    id: String,
    add: String,
    by: String,
    key: Option<String>,
) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || ledger?.approve(&id.parse()?, &add, &by, key.as_deref()).map(|_| 0.0))
}

/// Was it approved? 1 or 0.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn is_approved(env: &Env, ledger: u32, id: String) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || Ok(f64::from(u8::from(ledger?.is_approved(&id.parse()?)?))))
}

/// What the limits of tasks that only observe would have refused, the dearest first.
#[napi(ts_return_type = "Promise<Array<Observed> | Failure>")]
pub fn observed(env: &Env, ledger: u32, since: Option<String>) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    let shown = |row: ObservedRow| {
        let ObservedRow { task, budget, unit, calls, settled, .. } = row;
        Observed { task, budget, unit, calls: calls as f64, settled: nanos(settled) }
    };
    later(env, move || {
        let report = ledger?.observed(since.as_deref().map(str::parse).transpose()?)?;
        Ok(report.rows.into_iter().map(shown).collect::<Vec<_>>())
    })
}

/// How a task stands against its hard limits.
#[napi(object)]
pub struct StatusFacts {
    /// What is used and left, in words.
    pub text: String,
    /// How much of the limit is used that is the most used up, in per cent.
    pub used_percent: Option<u8>,
}

/// What is used and left under a task's hard limits.
#[napi(ts_return_type = "Promise<StatusFacts | Failure>")]
pub fn task_status(env: &Env, task: u32) -> napi::Result<Object<'_>> {
    let task = TASKS.get(task);
    later(env, move || {
        let status = task?.status()?;
        Ok(StatusFacts { text: status.text, used_percent: status.used_percent })
    })
}
