//! The content of the samples: each optional field is present in one of them, and all numbers differ.

use std::{collections::BTreeMap, time::Duration};

use super::{super::Line, Event, SideRecord, SubjectRecord};
use crate::domain::{
    audit::event::{RefusedCall, What},
    code::{CodeLength, guess::Separators, link::BrowserMark},
    crypto::keyring::Kid,
    delivery::{
        Delivery, DeliveryStatus, Lease,
        breaker::{Breaker, Refused},
        plan::Step,
        reason::Reason,
        route::Refusals,
    },
    ids::{
        ActionName, CallerName, DeliveryId, Locale, ProviderReference, Reference, SenderName,
        SubjectId, SubjectKey, TenantId, UnlockReason, VerificationId,
    },
    limit::{
        bucket::{BucketKind, Scope},
        failures::{Failures, Tally},
        guesses::{GuessTally, HourOfFailures},
        quota::Dimension,
    },
    recipient::{
        Channel, MethodLevel, Recipient,
        known::{Known, Reached},
        rules::Unfit,
    },
    record::side::Side,
    time::{Generation, Timestamp},
    verification::{
        Answer, CancelCause, Contact, Judgement, Outcome, Pending, Phase, RequestMark,
        Verification,
        binding::Binding,
        rules::{EntryMode, Limits, Origin},
    },
};

/// A day in 2027, in microseconds since the Unix epoch.
const DAY: u64 = 1_800_000_000_000_000;

