//! What a server reports about itself: identity, settings that affect durability, and time.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use redis::{Cmd, RedisError, Value, cmd, from_redis_value};

use crate::domain::time::{Generation, Now, Timestamp};

/// A server's answers to `INFO` and `TIME`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store::redis) struct Identity {
    fields: HashMap<String, String>,
    /// The server's clock at the answer.
    pub(in crate::store::redis) time: Timestamp,
}

impl Identity {
    /// The commands whose answers [`Identity::read`] takes, in this order.
    pub(in crate::store::redis) fn questions() -> Vec<Cmd> {
        let mut calls: Vec<Cmd> = Vec::new();
        for section in [
            "server",
            "replication",
            "memory",
            "stats",
            "persistence",
            "modules",
        ] {
            let mut call = cmd("INFO");
            call.arg(section);
            calls.push(call);
        }
        calls.push(cmd("TIME"));
        calls
    }

    /// Parses the answers to [`Identity::questions`].
    ///
    /// # Errors
    /// [`RedisError`] if an answer has another type.
    pub(in crate::store::redis) fn read(mut answers: Vec<Value>) -> Result<Self, RedisError> {
        let time = read_time(answers.pop().unwrap_or_default())?;
        let mut fields = HashMap::new();
        for answer in answers {
            let text: String = from_redis_value(answer)?;
            let lines = text.lines().filter_map(|line| line.split_once(':'));
            fields.extend(lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())));
        }
        Ok(Self { fields, time })
    }

    pub(in crate::store::redis) fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    pub(in crate::store::redis) fn number(&self, name: &str) -> u64 {
        self.get(name).parse().unwrap_or_default()
    }

    /// Whether the server is Valkey. It reports the version of Redis that it is compatible with beside its own.
    pub(in crate::store::redis) fn is_valkey(&self) -> bool {
        !self.get("valkey_version").is_empty() || self.get("server_name") == "valkey"
    }

    /// The server's own version.
    pub(in crate::store::redis) fn version(&self) -> &str {
        match self.get("valkey_version") {
            "" => self.get("redis_version"),
            version => version,
        }
    }

    /// A hash of `run_id` and `master_replid`. Both are needed: a former master that is promoted again has its old
    /// `run_id`, but the older data of the other server.
    pub(in crate::store::redis) fn generation(&self) -> Generation {
        let both = format!("{} {}", self.get("run_id"), self.get("master_replid"));
        let mut short = [0; 16];
        short.copy_from_slice(&digest(&SHA256, both.as_bytes()).as_ref()[..16]);
        Generation(short)
    }

    /// Whether it is a master with all its data loaded, so that it may be written to; else why not.
    pub(in crate::store::redis) fn serves(&self) -> Result<(), String> {
        match (self.get("role"), self.get("loading")) {
            ("master", "0" | "") => Ok(()),
            ("master", _) => Err("it is loading its data".to_owned()),
            (role, _) => Err(format!("it is a {role} and no master")),
        }
    }

    /// The difference between its clock and ours.
    pub(in crate::store::redis) fn skew(&self, ours: Timestamp) -> std::time::Duration {
        Now::new(ours, self.time).clock_difference()
    }
}

/// Parses the answer to `TIME`.
///
/// # Errors
/// [`RedisError`] if it is not an answer to `TIME`.
pub(in crate::store::redis) fn read_time(answer: Value) -> Result<Timestamp, RedisError> {
    let (seconds, micros): (u64, u64) = from_redis_value(answer)?;
    Ok(Timestamp::from_micros(
        seconds.saturating_mul(1_000_000).saturating_add(micros),
    ))
}

#[cfg(test)]
impl Identity {
    /// An identity with these fields, for tests.
    pub(in crate::store::redis) fn of(fields: &[(&str, &str)], time: Timestamp) -> Self {
        Self {
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_05_a_generation_is_both_ids() {
        let of = |run_id, replid| {
            Identity::of(
                &[("run_id", run_id), ("master_replid", replid)],
                Timestamp::default(),
            )
            .generation()
        };
        assert_eq!(of("a", "b"), of("a", "b"));
        assert_ne!(
            of("a", "b"),
            of("a", "c"),
            "the same server, after another was master"
        );
        assert_ne!(
            of("a", "b"),
            of("c", "b"),
            "a replica with the master's data"
        );
        assert_ne!(of("ab", "c"), of("a", "bc"));
    }

    #[test]
    fn store_08_only_a_master_with_its_data_serves() {
        let serves = |role, loading| {
            Identity::of(
                &[("role", role), ("loading", loading)],
                Timestamp::default(),
            )
            .serves()
        };
        assert_eq!(serves("master", "0"), Ok(()));
        assert!(
            serves("slave", "0").is_err()
                && serves("master", "1").is_err()
                && serves("", "0").is_err()
        );
    }

    #[test]
    fn answers_are_read_as_they_come() {
        let info = "# Server\r\nrun_id:abc\r\nconfig_file:/etc/x:y\r\n";
        let time = Value::Array(vec![
            Value::BulkString(b"12".to_vec()),
            Value::BulkString(b"34".to_vec()),
        ]);
        let identity = Identity::read(vec![Value::BulkString(info.into()), time]).unwrap();
        assert_eq!(
            (
                identity.get("run_id"),
                identity.get("config_file"),
                identity.get("absent")
            ),
            ("abc", "/etc/x:y", "")
        );
        assert_eq!(identity.time, Timestamp::from_micros(12_000_034));
        assert!(Identity::read(vec![Value::Okay]).is_err());
    }
}
