//! What became of logs that were imported?

use std::path::PathBuf;

use napi::{
    Env,
    bindgen_prelude::{BigInt, Object},
};
use napi_derive::napi;
use outlay::{report, run::process};

use crate::{convert::nanos, outcome::later};

/// What became of logs that were imported.
#[napi(object)]
pub struct Imported {
    /// Calls that are in the ledger now and were not before.
    pub calls: f64,
    /// What these cost, in nano-USD.
    pub spent: BigInt,
    /// Calls that were in the ledger already.
    pub known_calls: f64,
    /// Calls that were in the ledger with less than they used in the end, and are corrected.
    pub corrected_calls: f64,
    /// Files that were read.
    pub files: f64,
    /// Lines, or records of a file that is no lines.
    pub lines: f64,
    /// Lines about a call that another line told of too.
    pub repeated_lines: f64,
    /// Lines that cannot be read.
    pub malformed_lines: f64,
    /// Lines that tell of no call.
    pub other_lines: f64,
    /// Records of calls that nobody billed: failed, or answered from a cache.
    pub unbilled_calls: f64,
    /// Calls whose model has no known price: their cost is unknown, and in no sum.
    pub unpriced_calls: f64,
    /// Calls older than the ledger's last entry, which they are dated as.
    pub redated_calls: f64,
    /// Where the first lines that cannot be read are, and why.
    pub first_malformed: Vec<String>,
    /// The same as a few lines of text.
    pub text: String,
}

/// Brings in the logs of another tool.
#[napi(ts_return_type = "Promise<Imported | Failure>")]
pub fn import_logs(
    env: &Env,
    source: String,
    path: String,
    store: Option<String>,
) -> napi::Result<Object<'_>> {
    later(env, move || {
        let store = process::store_name(store.as_deref())?;
        let told = report::import(source.parse()?, &PathBuf::from(path), &store, process::config()?)?;
        Ok(Imported {
            calls: told.calls as f64,
            spent: nanos(told.spent),
            known_calls: told.known_calls as f64,
            corrected_calls: told.corrected_calls as f64,
            files: told.files as f64,
            lines: told.lines as f64,
            repeated_lines: told.repeated_lines as f64,
            malformed_lines: told.malformed_lines as f64,
            other_lines: told.other_lines as f64,
            unbilled_calls: told.unbilled_calls as f64,
            unpriced_calls: told.unpriced_calls as f64,
            redated_calls: told.redated_calls as f64,
            text: told.to_string(),
            first_malformed: told.first_malformed,
        })
    })
}
