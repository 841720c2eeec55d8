//! The JSON log: all lines of a verification share its id, and each event is logged once.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use countersign::{
    domain::delivery::reason::Reason,
    pb::v1::{self, CancelReason, Channel, DeliveryStatus, Verdict},
    ports::sender::SendError,
};
use serde_json::Value;
use tonic::Code;
use tracing::{Level, subscriber::DefaultGuard};

use crate::harness::{
    Harness, PATIENCE, Setup,
    binary::{Process, borrowed, mail_settings},
    check_request, login, recipient,
    sink::{Sink, code},
    unique, with_key, wrong,
};

const JSON: [(&str, &str); 2] = [("LOG__FORMAT", "json"), ("LOG__LEVEL", "info")];

/// All lines so far.
fn lines(dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join("log")).unwrap();
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}

/// The lines about a verification.
fn about(dir: &Path, id: &str) -> Vec<Value> {
    let lines = lines(dir).into_iter();
    lines
        .filter(|line| line["fields"]["verification_id"] == id)
        .collect()
}

/// Level, message and one field of each line.
fn told(lines: &[Value], field: &str) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |line: &Value| {
        let fields = &line["fields"];
        let message = text(&fields["message"]);
        (text(&line["level"]), message, text(&fields[field]))
    };
    lines.iter().map(one).collect()
}

