//! What do settled calls say about our counts?
//!
//! A call teaches when its input was counted and the provider has said what it was. Estimates and
//! what a person resolved teach nothing.

use rustc_hash::FxHashMap;

use super::{
    entry::{Entry, Kind, flag},
    store::{Filter, Tx},
};
use crate::{
    error::Result,
    meter::{InputBound, Method, Script},
    value::Id,
};

/// What one call says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lesson {
    /// Dictionary ids of provider and model.
    pub provider: u32,
    pub model: u32,
    pub has_tools: bool,
    pub method: Method,
    /// What was counted, what was reserved for, and what the provider counted, in tokens.
    pub counted: u64,
    pub bound: u64,
    pub truth: u64,
    /// What the provider had counted of it in the call before, 0 where nothing is known, and how much
    /// of our count that is.
    pub known: u64,
    pub prefix: u64,
    /// What is not known is mostly written in; nothing where nobody looked.
    pub script: Option<Script>,
}

impl Lesson {
    /// Does it tell how far such counts are from the truth?
    pub fn teaches(&self) -> bool {
        matches!(self.method, Method::Calibrated | Method::Reconstructed)
    }
}

/// How an entry says by what method its input was bounded. What is only in part a count is a
/// ceiling, however good that part is.
pub(crate) const fn flags_of(input: &InputBound) -> u32 {
    match input.method {
        Method::Exact => 0,
        Method::Calibrated if input.teaches() => flag::CALIBRATED,
        Method::Reconstructed if input.teaches() => flag::RECONSTRUCTED,
        _ => flag::CEILING,
    }
}

const fn method_of(entry: &Entry) -> Method {
    if entry.has(flag::CEILING) {
        Method::Ceiling
    } else if entry.has(flag::CALIBRATED) {
        Method::Calibrated
    } else if entry.has(flag::RECONSTRUCTED) {
        Method::Reconstructed
    } else {
        Method::Exact
    }
}

/// How an entry says what its input is mostly written in.
pub(crate) const fn flag_of(script: Script) -> u32 {
    (script as u32 + 1) << flag::SCRIPT_SHIFT
}

fn script_of(entry: &Entry) -> Option<Script> {
    Script::ALL.into_iter().find(|script| entry.flags & flag::SCRIPT == flag_of(*script))
}

/// Hands out what the calls reserved in these entries say, in the order of their ends.
pub(crate) fn lessons(tx: &mut dyn Tx, filter: Filter, visit: &mut dyn FnMut(&Lesson)) -> Result<()> {
    let mut awaited: FxHashMap<Id, Lesson> = FxHashMap::default();
    tx.counts(filter, &mut |entry| {
        let Some(id) = entry.call else { return true };
        match entry.kind {
            Kind::Reserved if entry.counted_tokens != 0 => {
                let lesson = Lesson {
                    provider: entry.provider,
                    model: entry.model_asked,
                    has_tools: entry.tool_set != 0,
                    method: method_of(entry),
                    counted: entry.counted_tokens,
                    bound: entry.input_bound,
                    truth: 0,
                    known: entry.known_tokens,
                    prefix: entry.prefix_tokens,
                    script: script_of(entry),
                };
                awaited.insert(id, lesson);
            }
            Kind::Settled | Kind::Corrected
                if !entry.has(flag::ESTIMATED | flag::RESOLVED) && entry.input_tokens != 0 =>
            {
                if let Some(lesson) = awaited.remove(&id) {
                    visit(&Lesson { truth: entry.input_tokens, ..lesson });
                }
            }
            _ => {}
        }
        true
    })
}
