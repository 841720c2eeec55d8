//! One connection to one server, whose generation was learned before any other call.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

use redis::{Cmd, Pipeline, RedisError, Value, aio::MultiplexedConnection, cmd};
use tokio_util::sync::CancellationToken;

use crate::domain::time::Generation;

/// Consecutive unanswered calls after which a connection is considered dead.
const STRIKES_MAX: u32 = 3;

/// Whether the connections to a server still work, as observed by their users.
#[derive(Debug, Default)]
pub(in crate::store::redis) struct Trust {
    answered: AtomicU64,
    strikes: AtomicU32,
    /// Whether the server refused the last write because it has too few replicas.
    refuses_writes: AtomicBool,
    lost: CancellationToken,
}

impl Trust {
    /// Marks the connections as lost, so that the node replaces them.
    pub(in crate::store::redis) fn lose(&self) {
        self.lost.cancel();
    }

    /// Records whether the server refused a write because it has too few replicas.
    pub(in crate::store::redis) fn set_refuses_writes(&self, refuses: bool) {
        if self.refuses_writes() != refuses {
            self.refuses_writes.store(refuses, Ordering::Relaxed);
        }
    }

    pub(in crate::store::redis) fn refuses_writes(&self) -> bool {
        self.refuses_writes.load(Ordering::Relaxed)
    }

    /// The number of calls answered so far.
    pub(in crate::store::redis) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(in crate::store::redis) fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}

/// One connection; clones share it.
#[derive(Clone)]
pub(in crate::store::redis) struct Link {
    connection: MultiplexedConnection,
    generation: Generation,
    trust: Arc<Trust>,
    /// The number of calls waiting for their answers.
    waiting: Arc<AtomicUsize>,
    asking: bool,
}

impl Link {
    pub(in crate::store::redis) fn new(
        connection: MultiplexedConnection,
        generation: Generation,
        trust: Arc<Trust>,
    ) -> Self {
        Self {
            connection,
            generation,
            trust,
            waiting: Arc::default(),
            asking: false,
        }
    }

    /// The generation of the server at the other end, learned when the connection was made.
    pub(in crate::store::redis) fn generation(&self) -> Generation {
        self.generation
    }

    pub(in crate::store::redis) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The number of calls waiting for their answers.
    pub(in crate::store::redis) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The same connection, with `ASKING` before each call: for a slot that is being moved to this server.
    pub(in crate::store::redis) fn asking(mut self) -> Self {
        self.asking = true;
        self
    }

    /// Sends calls together; returns their answers in order.
    ///
    /// # Errors
    /// [`RedisError`]: the first error answer, or the failure of the connection.
    pub(in crate::store::redis) async fn send(
        &self,
        calls: &[Cmd],
    ) -> Result<Vec<Value>, RedisError> {
        let _waits = Waits::on(&self.waiting);
        let strike = Strike(&self.trust);
        let mut connection = self.connection.clone();
        let answers = match calls {
            // Most calls are sent alone and need no pipeline.
            [call] if !self.asking => connection
                .send_packed_command(call)
                .await
                .map(|answer| vec![answer]),
            _ => {
                connection
                    .send_packed_commands(&self.pipeline(calls), 0, calls.len() * self.step())
                    .await
            }
        };
        strike.answered(&answers);
        let step = self.step();
        answers?
            .into_iter()
            .skip(step - 1)
            .step_by(step)
            .map(Value::extract_error)
            .collect()
    }

    fn pipeline(&self, calls: &[Cmd]) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(calls.len() * self.step());
        for call in calls {
            if self.asking {
                pipeline.add_command(cmd("ASKING"));
            }
            pipeline.add_command(call.clone());
        }
        pipeline
    }

    /// The number of commands sent per call.
    fn step(&self) -> usize {
        if self.asking { 2 } else { 1 }
    }
}

/// Counts a call while it waits for its answer.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn on(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a strike if it is dropped: then the caller's deadline passed before the answer came.
struct Strike<'a>(&'a Trust);

impl Strike<'_> {
    fn answered(self, answers: &Result<Vec<Value>, RedisError>) {
        match answers {
            Ok(_) => {
                self.0.answered.fetch_add(1, Ordering::Relaxed);
                self.0.strikes.store(0, Ordering::Relaxed);
            }
            Err(error) if error.is_timeout() => self.count(),
            Err(_) => self.0.lose(),
        }
        std::mem::forget(self);
    }

    fn count(&self) {
        if self.0.strikes.fetch_add(1, Ordering::Relaxed) + 1 >= STRIKES_MAX {
            self.0.lose();
        }
    }
}

impl Drop for Strike<'_> {
    fn drop(&mut self) {
        self.count();
    }
}
