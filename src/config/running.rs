//! `[subject]`, `[worker]` and `[log]`: how the service runs.

use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::Table;
use crate::domain::verification::rules::{CLOSED_RETENTION_MAX, FAILURE_LIMIT_MAX, SubjectRules};

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn subject(mut table: Table<'_>) -> SubjectRules {
    let rules = SubjectRules {
        failure_limit: table.small("failure_limit", 25, &(1..=FAILURE_LIMIT_MAX.into())),
        closed_retention: table.seconds(
            "closed_retention_s",
            3600,
            &(0..=CLOSED_RETENTION_MAX.as_secs()),
        ),
        event_retention: DAY * table.small::<u32>("event_retention_days", 7, &(1..=3650)),
    };
    table.finish();
    rules
}

/// Who hands messages over.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Hand-overs at the same time to each sender.
    pub concurrency: usize,
    /// Of one hand-over.
    pub send_deadline: Duration,
    /// Between two looks at what is due.
    pub poll: Duration,
}

impl WorkerSettings {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let settings = Self {
            concurrency: table.small("concurrency", 64, &(1..=10_000)),
            send_deadline: table.millis("send_deadline_ms", 10_000, &(100..=30_000)),
            poll: table.millis("poll_ms", 1000, &(10..=60_000)),
        };
        table.finish();
        settings
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Logs.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Directives of what is logged.
    pub level: String,
    /// The form of lines.
    pub format: LogFormat,
    /// Does each line have its time?
    pub timestamps: bool,
}

impl LogSettings {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let fits = |text: &str| {
            let parsed = EnvFilter::try_new(text).map(|_| text.to_owned());
            parsed.map_err(|_| "must be a level or directives, such as info,countersign=debug")
        };
        let level = table.parsed("level", fits).unwrap_or_default();
        let settings = Self {
            level,
            format: table.word(
                "format",
                &[("text", LogFormat::Text), ("json", LogFormat::Json)],
                LogFormat::Text,
            ),
            timestamps: table.switch("timestamps", true),
        };
        table.finish();
        settings
    }
}
