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

/// Opens the embedded store: in the file of that path, or in memory. `data_dir` keeps the file that tells this store from
/// a restored copy of it.
///
/// Reads and writes files, and repairs the database if the last process was killed: not for a tokio worker.
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
