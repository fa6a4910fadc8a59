//! Is this run going in circles? Detectors over its recent steps, and a ladder of answers.
//!
//! A repeat is the same tool, the same arguments, the same result: a result that changes is progress,
//! so nothing here fires on a run whose masked results all differ. One that differs in what is masked may
//! be told to the model as soon, and counts a third for all that is more. The breaker is a safety net against
//! runaways; it does not tell good runs from bad ones. It keeps digests, no texts, in a state of at
//! most 8 KB that can go into a checkpoint, and reads no clock.
//!
//! ```
//! use outlay::policy::{Breaker, Level, Step};
//! use serde_json::json;
//!
//! let mut breaker = Breaker::default();
//! let told = json!({"kind": "tool", "name": "bash", "args": {"command": "ls"}, "result": "a.txt"});
//! let step = Step::from_json(&told)?;
//! let levels: Vec<Level> = (0..5).map(|_| breaker.observe(&step).level).collect();
//! assert_eq!(levels, [Level::Ok, Level::Ok, Level::Nudge, Level::Nudge, Level::Refuse]);
//! # Ok::<(), outlay::Error>(())
//! ```

mod chant;
mod config;
mod hash;
mod key;
mod mask;
mod signs;
mod state;
mod step;
mod trail;
mod verdict;
mod watch;

use memchr::memmem;
use serde_json::Value;

use crate::error::Result;
use chant::Chant;
use config::Config;
use key::Terms;
use trail::{Passed, Repeats, Trail};
use watch::{Polled, Polls, Streak};

pub use step::{Step, StepKind};
pub use verdict::{Detector, Evidence, Level, Verdict};

/// How far into a result the breaker's own message is looked for.
const MARK_WITHIN: usize = 256;
/// So many answers of the model in a row are work enough between two compactions.
const TALK_MIN: u32 = 3;

/// So many texts of users are known again: automatic ones come in turn.
const USERS: usize = 4;

/// Watches one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    config: Config,
    /// Steps observed so far.
    steps: u64,
    trail: Trail,
    error: Streak,
    unknown: Streak,
    malformed: Streak,
    monologue: Streak,
    compaction: Streak,
    mutation: Streak,
    /// What was last seen of the world while the same change was made again.
    witness: u64,
    /// Answers of the model since the last compaction.
    talk: u32,
    /// The latest texts of users.
    users: [u64; USERS],
    /// The message by which a call was last refused.
    refusal: u64,
    /// Was there an answer that nobody has complained of yet?
    heard: bool,
    polls: Polls,
    chant: Chant,
}

/// What a detector found, before it is weighed against the others.
struct Finding {
    level: Level,
    detector: Detector,
    threshold: u64,
    found: Repeats,
    poll: Polled,
    capped: bool,
}

impl Breaker {
    /// A breaker with its own thresholds and declared tools.
    ///
    /// `config` is an object. A detector's name holds the counts at which its levels begin
    /// (`{"no_progress": {"nudge": 3, "refuse": 5, "pause": 8, "stop": 12}}`, null for never);
    /// `hard_cap` is the count that always stops; `volatile` lists arguments that never matter;
    /// `tools` declares, by name, `loop_key` (the arguments that matter), `ignore` (those that do
    /// not), `progress` (the fields of a JSON result that matter), `mutates`, `poll` (true, or
    /// `max_ms`, `min_interval_ms`, `max_interval_ms`) and `allow` (only the hard cap counts).
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: an option that does not exist or has no meaning, more than 64 tools, or more
    ///   than 4 KB in all.
    ///
    /// ```
    /// use outlay::policy::Breaker;
    /// use serde_json::json;
    ///
    /// assert!(Breaker::new(&json!({"cycle": {"nudge": 4}, "tools": {"click": {"mutates": true}}})).is_ok());
    /// assert!(Breaker::new(&json!({"cycle": {"nudge": "often"}})).is_err());
    /// ```
    pub fn new(config: &Value) -> Result<Self> {
        Ok(Self { config: Config::parse(config)?, ..Self::default() })
    }

    /// The same run under another configuration.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: as in [`new`](Self::new).
    pub fn reconfigured(self, config: &Value) -> Result<Self> {
        Ok(Self { config: Config::parse(config)?, ..self })
    }

    /// The configuration, in the form [`new`](Self::new) reads.
    pub fn config(&self) -> Value {
        self.config.to_json()
    }

