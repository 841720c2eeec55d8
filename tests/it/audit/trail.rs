//! The audit trail as auditors read it: what it holds, for how long, and that no flood pushes others' events out.

use std::{collections::HashMap, sync::Arc, time::Duration};

use countersign::{
    app::Machine,
    domain::{
        caller::api_key_hash,
        ids::{SubjectKey, VerificationId},
    },
    pb::v1::{self, CancelReason, Verdict, admin_service_client::AdminServiceClient},
    ports::store::Store,
    service::record::vault::Line,
    store::embedded::memory::Memory,
    system::SystemEntropy,
};
use tonic::{Code, Status};

use crate::{
    harness::{
        Harness, PATIENCE, Setup, anonymous, binary, connect, connect_channel, fields, http::get,
        login, nth_wrong, on_contact, reason, recipient, retry_after, scaled, shape, unique,
        with_key, wrong,
    },
    verification::guesses::race_over,
};

/// Guesses of the flood.
const FLOOD: usize = scaled(2_000, 20_000);
/// The entries of a shard: the least that can be set, and fewer than the guesses of the flood.
const ENTRIES: usize = 1_000;
/// Guesses that are answered after the end of a verification.
const ANSWERED: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);

const AUDITOR: &str = "the key of the auditor";
const STRANGER: &str = "the key of another tenant";
const PORTAL: &str = "the key of its portal";

/// An auditor of the development caller's tenant, and an auditor and a front end of another one.
fn callers() -> String {
    let caller = |name, tenant, role, key| {
        let hash = hex::encode(api_key_hash(key));
        format!(
            "[callers.{name}]\ntenant = \"{tenant}\"\nroles = [\"{role}\"]\napi_key_sha256 = \"{hash}\"\n"
        )
    };
    caller("auditor", "default", "auditor", AUDITOR)
        + &caller("stranger", "other", "auditor", STRANGER)
        + &caller("portal", "other", "frontend", PORTAL)
}

async fn list_as(
    service: &Harness,
    key: &str,
    request: v1::ListEventsRequest,
) -> Result<v1::ListEventsResponse, Status> {
    let mut client = AdminServiceClient::new(connect_channel(&service.reach).await)
        .max_decoding_message_size(usize::MAX);
    let answer = client.list_events(with_key(key, request)).await?;
    Ok(answer.into_inner())
}

/// All pages of a list, with at most `page_size` events each.
async fn list(service: &Harness, key: &str, subject: &str, page_size: u32) -> Vec<v1::AuditEvent> {
    let mut request = v1::ListEventsRequest {
        subject: subject.to_owned(),
        page_size,
        ..Default::default()
    };
    let mut events = Vec::new();
    loop {
        let page = list_as(service, key, request.clone()).await.unwrap();
        events.extend(page.events);
        if page.next_page_token.is_empty() {
            return events;
        }
        request.page_token = page.next_page_token;
    }
}

/// The refusals in the trail: how many events, and how many refusals they stand for.
fn refusals<'a>(lines: impl IntoIterator<Item = &'a Line>) -> (usize, u64) {
    let refused = lines.into_iter().filter(|line| line.what == "refused");
    refused.fold((0, 0), |(events, count), line| {
        (events + 1, count + line.count())
    })
}