fn row(level: &str, message: &str, field: &str) -> (String, String, String) {
    (level.to_owned(), message.to_owned(), field.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_is_followed_by_its_id_from_start_to_approval() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), Sink::start().await);
    let mut settings = mail_settings(&sink);
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    settings.extend(JSON.map(own));
    // The first sender of the route cannot be reached, so the second gets the message.
    let unreachable = [
        ("SENDERS__DEAD__KIND", "smtp"),
        ("SENDERS__DEAD__HOST", "127.0.0.1"),
        ("SENDERS__DEAD__PORT", "9"),
        ("SENDERS__DEAD__TLS", "none"),
        ("SENDERS__DEAD__FROM", "noreply@example.org"),
        ("ROUTES__EMAIL__SENDERS", "dead,mail"),
    ];
    settings.extend(unreachable.map(own));
    let process = Process::start(dir.path(), &borrowed(&settings));
    let mut client = process.client().await;
    let started = client
        .start_verification(with_key(&process.key, login("s")))
        .await
        .unwrap();
    let id = started.into_inner().verification.unwrap().verification_id;
    let code = code(&sink.wait_for(1).await[0]);
    let resend = v1::ResendCodeRequest {
        verification_id: id.clone(),
        request_id: unique("resend"),
        channel: 0,
    };
    let refused = client.resend_code(with_key(&process.key, resend)).await;
    assert_eq!(refused.unwrap_err().code(), Code::ResourceExhausted);
    for (guess, verdict) in [(wrong(&code), Verdict::Wrong), (code, Verdict::Approved)] {
        let request = check_request(&id, &guess, &unique("a"));
        let answer = client.check_code(with_key(&process.key, request)).await;
        assert_eq!(answer.unwrap().into_inner().verdict(), verdict);
    }

    let lines = about(dir.path(), &id);
    let of = |message: &str| -> Vec<Value> {
        let lines = lines.iter();
        lines
            .filter(|line| line["fields"]["message"] == message)
            .cloned()
            .collect()
    };
    assert_eq!(
        told(&of("verification started"), "caller"),
        [row("INFO", "verification started", "development")]
    );
    assert_eq!(
        told(&of("message not accepted by sender"), "sender"),
        [row("WARN", "message not accepted by sender", "dead")]
    );
    assert_eq!(
        told(&of("message accepted by sender"), "sender"),
        [row("INFO", "message accepted by sender", "mail")]
    );
    assert_eq!(
        told(&of("call refused"), "reason"),
        [row("INFO", "call refused", "RESEND_TOO_EARLY")]
    );
    assert_eq!(
        told(&of("code checked"), "verdict"),
        [
            row("INFO", "code checked", "wrong"),
            row("INFO", "code checked", "approved")
        ]
    );
    assert_eq!(
        told(&of("verification ended"), "outcome"),
        [row("INFO", "verification ended", "approved")]
    );
    assert_eq!(lines.len(), 7, "and nothing else: {lines:#?}");
    let refusal = &of("call refused")[0];
    assert!(
        refusal["fields"]["peer"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:"),
        "{refusal}"
    );
    let method = "countersign.v1.VerificationService/ResendCode";
    assert_eq!(refusal["span"]["method"], method);
    assert!(refusal.get("spans").is_none(), "one span, once: {refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_strangers_are_told_with_their_address_and_a_flood_of_them_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &JSON);
    let mut client = process.client().await;
    for _ in 0..500 {
        let start = client.start_verification(with_key("nobody's", login("s")));
        assert_eq!(start.await.unwrap_err().code(), Code::Unauthenticated);
    }
    let refusals: Vec<_> = lines(dir.path())
        .into_iter()
        .filter(|line| line["fields"]["reason"] == "CALLER_UNKNOWN")
        .collect();
    assert!((20..100).contains(&refusals.len()), "{}", refusals.len());
    let first = &refusals[0];
    assert_eq!(first["level"], "WARN");
    let peer = first["fields"]["peer"].as_str().unwrap();
    assert!(peer.starts_with("127.0.0.1:"), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_tls_handshake_is_told_with_the_address_of_its_peer() {
    let dir = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let cert = file("cert.pem", certified.cert.pem());
    let key = file("key.pem", certified.signing_key.serialize_pem());
    let settings = [
        JSON[0],
        JSON[1],
        ("GRPC__TLS_CERT_FILE", &cert),
        ("GRPC__TLS_KEY_FILE", &key),
    ];
    let process = Process::start(dir.path(), &settings);
    let mut stream = tokio::net::TcpStream::connect(&process.grpc).await.unwrap();
    let own = stream.local_addr().unwrap().to_string();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let seen = async {
        loop {
            let all = lines(dir.path());
            let failed = all
                .into_iter()
                .find(|line| line["fields"]["message"] == "tls handshake failed");
            if let Some(line) = failed {
                return line;
            }
            tokio::task::yield_now().await;
        }
    };
    let line = tokio::time::timeout(PATIENCE, seen).await.expect("a line");
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["fields"]["peer"], own);
}

/// The log of a service that runs on this thread alone.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn capture() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(Level::INFO)
            .with_writer(move || writer.clone());
        (log, tracing::subscriber::set_default(subscriber.finish()))
    }

    /// Waits for this many lines about deliveries of a verification.
    async fn of_deliveries(&self, id: &str, count: usize) -> Vec<Value> {
        let all = async {
            loop {
                let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
                let lines = text
                    .lines()
                    .map(|line| serde_json::from_str::<Value>(line).unwrap());
                let found: Vec<_> = lines
                    .filter(|line| line["fields"]["verification_id"] == id)
                    .filter(|line| line["fields"].get("outcome").is_some())
                    .filter(|line| line["fields"].get("delivery_id").is_some())
                    .collect();
                if found.len() >= count {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, all)
            .await
            .expect("the lines come")
    }
}

async fn status(service: &Harness, id: &str, status: DeliveryStatus) -> v1::Delivery {
    let wanted = |v: &v1::Verification| v.deliveries[0].status() == status;
    service.until(id, wanted).await.deliveries[0].clone()
}

#[tokio::test]
async fn a_delivery_that_ends_without_a_sender_is_told_once_with_its_reason() {
    let (log, _guard) = Log::capture();
    let file = "[test_recipients]\n\"ci@example.org\" = \"654321\"\n\
                [hook]\nkind = \"http\"\nurl = \"http://127.0.0.1:9/judge\"\nsecret_files = [\"SECRET\"]\n\
                allow_hosts = [\"127.0.0.1:9\"]\ndefault = \"deny\"\nchannels = [\"sms\"]\n";
    let setup = Setup::default();
    let secret = setup.dir.path().join("hook.secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let file = file.replace("SECRET", secret.to_str().unwrap());
    let service = setup.file(&file).start().await;
    let to = |channel, address| v1::StartVerificationRequest {
        recipients: vec![recipient(channel, address)],
        ..login(&unique("s"))
    };
    let decoy = v1::StartVerificationRequest {
        decoy: true,
        ..login("nobody")
    };
    let skipped = "message counts as sent without asking a sender";
    let given_up = "message given up without asking a sender";
    let (sent, failed) = (DeliveryStatus::Sent, DeliveryStatus::Failed);
    for (start, ends_as, message, level, sender, reason) in [
        (
            to(Channel::Email, "ci@example.org"),
            sent,
            skipped,
            "INFO",
            "test",
            "test_recipient",
        ),
        (decoy, sent, skipped, "INFO", "outbox", "decoy"),
        (
            to(Channel::Sms, "+31612345678"),
            failed,
            given_up,
            "WARN",
            "",
            "hook_failed",
        ),
    ] {
        let id = service.start(start).await.unwrap().verification_id;
        let delivery = status(&service, &id, ends_as).await;
        let lines = log.of_deliveries(&id, 1).await;
        assert_eq!(told(&lines, "reason"), [row(level, message, reason)]);
        let fields = &lines[0]["fields"];
        assert_eq!(fields["delivery_id"], delivery.delivery_id);
        assert_eq!(fields["sender"].as_str().unwrap_or_default(), sender);
    }
    assert!(service.recorder.all().is_empty(), "no sender was asked");
}

#[tokio::test]
async fn a_message_that_still_waits_when_its_verification_ends_is_told_once() {
    let (log, _guard) = Log::capture();
    let service = Harness::new().await;
    let mut ids = Vec::new();
    for count in 1..=2 {
        service
            .recorder
            .answer_with([SendError::failing(Duration::from_secs(5), Reason::Busy)]);
        let started = service.start(login(&unique("s"))).await.unwrap();
        service.recorder.wait_for(count).await;
        let id = started.verification_id;
        // The line of the hand-over comes first; its report then advances the delivery.
        assert_eq!(
            told(&log.of_deliveries(&id, 1).await, "outcome"),
            [row("WARN", "message not accepted by sender", "retried")]
        );
        ids.push(id);
    }
    service
        .try_cancel(&ids[0], CancelReason::Requested)
        .await
        .unwrap();
    // Advances past the expiry and its grace at once, so that no retry comes in time.
    service.pass(Duration::from_secs(700)).await;
    for (id, level) in ids.iter().zip(["INFO", "WARN"]) {
        let lines = log.of_deliveries(id, 2).await;
        let delivery = service.get(id).await.unwrap().deliveries.remove(0);
        assert_eq!(delivery.failure, "verification_closed");
        let end = row(
            level,
            "message given up before hand-over",
            "verification_closed",
        );
        assert_eq!(told(&lines[1..], "reason"), [end]);
        assert_eq!(lines[1]["fields"]["delivery_id"], delivery.delivery_id);
        assert_eq!(lines[1]["fields"]["sender"], "outbox");
    }
}
