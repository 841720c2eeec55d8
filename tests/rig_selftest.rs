//! Tests the test bed of Redis servers against real servers.
#![allow(missing_docs, reason = "a test tells its story by its name")]
#![allow(clippy::unwrap_used, reason = "what fails here is to fail the test")]
#![allow(clippy::too_many_lines, reason = "a test tells its story in one piece")]

#[path = "rig_selftest/cluster.rs"]
mod cluster;
#[path = "rig_selftest/counting.rs"]
mod counting;
#[path = "rig_selftest/faults.rs"]
mod faults;
#[path = "rig_selftest/replication.rs"]
mod replication;
#[path = "rig/rig.rs"]
mod rig;
#[path = "rig_selftest/server.rs"]
mod server;
