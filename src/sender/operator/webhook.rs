//! Hands messages to an operator's own service as signed webhooks.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

pub use crate::sender::transport::signed::SignedSettings;
use crate::{
    domain::{ids::ProviderReference, recipient::Channel},
    ports::{
        sender::{Capabilities, Message, ReceiptPath, SendError, Sender, Sent},
        system::Clock,
    },
    sender::{
        http::{AnswerRules, judge},
        settings::{SenderParts, SenderSettings, SettingError},
        transport::{addresses::Addresses, signed::Signed},
    },
};

/// The status with which a receiver says that no sender can deliver to the address.
const REFUSED: u16 = 422;

/// The settings of an operator's own service that sends messages.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// The channels that the service carries.
    pub channels: Vec<Channel>,
    /// The URL of the service, the secrets, and the connection.
    pub signed: SignedSettings,
    /// Where the service sends receipts; `None` if it sends none.
    pub addresses: Option<Addresses>,
}

impl SenderSettings for WebhookSettings {
    fn carries(&self, channel: Channel) -> bool {
        self.channels.contains(&channel)
    }

    fn build(&self, parts: &SenderParts) -> Result<Arc<dyn Sender>, SettingError> {
        Ok(Arc::new(Webhook::new(self, parts.clock.clone())?))
    }

    fn problems(&self, _parts: &SenderParts) -> Vec<SettingError> {
        self.signed.problems()
    }
}

/// Hands messages over as webhooks in the form of Standard Webhooks.
pub struct Webhook {
    signed: Signed,
    addresses: Option<Addresses>,
}

impl Webhook {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn new(settings: &WebhookSettings, clock: Arc<dyn Clock>) -> Result<Self, SettingError> {
        Ok(Self {
            signed: Signed::new(&settings.signed, clock)?,
            addresses: settings.addresses.clone(),
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
                "language": &*content.language,
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
            ..Sent::default()
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
