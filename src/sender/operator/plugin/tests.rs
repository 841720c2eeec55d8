//! A plug-in's answers and their effects.

use std::path::PathBuf;

use tokio_stream::wrappers::TcpListenerStream;

use tonic::{Request, Response, Status, transport::Server};

use super::*;
use crate::{
    format::secret::SecretText,
    pb::v1::{
        send_message_response::{GiveUp, NextSender, Retry, Sent as Taken},
        sender_service_server::{SenderService, SenderServiceServer},
    },
    sender::{
        doubles::samples,
        transport::http::{again, later, login_refused, unknown},
    },
};

/// A plug-in that gives every call the same answer, and records the calls.
struct Answering {
    answer: fn() -> Result<Option<Outcome>, Status>,
    asked: tokio::sync::mpsc::UnboundedSender<Request<v1::SendMessageRequest>>,
}

#[tonic::async_trait]
impl SenderService for Answering {
    async fn send_message(
        &self,
        request: Request<v1::SendMessageRequest>,
    ) -> Result<Response<v1::SendMessageResponse>, Status> {
        let _ = self.asked.send(request);
        Ok(Response::new(v1::SendMessageResponse {
            outcome: (self.answer)()?,
        }))
    }
}

fn settings(address: &str) -> PluginSettings {
    let token = Some(SecretText::new("s3cret-word".to_owned()));
    PluginSettings {
        channels: vec![Channel::Email],
        peer: PeerSettings {
            address: address.to_owned(),
            token,
            ca_file: None,
            timeout: Duration::from_secs(5),
        },
        addresses: None,
    }
}

type Asked = tokio::sync::mpsc::UnboundedReceiver<Request<v1::SendMessageRequest>>;

async fn plugin(answer: fn() -> Result<Option<Outcome>, Status>) -> (Plugin, Asked) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (asked, receiver) = tokio::sync::mpsc::unbounded_channel();
    let service = SenderServiceServer::new(Answering { answer, asked });
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    (Plugin::new(&settings(&address)).unwrap(), receiver)
}

async fn outcome(answer: fn() -> Result<Option<Outcome>, Status>) -> Result<Sent, SendError> {
    plugin(answer).await.0.send(&samples::message()).await
}

#[tokio::test]
async fn a_plugin_gets_the_whole_message_and_its_reference_is_kept() {
    let (sender, mut asked) = plugin(|| {
        Ok(Some(Outcome::Sent(Taken {
            reference: "r-1".to_owned(),
        })))
    })
    .await;
    let message = samples::message();
    assert_eq!(
        sender.send(&message).await,
        Ok(Sent {
            reference: ProviderReference::parse("r-1").ok(),
            ..Sent::default()
        })
    );
    let request = asked.recv().await.unwrap();
    assert_eq!(
        request.metadata().get("authorization").unwrap(),
        "Bearer s3cret-word"
    );
    let request = request.into_inner();
    assert_eq!(
        (request.delivery_id.as_str(), request.channel()),
        (message.delivery.to_string().as_str(), v1::Channel::Email)
    );
    assert_eq!(
        (request.address.as_str(), request.code.as_str()),
        ("anna@example.org", "123456")
    );
    assert_eq!(
        (request.language.as_str(), request.subject),
        ("de", message.content.subject.clone())
    );
    assert_eq!(
        (request.receipt_url.as_str(), sender.capabilities().receipts),
        ("", ReceiptPath::None)
    );
}

#[tokio::test]
async fn chan_07_a_plugin_gets_the_alert_and_apart_from_it_what_the_opened_app_shows() {
    let (sender, mut asked) = plugin(|| Ok(Some(Outcome::Sent(Taken::default())))).await;
    sender
        .send(&samples::push(&format!("fcm:{}", "a".repeat(40))))
        .await
        .unwrap();
    let request = asked.recv().await.unwrap().into_inner();
    assert_eq!(
        (request.channel(), request.text.as_str()),
        (
            v1::Channel::Push,
            "Open the app to see your code for login."
        )
    );
    assert_eq!(
        (request.opened_text.as_str(), request.code.as_str()),
        ("123 456 is your code", "123456")
    );
}

#[tokio::test]
async fn a_plugin_is_told_where_its_receipts_go() {
    let (mut sender, mut asked) = plugin(|| Ok(Some(Outcome::Sent(Taken::default())))).await;
    let callbacks = "https://otp.bank.example/callbacks/own".to_owned();
    sender.addresses = Some(Addresses {
        callbacks,
        calls: None,
        login: None,
    });
    let message = samples::message();
    sender.send(&message).await.unwrap();
    let told = asked.recv().await.unwrap().into_inner().receipt_url;
    assert_eq!(
        told,
        format!(
            "https://otp.bank.example/callbacks/own/{}",
            message.receipt.as_str()
        )
    );
    assert_eq!(sender.capabilities().receipts, ReceiptPath::ByToken);
}

