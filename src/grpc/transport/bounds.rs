//! The limits of the transport, the same for every listener.

use std::time::Duration;

use tonic::transport::Server;

/// The largest request message that is accepted, in bytes.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// The largest response message that is sent, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 256 * 1024;
/// The largest response message of `AdminService`, in bytes: 1000 events of the audit trail, of 1 KiB each, and
/// the rest of a commit that is not divided.
pub const ADMIN_RESPONSE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The largest total size of the headers of a request, in bytes.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// The number of streams that a peer may reset before they are accepted; then the connection ends.
const PENDING_RESETS_MAX: usize = 20;
/// The number of streams that may be reset because of a peer's errors; then the connection ends.
const LOCAL_RESETS_MAX: usize = 1024;
/// How often a silent peer is pinged, and how long it may then take to answer.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// After this time a connection is closed gracefully, so that load moves to new instances. No limit is set for the
/// calls still in progress: with one, the library never sends GOAWAY and aborts everything when it ends. Calls have
/// their own deadlines, and a watch ends with its verification.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(30 * 60);

/// A server with all limits set; the library leaves several of them unlimited by default.
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
