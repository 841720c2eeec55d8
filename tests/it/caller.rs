//! Callers and their connections: bad input, bounds, credentials.

mod errors;
mod forms;
mod permissions;
mod strangers;
mod tls;
mod transport;
