//! Authenticates callers by their API keys, and limits how often each may call.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};
use http::HeaderMap;

use crate::{
    domain::{
        caller::{Caller, api_key_hash},
        ids::CallerName,
    },
    service::failure::{Failure, NoCaller},
};

/// A caller and the SHA-256 hash of its API key.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The caller that the key identifies.
    pub caller: Caller,
    /// The SHA-256 hash of the key. Only the caller knows the key itself.
    pub key_sha256: [u8; 32],
}

/// The rate at which each caller may call this process, from `[shield]` of the settings.
#[derive(Clone, Copy, Debug)]
pub struct ShieldRate {
    /// Sustained rate, in calls per second.
    pub calls_per_s: NonZeroU32,
    /// Calls accepted at once after a pause.
    pub burst: NonZeroU32,
}

/// A caller with the state of its rate limit.
struct Known {
    caller: Arc<Caller>,
    shield: DefaultDirectRateLimiter,
}

/// All callers, by the hashes of their keys. The time of a lookup reveals nothing useful, because nobody
/// can choose a hash.
pub struct Callers {
    known: HashMap<[u8; 32], Known>,
    rate: ShieldRate,
}

impl Callers {
    /// The callers of the settings, each with its own rate limit.
    #[must_use]
    pub fn new(credentials: Vec<Credential>, rate: ShieldRate) -> Self {
        let quota = Quota::per_second(rate.calls_per_s).allow_burst(rate.burst);
        let known = |caller| Known {
            caller: Arc::new(caller),
            shield: RateLimiter::direct(quota),
        };
        let known = credentials
            .into_iter()
            .map(|c| (c.key_sha256, known(c.caller)))
            .collect();
        Self { known, rate }
    }

    /// The names of all callers.
    pub(super) fn names(&self) -> impl Iterator<Item = &CallerName> {
        self.known.values().map(|known| &known.caller.name)
    }

    /// Returns the caller for `authorization: Bearer KEY`, if its rate allows the call.
    ///
    /// # Errors
    /// [`Failure::CallerUnknown`], or [`Failure::CallerTooFast`] together with the caller.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
    ) -> Result<&Arc<Caller>, (Failure, Option<&Arc<Caller>>)> {
        let bearer = headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let key = bearer
            .and_then(bearer_key)
            .ok_or((Failure::CallerUnknown(NoCaller::NoKey), None))?;
        let known = self
            .known
            .get(&api_key_hash(key))
            .ok_or((Failure::CallerUnknown(NoCaller::UnknownKey), None))?;
        known.shield.check().map_err(|until| {
            let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
            let too_fast = Failure::CallerTooFast {
                calls_per_s: self.rate.calls_per_s.get(),
                burst: self.rate.burst.get(),
                retry_after: wait.max(Duration::from_millis(1)),
            };
            (too_fast, Some(&known.caller))
        })?;
        Ok(&known.caller)
    }
}

fn bearer_key(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}
