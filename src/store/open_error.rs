//! Why a store cannot be opened.

use std::path::PathBuf;

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the store {}: {cause}", path.display())]
pub struct OpenError {
    /// The database file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: OpenCause,
}

/// What is wrong with a store that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenCause {
    /// Only one process at a time can use the file.
    #[error("another process has it open")]
    InUse,
    /// The format number is one that this program does not know.
    #[error("it is in format {found}, and this program reads format {known}")]
    Format {
        /// The number in the file.
        found: u64,
        /// The number that this program writes.
        known: u64,
    },
    /// The file is in an older format, and it was to be read only.
    #[error(
        "it is in format {found}; back it up, then start the service once, which brings it into format {known}"
    )]
    Older {
        /// The number in the file.
        found: u64,
        /// The number that this program writes.
        known: u64,
    },
    /// The database has tables, but not ours.
    #[error("it is a database of another program")]
    Foreign,
    /// A file or folder beside the database cannot be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The thread that writes cannot be started.
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
