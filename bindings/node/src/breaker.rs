//! Breakers.

use std::sync::Arc;

use napi::{
    Env,
    bindgen_prelude::{Buffer, Object, Uint8Array},
};
use napi_derive::napi;
use outlay::{
    Error, ErrorKind,
    policy::{self, Step},
    run::Watch,
};
use serde_json::Value;

use crate::{
    outcome::{Tagged, hot, later, now},
    table::Table,
    task::TASKS,
};

static BREAKERS: Table<Arc<Watch>> = Table::new();

/// What a breaker says about a step.
#[napi(object)]
pub struct VerdictFacts {
    /// `ok`, `nudge`, `refuse`, `pause` or `stop`.
    pub level: String,
    /// Who found something.
    pub detector: Option<String>,
    /// On what grounds, as JSON; null at `ok`.
    pub evidence: Option<String>,
    /// What to tell the model.
    pub message: String,
}

/// Makes a breaker from its configuration as JSON, or from its state, or from both. Negative if that
/// failed, else its handle.
#[napi]
pub fn open_breaker(config: Option<String>, state: Option<Uint8Array>) -> f64 {
    hot(|| {
        let mut breaker = match state {
            Some(state) => policy::Breaker::from_state(&state)?,
            None => policy::Breaker::default(),
        };
        if let Some(config) = config {
            breaker = breaker.reconfigured(&json(&config)?)?;
        }
        BREAKERS.add(Watch::new(breaker).into()).map(f64::from)
    })
}

/// Asks it about the requests of a task from now on. What it says is recorded in the first task that it
/// watches. Negative if it failed.
#[napi]
pub fn watch_task(task: u32, breaker: u32) -> f64 {
    hot(|| {
        TASKS.get(task)?.watch_by(&*BREAKERS.get(breaker)?);
        Ok(0.0)
    })
}

/// Tells it what happened, as JSON; with `only_check`, asks what would follow and changes nothing.
#[napi]
pub fn ask_breaker(breaker: u32, step: String, only_check: bool) -> Tagged<VerdictFacts> {
    now(|| {
        let (watch, step) = (BREAKERS.get(breaker)?, json(&step)?);
        let step = Step::from_json(&step)?;
        let verdict = if only_check { watch.check(&step) } else { watch.observe(&step)? };
        Ok(shown(&verdict))
    })
}

/// Tells it what happened, where what it says may have to wait for a file.
#[napi(ts_return_type = "Promise<VerdictFacts | Failure>")]
pub fn tell_breaker(env: &Env, breaker: u32, step: String) -> napi::Result<Object<'_>> {
    let watch = BREAKERS.get(breaker);
    later(env, move || {
        let step = json(&step)?;
        watch?.observe(&Step::from_json(&step)?).map(|verdict| shown(&verdict))
    })
}

/// Reads a piece of the model's answer.
#[napi]
pub fn observe_stream(breaker: u32, text: String) -> Tagged<VerdictFacts> {
    now(|| BREAKERS.get(breaker)?.observe_stream(&text).map(|verdict| shown(&verdict)))
}

/// Negative with what stopped the run, if a request or a stream did.
#[napi]
pub fn go_on_breaker(breaker: u32) -> f64 {
    hot(|| BREAKERS.get(breaker)?.go_on().map(|()| 0.0))
}

/// A person lets the run go on. Negative if it failed.
#[napi]
pub fn excuse_breaker(breaker: u32) -> f64 {
    hot(|| {
        BREAKERS.get(breaker)?.excuse();
        Ok(0.0)
    })
}

/// Everything it knows.
#[napi]
pub fn breaker_state(breaker: u32) -> Tagged<Buffer> {
    now(|| Ok(Buffer::from(BREAKERS.get(breaker)?.state())))
}

/// Forgets it.
#[napi]
pub fn release_breaker(breaker: u32) {
    drop(BREAKERS.remove(breaker));
}

fn json(text: &str) -> Result<Value, Error> {
    let invalid = |error| Error::new(ErrorKind::InvalidInput, format!("this is no JSON: {error}"));
    serde_json::from_str(text).map_err(invalid)
}

fn shown(verdict: &policy::Verdict) -> VerdictFacts {
    VerdictFacts {
        level: verdict.level.name().to_owned(),
        detector: verdict.detector.map(|detector| detector.name().to_owned()),
        evidence: verdict.to_json().get("evidence").map(Value::to_string),
        message: verdict.to_string(),
    }
}
