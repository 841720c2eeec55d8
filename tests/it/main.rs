//! The service from outside: over real gRPC on free ports, with steered time and a sender that keeps every message.
#![allow(missing_docs, reason = "a test tells its story by its name")]
#![allow(clippy::unwrap_used, reason = "what fails here is to fail the test")]
#![allow(clippy::too_many_lines, reason = "a test tells its story in one piece")]

mod audit;
mod caller;
mod delivery;
mod harness;
mod limit;
mod pages;
mod recipient;
mod record;
#[path = "../rig/rig.rs"]
mod rig;
mod verification;
