//! Who calls: finds the caller of an API key, behind its shield.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};
use http::HeaderMap;

use crate::{
    domain::caller::{Caller, api_key_hash},
    service::failure::Failure,
};

/// A caller and the SHA-256 of its API key.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The caller.
    pub caller: Caller,
    /// SHA-256 of the key. The key itself is known to the caller alone.
    pub key_sha256: [u8; 32],
}

/// How many calls a caller may make on this process.
#[derive(Clone, Copy, Debug)]
pub struct ShieldRate {
    /// Sustained.
    pub calls_per_s: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

/// A known caller behind its shield.
struct Known {
    caller: Arc<Caller>,
    shield: DefaultDirectRateLimiter,
}

/// All callers, by the hash of their keys. Looking a hash up leaks nothing of use: nobody can choose it.
pub struct Callers(HashMap<[u8; 32], Known>);

impl Callers {
    /// These callers, each behind a shield of its own.
    #[must_use]
    pub fn new(credentials: Vec<Credential>, rate: ShieldRate) -> Self {
        let quota = Quota::per_second(rate.calls_per_s).allow_burst(rate.burst);
        let known = |caller| Known {
            caller: Arc::new(caller),
            shield: RateLimiter::direct(quota),
        };
        Self(
            credentials
                .into_iter()
                .map(|c| (c.key_sha256, known(c.caller)))
                .collect(),
        )
    }

    /// The caller of `authorization: Bearer KEY`, if its shield lets the call through.
    ///
    /// # Errors
    /// [`Failure::CallerUnknown`], [`Failure::CallerTooFast`].
    pub fn admit(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Failure> {
        let bearer = headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let key = bearer.and_then(bearer_key).ok_or(Failure::CallerUnknown)?;
        let known = self
            .0
            .get(&api_key_hash(key))
            .ok_or(Failure::CallerUnknown)?;
        known.shield.check().map_err(|until| {
            let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
            Failure::CallerTooFast {
                retry_after: wait.max(Duration::from_millis(1)),
            }
        })?;
        Ok(known.caller.clone())
    }
}

fn bearer_key(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}
