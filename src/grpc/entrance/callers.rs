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

/// A caller and the SHA-256 hashes of its API keys.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The caller that each of the keys identifies.
    pub caller: Caller,
    /// The SHA-256 hashes of the keys: two while one replaces the other. Only the caller knows the keys themselves.
    pub keys_sha256: Vec<[u8; 32]>,
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
    known: HashMap<[u8; 32], Arc<Known>>,
    rate: ShieldRate,
}

impl Callers {
    /// The callers of the settings, each with its own rate limit.
    #[must_use]
    pub fn new(credentials: Vec<Credential>, rate: ShieldRate) -> Self {
        let quota = Quota::per_second(rate.calls_per_s).allow_burst(rate.burst);
        let mut known = HashMap::new();
        for credential in credentials {
            // The keys of one caller share its rate.
            let one = Arc::new(Known {
                caller: Arc::new(credential.caller),
                shield: RateLimiter::direct(quota),
            });
            known.extend(
                credential
                    .keys_sha256
                    .into_iter()
                    .map(|key| (key, one.clone())),
            );
        }
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
        let key = one_key(headers).map_err(|why| (Failure::CallerUnknown(why), None))?;
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

/// The one API key of a call. Two credentials are refused even if both are right: somebody on the way may have added
/// one, and parties that read different ones would take the call for different callers'.
fn one_key(headers: &HeaderMap) -> Result<&str, NoCaller> {
    let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
    let value = values.next().ok_or(NoCaller::NoKey)?;
    let text = value.to_str().map_err(|_| NoCaller::NoKey)?;
    // Proxies join repeated headers by a comma, which no token has (RFC 6750, section 2.1).
    if values.next().is_some() || text.contains(',') {
        return Err(NoCaller::Several);
    }
    bearer_key(text).ok_or(NoCaller::NoKey)
}

fn bearer_key(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::AUTHORIZATION};

    use super::*;

    #[test]
    fn net_18_a_call_has_exactly_one_credential() {
        let of = |values: &[&'static str]| {
            let headers: HeaderMap = values
                .iter()
                .map(|value| (AUTHORIZATION, HeaderValue::from_static(value)))
                .collect();
            one_key(&headers).map(str::to_owned)
        };
        assert_eq!(of(&["Bearer key"]).as_deref(), Ok("key"));
        assert_eq!(of(&["bearer key"]).as_deref(), Ok("key"));
        for none in [
            &[][..],
            &[""],
            &["key"],
            &["Bearer"],
            &["Bearer "],
            &["Basic a2V5"],
        ] {
            assert_eq!(of(none), Err(NoCaller::NoKey), "{none:?}");
        }
        for several in [
            &["Bearer key", "Bearer key"][..],
            &["Bearer key", "Bearer other"],
            &["Bearer key", "Basic a2V5"],
            &["Bearer key", ""],
            &["", "Bearer key"],
            &["Bearer key, Bearer other"],
            &["Bearer key,Basic a2V5"],
        ] {
            assert_eq!(of(several), Err(NoCaller::Several), "{several:?}");
        }
    }
}
