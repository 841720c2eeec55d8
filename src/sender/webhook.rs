//! Hands messages to an operator's own service as signed webhooks.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};

use super::{
    addresses::Addresses,
    http::{AnswerRules, judge},
    outgoing::{Call, Outgoing, OutgoingError, Settings, Targets, give_up},
    secret::SecretText,
};
use crate::{
    domain::{
        ids::ProviderReference,
        webhook_key::{WebhookKeys, WrongSecret},
    },
    ports::{
        sender::{Capabilities, Message, ReceiptRoad, SendError, Sender, Sent},
        system::Clock,
    },
};

/// The status by which a receiver says that the address is of no use.
const REFUSED: u16 = 422;

/// Who receives, and how the receiver knows us.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Where to.
    pub url: String,
    /// The secrets, each as `whsec_` and base64; with several, each signs, so that one can take the place of another.
    pub secrets: Vec<SecretText>,
    /// Hosts that may be in an inner network or on another port than the usual one.
    pub allow_hosts: Vec<String>,
    /// May it be called without encryption?
    pub plain: bool,
    /// PEM file of certificate authorities to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Deadline of one hand-over.
    pub timeout: Duration,
    /// Where it tells us what became of a message; `None`: nowhere.
    pub addresses: Option<Addresses>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// A secret has another form.
    #[error(transparent)]
    Secret(#[from] WrongSecret),
    /// No calls can be made.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
}

/// Sends webhooks as Standard Webhooks describes them.
pub struct Webhook {
    url: String,
    keys: WebhookKeys,
    outgoing: Outgoing,
    addresses: Option<Addresses>,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: WebhookSettings, clock: Arc<dyn Clock>) -> Result<Self, WebhookError> {
        let targets = Targets::of(&settings.url, settings.allow_hosts, settings.plain).map_err(OutgoingError::Url)?;
        let outgoing = Outgoing::new(Settings { targets, ca_file: settings.ca_file, timeout: settings.timeout })?;
        let keys = WebhookKeys::parse(settings.secrets.iter().map(SecretText::expose))?;
        Ok(Self { url: settings.url, keys, outgoing, addresses: settings.addresses, clock })
    }

    fn call(&self, message: &Message) -> Option<Call> {
        let (id, now) = (message.delivery.to_string(), self.clock.now().as_micros() / 1_000_000);
        let body = self.payload(message).to_string().into_bytes();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("webhook-signature", HeaderValue::from_str(&self.keys.sign(&id, now, &body)).ok()?);
        headers.insert("webhook-timestamp", HeaderValue::from(now));
        headers.insert("webhook-id", HeaderValue::from_str(&id).ok()?);
        Some(Call { method: Method::POST, url: self.url.clone(), headers, body })
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
        let call = self.call(message).ok_or_else(|| give_up("bad_message"))?;
        let reply = self.outgoing.call(call).await?;
        judge(&AnswerRules { give_up_status: vec![REFUSED], ..AnswerRules::default() }, &reply)?;
        let answer: Option<Value> = reply.body.and_then(|body| serde_json::from_slice(&body).ok());
        let reference = answer.as_ref().and_then(|answer| answer["reference"].as_str());
        Ok(Sent { reference: reference.and_then(|reference| ProviderReference::parse(reference).ok()) })
    }

    fn capabilities(&self) -> Capabilities {
        let receipts = if self.addresses.is_some() { ReceiptRoad::ByToken } else { ReceiptRoad::None };
        Capabilities { receipts, ..Capabilities::default() }
    }
}

#[cfg(test)]
mod tests;
