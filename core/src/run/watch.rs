//! Who watches a run, and where is it kept what they say?
//!
//! A [`Watch`] is a breaker that many threads may ask. Once it is told of which task, every verdict
//! above `ok` is an entry of the ledger with its evidence: counts and numbers of steps, no texts. A task
//! that is watched tells it what its requests say is new: what came before a request is known then, so
//! a word can still go to the model with it. A pause and a stop end the run until a person excuses it.
//! Streaks are counted in each conversation by itself: agents side by side are no loop.
//!
//! ```
//! use outlay::{Ledger, policy::{Breaker, Step, StepKind}, run::Watch};
//!
//! let ledger = Ledger::in_memory();
//! let task = ledger.task("search", [])?;
//! let watch = Watch::new(Breaker::default());
//! watch.record_in(&task);
//! for _ in 0..3 {
//!     watch.observe(&Step::new(StepKind::Tool, "web"))?;
//! }
//! let said = &ledger.verdicts(&task.id(), 10)?[0];
//! assert_eq!((said.verdict.level.name(), said.verdict.evidence.count), ("nudge", 3));
//! # Ok::<(), outlay::Error>(())
//! ```

use std::{
    collections::VecDeque,
    hash::{BuildHasher as _, Hash, Hasher},
    sync::OnceLock,
};

use rustc_hash::{FxBuildHasher, FxHasher};
use serde_json::Value;

use super::{config::OnUnavailable, ledger::Ledger, task::Task};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    ledger::{history, verdict},
    meter::{
        Api,
        newest::{self, Newest},
    },
    policy::{
        Breaker, Detector, Level, Step, StepKind, Verdict,
        doomed::{self, Expected},
    },
    sync::{Arc, Mutex, lock},
    value::Millis,
};

/// Requests of which is known what was said of them, so that one sent again is not counted again.
const KNOWN_MAX: usize = 32;
/// Conversations of a run that are counted beside the first, those latest heard of; 8 KB each at most.
const OTHERS_MAX: usize = 32;

/// A breaker over one run, whose verdicts are recorded.
#[derive(Debug)]
pub struct Watch {
    seen: Mutex<Seen>,
    run: OnceLock<Run>,
    /// The most the run should need, if that is known.
    expected: OnceLock<Option<Expected>>,
}

/// The attempt that is watched; not the task itself, which may hold the watch.
#[derive(Debug)]
struct Run {
    ledger: Ledger,
    task: u32,
    attempt: u32,
    observes: bool,
}

#[derive(Debug)]
struct Seen {
    /// Counts the first conversation, and what is said of none.
    breaker: Breaker,
    first: u64,
    /// Count the others, the latest heard of first.
    others: VecDeque<(u64, Breaker)>,
    /// What was last said of the stream that is being read.
    streamed: Level,
    /// What stopped the run.
    tripped: Option<Error>,
    /// What was said of the latest requests.
    known: VecDeque<(u64, Said)>,
    spending: Spending,
}

/// What was seen and said of what the run spends.
#[derive(Debug)]
struct Spending {
    per_cent: u32,
    /// So much of it a person has excused.
    excused: u32,
    said: Level,
}

/// What was said of a request, and of which of the results in it.
#[derive(Clone, Debug)]
struct Said {
    verdict: Verdict,
    result: Option<usize>,
}

impl Seen {
    /// What counts this conversation. One never heard of that goes on from somewhere is the only one
    /// that was heard of, made shorter.
    fn of(&mut self, conversation: u64, goes_on: bool) -> &mut Breaker {
        if self.first == 0 || (goes_on && self.others.is_empty()) {
            self.first = if conversation == 0 { self.first } else { conversation };
        }
        if conversation == 0 || conversation == self.first {
            return &mut self.breaker;
        }
        let place = self.others.iter().position(|(own, _)| *own == conversation);
        let own = place.and_then(|place| self.others.remove(place));
        let own = own.unwrap_or_else(|| (conversation, self.breaker.anew()));
        self.others.truncate(OTHERS_MAX - 1);
        self.others.push_front(own);
        &mut self.others[0].1
    }