    /// Tells the breaker what happened, and hears what it has to say.
    pub fn observe(&mut self, step: &Step<'_>) -> Verdict {
        let is_veto = step.kind == StepKind::Tool && self.is_veto(step);
        self.steps = self.steps.saturating_add(1);
        let verdict = match step.kind {
            StepKind::Tool => self.tool(step, is_veto),
            StepKind::Llm => self.answer(step),
            StepKind::User => self.user(step),
            StepKind::Thought => Verdict::ok(),
            StepKind::Compaction => {
                self.talk = 0;
                let seen = self.compaction.see(1, self.steps, 0);
                self.weigh([self.judge(Detector::Compaction, seen, false)], "")
            }
        };
        if step.kind == StepKind::Tool {
            self.refusal = match verdict.level {
                Level::Ok => 0,
                Level::Nudge => self.refusal,
                _ => said(&verdict.to_string()),
            };
        }
        verdict
    }

    /// Reads a piece of the model's answer as it streams in. The verdict does not depend on how the
    /// text is cut: the highest of all pieces is that of the whole.
    ///
    /// ```
    /// use outlay::policy::{Breaker, Detector};
    ///
    /// let mut breaker = Breaker::default();
    /// let chant = "Let me check that again, just to be sure. ".repeat(15);
    /// assert_eq!(breaker.observe_stream(&chant).detector, Some(Detector::Chant));
    /// ```
    pub fn observe_stream(&mut self, text: &str) -> Verdict {
        let (count, period) = self.chant.read(text.as_bytes());
        let found = Repeats { count, period, first: self.steps, soft: 0 };
        self.weigh([self.judge(Detector::Chant, (found, count), false)], "")
    }

    /// Would this call be refused, if it gave what it gave before? Ask before it is made; what comes
    /// back is below [`Level::Refuse`] only as [`Level::Ok`]. Changes nothing.
    pub fn check(&self, step: &Step<'_>) -> Verdict {
        let call = self.call_of(step);
        let allowed = self.config.rule(step.name).is_some_and(|rule| rule.allow);
        let seen = self.trail.last_of(call).map(|last| {
            let mut trail = self.trail.clone();
            trail.push(Passed { step: self.steps + 1, ..last }, step.batch);
            self.judge_trail(&trail, step, allowed)
        });
        let poll = self.foresee(step, call, allowed);
        let verdict = self.weigh(seen.into_iter().flatten().chain(poll), step.name);
        if verdict.level >= Level::Refuse { verdict } else { Verdict::ok() }
    }

    /// Another run, by the same configuration.
    pub(crate) fn anew(&self) -> Self {
        Self { config: self.config.clone(), ..Self::default() }
    }

    /// What to say of a run that has spent so many per cent of what is expected, since it was excused;
    /// at first only a word to the model, if it is to have one.
    pub(crate) fn spent(&self, per_cent: u32, open: u32, is_first: bool) -> Verdict {
        let ladder = self.config.ladder(Detector::Doomed);
        let ladder = if is_first { ladder.at_first() } else { *ladder };
        let (level, threshold) = ladder.level(open, open);
        if level == Level::Ok {
            return Verdict::ok();
        }
        let evidence = Evidence {
            count: per_cent,
            threshold: u64::from(threshold),
            last_step: self.steps,
            ..Evidence::default()
        };
        Verdict { level, detector: Some(Detector::Doomed), evidence }
    }

    /// A person lets the run go on: what repeats now is forgiven, and the ladder begins again with
    /// what comes. The hard cap keeps counting.
    pub fn excuse(&mut self) {
        self.trail.excuse();
        self.polls.excuse();
        self.refusal = 0;
        self.chant = Chant::default();
        for streak in self.streaks() {
            streak.excuse();
        }
    }

    fn streaks(&mut self) -> [&mut Streak; 6] {
        [
            &mut self.error,
            &mut self.unknown,
            &mut self.malformed,
            &mut self.monologue,
            &mut self.compaction,
            &mut self.mutation,
        ]
    }

    fn terms<'a>(&'a self, tool: &'a str) -> Terms<'a> {
        Terms { tool, rule: self.config.rule(tool), volatile: &self.config.volatile }
    }

    fn call_of(&self, step: &Step<'_>) -> u64 {
        match step.loop_key {
            Some(key) => key::named(step.name, key),
            None => key::call(step.name, step.args, self.terms(step.name)),
        }
    }

    /// The call with its result.
    fn passed(&self, step: &Step<'_>, call: u64, is_poll: bool) -> Passed {
        let failed = signs::is_error(step);
        let (result, raw) = match step.progress {
            Some(progress) => (hash::of(u64::from(failed), progress.as_bytes()), 0),
            None => key::result(&step.result, failed, self.terms(step.name)),
        };
        let mut key = hash::Digest::new(call);
        key.number(result);
        Passed { call, key: key.finish(), raw, step: self.steps, is_poll }
    }

