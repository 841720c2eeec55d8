//! Watches the file of an open database: whether it is still where it was opened, and whether its disk has room.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::file::cause;
use crate::store::open_error::OpenCause;

/// The time between two trials whether the disk has room.
const TRY_EVERY: Duration = Duration::from_secs(3);
/// The bytes that are written to see whether the disk has room.
const TRIAL_BYTES: usize = 64 * 1024;

/// Watches the file of the database. It is asked by `Store::ready`, once a second.
pub(super) struct Watch {
    place: Place,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Why what is written would be lost.
    vanished: Option<String>,
    /// Why the disk takes no more, and when that was tried.
    full: Option<String>,
    tried_at: Option<Instant>,
}

impl Watch {
    /// Watches the file at this path, which is open.
    pub(super) fn of(path: &Path) -> Result<Self, OpenCause> {
        Ok(Self {
            place: Place::of(path).map_err(cause(path))?,
            seen: Mutex::default(),
        })
    }

    /// Why what is written would be lost, as of the last look; `None` if it would not.
    pub(super) fn vanished(&self) -> Option<String> {
        self.seen().vanished.clone()
    }

    /// Why the disk takes no more, as of the last look; `None` if it does.
    pub(super) fn full(&self) -> Option<String> {
        self.seen().full.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the file; does blocking file access.
    pub(super) fn look(&self) {
        let vanished = self.place.vanished();
        let is_due = self
            .seen()
            .tried_at
            .is_none_or(|at| at.elapsed() >= TRY_EVERY);
        let tried = (is_due && vanished.is_none()).then(|| self.place.full());
        let mut seen = self.seen();
        if let Some(full) = tried {
            seen.full = full;
            seen.tried_at = Some(Instant::now());
        }
        if let Some(why) = vanished.as_ref().filter(|_| seen.vanished.is_none()) {
            tracing::error!(
                why,
                "store file vanished; nothing is written until it is back or the service is restarted"
            );
        }
        seen.vanished = vanished;
    }
}

/// Identifies the file that a database was opened from.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    id: (u64, u64),
}

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        let id = id(path)?;
        let path = path.to_owned();
        Ok(Self { path, id })
    }

    /// Why the path no longer leads to the opened file, so that whatever is written would be lost; `None` if it does.
    fn vanished(&self) -> Option<String> {
        let path = self.path.display();
        match id(&self.path) {
            Ok(id) if id == self.id => None,
            Ok(_) => Some(format!("{path} was replaced while it was open")),
            Err(error) => Some(format!("{path} vanished while it was open: {error}")),
        }
    }

    /// Why nothing can be added beside the database; `None` if the disk has room. Writes a file and removes it.
    fn full(&self) -> Option<String> {
        let trial = self.path.with_added_extension("trial");
        let tried = try_write(&trial);
        // What was written before a failure takes room too.
        let removed = fs::remove_file(&trial);
        let error = tried.and(removed).err()?;
        Some(format!("{} cannot be written: {error}", trial.display()))
    }
}

/// The device and the number of a file.
fn id(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn try_write(path: &Path) -> io::Result<()> {
    File::create(path)?.write_all(&vec![0; TRIAL_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_23_a_file_that_vanished_or_was_replaced_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&path, "").unwrap();
        let place = Place::of(&path).unwrap();
        assert_eq!(place.vanished(), None);
        fs::rename(&path, &aside).unwrap();
        assert!(place.vanished().unwrap().contains("vanished"));
        fs::copy(&aside, &path).unwrap();
        assert!(place.vanished().unwrap().contains("was replaced"));
        fs::rename(&aside, &path).unwrap();
        assert_eq!(place.vanished(), None);
    }

    #[test]
    fn store_23_a_full_disk_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "").unwrap();
        let place = Place::of(&path).unwrap();
        assert_eq!(place.full(), None);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        // A device that is always full.
        let error = try_write(Path::new("/dev/full")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        fs::remove_dir_all(dir.path()).unwrap();
        assert!(place.full().unwrap().contains("cannot be written"));
    }
}
