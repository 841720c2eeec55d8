//! The engines behind the store port, and the choice between them.

use std::{path::Path, sync::Arc};

use crate::ports::{
    store::Store,
    store_url::StoreUrl,
    system::{Clock, Entropy},
};

pub mod bounds;
pub mod embedded;
mod open_error;

#[cfg(test)]
mod contract;

pub use open_error::{OpenCause, OpenError};

/// Opens the store that `url` names. `data_dir` keeps the file that tells this store from a restored copy of it.
///
/// Reads and writes files, and repairs the database if the last process was killed: not for a tokio worker.
///
/// # Errors
/// Says which file cannot be used, and why.
pub fn open(url: &StoreUrl, data_dir: &Path, clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Result<Arc<dyn Store>, OpenError> {
    match url {
        StoreUrl::Memory => Ok(Arc::new(embedded::memory::Memory::new(clock, entropy))),
        StoreUrl::File(path) => {
            let cause = |cause| OpenError { path: path.clone(), cause };
            Ok(Arc::new(embedded::durable::Durable::open(path, data_dir, clock, entropy).map_err(cause)?))
        }
    }
}