    fn poll_of(&self, step: &Step<'_>) -> Option<config::Poll> {
        match self.config.rule(step.name) {
            Some(rule) => rule.poll,
            None => (signs::is_poll(step.name) || signs::is_waiting(step)).then(config::Poll::default),
        }
    }

    fn tool(&mut self, step: &Step<'_>, is_veto: bool) -> Verdict {
        if signs::is_malformed(step) {
            return self.unreadable(step);
        }
        self.malformed.clear();
        let call = self.call_of(step);
        let rule = self.config.rule(step.name);
        let poll = self.poll_of(step);
        let allowed = rule.is_some_and(|rule| rule.allow);
        let mutates = step.mutates || rule.is_some_and(|rule| rule.mutates);
        if is_veto {
            // The breaker's own answer is no news: the call counts as having given what it gave.
            let passed = self.trail.last_of(call).unwrap_or_else(|| self.passed(step, call, poll.is_some()));
            self.trail.push(Passed { step: self.steps, ..passed }, step.batch);
            let seen = self.judge_trail(&self.trail, step, allowed);
            return self.weigh(seen.into_iter().chain(self.foresee(step, call, allowed)), step.name);
        }
        self.monologue.clear();
        self.compaction.clear();
        let passed = self.passed(step, call, poll.is_some());
        let key = passed.key;
        let failing = self.failing(step, allowed);
        if mutates && !signs::is_error(step) {
            self.trail = Trail::default();
            let seen = self.mutation.see(key, self.steps, step.batch);
            return self.weigh([self.judge(Detector::Mutation, seen, allowed)], step.name);
        }
        self.trail.push(passed, step.batch);
        let [same, cycle] = self.judge_trail(&self.trail, step, allowed);
        if let Some(poll) = poll {
            let seen = self.polls.see(call, key, self.steps, step.at_ms);
            return self.weigh([failing, self.judge_poll(poll, seen, allowed), cycle], step.name);
        }
        self.polls.forget(call);
        if key != self.witness {
            self.mutation.clear();
            self.witness = key;
        }
        self.weigh([same, cycle, failing], step.name)
    }

    /// An answer of the model that nobody can read.
    fn unreadable(&mut self, step: &Step<'_>) -> Verdict {
        self.heard = false;
        let seen = self.malformed.see(1, self.steps, step.batch);
        self.weigh([self.judge(Detector::Malformed, seen, false)], "")
    }

    /// Counts a failure, or ends the count of them.
    fn failing(&mut self, step: &Step<'_>, allowed: bool) -> Finding {
        if signs::is_unknown_tool(step) {
            let seen = self.unknown.see(1, self.steps, step.batch);
            return self.judge(Detector::UnknownTool, seen, false);
        }
        self.unknown.clear();
        if !signs::is_error(step) {
            self.error.clear();
            return self.judge(Detector::SameError, self.error.seen(), allowed);
        }
        let seen = self.error.see(key::error(&step.result, step.args), self.steps, step.batch);
        self.judge(Detector::SameError, seen, allowed)
    }

    /// Is this the breaker's own refusal, handed back as the result?
    fn is_veto(&self, step: &Step<'_>) -> bool {
        let head = &step.result.as_bytes()[..step.result.len().min(MARK_WITHIN)];
        let given = memmem::find(head, verdict::MARK.as_bytes()).map(|at| step.result[at..].trim_ascii_end());
        let is_ours = |given: &str| said(given) == self.refusal || self.check(step).to_string() == given;
        step.refused || given.is_some_and(is_ours)
    }

    fn answer(&mut self, step: &Step<'_>) -> Verdict {
        self.chant = Chant::default();
        if step.malformed || step.error == Some(true) {
            return self.unreadable(step);
        }
        // The complaint about an answer may come after it.
        if std::mem::replace(&mut self.heard, true) {
            self.malformed.clear();
        }
        self.talk = self.talk.saturating_add(1);
        if self.talk >= TALK_MIN {
            self.compaction.clear();
        }
        if step.result.trim_ascii().is_empty() {
            return Verdict::ok();
        }
        let plain = Terms { tool: "", rule: None, volatile: &[] };
        let mut said = hash::Digest::new(key::result(&step.result, false, plain).0);
        said.bytes(step.name.as_bytes());
        let seen = self.monologue.see(said.finish(), self.steps, step.batch);
        self.weigh([self.judge(Detector::Monologue, seen, false)], "")
    }

