//! Which price book does this user have?
//!
//! The bundled one, or a newer one that the user has put beside the configuration. Nothing is fetched.

use std::{
    borrow::Cow,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    meter::PriceBook,
};

/// Larger files are no price books.
const BYTES_MAX: u64 = 20_000_000;

/// Where the user's own book lies: at `$OUTLAY_PRICES`, else `outlay/prices.txt` in the configuration
/// folder; nowhere if the configuration is named by `$OUTLAY_CONFIG`.
pub fn path() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("OUTLAY_PRICES") {
        return Some(named.into()).filter(|path: &PathBuf| !path.as_os_str().is_empty());
    }
    if std::env::var_os("OUTLAY_CONFIG").is_some() {
        return None;
    }
    dirs::config_dir().map(|folder| folder.join("outlay").join("prices.txt"))
}

/// The user's own book if it is newer than the bundled one, else that.
///
/// # Errors
///
/// `InvalidInput`: the file is there and is no price book.
pub fn installed() -> Result<PriceBook> {
    let bundled = PriceBook::bundled();
    let Some(path) = path().filter(|path| path.exists()) else { return Ok(bundled.clone()) };
    let text = text_of(&path)?;
    let book = PriceBook::unchecked(Cow::Owned(text)).map_err(|error| named(&path, &error))?;
    Ok(if book.version() > bundled.version() { book } else { bundled.clone() })
}

/// Reads a book from a file, every line of it.
///
/// # Errors
///
/// `InvalidInput`: it cannot be read, or some of it is no price.
pub fn read(path: &Path) -> Result<PriceBook> {
    PriceBook::read(&text_of(path)?).map_err(|error| named(path, &error))
}

/// Makes the book in a file the user's own, for processes that start from now on; gives where.
///
/// # Errors
///
/// * `InvalidInput`: it is no price book.
/// * `Conflict`: it is not newer than the bundled one.
/// * `Unsupported`: there is no place for it, or it cannot be written there.
pub fn install(file: &Path) -> Result<PathBuf> {
    let (book, bundled) = (read(file)?, PriceBook::bundled().version());
    if book.version() <= bundled {
        let message = format!("the book is of {}, and the bundled one of {bundled}", book.version());
        return Err(Error::conflict(message));
    }
    let path = path().ok_or_else(|| {
        Error::new(crate::ErrorKind::Unsupported, "there is no place for a price book; set `OUTLAY_PRICES`")
    })?;
    let text = text_of(file)?;
    write(&path, text.as_bytes()).map_err(|error| {
        let message = format!("`{}` cannot be written: {error}", path.display());
        Error::new(crate::ErrorKind::Unsupported, message)
    })?;
    Ok(path)
}

/// All of it or nothing: readers see the old book or the new one.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written =
        options.open(&fresh).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    let moved = written.and_then(|()| fs::rename(&fresh, path));
    if moved.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    moved
}

fn text_of(path: &Path) -> Result<String> {
    let wrong = |why: String| Error::invalid(format!("price book `{}`: {why}", path.display()));
    let size = fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if size > BYTES_MAX {
        return Err(wrong(format!("{size} bytes are too many")));
    }
    fs::read_to_string(path).map_err(|error| wrong(error.to_string()))
}

fn named(path: &Path, error: &Error) -> Error {
    Error::invalid(format!("price book `{}`: {error}", path.display()))
}
