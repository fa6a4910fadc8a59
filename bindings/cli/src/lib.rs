//! The command line of outlay, as a library: each package's `outlay` command calls [`run`].
//!
//! A command opens the ledger as an owner of its own, which takes over what dead processes left
//! open, and ends that owner before it returns. What it prints, but for an export, is made in full
//! before the first byte goes out; a reader that goes away early is no error.

mod arguments;
mod audit;
mod commands;
mod csv;
mod elsewhere;
mod export;
mod forecast;
mod form;
mod json;
mod kinds;
mod limits;
mod margin;
mod orders;
mod page;
mod place;
mod prices;
mod replay;
mod route;
mod tables;
mod top;
mod waste;
mod watch;

use std::io::{ErrorKind as Fault, Write};

use clap::{Parser as _, error::ErrorKind as Usage};
use outlay::{Error, ErrorKind, Family, Ledger, Result, report::text::shown};

use arguments::{Arguments, Command, Limits, LimitsCommand};
pub use page::write_whole;
pub use watch::Post;

/// It did what was asked.
pub const OK: i32 = 0;
/// It did not: nothing was found, or the ledger says no.
pub const FAILED: i32 = 1;
/// The command is not understood.
pub const MISUSED: i32 = 2;
/// The ledger cannot be used.
pub const STORE: i32 = 3;

/// Runs a command, given without the name of the program; returns its exit code.
///
/// # Exit codes
///
/// 0: done. 1: nothing found, or refused. 2: the command is not understood. 3: the ledger cannot
/// be used.
///
/// ```
/// assert_eq!(outlay_cli::run(&["--version".to_owned()]), 0);
/// assert_eq!(outlay_cli::run(&["speed".to_owned()]), 2);
/// ```
pub fn run(arguments: &[String]) -> i32 {
    run_into(arguments, &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
}

/// The same for a package that can send webhooks, by `post`.
pub fn run_posting(arguments: &[String], post: Post<'_>) -> i32 {
    run_with(arguments, Some(post), &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
}

/// The same with its output and its errors going elsewhere.
///
/// ```
/// let (mut out, mut errors) = (Vec::new(), Vec::new());
/// let store = ["--store", "sqlite:/nowhere/ledger.db", "tasks"].map(String::from);
/// assert_eq!(outlay_cli::run_into(&store, &mut out, &mut errors), 1);
/// assert!(String::from_utf8(errors).unwrap().starts_with("outlay: there is no ledger at"));
/// ```
pub fn run_into(arguments: &[String], out: &mut dyn Write, errors: &mut dyn Write) -> i32 {
    run_with(arguments, None, out, errors)
}

/// The same with all of it: how webhooks are sent, if they are, and where its output and errors go.
pub fn run_with(
    arguments: &[String],
    post: Option<Post<'_>>,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> i32 {
    let words = std::iter::once("outlay").chain(arguments.iter().map(String::as_str));
    let (code, result) = match Arguments::try_parse_from(words) {
        Ok(Arguments { store, command: Command::Watch(asked) }) => {
            // It says what it sees when it sees it.
            match watch::watch(store.as_deref(), &asked, post, out, errors) {
                Ok(code) => (code, Ok(())),
                Err(error) => (code_of(&error), tell(errors, &error)),
            }
        }
        Ok(arguments) => match commands::run(&arguments, out, errors) {
            Ok((code, text)) => (code, out.write_all(text.as_bytes())),
            Err(error) => (code_of(&error), tell(errors, &error)),
        },
        Err(error) => match error.kind() {
            Usage::DisplayHelp | Usage::DisplayVersion => (OK, write!(out, "{error}")),
            Usage::DisplayHelpOnMissingArgumentOrSubcommand => (MISUSED, write!(errors, "{error}")),
            _ => (MISUSED, tell(errors, &misuse(&error))),
        },
    };
    match result.and_then(|()| out.flush()) {
        Ok(()) => code,
        // Whoever read has seen enough, as `head` does.
        Err(error) if error.kind() == Fault::BrokenPipe => code,
        Err(error) => {
            let message = format!("the output cannot be written: {error}");
            let _ = tell(errors, &Error::new(ErrorKind::Unsupported, message));
            FAILED
        }
    }
}

/// What `outlay report`, or `outlay limits suggest` if that is asked for, these words after it and `--json`
/// print of a ledger that is open already.
///
/// For languages that have the report as a function: they read its JSON.
///
/// # Errors
///
/// `InvalidInput`: words that no report knows. Else what the report gives.
///
/// ```
/// let words = ["waste", "--since=7d"].map(String::from);
/// let told = outlay_cli::report_json(&outlay::Ledger::in_memory(), &words)?;
/// assert!(told.contains(r#""wasted_usd": "0.00""#));
/// # Ok::<(), outlay::Error>(())
/// ```
pub fn report_json(ledger: &Ledger, words: &[String]) -> Result<String> {
    let after = words.iter().map(String::as_str).chain(["--json"]);
    let before: &[&str] =
        if words.first().is_some_and(|word| word == "limits") { &["outlay"] } else { &["outlay", "report"] };
    match Arguments::try_parse_from(before.iter().copied().chain(after)).map(|arguments| arguments.command) {
        Ok(Command::Report(asked)) => commands::report(ledger, &asked),
        Ok(Command::Limits(Limits { asked: Some(LimitsCommand::Suggest(asked)), .. })) => {
            limits::suggest(ledger, &asked)
        }
        Ok(_) => Err(Error::new(ErrorKind::InvalidInput, "that is no report")),
        Err(error) => Err(misuse(&error)),
    }
}

fn tell(errors: &mut dyn Write, error: &Error) -> std::io::Result<()> {
    writeln!(errors, "outlay: {} ({})", shown(&error.to_string()), error.kind().code())
}

fn code_of(error: &Error) -> i32 {
    match (error.kind(), error.family()) {
        (ErrorKind::InvalidInput, _) => MISUSED,
        (ErrorKind::Unsupported, _) | (_, Family::Fault) => STORE,
        _ => FAILED,
    }
}

/// What the parser found wrong, in one line.
fn misuse(error: &clap::Error) -> Error {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let lines: Vec<&str> = first.lines().map(str::trim).collect();
    let said = lines.join(" ");
    let said = said.strip_prefix("error: ").unwrap_or(&said);
    Error::new(ErrorKind::InvalidInput, format!("{said}; see `outlay --help`"))
}
