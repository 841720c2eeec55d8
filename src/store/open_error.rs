//! Why the embedded store could not be opened.

use std::path::PathBuf;

/// Opening the embedded store failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the store {}: {cause}", path.display())]
pub struct OpenError {
    /// The path of the database file, as configured.
    pub path: PathBuf,
    /// The cause; its text is part of the message.
    pub cause: OpenCause,
}

/// Why the embedded store could not be opened: the cause in [`OpenError`].
#[derive(Debug, thiserror::Error)]
pub enum OpenCause {
    /// Another process has the file open; only one at a time can use it.
    #[error("another process has it open")]
    InUse,
    /// The file has a format number that this program does not know.
    #[error("it is in format {found}, and this program reads format {known}")]
    Format {
        /// The format number in the file.
        found: u64,
        /// The format number that this program writes.
        known: u64,
    },
    /// The file is in an older format, and was opened for reading only, so it cannot be migrated.
    #[error(
        "it is in format {found}; back it up, then start the service once, which brings it into format {known}"
    )]
    Older {
        /// The format number in the file.
        found: u64,
        /// The format number that this program writes.
        known: u64,
    },
    /// The database is empty or missing, but it held data before: failure counts are lost.
    #[error(
        "it is empty, but {} says that it held data: restore it; or, to begin without the failure counts of all \
         customers, remove that file",
        generation_file.display()
    )]
    Lost {
        /// The file beside the database that is left.
        generation_file: PathBuf,
    },
    /// The path is a folder, a pipe or a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// The file was written by another program.
    #[error("it is no database of Countersign")]
    NotADatabase,
    /// The database has tables, but none of ours.
    #[error("it is a database of another program")]
    Foreign,
    /// A file or folder beside the database cannot be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// The path of that file or folder.
        path: PathBuf,
        /// The error of the operating system.
        reason: std::io::Error,
    },
    /// The thread that writes to the database could not be started.
    #[error("cannot start the writing thread: {0}")]
    Thread(std::io::Error),
    /// The database engine cannot use the file.
    #[error("{0}")]
    Database(Box<redb::Error>),
}

impl<E: Into<redb::Error>> From<E> for OpenCause {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            other => Self::Database(Box::new(other)),
        }
    }
}
