//! Callers and their connections: bad input, bounds, credentials.

mod errors;
mod transport;
