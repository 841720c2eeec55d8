//! Callers and their connections: bad input, bounds, credentials.

mod errors;
mod permissions;
mod transport;
