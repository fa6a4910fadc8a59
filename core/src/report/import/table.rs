//! What does a table say? A row for every call, under headings we name.

use std::path::Path;

use super::{
    files::{opened, time},
    found::{Found, Logged, Session, id_with},
};
use crate::{
    error::{Error, Result},
    value::Usage,
};

const NEEDED: [&str; 5] = ["id", "time", "model", "input_tokens", "output_tokens"];
const KNOWN: [&str; 10] = [
    "task",
    "name",
    "provider",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "web_searches",
];
const TAG: &str = "tag:";

pub(super) fn read(file: &Path, found: &mut Found) -> Result<()> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(opened(file)?);
    let unreadable = |error: csv::Error| Error::invalid(format!("`{}`: {error}", file.display()));
    let headings = reader.headers().map_err(unreadable)?.clone();
    let missing = NEEDED.iter().find(|name| !headings.iter().any(|own| own == **name));
    if let Some(name) = missing {
        return Err(Error::invalid(format!("`{}` has no column `{name}`", file.display())));
    }
    let is_known = |name: &str| NEEDED.contains(&name) || KNOWN.contains(&name) || name.starts_with(TAG);
    if let Some(name) = headings.iter().find(|name| !is_known(name)) {
        return Err(Error::invalid(format!("`{}` has a column `{name}` that nobody knows", file.display())));
    }
    for row in reader.records() {
        found.next_line();
        match row {
            Ok(row) if row.len() == headings.len() => read_row(&Row { headings: &headings, row }, found)?,
            Ok(row) => found.malformed(format!("{} cells under {} headings", row.len(), headings.len())),
            Err(error) => found.malformed(error),
        }
    }
    Ok(())
}

struct Row<'a> {
    headings: &'a csv::StringRecord,
    row: csv::StringRecord,
}

impl Row<'_> {
    /// Nothing for a cell that is empty.
    fn text(&self, name: &str) -> Option<&str> {
        let at = self.headings.iter().position(|own| own == name)?;
        self.row.get(at).map(str::trim).filter(|text| !text.is_empty())
    }

    fn count(&self, name: &str) -> std::result::Result<u64, String> {
        self.text(name).map_or(Ok(0), |text| {
            text.parse().map_err(|_| format!("`{name}` is `{text}`, not a whole number"))
        })
    }

    fn usage(&self) -> std::result::Result<Usage, String> {
        Ok(Usage {
            cache_read_tokens: self.count("cache_read_tokens")?,
            cache_write_tokens: self.count("cache_write_tokens")?,
            cache_write_1h_tokens: self.count("cache_write_1h_tokens")?,
            reasoning_tokens: self.count("reasoning_tokens")?,
            input_audio_tokens: self.count("input_audio_tokens")?,
            output_audio_tokens: self.count("output_audio_tokens")?,
            web_searches: self.count("web_searches")?,
            ..Usage::tokens(self.count("input_tokens")?, self.count("output_tokens")?)
        })
    }
}

fn read_row(row: &Row<'_>, found: &mut Found) -> Result<()> {
    let usage = match row.usage() {
        Ok(usage) => usage,
        Err(why) => {
            found.malformed(why);
            return Ok(());
        }
    };
    let (Some(id), Some(at), Some(model)) =
        (row.text("id"), row.text("time").and_then(time), row.text("model"))
    else {
        found.malformed("a row without id, time or model");
        return Ok(());
    };
    let headings = row.headings.iter().filter_map(|name| Some((name.strip_prefix(TAG)?, name)));
    let tags = headings.filter_map(|(key, name)| Some((key.to_owned(), row.text(name)?.to_owned())));
    let (tags, name) = (tags.collect::<Vec<_>>(), row.text("name"));
    let run = id_with(row.text("task").or(name).unwrap_or_default(), &tags);
    let session =
        found.session(&run, || Session { id: run.clone(), name: name.unwrap_or("csv").to_owned(), tags });
    let (provider, model) = (row.text("provider").map(str::to_owned), model.to_owned());
    found.call(Logged { session, id: id.into(), at, provider, model, told: usage.into(), is_open: false })
}
