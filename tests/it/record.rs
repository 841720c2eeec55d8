//! Stored data, and stores that fail.

mod check_config;
mod dump;
mod faults;
mod golden;
mod kept;
mod kills;
mod process;
mod redis;
mod rotation;
mod size;
mod store;
mod two;
mod unreadable;
