//! One log line for each refused call: who, from where, why, about which verification.

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

/// An event whose level is known only when it happens, which the library's macros cannot write by themselves.
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
    /// Counts a call, and writes one line if it was refused.
    pub(super) fn record(
        &self,
        call: &Arrival,
        caller: Option<&Caller>,
        response: &Response<Body>,
    ) {
        // The code stands in the headers of a refusal, and in trailers (then OK) after an answer.
        let code = response
            .headers()
            .get("grpc-status")
            .map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()));
        let took = call.begun.elapsed();
        self.durations.record(call.place, code, took);
        let caller = caller.map(|caller| caller.name.as_str());
        if code == Code::Ok {
            // An answer is counted above, and what it changed has a line of its own.
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

/// A stream that had been let through ended with a failure: it has no answer whose code would tell.
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

/// What the reason does not tell: a fault behind it, or what the library found wrong with the call.
fn error(cause: Option<&Cause>, status: Option<&Status>) -> Option<String> {
    match cause.map(|cause| &cause.failure) {
        Some(Failure::Store(error)) => Some(error.to_string()),
        Some(Failure::RecordUnreadable(why)) => Some(why.to_string()),
        Some(_) => None,
        None => status.map(|status| status.message().to_owned()),
    }
}

/// The quota that was used up, if that is the reason.
fn quota(cause: &Cause) -> Option<&'static str> {
    match &cause.failure {
        Failure::QuotaExceeded { quota, .. } => Some(quota.as_str()),
        _ => None,
    }
}

/// Does it come as often as calls do, whoever calls? What a subject's or a caller's own limits refuse does not.
fn may_flood(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Store(_)
            | Failure::DeadlineExceeded { .. }
            | Failure::CallerUnknown(_)
            | Failure::RoleMissing(_)
            | Failure::CallerTooFast { .. }
            | Failure::Overloaded(_)
    )
}

/// A defect is an error; what an operator should look at is a warning; what callers and customers do is information.
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
        // The service itself tells of unreadable records, once a minute for all of them.
        Failure::RecordUnreadable(_)
        | Failure::Fields(_)
        | Failure::ActionUnknown { .. }
        | Failure::Unfit { .. }
        | Failure::CodeMalformed
        | Failure::MalformedTooOften { .. }
        | Failure::Refused(_)
        | Failure::QuotaExceeded { .. }
        | Failure::ShuttingDown => Level::INFO,
    }
}