#[tokio::test]
async fn what_a_plugin_answers_says_what_is_next() {
    let word = || Reason::from_word("no_credit");
    assert_eq!(
        outcome(|| Ok(Some(Outcome::Sent(Taken::default())))).await,
        Ok(Sent::default())
    );
    let retry = outcome(|| {
        let after = Some(prost_types::Duration {
            seconds: 7,
            nanos: 0,
        });
        Ok(Some(Outcome::Retry(Retry {
            after,
            reason: "full".to_owned(),
        })))
    });
    assert_eq!(
        retry.await,
        Err(later(
            Reason::from_word("full"),
            Some(Duration::from_secs(7))
        ))
    );
    let next = outcome(|| {
        Ok(Some(Outcome::NextSender(NextSender {
            reason: "no_credit".to_owned(),
        })))
    })
    .await;
    assert_eq!(next, Err(unfit(word())));
    let none = outcome(|| {
        Ok(Some(Outcome::GiveUp(GiveUp {
            reason: "no_credit".to_owned(),
        })))
    })
    .await;
    assert_eq!(none, Err(give_up(word())));
    assert_eq!(
        outcome(|| Ok(None)).await,
        Err(next_sender(Reason::MalformedReply)),
        "no outcome takes nothing"
    );
}

#[tokio::test]
async fn a_plugin_that_fails_is_tried_again_and_one_that_refuses_us_is_not() {
    assert_eq!(
        outcome(|| Err(Status::internal("x"))).await,
        Err(again(Reason::Unreachable, None))
    );
    assert_eq!(
        outcome(|| Err(Status::resource_exhausted("x"))).await,
        Err(later(Reason::Busy, None))
    );
    assert_eq!(
        outcome(|| Err(Status::unauthenticated("x"))).await,
        Err(login_refused())
    );
    assert_eq!(
        outcome(|| Err(Status::unimplemented("x"))).await,
        Err(next_sender(Reason::SenderRefused))
    );
    assert_eq!(
        outcome(|| Err(Status::invalid_argument("x"))).await,
        Err(unfit(Reason::SenderRefused))
    );
    let closed = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let absent = Plugin::new(&settings(&format!("http://{closed}"))).unwrap();
    assert_eq!(
        absent.send(&samples::message()).await,
        Err(again(Reason::Unreachable, None))
    );
    // Accepts the connection and never answers.
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let mut slow = settings(&address);
    slow.peer.timeout = Duration::from_millis(100);
    assert_eq!(
        Plugin::new(&slow).unwrap().send(&samples::message()).await,
        Err(unknown(Reason::Timeout))
    );
}

#[tokio::test]
async fn code_12_a_reason_is_a_word_and_nothing_else() {
    for bad in [
        "",
        "123456",
        "No Credit",
        "anna@example.org",
        "a\nb",
        &"x".repeat(65),
    ] {
        assert_eq!(word(bad), Reason::Refused, "{bad:?}");
    }
    assert_eq!(word("no_credit_2").as_str(), "no_credit_2");
    let error = outcome(|| Err(Status::internal("anna@example.org 123456")))
        .await
        .unwrap_err();
    assert!(!format!("{error} {error:?}").contains("123456"));
}

#[test]
fn chan_08_codes_leave_the_machine_encrypted_only() {
    let made = |address: &str, ca_file: Option<&str>| {
        let mut settings = settings(address);
        settings.peer.ca_file = ca_file.map(PathBuf::from);
        Plugin::new(&settings).is_ok()
    };
    for local in [
        "http://127.0.0.1:50061",
        "http://[::1]:50061",
        "http://localhost:50061",
        "unix:/run/plugin.sock",
    ] {
        assert!(made(local, None), "{local}");
    }
    for open in [
        "http://10.0.0.5:50061",
        "http://127.0.0.1.example.org:1",
        "http://127.0.0.1:1@example.org:2",
        "https://plugin.example.org",
        "",
        "plugin",
    ] {
        assert!(!made(open, None), "{open}");
    }
    assert!(!made("https://plugin.example.org", Some("/nonexistent")));
    assert!(!made("http://plugin.example.org", Some("Cargo.toml")));
    assert!(!format!("{:?}", settings("unix:/x")).contains("s3cret"));
}
