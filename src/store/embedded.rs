//! Stores in this process: in memory, or durable in one file.

pub mod durable;
pub mod memory;

mod quotas;
mod shards;
mod watchers;
