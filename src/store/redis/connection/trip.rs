//! A call to the server that has its slot: where that is, at most two more tries, and never a replica.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, Value, from_redis_value};

use super::{
    fault::{Fault, store_error},
    lua::Lua,
    node::Lane,
    topology::Topology,
};
use crate::{domain::time::Generation, ports::store::StoreError};

/// A call is repeated so often after an error that says that nothing was done.
const REPEATS_MAX: usize = 2;
/// A pause for keys that are on their way to another server.
const MOVING_PAUSE: Duration = Duration::from_millis(20);

/// What is called, as far as its way to the server needs it.
#[derive(Clone, Copy)]
pub(in crate::store::redis) struct Trip {
    /// The slot of its keys.
    pub(in crate::store::redis) slot: u16,
    /// May it wait for replicas?
    pub(in crate::store::redis) lane: Lane,
    /// Is it harmless if it is carried out twice? Then it is repeated after a lost connection too.
    pub(in crate::store::redis) repeatable: bool,
    /// The script of the first call, if it is one.
    pub(in crate::store::redis) script: Option<&'static Lua>,
    /// The only generation of a server on which it may be carried out, if it matters.
    pub(in crate::store::redis) only: Option<Generation>,
}

impl Trip {
    /// A call that may be carried out twice, on any server.
    pub(in crate::store::redis) fn repeatable(slot: u16) -> Self {
        Self {
            slot,
            lane: Lane::Plain,
            repeatable: true,
            script: None,
            only: None,
        }
    }

    /// A call that must not be carried out twice.
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

/// The answers, and the generation of the server that gave them.
pub(in crate::store::redis) struct Answered {
    pub(in crate::store::redis) generation: Generation,
    pub(in crate::store::redis) answers: Vec<Value>,
}

impl Answered {
    /// What the only answer says.
    ///
    /// # Errors
    /// It says something else.
    pub(in crate::store::redis) fn one<T: FromRedisValue>(mut self) -> Result<T, StoreError> {
        from_redis_value(self.answers.pop().unwrap_or_default())
            .map_err(|error| store_error(&error.into()))
    }
}

/// Makes calls in one go on a connection to the master of their slot; `None` if its generation is another than it must be.
///
/// # Errors
/// [`StoreError`]; the caller's deadline bounds all of it.
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
                return Ok(Some(Answered {
                    generation,
                    answers,
                }));
            }
            Err(error) => error,
        };
        let fault = Fault::of(&error);
        if matches!(fault, Fault::Dropped | Fault::Elsewhere | Fault::Moved(_)) {
            link.trust().lose();
            topology.look();
        }
        metrics::counter!("countersign_redis_errors_total", "kind" => fault.word()).increment(1);
        let is_last = repeats == REPEATS_MAX || (fault == Fault::Dropped && !trip.repeatable);
        link = match fault {
            _ if is_last => return Err(store_error(&error)),
            Fault::Full | Fault::Final => return Err(store_error(&error)),
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

/// Makes calls in one go on a connection to the master of their slot.
///
/// # Errors
/// As [`go_if`].
pub(in crate::store::redis) async fn go(
    topology: &Topology,
    trip: Trip,
    calls: &[Cmd],
) -> Result<Answered, StoreError> {
    let answered = go_if(topology, trip, calls).await?;
    answered.ok_or_else(|| StoreError::Unavailable("the server is another".to_owned()))
}
