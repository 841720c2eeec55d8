//! The setting that names a store, and why a store cannot be opened.

use std::path::PathBuf;

use crate::domain::ids::Invalid;

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `embedded:`, in the memory of this process; nothing outlives it.
    Memory,
    /// `embedded:PATH`, in one file, for one process.
    File(PathBuf),
}

impl StoreUrl {
    /// Reads the setting.
    ///
    /// # Errors
    /// Says which forms there are.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const REDIS: [&str; 6] = ["redis", "rediss", "redis-cluster", "rediss-cluster", "redis-sentinel", "rediss-sentinel"];
        match text.split_once(':') {
            Some(("embedded", "")) => Ok(Self::Memory),
            Some(("embedded", path)) => Ok(Self::File(path.into())),
            Some((scheme, _)) if REDIS.contains(&scheme) => {
                Err(Invalid("must be embedded: or embedded:PATH; Redis is not built yet"))
            }
            Some(_) | None => Err(Invalid("must be embedded: (memory) or embedded:PATH (one file)")),
        }
    }
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the store {}: {cause}", path.display())]
pub struct OpenError {
    /// The database.
    pub path: PathBuf,
    /// What is wrong.
    pub cause: OpenCause,
}

/// What is wrong with a store that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenCause {
    /// One process at a time.
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
    /// The database has tables, but not ours.
    #[error("it is a database of another program")]
    Foreign,
    /// A file or folder beside the database cannot be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// The thread that writes cannot be started.
    #[error("no thread: {0}")]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_memory_or_a_file() {
        assert_eq!(StoreUrl::parse("embedded:"), Ok(StoreUrl::Memory));
        assert_eq!(StoreUrl::parse("embedded:a/b:c.redb"), Ok(StoreUrl::File("a/b:c.redb".into())));
    }

    #[test]
    fn other_stores_are_refused_by_name() {
        for bad in ["", "embedded", "Embedded:", "postgres://host", "/var/lib/store"] {
            assert!(StoreUrl::parse(bad).is_err(), "{bad:?}");
        }
        let refused = StoreUrl::parse("rediss-cluster://host").unwrap_err();
        assert!(refused.0.ends_with("Redis is not built yet"), "{refused}");
    }
}
