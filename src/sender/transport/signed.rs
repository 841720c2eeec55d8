//! Calls to an operator's own service, signed as Standard Webhooks describes it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::Value;

use super::http::{Call, Outgoing, OutgoingError, Reply, Settings, Targets, give_up};
use crate::{
    format::{
        secret::SecretText,
        standard_webhooks::{WebhookKeys, WrongSecret},
    },
    ports::{sender::SendError, system::Clock},
};

/// Who is called, and how it knows us.
#[derive(Clone, Debug)]
pub struct SignedSettings {
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
    /// Deadline of one call.
    pub timeout: Duration,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
    /// A secret has another form.
    #[error(transparent)]
    Secret(#[from] WrongSecret),
    /// No calls can be made.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
}

/// Makes signed calls.
pub(in crate::sender) struct Signed {
    url: String,
    keys: WebhookKeys,
    outgoing: Outgoing,
    clock: Arc<dyn Clock>,
}

impl Signed {
    /// Reads `ca_file`, so it blocks; connects only when there is something to say.
    pub(in crate::sender) fn new(
        settings: SignedSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SignedError> {
        let targets = Targets::of(&settings.url, settings.allow_hosts, settings.plain)
            .map_err(OutgoingError::Url)?;
        let outgoing = Outgoing::new(Settings {
            targets,
            ca_file: settings.ca_file,
            timeout: settings.timeout,
        })?;
        let keys = WebhookKeys::parse(settings.secrets.iter().map(SecretText::expose))?;
        Ok(Self {
            url: settings.url,
            keys,
            outgoing,
            clock,
        })
    }

    /// Says this under an id that is the same for every try.
    pub(in crate::sender) async fn post(
        &self,
        id: &str,
        payload: &Value,
    ) -> Result<Reply, SendError> {
        self.outgoing
            .call(
                self.call(id, payload)
                    .ok_or_else(|| give_up("bad_message"))?,
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
