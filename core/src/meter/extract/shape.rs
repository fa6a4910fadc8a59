//! How is a table of fields read?
//!
//! A [`Shape`] says where a provider puts its usage, and what becomes of each field in it. This file
//! knows how to follow such a table and no provider; `tables.rs` knows the providers.

use serde_json::Value;

use crate::{
    error::{Error, Result},
    meter::json::{self, Object},
    value::{Money, Usage, money::decimal},
};

/// Unknown fields that are listed; a body may have any number of them.
const UNKNOWN_MAX: usize = 32;
/// So much of the name of an unknown field is kept.
const NAME_MAX_CHARS: usize = 100;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Input,
    CacheRead,
    CacheWrite,
    /// Of the cache writes, by how long they live; a whole that lacks them is completed by them.
    CacheWrite5m,
    CacheWrite1h,
    CacheReadAudio,
    CacheReadImage,
    InputAudio,
    InputImage,
    InputVideo,
    Output,
    Reasoning,
    OutputAudio,
    OutputImage,
    OutputVideo,
    WebSearches,
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum To {
    /// It must be there, and adds to these counts.
    Needed(&'static [Count]),
    /// If it is there, it adds to these counts.
    Adds(&'static [Count]),
    /// It tells a count that another field may tell too: the larger is meant.
    Again(Count),
    /// A part that is inside its whole, or beside it where it is larger.
    Either(Count),
    /// All tokens together: what exceeds the counts is reasoning told beside the output, or unknown.
    Total,
    /// What the provider charges, in USD times ten to this power.
    Cost(i32),
    /// What another provider charges the caller's own key, beside the cost, if `is_byok` says so.
    OwnKeyCost,
    /// Known and not needed, with everything below it.
    Ignored,
}

/// A path (`a.b`, in lists `a[key=value].b`), and what becomes of what is there.
pub(super) type Field = (&'static str, To);

/// How the events of a stream tell the usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Each usage is the whole one so far.
    Last,
    /// Each field is the whole one so far; a later usage may lack some.
    Merge,
    /// Each usage is of its event only.
    Sum,
}

/// How one API tells what was used.
#[derive(Clone, Copy, Debug)]
pub(in crate::meter) struct Shape {
    /// Where the usage can be in a response; the first that is there is it, the empty path always.
    pub(super) roots: &'static [&'static str],
    /// Where it can be in an event of a stream.
    pub(super) events: &'static [&'static str],
    pub(super) rule: Rule,
    /// Where the model can be named.
    pub(super) models: &'static [&'static str],
    /// Its fields; an earlier group goes before a later one that has the same path.
    pub(super) groups: &'static [&'static [Field]],
    /// Where the usage stands among all else a response says: the end of the names that are its fields.
    pub(super) ends: &'static str,
    /// Its names are in camel case, and may come in snake case.
    pub(super) is_camel: bool,
}

/// The counts as they are told.
#[derive(Default)]
struct Tally([u64; Count::WebSearches as usize + 1]);

impl Count {
    /// Is it a part of the input, of the output, or of neither?
    const fn whole(self) -> Option<Self> {
        match self {
            Self::Output | Self::Reasoning | Self::OutputAudio | Self::OutputImage | Self::OutputVideo => {
                Some(Self::Output)
            }
            Self::WebSearches => None,
            _ => Some(Self::Input),
        }
    }
}

