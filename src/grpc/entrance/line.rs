//! One log line for each refused call: the caller, its address, the reason, and the verification.

use http::Response;
use tonic::{Code, Status, body::Body};
use tracing::Level;

use super::{Arrival, Shared, measure};
use crate::{
    domain::{
        caller::Caller,
        ids::{CallerName, VerificationId},
        time::micros,
    },
    grpc::status::Cause,
    service::failure::Failure,
};

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
            self.throttle.pass()
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
        Failure::QuotaExceeded { quota, .. } => Some(quota.as_str()),
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
