//! The questions to a hook, and the effects of its answers.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use super::*;
use crate::{
    domain::{
        delivery::reason::Reason,
        ids::{ActionName, DeliveryId, SubjectKey, TenantId, VerificationId},
        recipient::{Channel, Recipient},
    },
    format::secret::SecretText,
    pb::v1::{
        self, SendDecision,
        send_hook_service_server::{SendHookService, SendHookServiceServer},
    },
    ports::hook::{HookDecision, NoAnswer, Question},
    sender::{
        doubles::samples::{self, Fixed},
        transport::{peer::PeerSettings, signed::SignedSettings},
    },
};

fn question() -> Question {
    Question {
        delivery: DeliveryId([1; 16]),
        verification: VerificationId {
            subject: SubjectKey([2; 16]),
            random: [3; 16],
        },
        tenant: TenantId::parse("bank").unwrap(),
        action: ActionName::parse("payment").unwrap(),
        recipient: Recipient::parse(Channel::Sms, "+31612345678").unwrap(),
    }
}

fn no_answer<T>(reason: Reason) -> Result<T, NoAnswer> {
    Err(NoAnswer(reason))
}

async fn by_http(
    answer: ResponseTemplate,
) -> (Result<HookDecision, NoAnswer>, Vec<wiremock::Request>) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let settings = SignedSettings {
        url: format!("{}/judge", server.uri()),
        secrets: vec![SecretText::new(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
        )],
        connection: samples::connection(&server.uri()),
    };
    let answer = HookCall::Http(settings)
        .build(Arc::new(Fixed))
        .unwrap()
        .judge(&question())
        .await;
    (answer, server.received_requests().await.unwrap())
}

#[tokio::test]
async fn chan_05_a_webhook_is_signed_and_tells_neither_code_nor_binding() {
    let (answer, asked) =
        by_http(ResponseTemplate::new(200).set_body_json(json!({"decision": "allow"}))).await;
    assert_eq!(answer, Ok(HookDecision::Allow));
    let body: Value = serde_json::from_slice(&asked[0].body).unwrap();
    let expected = json!({
        "type": "send.judge",
        "data": {
            "delivery_id": question().delivery.to_string(),
            "verification_id": question().verification.to_string(),
            "tenant": "bank",
            "action": "payment",
            "channel": "sms",
            "address": "+31612345678",
            "country": "NL",
        },
    });
    assert_eq!(body, expected);
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert!(asked[0].headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn chan_05_only_a_clear_word_of_a_webhook_is_an_answer() {
    let of = async |status, body: &str| {
        by_http(ResponseTemplate::new(status).set_body_string(body))
            .await
            .0
    };
    let deny = |reason: &str| {
        Ok(HookDecision::Deny {
            reason: Reason::from_word(reason),
        })
    };
    assert_eq!(
        of(200, r#"{"decision":"deny","reason":"sim_swap"}"#).await,
        deny("hook_denied:sim_swap")
    );
    assert_eq!(of(200, r#"{"decision":"deny"}"#).await, deny("hook_denied"));
    assert_eq!(
        of(200, r#"{"decision":"deny","reason":"+31612345678"}"#).await,
        deny("hook_denied"),
        "no word"
    );
    for body in [
        "",
        "allow",
        "{}",
        r#"{"decision":true}"#,
        r#"{"decision":"ALLOW"}"#,
        "[]",
        "<html>",
    ] {
        assert_eq!(
            of(200, body).await,
            no_answer(Reason::MalformedReply),
            "{body}"
        );
    }
    assert_eq!(of(204, "").await, no_answer(Reason::UnknownAnswer));
    assert_eq!(
        of(404, r#"{"decision":"allow"}"#).await,
        no_answer(Reason::UnknownAnswer)
    );
}

struct Answering(fn() -> Result<v1::JudgeSendResponse, Status>);

#[tonic::async_trait]
impl SendHookService for Answering {
    async fn judge_send(
        &self,
        request: Request<v1::JudgeSendRequest>,
    ) -> Result<Response<v1::JudgeSendResponse>, Status> {
        assert_eq!(
            request.metadata().get("authorization").unwrap(),
            "Bearer s3cret-word"
        );
        let request = request.into_inner();
        assert_eq!(
            (request.channel(), request.address.as_str()),
            (v1::Channel::Sms, "+31612345678")
        );
        assert_eq!(
            (
                request.tenant.as_str(),
                request.action.as_str(),
                request.country.as_str()
            ),
            ("bank", "payment", "NL")
        );
        (self.0)().map(Response::new)
    }
}

async fn by_grpc(
    answer: fn() -> Result<v1::JudgeSendResponse, Status>,
) -> Result<HookDecision, NoAnswer> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let service = SendHookServiceServer::new(Answering(answer));
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let token = Some(SecretText::new("s3cret-word".to_owned()));
    let settings = PeerSettings {
        address,
        token,
        ca_file: None,
        timeout: Duration::from_secs(5),
    };
    let hook = HookCall::Grpc(settings).build(Arc::new(Fixed)).unwrap();
    hook.judge(&question()).await
}

fn said(decision: SendDecision, reason: &str) -> v1::JudgeSendResponse {
    v1::JudgeSendResponse {
        decision: decision.into(),
        reason: reason.to_owned(),
    }
}

#[tokio::test]
async fn chan_05_a_process_answers_over_grpc() {
    assert_eq!(
        by_grpc(|| Ok(said(SendDecision::Allow, ""))).await,
        Ok(HookDecision::Allow)
    );
    let denied = by_grpc(|| Ok(said(SendDecision::Deny, "sim_swap"))).await;
    assert_eq!(
        denied,
        Ok(HookDecision::Deny {
            reason: Reason::from_word("hook_denied:sim_swap")
        })
    );
    assert_eq!(
        by_grpc(|| Ok(said(SendDecision::Unspecified, ""))).await,
        no_answer(Reason::MalformedReply)
    );
    assert_eq!(
        by_grpc(|| Err(Status::unavailable("x"))).await,
        no_answer(Reason::Unreachable)
    );
}
