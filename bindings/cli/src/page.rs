//! Where does a page go, or an export? To a file of its owner's alone, whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use outlay::Result;

use crate::place::unusable;

/// Tells what this process writes at a time from each other.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Gives what to print: the page itself for `-`.
pub(crate) fn write(page: String, file: &Path) -> Result<String> {
    if file == Path::new("-") {
        return Ok(page);
    }
    write_whole(file, |to| to.write_all(page.as_bytes()).map(Ok))?;
    Ok(format!("the page is in {}\n", file.display()))
}

/// Puts a new file, for its owner alone, in the place of what is there, once `fill` has written all
/// of it. If that fails, nothing has changed.
///
/// # Errors
///
/// `InvalidInput`: the file cannot be written. Else what `fill` gives.
///
/// ```
/// use std::io::Write;
///
/// let file = std::env::temp_dir().join(format!("outlay-{}.txt", std::process::id()));
/// outlay_cli::write_whole(&file, |to| to.write_all(b"all of it").map(Ok))?;
/// assert_eq!(std::fs::read(&file).unwrap(), b"all of it");
/// # std::fs::remove_file(&file).unwrap();
/// # Ok::<(), outlay::Error>(())
/// ```
pub fn write_whole<T>(file: &Path, fill: impl FnOnce(&mut File) -> std::io::Result<Result<T>>) -> Result<T> {
    let unwritten = |error: std::io::Error| unusable(file, "written", &error);
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let beside = Path::new(&beside);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut to = options.open(beside).map_err(unwritten)?;
    let filled = fill(&mut to).map_err(unwritten).flatten();
    drop(to);
    let written = filled.and_then(|value| fs::rename(beside, file).map(|()| value).map_err(unwritten));
    if written.is_err() {
        let _ = fs::remove_file(beside);
    }
    written
}
