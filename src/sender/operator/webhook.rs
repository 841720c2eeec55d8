//! Hands messages to an operator's own service as signed webhooks.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

pub use crate::sender::transport::signed::{SignedError, SignedSettings};
use crate::{
    domain::ids::ProviderReference,
    ports::{
        sender::{Capabilities, Message, ReceiptPath, SendError, Sender, Sent},
        system::Clock,
    },
    sender::{
        http::{AnswerRules, judge},
        transport::{addresses::Addresses, signed::Signed},
    },
};

/// The status by which a receiver says that the address is of no use.
const REFUSED: u16 = 422;

/// Sends webhooks as Standard Webhooks describes them.
pub struct Webhook {
    signed: Signed,
    /// Where the receiver tells us what became of a message; `None`: nowhere.
    addresses: Option<Addresses>,
}

impl Webhook {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(
        settings: SignedSettings,
        addresses: Option<Addresses>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SignedError> {
        Ok(Self {
            signed: Signed::new(settings, clock)?,
            addresses,
        })
    }

    fn payload(&self, message: &Message) -> Value {
        let content = &message.content;
        json!({
            "type": "message.send",
            "data": {
                "delivery_id": message.delivery.to_string(),
                "verification_id": message.verification.to_string(),
                "channel": message.recipient.channel().as_str(),
                "address": message.recipient.expose(),
                "language": content.language,
                "subject": content.subject,
                "text": content.text,
                "html": content.html,
                "greeting": content.speech.as_ref().map(|speech| &speech.greeting),
                "ssml": content.speech.as_ref().map(|speech| &speech.ssml),
                "opened_text": content.opened,
                "code": message.code.expose(),
                "receipt_url": self.addresses.as_ref().map(|addresses| addresses.callback(&message.receipt)),
            },
        })
    }
}

#[async_trait]
impl Sender for Webhook {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let reply = self
            .signed
            .post(&message.delivery.to_string(), &self.payload(message))
            .await?;
        judge(
            &AnswerRules {
                give_up_status: vec![REFUSED],
                ..AnswerRules::default()
            },
            &reply,
        )?;
        let answer: Option<Value> = reply
            .body
            .and_then(|body| serde_json::from_slice(&body).ok());
        let reference = answer
            .as_ref()
            .and_then(|answer| answer["reference"].as_str());
        Ok(Sent {
            reference: reference.and_then(|reference| ProviderReference::parse(reference).ok()),
        })
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

#[cfg(test)]
mod tests;
