//! The calls in progress: how many there may be in all, and of each caller.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::callers::Callers;
use crate::{
    domain::{caller::Caller, ids::CallerName},
    service::failure::Busy,
};

/// The place of a call among all in progress, and among those of its caller; it is free again when this is dropped.
pub(super) type Permits = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// Places for the calls in progress on this process, over all connections.
pub(super) struct InProgress {
    all: Arc<Semaphore>,
    all_max: usize,
    of_callers: HashMap<CallerName, Arc<Semaphore>>,
    caller_max: usize,
}

impl InProgress {
    /// Places for so many calls in all, and so many of each caller.
    pub(super) fn new(callers: &Callers, all_max: usize, caller_max: usize) -> Self {
        let place = |name: &CallerName| (name.clone(), Arc::new(Semaphore::new(caller_max)));
        Self {
            all: Arc::new(Semaphore::new(all_max)),
            all_max,
            of_callers: callers.names().map(place).collect(),
            caller_max,
        }
    }

    /// Finds a call of this caller a place; without a caller among all alone.
    pub(super) fn admit(&self, caller: Option<&Caller>) -> Result<Permits, Busy> {
        let Ok(permit) = self.all.clone().try_acquire_owned() else {
            return Err(Busy::Calls(self.all_max));
        };
        let share = caller.and_then(|caller| self.of_callers.get(&caller.name));
        match share.cloned().map(Semaphore::try_acquire_owned).transpose() {
            Ok(own) => Ok((permit, own)),
            Err(_full) => Err(Busy::CallsOfCaller(self.caller_max)),
        }
    }
}
