//! What is said about a step, by which detector, and on what grounds?

use std::fmt::{self, Write as _};

use serde_json::{Map, Value, json};

/// Every message begins with this; a result that does is taken for the breaker's own refusal.
pub(super) const MARK: &str = "outlay breaker: ";
/// Longer names of tools are cut in the evidence.
const NAME_MAX: usize = 64;

/// How far up the ladder a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing to say.
    Ok,
    /// Tell the model.
    Nudge,
    /// Do not make this call; the message is its answer.
    Refuse,
    /// Ask a person.
    Pause,
    /// End the run.
    Stop,
}

impl Level {
    pub(super) const RAISED: [Self; 4] = [Self::Nudge, Self::Refuse, Self::Pause, Self::Stop];

    /// Its name: "ok", "nudge", "refuse", "pause" or "stop".
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Nudge => "nudge",
            Self::Refuse => "refuse",
            Self::Pause => "pause",
            Self::Stop => "stop",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::RAISED.into_iter().find(|level| level.name() == text)
    }
}

/// What was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detector {
    /// The same call with the same result in a row.
    NoProgress,
    /// Two to six calls that follow upon themselves.
    Cycle,
    /// The same error, whatever the calls were.
    SameError,
    /// Tools that do not exist.
    UnknownTool,
    /// Answers of the model that nobody can read.
    Malformed,
    /// The same text in a stream.
    Chant,
    /// The same answer of the model, with nothing done between.
    Monologue,
    /// The conversation is made shorter, and nothing is done.
    Compaction,
    /// A tool polled for too long or too often without news.
    Poll,
    /// The same change to the world in a row.
    Mutation,
    /// More is spent than runs of the same kind needed that succeeded.
    Doomed,
}

impl Detector {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NoProgress,
        Self::Cycle,
        Self::SameError,
        Self::UnknownTool,
        Self::Malformed,
        Self::Chant,
        Self::Monologue,
        Self::Compaction,
        Self::Poll,
        Self::Mutation,
        Self::Doomed,
    ];

    /// Its name, in snake case: also the key of its thresholds in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoProgress => "no_progress",
            Self::Cycle => "cycle",
            Self::SameError => "same_error",
            Self::UnknownTool => "unknown_tool",
            Self::Malformed => "malformed",
            Self::Chant => "chant",
            Self::Monologue => "monologue",
            Self::Compaction => "compaction",
            Self::Poll => "poll",
            Self::Mutation => "mutation",
            Self::Doomed => "doomed",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|detector| detector.name() == text)
    }
}

/// The grounds of a verdict. Steps are numbered from 1 in the order they were observed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// The tool of the last step; empty where none was called.
    pub tool: String,
    /// How often: calls, rounds of a cycle, or times a text was said; how many per cent of what is
    /// expected a run has spent.
    pub count: u32,
    /// How many calls make a round; in a chant, how many bytes.
    pub period: u32,
    /// The count, or the milliseconds of a poll, at which this level begins.
    pub threshold: u64,
    /// The step it began with.
    pub first_step: u64,
    /// The step it was found at.
    pub last_step: u64,
    /// How long a poll has been without news, in milliseconds.
    pub elapsed_ms: u64,
    /// How long to wait before the next poll, in milliseconds.
    pub wait_ms: u64,
    /// Was this the hard cap, which nothing switches off?
    pub capped: bool,
}

impl Evidence {
    /// Its numbers by name, those of a poll last.
    fn numbers(&self) -> [(&'static str, u64); 7] {
        [
            ("count", u64::from(self.count)),
            ("period", u64::from(self.period)),
            ("threshold", self.threshold),
            ("first_step", self.first_step),
            ("last_step", self.last_step),
            ("elapsed_ms", self.elapsed_ms),
            ("wait_ms", self.wait_ms),
        ]
    }

    fn set(&mut self, name: &str, number: u64) -> Option<()> {
        match name {
            "count" => self.count = u32::try_from(number).ok()?,
            "period" => self.period = u32::try_from(number).ok()?,
            "threshold" => self.threshold = number,
            "first_step" => self.first_step = number,
            "last_step" => self.last_step = number,
            "elapsed_ms" => self.elapsed_ms = number,
            "wait_ms" => self.wait_ms = number,
            "capped" => self.capped = number == 1,
            _ => return None,
        }
        Some(())
    }
}

/// What the breaker says about a step.
///
/// `Display` gives the message for the model; it is empty at [`Level::Ok`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// How far up the ladder.
    pub level: Level,
    /// Who says so; none at [`Level::Ok`].
    pub detector: Option<Detector>,
    /// On what grounds.
    pub evidence: Evidence,
}

impl Verdict {
    pub(crate) fn ok() -> Self {
        Self { level: Level::Ok, detector: None, evidence: Evidence::default() }
    }

    /// As an object with `level`, `detector` and `evidence`; what does not apply is left out.
    pub fn to_json(&self) -> Value {
        let detector = self.detector.map(Detector::name);
        json!({ "level": self.level.name(), "detector": detector, "evidence": self.evidence_json() })
    }

