//! What operators see, and what nobody may see.

mod log;
mod metrics;
mod operations;
mod secrecy;
