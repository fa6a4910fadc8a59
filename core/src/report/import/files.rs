//! Which files are meant, and what are their lines?

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use jiff::{Timestamp, civil, tz::TimeZone};

use super::found::Found;
use crate::{
    error::{Error, ErrorKind, Result},
    value::Millis,
};

const DEPTH_MAX: usize = 16;
const FILES_MAX: usize = 1_000_000;
/// A message with pictures is long; nothing honest is longer than this.
const LINE_MAX: u64 = 64 << 20;

/// The file, or the files below the folder with one of these endings, in order.
pub(super) fn files(path: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let missing = |what: &str| Error::new(ErrorKind::NotFound, format!("{what} `{}`", path.display()));
    let about = fs::metadata(path).map_err(|_| missing("there is nothing at"))?;
    if !about.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let (mut found, mut folders) = (Vec::new(), vec![(path.to_owned(), 0)]);
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            // Not that of what a link points to, so there are no circles.
            let Ok(kind) = entry.file_type() else { continue };
            let ending =
                |path: &Path| path.extension().is_some_and(|own| endings.iter().any(|one| own == *one));
            if kind.is_dir() && depth < DEPTH_MAX {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() && ending(&entry.path()) && found.len() < FILES_MAX {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    if found.is_empty() { Err(missing("there are no logs in")) } else { Ok(found) }
}

pub(super) fn opened(file: &Path) -> Result<BufReader<File>> {
    File::open(file).map(BufReader::new).map_err(|error| unreadable(file, &error))
}

pub(super) fn unreadable(file: &Path, error: &io::Error) -> Error {
    Error::new(ErrorKind::NotFound, format!("`{}` cannot be read: {error}", file.display()))
}

/// Hands out each line that is not empty; one that is too long is malformed.
pub(super) fn lines(
    file: &Path,
    found: &mut Found,
    mut visit: impl FnMut(&[u8], &mut Found) -> Result<()>,
) -> Result<()> {
    let mut reader = opened(file)?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
        if read.map_err(|error| unreadable(file, &error))? == 0 {
            return Ok(());
        }
        found.next_line();
        if line.len() as u64 == LINE_MAX && line.last() != Some(&b'\n') {
            found.malformed("the line is too long");
            reader.skip_until(b'\n').map_err(|error| unreadable(file, &error))?;
        } else if line.iter().any(|byte| !byte.is_ascii_whitespace()) {
            visit(&line, found)?;
        }
    }
}

/// A time as logs write it; in UTC where no zone is given.
pub(super) fn time(text: &str) -> Option<Millis> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    let civil: civil::DateTime = text.parse().ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_logs_write_them() {
        let noon = Some(1_795_348_800_000);
        for text in [
            "2026-11-22T12:00:00.000Z",
            "2026-11-22T13:00:00+01:00",
            "2026-11-22 12:00:00",
            "2026-11-22T12:00:00",
            "2026-11-22 12:00:00+00:00",
        ] {
            assert_eq!(time(text), noon, "{text}");
        }
        assert_eq!(time("2026-11-22"), Some(1_795_305_600_000));
        assert_eq!((time(""), time("yesterday"), time("1795348800")), (None, None, None));
    }
}
