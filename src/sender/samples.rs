//! A message for tests.

use crate::{
    domain::{
        guess::Digits,
        ids::{DeliveryId, SubjectKey, VerificationId},
        keyring::tests::ring,
        receipt::ReceiptToken,
        recipient::{Channel, Recipient},
        time::Timestamp,
    },
    ports::sender::{Content, Message},
};

/// An e-mail to Anna.
pub(super) fn message() -> Message {
    Message {
        delivery: DeliveryId([7; 16]),
        verification: VerificationId { subject: SubjectKey([1; 16]), random: [2; 16] },
        receipt: ReceiptToken::new(&ring(1, &["a"]), "sample", &SubjectKey([1; 16]), &DeliveryId([7; 16])),
        recipient: Recipient::parse(Channel::Email, "anna@example.org").unwrap(),
        content: Content {
            subject: "Ihr Code für Überweisung".to_owned(),
            text: "Your code: 123 456".to_owned(),
            html: Some("<p>123 456</p>".to_owned()),
            speech: None,
            opened: None,
            language: "de",
        },
        code: Digits::from_ascii(b"123456").unwrap(),
        expires_at: Timestamp::from_micros(1_750_000_300_000_000),
    }
}
