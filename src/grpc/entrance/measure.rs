//! The duration of calls, by method and status code.

use std::{sync::OnceLock, time::Duration};

use metrics::Histogram;
use tonic::Code;

use super::OTHER;
use crate::domain::caller::permission::{Access, METHODS};

/// The number of status codes in gRPC.
const CODES: usize = 17;

/// The histograms of all calls, each registered once, so that a call neither hashes nor copies labels.
pub(super) struct Durations(Vec<[OnceLock<Histogram>; CODES]>);

impl Durations {
    /// Creates the series of all methods open to callers, so that they exist before the first call.
    pub(super) fn new() -> Self {
        // The last row is for methods outside the table.
        let rows = std::iter::repeat_with(Default::default);
        let durations = Self(rows.take(METHODS.len() + 1).collect());
        for (place, method) in METHODS.iter().enumerate() {
            if method.access != Access::Development {
                durations.histogram(Some(place), Code::Ok);
            }
        }
        durations
    }

    /// Records the duration of a call; `place` is the index of its method in the table.
    pub(super) fn record(&self, place: Option<usize>, code: Code, took: Duration) {
        self.histogram(place, code).record(took.as_secs_f64());
    }

    fn histogram(&self, place: Option<usize>, code: Code) -> &Histogram {
        let row = &self.0[place.unwrap_or(METHODS.len())];
        row[code as usize].get_or_init(|| {
            let method = place.map_or(OTHER, |place| METHODS[place].name);
            metrics::histogram!("rpc_server_call_duration_seconds", "rpc_method" => method, "rpc_status_code" => name(code))
        })
    }
}

/// The name of a status code, as in gRPC's documentation and OpenTelemetry.
pub(super) const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_place_and_a_name() {
        let names: Vec<_> = (0..17).map(|n| name(Code::from_i32(n))).collect();
        assert_eq!(names.len(), CODES);
        assert_eq!(
            names[usize::from(Code::Unauthenticated as u8)],
            "UNAUTHENTICATED"
        );
        for (at, one) in names.iter().enumerate() {
            assert!(!names[..at].contains(one), "{one}");
        }
    }
}