    /// What a user says begins anew, unless it was said before: an automatic "go on", whatever numbers are
    /// in it. That an answer could not be read is often said by a program in the user's place.
    fn user(&mut self, step: &Step<'_>) -> Verdict {
        let mut said = hash::Digest::new(13);
        let counts = signs::is_go_on(&step.result);
        let words = step.result.as_bytes().split(|byte| counts && byte.is_ascii_digit());
        words.filter(|word| !word.is_empty()).for_each(|word| said.bytes(word));
        let said = said.finish();
        if !self.users.contains(&said) {
            self.users.rotate_right(1);
            self.users[0] = said;
            self.trail = Trail::default();
            self.polls = Polls::default();
            self.refusal = 0;
            let malformed = self.malformed;
            self.streaks().into_iter().for_each(Streak::clear);
            self.malformed = malformed;
        }
        Verdict::ok()
    }

    fn judge(&self, detector: Detector, (found, open): (Repeats, u32), allowed: bool) -> Finding {
        let capped = found.count >= self.config.hard_cap;
        let (level, threshold) = match (capped, allowed) {
            (true, _) => (Level::Stop, self.config.hard_cap),
            (false, true) => (Level::Ok, 0),
            (false, false) => self.config.ladder(detector).level(open, open.saturating_sub(found.soft)),
        };
        Finding { level, detector, threshold: u64::from(threshold), found, poll: Polled::default(), capped }
    }

    /// Where polls are among the calls, they have the time of polls, or their count.
    fn judge_trail(&self, trail: &Trail, step: &Step<'_>, allowed: bool) -> [Finding; 2] {
        let judge = |detector, (found, open): (Repeats, u32)| match trail.is_polling(found.period) {
            false => self.judge(detector, (found, open), allowed),
            true if step.at_ms.is_some() => self.judge(detector, (Repeats { count: 0, ..found }, 0), allowed),
            true => self.judge(Detector::Poll, (found, open), allowed),
        };
        [judge(Detector::NoProgress, trail.repeats()), judge(Detector::Cycle, trail.cycle())]
    }

    /// What there would be to say of the same poll again, if nothing has changed.
    fn foresee(&self, step: &Step<'_>, call: u64, allowed: bool) -> Option<Finding> {
        let seen = self.polls.foresee(call, step.at_ms)?;
        Some(self.judge_poll(self.poll_of(step).unwrap_or_default(), seen, allowed))
    }

    /// With times: too long without news, or too soon again. Without: by the count.
    fn judge_poll(&self, poll: config::Poll, seen: (Repeats, u32, Polled), allowed: bool) -> Finding {
        let (found, open, polled) = seen;
        if !polled.timed {
            return self.judge(Detector::Poll, (found, open), allowed);
        }
        let due = |polls: u32| {
            let doubled = 1 << polls.saturating_sub(1).min(20);
            poll.min_interval_ms.saturating_mul(doubled).min(poll.max_interval_ms)
        };
        let (wait, waited) = (due(found.count), due(found.count.saturating_sub(1)));
        let limit = |times: i64| poll.max_ms.saturating_mul(times);
        let capped = polled.total_ms > limit(4);
        let (level, threshold) = match polled.open_ms {
            _ if capped => (Level::Stop, limit(4)),
            _ if allowed => (Level::Ok, 0),
            open if open > limit(3) => (Level::Stop, limit(3)),
            open if open > limit(2) => (Level::Pause, limit(2)),
            open if open > limit(1) => (Level::Refuse, limit(1)),
            _ if found.count >= 3 && polled.gap_ms < waited => (Level::Nudge, waited),
            _ => (Level::Ok, 0),
        };
        let poll = Polled { wait_ms: wait, ..polled };
        Finding { level, detector: Detector::Poll, threshold: threshold.max(0) as u64, found, poll, capped }
    }

    /// The highest of what was found.
    fn weigh(&self, findings: impl IntoIterator<Item = Finding>, tool: &str) -> Verdict {
        let worst = findings.into_iter().reduce(|a, b| if b.level > a.level { b } else { a });
        let Some(worst) = worst.filter(|worst| worst.level > Level::Ok) else { return Verdict::ok() };
        let evidence = Evidence {
            tool: verdict::shown(tool),
            count: worst.found.count,
            period: worst.found.period,
            threshold: worst.threshold,
            first_step: worst.found.first,
            last_step: self.steps,
            elapsed_ms: worst.poll.total_ms.max(0) as u64,
            wait_ms: worst.poll.wait_ms.max(0) as u64,
            capped: worst.capped,
        };
        Verdict { level: worst.level, detector: Some(worst.detector), evidence }
    }
}

/// The digest of a message.
fn said(message: &str) -> u64 {
    hash::of(16, message.as_bytes())
}

#[cfg(test)]
mod tests;
