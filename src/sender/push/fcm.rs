//! Firebase Cloud Messaging, over its HTTP v1 API.

mod token;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};

use self::token::Tokens;
use super::{data, expires_at, installation, is_installed_by, time_left};
use crate::{
    domain::{
        ids::ProviderReference,
        recipient::{Recipient, app::PushKind},
    },
    format::secret::SecretText,
    ports::{
        sender::{Message, SendError, Sender, Sent},
        system::Clock,
    },
    sender::{
        http::{is_busy, refusal},
        jws::WrongKey,
        transport::http::{
            Call, Outgoing, OutgoingError, Reply, Settings, Targets, again, give_up, next_sender,
            unfit,
        },
    },
};

/// The largest payload that Google takes: alert and data.
const PAYLOAD_BYTES_MAX: usize = 4096;

/// Google's key for Apple or a browser's service is refused there: no fresh token of ours helps.
const APPLE_REFUSES: &str = "THIRD_PARTY_AUTH_ERROR";

/// The project, and how it knows us.
#[derive(Clone, Debug)]
pub struct FcmSettings {
    /// The service account's file, as Google gives it: JSON.
    pub service_account: SecretText,
    /// Where the API is.
    pub base_url: String,
    /// Hosts that may be in an inner network or on another port than the usual one.
    pub allow_hosts: Vec<String>,
    /// May they be called without encryption?
    pub plain: bool,
    /// PEM file of certificate authorities to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Deadline of one call.
    pub timeout: Duration,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FcmError {
    /// The file is not what Google gives.
    #[error("service_account_file is no JSON file of a service account: {0}")]
    Account(&'static str),
    /// Its key cannot sign.
    #[error("service_account_file {0}")]
    Key(WrongKey),
    /// No calls can be made.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
}

/// Sends to apps on Android and elsewhere by Firebase.
pub struct Fcm {
    url: String,
    outgoing: Outgoing,
    tokens: Tokens,
    clock: Arc<dyn Clock>,
}

impl Fcm {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: &FcmSettings, clock: Arc<dyn Clock>) -> Result<Self, FcmError> {
        let account: Value = serde_json::from_str(settings.service_account.expose())
            .map_err(|_| FcmError::Account("no JSON"))?;
        let project = account["project_id"]
            .as_str()
            .filter(|project| is_project(project));
        let project = project.ok_or(FcmError::Account(
            "project_id is missing or no name of a project",
        ))?;
        let url = format!(
            "{}/v1/projects/{project}/messages:send",
            settings.base_url.trim_end_matches('/')
        );
        Ok(Self {
            outgoing: outgoing(settings, &url)?,
            url,
            tokens: Tokens::new(&account, settings, clock.clone())?,
            clock,
        })
    }

    async fn post(&self, token: &HeaderValue, body: &str) -> Result<Reply, SendError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, token.clone());
        self.outgoing
            .call(Call {
                method: Method::POST,
                url: self.url.clone(),
                headers,
                body: body.to_owned().into_bytes(),
            })
            .await
    }
}

#[async_trait]
impl Sender for Fcm {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let installation = installation(message, PushKind::Fcm)?;
        let body = body(message, installation, time_left(message, self.clock.now()));
        if payload_bytes(&body) > PAYLOAD_BYTES_MAX {
            return Err(give_up("oversized_message"));
        }
        let body = body.to_string();
        let token = self.tokens.token(None).await?;
        let reply = self.post(&token, &body).await?;
        if reply.status != StatusCode::UNAUTHORIZED || code(&json(&reply)) == APPLE_REFUSES {
            return judge(&reply);
        }
        // It ended early, or was revoked: one fresh token, and no more.
        let token = self.tokens.token(Some(&token)).await?;
        judge(&self.post(&token, &body).await?)
    }

    fn carries(&self, recipient: &Recipient) -> bool {
        is_installed_by(recipient, PushKind::Fcm)
    }
}

/// A client that may call this URL's host and no other.
fn outgoing(settings: &FcmSettings, url: &str) -> Result<Outgoing, OutgoingError> {
    let targets = Targets::of(url, settings.allow_hosts.clone(), settings.plain)?;
    Outgoing::new(Settings {
        targets,
        ca_file: settings.ca_file.clone(),
        timeout: settings.timeout,
    })
}

fn is_project(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The alert and, for the app alone, the code. Apple's part is for apps there that are reached by Firebase.
fn body(message: &Message, installation: &str, time_left: Duration) -> Value {
    let (id, ttl) = (
        message.verification.to_string(),
        format!("{}s", time_left.as_secs()),
    );
    json!({
        "message": {
            "token": installation,
            "notification": { "title": message.content.subject, "body": message.content.text },
            "data": data(message),
            "android": {
                "priority": "HIGH",
                "ttl": ttl,
                // A message that was sent again takes the place of the one before it.
                "notification": { "tag": id },
            },
            "apns": {
                "headers": {
                    "apns-priority": "10",
                    "apns-push-type": "alert",
                    "apns-expiration": expires_at(message).to_string(),
                    "apns-collapse-id": id,
                },
            },
        },
    })
}

fn payload_bytes(body: &Value) -> usize {
    let fields = ["notification", "data"]
        .iter()
        .filter_map(|part| body["message"][part].as_object())
        .flatten();
    fields
        .map(|(name, value)| name.len() + value.as_str().map_or(0, str::len))
        .sum()
}

fn json(reply: &Reply) -> Value {
    reply
        .body
        .as_ref()
        .and_then(|body| serde_json::from_slice(body).ok())
        .unwrap_or_default()
}

/// Google's word for what is wrong: FCM's own, or else that of all its APIs; empty where there is none.
fn code(json: &Value) -> &str {
    let details = json["error"]["details"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let code = details
        .iter()
        .find_map(|detail| detail["errorCode"].as_str())
        .or(json["error"]["status"].as_str());
    code.unwrap_or_default()
}

fn judge(reply: &Reply) -> Result<Sent, SendError> {
    if reply.body.is_none() {
        return Err(next_sender("oversized_reply"));
    }
    let json = json(reply);
    if reply.status.is_success() {
        // An answer without a name is not Google's.
        let name = json["name"]
            .as_str()
            .ok_or_else(|| next_sender("malformed_reply"))?;
        return Ok(Sent {
            reference: ProviderReference::parse(name).ok(),
        });
    }
    Err(match code(&json) {
        // The app is gone from the device, or was installed anew.
        "UNREGISTERED" => give_up("unregistered"),
        "INVALID_ARGUMENT" => give_up("refused"),
        "QUOTA_EXCEEDED" | "RESOURCE_EXHAUSTED" | "UNAVAILABLE" | "INTERNAL" => {
            again("busy", reply.retry_after)
        }
        // The token is another project's.
        "SENDER_ID_MISMATCH" => unfit("login_refused"),
        // The project lacks a right: a matter between us and Google.
        "PERMISSION_DENIED" | APPLE_REFUSES | "UNAUTHENTICATED" => next_sender("login_refused"),
        _ if is_busy(reply.status) => again("busy", reply.retry_after),
        _ => refusal(reply.status),
    })
}

#[cfg(test)]
mod tests;
