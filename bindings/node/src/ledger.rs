//! Ledgers, options of the process, and the command line.

use std::collections::HashMap;

use napi::{
    Env,
    bindgen_prelude::{BigInt, Object},
};
use napi_derive::napi;
use outlay::{
    BudgetOptions, Config, ErrorKind, Ledger,
    policy::Thresholds,
    report::ReportOptions,
    run::{Unbound, Unmetered, config::Choices, process},
};

use crate::{
    convert::{LimitSpec, UsageSpec, Used, limits, nanos},
    outcome::{Tagged, hot, later, now},
    report::{MeterReport, Report, meter_report_of, report_of},
    table::Table,
};

pub(crate) static LEDGERS: Table<Ledger> = Table::new();

/// A shared budget as its owner declares it.
#[napi(object)]
pub struct BudgetSpec {
    /// The tags of the tasks that fall under it.
    pub tags: HashMap<String, String>,
    /// Each value of this tag has a budget of its own.
    pub per: Option<String>,
    /// Its limits.
    pub limits: Vec<LimitSpec>,
    /// Who declares it.
    pub by: Option<String>,
    /// At which shares of its limits to tell.
    pub alerts: Option<Vec<String>>,
}

/// What an open ledger is called.
#[napi(object)]
pub struct LedgerFacts {
    /// Its handle.
    pub handle: u32,
    /// The store it was opened at.
    pub store: String,
}

/// A call in doubt.
#[napi(object)]
pub struct Doubted {
    /// Its id in the ledger.
    pub id: String,
    /// What it holds, in nano-USD.
    pub held: BigInt,
}

/// A kind of error.
#[napi(object)]
pub struct ErrorCode {
    /// Its stable code.
    pub code: String,
    /// The family it belongs to.
    pub family: String,
}

/// Opens a ledger, or gives the one that is open already.
#[napi(ts_return_type = "Promise<LedgerFacts | Failure>")]
pub fn open_ledger(env: &Env, store: Option<String>) -> napi::Result<Object<'_>> {
    later(env, move || {
        let ledger = process::ledger(store.as_deref())?;
        let store = ledger.name().to_owned();
        Ok(LedgerFacts { handle: LEDGERS.add(ledger)?, store })
    })
}

/// The one name of the store that would be opened.
#[napi]
pub fn store_name(store: Option<String>) -> Tagged<String> {
    now(|| process::store_name(store.as_deref()))
}

/// Forgets a ledger's handle; the ledger stays open.
#[napi]
pub fn release_ledger(ledger: u32) {
    drop(LEDGERS.remove(ledger));
}

/// Declares a shared budget.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn set_budget(env: &Env, ledger: u32, spec: BudgetSpec) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || {
        let mut options = BudgetOptions::new();
        for (key, value) in &spec.tags {
            options = options.tag(key, value)?;
        }
        if let Some(per) = &spec.per {
            options = options.per(per);
        }
        for limit in limits(spec.limits)? {
            options = options.limit(limit);
        }
        if let Some(by) = &spec.by {
            options = options.by(by);
        }
        if let Some(alerts) = &spec.alerts {
            options = options.alerts(Thresholds::parse(alerts.iter().map(String::as_str))?);
        }
        ledger?.set_budget(&options).map(|()| 0.0)
    })
}

/// Erases the value of a tag for ever.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn forget(env: &Env, ledger: u32, key: String, value: String) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || ledger?.forget(&key, &value).map(|()| 0.0))
}

/// Ends a call in doubt: with its usage, or void without one; answers what it cost.
#[napi(ts_return_type = "Promise<bigint | Failure>")]
pub fn resolve(
    env: &Env,
    ledger: u32,
    id: String,
    used: Option<UsageSpec>,
    by: String,
) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || {
        let told = used.as_ref().map(Used::told).transpose()?;
        ledger?.resolve(id.parse()?, told.as_ref(), &by).map(nanos)
    })
}

