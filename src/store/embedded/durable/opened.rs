//! A database as it was opened: for writing, or for reading only.

use std::{fs, path::Path, sync::Arc};

use redb::{
    Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase as _,
    TransactionError,
};

use super::file::{CACHE_BYTES, cause};
use crate::store::open_error::OpenCause;

/// A database for writing, or for reading only.
pub(super) enum Opened {
    Whole(Arc<Database>),
    ReadOnly(ReadOnlyDatabase),
}

impl Opened {
    /// Opens an existing file for reading only: not one byte of it changes. The engine can only read a file that was
    /// closed; after a kill it repairs the file first, so that a copy of it is opened.
    pub(super) fn for_reading(path: &Path) -> Result<Self, OpenCause> {
        fs::metadata(path).map_err(cause(path))?;
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        match builder.open_read_only(path) {
            Ok(db) => Ok(Self::ReadOnly(db)),
            Err(DatabaseError::RepairAborted) => {
                let copy = path.with_added_extension("copy");
                fs::copy(path, &copy).map_err(cause(&copy))?;
                let opened = builder.open(&copy);
                // The open file stays until it is closed.
                fs::remove_file(&copy).map_err(cause(&copy))?;
                Ok(Self::Whole(Arc::new(opened?)))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn begin_read(&self) -> Result<ReadTransaction, TransactionError> {
        match self {
            Self::Whole(db) => db.begin_read(),
            Self::ReadOnly(db) => db.begin_read(),
        }
    }
}
