//! Breakers.

use std::sync::{Mutex, PoisonError};

use napi::bindgen_prelude::{Buffer, Uint8Array};
use napi_derive::napi;
use outlay::{
    Error, ErrorKind,
    policy::{self, Step},
};
use serde_json::Value;

use crate::{
    outcome::{Tagged, hot, now},
    table::Table,
};

static BREAKERS: Table<Mutex<policy::Breaker>> = Table::new();

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
        BREAKERS.add(Mutex::new(breaker)).map(f64::from)
    })
}

/// Tells it what happened, as JSON; with `only_check`, asks what would follow and changes nothing.
#[napi]
pub fn ask_breaker(breaker: u32, step: String, only_check: bool) -> Tagged<VerdictFacts> {
    now(|| {
        let step = json(&step)?;
        let step = Step::from_json(&step)?;
        with(breaker, |breaker| if only_check { breaker.check(&step) } else { breaker.observe(&step) })
            .map(|verdict| shown(&verdict))
    })
}

/// Reads a piece of the model's answer.
#[napi]
pub fn observe_stream(breaker: u32, text: String) -> Tagged<VerdictFacts> {
    now(|| with(breaker, |breaker| breaker.observe_stream(&text)).map(|verdict| shown(&verdict)))
}

/// A person lets the run go on. Negative if it failed.
#[napi]
pub fn excuse_breaker(breaker: u32) -> f64 {
    hot(|| with(breaker, policy::Breaker::excuse).map(|()| 0.0))
}

/// Everything it knows.
#[napi]
pub fn breaker_state(breaker: u32) -> Tagged<Buffer> {
    now(|| with(breaker, |breaker| Buffer::from(breaker.state())))
}

/// Forgets it.
#[napi]
pub fn release_breaker(breaker: u32) {
    drop(BREAKERS.remove(breaker));
}

fn with<T>(handle: u32, act: impl FnOnce(&mut policy::Breaker) -> T) -> Result<T, Error> {
    let breaker = BREAKERS.get(handle)?;
    // A panic cannot have left it half changed in a way that matters: it holds only counts.
    let mut breaker = breaker.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(act(&mut breaker))
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
