//! Hands messages over gRPC to an operator's own process, which may be written in any language.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

pub use crate::sender::transport::peer::PeerSettings;
use crate::{
    domain::{delivery::reason::Reason, ids::ProviderReference, recipient::Channel},
    pb::v1::{self, send_message_response::Outcome, sender_service_client::SenderServiceClient},
    ports::sender::{Capabilities, Message, ReceiptPath, SendError, Sender, Sent},
    sender::{
        settings::{SenderParts, SenderSettings, SettingError},
        transport::{
            addresses::Addresses,
            http::{give_up, later, next_sender, unfit},
            peer::{Peer, channel},
        },
    },
};

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Longest reason that is kept.
const REASON_CHARS_MAX: usize = 64;

/// The settings of an operator's own process that sends messages.
#[derive(Clone, Debug)]
pub struct PluginSettings {
    /// The channels that the process carries.
    pub channels: Vec<Channel>,
    /// The connection to the process.
    pub peer: PeerSettings,
    /// Where the process sends receipts; `None` if it sends none.
    pub addresses: Option<Addresses>,
}

impl SenderSettings for PluginSettings {
    fn carries(&self, channel: Channel) -> bool {
        self.channels.contains(&channel)
    }

    fn build(&self, _parts: &SenderParts) -> Result<Arc<dyn Sender>, SettingError> {
        Ok(Arc::new(Plugin::new(self)?))
    }

    fn problems(&self, _parts: &SenderParts) -> Vec<SettingError> {
        self.peer.problems()
    }
}

/// Hands messages to an operator's own process.
pub struct Plugin {
    peer: Peer,
    addresses: Option<Addresses>,
}

impl Plugin {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn new(settings: &PluginSettings) -> Result<Self, SettingError> {
        Ok(Self {
            peer: Peer::new(&settings.peer)?,
            addresses: settings.addresses.clone(),
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
                ..Sent::default()
            }),
            Some(Outcome::Retry(retry)) => {
                let after = retry.after.and_then(|after| Duration::try_from(after).ok());
                // The plug-in knows the recipient, and may mean this one alone.
                Err(later(word(&retry.reason), after))
            }
            Some(Outcome::NextSender(next)) => Err(unfit(word(&next.reason))),
            Some(Outcome::GiveUp(none)) => Err(give_up(word(&none.reason))),
            None => Err(next_sender(Reason::MalformedReply)),
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
        language: content.language.to_string(),
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

/// The reason, if it is a word that may be stored and logged.
fn word(reason: &str) -> Reason {
    let plain = reason
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    // Digits alone could be the code.
    let is_word = reason.starts_with(|c: char| c.is_ascii_lowercase())
        && reason.len() <= REASON_CHARS_MAX
        && plain;
    if is_word {
        Reason::from_word(reason)
    } else {
        Reason::Refused
    }
}

#[cfg(test)]
mod tests;
