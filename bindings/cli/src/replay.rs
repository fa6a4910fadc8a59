//! What would the breaker have said, or what did it say? Recorded steps in, one verdict a line out; of a
//! task the verdicts that are recorded.

use std::{
    fmt::Write as _,
    fs::File,
    io::{BufRead, BufReader, Read as _},
    path::{MAIN_SEPARATOR, Path},
};

use outlay::{
    Error, ErrorKind, Result,
    policy::{Breaker, Step},
    report::Judged,
};
use serde_json::{Value, json};

use crate::{json, place::Opened};

/// Longer lines are not read.
const LINE_MAX: u64 = 64 * 1024 * 1024;

/// The most verdicts that are printed of a task.
const PRINTED_MAX: usize = 1_000_000;

/// What is there as a file is one; all else is a task.
pub(crate) fn replay(
    steps: &str,
    config: Option<&Path>,
    open: impl FnOnce() -> Result<Opened>,
) -> Result<String> {
    let file = Path::new(steps);
    let is_path = steps.contains(MAIN_SEPARATOR) || file.extension().is_some_and(|end| end == "jsonl");
    if is_path || file.is_file() {
        return of_file(file, config);
    }
    if config.is_some() {
        return Err(invalid(format!("`{steps}` is no file, and the ledger keeps no steps to judge anew")));
    }
    let ledger = open()?;
    let verdicts = ledger.verdicts(&ledger.find_task(steps)?.id, PRINTED_MAX)?;
    let mut said = String::new();
    for one in &verdicts {
        let _ = writeln!(said, "{}", judged(one));
    }
    Ok(said)
}

/// A recorded verdict as a line: the same members as of a step, with its attempt and time.
pub(crate) fn judged(judged: &Judged) -> Value {
    let mut line = json::object(judged.verdict.to_json());
    line.insert("step".into(), json!(judged.verdict.evidence.last_step));
    line.insert("attempt".into(), json!(judged.attempt));
    line.insert("at".into(), json::time(Some(judged.at)));
    line.into()
}

/// Reads a line as a step of one run, or, if it has `steps`, as a run of its own.
fn of_file(file: &Path, config: Option<&Path>) -> Result<String> {
    let config = match config {
        Some(path) => read(&text_of(path)?, &shown(path))?,
        None => json!({}),
    };
    let fresh = Breaker::new(&config)?;
    let mut lines = BufReader::new(opened(file)?);
    let (mut breaker, mut said, mut line) = (fresh.clone(), String::new(), String::new());
    for number in 1_u64.. {
        line.clear();
        let length =
            lines.by_ref().take(LINE_MAX).read_line(&mut line).map_err(|fault| unread(file, &fault))?;
        if length == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        let place = format!("{}, line {number}", shown(file));
        let value = read(&line, &place)?;
        match value.get("steps").and_then(Value::as_array) {
            None => {
                told(&mut breaker, &value, None, number, &mut said).map_err(|error| at(&place, &error))?;
            }
            Some(run) => {
                let mut breaker = fresh.clone();
                let id = value.get("run_id").cloned().unwrap_or_else(|| json!(number));
                for (step, value) in (1_u64..).zip(run) {
                    let told = told(&mut breaker, value, Some(&id), step, &mut said);
                    told.map_err(|error| at(&format!("{place}, step {step}"), &error))?;
                }
            }
        }
    }
    Ok(said)
}

fn told(
    breaker: &mut Breaker,
    value: &Value,
    run: Option<&Value>,
    step: u64,
    said: &mut String,
) -> Result<()> {
    let verdict = breaker.observe(&Step::from_json(value)?).to_json();
    let mut line = serde_json::Map::new();
    if let Some(run) = run {
        line.insert("run_id".into(), run.clone());
    }
    line.insert("step".into(), json!(step));
    if let Value::Object(verdict) = verdict {
        line.extend(verdict);
    }
    let _ = writeln!(said, "{}", Value::Object(line));
    Ok(())
}

fn opened(path: &Path) -> Result<File> {
    File::open(path).map_err(|fault| match fault.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(ErrorKind::NotFound, format!("there is no file {}", shown(path)))
        }
        _ => unread(path, &fault),
    })
}

fn text_of(path: &Path) -> Result<String> {
    let mut text = String::new();
    opened(path)?.take(LINE_MAX).read_to_string(&mut text).map_err(|fault| unread(path, &fault))?;
    Ok(text)
}

fn read(text: &str, place: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|fault| invalid(format!("{place} is no JSON: {fault}")))
}

fn at(place: &str, error: &Error) -> Error {
    Error::new(error.kind(), format!("{place}: {error}"))
}

fn unread(path: &Path, fault: &std::io::Error) -> Error {
    invalid(format!("{} cannot be read: {fault}", shown(path)))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}
