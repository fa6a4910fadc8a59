//! What did LiteLLM's proxy log? A row of `LiteLLM_SpendLogs` for every request, exported as lines or
//! as an array.

use std::{fmt, io::BufRead as _, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::Value;

use super::{
    files::{lines, opened, time, unreadable},
    found::{Found, Logged, Session, id_with},
};
use crate::{
    error::{self, Error},
    value::Usage,
};

#[derive(Deserialize)]
struct Row {
    request_id: Option<String>,
    #[serde(rename = "startTime")]
    start: Option<String>,
    model: Option<String>,
    custom_llm_provider: Option<String>,
    #[serde(default, deserialize_with = "count")]
    prompt_tokens: u64,
    #[serde(default, deserialize_with = "count")]
    completion_tokens: u64,
    status: Option<String>,
    #[serde(default)]
    cache_hit: Value,
    session_id: Option<String>,
    team_id: Option<String>,
    user: Option<String>,
    end_user: Option<String>,
    #[serde(default)]
    metadata: Value,
}

/// A count, as whatever a table was exported to has made of it; none is zero.
fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let told = Value::deserialize(from)?;
    let count = match &told {
        Value::Null => Some(0),
        Value::String(text) => text.trim().parse().ok().or_else(|| whole(text.trim().parse().ok()?)),
        number => number.as_u64().or_else(|| whole(number.as_f64()?)),
    };
    count.ok_or_else(|| D::Error::custom(format!("`{told}` is no count of tokens")))
}

/// A column with gaps is one of floats in many a table.
fn whole(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number as u64)
}

pub(super) fn read(file: &Path, found: &mut Found) -> error::Result<()> {
    let mut reader = opened(file)?;
    let start = reader.fill_buf().map_err(|error| unreadable(file, &error))?;
    if !start.trim_ascii_start().starts_with(b"[") {
        return lines(file, found, |bytes, found| read_row(serde_json::from_slice(bytes), found));
    }
    let mut failure = None;
    let rows = Rows { found: &mut *found, failure: &mut failure };
    let read = serde_json::Deserializer::from_reader(reader).deserialize_seq(rows);
    if let Err(error) = read {
        // An array that was cut off still has its beginning.
        found.malformed(error);
    }
    failure.map_or(Ok(()), Err)
}

/// The elements of an array, each as it comes.
struct Rows<'a> {
    found: &'a mut Found,
    failure: &'a mut Option<Error>,
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> std::result::Result<(), A::Error> {
        while let Some(row) = rows.next_element::<Value>()? {
            self.found.next_line();
            if let Err(error) = read_row(serde_json::from_value(row), self.found) {
                self.failure.get_or_insert(error);
            }
        }
        Ok(())
    }
}

fn read_row(row: serde_json::Result<Row>, found: &mut Found) -> error::Result<()> {
    let row = match row {
        Ok(row) => row,
        Err(error) => {
            found.malformed(error);
            return Ok(());
        }
    };
    let is_hit = |hit: &str| hit.eq_ignore_ascii_case("true");
    let is_cached = row.cache_hit.as_bool().or(row.cache_hit.as_str().map(is_hit)).unwrap_or(false);
    if is_cached || row.status.as_deref() == Some("failure") && row.completion_tokens == 0 {
        found.counts.unbilled_calls += 1;
        return Ok(());
    }
    let at = row.start.as_deref().and_then(time);
    let model = row.model.clone().filter(|model| !model.is_empty());
    let (Some(id), Some(at), Some(model)) = (row.request_id.clone(), at, model) else {
        found.malformed("a row without request_id, startTime or model");
        return Ok(());
    };
    let tags = [("team", &row.team_id), ("user", &row.user), ("end_user", &row.end_user)];
    let given = tags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)));
    let tags: Vec<_> = given.filter(|(_, value)| !value.is_empty()).collect();
    // Without a session, what one user did on one day.
    let session = row.session_id.clone().filter(|session| !session.is_empty());
    let session = session.unwrap_or_else(|| format!("day {}", at.div_euclid(86_400_000)));
    let run = id_with(&session, &tags);
    let session = found.session(&run, || Session { id: run.clone(), name: "litellm".to_owned(), tags });
    let (provider, usage) = (row.custom_llm_provider.clone().filter(|name| !name.is_empty()), row.usage());
    found.call(Logged { session, id: id.into(), at, provider, model, told: usage.into(), is_open: false })
}

impl Row {
    /// The row has two sums; what they are made of stands in its metadata.
    fn usage(&self) -> Usage {
        let parsed = self.metadata.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let metadata = parsed.as_ref().unwrap_or(&self.metadata);
        let object = metadata.get("usage_object").unwrap_or(&Value::Null);
        let at = |path: &str| object.pointer(path).and_then(Value::as_u64);
        Usage {
            cache_read_tokens: at("/prompt_tokens_details/cached_tokens")
                .or_else(|| at("/cache_read_input_tokens"))
                .unwrap_or(0),
            cache_write_tokens: at("/cache_creation_input_tokens").unwrap_or(0),
            reasoning_tokens: at("/completion_tokens_details/reasoning_tokens").unwrap_or(0),
            ..Usage::tokens(self.prompt_tokens, self.completion_tokens)
        }
    }
}
