//! Converts the request and the answer of `ListEvents`.

use crate::{
    domain::{ids::SubjectId, time::Timestamp},
    grpc::{fields::Fields, verification::view::instant},
    pb::v1,
    service::{
        failure::Failure,
        record::listing::{EventPage, EventQuery, ListedEvent},
    },
};

/// The events of a page if the request names no number.
const PAGE_DEFAULT: u32 = 100;
/// The most events of a page.
const PAGE_MAX: u32 = 1000;

/// The latest time that can be told in microseconds and in a protobuf timestamp: the end of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;

pub(super) fn query(request: &v1::ListEventsRequest) -> Result<EventQuery, Failure> {
    let mut fields = Fields::default();
    let subject = fields.optional("subject", &request.subject, SubjectId::parse);
    let since = time(&mut fields, "since", request.since.as_ref());
    let until = time(&mut fields, "until", request.until.as_ref());
    let since = since.unwrap_or_default();
    if until.is_some_and(|until| until <= since) {
        fields.wrong("until", "must be later than since");
    }
    let count = match request.page_size {
        0 => PAGE_DEFAULT,
        size => size,
    };
    if count > PAGE_MAX {
        fields.wrong(
            "page_size",
            format!("is {count}; must be at most {PAGE_MAX}, or 0 for {PAGE_DEFAULT}"),
        );
    }
    let token = match request.page_token.as_str() {
        "" => None,
        text => {
            let token = hex::decode(text);
            if token.is_err() {
                fields.wrong(
                    "page_token",
                    "is not a next_page_token; list from the beginning without it",
                );
            }
            token.ok()
        }
    };
    fields.finish(Some(EventQuery {
        subject,
        since,
        until: until.unwrap_or(Timestamp::from_micros(SECONDS_MAX * 1_000_000)),
        count: usize::try_from(count).unwrap_or(usize::MAX),
        token,
    }))
}

fn time(
    fields: &mut Fields,
    name: &str,
    given: Option<&prost_types::Timestamp>,
) -> Option<Timestamp> {
    let given = given?;
    let seconds = u64::try_from(given.seconds).ok();
    let seconds = seconds.filter(|seconds| *seconds <= SECONDS_MAX);
    let nanos = u64::try_from(given.nanos).ok();
    let nanos = nanos.filter(|nanos| *nanos < 1_000_000_000);
    let Some((seconds, nanos)) = seconds.zip(nanos) else {
        fields.wrong(
            name,
            "must be a time from 1970 to 9999, with 0 to 999999999 nanos",
        );
        return None;
    };
    // The store counts in microseconds. Rounded up, so that no event before the time is taken for one at it.
    Some(Timestamp::from_micros(
        seconds * 1_000_000 + nanos.div_ceil(1000),
    ))
}

pub(super) fn response(page: EventPage) -> v1::ListEventsResponse {
    v1::ListEventsResponse {
        events: page.events.into_iter().map(event).collect(),
        next_page_token: page.next.map(hex::encode).unwrap_or_default(),
    }
}

fn event(listed: ListedEvent) -> v1::AuditEvent {
    let ListedEvent {
        recorded_at,
        subject,
        line,
    } = listed;
    v1::AuditEvent {
        at: Some(instant(line.at)),
        recorded_at: Some(instant(recorded_at)),
        subject_key: subject.to_string(),
        count: line.count(),
        caller: line.caller,
        agent_id: line.agent,
        contact_id: line.contact,
        verification_id: line.verification,
        action: line.action,
        kind: line.what,
        details: line.details.into_iter().collect(),
    }
}
