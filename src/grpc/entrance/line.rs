//! One log line for each refused call: the caller, its address, the reason, and the verification.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use http::Response;
use tonic::{Code, Status, body::Body};
use tracing::Level;

use super::{Arrival, Shared, form::NoCall, measure};
use crate::{
    domain::{
        caller::Caller,
        ids::{CallerName, VerificationId},
        time::micros,
    },
    grpc::status::Cause,
    listener::{inbound::Inbound, throttle::Throttle},
    service::failure::Failure,
};

/// The lines about refused calls, limited for each caller and reason, so that a flood by one caller, or by strangers,
/// hides no line about another. Callers and reasons are those of the settings and of this version, so their number is
/// bounded.
#[derive(Default)]
pub(super) struct Throttles(Mutex<HashMap<(Option<String>, &'static str), Throttle>>);

impl Throttles {
    /// Whether a line may be written; see [`Throttle::pass`]. `None` as caller: nobody has proved itself.
    fn pass(&self, caller: Option<&str>, reason: &'static str) -> Option<u64> {
        let mut throttles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = (caller.map(str::to_owned), reason);
        throttles.entry(of).or_default().pass()
    }
}

/// Logs an event at a level known only at run time, which the macros of `tracing` cannot do.
macro_rules! event_at {
    ($level:expr, $($fields:tt)+) => {
        match $level {
            Level::ERROR => tracing::error!($($fields)+),
            Level::WARN => tracing::warn!($($fields)+),
            Level::INFO => tracing::info!($($fields)+),
            _ => tracing::debug!($($fields)+),
        }
    };
}

impl Shared {
    /// Records a call in the metrics, and logs it if it was refused.
    pub(super) fn record(
        &self,
        call: &Arrival,
        caller: Option<&Caller>,
        response: &Response<Body>,
    ) {
        // A refusal has its status code in the headers; after an answer the code is in the trailers, and is OK.
        let code = response
            .headers()
            .get("grpc-status")
            .map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()));
        let took = call.begun.elapsed();
        self.durations.record(call.place, code, took);
        let caller = caller.map(|caller| caller.name.as_str());
        if code == Code::Ok {
            // The metrics already count it, and a change that it made has its own log line.
            tracing::debug!(caller, duration_us = micros(took), "call answered");
            return;
        }
        let status = response.extensions().get::<Status>();
        let cause = status.and_then(Cause::of);
        let reason = cause.map_or(measure::name(code), Cause::reason);
        let label = caller.unwrap_or("unknown").to_owned();
        metrics::counter!("countersign_refusals_total", "caller" => label, "reason" => reason)
            .increment(1);
        let may_flood = cause.is_some_and(|cause| may_flood(&cause.failure));
        let held_back = if may_flood {
            self.throttles.pass(caller, reason)
        } else {
            Some(0)
        };
        let Some(held_back) = held_back else {
            return;
        };
        let level = cause.map_or(Level::INFO, |cause| level(&cause.failure));
        let id = cause.and_then(|cause| cause.verification);
        event_at!(
            level,
            caller,
            peer = call.peer.map(tracing::field::display),
            verification_id = id.map(tracing::field::display),
            code = measure::name(code),
            reason,
            quota = cause.and_then(quota),
            error = error(cause, status),
            duration_us = micros(took),
            held_back = (held_back > 0).then_some(held_back),
            "call refused"
        );
    }
}

impl Shared {
    /// Counts and logs a request that is no gRPC call.
    pub(super) fn note_no_call(&self, wrong: NoCall, inbound: Option<&Inbound>) {
        let reason = wrong.reason();
        metrics::counter!("countersign_refusals_total", "caller" => "unknown", "reason" => reason)
            .increment(1);
        if let Some(held_back) = self.no_calls.pass() {
            let peer = inbound.map(Inbound::peer).map(tracing::field::display);
            tracing::info!(peer, reason, held_back, "request refused: not a gRPC call");
        }
    }
}

/// Logs a stream that ended with a failure after it was admitted; its status code comes
/// too late for [`Shared::record`].
pub(in crate::grpc) fn stream_ended(
    caller: &CallerName,
    verification: VerificationId,
    failure: &Failure,
) {
    event_at!(
        level(failure),
        caller = caller.as_str(),
        verification_id = %verification,
        %failure,
        "watch ended early"
    );
}

/// What the reason does not tell: the error of the store, or what the library rejected in the call.
fn error(cause: Option<&Cause>, status: Option<&Status>) -> Option<String> {
    match cause.map(|cause| &cause.failure) {
        Some(Failure::Store(error)) => Some(error.to_string()),
        Some(Failure::RecordUnreadable(why)) => Some(why.to_string()),
        Some(_) => None,
        None => status.map(|status| status.message().to_owned()),
    }
}

/// The quota that was used up; `None` if the reason is another.
fn quota(cause: &Cause) -> Option<&'static str> {
    match &cause.failure {
        Failure::QuotaExceeded { quota, .. } => Some(quota.dimension.as_str()),
        _ => None,
    }
}

/// Whether it can happen on every call, so that its log lines must be limited. Refusals by limits of a subject
/// or a caller cannot.
fn may_flood(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Store(_)
            | Failure::DeadlineExceeded { .. }
            | Failure::CallerUnknown(_)
            | Failure::RoleMissing(_)
            | Failure::MethodUnknown
            | Failure::MessageMalformed(_)
            | Failure::CallerTooFast { .. }
            | Failure::Overloaded(_)
            | Failure::GuessesSlowed { .. }
    )
}

/// Errors are defects of the service; warnings are for the operator; what callers and customers cause is information.
fn level(failure: &Failure) -> Level {
    match failure {
        Failure::Internal => Level::ERROR,
        Failure::Store(_)
        | Failure::StoreFull
        | Failure::Contention
        | Failure::DeadlineExceeded { .. }
        | Failure::CallerUnknown(_)
        | Failure::RoleMissing(_)
        | Failure::CallerTooFast { .. }
        | Failure::Overloaded(_) => Level::WARN,
        // The quarantine logs unreadable records, once a minute for all of them.
        Failure::RecordUnreadable(_)
        | Failure::MethodUnknown
        | Failure::MessageMalformed(_)
        | Failure::Fields(_)
        | Failure::ActionUnknown { .. }
        | Failure::Unfit { .. }
        | Failure::CodeMalformed
        | Failure::MalformedTooOften { .. }
        | Failure::LateTooOften { .. }
        | Failure::GuessesSlowed { .. }
        | Failure::Refused(_)
        | Failure::QuotaExceeded { .. }
        | Failure::ShuttingDown => Level::INFO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_01_a_flood_without_a_credential_hides_no_line_of_a_known_caller() {
        let throttles = Throttles::default();
        let flood = (0..10_000).filter(|_| throttles.pass(None, "CALLER_UNKNOWN").is_some());
        assert!((20..60).contains(&flood.count()), "sampled");
        assert_eq!(throttles.pass(Some("payments"), "CALLER_UNKNOWN"), Some(0));
        assert_eq!(throttles.pass(Some("payments"), "ROLE_MISSING"), Some(0));
        assert_eq!(throttles.pass(None, "OVERLOADED"), Some(0));
    }
}
