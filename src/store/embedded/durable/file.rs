//! Files that are whole whenever the process is killed.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use redb::{Builder, Database, backends::FileBackend};

use crate::store::open_error::OpenCause;

/// Pages kept in memory. The database engine's own default is a gigabyte.
const CACHE_BYTES: usize = 128 * 1024 * 1024;

/// Opens a database for this process alone, or makes an empty one.
pub(super) fn open(path: &Path) -> Result<Database, OpenCause> {
    make_folder(folder_of(path))?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    if !path.exists()
        && let Some(made) = make(path, &builder)?
    {
        return Ok(made);
    }
    Ok(builder.create(path)?)
}

/// Opens a database that exists, for this process alone.
pub(super) fn open_existing(path: &Path) -> Result<Database, OpenCause> {
    fs::metadata(path).map_err(cause(path))?;
    Ok(Database::builder().set_cache_size(CACHE_BYTES).open(path)?)
}

/// Makes an empty database, unless another process was faster. The engine never again opens a file whose
/// creation was interrupted, so it is created under another name.
fn make(path: &Path, builder: &Builder) -> Result<Option<Database>, OpenCause> {
    let draft = draft_of(path);
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&draft)
        .map_err(cause(&draft))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenCause::InUse),
        Err(TryLockError::Error(reason)) => return Err(cause(&draft)(reason)),
    }
    if path.exists() {
        return Ok(None);
    }
    file.set_len(0).map_err(cause(&draft))?;
    let made = builder.create_with_backend(FileBackend::new(file)?)?;
    // While it is open, so that nobody else can lock the draft in between.
    rename(&draft, path).map_err(cause(path))?;
    Ok(Some(made))
}

/// Makes a folder, unless it exists.
pub(super) fn make_folder(folder: &Path) -> Result<(), OpenCause> {
    fs::create_dir_all(folder).map_err(cause(folder))
}

/// Replaces a file by one with this text.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let draft = draft_of(path);
    let mut file = File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    rename(&draft, path)
}

/// Adds the path to an error.
pub(super) fn cause(path: &Path) -> impl Fn(io::Error) -> OpenCause {
    move |reason| OpenCause::File {
        path: path.to_path_buf(),
        reason,
    }
}

/// Renames durably: syncing a file does not sync its name.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    File::open(folder_of(to))?.sync_all()
}

fn draft_of(path: &Path) -> PathBuf {
    path.with_added_extension("new")
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
