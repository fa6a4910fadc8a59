//! The ledger as a file.

use std::{fs, io::Write as _, path::Path};

use napi::{
    Env,
    bindgen_prelude::{BigInt, Object},
};
use napi_derive::napi;
use outlay::{
    Error, ErrorKind,
    report::{ExportOptions, Exported, Since},
};

use crate::{convert::nanos, ledger::LEDGERS, outcome::later};

/// What is to be written, and where.
#[napi(object)]
pub struct ExportSpec {
    /// `focus`, `csv` or `jsonl`.
    pub format: String,
    /// The file.
    pub path: String,
    /// From when on.
    pub since: Option<String>,
    /// Until when.
    pub until: Option<String>,
    /// Who pays.
    pub account: Option<String>,
}

/// What stands in an export.
#[napi(object)]
pub struct ExportedFacts {
    /// Rows or lines, without the heading.
    pub rows: i64,
    /// What was settled in the period, in nano-USD.
    pub settled: BigInt,
    /// Calls without a known price.
    pub unpriced_calls: i64,
    /// Older entries that a ledger in memory keeps no longer.
    pub dropped_entries: i64,
    /// The same as some lines of text.
    pub text: String,
}

/// Writes the ledger to a file.
#[napi(ts_return_type = "Promise<ExportedFacts | Failure>")]
pub fn export_ledger(env: &Env, ledger: u32, spec: ExportSpec) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || {
        let time = |text: Option<String>| text.as_deref().map(str::parse::<Since>).transpose();
        let all = ExportOptions::new(spec.format.parse()?);
        let (since, until) = (time(spec.since)?, time(spec.until)?);
        let options = ExportOptions { since, until, account: spec.account, ..all };
        let unusable = |error: std::io::Error| {
            Error::new(ErrorKind::InvalidInput, format!("`{}` cannot be written: {error}", spec.path))
        };
        let ledger = ledger?;
        let mut file = new_file(Path::new(&spec.path)).map_err(unusable)?;
        let mut failure = None;
        let exported = ledger.export(&options, &mut |text| {
            failure = file.write_all(text.as_bytes()).err();
            failure.is_none()
        })?;
        failure.map_or(Ok(facts(&exported)), |error| Err(unusable(error)))
    })
}

fn facts(exported: &Exported) -> ExportedFacts {
    ExportedFacts {
        rows: exported.rows as i64,
        settled: nanos(exported.settled),
        unpriced_calls: exported.unpriced_calls as i64,
        dropped_entries: exported.dropped_entries as i64,
        text: exported.to_string(),
    }
}

/// For the user alone, as a ledger is.
fn new_file(path: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
