//! What is stored, on engines that fail.

mod dump;
mod faults;
mod kills;
mod process;
mod redis;
mod size;
mod store;
mod two;
mod unreadable;
