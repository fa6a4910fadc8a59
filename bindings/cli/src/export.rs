//! The ledger as a file: written as it is read, so that its size does not matter.

use std::io::{ErrorKind as Fault, Write};

use outlay::{Error, ErrorKind, Ledger, Result, report::ExportOptions};

use crate::arguments::Export;

/// Writes the rows to `out`, and what they do not tell to `errors`.
pub(crate) fn run(
    ledger: &Ledger,
    asked: &Export,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> Result<String> {
    let Export { format, since, until, account } = asked;
    let account = account.clone();
    let options = ExportOptions { since: *since, until: *until, account, ..ExportOptions::new(*format) };
    let mut failure = None;
    let exported = ledger.export(&options, &mut |text| {
        failure = out.write_all(text.as_bytes()).err();
        failure.is_none()
    })?;
    match failure {
        None => {
            let _ = writeln!(errors, "{exported}");
            Ok(String::new())
        }
        // Whoever read has seen enough, as `head` does.
        Some(error) if error.kind() == Fault::BrokenPipe => Ok(String::new()),
        Some(error) => {
            let message = format!("the export cannot be written: {error}");
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}
