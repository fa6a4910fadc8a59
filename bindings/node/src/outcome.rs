//! What does a function answer that can fail? Its result, or a [`Failure`].
//!
//! Invariant: neither an error nor a panic of the core becomes an exception here.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use napi::{
    Env,
    bindgen_prelude::{BigInt, Either, Object, ToNapiValue},
};
use napi_derive::napi;
use outlay::{Error, ErrorKind, Field, ledger::at_once};

use crate::threads;

/// An error of the core.
#[napi(object)]
pub struct Failure {
    /// Its stable code.
    pub code: String,
    /// One line for people.
    pub message: String,
    /// What a program may want to act on.
    pub fields: Vec<FailureField>,
}

/// One field of an error: the one value that is there, or none.
#[napi(object)]
pub struct FailureField {
    /// Its name, in snake case.
    pub name: String,
    /// A name or a description.
    pub text: Option<String>,
    /// A count.
    pub count: Option<i64>,
    /// An amount, in nano-USD.
    pub money: Option<BigInt>,
    /// A yes or a no.
    pub flag: Option<bool>,
    /// Several of these by name, as JSON.
    pub object: Option<String>,
}

/// A result or a failure.
pub type Tagged<T> = Either<T, Failure>;

/// What a hot function answers when it failed; [`take_failure`] has the rest.
pub const FAILED: f64 = -1.0;

/// What a function answers that would have had to wait for a file, and did nothing.
pub const WAITS: f64 = -2.0;

thread_local! {
    static LATEST: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// The failure behind the last negative answer of a function that answers numbers.
#[napi]
pub fn take_failure() -> Option<Failure> {
    LATEST.take().map(Failure::from)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let fields = error.fields().iter().map(|(name, value)| {
            let name = (*name).to_owned();
            let mut field =
                FailureField { name, text: None, count: None, money: None, flag: None, object: None };
            match value {
                Field::Text(text) => field.text = Some(text.clone()),
                Field::Integer(count) => field.count = Some(*count),
                Field::Money(money) => field.money = Some(money.nanos().into()),
                Field::Flag(flag) => field.flag = Some(*flag),
                Field::Object(members) => field.object = serde_json::to_string(members).ok(),
                _ => {}
            }
            field
        });
        let fields = fields.collect();
        Self { code: error.kind().code().to_owned(), message: error.to_string(), fields }
    }
}

/// Runs something of the core; a panic becomes an error.
pub(crate) fn guard<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Corrupt, "the core of outlay panicked; please report it"))
    })
}

/// Runs it at once.
pub(crate) fn now<T>(run: impl FnOnce() -> Result<T, Error>) -> Tagged<T> {
    tagged(guard(run))
}

/// Runs it at once, and answers one number.
pub(crate) fn hot(run: impl FnOnce() -> Result<f64, Error>) -> f64 {
    guard(run).unwrap_or_else(failed)
}

/// The same for a ledger in a file, if it is free: [`WAITS`] if not.
pub(crate) fn try_now(run: impl FnOnce() -> Result<f64, Error>) -> f64 {
    at_once(|| guard(run)).map_or(WAITS, |done| done.unwrap_or_else(failed))
}

fn failed(error: Error) -> f64 {
    LATEST.set(Some(error));
    FAILED
}

type Resolver<T> = Box<dyn FnOnce(Env) -> napi::Result<Tagged<T>> + Send>;

/// Runs it on a thread of ours, and answers a promise, which is never rejected.
///
/// `run` must hold what its handles stand for: they may be released before its turn comes.
pub(crate) fn later<T: ToNapiValue + Send + 'static>(
    env: &Env,
    run: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> napi::Result<Object<'_>> {
    let (deferred, promise) = env.create_deferred::<Tagged<T>, Resolver<T>>()?;
    threads::run(move |accepted| {
        let result = match accepted {
            Ok(()) => guard(run),
            Err(error) => Err(error),
        };
        deferred.resolve(Box::new(move |_| Ok(tagged(result))));
    });
    Ok(promise)
}

fn tagged<T>(result: Result<T, Error>) -> Tagged<T> {
    match result {
        Ok(value) => Either::A(value),
        Err(error) => Either::B(error.into()),
    }
}