/// The calls in doubt, oldest first.
#[napi(ts_return_type = "Promise<Array<Doubted> | Failure>")]
pub fn in_doubt(env: &Env, ledger: u32, most: u32) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || {
        let calls = ledger?.in_doubt(most as usize)?;
        let shown =
            |call: outlay::run::ledger::InDoubt| Doubted { id: call.id.to_string(), held: nanos(call.held) };
        Ok(calls.into_iter().map(shown).collect::<Vec<_>>())
    })
}

/// Where the money went.
#[napi(ts_return_type = "Promise<Report | Failure>")]
pub fn report(env: &Env, ledger: u32, by: String, since: Option<String>) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later::<Report>(env, move || {
        let since = since.as_deref().map(str::parse).transpose()?;
        ledger?.report(&ReportOptions { by: by.parse()?, since }).map(report_of)
    })
}

/// The same with charts, as a page of HTML that loads nothing.
#[napi(ts_return_type = "Promise<string | Failure>")]
pub fn report_html(env: &Env, ledger: u32, by: String, since: Option<String>) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || {
        let since = since.as_deref().map(str::parse).transpose()?;
        ledger?.report_html(&ReportOptions { by: by.parse()?, since })
    })
}

/// Another report, as `outlay report WORDS --json` prints it.
#[napi(ts_return_type = "Promise<string | Failure>")]
pub fn report_json(env: &Env, ledger: u32, words: Vec<String>) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || outlay_cli::report_json(&*ledger?, &words))
}

/// How far bounds of input were from the truth.
#[napi(ts_return_type = "Promise<MeterReport | Failure>")]
pub fn meter_report(env: &Env, ledger: u32, since: Option<String>) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later::<MeterReport>(env, move || {
        let since = since.as_deref().map(str::parse).transpose()?;
        ledger?.meter(since).map(|report| meter_report_of(&report))
    })
}

/// Recomputes every balance from the entries.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn check_balances(env: &Env, ledger: u32) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || ledger?.check_balances().map(|()| 0.0))
}

/// Ends owners that died; answers how many of their calls are in doubt now.
#[napi(ts_return_type = "Promise<number | Failure>")]
pub fn sweep(env: &Env, ledger: u32) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || ledger?.sweep().map(|count| count as f64))
}

/// Changes options of the process, given as JSON. Negative if it failed.
#[napi]
pub fn configure(json: String) -> f64 {
    hot(|| {
        let choices = Choices::from_json(&json)?;
        process::configure((*process::config()?).clone().with(&choices)?);
        Ok(0.0)
    })
}

/// What the breaker of tasks of a kind goes by in a ledger, as JSON; nothing where none is configured.
#[napi]
pub fn kind_breaker(ledger: u32, kind: String) -> Tagged<Option<String>> {
    now(|| {
        let config = LEDGERS.get(ledger)?.config();
        Ok(config.kinds.get(&kind).and_then(|kind| kind.breaker()).map(ToString::to_string))
    })
}

/// Gives every option of the process its default again.
#[napi]
pub fn reset_options() {
    process::configure(Config::default());
}

/// Are calls under no task refused?
#[napi]
pub fn refuses_unbound() -> Tagged<bool> {
    now(|| Ok(process::config()?.unbound == Unbound::Refuse))
}

/// Do billed methods that cannot be metered go through?
#[napi]
pub fn allows_unmetered() -> Tagged<bool> {
    now(|| Ok(process::config()?.unmetered == Unmetered::Allow))
}

/// Ends this process as an owner of its ledgers.
#[napi]
pub fn close_all() -> Tagged<bool> {
    now(|| {
        process::close_all();
        Ok(true)
    })
}

/// The codes of every kind of error.
#[napi]
pub fn error_codes() -> Vec<ErrorCode> {
    let shown = |kind: ErrorKind| ErrorCode {
        code: kind.code().to_owned(),
        family: format!("{:?}", kind.family()).to_lowercase(),
    };
    ErrorKind::ALL.into_iter().map(shown).collect()
}

/// Runs the command line; answers its exit code.
#[napi]
pub fn run_command(arguments: Vec<String>) -> Tagged<i32> {
    now(|| Ok(outlay_cli::run(&arguments)))
}

/// The version of the package.
#[napi]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