    /// The same without noting it.
    fn known(&self, conversation: u64) -> Option<&Breaker> {
        let is_first = conversation == 0 || conversation == self.first || self.others.is_empty();
        let other = || self.others.iter().find(|(own, _)| *own == conversation).map(|(_, breaker)| breaker);
        if is_first { Some(&self.breaker) } else { other() }
    }
}

impl Watch {
    /// Watches by this breaker, and records nothing yet.
    pub fn new(breaker: Breaker) -> Self {
        let spending = Spending { per_cent: 0, excused: 0, said: Level::Ok };
        let (others, known) = (VecDeque::new(), VecDeque::new());
        let seen = Seen { breaker, first: 0, others, streamed: Level::Ok, tripped: None, known, spending };
        Self { seen: Mutex::new(seen), run: OnceLock::new(), expected: OnceLock::new() }
    }

    /// From now on, verdicts are entries of this task. Only the first task counts.
    pub fn record_in(&self, task: &Task) {
        self.run.get_or_init(|| Run {
            ledger: task.ledger().clone(),
            task: task.no(),
            attempt: task.attempt(),
            observes: task.observes(),
        });
    }

    /// Does recording a verdict wait for a file?
    pub fn is_blocking(&self) -> bool {
        self.run.get().is_some_and(|run| run.ledger.is_blocking())
    }

    /// Tells the breaker what happened; see [`Breaker::observe`].
    ///
    /// # Errors
    ///
    /// * `StoreUnavailable`: what it said could not be recorded; it has counted the step.
    /// * `Conflict`: the attempt it is recorded in has ended.
    pub fn observe(&self, step: &Step<'_>) -> Result<Verdict> {
        let verdict = self.count(step);
        self.record(&verdict)?;
        Ok(verdict)
    }

    fn count(&self, step: &Step<'_>) -> Verdict {
        let mut seen = lock(&self.seen);
        seen.streamed = Level::Ok;
        seen.of(step.conversation, step.kind != StepKind::User).observe(step)
    }

    /// Reads a piece of an answer as it streams in; see [`Breaker::observe_stream`]. What is said of
    /// one stream is recorded once for each level.
    ///
    /// # Errors
    ///
    /// As [`observe`](Self::observe).
    pub fn observe_stream(&self, text: &str) -> Result<Verdict> {
        let (verdict, is_new) = {
            let mut seen = lock(&self.seen);
            let verdict = seen.breaker.observe_stream(text);
            let before = seen.streamed;
            seen.streamed = before.max(verdict.level);
            (verdict, seen.streamed > before)
        };
        if is_new {
            self.record(&verdict)?;
        }
        Ok(verdict)
    }

    /// Would this call be refused? See [`Breaker::check`].
    pub fn check(&self, step: &Step<'_>) -> Verdict {
        lock(&self.seen).known(step.conversation).map_or_else(Verdict::ok, |breaker| breaker.check(step))
    }

    /// A person lets the run go on; see [`Breaker::excuse`].
    pub fn excuse(&self) {
        let mut seen = lock(&self.seen);
        seen.breaker.excuse();
        seen.others.iter_mut().for_each(|(_, breaker)| breaker.excuse());
        seen.tripped = None;
        // A request that is sent again is let through, and still not counted again.
        seen.known.iter_mut().for_each(|(_, said)| said.verdict.level = Level::Ok);
        let per_cent = seen.spending.per_cent;
        seen.spending = Spending { per_cent, excused: per_cent, said: Level::Ok };
    }

    /// What the breaker knows of the first conversation; see [`Breaker::state`].
    pub fn state(&self) -> Vec<u8> {
        lock(&self.seen).breaker.state()
    }

    /// Refuses what comes after a request or a stream that stopped the run, until that is excused.
    ///
    /// # Errors
    ///
    /// `BreakerTripped`, `ApprovalRequired`: what stopped it.
    pub fn go_on(&self) -> Result<()> {
        lock(&self.seen).tripped.clone().map_or(Ok(()), Err)
    }

