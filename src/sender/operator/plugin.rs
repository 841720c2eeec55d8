//! Hands messages to a process of the operator's own over gRPC, in whatever language it is written.

use std::time::Duration;

use async_trait::async_trait;

pub use crate::sender::transport::peer::{PeerError, PeerSettings};
use crate::{
    domain::ids::ProviderReference,
    pb::v1::{self, send_message_response::Outcome, sender_service_client::SenderServiceClient},
    ports::sender::{Capabilities, Message, ReceiptPath, SendError, Sender, Sent},
    sender::transport::{
        addresses::Addresses,
        http::{again, give_up, next_sender, unfit},
        peer::{Peer, channel},
    },
};

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Longest word for machines.
const REASON_CHARS_MAX: usize = 64;

/// Sends by a process of the operator's own.
pub struct Plugin {
    peer: Peer,
    /// Where it tells us what became of a message; `None`: nowhere.
    addresses: Option<Addresses>,
}

impl Plugin {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: &PeerSettings, addresses: Option<Addresses>) -> Result<Self, PeerError> {
        Ok(Self {
            peer: Peer::new(settings)?,
            addresses,
        })
    }

    async fn call(&self, message: &Message) -> Result<v1::SendMessageResponse, SendError> {
        let mut client = SenderServiceClient::new(self.peer.connection())
            .max_decoding_message_size(ANSWER_BYTES_MAX);
        let receipt_url = self
            .addresses
            .as_ref()
            .map(|addresses| addresses.callback(&message.receipt));
        let request = self
            .peer
            .request(request(message, receipt_url.unwrap_or_default()));
        self.peer.bounded(client.send_message(request)).await
    }
}

#[async_trait]
impl Sender for Plugin {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        match self.call(message).await?.outcome {
            Some(Outcome::Sent(sent)) => Ok(Sent {
                reference: ProviderReference::parse(&sent.reference).ok(),
            }),
            Some(Outcome::Retry(retry)) => {
                let after = retry.after.and_then(|after| Duration::try_from(after).ok());
                Err(again(word(&retry.reason), after))
            }
            Some(Outcome::NextSender(next)) => Err(unfit(word(&next.reason))),
            Some(Outcome::GiveUp(none)) => Err(give_up(word(&none.reason))),
            None => Err(next_sender("malformed_reply")),
        }
    }

    fn capabilities(&self) -> Capabilities {
        let receipts = if self.addresses.is_some() {
            ReceiptPath::ByToken
        } else {
            ReceiptPath::None
        };
        Capabilities {
            receipts,
            ..Capabilities::default()
        }
    }
}

fn request(message: &Message, receipt_url: String) -> v1::SendMessageRequest {
    let (content, speech) = (&message.content, message.content.speech.as_ref());
    v1::SendMessageRequest {
        delivery_id: message.delivery.to_string(),
        verification_id: message.verification.to_string(),
        channel: channel(message.recipient.channel()).into(),
        address: message.recipient.expose().to_owned(),
        language: content.language.to_owned(),
        subject: content.subject.clone(),
        text: content.text.clone(),
        html: content.html.clone().unwrap_or_default(),
        greeting: speech
            .map(|speech| speech.greeting.clone())
            .unwrap_or_default(),
        ssml: speech.map(|speech| speech.ssml.clone()).unwrap_or_default(),
        code: message.code.expose().to_owned(),
        opened_text: content.opened.clone().unwrap_or_default(),
        receipt_url,
    }
}

/// A word that may be stored and logged.
fn word(reason: &str) -> &str {
    let plain = reason
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    // A word of digits alone could be the code.
    let is_word = reason.starts_with(|c: char| c.is_ascii_lowercase())
        && reason.len() <= REASON_CHARS_MAX
        && plain;
    if is_word { reason } else { "refused" }
}

#[cfg(test)]
mod tests;
