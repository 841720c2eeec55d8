//! The service from outside: over real gRPC on free ports, with steered time and a sender that keeps every message.
#![allow(missing_docs, reason = "a test tells its story by its name")]
#![allow(clippy::unwrap_used, reason = "what fails here is to fail the test")]

mod binary;
mod callbacks;
mod calls;
mod canary;
mod codes;
mod delivery;
mod dump;
mod errors;
mod failover;
mod faults;
mod golden;
mod guesses;
mod harness;
mod hedge;
mod hook;
mod kept;
mod kills;
mod link;
mod numbers;
mod operations;
mod plan;
mod postfix;
mod process;
mod provider;
mod providers;
mod pumping;
mod push;
mod quotas;
mod receipts;
mod redis;
#[path = "../rig/rig.rs"]
mod rig;
mod rotation;
mod secrecy;
mod sink;
mod size;
mod spend;
mod store;
mod test_recipients;
mod transport;
mod two;
