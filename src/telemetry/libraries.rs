//! The most that libraries may log, whatever `log.level` says: their finest lines show what they work on.

use tracing::{Level, Metadata, level_filters::LevelFilter};

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

/// Warnings of libraries that any stranger can cause as often as it likes, one for each connection. What they tell is
/// counted by our own metrics.
const OF_STRANGERS: [&str; 1] = ["h2"];

/// Whether an event or a span may be logged at its level.
pub(super) fn is_allowed(metadata: &Metadata<'_>) -> bool {
    is_allowed_at(*metadata.level(), metadata.target())
}

fn is_allowed_at(level: Level, target: &str) -> bool {
    let is_of_strangers = level == Level::WARN && OF_STRANGERS.contains(&root(target));
    level <= most_detailed(target) && !is_of_strangers
}

/// The crate of a target such as `hyper::proto::h1`.
fn root(target: &str) -> &str {
    target.split("::").next().unwrap_or(target)
}

/// The most detailed level of a target such as `hyper::proto::h1`.
fn most_detailed(target: &str) -> LevelFilter {
    let root = root(target);
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
    fn log_08_a_stranger_causes_no_warning_of_a_library() {
        for (level, target, is) in [
            (Level::WARN, "h2::proto::streams::recv", false),
            (Level::ERROR, "h2::proto", true),
            (Level::DEBUG, "h2::proto", true),
            (Level::TRACE, "h2::proto", false),
            (Level::WARN, "countersign::listener::accept", true),
            (Level::WARN, "hyper::proto", true),
        ] {
            assert_eq!(is_allowed_at(level, target), is, "{level} {target}");
        }
    }

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