/// Lets the worker look at the trail until the condition holds; no more time passes than that.
async fn once(service: &Harness, wanted: impl AsyncFn() -> bool) {
    let wait = async {
        while !wanted().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
            service.pass(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("the worker does it");
}

/// A verification that is closed, with its code.
async fn closed(service: &Harness, subject: &str) -> (v1::Verification, String) {
    let (v, code) = service.start_and_read(login(subject)).await;
    let approved = service.check(&v.verification_id, &code).await;
    assert_eq!(approved, Verdict::Approved);
    (v, code)
}

#[tokio::test(flavor = "multi_thread")]
async fn guess_20_a_flood_of_guesses_at_a_closed_verification_pushes_nobody_out() {
    let service = Setup::default()
        .file(&callers())
        .with("EVENTS__MAX_PER_SHARD", &ENTRIES.to_string())
        .start()
        .await;
    for n in 0..50 {
        closed(&service, &format!("victim-{n}")).await;
    }
    let before = list(&service, AUDITOR, "", 1000).await;
    let (v, code) = closed(&service, "flood").await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(connect(&service.reach).await);
    }
    let counts = race_over(
        &clients,
        &service.key,
        &v.verification_id,
        vec![code.clone(); FLOOD],
    )
    .await;
    let expected = HashMap::from([
        ("Closed".to_owned(), ANSWERED),
        ("LATE_TOO_OFTEN".to_owned(), FLOOD - ANSWERED),
    ]);
    assert_eq!(counts, expected);
    let refused = service
        .try_check(&v.verification_id, &code, &unique("a"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(retry_after(&refused), Some(Duration::from_secs(15)));
    let of_flood = async || {
        let lines = service.audit().await;
        let id = v.verification_id.clone();
        refusals(lines.iter().filter(|line| line.verification == id))
    };
    assert_eq!(of_flood().await, (1, 1), "the first is told at once");
    service.pass(MINUTE).await;
    once(&service, async || of_flood().await == (2, FLOOD as u64 + 1)).await;
    // More looks delete nothing.
    for _ in 0..5 {
        service.pass(MINUTE / 12).await;
    }
    assert_eq!(of_flood().await.0, 2);
    let after = list(&service, AUDITOR, "", 1000).await;
    for event in &before {
        assert!(after.contains(event), "{event:?} is gone");
    }
    let told = list(&service, AUDITOR, "flood", 1000).await;
    let told: Vec<_> = told.iter().filter(|event| event.count > 1).collect();
    assert_eq!(told.len(), 1);
    let counts = format!(
        "check CLOSED {}, check LATE_TOO_OFTEN {}",
        ANSWERED - 1,
        FLOOD + 1 - ANSWERED
    );
    assert_eq!(
        (told[0].count, &told[0].details["counts"]),
        (FLOOD as u64, &counts)
    );
    assert_eq!(told[0].details["reason"], "LATE_TOO_OFTEN");
    // Another closed verification of the same subject is not touched, and neither is a live one.
    let (other, code) = closed(&service, "flood").await;
    let late = service.check(&other.verification_id, &code).await;
    assert_eq!(late, Verdict::Closed);
}

#[tokio::test]
async fn guess_20_an_expired_verification_answers_twenty_times_and_then_once_in_15_s() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    service.advance(301);
    for n in 0..ANSWERED {
        assert_eq!(
            service.check(&v.verification_id, &code).await,
            Verdict::Expired,
            "{n}"
        );
    }
    for _ in 0..2 {
        let refused = service
            .try_check(&v.verification_id, &wrong(&code), &unique("a"))
            .await;
        let (status, wait) = (shape(refused.clone()), retry_after(&refused.unwrap_err()));
        assert_eq!(
            status,
            (Code::ResourceExhausted, "LATE_TOO_OFTEN".to_owned())
        );
        service.advance(wait.unwrap().as_secs());
        assert_eq!(
            service.check(&v.verification_id, &code).await,
            Verdict::Expired
        );
    }
}

#[tokio::test]
async fn guess_20_repeats_of_an_attempt_never_count() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    for n in 0..100 {
        let answer = service.try_check(&v.verification_id, &code, "right").await;
        assert_eq!(answer.unwrap().verdict(), Verdict::Approved, "{n}");
    }
    for _ in 0..ANSWERED {
        assert_eq!(
            service.check(&v.verification_id, &code).await,
            Verdict::Closed
        );
    }
    let answer = service.try_check(&v.verification_id, &code, "right").await;
    assert_eq!(answer.unwrap().verdict(), Verdict::Approved);
    let other = service
        .try_check(&v.verification_id, &wrong(&code), "right")
        .await;
    assert_eq!(
        shape(other),
        (Code::AlreadyExists, "ATTEMPT_ID_REUSED".to_owned())
    );
}

#[tokio::test]
async fn guess_20_guesses_at_unknown_ids_are_limited_and_counted_by_caller() {
    let service = Setup::default().file(&callers()).start().await;
    let (live, code) = service.start_and_read(login("s")).await;
    let theirs = with_key(PORTAL, anonymous("theirs"));
    let theirs = service.client.clone().start_verification(theirs).await;
    let theirs = theirs.unwrap().into_inner().verification.unwrap();
    let unknown = |n: u8| {
        let subject = SubjectKey([n; 16]);
        let random = [n; 16];
        VerificationId { subject, random }.to_string()
    };
    for n in 0..30 {
        // An id of another tenant is as unknown as one that does not exist.
        let id = match n {
            3 => theirs.verification_id.clone(),
            n => unknown(n),
        };
        let answer = shape(service.try_check(&id, &code, &unique("a")).await);
        let expected = if usize::from(n) < ANSWERED {
            (Code::NotFound, "VERIFICATION_NOT_FOUND".to_owned())
        } else {
            (Code::ResourceExhausted, "LATE_TOO_OFTEN".to_owned())
        };
        assert_eq!(answer, expected, "{n}");
    }
    // Another caller has a limit of its own, and a live verification is judged as ever.
    let check = crate::harness::check_request(&unknown(1), &code, "a");
    let answer = service
        .client
        .clone()
        .check_code(with_key(PORTAL, check))
        .await;
    assert_eq!(shape(answer).0, Code::NotFound);
    assert_eq!(
        service.check(&live.verification_id, &code).await,
        Verdict::Approved
    );
    let of = async |caller: &str| {
        let lines = service.audit().await;
        refusals(lines.iter().filter(|line| line.caller == caller))
    };
    assert_eq!(
        (of("development").await, of("portal").await),
        ((1, 1), (1, 1))
    );
    service.pass(MINUTE).await;
    once(&service, async || of("development").await == (2, 30)).await;
    let lines = service.audit().await;
    let counted = lines.iter().find(|line| line.count() == 29).unwrap();
    assert_eq!(
        (counted.verification.as_str(), counted.tenant.as_str()),
        ("", "default")
    );
    assert_eq!(counted.details["reason"], "VERIFICATION_NOT_FOUND");
}

#[tokio::test]
async fn log_01_malformed_guesses_are_in_the_trail_with_the_reason_of_the_answer() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    let mut answers = HashMap::new();
    // What is no code, and what is none of this action: refused before and after the record is loaded.
    for n in 0..ANSWERED + 10 {
        let guess = if n % 2 == 0 { "12a" } else { "12345678" };
        let answer = service
            .try_check(&v.verification_id, guess, &unique("a"))
            .await;
        *answers.entry(shape(answer).1).or_insert(0) += 1;
    }
    let expected = [("CODE_MALFORMED", ANSWERED), ("MALFORMED_TOO_OFTEN", 10)];
    let expected = expected.map(|(reason, count)| (reason.to_owned(), count));
    assert_eq!(answers, HashMap::from(expected));
    let told = async || {
        let lines = service.audit().await;
        let id = v.verification_id.clone();
        refusals(lines.iter().filter(|line| line.verification == id))
    };
    assert_eq!(told().await, (1, 1), "the first is told at once");
    service.pass(MINUTE).await;
    once(&service, async || told().await == (2, ANSWERED as u64 + 10)).await;
    let lines = service.audit().await;
    let counted = lines.iter().find(|line| line.count() > 1).unwrap();
    let counts = format!(
        "check CODE_MALFORMED {}, check MALFORMED_TOO_OFTEN 10",
        ANSWERED - 1
    );
    assert_eq!(counted.details["counts"], counts);
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
}