    /// Tells the breaker of a request about to be sent, and puts into it what there is to say to the
    /// model; returns the member of the body that was changed. What is new in it counts, in the task's own
    /// conversation, unless somebody above tells that.
    pub(super) fn ask(
        &self,
        api: Api,
        body: &mut Value,
        now: Millis,
        task: u32,
        is_told: bool,
    ) -> Result<Option<&'static str>> {
        let mut changed = None;
        if !is_told && let Some(said) = self.news(api, body, now, task)? {
            changed = self.say(api, body, &said)?;
        }
        let verdict = self.spending()?;
        self.note(&verdict)?;
        Ok(self.say(api, body, &Said { verdict, result: None })?.or(changed))
    }

    /// What the breaker says to what is new in a request; the same if it is sent again.
    fn news(&self, api: Api, body: &Value, now: Millis, task: u32) -> Result<Option<Said>> {
        let Some(newest) = newest::read(api, body) else { return Ok(None) };
        let conversation =
            newest::opening(api, body).map_or(0, |opening| FxBuildHasher.hash_one((task, opening)) | 1);
        let key = key_of(&newest, conversation);
        let known = lock(&self.seen).known.iter().find(|(own, _)| *own == key).map(|(_, said)| said.clone());
        if known.is_some() {
            return Ok(known);
        }
        lock(&self.seen).of(conversation, !newest.results.is_empty());
        let said = self.tell(&newest, key, conversation, now)?;
        let mut seen = lock(&self.seen);
        seen.known.truncate(KNOWN_MAX - 1);
        seen.known.push_front((key, said.clone()));
        Ok(Some(said))
    }

    /// Stops the run, or tells the model.
    fn say(&self, api: Api, body: &mut Value, said: &Said) -> Result<Option<&'static str>> {
        self.follow(&said.verdict)?;
        if self.run.get().is_some_and(|run| run.observes) || said.verdict.level == Level::Ok {
            return Ok(None);
        }
        let instead_of = said.result.filter(|_| said.verdict.level == Level::Refuse);
        Ok(newest::put(api, body, &said.verdict.to_string(), instead_of))
    }

    /// What there is to say of what the run has spent; once for each level.
    fn spending(&self) -> Result<Verdict> {
        let Some(run) = self.run.get() else { return Ok(Verdict::ok()) };
        let ledger = run.ledger.current()?;
        let read = || {
            let expected = match self.expected.get() {
                Some(expected) => *expected,
                None => {
                    let mut successes = ledger.read(|tx| history::successes(tx, run.task))?;
                    *self.expected.get_or_init(|| doomed::expected(&mut successes))
                }
            };
            let Some(expected) = expected.filter(|expected| expected.most > 0) else { return Ok((0, false)) };
            let spent = ledger.read(|tx| history::spent(tx, run.task))?;
            let per_cent = i128::from(spent.max(0)) * 100 / i128::from(expected.most);
            Ok((u32::try_from(per_cent).unwrap_or(u32::MAX), expected.is_guess))
        };
        let (per_cent, is_guess) = match read() {
            Err(error) if is_allowed(&ledger, &error) => (0, false),
            read => read?,
        };
        let mut seen = lock(&self.seen);
        let is_first = is_guess || seen.spending.said == Level::Ok;
        let verdict = seen.breaker.spent(per_cent, per_cent.saturating_sub(seen.spending.excused), is_first);
        seen.spending.per_cent = per_cent;
        if verdict.level <= seen.spending.said {
            return Ok(Verdict::ok());
        }
        seen.spending.said = verdict.level;
        Ok(verdict)
    }

    /// The highest of what the breaker says to it.
    fn tell(&self, newest: &Newest<'_>, key: u64, conversation: u64, now: Millis) -> Result<Said> {
        let mut steps = Vec::with_capacity(newest.results.len() + 1);
        if let Some(answer) = &newest.answer {
            let malformed = answer.is_malformed;
            let step =
                Step { result: answer.text.as_ref().into(), malformed, ..Step::new(StepKind::Llm, "") };
            steps.push((step, None));
        }
        for (number, given) in newest.results.iter().enumerate() {
            let step = Step {
                args: given.args,
                result: given.result.as_ref().into(),
                error: given.is_error,
                // The calls of one answer run side by side: they count as one.
                batch: if newest.results.len() > 1 { key | 1 } else { 0 },
                at_ms: Some(now),
                ..Step::new(StepKind::Tool, given.name)
            };
            steps.push((step, Some(number)));
        }
        // Beside results a user's words are mostly a framework's reminders.
        if let Some(user) = newest.user.as_deref().filter(|_| newest.results.is_empty()) {
            steps.push((Step { result: user.into(), ..Step::new(StepKind::User, "") }, None));
        }
        let mut highest: Option<Said> = None;
        for (step, result) in steps {
            let said = Said { verdict: self.count(&Step { conversation, ..step }), result };
            self.note(&said.verdict)?;
            let is_higher = |before: &Said| said.verdict.level > before.verdict.level;
            if highest.as_ref().is_none_or(is_higher) {
                highest = Some(said);
            }
        }
        highest.ok_or_else(|| Error::invalid("the request says nothing"))
    }

    /// Stops the run, if that is what was said.
    fn follow(&self, verdict: &Verdict) -> Result<()> {
        let kind = match verdict.level {
            Level::Stop => ErrorKind::BreakerTripped,
            Level::Pause => ErrorKind::ApprovalRequired,
            _ => return Ok(()),
        };
        if self.run.get().is_some_and(|run| run.observes) {
            return Ok(());
        }
        let error = Error::new(kind, verdict.to_string())
            .with("detector", Field::Text(verdict.detector.map_or("", Detector::name).to_owned()))
            .with("evidence", Field::Object(verdict.evidence_json()));
        lock(&self.seen).tripped = Some(error.clone());
        Err(error)
    }

    /// Records what was heard of a stream, and follows it; the error if no more of that is to be read.
    pub(super) fn heard(&self, verdicts: &[Verdict]) -> Option<Error> {
        let errors =
            verdicts.iter().filter_map(|said| self.note(said).and_then(|()| self.follow(said)).err());
        errors.last()
    }

    /// Records what was said to a request. A task that outlives the one above that is watched goes on:
    /// there is no attempt any more to record it in.
    fn note(&self, verdict: &Verdict) -> Result<()> {
        self.record(verdict)
            .or_else(|error| if error.kind() == ErrorKind::Conflict { Ok(()) } else { Err(error) })
    }

    fn record(&self, verdict: &Verdict) -> Result<()> {
        let Some(run) = self.run.get().filter(|_| verdict.level > Level::Ok) else { return Ok(()) };
        let (ledger, task, attempt) = (run.ledger.current()?, run.task, run.attempt);
        let said = verdict.clone();
        match ledger.act(move |tx| verdict::judged(tx, task, attempt, &said)) {
            Err(error) if is_allowed(&ledger, &error) => Ok(()),
            result => result,
        }
    }
}

