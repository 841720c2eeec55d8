//! What an error of the server means for the call: each kind decides what to do next.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::ports::store::StoreError;

/// What to do about an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum Fault {
    /// The connection is gone; whether the call was carried out is not known.
    Dropped,
    /// A server that cannot serve now; nothing was done. The generation is learned anew.
    Elsewhere,
    /// The slot is served by this address; nothing was done. The generation is learned anew.
    Moved(String),
    /// The slot is on its way to this address; nothing was done, and it must be asked there.
    Ask(String),
    /// The keys are on their way; nothing was done.
    Moving,
    /// No memory.
    Full,
    /// Nothing that a repeat would mend.
    Final,
}

impl Fault {
    /// A word for metrics.
    pub(in crate::store::redis) fn word(&self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Elsewhere => "elsewhere",
            Self::Moved(_) => "moved",
            Self::Ask(_) => "ask",
            Self::Moving => "moving",
            Self::Full => "full",
            Self::Final => "final",
        }
    }

    pub(in crate::store::redis) fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(
                ServerErrorKind::ReadOnly
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown,
            ) => Self::Elsewhere,
            ErrorKind::Server(ServerErrorKind::Ask) => {
                redirect(error).map_or(Self::Elsewhere, Self::Ask)
            }
            ErrorKind::Server(ServerErrorKind::Moved) => {
                redirect(error).map_or(Self::Elsewhere, Self::Moved)
            }
            ErrorKind::Server(ServerErrorKind::TryAgain) => Self::Moving,
            ErrorKind::Io => Self::Dropped,
            _ if error.code() == Some("OOM") => Self::Full,
            _ if error.is_connection_dropped() => Self::Dropped,
            _ => Self::Final,
        }
    }
}

fn redirect(error: &RedisError) -> Option<String> {
    error.redirect_node().map(|(address, _)| address.to_owned())
}

/// The error as the port has it. The server's text names no key of a person: names are keyed hashes.
pub(in crate::store::redis) fn store_error(error: &RedisError) -> StoreError {
    match Fault::of(error) {
        Fault::Full => StoreError::Full,
        _ => StoreError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    /// The fault of a server's error line.
    fn fault(line: &str) -> Fault {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        assert!(matches!(value, Value::ServerError(_)));
        Fault::of(&value.extract_error().unwrap_err())
    }

    #[test]
    fn rf09_each_error_of_the_server_decides_what_is_next() {
        for line in [
            "READONLY You can't write against a read only replica.",
            "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "CLUSTERDOWN The cluster is down",
        ] {
            assert_eq!(fault(line), Fault::Elsewhere, "{line}");
        }
        assert_eq!(
            fault("MOVED 866 127.0.0.1:7001"),
            Fault::Moved("127.0.0.1:7001".to_owned())
        );
        assert_eq!(
            fault("ASK 866 127.0.0.1:7001"),
            Fault::Ask("127.0.0.1:7001".to_owned())
        );
        assert_eq!(
            fault("TRYAGAIN Multiple keys request during rehashing of slot"),
            Fault::Moving
        );
        assert_eq!(
            fault("OOM command not allowed when used memory > 'maxmemory'."),
            Fault::Full
        );
        for line in [
            "NOPERM this user has no permissions",
            "ERR unknown command",
            "BUSY Redis is busy running a script",
        ] {
            assert_eq!(fault(line), Fault::Final, "{line}");
        }
        assert_eq!(
            Fault::of(&std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
            Fault::Dropped
        );
    }
}
