//! `countersign audit`: reads the audit trail of a running service.

use std::{fmt::Write as _, io::Write as _};

use clap::{Subcommand, builder::PossibleValuesParser};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use super::client::{Client, ClientArguments};
use crate::pb::v1::{self, admin_service_client::AdminServiceClient};

/// The events of one call: the most that the service gives.
const PAGE_SIZE: u32 = 1000;

/// The kinds of events, as the service writes them.
const KINDS: [&str; 16] = [
    "started",
    "passed_over",
    "resent",
    "moved_on",
    "sent",
    "send_failed",
    "delivered",
    "undelivered",
    "checked",
    "refused",
    "would_refuse",
    "closed",
    "approved_after_failures",
    "disabled",
    "many_failures",
    "unlocked",
];

/// The commands about the audit trail.
#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// List events, oldest first, one a line.
    List {
        /// Only events of this subject, as the callers name it.
        #[arg(long)]
        subject: Option<String>,
        /// Only events from this time on: 2027-01-15T08:00:00Z, with another offset, or 2027-01-15 for midnight in UTC.
        #[arg(long, value_parser = time)]
        since: Option<Timestamp>,
        /// Only events before this time, in the same forms.
        #[arg(long, value_parser = time)]
        until: Option<Timestamp>,
        /// Only events of this kind, such as `would_refuse`. Several times: of any of them.
        #[arg(long, value_parser = PossibleValuesParser::new(KINDS))]
        kind: Vec<String>,
        /// Print each event as a JSON object on a line of its own.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        client: ClientArguments,
    },
}

impl AuditCommand {
    pub(super) const fn client(&self) -> &ClientArguments {
        match self {
            Self::List { client, .. } => client,
        }
    }

