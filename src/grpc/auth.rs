//! Who calls: finds the caller of an API key, and what its roles allow.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};
use http::HeaderMap;

use crate::{
    domain::caller::{Caller, Role, api_key_hash},
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
        let known = |caller| Known { caller: Arc::new(caller), shield: RateLimiter::direct(quota) };
        Self(credentials.into_iter().map(|c| (c.key_sha256, known(c.caller))).collect())
    }

    /// The caller of `authorization: Bearer KEY`, if its shield lets the call through.
    ///
    /// # Errors
    /// [`Failure::CallerUnknown`], [`Failure::CallerTooFast`].
    pub fn admit(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Failure> {
        let bearer = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = bearer.and_then(bearer_key).ok_or(Failure::CallerUnknown)?;
        let known = self.0.get(&api_key_hash(key)).ok_or(Failure::CallerUnknown)?;
        known.shield.check().map_err(|until| {
            let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
            Failure::CallerTooFast { retry_after: wait.max(Duration::from_millis(1)) }
        })?;
        Ok(known.caller.clone())
    }
}

fn bearer_key(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

/// Every call that there is, with the roles that may make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `StartVerification`.
    Start,
    /// `GetVerification`.
    Get,
    /// `WatchVerification`.
    Watch,
    /// `ResendCode`.
    Resend,
    /// `CheckCode`.
    Check,
    /// `CancelVerification`.
    Cancel,
}

impl Call {
    /// The call of a path; `None` for what this service does not have.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match path.strip_prefix("/countersign.v1.VerificationService/")? {
            "StartVerification" => Some(Self::Start),
            "GetVerification" => Some(Self::Get),
            "WatchVerification" => Some(Self::Watch),
            "ResendCode" => Some(Self::Resend),
            "CheckCode" => Some(Self::Check),
            "CancelVerification" => Some(Self::Cancel),
            _ => None,
        }
    }

    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Get => "get",
            Self::Watch => "watch",
            Self::Resend => "resend",
            Self::Check => "check",
            Self::Cancel => "cancel",
        }
    }

    /// The roles that may make it. An agent never checks a code.
    #[must_use]
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::Start | Self::Resend => &[Role::Frontend, Role::Agent, Role::Supervisor],
            Self::Get | Self::Watch | Self::Cancel => &[Role::Frontend, Role::Agent, Role::Supervisor, Role::Customer],
            Self::Check => &[Role::Frontend, Role::Customer],
        }
    }
}
