//! Where does a page go? To a file of its owner's alone, whole or not at all.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process,
};

use outlay::Result;

use crate::place::unusable;

/// Gives what to print: the page itself for `-`.
pub(crate) fn write(page: String, file: &Path) -> Result<String> {
    if file == Path::new("-") {
        return Ok(page);
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}", process::id()));
    let beside = Path::new(&beside);
    let written = put(beside, &page).and_then(|()| fs::rename(beside, file));
    if let Err(error) = written {
        let _ = fs::remove_file(beside);
        return Err(unusable(file, "written", &error));
    }
    Ok(format!("the page is in {}\n", file.display()))
}

fn put(file: &Path, page: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(page.as_bytes())
}
