//! What was found in the logs so far?

use std::{collections::hash_map::Entry, path::Path};

use rustc_hash::FxHashMap;

use super::{Imported, Source};
use crate::{
    error::{Error, Result},
    meter::Extracted,
    report::text::shown,
    run::TaskOptions,
    value::{Millis, Usage},
};

/// What is kept of each is some hundred bytes.
const CALLS_MAX: usize = 5_000_000;
const LISTED_MAX: usize = 10;
/// What a name may have in a ledger.
const TEXT_MAX: usize = 256;

/// A session, or whatever else calls belong together by: it becomes a task.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub id: String,
    pub name: String,
    pub tags: Vec<(String, String)>,
}

/// A call as a log has it.
#[derive(Debug)]
pub(super) struct Logged {
    pub session: u32,
    pub id: Box<str>,
    pub at: Millis,
    pub provider: Option<String>,
    pub model: String,
    pub told: Extracted,
    /// May it have used more since? So may a message that a log ends with.
    pub is_open: bool,
}

impl Logged {
    pub fn usage(&self) -> Usage {
        self.told.usage.unwrap_or_default()
    }
}

#[derive(Debug, Default)]
pub(super) struct Found {
    pub sessions: Vec<Session>,
    pub calls: Vec<Logged>,
    pub counts: Imported,
    by_session: FxHashMap<String, u32>,
    by_id: FxHashMap<Box<str>, u32>,
    file: String,
    line: u64,
    /// The call the file told of last.
    last: Option<u32>,
}

impl Session {
    pub fn options(&self, source: Source) -> Result<TaskOptions> {
        let name = fitting(&self.name).unwrap_or_else(|| source.name().to_owned());
        let mut options = TaskOptions::new(&name).tag("source", source.name())?;
        let id = format!("{}:{}", source.name(), self.id);
        // Two that are cut off alike would be one task.
        if let Some(id) = fitting(&id).filter(|fitting| *fitting == id) {
            options = options.id(&id);
        }
        for (key, value) in &self.tags {
            options = options.tag_of_log(key, value)?;
        }
        Ok(options)
    }
}

impl Found {
    pub fn enter(&mut self, file: &Path) {
        self.file = file.display().to_string();
        (self.line, self.last) = (0, None);
        self.counts.files += 1;
    }

    pub fn next_line(&mut self) {
        self.line += 1;
        self.counts.lines += 1;
    }

    pub fn malformed(&mut self, why: impl std::fmt::Display) {
        self.counts.malformed_lines += 1;
        if self.counts.first_malformed.len() < LISTED_MAX {
            let place = format!("{}:{}: {why}", self.file, self.line);
            self.counts.first_malformed.push(shown(&place));
        }
    }

    /// The number of a session, which is made of what is told of it first.
    pub fn session(&mut self, id: &str, make: impl FnOnce() -> Session) -> u32 {
        match self.by_session.entry(id.to_owned()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let no = self.sessions.len() as u32;
                self.sessions.push(make());
                *place.insert(no)
            }
        }
    }

    /// Of a call that is told of more than once the later usage counts, unless it is of less: a copy
    /// that was cut off. It happened when it was first told of.
    pub fn call(&mut self, call: Logged) -> Result<()> {
        if let Err(error) = call.usage().check() {
            self.malformed(error);
            return Ok(());
        }
        let no = match self.by_id.entry(call.id.clone()) {
            Entry::Occupied(known) => {
                self.counts.repeated_lines += 1;
                let no = *known.get();
                let known = &mut self.calls[no as usize];
                known.is_open &= call.is_open;
                if call.usage().output_tokens >= known.usage().output_tokens {
                    (known.told, known.model) = (call.told, call.model);
                }
                no
            }
            Entry::Vacant(place) => {
                if self.calls.len() >= CALLS_MAX {
                    let message = format!("more than {CALLS_MAX} calls; import fewer files at once");
                    return Err(Error::invalid(message));
                }
                self.calls.push(call);
                *place.insert(self.calls.len() as u32 - 1)
            }
        };
        if let Some(before) = self.last.replace(no).filter(|before| *before != no) {
            self.calls[before as usize].is_open = false;
        }
        Ok(())
    }
}

/// The id of a run: of rows that are named alike and have the same value of every tag, as a task has
/// one value of each.
pub(super) fn id_with(name: &str, tags: &[(String, String)]) -> String {
    tags.iter().fold(name.to_owned(), |id, (key, value)| format!("{id} {key}={value}"))
}

/// As much of a text as a name can hold; nothing of one without letters.
pub(super) fn fitting(text: &str) -> Option<String> {
    let mut out = String::new();
    for letter in text.trim().chars().filter(|letter| !letter.is_control()) {
        if out.len() + letter.len_utf8() > TEXT_MAX {
            break;
        }
        out.push(letter);
    }
    (!out.is_empty()).then_some(out)
}