/// May a run go on although the ledger could not answer?
pub(super) fn is_allowed(ledger: &Ledger, error: &Error) -> bool {
    let allowed = ledger.config().on_unavailable == OnUnavailable::Allow;
    allowed && error.kind() == ErrorKind::StoreUnavailable
}

/// Which request this is: the same one sent again has the same, one a turn later another.
fn key_of(newest: &Newest<'_>, conversation: u64) -> u64 {
    let mut hasher = FxHasher::default();
    conversation.hash(&mut hasher);
    newest.messages.hash(&mut hasher);
    newest.answer.as_ref().map(|answer| &answer.text).hash(&mut hasher);
    for given in &newest.results {
        (given.id, &given.result).hash(&mut hasher);
    }
    newest.user.hash(&mut hasher);
    hasher.finish()
}

/// Hears one stream of an answer for chanting. Streams run side by side, so each has its own ear.
pub(super) struct Listener {
    breaker: Breaker,
    level: Level,
    /// What is yet to be recorded, one for each level at most.
    heard: Vec<Verdict>,
}

impl Listener {
    pub fn new(watch: &Arc<Watch>) -> Self {
        let mut breaker = lock(&watch.seen).breaker.clone();
        breaker.excuse();
        Self { breaker, level: Level::Ok, heard: Vec::new() }
    }

    /// Takes the next piece.
    pub fn hear(&mut self, text: &str) {
        let verdict = self.breaker.observe_stream(text);
        if verdict.level > self.level {
            self.level = verdict.level;
            self.heard.push(verdict);
        }
    }

    /// What was said since the last look, for [`Watch::heard`].
    pub fn take_heard(&mut self) -> Vec<Verdict> {
        std::mem::take(&mut self.heard)
    }
}
