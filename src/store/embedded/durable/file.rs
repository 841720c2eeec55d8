//! Creates and replaces files so that they are complete whenever the process is killed.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use redb::{Builder, Database, backends::FileBackend};

use crate::store::open_error::OpenCause;

/// The page cache of the database engine; its own default is 1 GiB.
pub(super) const CACHE_BYTES: usize = 128 * 1024 * 1024;

/// The first bytes of every database of the engine, as its format documents them.
const MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// Checks that the path is missing, empty or a database that can be written to; neither changes nor locks it.
///
/// # Errors
/// [`OpenCause`] says what it is instead.
pub fn check(path: &Path) -> Result<(), OpenCause> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cause(path)(error)),
        // Opening a pipe could wait for ever.
        Ok(metadata) if !metadata.is_file() => return Err(OpenCause::NotAFile),
        Ok(_) => {}
    }
    let file = File::options().read(true).write(true).open(path);
    let mut begin = Vec::with_capacity(MAGIC.len());
    file.map_err(cause(path))?
        .take(MAGIC.len() as u64)
        .read_to_end(&mut begin)
        .map_err(cause(path))?;
    if begin.is_empty() || begin == MAGIC {
        Ok(())
    } else {
        Err(OpenCause::NotADatabase)
    }
}

/// Opens a database exclusively, or creates an empty one.
pub(super) fn open(path: &Path) -> Result<Database, OpenCause> {
    check(path)?;
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

/// Creates an empty database; `None` if another process has just done so. The engine refuses a file whose creation
/// was interrupted, so the database is created under another name and then renamed.
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
    // Rename while the file is open and locked, so that no other process can lock the draft in between.
    rename(&draft, path).map_err(cause(path))?;
    Ok(Some(made))
}

/// Creates a folder and its parents; existing ones stay.
pub(super) fn make_folder(folder: &Path) -> Result<(), OpenCause> {
    fs::create_dir_all(folder).map_err(cause(folder))
}

/// Replaces the content of a file; a crash leaves the old content or the new.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let draft = draft_of(path);
    let mut file = File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    rename(&draft, path)
}

/// Adds the path to an I/O error.
pub(super) fn cause(path: &Path) -> impl Fn(io::Error) -> OpenCause {
    move |reason| OpenCause::File {
        path: path.to_path_buf(),
        reason,
    }
}

/// Renames durably: the new name is on disk only after its folder is synced.
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