fn at(micros: u64) -> Timestamp {
    Timestamp::from_micros(DAY + micros)
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

pub(super) fn records() -> Vec<(&'static str, SubjectRecord)> {
    vec![
        (
            "bare",
            SubjectRecord {
                version: 1,
                ..SubjectRecord::new([0x11; 16], Generation([0x12; 16]))
            },
        ),
        ("counts", counts()),
        ("pending", with(3, vec![pending()])),
        ("pending_of_anybody", with(4, vec![pending_of_anybody()])),
        ("link_without_plan_to_a_decoy", with(5, vec![decoy()])),
        ("closed", with(0x0102_0304_0506_0708, closed())),
        ("levels_and_networks", levels_and_networks()),
    ]
}

fn with(version: u64, verifications: Vec<Verification>) -> SubjectRecord {
    SubjectRecord {
        version,
        last_event_at: at(9),
        verifications,
        ..SubjectRecord::new([0x13; 16], Generation([0x14; 16]))
    }
}

fn counts() -> SubjectRecord {
    let anonymous = Tally {
        level: None,
        since_unlock: 1,
        since_success: 2,
        verifications: 3,
        waits: 4,
        next_attempt_at: at(5),
        rate: at(6),
    };
    let vouched = Tally {
        level: None,
        since_unlock: 25,
        since_success: 100,
        verifications: 40,
        waits: 17,
        next_attempt_at: at(7),
        rate: at(8),
    };
    let reached = vec![
        Known {
            mark: [0x21; 16],
            since: at(10),
        },
        Known {
            mark: [0x22; 16],
            since: at(11),
        },
    ];
    SubjectRecord {
        version: 2,
        last_event_at: at(12),
        failures: Failures { anonymous, vouched },
        reached: Reached::from_stored(reached),
        ..SubjectRecord::new([0x15; 16], Generation([0x16; 16]))
    }
}

/// What version 0.2 added: the level that failed, and the network of an anonymous start.
fn levels_and_networks() -> SubjectRecord {
    let mut verification = pending_of_anybody();
    if let Phase::Pending(pending) = &mut verification.phase {
        pending.network = Some([0x23; 16]);
    }
    let tally = |level| Tally {
        level: Some(level),
        since_unlock: 1,
        since_success: 1,
        verifications: 1,
        ..Tally::default()
    };
    SubjectRecord {
        failures: Failures {
            anonymous: tally(MethodLevel::Basic),
            vouched: tally(MethodLevel::Standard),
        },
        ..with(6, vec![verification])
    }
}

fn verification(random: u8, phase: Phase) -> Verification {
    Verification {
        id: VerificationId {
            subject: SubjectKey([0x5c; 16]),
            random: [random; 16],
        },
        tenant: TenantId::parse("bank").unwrap(),
        caller: CallerName::parse("portal-1").unwrap(),
        action: ActionName::parse("change_address").unwrap(),
        origin: Origin::Vouched,
        contact: None,
        locale: None,
        kid: Kid::parse("2026a").unwrap(),
        generation: Generation([0x17; 16]),
        created_at: at(20),
        expires_at: at(300_000_020),
        requests: vec![RequestMark {
            id: [0x31; 16],
            body: [0x32; 16],
        }],
        answers: Vec::new(),
        deliveries: Vec::new(),
        phase,
    }
}

fn delivery(id: u8, channel: Channel, status: DeliveryStatus) -> Delivery {
    Delivery {
        id: DeliveryId([id; 16]),
        channel,
        recipient: 0,
        masked: "a•••@e•••.org".to_owned(),
        status,
        updated_at: at(31),
        made_at: at(30),
        tries: 0,
        position: 0,
        refusals: Refusals::default(),
        deferrals: Refusals::default(),
        sender: None,
        reference: None,
    }
}

fn sender(name: &str) -> SenderName {
    SenderName::parse(name).unwrap()
}

fn recipient(channel: Channel, address: &str) -> Recipient {
    Recipient::parse(channel, address).unwrap()
}

/// All numbers differ, and no list is empty.
fn limits() -> Limits {
    Limits {
        code_length: CodeLength::new(8).unwrap(),
        code_lifetime: Duration::from_secs(299),
        attempts: 4,
        sends: 3,
        resend_cooldown: Duration::from_millis(29_500),
        separators: Separators {
            space: true,
            hyphen: false,
        },
        entry_modes: vec![
            EntryMode::Link,
            EntryMode::App,
            EntryMode::IvrKeypad,
            EntryMode::Portal,
        ],
        channels: vec![
            Channel::Push,
            Channel::Whatsapp,
            Channel::Voice,
            Channel::Sms,
            Channel::Email,
        ],
        plan: vec![
            Step {
                channel: Channel::Email,
                wait: Some(Duration::from_secs(20)),
            },
            Step {
                channel: Channel::Sms,
                wait: None,
            },
        ],
    }
}

/// A live verification with every field that it can have.
fn pending() -> Verification {
    let phase = Phase::Pending(Box::new(Pending {
        subject: SubjectId::parse("Käthe 4711").unwrap(),
        nonce: [0x41; 16],
        recipients: vec![
            recipient(Channel::Email, "anna+x@example.org"),
            recipient(Channel::Sms, "+31612345678"),
            recipient(Channel::Voice, "+31201234567"),
            recipient(Channel::Whatsapp, "+4915123456789"),
        ],
        binding: Binding::parse(BTreeMap::from([
            ("amount".to_owned(), "100.00 €".to_owned()),
            ("payee".to_owned(), "NL91ABNA0417164300".to_owned()),
        ]))
        .unwrap(),
        limits: limits(),
        next_resend_at: at(29_500_020),
        browser: Some(BrowserMark([0x42; 32])),
        decoy: false,
        network: None,
    }));
    let lease = Lease {
        token: [0x43; 16],
        until: at(15_000_000),
    };
    Verification {
        contact: Some(Contact {
            id: reference("call-17"),
            case: Some(reference("case-18")),
            channel: Some("voice".to_owned()),
            agent: Some(reference("agent-19")),
        }),
        locale: Some(Locale::parse("de-AT").unwrap()),
        requests: vec![
            RequestMark {
                id: [0x31; 16],
                body: [0x32; 16],
            },
            RequestMark {
                id: [0x33; 16],
                body: [0x34; 16],
            },
        ],
        answers: vec![
            Answer {
                id: [0x35; 16],
                fingerprint: [0x36; 16],
                judgement: Judgement::Wrong { left: 3 },
            },
            Answer {
                id: [0x37; 16],
                fingerprint: [0x38; 16],
                judgement: Judgement::Wrong { left: 2 },
            },
        ],
        deliveries: vec![
            Delivery {
                tries: 2,
                position: 1,
                refusals: Refusals::default().with(0).with(7),
                sender: Some(sender("first")),
                ..delivery(
                    0x51,
                    Channel::Email,
                    DeliveryStatus::Queued {
                        not_before: at(2_000_000),
                    },
                )
            },
            Delivery {
                recipient: 1,
                masked: "+31 6 •••• ••78".to_owned(),
                tries: 1,
                ..delivery(0x52, Channel::Sms, DeliveryStatus::Leased(lease))
            },
        ],
        ..verification(0x61, phase)
    }
}

/// A live verification with as few fields as possible.
fn pending_of_anybody() -> Verification {
    let phase = Phase::Pending(Box::new(Pending {
        subject: SubjectId::parse("s").unwrap(),
        nonce: [0x44; 16],
        recipients: vec![recipient(Channel::Email, "anna@example.org")],
        binding: Binding::default(),
        limits: Limits {
            code_length: CodeLength::new(6).unwrap(),
            code_lifetime: Duration::from_secs(300),
            attempts: 5,
            sends: 4,
            resend_cooldown: Duration::from_secs(30),
            separators: Separators {
                space: false,
                hyphen: false,
            },
            entry_modes: vec![EntryMode::Portal],
            channels: vec![Channel::Email],
            plan: Vec::new(),
        },
        next_resend_at: at(30_000_020),
        browser: None,
        decoy: false,
        network: None,
    }));
    let queued = DeliveryStatus::Queued { not_before: at(20) };
    let deliveries = vec![delivery(0x53, Channel::Email, queued)];
    Verification {
        origin: Origin::Anonymous,
        deliveries,
        ..verification(0x62, phase)
    }
}

fn decoy() -> Verification {
    let Verification {
        phase: Phase::Pending(pending),
        deliveries,
        ..
    } = pending_of_anybody()
    else {
        unreachable!()
    };
    let browser = Some(BrowserMark([0x45; 32]));
    let separators = Separators {
        space: false,
        hyphen: true,
    };
    let limits = Limits {
        separators,
        entry_modes: vec![EntryMode::Link],
        ..pending.limits.clone()
    };
    let phase = Phase::Pending(Box::new(Pending {
        browser,
        decoy: true,
        network: None,
        limits,
        ..*pending
    }));
    let contact = Contact {
        id: reference("chat-20"),
        case: None,
        channel: None,
        agent: None,
    };
    Verification {
        deliveries,
        contact: Some(contact),
        ..verification(0x63, phase)
    }
}

/// One verification per outcome, each with deliveries in a final state.
fn closed() -> Vec<Verification> {
    let of = |random, outcome, micros| {
        verification(
            random,
            Phase::Closed {
                outcome,
                at: at(micros),
            },
        )
    };
    let wrong = |n: u8, left| Answer {
        id: [n; 16],
        fingerprint: [n + 1; 16],
        judgement: Judgement::Wrong { left },
    };
    let right = Answer {
        id: [0x39; 16],
        fingerprint: [0x3a; 16],
        judgement: Judgement::Approved,
    };
    let sent = Delivery {
        tries: 8,
        sender: Some(sender("twilio")),
        reference: Some(ProviderReference::parse("SM0123456789abcdef").unwrap()),
        ..delivery(0x54, Channel::Sms, DeliveryStatus::Sent)
    };
    let undelivered = DeliveryStatus::Undelivered {
        reason: Reason::from_word("30003"),
    };
    let failed = DeliveryStatus::Failed {
        reason: Reason::VerificationClosed,
    };
    vec![
        Verification {
            answers: vec![wrong(0x3b, 4), right],
            deliveries: vec![sent.clone()],
            ..of(0x71, Outcome::Approved, 41)
        },
        Verification {
            answers: vec![wrong(0x3d, 1), wrong(0x3f, 0)],
            deliveries: vec![Delivery {
                id: DeliveryId([0x55; 16]),
                status: DeliveryStatus::Delivered,
                ..sent.clone()
            }],
            ..of(0x72, Outcome::Rejected, 42)
        },
        Verification {
            deliveries: vec![Delivery {
                id: DeliveryId([0x56; 16]),
                status: undelivered,
                ..sent
            }],
            ..of(0x73, Outcome::Denied, 43)
        },
        Verification {
            deliveries: vec![delivery(0x57, Channel::Voice, failed)],
            ..of(0x74, Outcome::Canceled(CancelCause::Requested), 44)
        },
        of(0x75, Outcome::Canceled(CancelCause::Superseded), 45),
        of(0x76, Outcome::Canceled(CancelCause::Generation), 46),
        of(0x77, Outcome::Expired, 47),
    ]
}

pub(super) fn sides() -> Vec<(&'static str, SideRecord)> {
    let of = |version, side| SideRecord {
        version,
        until: at(50 + version),
        side,
    };
    let failed = vec![DeliveryId([0x81; 16]), DeliveryId([0x82; 16])];
    let verification = VerificationId {
        subject: SubjectKey([0x83; 16]),
        random: [0x84; 16],
    };
    vec![
        (
            "breaker_closed_and_well",
            of(1, Side::Breaker(Breaker::default())),
        ),
        (
            "breaker_closed",
            of(
                2,
                Side::Breaker(Breaker::Closed {
                    failed,
                    refused: Refused::default(),
                }),
            ),
        ),
        (
            "breaker_open",
            of(
                3,
                Side::Breaker(Breaker::Open {
                    until: at(61),
                    times: 3,
                    by_refusals: false,
                }),
            ),
        ),
        (
            "breaker_half_open",
            of(
                4,
                Side::Breaker(Breaker::HalfOpen {
                    until: at(62),
                    times: 4,
                    by_refusals: false,
                    refused: Refused::default(),
                }),
            ),
        ),
        (
            "delivery",
            of(
                5,
                Side::Delivery {
                    verification,
                    delivery: DeliveryId([0x85; 16]),
                },
            ),
        ),
        ("tally", of(6, Side::Tally(tally_of_guesses()))),
    ]
}

type Sample = (&'static str, Option<[u8; 16]>, Event, Line);

fn tally_of_guesses() -> GuessTally {
    let hour = |failures, counted| HourOfFailures { failures, counted };
    GuessTally {
        hour: 500_000,
        hours: vec![hour(0, 0), hour(512, 100), hour(7, 6)],
        alarm_until: at(63),
    }
}

/// An event by a caller on a contact, with the line that it is read as.
fn told(name: &'static str, what: What, word: &str, details: &[(&str, &str)]) -> Sample {
    let id = VerificationId {
        subject: SubjectKey([0x5c; 16]),
        random: [0x61; 16],
    };
    let event = Event {
        at: at(70),
        tenant: TenantId::parse("bank").unwrap(),
        caller: Some(CallerName::parse("portal-1").unwrap()),
        agent: Some(reference("agent-19")),
        contact: Some(reference("call-17")),
        verification: Some(id),
        action: Some(ActionName::parse("change_address").unwrap()),
        what,
    };
    // Version 0.1 stored no tenant.
    let line = Line {
        at: at(70),
        tenant: String::new(),
        caller: "portal-1".to_owned(),
        agent: "agent-19".to_owned(),
        contact: "call-17".to_owned(),
        verification: "vrf_7DYCAhqwQSKqqL1h8V1XmY1oQm5YxB2ai6A69YxA3iWC".to_owned(),
        action: "change_address".to_owned(),
        what: word.to_owned(),
        details: details
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    (name, Some([0x18; 16]), event, line)
}

/// The events for the end of a verification, one per outcome.
fn ends() -> Vec<Sample> {
    let closed = |name, outcome, word| {
        told(
            name,
            What::Closed { outcome },
            "closed",
            &[("outcome", word)],
        )
    };
    vec![
        closed("approved", Outcome::Approved, "approved"),
        closed("rejected", Outcome::Rejected, "rejected"),
        closed("denied", Outcome::Denied, "denied"),
        closed(
            "canceled",
            Outcome::Canceled(CancelCause::Requested),
            "canceled",
        ),
        closed(
            "superseded",
            Outcome::Canceled(CancelCause::Superseded),
            "superseded",
        ),
        closed("lost", Outcome::Canceled(CancelCause::Generation), "lost"),
        closed("expired", Outcome::Expired, "expired"),
    ]
}

/// An event that the service writes on its own, about a subject without a record.
fn by_nobody() -> Sample {
    let nobody = |event: Event| Event {
        caller: None,
        agent: None,
        contact: None,
        verification: None,
        action: None,
        ..event
    };
    let no_line = |line: Line| Line {
        caller: String::new(),
        agent: String::new(),
        contact: String::new(),
        verification: String::new(),
        action: String::new(),
        ..line
    };
    let (name, _, event, line) = told(
        "disabled",
        What::Disabled {
            origin: Origin::Anonymous,
        },
        "disabled",
        &[("origin", "anonymous")],
    );
    (name, None, nobody(event), no_line(line))
}

pub(super) fn events() -> Vec<Sample> {
    let channel = Channel::Sms;
    let by = || sender("twilio");
    let reason = || Reason::from_word("30003");
    let sms = ("channel", "sms");
    let guard = |dimension| BucketKind {
        dimension,
        scope: Scope::All,
    };
    let quota = Some(guard(Dimension::GuardPrefix));
    let before = vec![
        by_nobody(),
        told("started", What::Started { channel }, "started", &[sms]),
        told(
            "passed_over",
            What::PassedOver {
                channel,
                why: Unfit::NumberType,
            },
            "passed_over",
            &[sms, ("reason", "NUMBER_TYPE_NOT_ALLOWED")],
        ),
        told("resent", What::Resent { channel }, "resent", &[sms]),
        told(
            "moved_on",
            What::MovedOn {
                channel: Channel::Voice,
            },
            "moved_on",
            &[("channel", "voice")],
        ),
        told(
            "right",
            What::Checked {
                judgement: Judgement::Approved,
            },
            "checked",
            &[("verdict", "approved")],
        ),
        told(
            "wrong",
            What::Checked {
                judgement: Judgement::Wrong { left: 3 },
            },
            "checked",
            &[("verdict", "wrong"), ("left", "3")],
        ),
        told(
            "refused",
            What::Refused(RefusedCall {
                call: "start",
                reason: "GUARD_REFUSED",
                quota,
            }),
            "refused",
            &[
                ("call", "start"),
                ("reason", "GUARD_REFUSED"),
                ("quota", "guard_prefix"),
            ],
        ),
        told(
            "would_refuse",
            What::WouldRefuse {
                quota: guard(Dimension::GuardCountry),
            },
            "would_refuse",
            &[("quota", "guard_country")],
        ),
    ];
    let after = vec![
        told(
            "sent",
            What::Sent {
                channel,
                sender: by(),
            },
            "sent",
            &[sms, ("sender", "twilio")],
        ),
        told(
            "send_failed",
            What::SendFailed {
                channel,
                reason: reason(),
            },
            "send_failed",
            &[sms, ("reason", "30003")],
        ),
        told(
            "delivered",
            What::Delivered {
                channel,
                sender: by(),
            },
            "delivered",
            &[sms, ("sender", "twilio")],
        ),
        told(
            "undelivered",
            What::Undelivered {
                channel,
                sender: by(),
                reason: reason(),
            },
            "undelivered",
            &[sms, ("sender", "twilio"), ("reason", "30003")],
        ),
        told(
            "approved_after_failures",
            What::ApprovedAfterFailures { failures: 3 },
            "approved_after_failures",
            &[("failures", "3")],
        ),
    ];
    [before, ends(), after, later_events()].concat()
}

/// What version 0.2 added. New samples come last, because the place of each decides its nonce.
fn later_events() -> Vec<Sample> {
    vec![
        told(
            "unlocked",
            What::Unlocked {
                reason: UnlockReason::parse("passport seen, ticket 4711").unwrap(),
                operator: Some(reference("j.jansen")),
                anonymous: 25,
                vouched: 3,
            },
            "unlocked",
            &[
                ("reason", "passport seen, ticket 4711"),
                ("operator", "j.jansen"),
                ("anonymous", "25"),
                ("vouched", "3"),
            ],
        ),
        told(
            "many_failures",
            What::ManyFailures {
                of_caller: true,
                failures: 512,
                mean: 51,
            },
            "many_failures",
            &[
                // No longer written: the event itself has its tenant.
                ("tenant", "bank"),
                ("scope", "caller"),
                ("failures", "512"),
                ("mean", "51"),
            ],
        ),
    ]
}

/// Refusals that were counted, with salt and line; version 0.1 had none.
pub(super) fn counted() -> ([u8; 16], Event, Line) {
    let closed = RefusedCall {
        call: "check",
        reason: "CLOSED",
        quota: None,
    };
    let quota = RefusedCall {
        call: "resend",
        reason: "QUOTA_EXCEEDED",
        quota: Some(BucketKind {
            dimension: Dimension::Recipient,
            scope: Scope::All,
        }),
    };
    let what = What::RefusedAgain {
        counts: [(closed, 19), (quota, 3)].into(),
    };
    let details = [
        ("call", "check"),
        ("reason", "CLOSED"),
        ("count", "22"),
        (
            "counts",
            "check CLOSED 19, resend QUOTA_EXCEEDED.recipient 3",
        ),
    ];
    let (_, salt, event, line) = told("counted", what, "refused", &details);
    let tenant = event.tenant.as_str().to_owned();
    (salt.unwrap_or_default(), event, Line { tenant, ..line })
}