    pub(crate) fn evidence_json(&self) -> Map<String, Value> {
        let mut evidence = Map::new();
        if self.detector.is_some() {
            let found = &self.evidence;
            evidence.insert("message".into(), json!(self.to_string()));
            for (name, number) in found.numbers() {
                if !name.ends_with("_ms") || self.detector == Some(Detector::Poll) {
                    evidence.insert(name.into(), json!(number));
                }
            }
            if !found.tool.is_empty() {
                evidence.insert("tool".into(), json!(found.tool));
            }
            if found.capped {
                evidence.insert("capped".into(), json!(true));
            }
        }
        evidence
    }
}

/// A verdict as the dictionary of a ledger keeps it; the tool has a column of its own.
impl Verdict {
    pub(crate) fn recorded(&self) -> String {
        let mut text = format!("{} {}", self.level.name(), self.detector.map_or("", Detector::name));
        for (name, number) in self.evidence.numbers().into_iter().filter(|(_, number)| *number != 0) {
            let _ = write!(text, " {name}={number}");
        }
        text + if self.evidence.capped { " capped=1" } else { "" }
    }

    /// Reads what [`recorded`](Self::recorded) wrote; nothing when it is not that.
    pub(crate) fn read(text: &str, tool: String) -> Option<Self> {
        let mut words = text.split(' ');
        let (level, detector) = (Level::parse(words.next()?)?, Detector::parse(words.next()?)?);
        let mut evidence = Evidence { tool, ..Evidence::default() };
        for word in words {
            let (name, number) = word.split_once('=')?;
            evidence.set(name, number.parse().ok()?)?;
        }
        Some(Self { level, detector: Some(detector), evidence })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(detector) = self.detector else { return Ok(()) };
        f.write_str(MARK)?;
        match self.level {
            Level::Refuse => f.write_str("this call was refused: ")?,
            Level::Pause => f.write_str("the run waits for a person: ")?,
            Level::Stop => f.write_str("the run was stopped: ")?,
            Level::Ok | Level::Nudge => {}
        }
        let Evidence { tool, count, period, first_step, last_step, elapsed_ms, wait_ms, .. } = &self.evidence;
        match detector {
            Detector::NoProgress => {
                write!(f, "`{tool}` gave the same result to the same arguments {count} times in a row")?;
            }
            Detector::Cycle => {
                write!(f, "the same {period} calls with the same results came round {count} times")?;
            }
            Detector::SameError => write!(f, "the last {count} calls failed with the same error")?,
            Detector::UnknownTool => write!(f, "{count} calls in a row were of tools that do not exist")?,
            Detector::Malformed => write!(f, "{count} answers in a row could not be read")?,
            Detector::Chant => write!(f, "the same {period} bytes were said {count} times in a row")?,
            Detector::Monologue => write!(f, "the same answer was given {count} times in a row")?,
            Detector::Compaction => {
                write!(f, "the conversation was shortened {count} times with nothing done between")?;
            }
            Detector::Poll => write!(f, "`{tool}` was polled {count} times in {elapsed_ms} ms without news")?,
            Detector::Mutation => write!(f, "`{tool}` made the same change {count} times in a row")?,
            Detector::Doomed => {
                write!(f, "this run has spent {count} % of the most that runs of its kind should need")?;
            }
        }
        if !matches!(detector, Detector::Chant | Detector::Doomed) {
            write!(f, " (steps {first_step} to {last_step})")?;
        }
        match detector {
            Detector::Poll if *wait_ms > 0 => write!(f, "; wait {wait_ms} ms before the next"),
            Detector::UnknownTool => f.write_str("; use one of the tools given"),
            Detector::Malformed => f.write_str("; keep to the format asked for"),
            Detector::Doomed => f.write_str("; come to an end, or say what is in the way"),
            _ => f.write_str("; do something else, or say what is in the way"),
        }
    }
}

/// The name of a tool as it goes into the evidence.
pub(super) fn shown(tool: &str) -> String {
    tool.chars().take(NAME_MAX).map(|one| if one.is_control() || one == '`' { '?' } else { one }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_survives_the_ledger() {
        let evidence = Evidence {
            tool: "job".into(),
            count: 7,
            threshold: 1_800_000,
            first_step: 3,
            last_step: 9,
            elapsed_ms: 1_900_000,
            wait_ms: 30_000,
            capped: true,
            ..Evidence::default()
        };
        for level in Level::RAISED {
            for detector in Detector::ALL {
                let verdict = Verdict { level, detector: Some(detector), evidence: evidence.clone() };
                assert_eq!(Verdict::read(&verdict.recorded(), "job".into()), Some(verdict));
            }
        }
    }

    #[test]
    fn what_is_no_verdict_is_not_read() {
        for text in ["", "nudge", "shout cycle", "nudge cycle 3", "nudge cycle count=x", "nudge cycle a=1"] {
            assert_eq!(Verdict::read(text, String::new()), None, "{text}");
        }
    }
}