impl Tally {
    fn get(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// Saturates: what no call can use is refused by the check of the usage.
    fn add(&mut self, count: Count, tokens: u64) {
        let total = &mut self.0[count as usize];
        *total = total.saturating_add(tokens);
    }

    fn raise(&mut self, count: Count, tokens: u64) {
        let total = &mut self.0[count as usize];
        *total = tokens.max(*total);
    }

    /// Adds a part to its whole if it cannot be inside it.
    fn make_room(&mut self, part: Count) {
        if let Some(whole) = part.whole().filter(|whole| self.get(part) > self.get(*whole)) {
            self.add(whole, self.get(part));
        }
    }

    fn usage(&self, writes_are_beside: bool) -> Usage {
        let long = self.get(Count::CacheWrite1h);
        let parts = self.get(Count::CacheWrite5m).saturating_add(long);
        let missing = parts.saturating_sub(self.get(Count::CacheWrite));
        let beside = if writes_are_beside { missing } else { 0 };
        Usage {
            input_tokens: self.get(Count::Input).saturating_add(beside),
            cache_read_tokens: self.get(Count::CacheRead),
            cache_write_tokens: self.get(Count::CacheWrite).saturating_add(missing).saturating_sub(long),
            cache_write_1h_tokens: long,
            cache_read_audio_tokens: self.get(Count::CacheReadAudio),
            cache_read_image_tokens: self.get(Count::CacheReadImage),
            input_audio_tokens: self.get(Count::InputAudio),
            input_image_tokens: self.get(Count::InputImage),
            input_video_tokens: self.get(Count::InputVideo),
            output_tokens: self.get(Count::Output),
            reasoning_tokens: self.get(Count::Reasoning),
            output_audio_tokens: self.get(Count::OutputAudio),
            output_image_tokens: self.get(Count::OutputImage),
            output_video_tokens: self.get(Count::OutputVideo),
            web_searches: self.get(Count::WebSearches),
        }
    }
}

impl Shape {
    /// The counts as they stand in `found`; each part is at most its whole.
    pub(super) fn read(&self, found: &Object) -> Result<Usage> {
        let (mut tally, mut again) = (Tally::default(), Tally::default());
        for (path, to) in self.fields() {
            match to {
                To::Needed(counts) | To::Adds(counts) => match tokens(found, path)? {
                    Some(told) => counts.iter().for_each(|count| tally.add(*count, told)),
                    None if matches!(to, To::Adds(_)) => {}
                    None => return Err(Error::invalid(format!("the usage has no `{path}`"))),
                },
                To::Either(count) => tally.add(count, tokens(found, path)?.unwrap_or(0)),
                To::Again(count) => again.raise(count, tokens(found, path)?.unwrap_or(0)),
                To::Total | To::Cost(_) | To::OwnKeyCost | To::Ignored => {}
            }
        }
        for (_, to) in self.fields() {
            match to {
                To::Again(count) => tally.raise(count, again.get(count)),
                To::Either(count) => tally.make_room(count),
                _ => {}
            }
        }
        let excess = self.excess(found, &tally)?;
        if excess == tally.get(Count::Reasoning) {
            tally.add(Count::Output, excess);
        }
        let writes_are_beside = self.fields().any(|(_, to)| match to {
            To::Adds(counts) => counts.contains(&Count::Input) && counts.contains(&Count::CacheWrite),
            _ => false,
        });
        let usage = tally.usage(writes_are_beside);
        self.check_parts(found, usage)?;
        Ok(usage)
    }

    /// Is there anything in it that is counted?
    pub(super) fn has_any(&self, found: &Object) -> bool {
        let counts = |to| matches!(to, To::Needed(_) | To::Adds(_) | To::Again(_) | To::Either(_));
        self.fields().any(|(path, to)| counts(to) && !matches!(tokens(found, path), Ok(None)))
    }

    /// What the provider charges, if it says so.
    pub(super) fn cost(&self, found: &Object) -> Result<Option<Money>> {
        let mut cost = None;
        for (path, to) in self.fields() {
            let (power, own_key) = match to {
                To::Cost(power) => (power, false),
                To::OwnKeyCost if json::flag(found, "is_byok")? => (0, true),
                _ => continue,
            };
            let Some(value) = at(found, path)? else {
                if own_key {
                    return Ok(None);
                }
                continue;
            };
            let nanos = nanos(value, power).ok_or_else(|| {
                Error::invalid(format!("`{path}` of the usage is `{}`, not a cost", json::shown(value)))
            })?;
            cost = Some(cost.unwrap_or(0_i64).saturating_add(nanos));
        }
        Ok(cost.map(Money::from_nanos))
    }

    /// Paths that hold something and that no table knows.
    pub(super) fn unknown(&self, found: &Object, usage: &Usage) -> Vec<String> {
        let mut paths = Vec::new();
        for (key, value) in found.iter().filter(|(key, _)| key.ends_with(self.ends)) {
            self.find_unknown(key, value, &mut paths);
        }
        let total = self.fields().find(|(_, to)| matches!(to, To::Total));
        let told = total.and_then(|(path, _)| tokens(found, path).ok().flatten());
        if let (Some((path, _)), Some(told)) = (total, told)
            && told > usage.total_tokens()
        {
            paths.push(path.to_owned());
        }
        paths.truncate(UNKNOWN_MAX);
        paths
    }

    fn fields(&self) -> impl Iterator<Item = Field> {
        let groups = self.groups;
        groups.iter().enumerate().flat_map(move |(index, group)| {
            let earlier = move |path: &str| groups[..index].iter().any(|group| has(group, path));
            group.iter().filter(move |(path, _)| !earlier(path)).copied()
        })
    }

    fn find_unknown(&self, path: &str, value: &Value, paths: &mut Vec<String>) {
        let knows = |path: &str| self.groups.iter().any(|group| has(group, path));
        let below = |next: &str| {
            let starts = |known: &str| known.strip_prefix(path).is_some_and(|rest| rest.starts_with(next));
            self.groups.iter().any(|group| group.iter().any(|(known, _)| starts(known)))
        };
        if is_nothing(value) || knows(path) || paths.len() >= UNKNOWN_MAX {
            return;
        }
        match value {
            Value::Object(inner) if below(".") => {
                for (key, value) in inner {
                    self.find_unknown(&format!("{path}.{key}"), value, paths);
                }
            }
            Value::Array(items) if below("[") => {
                let all = self.groups.iter().copied().flatten();
                let known: Vec<Selected<'_>> =
                    all.filter_map(|(known, _)| selected(known)).filter(|known| known.list == path).collect();
                for item in items.iter().filter(|item| !is_empty_item(item)) {
                    if !known.iter().any(|known| known.is(item)) {
                        let key = known.first().map_or("", |known| known.key);
                        let kind = json::shown(item.get(key).unwrap_or(&Value::Null));
                        paths.push(shortened(&format!("{path}[{key}={kind}]")));
                    }
                }
            }
            _ => paths.push(shortened(path)),
        }
    }

