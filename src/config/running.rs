//! `[subject]`, `[events]`, `[worker]` and `[log]`: rules for subjects, the audit trail, sending of messages, and the log.

use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::{Table, reader::spelling::is_near};
use crate::{
    domain::verification::rules::{CLOSED_RETENTION_MAX, FAILURE_LIMIT_MAX, SubjectRules},
    service::delivery::hands::HandLimits,
};

/// The least number of entries that a shard of the audit trail may keep.
const EVENTS_MIN: u64 = 1000;

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

/// Reads the size of the audit trail; `None` if the settings leave it to the number of shards.
pub(super) fn events(mut table: Table<'_>) -> Option<u64> {
    let entries = table.small("max_per_shard", 0, &(0..=100_000_000));
    if (1..EVENTS_MIN).contains(&entries) {
        table.mistake("max_per_shard", "must be 0, or 1000 to 100000000");
    }
    table.finish();
    (entries > 0).then_some(entries)
}

/// The tasks that send messages and do due work.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// The maximum number of concurrent attempts per sender.
    pub concurrency: usize,
    /// The most of them that one tenant may have; `None`: three quarters, if there are several tenants.
    pub concurrency_per_tenant: Option<usize>,
    /// The time limit of one attempt.
    pub send_deadline: Duration,
    /// The longest pause between two reads of the due index.
    pub poll: Duration,
}

impl WorkerSettings {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let per_tenant: usize = table.small("concurrency_per_tenant", 0, &(0..=10_000));
        let settings = Self {
            concurrency: table.small("concurrency", 64, &(1..=10_000)),
            concurrency_per_tenant: (per_tenant > 0).then_some(per_tenant),
            send_deadline: table.millis("send_deadline_ms", 10_000, &(100..=30_000)),
            poll: table.millis("poll_ms", 1000, &(10..=60_000)),
        };
        table.finish();
        settings
    }
}

impl WorkerSettings {
    /// The hands of a process that serves this many tenants.
    #[must_use]
    pub fn hands(&self, tenants: usize) -> HandLimits {
        let all = self.concurrency;
        let share = match self.concurrency_per_tenant {
            Some(most) => most.min(all),
            None if tenants > 1 => (all * 3).div_ceil(4),
            None => all,
        };
        HandLimits {
            per_sender: all,
            per_tenant: share,
        }
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Plain text, for people.
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

/// The log of the process.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// A level, or directives such as `info,countersign=debug`.
    pub level: String,
    /// The format of the lines.
    pub format: LogFormat,
    /// Whether each line begins with the time.
    pub timestamps: bool,
}

/// The name of our crate, which is the root of our modules in directives.
const OURS: &str = "countersign";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Checks a level, or a list of directives with a level each. The library would take an unknown word for the name of
/// a module, and then log none of our lines.
fn log_level(text: &str) -> Result<String, String> {
    match text.split(',').find_map(wrong_directive) {
        None => Ok(text.to_owned()),
        Some(wrong) => Err(format!(
            "must be one of {}, or directives such as info,countersign=debug; {wrong}",
            LEVELS.join(", ")
        )),
    }
}

/// What is wrong with `LEVEL` or `MODULE=LEVEL`; `None` if it is right.
fn wrong_directive(directive: &str) -> Option<String> {
    let (module, level) = match directive.split_once('=') {
        Some((module, level)) => (Some(module), level),
        None => (None, directive),
    };
    let is_level = LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level));
    let root = module.and_then(|module| module.split("::").next());
    let is_module = module.is_none_or(|module| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        !module.is_empty() && module.chars().all(plain)
    });
    if !is_level {
        Some(format!("{level:?} is not a level"))
    } else if !is_module || EnvFilter::try_new(directive).is_err() {
        Some(format!("{directive:?} is not a directive"))
    } else {
        let meant = root.filter(|root| *root != OURS && is_near(root, OURS))?;
        Some(format!("{meant:?} is no module; {OURS} is"))
    }
}

impl LogSettings {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let level = table.parsed("level", log_level).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_level_that_is_none_is_a_mistake_that_names_the_levels() {
        for text in [
            "verbose",
            "warning",
            "countersign",
            "info,verbose",
            "info,countersign=verbose",
            "info,countersig=debug",
            "info;debug",
            "info,",
            "info, countersign=debug",
            "=info",
            "info=",
            "countersign[span]=info",
            "3",
        ] {
            let wrong = log_level(text).unwrap_err();
            assert!(
                wrong.contains("off, error, warn, info, debug, trace"),
                "{wrong}"
            );
        }
        for text in [
            "info",
            "OFF",
            "Warn",
            "info,countersign=debug",
            "warn,countersign::grpc=trace,h2=off",
        ] {
            assert_eq!(log_level(text).as_deref(), Ok(text));
        }
    }
}
