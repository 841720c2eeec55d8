//! Firebase Cloud Messaging, over its HTTP v1 API.

mod token;

use std::{sync::Arc, time::Duration};

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
        delivery::{blame::Stage, reason::Reason},
        ids::ProviderReference,
        recipient::{Channel, Recipient, app::PushKind},
    },
    format::secret::SecretText,
    ports::{
        sender::{Message, SendError, Sender, Sent},
        system::Clock,
    },
    sender::{
        http::{busy, is_busy, refusal},
        settings::{SenderParts, SenderSettings, SettingError, distinct},
        transport::http::{
            Call, ConnectionSettings, HttpClient, Reply, Targets, again, give_up, later,
            login_refused, next_sender, ours, unfit,
        },
    },
};

/// The largest payload that Google accepts, in bytes of alert and data.
const PAYLOAD_BYTES_MAX: usize = 4096;

/// Google's error code if Apple or a browser's push service refused the key that the project gave
/// to Google. A new access token does not help.
const APPLE_REFUSES: &str = "THIRD_PARTY_AUTH_ERROR";

/// The settings of a Firebase project, with the service account that authenticates to it.
#[derive(Clone, Debug)]
pub struct FcmSettings {
    /// The service account's key file as Google issues it: JSON.
    pub service_account: SecretText,
    /// The base URL of the API.
    pub base_url: String,
    /// The connection to the API and to Google's token service.
    pub connection: ConnectionSettings,
}

impl SenderSettings for FcmSettings {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Push
    }

    fn build(&self, parts: &SenderParts) -> Result<Arc<dyn Sender>, SettingError> {
        Ok(Arc::new(Fcm::new(self, parts.clock.clone())?))
    }

    fn problems(&self, parts: &SenderParts) -> Vec<SettingError> {
        distinct([self.build(parts).err(), self.connection.problem()])
    }
}

/// The key of the setting that holds the service account.
const ACCOUNT: &str = "service_account_file";

/// The error for a file that is not the key file of a service account.
fn no_account(problem: &str) -> SettingError {
    SettingError::new(
        ACCOUNT,
        format!("is not the JSON key file of a service account: {problem}"),
    )
}

/// Sends to apps on Android and other platforms through Firebase.
pub struct Fcm {
    url: String,
    outgoing: HttpClient,
    tokens: Tokens,
    clock: Arc<dyn Clock>,
}

impl Fcm {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn new(settings: &FcmSettings, clock: Arc<dyn Clock>) -> Result<Self, SettingError> {
        let account: Value = serde_json::from_str(settings.service_account.expose())
            .map_err(|_| no_account("it is not JSON"))?;
        let project = account["project_id"]
            .as_str()
            .filter(|project| is_project(project))
            .ok_or_else(|| no_account("project_id is missing, or is not a project's id"))?;
        let url = format!(
            "{}/v1/projects/{project}/messages:send",
            settings.base_url.trim_end_matches('/')
        );
        let targets = Targets::of("base_url", &url, &settings.connection)?;
        Ok(Self {
            outgoing: HttpClient::new(targets, &settings.connection)?,
            url,
            tokens: Tokens::new(&account, &settings.connection, clock.clone())?,
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
            return Err(ours(Reason::OversizedMessage));
        }
        let body = body.to_string();
        let token = self.tokens.token(None).await?;
        let reply = self.post(&token, &body).await?;
        if reply.status != StatusCode::UNAUTHORIZED || code(&json(&reply)) == APPLE_REFUSES {
            return judge(&reply);
        }
        // The token expired early or was revoked: try one new token, and no more.
        let token = self.tokens.token(Some(&token)).await?;
        judge(&self.post(&token, &body).await?)
    }

    fn carries(&self, recipient: &Recipient) -> bool {
        is_installed_by(recipient, PushKind::Fcm)
    }
}

fn is_project(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The body of the request: the alert, and the code for the opened app only. The part `apns` is for
/// Apple devices that are reached through Firebase.
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
                // A resent message replaces the one before it.
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

/// The error code: FCM's own, or else the one that all of Google's APIs share; empty
/// if there is none.
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

/// Whether an invalid argument is the registration token, and not another part of the message.
fn is_about_token(json: &Value) -> bool {
    let details = json["error"]["details"].as_array();
    let mut fields = details
        .into_iter()
        .flatten()
        .filter_map(|detail| detail["fieldViolations"].as_array())
        .flatten()
        .filter_map(|violation| violation["field"].as_str());
    let text = json["error"]["message"].as_str().unwrap_or_default();
    fields.any(|field| field == "message.token") || text.contains("registration token")
}

fn judge(reply: &Reply) -> Result<Sent, SendError> {
    if reply.body.is_none() {
        return Err(next_sender(Reason::OversizedReply));
    }
    let json = json(reply);
    if reply.status.is_success() {
        // A success without a message name is not Google's.
        let name = json["name"]
            .as_str()
            .ok_or_else(|| next_sender(Reason::MalformedReply))?;
        return Ok(Sent {
            reference: ProviderReference::parse(name).ok(),
            ..Sent::default()
        });
    }
    Err(match code(&json) {
        // The app was removed from the device, or reinstalled.
        "UNREGISTERED" => give_up(Reason::Unregistered),
        "INVALID_ARGUMENT" if is_about_token(&json) => give_up(Reason::Refused),
        // Of the project, or of one device.
        "QUOTA_EXCEEDED" | "RESOURCE_EXHAUSTED" => later(Reason::Busy, reply.retry_after),
        "UNAVAILABLE" | "INTERNAL" => again(Reason::Busy, reply.retry_after),
        // Another part of the message, or an installation of another project than `service_account_file`.
        "INVALID_ARGUMENT" | "SENDER_ID_MISMATCH" => unfit(Reason::SenderRefused),
        // The project lacks a permission, which the operator must grant at Google.
        "PERMISSION_DENIED" | "UNAUTHENTICATED" => login_refused(),
        // Only Apple's devices and browsers are not reached.
        APPLE_REFUSES => login_refused().at(Stage::WithRecipient),
        _ if is_busy(reply.status) => busy(reply),
        _ => refusal(reply.status),
    })
}

#[cfg(test)]
mod tests;
