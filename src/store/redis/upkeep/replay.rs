//! Checks whether a server keeps what scripts wrote when it replays its append-only file.
//!
//! A script's writes are in the file as a transaction. Redis 7 replays the file as the user `default`, checks that
//! user's permissions for each command of a transaction, and drops refused commands with only a line in its log
//! (changed by its pull request 14545). Other commands are not checked, so the epochs, which show a loss, survive,
//! and the loss would go unnoticed.

use redis::{RedisError, Value, cmd};

use super::open::RedisOpenError;
use crate::{
    ports::store::Complaint,
    store::redis::{
        Core,
        connection::{fault::store_error, identity::Identity, link::Link, node::Lane},
    },
};

/// The user as whom the server replays the file.
const REPLAYED_AS: &str = "default";
/// The commands that our scripts leave in the file, each with the least arguments it needs.
const WRITES: [&[&str]; 9] = [
    &["SET", "x"],
    &["DEL"],
    &["PEXPIREAT", "1"],
    &["ZADD", "1", "m"],
    &["ZREM", "m"],
    &["ZREMRANGEBYSCORE", "0", "1"],
    &["XADD", "*", "k", "v"],
    &["XDEL", "0-1"],
    &["XTRIM", "MAXLEN", "1"],
];

/// The commands that our calls and scripts use on keys.
const CALLS: [&[&str]; 11] = [
    &["GET"],
    &["MGET"],
    &["GETRANGE", "0", "1"],
    &["SET", "x"],
    &["DEL"],
    &["ZADD", "1", "m"],
    &["ZREM", "m"],
    &["ZRANGE", "0", "1"],
    &["XADD", "*", "k", "v"],
    &["XRANGE", "-", "+"],
    &["XTRIM", "MAXLEN", "1"],
];

/// What the replay of a server may do.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum Replay {
    Complete,
    /// The replay would drop this command.
    Drops(&'static str),
    /// Our user may not ask; the text is the server's answer.
    Unknown(String),
}

impl Core {
    /// Checks, on every server with an append-only file, whether its replay may execute the commands of our scripts.
    ///
    /// # Errors
    /// [`RedisOpenError::Unfit`] if one may not: a restart would lose records and failure counts.
    pub(in crate::store::redis) async fn try_replay(
        &self,
    ) -> Result<Vec<Complaint>, RedisOpenError> {
        let login = self.common.settings.login.as_ref();
        // If this user is ours, `try_rights` has already tested its permissions.
        if login.is_none_or(|login| ["", REPLAYED_AS].contains(&login.username.as_str())) {
            return Ok(Vec::new());
        }
        let (mut wrong, mut told) = (Vec::new(), Vec::new());
        for links in self.topology.nodes().iter().filter_map(|node| node.links()) {
            let link = links.pick(Lane::Plain);
            let answers = link.send(&Identity::questions()).await;
            let identity = answers
                .and_then(Identity::read)
                .map_err(|error| store_error(&error))?;
            if identity.get("aof_enabled") != "1" {
                continue;
            }
            match self.replay_of(&link).await {
                Replay::Complete => {}
                Replay::Drops(name) => wrong.push(format!("{}: {}", links.at, drops(name))),
                Replay::Unknown(why) => told.push(Complaint {
                    word: "replay_unknown",
                    text: format!("{}: {}", links.at, unknown(&why)),
                }),
            }
        }
        if wrong.is_empty() {
            Ok(told)
        } else {
            Err(RedisOpenError::Unfit(wrong))
        }
    }

    /// Asks with `ACL DRYRUN`, which executes nothing, for each command on a key of ours; stops at the first refusal.
    pub(in crate::store::redis) async fn replay_of(&self, link: &Link) -> Replay {
        self.dry_run(link, REPLAYED_AS, &WRITES).await
    }

    /// Asks whether a user may use the commands of our calls.
    pub(in crate::store::redis) async fn rights_of(&self, link: &Link, user: &str) -> Replay {
        self.dry_run(link, user, &CALLS).await
    }

    async fn dry_run(
        &self,
        link: &Link,
        user: &str,
        commands: &[&'static [&'static str]],
    ) -> Replay {
        let key = self.keys.probe(0, "replay");
        for write in commands {
            let mut question = cmd("ACL");
            question.arg("DRYRUN").arg(user);
            question.arg(write[0]).arg(&key).arg(&write[1..]);
            match read(write[0], link.send(&[question]).await) {
                Replay::Complete => {}
                other => return other,
            }
        }
        Replay::Complete
    }
}

/// The answer is OK, or a text that names the missing permission.
fn read(name: &'static str, answers: Result<Vec<Value>, RedisError>) -> Replay {
    match answers {
        Ok(answers) if answers == [Value::Okay] => Replay::Complete,
        Ok(_) => Replay::Drops(name),
        Err(error) => Replay::Unknown(error.to_string()),
    }
}

pub(in crate::store::redis) fn drops(name: &str) -> String {
    format!(
        "user {REPLAYED_AS} may not use {name} on keys of store.prefix: a restart would lose records and failure \
         counts, because the append-only file is replayed as this user; give it the rights and leave it off, \
         without a password: user {REPLAYED_AS} off resetpass ~* &* +@all"
    )
}

fn unknown(why: &str) -> String {
    format!(
        "whether a restart keeps records and failure counts is unknown ({why}): give our user +acl|dryrun, and \
         user {REPLAYED_AS}, as whom the append-only file is replayed, ~* &* +@all, even if it is off"
    )
}

#[cfg(test)]
mod tests {
    use redis::{ErrorKind, ServerErrorKind};

    use super::*;

    #[test]
    fn store_13_only_ok_means_that_the_replay_is_complete() {
        let denied = "This user has no permissions to run the 'set' command";
        let text = Value::BulkString(denied.into());
        assert_eq!(read("SET", Ok(vec![Value::Okay])), Replay::Complete);
        assert_eq!(read("SET", Ok(vec![text])), Replay::Drops("SET"));
        assert_eq!(read("SET", Ok(Vec::new())), Replay::Drops("SET"));
        let refused = (ErrorKind::Server(ServerErrorKind::NoPerm), "NOPERM");
        assert!(matches!(
            read("SET", Err(refused.into())),
            Replay::Unknown(_)
        ));
    }
}
