//! The engines behind the store port: embedded in this process, or on Redis.

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

/// Opens an existing file of an embedded store only to read it: neither its format nor its generation changes.
///
/// Reads files, and repairs the database if the last process was killed: not for a tokio worker.
///
/// # Errors
/// [`OpenError`]; also if a process has it open, or if it is in an older format.
pub fn inspect_embedded(path: &Path, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, OpenError> {
    match embedded::durable::Durable::inspect(path, clock) {
        Ok(store) => Ok(Arc::new(store)),
        Err(cause) => Err(OpenError {
            path: path.to_owned(),
            cause,
        }),
    }
}

/// Opens the embedded store: in the file of that path, or in memory. `data_dir` keeps the file that tells this store from
/// a restored copy of it.
///
/// Reads and writes files, brings an older format into the present one, and repairs the database if the last process was
/// killed: not for a tokio worker.
///
/// # Errors
/// Says which file cannot be used, and why.
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
