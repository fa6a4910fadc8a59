//! Is the ledger as it was written? Keys, checkpoints, and what an audit found.

use std::{fs::OpenOptions, io::Write as _, path::Path};

use outlay::{
    Result,
    report::{self, Checkpoint, text::shown},
    value::SecretKey,
};

use crate::{
    FAILED, OK,
    arguments::{Audit, AuditCommand},
    json,
    place::{Opened, read, unusable},
};

/// Gives the exit code too: what is found wrong goes where answers go.
pub(crate) fn run(asked: &Audit, open: impl FnOnce() -> Result<Opened>) -> Result<(i32, String)> {
    match &asked.asked {
        None => Ok(told(&open()?.audit(None)?, asked.json.json, "")),
        Some(AuditCommand::Keygen { file }) => Ok((OK, keygen(file)?)),
        Some(AuditCommand::Checkpoint { sign }) => {
            let key = read(sign)?;
            Ok((OK, open()?.checkpoint(&key)?.to_string()))
        }
        Some(AuditCommand::Verify { file, key, json }) => {
            let checkpoint: Checkpoint = read(file)?.parse()?;
            if let Some(key) = key {
                checkpoint.expect_signer(key)?;
            }
            let signed = format!(
                "the checkpoint of {} is signed by {}{}\n",
                shown(checkpoint.made_at()),
                checkpoint.signed_by(),
                if key.is_none() { ", a key nobody vouched for: see `--key`" } else { "" },
            );
            Ok(told(&open()?.audit(Some(&checkpoint))?, json.json, &signed))
        }
    }
}

fn told(audit: &report::Audit, as_json: bool, signed: &str) -> (i32, String) {
    let code = if audit.is_sound() { OK } else { FAILED };
    let text = if as_json { json::printed(&json::audit(audit)) } else { format!("{audit}\n{signed}") };
    (code, text)
}

fn keygen(file: &Path) -> Result<String> {
    let key = SecretKey::generate()?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(file).and_then(|mut place| place.write_all(key.to_pem().as_bytes()));
    written.map_err(|error| unusable(file, "written", &error))?;
    Ok(format!("{}\n", key.public()))
}
