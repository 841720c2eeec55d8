//! The most that libraries may log, whatever `log.level` says: their finest lines show what they work on.

use tracing::{Metadata, level_filters::LevelFilter};

/// The root of our own modules, which never log personal data.
const OURS: &str = "countersign";

/// The most detailed level of a library whose lines were not read.
const UNREAD: LevelFilter = LevelFilter::INFO;

/// Libraries whose lines were read: the most detailed level without personal data, and what its lines show.
const READ: [(&str, LevelFilter, &str); 8] = [
    // TRACE shows the national number that is parsed.
    ("rlibphonenumber", LevelFilter::WARN, "codes of countries"),
    (
        "h2",
        LevelFilter::DEBUG,
        "kinds and flags of frames, without fields and data",
    ),
    (
        "hyper",
        LevelFilter::DEBUG,
        "kinds of bodies, errors of connections",
    ),
    // TRACE shows the URLs of pooled connections.
    ("hyper_util", LevelFilter::DEBUG, "addresses of providers"),
    // TRACE shows what is sent and received.
    ("reqwest", LevelFilter::DEBUG, "hosts of providers"),
    // TRACE shows the messages of handshakes.
    (
        "rustls",
        LevelFilter::DEBUG,
        "names of servers, cipher suites",
    ),
    (
        "tonic",
        LevelFilter::DEBUG,
        "errors of connections and streams",
    ),
    ("tower", LevelFilter::DEBUG, "states of services"),
];

/// Whether an event or a span may be logged at its level.
pub(super) fn is_allowed(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= most_detailed(metadata.target())
}

/// The most detailed level of a target such as `hyper::proto::h1`.
fn most_detailed(target: &str) -> LevelFilter {
    let root = target.split("::").next().unwrap_or(target);
    if root == OURS {
        return LevelFilter::TRACE;
    }
    READ.iter()
        .find(|(library, _, _)| *library == root)
        .map_or(UNREAD, |(_, level, _)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_08_libraries_have_a_level_that_no_directive_raises() {
        for (target, level) in [
            ("countersign", LevelFilter::TRACE),
            ("countersign::grpc::entrance", LevelFilter::TRACE),
            ("countersign_like", LevelFilter::INFO),
            ("rlibphonenumber::phonenumberutil", LevelFilter::WARN),
            ("hyper::proto::h1::io", LevelFilter::DEBUG),
            ("lettre", LevelFilter::INFO),
            ("rusmpp_core", LevelFilter::INFO),
            ("axum::rejection", LevelFilter::INFO),
            ("log", LevelFilter::INFO),
            ("", LevelFilter::INFO),
        ] {
            assert_eq!(most_detailed(target), level, "{target}");
        }
    }
}
