//! Sends a call to the master of its slot, follows redirects, and repeats it at most twice.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, Value, from_redis_value};

use super::{
    fault::{Fault, store_error},
    lua::Lua,
    node::Lane,
    topology::Topology,
};
use crate::{domain::time::Generation, ports::store::StoreError};

/// How often a call is repeated at most, after an error that says that it was not executed, or that
/// makes a repeat harmless.
const REPEATS_MAX: usize = 2;
/// The pause before a repeat while keys are being moved to another server.
const MOVING_PAUSE: Duration = Duration::from_millis(20);

/// How a call is routed and whether it may be repeated.
#[derive(Clone, Copy)]
pub(in crate::store::redis) struct Trip {
    /// The slot of all its keys.
    pub(in crate::store::redis) slot: u16,
    /// The durable lane if the call may wait for replicas.
    pub(in crate::store::redis) lane: Lane,
    /// Whether executing it twice is harmless. Then it is also repeated after a lost connection.
    pub(in crate::store::redis) repeatable: bool,
    /// The script that the first call runs; `None` for plain commands.
    pub(in crate::store::redis) script: Option<&'static Lua>,
    /// The only server generation on which it may be executed; `None` for any.
    pub(in crate::store::redis) only: Option<Generation>,
}

impl Trip {
    /// A call that may be executed twice, on any server.
    pub(in crate::store::redis) fn repeatable(slot: u16) -> Self {
        Self {
            slot,
            lane: Lane::Plain,
            repeatable: true,
            script: None,
            only: None,
        }
    }

    /// A call that must not be executed twice.
    pub(in crate::store::redis) fn once(slot: u16, lane: Lane) -> Self {
        Self {
            lane,
            repeatable: false,
            ..Self::repeatable(slot)
        }
    }

    pub(in crate::store::redis) fn script(self, script: &'static Lua) -> Self {
        Self {
            script: Some(script),
            ..self
        }
    }

    pub(in crate::store::redis) fn only(self, generation: Generation) -> Self {
        Self {
            only: Some(generation),
            ..self
        }
    }
}

/// The answers, and the generation of the server that sent them.
pub(in crate::store::redis) struct Answered {
    pub(in crate::store::redis) generation: Generation,
    pub(in crate::store::redis) answers: Vec<Value>,
}

impl Answered {
    /// The single answer, converted.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it has another type.
    pub(in crate::store::redis) fn one<T: FromRedisValue>(mut self) -> Result<T, StoreError> {
        from_redis_value(self.answers.pop().unwrap_or_default())
            .map_err(|error| store_error(&error.into()))
    }
}

/// Sends calls together to the master of their slot; `None` if its generation is not the one demanded.
///
/// # Errors
/// [`StoreError`]; there is no timeout here, so the caller must set a deadline.
pub(in crate::store::redis) async fn go_if(
    topology: &Topology,
    trip: Trip,
    calls: &[Cmd],
) -> Result<Option<Answered>, StoreError> {
    let mut link = topology.link(trip.slot, trip.lane).await?;
    let mut repeats = 0;
    loop {
        let generation = link.generation();
        if trip.only.is_some_and(|only| only != generation) {
            return Ok(None);
        }
        let sent = match trip.script {
            Some(script) => script.run(&link, calls).await,
            None => link.send(calls).await,
        };
        let error = match sent {
            Ok(answers) => {
                // Every script writes.
                if trip.script.is_some() {
                    link.trust().set_refuses_writes(false);
                }
                return Ok(Some(Answered {
                    generation,
                    answers,
                }));
            }
            Err(error) => error,
        };
        let fault = Fault::of(&error);
        if fault == Fault::TooFewReplicas {
            link.trust().set_refuses_writes(true);
        }
        if matches!(fault, Fault::Dropped | Fault::Elsewhere | Fault::Moved(_)) {
            link.trust().lose();
            topology.request_refresh();
        }
        metrics::counter!("countersign_redis_errors_total", "kind" => fault.word()).increment(1);
        let is_last = repeats == REPEATS_MAX || (fault == Fault::Dropped && !trip.repeatable);
        link = match fault {
            _ if is_last => return Err(store_error(&error)),
            Fault::Full | Fault::TooFewReplicas | Fault::Final => return Err(store_error(&error)),
            Fault::Dropped | Fault::Elsewhere => topology.link(trip.slot, trip.lane).await?,
            Fault::Moved(address) => topology.link_at(&address, trip.lane).await?,
            Fault::Ask(address) => topology.link_at(&address, trip.lane).await?.asking(),
            Fault::Moving => {
                tokio::time::sleep(MOVING_PAUSE).await;
                topology.link(trip.slot, trip.lane).await?
            }
        };
        repeats += 1;
    }
}

/// Sends calls together to the master of their slot.
///
/// # Errors
/// [`StoreError`], as for [`go_if`].
pub(in crate::store::redis) async fn go(
    topology: &Topology,
    trip: Trip,
    calls: &[Cmd],
) -> Result<Answered, StoreError> {
    let answered = go_if(topology, trip, calls).await?;
    answered.ok_or_else(|| {
        StoreError::Unavailable(
            "the server at this address is not the one that was asked before".to_owned(),
        )
    })
}
