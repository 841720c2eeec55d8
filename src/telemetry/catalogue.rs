//! All metrics of this service: name, kind, and help text.

use metrics::{describe_counter, describe_gauge, describe_histogram};

/// The kind of a metric, as in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A number that only increases.
    Counter,
    /// A number that increases and decreases.
    Gauge,
    /// Observations, counted by size.
    Histogram,
}

use Kind::{Counter, Gauge, Histogram};

/// The catalogue. A metric that is missing here has no help text, which `tests/tidy` reports.
const METRICS: &[(Kind, &str, &str)] = &[
    (
        Histogram,
        "rpc_server_call_duration_seconds",
        "Time to the answer of calls, by method and gRPC status code; of WatchVerification, until its stream begins.",
    ),
    (
        Counter,
        "countersign_refusals_total",
        "Refused calls, by caller (unknown if none is proved) and reason.",
    ),
    (
        Counter,
        "countersign_panics_total",
        "Calls that ended with a panic: defects of this service.",
    ),
    (
        Counter,
        "countersign_connections_shed_total",
        "Connections that were closed at once because too many were open.",
    ),
    (
        Counter,
        "countersign_tls_handshakes_failed_total",
        "Connections of the gRPC listener that failed their TLS handshake.",
    ),
    (
        Counter,
        "countersign_starts_total",
        "Calls of StartVerification by what became of them (started, refused), by action and caller.",
    ),
    (
        Counter,
        "countersign_verdicts_total",
        "Verdicts on guesses, by action and the caller that checked.",
    ),
    (
        Counter,
        "countersign_verifications_ended_total",
        "Verifications by how they ended, by action, and channel of the latest delivery.",
    ),
    (
        Counter,
        "countersign_sender_verifications_ended_total",
        "Verifications by how they ended, by channel and sender of the latest delivery.",
    ),
    (
        Counter,
        "countersign_guess_alarms_total",
        "Alarms of failed guesses over many subjects, of a caller or of a tenant.",
    ),
    (
        Gauge,
        "countersign_guess_alarms",
        "Callers with an alarm of failed guesses over many subjects, as far as this process knows.",
    ),
    (
        Counter,
        "countersign_unlocks_total",
        "Subjects that an operator unlocked.",
    ),
    (
        Histogram,
        "countersign_time_to_approve_seconds",
        "Time from the start to the approval, by action, and channel of the latest delivery.",
    ),
    (
        Histogram,
        "countersign_sender_time_to_approve_seconds",
        "Time from the start to the approval, by channel and sender of the latest delivery.",
    ),
    (
        Counter,
        "countersign_deliveries_total",
        "Hand-overs of messages to senders, by channel, sender and outcome.",
    ),
    (
        Counter,
        "countersign_receipts_total",
        "Receipts of providers about messages, by sender, status, and what they changed.",
    ),
    (
        Counter,
        "countersign_callbacks_total",
        "Requests by providers to the callback addresses, by sender and outcome.",
    ),
    (
        Counter,
        "countersign_link_presses_total",
        "Buttons pressed on the page that links in mails open, by outcome.",
    ),
    (
        Counter,
        "countersign_hedges_total",
        "Messages that went to a second sender because the first was slow, by channel and outcome.",
    ),
    (
        Counter,
        "countersign_hook_answers_total",
        "Answers of the hook that judges messages, by outcome.",
    ),
    (
        Gauge,
        "countersign_sender_open",
        "1 while the breaker of the sender is not closed, else 0.",
    ),
    (
        Gauge,
        "countersign_hands_in_use",
        "Messages that this process is handing over now.",
    ),
    (
        Gauge,
        "countersign_hands_limit",
        "Messages that this process hands over at the same time at most, to each sender.",
    ),
    (
        Gauge,
        "countersign_due_records",
        "Records that the latest look at the due index found due, at most 256.",
    ),
    (
        Counter,
        "countersign_quota_refusals_total",
        "Messages that a quota or a budget refused, by its dimension.",
    ),
    (
        Counter,
        "countersign_quota_fallbacks_total",
        "Messages that went on under the limits of this process because the store could not be asked.",
    ),
    (
        Counter,
        "countersign_guard_refusals_total",
        "Messages that the pumping guard refused, or only recorded as refusable, by dimension and mode.",
    ),
    (
        Counter,
        "countersign_guard_drains_lost_total",
        "Approvals that were not taken back from the counts of the pumping guard.",
    ),
    (
        Counter,
        "countersign_spend_micros_total",
        "Cost of messages in millionths of the currency, by tenant.",
    ),
    (
        Counter,
        "countersign_unfit_recipients_total",
        "Recipients that may get no message, by reason.",
    ),
    (
        Counter,
        "countersign_new_subjects_total",
        "Starts for subjects of which nothing was known, by caller.",
    ),
    (
        Counter,
        "countersign_citizen_number_subjects_total",
        "Starts whose subject looks like a Dutch citizen number.",
    ),
    (
        Counter,
        "countersign_events_lost_total",
        "Audit events that were not written, or dropped before their age.",
    ),
    (
        Gauge,
        "countersign_store_complaints",
        "Degraded conditions of the store, by word.",
    ),
    (
        Gauge,
        "countersign_unreadable_records",
        "Stored records that this process could not open and left unchanged.",
    ),
    (
        Gauge,
        "countersign_records_by_key",
        "Records of the whole store by key id, as the latest count of this process found them.",
    ),
    (
        Gauge,
        "countersign_records_by_key_counted_seconds",
        "When that count ended, in seconds since the Unix epoch.",
    ),
    (
        Counter,
        "countersign_foreign_due_members_total",
        "Members of a due index that were removed because they name no record.",
    ),
    (
        Gauge,
        "countersign_redis_clock_skew_seconds",
        "Difference between the clocks of the Redis servers and of this process.",
    ),
    (
        Counter,
        "countersign_redis_connects_total",
        "Connections made to Redis servers.",
    ),
    (
        Counter,
        "countersign_redis_errors_total",
        "Failed commands to Redis servers, by kind.",
    ),
    (
        Gauge,
        "countersign_redis_own_shards",
        "Shards of the due index that this process looks after.",
    ),
    (
        Gauge,
        "countersign_build_info",
        "Always 1; its label says which version this is.",
    ),
    (
        Counter,
        "process_cpu_seconds_total",
        "User and system time that this process used, in whole seconds.",
    ),
    (Gauge, "process_open_fds", "Open file descriptors."),
    (
        Gauge,
        "process_max_fds",
        "Largest number of open file descriptors; absent if there is no limit.",
    ),
    (
        Gauge,
        "process_resident_memory_bytes",
        "Memory of this process that is in RAM.",
    ),
    (
        Gauge,
        "process_virtual_memory_bytes",
        "Address space of this process.",
    ),
    (Gauge, "process_threads", "Threads of this process."),
    (
        Gauge,
        "process_start_time_seconds",
        "Start of this process, in seconds since 1970.",
    ),
];

/// Registers the help text of every metric.
pub(super) fn describe() {
    for (kind, name, help) in METRICS {
        match kind {
            Counter => describe_counter!(*name, *help),
            Gauge => describe_gauge!(*name, *help),
            Histogram => describe_histogram!(*name, *help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_the_conventions_of_prometheus() {
        for (at, (kind, name, help)) in METRICS.iter().enumerate() {
            assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}");
            let is_histogram = *kind == Histogram;
            assert!(!is_histogram || name.ends_with("_seconds"), "{name}");
            assert!(help.ends_with('.') && help.len() > 20, "{name}");
            assert!(METRICS[..at].iter().all(|row| row.1 != *name), "{name}");
        }
    }
}
