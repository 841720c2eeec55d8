//! The operator's hook may stop a message just before it is sent.

use std::time::Duration;

use countersign::{
    domain::{
        decide::Work,
        ids::{CallerName, TenantId, VerificationId},
        verification::rules::Origin,
    },
    pb::v1::{
        self, Channel, DeliveryStatus, SendDecision,
        send_hook_service_server::{SendHookService, SendHookServiceServer},
    },
    service::delivery::hands::{HandLimits, HandOwner, Hands},
};
use serde_json::json;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::harness::{Harness, Setup, login, recipient};

/// A service with a hook that gives this answer, and a default for the case without an answer.
async fn hooked(answer: ResponseTemplate, default: &str, more: &str) -> (Harness, MockServer) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let setup = Setup::default();
    let secret = setup.dir.path().join("hook.secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let section = format!(
        "[hook]\nkind = \"http\"\nurl = \"{}/judge\"\nsecret_files = [\"{}\"]\nallow_hosts = [\"{}\"]\ndefault = \"{default}\"\n{more}",
        server.uri(),
        secret.display(),
        server.address()
    );
    (setup.file(&section).start().await, server)
}

fn denies() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"decision": "deny", "reason": "sim_swap"}))
}

fn allows() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"decision": "allow"}))
}

fn by_sms(subject: &str) -> v1::StartVerificationRequest {
    v1::StartVerificationRequest {
        recipients: vec![recipient(Channel::Sms, "+31612345678")],
        ..login(subject)
    }
}

async fn settled(service: &Harness, id: &str) -> v1::Delivery {
    let is_settled = |v: &v1::Verification| v.deliveries[0].status() != DeliveryStatus::Queued;
    service.until(id, is_settled).await.deliveries[0].clone()
}

#[tokio::test]
async fn chan_05_a_denied_message_reaches_nobody_and_is_explained() {
    let (service, server) = hooked(denies(), "allow", "").await;
    let v = service.start(by_sms("s")).await.unwrap();
    let delivery = settled(&service, &v.verification_id).await;
    assert_eq!(
        (delivery.status(), delivery.failure.as_str()),
        (DeliveryStatus::Failed, "hook_denied:sim_swap")
    );
    assert_eq!(service.recorder.all().len(), 0);
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
    let lines = service.audit().await;
    let told = lines.iter().filter(|line| {
        line.what == "send_failed" && line.details["reason"] == "hook_denied:sim_swap"
    });
    assert_eq!(told.count(), 1);
}

#[tokio::test]
async fn chan_05_an_allowed_message_goes_out_and_each_one_is_asked_for() {
    let (service, server) = hooked(allows(), "deny", "").await;
    let (v, _) = service.start_and_read(by_sms("s")).await;
    service.pass(Duration::from_secs(31)).await;
    service
        .try_resend(&v.verification_id, Channel::Unspecified)
        .await
        .unwrap();
    service.recorder.wait_for(2).await;
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
}

#[tokio::test]
async fn chan_05_without_an_answer_the_settings_decide() {
    let silent = || allows().set_delay(Duration::from_secs(20));
    for (answer, default, expected) in [
        (ResponseTemplate::new(500), "allow", None),
        (ResponseTemplate::new(500), "deny", Some("hook_failed")),
        (
            ResponseTemplate::new(200).set_body_string("yes"),
            "deny",
            Some("hook_failed"),
        ),
        (silent(), "allow", None),
        (silent(), "deny", Some("hook_failed")),
    ] {
        let (service, _server) = hooked(answer, default, "timeout_ms = 100\n").await;
        let v = service.start(by_sms("s")).await.unwrap();
        let delivery = settled(&service, &v.verification_id).await;
        let failure = Some(delivery.failure.as_str()).filter(|failure| !failure.is_empty());
        assert_eq!(
            (failure, service.recorder.all().len()),
            (expected, usize::from(expected.is_none())),
            "{default}"
        );
    }
}

