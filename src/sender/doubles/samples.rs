//! Sample messages, a fixed clock and connection settings for tests of senders.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    domain::{
        code::guess::Digits,
        crypto::keyring::tests::ring,
        delivery::receipt::ReceiptToken,
        ids::{DeliveryId, SubjectKey, VerificationId},
        recipient::{Channel, Recipient},
        time::Timestamp,
    },
    ports::{
        sender::{Content, Message, receipts},
        system::{Clock, Entropy},
    },
    sender::{settings::SenderParts, transport::http::ConnectionSettings},
};

/// A clock that always shows one time, five minutes before the sample's code expires.
pub(in crate::sender) struct Fixed;

#[async_trait]
impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_750_000_000_999_999)
    }

    async fn sleep(&self, _: Duration) {}
}

/// A source of "randomness" that always gives the byte 7.
struct Sevens;

impl Entropy for Sevens {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// What a sender uses of the process. Its receipts are dropped.
pub(in crate::sender) fn sender_parts() -> SenderParts {
    SenderParts {
        clock: Arc::new(Fixed),
        entropy: Arc::new(Sevens),
        receipts: receipts::queue().0,
        outbox: None,
    }
}

/// Connection settings for a test double at this URL: on loopback, in plaintext.
pub(in crate::sender) fn connection(url: &str) -> ConnectionSettings {
    let host = url
        .trim_start_matches("http://")
        .trim_start_matches("https://");
    ConnectionSettings {
        allow_hosts: vec![host.to_owned()],
        plaintext: true,
        ca_file: None,
        timeout: Duration::from_secs(5),
    }
}

/// A push message to an app at this address.
pub(in crate::sender) fn push(address: &str) -> Message {
    Message {
        recipient: Recipient::parse(Channel::Push, address).unwrap(),
        content: Arc::new(Content {
            subject: "Bank: code for login".to_owned(),
            text: "Open the app to see your code for login.".to_owned(),
            html: None,
            speech: None,
            opened: Some("123 456 is your code".to_owned()),
            language: "en".into(),
        }),
        ..message()
    }
}

/// An e-mail to `anna@example.org`, with the code 123456.
pub(in crate::sender) fn message() -> Message {
    Message {
        delivery: DeliveryId([7; 16]),
        verification: VerificationId {
            subject: SubjectKey([1; 16]),
            random: [2; 16],
        },
        receipt: ReceiptToken::new(
            &ring(1, &["a"]),
            "sample",
            &SubjectKey([1; 16]),
            &DeliveryId([7; 16]),
        ),
        recipient: Recipient::parse(Channel::Email, "anna@example.org").unwrap(),
        content: Arc::new(Content {
            subject: "Ihr Code für Überweisung".to_owned(),
            text: "Your code: 123 456".to_owned(),
            html: Some("<p>123 456</p>".to_owned()),
            speech: None,
            opened: None,
            language: "de".into(),
        }),
        code: Digits::from_ascii(b"123456").unwrap(),
        expires_at: Timestamp::from_micros(1_750_000_300_999_999),
    }
}
