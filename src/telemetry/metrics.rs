//! The metrics of this process. Every series known in advance exists from the start.

use std::sync::OnceLock;

use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::{catalogue, labels::BoundedLabels, process};
use crate::{
    config::Settings,
    domain::caller::{Role, Roles, permission},
};

/// The bucket bounds for durations of calls, in seconds.
const DURATION_BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// The bucket bounds for times that customers take, in seconds; a code lives ten minutes at most.
const CUSTOMER_BUCKETS: [f64; 12] = [
    5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0,
];
const TIME_TO_APPROVE: &str = "countersign_time_to_approve_seconds";
const SENDER_TIME_TO_APPROVE: &str = "countersign_sender_time_to_approve_seconds";

const ENDED: &str = "countersign_verifications_ended_total";
const SENDER_ENDED: &str = "countersign_sender_verifications_ended_total";

const OUTCOMES: [&str; 5] = ["approved", "rejected", "denied", "canceled", "expired"];
const VERDICTS: [&str; 5] = [
    "approved",
    "wrong",
    "attempts_exhausted",
    "expired",
    "closed",
];

/// The metrics of this process; the same ones at every call.
///
/// # Panics
/// If another recorder was installed elsewhere.
#[must_use]
pub fn metrics() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    let metrics = METRICS.get_or_init(|| {
        let buckets = [
            (Matcher::Suffix("_seconds".to_owned()), DURATION_BUCKETS),
            (Matcher::Full(TIME_TO_APPROVE.to_owned()), CUSTOMER_BUCKETS),
            (
                Matcher::Full(SENDER_TIME_TO_APPROVE.to_owned()),
                CUSTOMER_BUCKETS,
            ),
        ];
        let mut builder = PrometheusBuilder::new();
        for (matcher, bounds) in buckets {
            builder = builder
                .set_buckets_for_metric(matcher, &bounds)
                .expect("there are bounds");
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        ::metrics::set_global_recorder(BoundedLabels::new(recorder))
            .expect("one recorder is installed, and here");
        catalogue::describe();
        Metrics { handle }
    });
    metrics.clone()
}

/// Access to the metrics of this process, for reading.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        process::measure();
        self.handle.render()
    }

    /// Moves the samples that histograms collected into their buckets, which keeps them small. Call
    /// it every few seconds.
    pub fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// Registers every series whose labels are known from the settings or in this version. A series that first appears
/// with its first event hides that event from a rate.
pub fn register(settings: &Settings) {
    gauge!("countersign_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    // The worker sets these at its first sweep, perhaps a second later.
    for name in [
        "countersign_hands_in_use",
        "countersign_due_records",
        "countersign_guess_alarms",
        "countersign_unreadable_records",
    ] {
        gauge!(name).set(0.0);
    }
    gauge!("countersign_hands_limit").set(settings.worker.concurrency as f64);
    for name in [
        "countersign_panics_total",
        "countersign_unlocks_total",
        "countersign_connections_shed_total",
        "countersign_tls_handshakes_failed_total",
        "countersign_quota_fallbacks_total",
        "countersign_guard_drains_lost_total",
        "countersign_citizen_number_subjects_total",
        "countersign_events_lost_total",
    ] {
        counter!(name).absolute(0);
    }
    counter!("countersign_refusals_total", "caller" => "unknown", "reason" => "CALLER_UNKNOWN")
        .absolute(0);
    for scope in ["caller", "tenant"] {
        counter!("countersign_guess_alarms_total", "scope" => scope).absolute(0);
    }
    callers(settings);
    channels(settings);
    senders(settings);
}

/// Registers the series by action and caller.
fn callers(settings: &Settings) {
    let configured = settings
        .callers
        .iter()
        .map(|known| (known.caller.name.as_str(), known.caller.roles.clone()));
    let development = settings
        .development_caller()
        .map(|name| (name, Roles::new(Role::ALL.to_vec())));
    for (caller, roles) in configured.chain(development) {
        for action in settings.actions.keys() {
            let count = |name: &'static str, word, value: &'static str| {
                let (action, caller) = (action.as_str().to_owned(), caller.to_owned());
                counter!(name, "action" => action, "caller" => caller, word => value).absolute(0);
            };
            if permission::allows(
                &roles,
                "countersign.v1.VerificationService/StartVerification",
            ) {
                for outcome in ["started", "refused"] {
                    count("countersign_starts_total", "outcome", outcome);
                }
            }
            if permission::allows(&roles, "countersign.v1.VerificationService/CheckCode") {
                for verdict in VERDICTS {
                    count("countersign_verdicts_total", "verdict", verdict);
                }
            }
        }
    }
}

/// Registers the series by action and channel.
fn channels(settings: &Settings) {
    for (action, rules) in &settings.actions {
        for channel in &rules.limits.channels {
            let labels = [
                ("action", action.as_str().to_owned()),
                ("channel", channel.as_str().to_owned()),
            ];
            ends(ENDED, TIME_TO_APPROVE, &labels);
        }
    }
}

/// Registers what is counted when a verification ends.
fn ends(ended: &'static str, time_to_approve: &'static str, labels: &[(&'static str, String); 2]) {
    // Creating the histogram registers it.
    let _ = histogram!(time_to_approve, labels);
    for outcome in OUTCOMES {
        let outcome = [("outcome", outcome.to_owned())];
        let labels: Vec<_> = labels.iter().cloned().chain(outcome).collect();
        counter!(ended, &labels).absolute(0);
    }
}

/// Registers the series by channel and sender.
fn senders(settings: &Settings) {
    for (channel, route) in &settings.routes {
        for sender in &route.senders {
            let labels = [
                ("channel", channel.as_str().to_owned()),
                ("sender", sender.clone()),
            ];
            ends(SENDER_ENDED, SENDER_TIME_TO_APPROVE, &labels);
            for outcome in ["sent", "next_sender", "retried", "held", "failed"] {
                counter!("countersign_deliveries_total", "channel" => channel.as_str(), "sender" => sender.clone(), "outcome" => outcome)
                    .absolute(0);
            }
        }
    }
}