#[tokio::test]
async fn chan_05_other_channels_and_decoys_are_not_asked_for() {
    let (service, server) = hooked(denies(), "deny", "channels = [\"sms\"]\n").await;
    service.start_and_read(login("by mail")).await;
    let decoy = service
        .start(v1::StartVerificationRequest {
            decoy: true,
            prior_acr: String::new(),
            ..by_sms("nobody")
        })
        .await
        .unwrap();
    assert_eq!(
        settled(&service, &decoy.verification_id).await.status(),
        DeliveryStatus::Sent
    );
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn chan_05_a_plan_goes_on_with_the_next_channel() {
    let plan = "channels = [\"sms\"]\n[actions.login]\nplan = [\"sms 40s\", \"email\"]\n";
    let (service, _server) = hooked(denies(), "deny", plan).await;
    let mut both = by_sms("s");
    both.recipients
        .push(recipient(Channel::Email, "anna@example.org"));
    let v = service.start(both).await.unwrap();
    settled(&service, &v.verification_id).await;
    // The plan continues with the next sweep; if it does not, the wait below fails.
    for _ in 0..30 {
        if !service.recorder.all().is_empty() {
            break;
        }
        service.pass(Duration::from_secs(1)).await;
    }
    let sent = |v: &v1::Verification| {
        v.deliveries
            .iter()
            .any(|delivery| delivery.status() == DeliveryStatus::Sent)
    };
    let v = service.until(&v.verification_id, sent).await;
    assert_eq!(v.deliveries[0].failure, "hook_denied:sim_swap");
    assert_eq!(v.deliveries[1].channel(), Channel::Email);
    assert_eq!(service.recorder.all().len(), 1);
}

#[tokio::test]
async fn chan_05_who_lost_the_lease_asks_nobody() {
    let (service, server) = hooked(allows(), "deny", "").await;
    let (v, _) = service.start_and_read(by_sms("s")).await;
    let delivery = service.recorder.all()[0].delivery;
    let work = Work {
        verification: VerificationId::parse(&v.verification_id).unwrap(),
        delivery,
        token: [9; 16],
    };
    let (hands, _jobs) = Hands::new(HandLimits::undivided(1));
    let hand = hands
        .reserve(
            None,
            &HandOwner {
                tenant: TenantId::parse("default").unwrap(),
                caller: CallerName::parse("development").unwrap(),
                origin: Origin::Vouched,
            },
        )
        .unwrap();
    service.reach.service.deliver(work, hand).await.unwrap();
    assert_eq!(
        (
            server.received_requests().await.unwrap().len(),
            service.recorder.all().len()
        ),
        (1, 1)
    );
}

/// Denies each message, with its country as the reason.
struct Denying;

#[tonic::async_trait]
impl SendHookService for Denying {
    async fn judge_send(
        &self,
        request: Request<v1::JudgeSendRequest>,
    ) -> Result<Response<v1::JudgeSendResponse>, Status> {
        let reason = format!("no_{}", request.into_inner().country.to_lowercase());
        Ok(Response::new(v1::JudgeSendResponse {
            decision: SendDecision::Deny.into(),
            reason,
        }))
    }
}

#[tokio::test]
async fn chan_05_a_process_is_asked_over_grpc() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let hook = Server::builder().add_service(SendHookServiceServer::new(Denying));
    tokio::spawn(hook.serve_with_incoming(TcpListenerStream::new(listener)));
    let section =
        format!("[hook]\nkind = \"grpc\"\naddress = \"http://{address}\"\ndefault = \"allow\"\n");
    let service = Setup::default().file(&section).start().await;
    let v = service.start(by_sms("s")).await.unwrap();
    assert_eq!(
        settled(&service, &v.verification_id).await.failure,
        "hook_denied:no_nl"
    );
    assert_eq!(service.recorder.all().len(), 0);
}
