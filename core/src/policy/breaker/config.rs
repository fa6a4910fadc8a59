//! When does each detector speak, and what is known about the tools?
//!
//! The thresholds were fixed on one half of a sample of labelled runs, before the other was read;
//! docs/breaker.md has the figures.

use serde_json::{Map, Value, json};

use super::{Detector, Level};
use crate::error::{Error, Result};

/// What a configuration may take in a state, as JSON.
pub(super) const BYTES_MAX: usize = 4 * 1024;
const COUNT_MAX: u32 = 10_000;
const TOOLS_MAX: usize = 64;

/// At which count each level begins; none: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ladder(pub [Option<u32>; 4]);

impl Ladder {
    const fn new(nudge: u32, refuse: u32, pause: u32, stop: u32) -> Self {
        const fn some(count: u32) -> Option<u32> {
            if count == 0 { None } else { Some(count) }
        }
        Self([some(nudge), some(refuse), some(pause), some(stop)])
    }

    /// The same with nothing above a nudge, if there is to be one.
    pub(super) fn at_first(self) -> Self {
        match self.0 {
            [Some(nudge), ..] => Self([Some(nudge), None, None, None]),
            _ => self,
        }
    }

    /// The highest level reached, with the count it begins at: a nudge by `count`, what is above it by
    /// `firm`, which leaves out what is less certain.
    pub(super) fn level(&self, count: u32, firm: u32) -> (Level, u32) {
        let counted = |level| if level == Level::Nudge { count } else { firm };
        let reached = self.0.iter().zip(Level::RAISED).rev();
        let reached = reached.into_iter().find(|(from, level)| from.is_some_and(|at| counted(*level) >= at));
        reached.map_or((Level::Ok, 0), |(from, level)| (level, from.unwrap_or_default()))
    }
}

/// How long a tool may be polled without news, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "they are the names of the options")]
pub(super) struct Poll {
    pub max_ms: i64,
    pub min_interval_ms: i64,
    pub max_interval_ms: i64,
}

impl Default for Poll {
    fn default() -> Self {
        Self { max_ms: 30 * 60_000, min_interval_ms: 500, max_interval_ms: 30_000 }
    }
}

/// What is declared about one tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rule {
    pub loop_key: Vec<String>,
    pub ignore: Vec<String>,
    pub progress: Vec<String>,
    pub mutates: bool,
    pub allow: bool,
    pub poll: Option<Poll>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Config {
    ladders: [Ladder; Detector::ALL.len()],
    pub hard_cap: u32,
    pub volatile: Vec<String>,
    tools: Vec<(String, Rule)>,
}

impl Default for Config {
    fn default() -> Self {
        let ladder = |detector| match detector {
            Detector::NoProgress => Ladder::new(3, 5, 8, 12),
            Detector::Cycle => Ladder::new(3, 4, 6, 8),
            // Each of these calls differs from the one before, so there is none to refuse.
            Detector::SameError => Ladder::new(5, 0, 10, 15),
            Detector::UnknownTool | Detector::Monologue => Ladder::new(3, 0, 6, 10),
            Detector::Malformed => Ladder::new(10, 0, 15, 20),
            Detector::Compaction => Ladder::new(3, 0, 5, 10),
            Detector::Chant => Ladder::new(10, 0, 0, 30),
            Detector::Poll => Ladder::new(20, 40, 60, 80),
            Detector::Mutation => Ladder::new(10, 20, 30, 40),
            // Per cent of what is expected. A stop is what limits are for.
            Detector::Doomed => Ladder::new(100, 0, 200, 0),
        };
        Self { ladders: Detector::ALL.map(ladder), hard_cap: 100, volatile: Vec::new(), tools: Vec::new() }
    }
}

impl Config {
    pub(super) fn ladder(&self, detector: Detector) -> &Ladder {
        &self.ladders[detector as usize]
    }

