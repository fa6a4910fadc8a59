//! What has this ledger learned about our counts?
//!
//! For each provider and model, with tools and without, what settled calls have taught. It is a fold
//! over the newest entries, read when it is first asked for, so that a new process begins with what
//! earlier ones learned; from then on each call that settles here adds to it. What other processes
//! learn meanwhile is theirs until the next start.

use rustc_hash::FxHashMap;

use super::{
    ledger::Ledger,
    prefix::{Hashes, Known, Latest},
};
use crate::{
    error::{Error, ErrorKind, Result},
    ledger::{
        lesson::{self, lessons},
        store::{Filter, Tx},
    },
    meter::{InputBound, Learned, LearnedWhole, Method, Script},
    sync::{Arc, Mutex, lock},
};

/// So many entries are read, about half as many calls.
const ENTRIES_MAX: u64 = 32_768;
/// Room for what stands round new messages.
const FRAMES_TOKENS: u64 = 32;
/// Beyond so many kinds of calls the priors stay.
const KINDS_MAX: usize = 1_000;

/// What is learned about one kind of calls.
#[derive(Debug, Default)]
pub(crate) struct Kind {
    /// Of requests that begin anew.
    whole: ByScript<LearnedWhole>,
    /// Of what requests add to the one before them.
    added: ByScript<Learned>,
}

/// What is learned of texts in each script, and of all.
#[derive(Debug, Default)]
struct ByScript<L> {
    all: L,
    own: [L; Script::ALL.len()],
}

impl<L> ByScript<L> {
    /// As `read` off what is learned of a script, or of all before that is enough.
    fn of<T>(&self, script: Option<Script>, read: impl Fn(&L) -> Option<T>) -> Option<T> {
        let own = script.and_then(|script| read(&self.own[script as usize]));
        own.or_else(|| read(&self.all))
    }

    fn teach(&mut self, script: Option<Script>, teach: impl Fn(&mut L)) {
        if let Some(script) = script {
            teach(&mut self.own[script as usize]);
        }
        teach(&mut self.all);
    }
}

impl Kind {
    /// The bound of a request by what is learned. An agent resends its conversation: what the
    /// provider has counted of it is known, and only what was added is not, whose `script` it is.
    pub fn bound(&self, input: InputBound, known: Option<Known>, script: Option<Script>) -> InputBound {
        let counted = |counted_tokens, per_mille| {
            let bound = InputBound { counted_tokens, ..input }.learned(per_mille);
            InputBound { counted_tokens: input.counted_tokens, ..bound }
        };
        let whole = self.whole.of(script.filter(|_| known.is_none()), LearnedWhole::best);
        let whole = whole.map_or(input, |(uncounted, per_mille)| {
            counted(input.counted_tokens.saturating_add(uncounted), per_mille)
        });
        let added = self.added.of(script, Learned::cautious_per_mille);
        let (Some(known), Some(per_mille)) = (known, added) else { return whole };
        if input.method != Method::Calibrated || !input.teaches() {
            return whole;
        }
        let added = counted(added_tokens(input.counted_tokens, known), per_mille);
        InputBound { tokens: known.tokens.saturating_add(added.tokens), ..input }
    }

    fn teach(&mut self, counted_tokens: u64, known: Option<Known>, script: Option<Script>, tokens: u64) {
        match known {
            None => self.whole.teach(script, |learned| learned.teach(counted_tokens, tokens)),
            Some(known) => {
                let counted = added_tokens(counted_tokens, known);
                let truth = tokens.saturating_sub(known.tokens);
                self.added.teach(script, |learned| learned.teach(counted, truth));
            }
        }
    }
}

/// What is new, as counted here. The frames nobody knows would make a ratio of little text wild.
fn added_tokens(counted_tokens: u64, known: Known) -> u64 {
    counted_tokens.saturating_sub(known.counted_tokens).saturating_add(FRAMES_TOKENS)
}

pub(crate) type Shared = Arc<Mutex<Kind>>;
type Kinds = FxHashMap<Box<str>, Shared>;

/// What is learned; nothing before it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Calibration(Mutex<Option<Kinds>>);

fn key(provider: &str, model: &str, has_tools: bool) -> Box<str> {
    format!("{provider}\0{model}\0{has_tools}").into()
}

impl Ledger {
    /// What is learned about such calls; nothing while the store cannot answer.
    pub(super) fn learned(&self, provider: &str, model: &str, has_tools: bool) -> Result<Option<Shared>> {
        let mut kinds = lock(&self.calibration().0);
        if kinds.is_none() {
            match self.read(read) {
                Ok(read) => *kinds = Some(read),
                // The reserve that follows says so, or goes through unrecorded if that is allowed.
                Err(error) if error.kind() == ErrorKind::StoreUnavailable => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let Some(kinds) = kinds.as_mut() else { return Ok(None) };
        let key = key(provider, model, has_tools);
        if let Some(known) = kinds.get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        if kinds.len() >= KINDS_MAX {
            return Ok(None);
        }
        Ok(Some(Arc::clone(kinds.entry(key).or_default())))
    }
}

fn read(tx: &mut dyn Tx) -> Result<Kinds> {
    let mut by_number: FxHashMap<(u32, u32, bool), Kind> = FxHashMap::default();
    let newest = Filter { newest: Some(ENTRIES_MAX), ..Filter::default() };
    lessons(tx, newest, &mut |lesson| {
        let kind = (lesson.provider, lesson.model, lesson.has_tools);
        if lesson.teaches() && (by_number.len() < KINDS_MAX || by_number.contains_key(&kind)) {
            let known = known_of(lesson);
            by_number.entry(kind).or_default().teach(lesson.counted, known, lesson.script, lesson.truth);
        }
    })?;
    let mut kinds = Kinds::default();
    for ((provider, model, has_tools), learned) in by_number {
        let mut text = |no| Ok::<_, Error>(tx.name(no)?.and_then(|(_, value)| value).unwrap_or_default());
        kinds.insert(key(&text(provider)?, &text(model)?, has_tools), Arc::new(Mutex::new(learned)));
    }
    Ok(kinds)
}

fn known_of(lesson: &lesson::Lesson) -> Option<Known> {
    (lesson.known != 0).then_some(Known { counted_tokens: lesson.prefix, tokens: lesson.known })
}

/// What a call will teach when the provider has said what its input was.
#[derive(Clone, Debug)]
pub(super) struct Lesson {
    pub kind: Shared,
    pub counted_tokens: u64,
    pub known: Option<Known>,
    /// Of what is not known.
    pub script: Script,
    pub hashes: Hashes,
}

impl Lesson {
    pub fn teach(&self, latest: &Latest, input_tokens: u64) {
        if input_tokens != 0 {
            lock(&self.kind).teach(self.counted_tokens, self.known, Some(self.script), input_tokens);
            latest.tell(&self.hashes, &self.kind, input_tokens);
        }
    }
}
