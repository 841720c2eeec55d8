//! Checks the folders and the file of the embedded store: whether a start could use them.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, ErrorKind},
    path::Path,
};

use super::Findings;
use crate::{config::StoreEngine, store};

/// Checks `data_dir`, and the database if it is a file. Writes and removes a file in each folder, because only that
/// tells whether it can be written to.
pub(super) fn check(data_dir: &Path, engine: &StoreEngine, findings: &mut Findings) {
    let unusable = folder(data_dir);
    let is_usable = unusable.is_none();
    if let Some(why) = unusable {
        findings.mistake("data_dir".to_owned(), why);
    }
    let StoreEngine::File(path) = engine else {
        return;
    };
    let key = || "store.url".to_owned();
    let parent = path.parent().unwrap_or(Path::new("."));
    if parent != data_dir {
        if let Some(why) = folder(parent) {
            return findings.mistake(key(), why);
        }
    } else if !is_usable {
        return;
    }
    if let Err(error) = store::check_embedded(path) {
        findings.mistake(key(), error);
    }
}

/// Why a folder cannot be used or made; `None` if it can.
fn folder(path: &Path) -> Option<String> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let shown = path.display();
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let error = try_file(path).err()?;
            Some(format!("{shown} cannot be written to: {error}"))
        }
        Ok(_) => Some(format!("{shown} is not a directory")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = path.ancestors().skip(1).find(|parent| parent.exists());
            let parent = parent
                .filter(|parent| !parent.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            let error = try_folder(parent).err()?;
            Some(format!(
                "{shown} does not exist, and cannot be made in {}: {error}",
                parent.display()
            ))
        }
        Err(error) => Some(format!("{shown} cannot be used: {error}")),
    }
}

/// The name of what is made and removed again.
fn trial() -> String {
    format!(".countersign-check-{}", std::process::id())
}

fn try_file(folder: &Path) -> io::Result<()> {
    let path = folder.join(trial());
    let mut options = OpenOptions::new();
    drop(options.write(true).create(true).open(&path)?);
    fs::remove_file(path)
}

fn try_folder(folder: &Path) -> io::Result<()> {
    let path = folder.join(trial());
    DirBuilder::new().create(&path)?;
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(data_dir: &Path, engine: &StoreEngine) -> Vec<(String, String)> {
        let mut findings = Findings::default();
        check(data_dir, engine, &mut findings);
        let mistakes = findings.mistakes.into_iter();
        mistakes
            .map(|mistake| (mistake.key, mistake.what))
            .collect()
    }

    #[test]
    fn conf_04_folders_that_a_start_cannot_use_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "").unwrap();
        for (data_dir, what) in [
            ("file", "file is not a directory"),
            ("file/below", "file/below cannot be used: "),
        ] {
            let told = told(&path(data_dir), &StoreEngine::Memory);
            assert_eq!(told.len(), 1, "{data_dir}: {told:?}");
            assert!(
                told[0].0 == "data_dir" && told[0].1.contains(what),
                "{told:?}"
            );
        }
        // /proc refuses new files even from root.
        for data_dir in ["/proc/self", "/proc/self/below"] {
            let told = told(Path::new(data_dir), &StoreEngine::Memory);
            assert!(told.len() == 1 && told[0].0 == "data_dir", "{told:?}");
        }
        for data_dir in ["", "new", "new/and/deep"] {
            assert_eq!(
                told(&path(data_dir), &StoreEngine::Memory),
                [],
                "{data_dir}"
            );
        }
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing is left"
        );
    }

    #[test]
    fn conf_04_what_is_no_database_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("folder.redb")).unwrap();
        fs::write(path("text.redb"), "SQLite format 3").unwrap();
        fs::write(path("file"), "").unwrap();
        for (database, what) in [
            ("folder.redb", "it is not a regular file"),
            ("text.redb", "it is no database of Countersign"),
            ("file/x.redb", "file is not a directory"),
        ] {
            let told = told(&path("data"), &StoreEngine::File(path(database)));
            assert_eq!(told.len(), 1, "{database}: {told:?}");
            assert!(
                told[0].0 == "store.url" && told[0].1.contains(what),
                "{told:?}"
            );
        }
        fs::write(path("empty.redb"), "").unwrap();
        drop(redb::Database::create(path("real.redb")).unwrap());
        for database in ["empty.redb", "real.redb", "new.redb", "new/deep.redb"] {
            assert_eq!(
                told(&path("data"), &StoreEngine::File(path(database))),
                [],
                "{database}"
            );
        }
        // One mistake in a folder that both use.
        let file = path("file");
        let told = told(&file, &StoreEngine::File(file.join("countersign.redb")));
        assert_eq!(told.len(), 1, "{told:?}");
    }
}
