//! Classifies server errors by what the caller must do next.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::ports::store::StoreError;

/// What an error means for the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum Fault {
    /// The connection is lost; whether the call was executed is unknown.
    Dropped,
    /// This server cannot serve at present; the call was not executed. Connect again and learn the generation again.
    Elsewhere,
    /// The slot is served at this address; the call was not executed. Connect again and learn the generation again.
    Moved(String),
    /// The slot is being moved to this address; the call was not executed. Repeat it there, after `ASKING`.
    Ask(String),
    /// The keys are being moved and are split over two servers; the call was not executed. Repeat it soon.
    Moving,
    /// The server is out of memory; the call was not executed.
    Full,
    /// The master has fewer replicas than `min-replicas-to-write`; the call was not executed.
    TooFewReplicas,
    /// Any other error; repeating the call would not help.
    Final,
}

impl Fault {
    /// The value of the metric label `kind`.
    pub(in crate::store::redis) fn word(&self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Elsewhere => "elsewhere",
            Self::Moved(_) => "moved",
            Self::Ask(_) => "ask",
            Self::Moving => "moving",
            Self::Full => "full",
            Self::TooFewReplicas => "too_few_replicas",
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
            _ if error.code() == Some("NOREPLICAS") => Self::TooFewReplicas,
            _ if error.is_connection_dropped() => Self::Dropped,
            _ => Self::Final,
        }
    }
}

fn redirect(error: &RedisError) -> Option<String> {
    error.redirect_node().map(|(address, _)| address.to_owned())
}

/// Converts the error to that of the store port. The server's text names no person: key names are keyed hashes.
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

    /// The fault for an error line as sent by a server.
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
