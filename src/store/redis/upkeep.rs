//! Opening, setup and health checks of the servers, and the division of work among processes.

mod fitness;
pub(super) mod open;
mod probes;
pub(super) mod replay;
pub(super) mod setup;
pub(super) mod share;
mod survey;
