//! The real process, killed repeatedly while it sends, and restarted on the data that it stored.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use countersign::{
    app::Machine,
    pb::v1::{self, DeliveryStatus, Verdict, VerificationStatus},
};
use tonic::Code;

use crate::harness::{
    Client, PATIENCE, Setup,
    binary::{Process, borrowed, mail_settings},
    check_request, login, scaled,
    sink::{Pace, Sink, code, header},
    unique, with_key,
};

const KILLS: usize = scaled(15, 50);
/// Starts in one run of the process.
const STARTS: usize = 4;
/// How long a lease may outlive its process: one second for the hand-over and five as margin.
const LEASE: Duration = Duration::from_secs(6);

/// A start, and its verification once the answer has arrived.
struct Start {
    request: v1::StartVerificationRequest,
    made: Option<v1::Verification>,
}

/// Repeats the starts without an answer, until all have one or the process is gone.
async fn call(mut client: Client, key: String, mut starts: Vec<Start>) -> Vec<Start> {
    for start in starts.iter_mut().filter(|start| start.made.is_none()) {
        match client
            .start_verification(with_key(&key, start.request.clone()))
            .await
        {
            Ok(answer) => start.made = answer.into_inner().verification,
            Err(status) => {
                let gone = [
                    Code::Unavailable,
                    Code::Unknown,
                    Code::Cancelled,
                    Code::Internal,
                ]
                .contains(&status.code());
                assert!(gone, "{status}");
                break;
            }
        }
    }
    starts
}

async fn get(client: &Client, key: &str, id: &str) -> v1::Verification {
    let request = v1::GetVerificationRequest {
        verification_id: id.to_owned(),
    };
    client
        .clone()
        .get_verification(with_key(key, request))
        .await
        .unwrap()
        .into_inner()
        .verification
        .unwrap()
}

/// Polls until the condition holds; the clock advances meanwhile, so that leases end.
async fn eventually(wanted: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let ask = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE + LEASE, ask)
        .await
        .unwrap_or_else(|_| panic!("waited for {wanted}"));
}

/// The audit trail in a data directory, as `what`, verification and outcome.
async fn trail(dir: tempfile::TempDir) -> Vec<(String, String, String)> {
    let setup = Setup {
        dir: std::sync::Arc::new(dir),
        ..Setup::default()
    }
    .durable();
    let service = setup.try_start_on(Machine::default()).await.unwrap();
    let lines = service.audit().await;
    let outcome = |line: &countersign::service::record::vault::Line| {
        line.details.get("outcome").cloned().unwrap_or_default()
    };
    let lines = lines
        .iter()
        .map(|line| (line.what.clone(), line.verification.clone(), outcome(line)))
        .collect();
    assert!(service.recorder.all().is_empty(), "nothing is left to send");
    service.stop().await;
    lines
}