    /// How many tokens the provider counts in all that are in neither input nor output.
    fn excess(&self, found: &Object, tally: &Tally) -> Result<u64> {
        let Some((path, _)) = self.fields().find(|(_, to)| matches!(to, To::Total)) else { return Ok(0) };
        let counted = tally.get(Count::Input).saturating_add(tally.get(Count::Output));
        Ok(tokens(found, path)?.unwrap_or(0).saturating_sub(counted))
    }

    fn check_parts(&self, found: &Object, usage: Usage) -> Result<()> {
        for (path, to) in self.fields() {
            let part = match to {
                To::Adds([part]) => *part,
                To::Again(part) => part,
                _ => continue,
            };
            let (name, limit) = match part.whole().filter(|whole| *whole != part) {
                None => continue,
                Some(Count::Output) => ("output", usage.output_tokens),
                Some(_) => ("input", usage.input_tokens),
            };
            let part = tokens(found, path)?.unwrap_or(0);
            if part > limit {
                return Err(Error::invalid(format!("`{path}` is `{part}`, more than all {name}, `{limit}`")));
            }
        }
        Ok(())
    }
}

fn has(group: &[Field], path: &str) -> bool {
    group.iter().any(|(known, _)| *known == path)
}

/// Of the path `list[key=wanted].rest`, its pieces.
#[derive(Clone, Copy)]
struct Selected<'a> {
    list: &'a str,
    key: &'a str,
    wanted: &'a str,
    rest: &'a str,
}

impl Selected<'_> {
    fn is(&self, item: &Value) -> bool {
        let found = item.get(self.key).and_then(Value::as_str);
        found.is_some_and(|found| found.eq_ignore_ascii_case(self.wanted))
    }
}

fn selected(path: &str) -> Option<Selected<'_>> {
    let (list, rest) = path.split_once('[')?;
    let (which, rest) = rest.split_once("].")?;
    let (key, wanted) = which.split_once('=')?;
    Some(Selected { list, key, wanted, rest })
}

/// What is at a path without a selector; nothing if anything on the way is missing or null.
pub(super) fn at<'a>(found: &'a Object, path: &str) -> Result<Option<&'a Value>> {
    let mut object = found;
    let (outer, name) = path.rsplit_once('.').unwrap_or(("", path));
    for key in outer.split('.').filter(|key| !key.is_empty()) {
        let wrong = |error| Error::invalid(format!("in the usage {error}"));
        let Some(inner) = json::nested(object, key).map_err(wrong)? else { return Ok(None) };
        object = inner;
    }
    Ok(json::given(object, name))
}

/// The count at a path, in a list the sum of those selected; none if it is missing or null.
fn tokens(found: &Object, path: &str) -> Result<Option<u64>> {
    let wrong =
        |value| Error::invalid(format!("`{path}` of the usage is `{}`, not a count", json::shown(value)));
    let Some(part) = selected(path) else {
        let Some(value) = at(found, path)? else { return Ok(None) };
        return whole(value).map(Some).ok_or_else(|| wrong(value));
    };
    let Some(list) = at(found, part.list)? else { return Ok(None) };
    let items = list.as_array().ok_or_else(|| wrong(list))?;
    let mut total: Option<u64> = None;
    for item in items.iter().filter(|item| part.is(item)).filter_map(Value::as_object) {
        if let Some(told) = tokens(item, part.rest)? {
            total = Some(total.unwrap_or(0).saturating_add(told));
        }
    }
    Ok(total)
}

/// A whole number that is not negative, written as one or with a fraction of zero.
fn whole(value: &Value) -> Option<u64> {
    let Value::Number(number) = value else { return None };
    number.as_u64().or_else(|| {
        let text = number.to_string();
        let (count, fraction) = text.split_once('.')?;
        if fraction.bytes().all(|digit| digit == b'0') { count.parse().ok() } else { None }
    })
}

/// A cost in nano-USD, rounded up; a number, or one written as text, as 64-bit numbers are in protobuf.
fn nanos(value: &Value, power: i32) -> Option<i64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let pico = decimal(&text, 12 + power).filter(|pico| *pico >= 0)?;
    i64::try_from(pico / 1_000 + i128::from(pico % 1_000 != 0)).ok()
}

/// An item that counts nothing.
fn is_empty_item(item: &Value) -> bool {
    match item {
        Value::Object(fields) => fields.values().all(|value| value.is_string() || is_nothing(value)),
        other => is_nothing(other),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(_) => whole(value) == Some(0),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Array(items) => items.iter().all(is_nothing),
        _ => false,
    }
}

fn shortened(path: &str) -> String {
    path.chars().take(NAME_MAX_CHARS).collect()
}
