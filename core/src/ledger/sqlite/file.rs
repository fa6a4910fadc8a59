//! Where is the file, whose is it, and who has it open?
//!
//! Directories are 0700 and files 0600. An owner is alive while it holds an OS lock on a file of
//! its own beside the database; a lock cannot outlive its process.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Component, Path, PathBuf},
};

use crate::{
    error::{Error, ErrorKind, Result},
    value::Id,
};

/// The smallest page a database can have.
const PAGE_MIN: u64 = 512;

/// The path in a store URL `sqlite:PATH`, made absolute.
pub(crate) fn path_of(url: &str) -> Result<PathBuf> {
    let text = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = Path::new(text);
    if text.starts_with("//") && !text.starts_with("///") {
        // Not shown: what stands before a host may be a password.
        return Err(Error::invalid("a store in a file has no host: write `sqlite:PATH` or `sqlite:///PATH`"));
    }
    if text.is_empty() || text.contains(['\0', '?', '#']) || path.file_name().is_none() {
        return Err(Error::invalid(format!("store `{url}` names no file")));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(Error::invalid(format!("store `{url}` may not contain `..`")));
    }
    std::path::absolute(path).map_err(|error| unavailable("resolve", path, &error))
}

/// Makes the folder and the file with the right modes, and refuses file systems that cannot lock.
pub(super) fn prepare(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if !folder.exists() {
        create_folder(folder)?;
    }
    refuse_remote(folder)?;
    if path.is_dir() {
        return Err(Error::invalid(format!("store `{}` is a folder", path.display())));
    }
    if !path.exists() {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        private_file(&mut options);
        options.open(path).map_err(|error| unavailable("create", path, &error))?;
        return Ok(());
    }
    let bytes = fs::metadata(path).map_err(|error| unavailable("inspect", path, &error))?.len();
    if bytes > 0 && bytes < PAGE_MIN {
        // SQLite would take it for a new one.
        return Err(Error::corrupt(format!("`{}` has only {bytes} bytes, it is no ledger", path.display())));
    }
    if let Err(error) = restrict(path)
        && error.kind() != io::ErrorKind::PermissionDenied
        && error.kind() != io::ErrorKind::ReadOnlyFilesystem
    {
        return Err(unavailable("restrict", path, &error));
    }
    refuse_read_only(path)
}

/// SQLite would find out only after it had made files beside it that nobody can write to later.
fn refuse_read_only(path: &Path) -> Result<()> {
    #[cfg(unix)]
    rustix::fs::access(path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK)
        .map_err(|error| unavailable("write to", path, &error.into()))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Opens and locks the owner's own file; the lock lives as long as the file is open.
pub(super) fn lock_owner(path: &Path, id: &Id) -> Result<File> {
    let folder = owners_folder(path);
    if !folder.exists() {
        create_folder(&folder)?;
    }
    let own = folder.join(id.to_string());
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private_file(&mut options);
    let file = options.open(&own).map_err(|error| unavailable("create", &own, &error))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::Error(error) => unavailable("lock", &own, &error),
        TryLockError::WouldBlock => Error::store(format!("`{}` is locked already", own.display())),
    })?;
    Ok(file)
}

/// Is the owner with this id running? If not, its file is removed.
pub(super) fn is_alive(path: &Path, id: &Id) -> bool {
    let own = owners_folder(path).join(id.to_string());
    let Ok(file) = OpenOptions::new().write(true).open(&own) else { return own.exists() };
    match file.try_lock() {
        Ok(()) => {
            let _ = fs::remove_file(&own);
            false
        }
        // In doubt, it lives: its calls stay pending, which nobody can overspend.
        Err(_) => true,
    }
}

/// Removes the file of an owner that ends.
pub(super) fn remove_owner(path: &Path, id: &Id) {
    let folder = owners_folder(path);
    let _ = fs::remove_file(folder.join(id.to_string()));
}

fn owners_folder(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-owners");
    PathBuf::from(name)
}

fn create_folder(folder: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| unavailable("create", folder, &error))
}

fn private_file(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

fn restrict(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Locks on NFS, SMB and FUSE do not hold what they promise.
fn refuse_remote(folder: &Path) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        let remote = [
            (0x6969, "NFS"),
            (0x517b, "SMB"),
            (0xff53_4d42, "CIFS"),
            (0xfe53_4d42, "SMB"),
            (0x6573_5546, "FUSE"),
        ];
        let found =
            rustix::fs::statfs(folder).map_err(|error| unavailable("inspect", folder, &error.into()))?;
        let kind = u64::from(found.f_type as u32);
        if let Some((_, name)) = remote.iter().find(|(magic, _)| *magic == kind) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("`{}` lies on {name}, where file locks cannot be trusted", folder.display()),
            ));
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = folder;
    Ok(())
}

fn unavailable(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::store(format!("cannot {what} `{}`: {error}", path.display()))
}