#[tokio::test]
async fn log_01_refusals_of_every_call_reconcile_by_their_counts() {
    let setup = Setup::default().durable();
    let service = setup.start().await;
    let (v, code) = closed(&service, "s").await;
    let (live, _) = service
        .start_and_read(on_contact(login("s"), "other"))
        .await;
    let mut calls = 0;
    for _ in 0..7 {
        service.check(&v.verification_id, &code).await;
        let canceled = service.try_cancel(&v.verification_id, CancelReason::Requested);
        assert!(canceled.await.is_err());
        let resent = service.try_resend(&live.verification_id, v1::Channel::Email);
        assert!(resent.await.is_err());
        calls += 3;
        let start = v1::StartVerificationRequest {
            recipients: vec![recipient(v1::Channel::Sms, "+870301234567")],
            ..login("nowhere")
        };
        assert!(service.start(start).await.is_err());
        calls += 1;
    }
    let (events, told) = refusals(&service.audit().await);
    assert_eq!((events, told), (3, 3), "the first of each");
    service.stop().await;
    let service = setup.start().await;
    let (events, told) = refusals(&service.audit().await);
    assert_eq!(
        (events, told),
        (6, calls),
        "a shutdown writes what was counted"
    );
}

#[tokio::test]
async fn log_06_a_list_has_the_events_of_the_own_tenant_only_and_splits_no_commit() {
    let service = Setup::default().file(&callers()).start().await;
    for n in 0..7 {
        closed(&service, &format!("s{n}")).await;
        service.advance(1);
    }
    let theirs = with_key(PORTAL, anonymous("s1"));
    let theirs = service.client.clone().start_verification(theirs).await;
    let theirs = theirs.unwrap().into_inner().verification.unwrap();
    let code = service.code_of(&theirs.verification_id).await;
    // A guess of another tenant at a verification of ours is theirs to read, and not ours.
    let (ours, _) = service.start_and_read(login("s2")).await;
    let check = crate::harness::check_request(&ours.verification_id, &code, "a");
    let answer = service
        .client
        .clone()
        .check_code(with_key(PORTAL, check))
        .await;
    assert_eq!(shape(answer).0, Code::NotFound);
    let delivered = async || {
        let lines = service.audit().await;
        lines.iter().filter(|line| line.what == "sent").count() == 9
    };
    once(&service, delivered).await;
    let all = list(&service, AUDITOR, "", 1000).await;
    let lines = service.audit().await;
    assert_eq!(
        all.len(),
        lines.iter().filter(|line| line.tenant == "default").count()
    );
    assert!(all.is_sorted_by_key(|event| event.recorded_at.map(|at| (at.seconds, at.nanos))));
    assert!(
        all.iter()
            .all(|event| event.caller != "portal" && event.count == 1)
    );
    let of_them = list(&service, STRANGER, "", 1000).await;
    assert_eq!(of_them.len() + all.len(), lines.len());
    assert!(
        of_them
            .iter()
            .all(|event| event.verification_id != all[0].verification_id)
    );
    assert_eq!(
        list(&service, STRANGER, "s2", 1000).await,
        [],
        "their s2 is another"
    );
    let kinds = |events: &[v1::AuditEvent]| -> Vec<String> {
        events.iter().map(|event| event.kind.clone()).collect()
    };
    assert_eq!(
        kinds(&list(&service, STRANGER, "s1", 1000).await),
        ["started", "sent"]
    );
    // Each subject has one key, and its events the order in which they happened.
    let mut counted = 0;
    for n in 0..7 {
        let of_one = list(&service, AUDITOR, &format!("s{n}"), 2).await;
        let key = &of_one[0].subject_key;
        let same = |event: &&v1::AuditEvent| event.subject_key == *key;
        assert_eq!(of_one, all.iter().filter(same).cloned().collect::<Vec<_>>());
        counted += of_one.len();
    }
    assert_eq!(counted, all.len());
    for page_size in [1, 2, 3, 7] {
        let paged = list(&service, AUDITOR, "", page_size).await;
        assert_eq!(paged, all, "in pages of {page_size}");
    }
    // A commit with several events is one entry, so a page of one holds two of them.
    let request = v1::ListEventsRequest {
        subject: "s0".to_owned(),
        page_size: 1,
        ..Default::default()
    };
    let mut sizes = Vec::new();
    let mut token = String::new();
    loop {
        let page_token = token.clone();
        let request = v1::ListEventsRequest {
            page_token,
            ..request.clone()
        };
        let page = list_as(&service, AUDITOR, request).await.unwrap();
        sizes.push(kinds(&page.events));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert!(
        sizes.contains(&vec!["checked".to_owned(), "closed".to_owned()]),
        "{sizes:?}"
    );
}

#[tokio::test]
async fn log_06_a_list_begins_and_ends_at_the_times_that_are_asked_for() {
    let service = Setup::default().file(&callers()).start().await;
    for n in 0..4 {
        let (v, _) = service.start_and_read(login(&format!("s{n}"))).await;
        service
            .until(&v.verification_id, |v| v.deliveries[0].tries == 1)
            .await;
        service.advance(10);
    }
    let all = list(&service, AUDITOR, "", 1000).await;
    assert_eq!(all.len(), 8, "a start and a hand-over each");
    let at = |n: usize| all[n].recorded_at;
    let between = async |since: Option<prost_types::Timestamp>, until| {
        let request = v1::ListEventsRequest {
            since,
            until,
            ..Default::default()
        };
        list_as(&service, AUDITOR, request).await.unwrap().events
    };
    assert_eq!(between(at(2), None).await, all[2..], "its very time");
    assert_eq!(
        between(at(2), at(6)).await,
        all[2..6],
        "the end is not part of it"
    );
    assert_eq!(between(None, at(4)).await, all[..4]);
    let later = at(2).map(|at| prost_types::Timestamp {
        nanos: at.nanos + 1,
        ..at
    });
    assert_eq!(between(later, None).await, all[4..]);
    assert_eq!(
        between(
            at(7).map(|at| prost_types::Timestamp {
                seconds: at.seconds + 1,
                ..at
            }),
            None
        )
        .await,
        []
    );
}

#[tokio::test]
async fn log_06_every_wrong_field_of_a_list_is_named_at_once() {
    let service = Setup::default().file(&callers()).start().await;
    for n in 0..3 {
        service.start(login(&format!("s{n}"))).await.unwrap();
    }
    let time = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    let wrong = async |request| {
        let status = list_as(&service, AUDITOR, request).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "INVALID_FIELDS")
        );
        fields(&status)
    };
    let request = v1::ListEventsRequest {
        subject: " s".to_owned(),
        since: time(-1, 0),
        until: time(1, 1_000_000_000),
        page_size: 1001,
        page_token: "next".to_owned(),
    };
    assert_eq!(
        wrong(request).await,
        ["subject", "since", "until", "page_size", "page_token"]
    );
    for (since, until) in [(7, 7), (7, 6)] {
        let request = v1::ListEventsRequest {
            since: time(since, 0),
            until: time(until, 0),
            ..Default::default()
        };
        assert_eq!(wrong(request).await, ["until"]);
    }
    let first = v1::ListEventsRequest {
        page_size: 1,
        ..Default::default()
    };
    let token = list_as(&service, AUDITOR, first.clone())
        .await
        .unwrap()
        .next_page_token;
    let next = |page_token: &str| v1::ListEventsRequest {
        page_token: page_token.to_owned(),
        ..first.clone()
    };
    assert!(list_as(&service, AUDITOR, next(&token)).await.is_ok());
    let cut = &token[..token.len() - 2];
    for bad in [
        "00",
        cut,
        &format!("{token}00"),
        &token.replacen("01", "02", 1),
    ] {
        assert_eq!(wrong(next(bad)).await, ["page_token"], "{bad}");
    }
    let of_another_list = v1::ListEventsRequest {
        subject: "s0".to_owned(),
        ..next(&token)
    };
    assert_eq!(wrong(of_another_list).await, ["page_token"]);
    let by_another = list_as(&service, STRANGER, next(&token)).await.unwrap_err();
    assert_eq!(fields(&by_another), ["page_token"]);
    let denied = list_as(&service, PORTAL, first).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn log_06_what_goes_before_its_age_is_counted_and_seen() {
    let setup = Setup::default()
        .file(&callers())
        .with("EVENTS__MAX_PER_SHARD", &ENTRIES.to_string());
    let store = Arc::new(Memory::new(setup.clock.clone(), &SystemEntropy::default()));
    let machine = Machine {
        clock: setup.clock.clone(),
        store: Some(store.clone()),
        ..Machine::default()
    };
    let service = setup.start_on(machine).await;
    let ready = async || get(service.reach.admin, "/readyz").await;
    let lost = async || {
        let page = get(service.reach.admin, "/metrics").await;
        let of = "countersign_events_lost_total{cause=\"trimmed\"} ";
        let line = page.lines().find_map(|line| line.strip_prefix(of));
        line.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    service.start_and_read(login("oldest")).await;
    assert!(!ready().await.contains("events_lost"));
    let before = lost().await;
    let key = SubjectKey([7; 16]).into();
    for _ in 0..ENTRIES + 100 {
        store.append(&key, vec![1]).await.unwrap();
    }
    service.pass(Duration::from_secs(5)).await;
    once(&service, async || {
        ready().await.contains("degraded: events_lost: ")
    })
    .await;
    let page = ready().await;
    assert!(page.starts_with("HTTP/1.1 200"), "it still serves: {page}");
    assert!(page.contains("events.max_per_shard"), "{page}");
    assert!(lost().await >= before + 100);
    let metrics = get(service.reach.admin, "/metrics").await;
    assert!(metrics.contains("countersign_store_complaints{word=\"events_lost\"} 1"));
    // An hour later without another loss it is over.
    service.pass(60 * MINUTE).await;
    once(&service, async || !ready().await.contains("events_lost")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_06_the_command_lists_the_trail_and_what_the_guard_would_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [
        ("STORE__URL", "embedded:"),
        ("GUARD__BUDGET", "3"),
        ("GUARD__RESERVE", "0"),
    ];
    let process = binary::Process::start(dir.path(), &settings);
    let mut client = process.client().await;
    for n in 0..8 {
        let start = v1::StartVerificationRequest {
            recipients: vec![recipient(v1::Channel::Sms, &format!("+3161234500{n}"))],
            ..login(&format!("pumped-{n}"))
        };
        let started = client
            .start_verification(with_key(&process.key, start))
            .await;
        started.expect("the guard only records");
    }
    let run = |arguments: &[&str]| {
        let key = dir.path().join("data/development.key");
        let output = binary::binary()
            .args([
                "audit",
                "list",
                "--address",
                &format!("http://{}", process.grpc),
            ])
            .arg("--key-file")
            .arg(key)
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, text, _) = run(&[]);
    assert_eq!(code, Some(0));
    let of = |kind: &str| {
        text.lines()
            .filter(|line| line.split(' ').nth(1) == Some(kind))
            .count()
    };
    assert_eq!(of("started"), 8, "{text}");
    let (_, json, _) = run(&["--json", "--kind", "would_refuse"]);
    let would: Vec<serde_json::Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(would.len(), of("would_refuse"));
    let prefix = would
        .iter()
        .filter(|event| event["details"]["quota"] == "guard_prefix");
    assert_eq!(prefix.count(), 8 - 3, "{json}");
    assert!(would.iter().all(|event| event["action"] == "login"));
    let (_, one, _) = run(&["--subject", "pumped-7", "--kind", "started"]);
    assert_eq!(one.lines().count(), 1, "{one}");
    let (_, none, _) = run(&["--since", "2100-01-01"]);
    assert_eq!(none, "");
    let (code, _, told) = run(&["--since", "tomorrow"]);
    assert!(code == Some(2) && told.contains("--since"), "{told}");
    let (code, _, told) = run(&["--since", "2027-01-02", "--until", "2027-01-01"]);
    assert!(
        code == Some(1) && told.contains("until must be later than since"),
        "{told}"
    );
    process.kill();
}

#[tokio::test]
async fn guess_20_wrong_guesses_that_are_judged_are_events_each() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    for n in 0..5 {
        service
            .check(&v.verification_id, &nth_wrong(&code, n))
            .await;
    }
    let lines = service.audit().await;
    let judged = lines.iter().filter(|line| line.what == "checked");
    assert_eq!(judged.count(), 5, "what counts is never coalesced");
}
