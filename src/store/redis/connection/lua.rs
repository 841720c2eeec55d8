//! The Lua scripts: called by their hash, and loaded again where the server does not know them.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value, cmd};

use super::link::Link;

/// Arguments of a usual commit, and their bytes.
const ARGS_USUAL: usize = 20;
const BYTES_USUAL: usize = 1536;

/// A script and its hash.
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
/// Draws from quotas.
pub(in crate::store::redis) static DRAW: LazyLock<Lua> =
    LazyLock::new(|| Lua::new(include_str!("../draw.lua")));
/// Gives back to quotas.
pub(in crate::store::redis) static GIVE_BACK: LazyLock<Lua> =
    LazyLock::new(|| Lua::new(include_str!("../give_back.lua")));
/// Says that this process lives, and who else does.
pub(in crate::store::redis) static BEAT: LazyLock<Lua> =
    LazyLock::new(|| Lua::new(include_str!("../beat.lua")));

impl Lua {
    fn new(source: &'static str) -> Self {
        Self {
            source,
            hash: redis::Script::new(source).get_hash().to_owned(),
        }
    }

    /// The call; arguments are added to it after the keys.
    pub(in crate::store::redis) fn on(&self, keys: &[Vec<u8>]) -> Cmd {
        // Room for a usual commit, so that it does not grow and move step by step.
        let mut call = Cmd::with_capacity(ARGS_USUAL, BYTES_USUAL);
        call.arg("EVALSHA")
            .arg(&self.hash)
            .arg(keys.len())
            .arg(keys);
        call
    }

    /// Runs calls of which the first is of this script; the answers of all.
    ///
    /// # Errors
    /// That of the first call that failed. A script that is missing again after it was loaded is one.
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

    /// Loads it; the server must find the hash that we send.
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
                "the server gives a script another hash",
            )
                .into())
        }
    }
}

#[cfg(test)]
mod tests;