    pub(super) fn rule(&self, tool: &str) -> Option<&Rule> {
        self.tools.iter().find(|(name, _)| name == tool).map(|(_, rule)| rule)
    }

    pub(super) fn parse(value: &Value) -> Result<Self> {
        let mut config = Self::default();
        for (key, value) in members(value, "the configuration")? {
            match key.as_str() {
                "hard_cap" => config.hard_cap = u32::try_from(whole(value, key, 2, 1_000)?).unwrap_or(2),
                "volatile" => config.volatile = names(value, key)?,
                "tools" => {
                    for (name, rule) in members(value, "tools")? {
                        config.tools.push((name.clone(), rule_of(name, rule)?));
                    }
                }
                _ => {
                    let detector = Detector::ALL.into_iter().find(|detector| detector.name() == key);
                    let detector = detector
                        .ok_or_else(|| Error::invalid(format!("the breaker has no option `{key}`")))?;
                    let ladder = &mut config.ladders[detector as usize];
                    *ladder = ladder_of(key, *ladder, value)?;
                }
            }
        }
        if config.tools.len() > TOOLS_MAX || config.to_json().to_string().len() > BYTES_MAX {
            let most = format!("{TOOLS_MAX} tools and {BYTES_MAX} bytes as JSON");
            return Err(Error::invalid(format!("the configuration of a breaker has at most {most}")));
        }
        Ok(config)
    }

    /// What [`parse`](Self::parse) reads.
    pub(super) fn to_json(&self) -> Value {
        let default = Self::default();
        let mut all = Map::new();
        for detector in Detector::ALL.into_iter().filter(|one| self.ladder(*one) != default.ladder(*one)) {
            let levels = Level::RAISED.iter().zip(self.ladder(detector).0);
            let levels = levels.map(|(level, from)| (level.name().to_owned(), json!(from)));
            all.insert(detector.name().to_owned(), Value::Object(levels.collect()));
        }
        all.insert("hard_cap".into(), json!(self.hard_cap));
        all.insert("volatile".into(), json!(self.volatile));
        let tools = self.tools.iter().map(|(name, rule)| (name.clone(), rule.to_json()));
        all.insert("tools".into(), Value::Object(tools.collect()));
        Value::Object(all)
    }
}

impl Rule {
    fn to_json(&self) -> Value {
        let poll = self.poll.map(|poll| {
            let (least, most) = (poll.min_interval_ms, poll.max_interval_ms);
            json!({ "max_ms": poll.max_ms, "min_interval_ms": least, "max_interval_ms": most })
        });
        let (key, ignore, progress) = (&self.loop_key, &self.ignore, &self.progress);
        let (mutates, allow, poll) = (self.mutates, self.allow, poll.unwrap_or(Value::Bool(false)));
        json!({
            "loop_key": key, "ignore": ignore, "progress": progress,
            "mutates": mutates, "allow": allow, "poll": poll,
        })
    }
}

fn rule_of(tool: &str, value: &Value) -> Result<Rule> {
    let mut rule = Rule::default();
    for (key, value) in members(value, tool)? {
        match key.as_str() {
            "loop_key" => rule.loop_key = names(value, key)?,
            "ignore" => rule.ignore = names(value, key)?,
            "progress" => rule.progress = names(value, key)?,
            "mutates" => rule.mutates = flag(value, key)?,
            "allow" => rule.allow = flag(value, key)?,
            "poll" => rule.poll = poll_of(value)?,
            _ => return Err(Error::invalid(format!("the tool `{tool}` has no option `{key}`"))),
        }
    }
    Ok(rule)
}

