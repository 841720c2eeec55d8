//! Floods of messages that are refused because of their recipients, beside honest ones, which never notice.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use countersign::{
    app::Machine,
    pb::v1::{self, Channel, DeliveryStatus},
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{
    Harness, Setup, anonymous, fields, http::get, login, recipient, scaled, sink::Sink, unique,
};

/// How long the flood lasts, in seconds.
const FLOOD_S: usize = scaled(3, 60);
/// Honest starts per second.
const HONEST_PER_S: usize = 4;
/// Bogus starts per second of each kind.
const BOGUS_PER_S: usize = 3;
/// The time within which an honest message must be sent.
const PROMPT: Duration = Duration::from_secs(1);
/// The share of honest messages that must be sent in that time, in percent: a machine may pause for a moment.
const PROMPT_PERCENT: usize = 99;

/// Replies to the recipients of the flood, each with the end of the domains that get it. Each message is for another
/// domain, as for an attacker who owns as many as he likes.
const REFUSALS: [(&str, &str); 4] = [
    ("blocked.example", "554 5.7.1 Access denied"),
    ("later.example", "451 4.7.1 Try again later"),
    ("busy.example", "450 mailbox busy"),
    ("unknown.example", "550 5.1.1 user unknown"),
];

/// The settings of a mail server as the only sender of mail, and of a sender of browser messages.
fn settings(port: u16, key_file: &str) -> String {
    format!(
        "[senders.mail]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
         from = \"codes@bank.example\"\nhello_name = \"service.bank.example\"\n\
         [senders.browsers]\nkind = \"webpush\"\nkey_file = \"{key_file}\"\ncontact = \"mailto:ops@bank.example\"\n\
         [routes.email]\nsenders = [\"mail\"]\n[routes.push]\nsenders = [\"browsers\"]\n"
    )
}

/// The service on the real clock, with a mail server that refuses the recipients of the flood.
async fn service() -> (Arc<Harness>, Arc<Sink>) {
    let sink = Sink::start().await;
    for (domain, reply) in REFUSALS {
        sink.refuse(domain, reply);
    }
    let setup = Setup::default();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let file = setup.dir.path().join("vapid.pem");
    std::fs::write(&file, key.serialize_pem()).unwrap();
    let setup = setup.file(&settings(sink.address.port(), &file.display().to_string()));
    let service = setup.try_start_on(Machine::default()).await;
    (Arc::new(service.expect("the service starts")), sink)
}

/// A start without any proof, as an attacker makes it.
fn stranger(channel: Channel, address: &str) -> v1::StartVerificationRequest {
    v1::StartVerificationRequest {
        recipients: vec![recipient(channel, address)],
        ..anonymous(&unique("s"))
    }
}

/// The push address of a browser at this endpoint, with the keys of RFC 8291, section 5.
pub(super) fn browser(endpoint: &str) -> String {
    let keys = json!({
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    });
    let subscription = json!({"endpoint": endpoint, "keys": keys}).to_string();
    format!("webpush:{}", BASE64_URL_SAFE_NO_PAD.encode(subscription))
}

/// Starts of an attacker without any proof: one for each kind of refusal, and one for a browser whose push service the
/// settings do not name.
async fn bogus(service: &Harness, n: usize) {
    for (domain, _) in REFUSALS {
        let address = format!("x{n}@d{n}{domain}");
        service
            .start(stranger(Channel::Email, &address))
            .await
            .unwrap();
    }
    let foreign = browser(&format!("https://push{n}.evil.example/x"));
    let refused = service.start(stranger(Channel::Push, &foreign)).await;
    assert_eq!(
        fields(&refused.unwrap_err()),
        ["recipients[0].address"],
        "it never reaches the sender"
    );
}

/// The time until an honest message is sent, and its hand-overs.
async fn honest(service: &Harness, n: usize) -> (Duration, u32) {
    let begun = Instant::now();
    let address = format!("customer{n}@bank{}.example", n % 5);
    let request = v1::StartVerificationRequest {
        recipients: vec![recipient(Channel::Email, &address)],
        ..login(&unique("s"))
    };
    let v = service.start(request).await.unwrap();
    let v = service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Sent
        })
        .await;
    (begun.elapsed(), v.deliveries[0].tries)
}

/// Runs `count` turns at even times, each in a task of its own.
async fn turns<F: Future<Output: Send> + Send + 'static>(
    per_s: usize,
    turn: impl Fn(usize) -> F,
) -> Vec<F::Output>
where
    F::Output: Send + 'static,
{
    let pause = Duration::from_secs(1) / u32::try_from(per_s).unwrap();
    let mut clock = tokio::time::interval(pause);
    let mut tasks = JoinSet::new();
    for n in 0..per_s * FLOOD_S {
        clock.tick().await;
        tasks.spawn(turn(n));
    }
    tasks.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn send_15_a_flood_of_refused_recipients_delays_no_honest_message() {
    let (service, sink) = service().await;
    let (honest, _) = tokio::join!(
        turns(HONEST_PER_S, |n| {
            let service = service.clone();
            async move { honest(&service, n).await }
        }),
        turns(BOGUS_PER_S, |n| {
            let service = service.clone();
            async move { bogus(&service, n).await }
        })
    );
    assert_eq!(honest.len(), HONEST_PER_S * FLOOD_S);
    let prompt = honest.iter().filter(|(took, _)| *took <= PROMPT).count();
    assert!(
        100 * prompt >= PROMPT_PERCENT * honest.len(),
        "{prompt} of {} within {PROMPT:?}: {honest:?}",
        honest.len()
    );
    assert!(
        honest.iter().all(|(_, tries)| *tries == 1),
        "none met an open breaker or was refused"
    );
    assert_eq!(sink.mails().len(), honest.len());
    let metrics = get(service.reach.admin, "/metrics").await;
    let value = |series: &str| {
        let line = metrics.lines().find(|line| line.starts_with(series));
        line.and_then(|line| line.rsplit_once(' '))
            .map(|(_, value)| value.to_owned())
    };
    assert_eq!(
        value("countersign_sender_open{sender=\"mail\"}").as_deref(),
        Some("0")
    );
    let of_recipients =
        value("countersign_send_failures_total{sender=\"mail\",blame=\"recipient\"}");
    assert!(
        of_recipients.unwrap().parse::<usize>().unwrap() >= BOGUS_PER_S * FLOOD_S,
        "operators see whose fault it is: {}",
        json!(
            metrics
                .lines()
                .filter(|line| line.contains("send_failures"))
                .collect::<Vec<_>>()
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn send_15_a_deferred_domain_holds_up_itself_alone() {
    let (service, _sink) = service().await;
    for n in 0..20 {
        let address = format!("x{n}@later.example");
        service
            .start(stranger(Channel::Email, &address))
            .await
            .unwrap();
    }
    let (took, tries) = honest(&service, 0).await;
    assert!(tries == 1 && took <= PROMPT, "{took:?}");
    let page = get(service.reach.admin, "/readyz").await;
    assert!(!page.contains("sender_open"), "{page}");
}
