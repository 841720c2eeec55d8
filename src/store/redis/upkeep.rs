//! Opening, setting up and watching the servers, and sharing the work of a fleet.

pub(super) mod open;
mod probes;
pub(super) mod replay;
pub(super) mod setup;
pub(super) mod share;
