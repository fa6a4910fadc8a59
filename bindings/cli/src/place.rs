//! Which ledger is meant, which file? One that exists: reading makes none.

use std::path::Path;

use outlay::{Error, ErrorKind, Ledger, Result, run::process};

/// A ledger whose owner ends with it.
pub(crate) struct Opened(Ledger);

impl Opened {
    pub fn new(store: Option<&str>) -> Result<Self> {
        let name = process::store_name(store)?;
        let Some(path) = name.strip_prefix("sqlite:") else {
            let message = format!("the ledger `{name}` lies in another process's memory; name a file");
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let there = Path::new(path).metadata().is_ok_and(|file| file.is_dir() || file.len() > 0);
        if !there {
            let hint = "name one with `--store sqlite:PATH` or `$OUTLAY_STORE`";
            return Err(Error::new(ErrorKind::NotFound, format!("there is no ledger at `{path}`; {hint}")));
        }
        Ok(Self(Ledger::open(&name, process::config()?)?))
    }
}

impl std::ops::Deref for Opened {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.0
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Nothing of it is open; an owner that could not be ended is swept by the next one.
        let _ = self.0.close();
    }
}

/// The text of a file the user named.
pub(crate) fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).map_err(|error| unusable(file, "read", &error))
}

pub(crate) fn unusable(file: &Path, how: &str, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("`{}` cannot be {how}: {error}", file.display()))
}
