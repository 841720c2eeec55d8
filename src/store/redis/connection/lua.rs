//! The Lua scripts: called by their hash, and loaded when a server does not know them.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value, cmd};

use super::link::Link;

/// The number of arguments of a typical commit, and their total size in bytes.
const ARGS_USUAL: usize = 20;
const BYTES_USUAL: usize = 1536;

/// A script and the SHA-1 hash by which servers know it.
pub(in crate::store::redis) struct Lua {
    source: &'static str,
    hash: String,
}

/// Writes one change of one record.
pub(in crate::store::redis) static COMMIT: LazyLock<Lua> =
    LazyLock::new(|| Lua::new(include_str!("../commit.lua")));
/// Moves the due time of a record.
pub(in crate::store::redis) static POSTPONE: LazyLock<Lua> =
    LazyLock::new(|| Lua::new(include_str!("../postpone.lua")));
/// Deletes the oldest events of a shard.
pub(in crate::store::redis) static TRIM: LazyLock<Lua> =
    LazyLock::new(|| Lua::new(include_str!("../trim.lua")));
/// Draws from several quotas: from all of them, or from none.
pub(in crate::store::redis) static DRAW: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(concat!(
        include_str!("../buckets.lua"),
        include_str!("../draw.lua")
    ))
});
/// Returns amounts to several quotas.
pub(in crate::store::redis) static GIVE_BACK: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(concat!(
        include_str!("../buckets.lua"),
        include_str!("../give_back.lua")
    ))
});
/// Records a heartbeat of this process; returns the live processes.
pub(in crate::store::redis) static BEAT: LazyLock<Lua> =
    LazyLock::new(|| Lua::new(include_str!("../beat.lua")));

impl Lua {
    fn new(source: &'static str) -> Self {
        Self {
            source,
            hash: redis::Script::new(source).get_hash().to_owned(),
        }
    }

    /// A call of this script with these keys; the caller appends the other arguments.
    pub(in crate::store::redis) fn on(&self, keys: &[Vec<u8>]) -> Cmd {
        // Reserve room for a typical commit at once, so that the buffers need not grow.
        let mut call = Cmd::with_capacity(ARGS_USUAL, BYTES_USUAL);
        call.arg("EVALSHA")
            .arg(&self.hash)
            .arg(keys.len())
            .arg(keys);
        call
    }

    /// Sends calls of which the first calls this script; returns all answers. Loads the script if the server
    /// does not know it.
    ///
    /// # Errors
    /// [`RedisError`] of the first call that failed; also if the script is unknown again after it was loaded.
    pub(in crate::store::redis) async fn run(
        &self,
        link: &Link,
        calls: &[Cmd],
    ) -> Result<Vec<Value>, RedisError> {
        match link.send(calls).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.load(link).await?;
                link.send(calls).await
            }
            other => other,
        }
    }

    /// Loads the script; fails if the server computes another hash than the one that we send.
    async fn load(&self, link: &Link) -> Result<(), RedisError> {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(self.source);
        let answer = link.send(&[load]).await?;
        let hash: String = redis::from_redis_value(answer.into_iter().next().unwrap_or_default())?;
        if hash == self.hash {
            Ok(())
        } else {
            Err((
                ErrorKind::UnexpectedReturnType,
                "the server computed another hash of the script",
            )
                .into())
        }
    }
}

#[cfg(test)]
mod tests;