fn poll_of(value: &Value) -> Result<Option<Poll>> {
    if let Value::Bool(polls) = value {
        return Ok(polls.then(Poll::default));
    }
    let mut poll = Poll::default();
    let day = 24 * 3_600_000;
    for (key, value) in members(value, "poll")? {
        match key.as_str() {
            "max_ms" => poll.max_ms = whole(value, key, 1, 31 * day)?,
            "min_interval_ms" => poll.min_interval_ms = whole(value, key, 0, day)?,
            "max_interval_ms" => poll.max_interval_ms = whole(value, key, 0, day)?,
            _ => return Err(Error::invalid(format!("`poll` has no option `{key}`"))),
        }
    }
    Ok(Some(poll))
}

fn ladder_of(detector: &str, mut ladder: Ladder, value: &Value) -> Result<Ladder> {
    for (key, value) in members(value, detector)? {
        let place = Level::RAISED.iter().position(|level| level.name() == key);
        let place = place.ok_or_else(|| Error::invalid(format!("`{detector}` has no level `{key}`")))?;
        let from = if value.is_null() { None } else { Some(whole(value, key, 1, i64::from(COUNT_MAX))?) };
        ladder.0[place] = from.and_then(|count| u32::try_from(count).ok());
    }
    if ladder.0.iter().flatten().is_sorted() {
        return Ok(ladder);
    }
    Err(Error::invalid(format!("the thresholds of `{detector}` must rise from nudge to stop")))
}

fn members<'a>(value: &'a Value, name: &str) -> Result<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| Error::invalid(format!("`{name}` is not an object")))
}

fn names(value: &Value, name: &str) -> Result<Vec<String>> {
    let all = value.as_array().and_then(|all| {
        all.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
    });
    all.ok_or_else(|| Error::invalid(format!("`{name}` is not a list of names")))
}

fn flag(value: &Value, name: &str) -> Result<bool> {
    value.as_bool().ok_or_else(|| Error::invalid(format!("`{name}` is not true or false")))
}

fn whole(value: &Value, name: &str, least: i64, most: i64) -> Result<i64> {
    let number = value.as_i64().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| Error::invalid(format!("`{name}` is not a whole number from {least} to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_reads_back_as_it_was_written() {
        let value = json!({
            "no_progress": { "nudge": 4, "refuse": null },
            "hard_cap": 50,
            "volatile": ["cursor"],
            "tools": {
                "job": { "poll": { "max_ms": 60_000 }, "progress": ["state"] },
                "click": { "mutates": true },
            },
        });
        let config = Config::parse(&value).expect("it is valid");
        assert_eq!(Config::parse(&config.to_json()).expect("its own form"), config);
        assert_eq!(config.ladder(Detector::NoProgress), &Ladder([Some(4), None, Some(8), Some(12)]));
        assert_eq!(config.ladder(Detector::Cycle), Config::default().ladder(Detector::Cycle));
    }

    #[test]
    fn what_has_no_meaning_is_refused_by_name() {
        for (value, said) in [
            (json!([]), "`the configuration` is not an object"),
            (json!({ "speed": 1 }), "the breaker has no option `speed`"),
            (json!({ "cycle": 4 }), "`cycle` is not an object"),
            (json!({ "cycle": { "warn": 4 } }), "`cycle` has no level `warn`"),
            (json!({ "cycle": { "nudge": 0 } }), "`nudge` is not a whole number from 1 to 10000"),
            (json!({ "cycle": { "nudge": 9 } }), "the thresholds of `cycle` must rise from nudge to stop"),
            (json!({ "hard_cap": 1_000_000 }), "`hard_cap` is not a whole number from 2 to 1000"),
            (json!({ "tools": { "t": { "loop": 1 } } }), "the tool `t` has no option `loop`"),
            (json!({ "tools": { "t": { "ignore": [1] } } }), "`ignore` is not a list of names"),
        ] {
            assert_eq!(Config::parse(&value).expect_err("it is not").to_string(), said);
        }
    }

    #[test]
    fn its_size_is_bounded() {
        let long = json!({ "volatile": ["x".repeat(BYTES_MAX)] });
        assert!(Config::parse(&long).is_err());
    }
}
