//! Webhooks to an operator's own service, signed as specified by Standard Webhooks.

use std::sync::Arc;

use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::Value;

use super::http::{Call, ConnectionSettings, HttpClient, Reply, Targets, ours};
use crate::{
    domain::delivery::reason::Reason,
    format::{secret::SecretText, standard_webhooks::WebhookKeys},
    ports::{sender::SendError, system::Clock},
    sender::settings::{SettingError, distinct},
};

/// The URL of the service, and the secrets that authenticate this one.
#[derive(Clone, Debug)]
pub struct SignedSettings {
    /// The URL that receives the webhooks.
    pub url: String,
    /// The secrets, each as `whsec_` and base64. Each adds a signature, so that secrets can be
    /// replaced without an interruption.
    pub secrets: Vec<SecretText>,
    /// The connection to the service.
    pub connection: ConnectionSettings,
}

impl SignedSettings {
    /// All settings that cannot be used. Reads `ca_file`, so it blocks.
    pub(in crate::sender) fn problems(&self) -> Vec<SettingError> {
        distinct([
            Targets::of("url", &self.url, &self.connection).err(),
            self.keys().err(),
            self.connection.problem(),
        ])
    }

    fn keys(&self) -> Result<WebhookKeys, SettingError> {
        WebhookKeys::parse(self.secrets.iter().map(SecretText::expose))
            .map_err(|wrong| SettingError::new("secret_files", wrong))
    }
}

/// Sends signed webhooks to one service.
pub(in crate::sender) struct Signed {
    url: String,
    keys: WebhookKeys,
    outgoing: HttpClient,
    clock: Arc<dyn Clock>,
}

impl Signed {
    /// A client with these settings. Reads `ca_file`, so it blocks; connects at the first call.
    pub(in crate::sender) fn new(
        settings: &SignedSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SettingError> {
        let targets = Targets::of("url", &settings.url, &settings.connection)?;
        Ok(Self {
            url: settings.url.clone(),
            keys: settings.keys()?,
            outgoing: HttpClient::new(targets, &settings.connection)?,
            clock,
        })
    }

    /// Posts a payload with an id that is the same for every attempt.
    pub(in crate::sender) async fn post(
        &self,
        id: &str,
        payload: &Value,
    ) -> Result<Reply, SendError> {
        self.outgoing
            .call(
                self.call(id, payload)
                    .ok_or_else(|| ours(Reason::BadMessage))?,
            )
            .await
    }

    fn call(&self, id: &str, payload: &Value) -> Option<Call> {
        let now = self.clock.now().as_micros() / 1_000_000;
        let body = payload.to_string().into_bytes();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            "webhook-signature",
            HeaderValue::from_str(&self.keys.sign(id, now, &body)).ok()?,
        );
        headers.insert("webhook-timestamp", HeaderValue::from(now));
        headers.insert("webhook-id", HeaderValue::from_str(id).ok()?);
        Some(Call {
            method: Method::POST,
            url: self.url.clone(),
            headers,
            body,
        })
    }
}
