//! Integration tests over real gRPC on free ports, with a manual clock and a recording sender.
#![allow(missing_docs, reason = "a test tells its story by its name")]
#![allow(clippy::unwrap_used, reason = "what fails here is to fail the test")]
#![allow(clippy::too_many_lines, reason = "a test tells its story in one piece")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::large_futures,
    clippy::similar_names,
    clippy::too_many_arguments,
    reason = "small texts and exact counters, read more often than run"
)]

mod admin;
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
