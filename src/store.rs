//! The engines behind the store port: embedded in this process, or Redis.

use std::{path::Path, sync::Arc};

use crate::ports::{
    store::Store,
    system::{Clock, Entropy},
};

pub mod bounds;
pub mod embedded;
mod open_error;
pub mod redis;

#[cfg(test)]
pub(crate) mod contract;

pub use open_error::{OpenCause, OpenError};

/// Opens an existing file of an embedded store for reading only: neither its format nor its generation changes.
///
/// Does blocking file access, and repairs the database if the last process was killed: do not call it on
/// an async worker thread.
///
/// # Errors
/// [`OpenError`]; also if another process has the file open, or if it is in an older format.
pub fn inspect_embedded(path: &Path, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, OpenError> {
    match embedded::durable::Durable::inspect(path, clock) {
        Ok(store) => Ok(Arc::new(store)),
        Err(cause) => Err(OpenError {
            path: path.to_owned(),
            cause,
        }),
    }
}

/// Checks whether a file could be opened as an embedded store, without changing or locking it. A missing file passes.
///
/// # Errors
/// [`OpenError`] says what the path is instead.
pub fn check_embedded(path: &Path) -> Result<(), OpenError> {
    embedded::durable::check_file(path).map_err(|cause| OpenError {
        path: path.to_owned(),
        cause,
    })
}

/// Opens the embedded store: in the file at this path, or in memory. `data_dir` holds the generation file, which
/// tells this store from a restored copy of it.
///
/// Does blocking file access, migrates an older format, and repairs the database if the last process was killed: do
/// not call it on an async worker thread.
///
/// # Errors
/// [`OpenError`] says which file cannot be used, and why.
pub fn open_embedded(
    path: Option<&Path>,
    data_dir: &Path,
    clock: Arc<dyn Clock>,
    entropy: &dyn Entropy,
) -> Result<Arc<dyn Store>, OpenError> {
    match path {
        None => Ok(Arc::new(embedded::memory::Memory::new(clock, entropy))),
        Some(path) => {
            let cause = |cause| OpenError {
                path: path.to_owned(),
                cause,
            };
            Ok(Arc::new(
                embedded::durable::Durable::open(path, data_dir, clock, entropy).map_err(cause)?,
            ))
        }
    }
}