    /// Calls the service page by page, and prints the events.
    pub(super) async fn run(&self, client: &Client) -> anyhow::Result<()> {
        let Self::List {
            subject,
            since,
            until,
            kind,
            json,
            client: _,
        } = self;
        let mut admin = AdminServiceClient::new(client.channel());
        let mut request = v1::ListEventsRequest {
            subject: subject.clone().unwrap_or_default(),
            since: since.map(to_proto),
            until: until.map(to_proto),
            page_size: PAGE_SIZE,
            page_token: String::new(),
        };
        loop {
            let answer = admin.list_events(client.request(request.clone())).await;
            let page = answer
                .map_err(|status| client.failed(&status))?
                .into_inner();
            let wanted = |event: &&v1::AuditEvent| kind.is_empty() || kind.contains(&event.kind);
            for event in page.events.iter().filter(wanted) {
                let line = if *json {
                    json_of(event).to_string()
                } else {
                    text_of(event)
                };
                // Whoever reads has seen enough, as `head` has.
                if writeln!(std::io::stdout(), "{line}").is_err() {
                    return Ok(());
                }
            }
            if page.next_page_token.is_empty() {
                return Ok(());
            }
            request.page_token = page.next_page_token;
        }
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    let midnight = |date: Date| date.to_zoned(TimeZone::UTC).map(|at| at.timestamp());
    let parsed = text
        .parse()
        .or_else(|_| text.parse::<Date>().and_then(midnight));
    parsed
        .ok()
        .filter(|at| *at >= Timestamp::UNIX_EPOCH)
        .ok_or_else(|| "must be a time such as 2027-01-15T08:00:00Z, or a date".to_owned())
}

fn to_proto(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

fn instant(at: Option<&prost_types::Timestamp>) -> String {
    at.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok())
        .map_or_else(String::new, |at| format!("{at:.6}"))
}

/// The values of an event by name, without those that do not apply.
fn values(event: &v1::AuditEvent) -> Vec<(&str, &str)> {
    let named = [
        ("caller", &event.caller),
        ("action", &event.action),
        ("verification_id", &event.verification_id),
        ("contact_id", &event.contact_id),
        ("agent_id", &event.agent_id),
    ];
    let mut details: Vec<_> = event.details.iter().collect();
    details.sort_unstable();
    named
        .into_iter()
        .map(|(name, value)| (name, value.as_str()))
        .filter(|(_, value)| !value.is_empty())
        .chain(
            details
                .into_iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        )
        .chain([("subject_key", event.subject_key.as_str())])
        .collect()
}

fn text_of(event: &v1::AuditEvent) -> String {
    let mut text = format!("{} {}", instant(event.at.as_ref()), event.kind);
    for (name, value) in values(event) {
        let is_word = value
            .chars()
            .all(|c| c.is_alphanumeric() || c.is_ascii_punctuation());
        let _ = if is_word && !value.contains(['"', '\\']) {
            write!(text, " {name}={value}")
        } else {
            write!(text, " {name}={value:?}")
        };
    }
    text
}

/// The names are those of the proto.
fn json_of(event: &v1::AuditEvent) -> Value {
    json!({
        "at": instant(event.at.as_ref()),
        "recorded_at": instant(event.recorded_at.as_ref()),
        "subject_key": event.subject_key,
        "caller": event.caller,
        "agent_id": event.agent_id,
        "contact_id": event.contact_id,
        "verification_id": event.verification_id,
        "action": event.action,
        "kind": event.kind,
        "details": event.details,
        "count": event.count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_are_those_that_the_service_writes_and_the_guide_explains() {
        let service = include_str!("../service/record/vault/events.rs");
        let words = service.split("fn word(what: &What)").nth(1).unwrap();
        let words = words.split("\n}\n").next().unwrap();
        let mut written: Vec<&str> = words.split('"').skip(1).step_by(2).collect();
        let guide = include_str!("../../deploy/guide/events.md");
        let rows = guide.lines().filter(|line| line.starts_with("| `"));
        let explained: Vec<&str> = rows
            .filter_map(|row| row.split('|').nth(1))
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect();
        let mut kinds = KINDS;
        kinds.sort_unstable();
        written.sort_unstable();
        assert_eq!(written, kinds);
        for kind in kinds {
            assert!(explained.contains(&kind), "{kind} is in the guide");
        }
    }

    fn refusal() -> v1::AuditEvent {
        let details = [("call", "check"), ("reason", "CLOSED"), ("count", "19")];
        v1::AuditEvent {
            at: Some(to_proto(time("2027-01-15T08:00:00.25Z").unwrap())),
            recorded_at: Some(to_proto(time("2027-01-15").unwrap())),
            subject_key: "5c5c".to_owned(),
            caller: "portal".to_owned(),
            contact_id: "call 17\n".to_owned(),
            kind: "refused".to_owned(),
            details: details
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            count: 19,
            ..Default::default()
        }
    }

    #[test]
    fn log_06_an_event_is_one_line_for_people_and_one_for_machines() {
        assert_eq!(
            text_of(&refusal()),
            "2027-01-15T08:00:00.250000Z refused caller=portal contact_id=\"call 17\\n\" call=check count=19 reason=CLOSED subject_key=5c5c"
        );
        let json = json_of(&refusal());
        assert_eq!(json["recorded_at"], "2027-01-15T00:00:00.000000Z");
        assert_eq!(
            (&json["count"], &json["agent_id"]),
            (&json!(19), &json!(""))
        );
        assert_eq!(json["details"]["reason"], "CLOSED");
    }

    #[test]
    fn a_time_is_a_timestamp_or_a_date() {
        let at = |text| time(text).map(Timestamp::as_second);
        assert_eq!(at("2027-01-15T08:00:00Z"), Ok(1_800_000_000));
        assert_eq!(at("2027-01-15T10:00:00+02:00"), Ok(1_800_000_000));
        assert_eq!(at("2027-01-15"), Ok(1_800_000_000 - 8 * 3600));
        for text in ["", "yesterday", "1800000000", "2027-13-01", "1969-12-31"] {
            assert!(at(text).is_err(), "{text}");
        }
    }
}
