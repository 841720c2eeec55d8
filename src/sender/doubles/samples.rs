//! A message for tests, and a clock that stands still.

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
        sender::{Content, Message},
        system::Clock,
    },
};

/// A clock at one moment: five minutes before the sample's code ends.
pub(in crate::sender) struct Fixed;

#[async_trait]
impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_750_000_000_999_999)
    }

    async fn sleep(&self, _: Duration) {}
}

/// A push message to Anna's app.
pub(in crate::sender) fn push(address: &str) -> Message {
    Message {
        recipient: Recipient::parse(Channel::Push, address).unwrap(),
        content: Arc::new(Content {
            subject: "Bank: code for login".to_owned(),
            text: "Open the app to see your code for login.".to_owned(),
            html: None,
            speech: None,
            opened: Some("123 456 is your code".to_owned()),
            language: "en",
        }),
        ..message()
    }
}

/// An e-mail to Anna.
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
            language: "de",
        }),
        code: Digits::from_ascii(b"123456").unwrap(),
        expires_at: Timestamp::from_micros(1_750_000_300_999_999),
    }
}
