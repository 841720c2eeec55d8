//! The limits of the transport, the same on every listener.

use std::time::Duration;

use tonic::transport::Server;

/// Largest request message.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Largest answer.
pub const RESPONSE_BYTES_MAX: usize = 256 * 1024;
/// Largest list of headers.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Streams that a peer reset before they were accepted.
const PENDING_RESETS_MAX: usize = 20;
/// Streams that were reset for a peer's errors.
const LOCAL_RESETS_MAX: usize = 1024;
/// A silent peer is asked this often, and cut after as long again.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// After this a connection is closed gracefully, so that load follows when instances come. No time is set for what is then
/// still in flight, for with one the library never says GOAWAY and cuts everything at its end; calls have their deadlines,
/// and a watch ends with its verification.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(30 * 60);

/// A server with every limit set: the library's defaults leave several of them open.
#[must_use]
pub fn bounded(streams_max: u32, deadline_max: Duration) -> Server {
    Server::builder()
        .timeout(deadline_max)
        .max_concurrent_streams(streams_max)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(LOCAL_RESETS_MAX))
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_connection_age(CONNECTION_AGE_MAX)
}

#[cfg(test)]
mod tests;