/// One run: starts arrive, mails are sent one after the other, and the process is killed in the middle.
async fn live_and_die(
    dir: &Path,
    settings: &[(String, String)],
    sink: &Sink,
    round: usize,
    starts: Vec<Start>,
) -> Vec<Start> {
    let process = Process::start(dir, &borrowed(settings));
    let before = sink.mails().len();
    let calls = tokio::spawn(call(process.client().await, process.key.clone(), starts));
    match round % 3 {
        // The mail was accepted, and the process does not know it yet.
        0 => drop(sink.wait_for(before + 1).await),
        1 => drop(sink.wait_for(before + 2).await),
        // At a random moment, with starts in progress.
        _ => tokio::time::sleep(Duration::from_millis(u64::try_from(round).unwrap() % 7)).await,
    }
    process.kill();
    calls.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rf19_kills_in_mid_send_lose_no_start_and_make_one_duplicate_each_at_most() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), Sink::start().await);
    sink.set(Pace::Late);
    let mut settings = mail_settings(&sink);
    // One hand-over at a time, so that a kill interrupts one.
    settings.push(("WORKER__CONCURRENCY".to_owned(), "1".to_owned()));
    let mut starts: Vec<Start> = Vec::new();
    for round in 0..KILLS {
        let fresh = |n| Start {
            request: login(&format!("s-{round}-{n}")),
            made: None,
        };
        starts.extend((0..STARTS).map(fresh));
        starts = live_and_die(dir.path(), &settings, &sink, round, starts).await;
    }
    let process = Process::start(dir.path(), &borrowed(&settings));
    let client = process.client().await;
    // A start whose answer was lost is repeated with its id: it is found, or made now.
    let starts = call(client.clone(), process.key.clone(), starts).await;
    let made: Vec<&v1::Verification> = starts
        .iter()
        .map(|start| start.made.as_ref().expect("all are answered"))
        .collect();
    for v in &made {
        eventually("every message to be reported", async || {
            get(&client, &process.key, &v.verification_id)
                .await
                .deliveries[0]
                .status()
                == DeliveryStatus::Sent
        })
        .await;
    }
    let mut mails: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mail in sink.mails() {
        mails
            .entry(header(&mail, "Message-ID"))
            .or_default()
            .push(code(&mail));
    }
    assert!(
        mails
            .values()
            .all(|codes| codes.iter().all(|code| *code == codes[0])),
        "never another code: {mails:?}"
    );
    let duplicates: usize = mails.values().map(|codes| codes.len() - 1).sum();
    println!(
        "{KILLS} kills, {} starts, {duplicates} duplicates",
        starts.len()
    );
    assert!(
        duplicates <= KILLS,
        "{duplicates} duplicates of {KILLS} kills"
    );
    assert_eq!(
        mails.len(),
        made.len(),
        "one message for each start, and none for a start that was not stored"
    );
    for v in &made {
        let id = &v.deliveries[0].delivery_id;
        let (_, codes) = mails
            .iter()
            .find(|(name, _)| name.contains(id.as_str()))
            .expect("no start is lost");
        let guess = with_key(
            &process.key,
            check_request(&v.verification_id, &codes[0], &unique("a")),
        );
        assert_eq!(
            client
                .clone()
                .check_code(guess)
                .await
                .unwrap()
                .into_inner()
                .verdict(),
            Verdict::Approved
        );
    }
    process.kill();
    let ids: Vec<String> = made.iter().map(|v| v.verification_id.clone()).collect();
    let trail = trail(dir).await;
    let of = |what: &str, id: &str| {
        trail
            .iter()
            .filter(|line| line.0 == what && line.1 == id)
            .count()
    };
    assert!(
        ids.iter()
            .all(|id| (of("started", id), of("closed", id)) == (1, 1)),
        "each ends in exactly one event"
    );
    let started: BTreeSet<_> = trail
        .iter()
        .filter(|line| line.0 == "started")
        .map(|line| &line.1)
        .collect();
    assert_eq!(
        started.len(),
        ids.len(),
        "no start is stored that nobody knows of"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn send_13_what_could_not_be_sent_before_a_kill_is_never_sent_after_its_expiry() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), Sink::start().await);
    sink.set(Pace::Silent);
    let mut settings = mail_settings(&sink);
    let own = [
        ("ACTIONS__BRIEF__CODE_LIFETIME_S", "30"),
        ("ACTIONS__BRIEF__RESEND_COOLDOWN_S", "5"),
    ];
    settings.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let brief = |n: usize| v1::StartVerificationRequest {
        action: "brief".to_owned(),
        ..login(&format!("brief-{n}"))
    };
    let mut starts: Vec<Start> = (0..5)
        .map(|n| Start {
            request: brief(n),
            made: None,
        })
        .collect();
    // Runs of eight seconds, in each of which leases end and hand-overs begin, until the last code has expired.
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(31) {
        let process = Process::start(dir.path(), &borrowed(&settings));
        starts = call(process.client().await, process.key.clone(), starts).await;
        tokio::time::sleep(Duration::from_secs(8)).await;
        process.kill();
    }
    let ids: Vec<String> = starts
        .iter()
        .map(|start| start.made.as_ref().unwrap().verification_id.clone())
        .collect();
    sink.set(Pace::Prompt);
    let process = Process::start(dir.path(), &borrowed(&settings));
    let client = process.client().await;
    let last = call(
        client.clone(),
        process.key.clone(),
        vec![Start {
            request: login("last"),
            made: None,
        }],
    )
    .await;
    // By then, all leases of killed processes have ended, and all closings are written.
    tokio::time::sleep(LEASE).await;
    for id in &ids {
        let v = get(&client, &process.key, id).await;
        assert_eq!(v.status(), VerificationStatus::Expired);
        assert_ne!(
            v.deliveries[0].status(),
            DeliveryStatus::Sent,
            "and nobody says that it was sent"
        );
    }
    process.kill();
    let mails = sink.mails();
    let last = &last[0].made.as_ref().unwrap().deliveries[0].delivery_id;
    assert!(
        matches!(&mails[..], [one] if header(one, "Message-ID").contains(last.as_str())),
        "{} mails",
        mails.len()
    );
    let trail = trail(dir).await;
    for id in &ids {
        let closings: Vec<_> = trail
            .iter()
            .filter(|line| line.0 == "closed" && line.1 == *id)
            .map(|line| &line.2)
            .collect();
        assert_eq!(closings, ["expired"], "exactly one closing event");
    }
}
