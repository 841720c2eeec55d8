//! Apple's push service, over HTTP/2 with a token as the provider's proof.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};

use super::{data, expires_at, installation, is_installed_by};
use crate::{
    domain::{
        ids::ProviderReference,
        recipient::{Recipient, app::PushKind},
        time::Timestamp,
    },
    format::secret::SecretText,
    ports::{
        sender::{Message, SendError, Sender, Sent},
        system::Clock,
    },
    sender::{
        http::{is_busy, refusal},
        jws::{Signer, WrongKey},
        transport::http::{
            Call, Outgoing, OutgoingError, Reply, Settings, Targets, again, give_up, next_sender,
        },
    },
};

/// Apple takes a token for an hour, and refuses a new one within twenty minutes of the last.
const TOKEN_LIFE: Duration = Duration::from_secs(40 * 60);
/// The largest payload that Apple takes.
const PAYLOAD_BYTES_MAX: usize = 4096;

/// The app, and how Apple knows us.
#[derive(Clone, Debug)]
pub struct ApnsSettings {
    /// The signing key as Apple gives it: the text of a `.p8` file.
    pub key: SecretText,
    /// The key's name: 10 letters and digits.
    pub key_id: String,
    /// The team's name: 10 letters and digits.
    pub team_id: String,
    /// The app's bundle id.
    pub topic: String,
    /// Where the service is.
    pub base_url: String,
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
pub enum ApnsError {
    /// The key cannot sign.
    #[error("key_file {0}")]
    Key(WrongKey),
    /// The bundle id does not fit into a header.
    #[error("topic holds characters that a header cannot carry")]
    Topic,
    /// No calls can be made.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
}

/// When a token was made, and the header with it.
type Token = (Timestamp, HeaderValue);

/// Sends to apps on devices of Apple.
pub struct Apns {
    base_url: String,
    topic: HeaderValue,
    key_id: String,
    team_id: String,
    signer: Signer,
    outgoing: Outgoing,
    clock: Arc<dyn Clock>,
    token: Mutex<Option<Token>>,
}

impl Apns {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: ApnsSettings, clock: Arc<dyn Clock>) -> Result<Self, ApnsError> {
        let topic = HeaderValue::from_str(&settings.topic).map_err(|_| ApnsError::Topic)?;
        let targets = Targets::of(&settings.base_url, settings.allow_hosts, settings.plain)
            .map_err(OutgoingError::Url)?;
        Ok(Self {
            base_url: settings.base_url,
            topic,
            key_id: settings.key_id,
            team_id: settings.team_id,
            signer: Signer::es256(&settings.key).map_err(ApnsError::Key)?,
            outgoing: Outgoing::http2(Settings {
                targets,
                ca_file: settings.ca_file,
                timeout: settings.timeout,
            })?,
            clock,
            token: Mutex::default(),
        })
    }

    /// The header with a token; another one than `refused`.
    fn token(&self, refused: Option<&Token>) -> Token {
        let now = self.clock.now();
        let mut held = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |token: &&Token| {
            now.since(token.0) < TOKEN_LIFE && refused.is_none_or(|refused| refused.1 != token.1)
        };
        if let Some(token) = held.as_ref().filter(fits) {
            return token.clone();
        }
        let claims = json!({"iss": self.team_id, "iat": now.as_micros() / 1_000_000});
        let text = format!("bearer {}", self.signer.sign(Some(&self.key_id), &claims));
        let mut header = HeaderValue::from_str(&text).expect("a token is base64url and dots");
        header.set_sensitive(true);
        held.insert((now, header)).clone()
    }

    async fn post(
        &self,
        message: &Message,
        device: &str,
        token: &Token,
        body: &str,
    ) -> Result<Reply, SendError> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, token.1.clone());
        headers.insert("apns-topic", self.topic.clone());
        headers.insert("apns-push-type", HeaderValue::from_static("alert"));
        headers.insert("apns-priority", HeaderValue::from_static("10"));
        headers.insert("apns-expiration", HeaderValue::from(expires_at(message)));
        headers.insert("apns-id", value(&apns_id(message))?);
        // A message that was sent again takes the place of the one before it.
        headers.insert(
            "apns-collapse-id",
            value(&message.verification.to_string())?,
        );
        let url = format!("{}/3/device/{device}", self.base_url.trim_end_matches('/'));
        self.outgoing
            .call(Call {
                method: Method::POST,
                url,
                headers,
                body: body.to_owned().into_bytes(),
            })
            .await
    }
}

#[async_trait]
impl Sender for Apns {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let device = installation(message, PushKind::Apns)?;
        let body = payload(message).to_string();
        if body.len() > PAYLOAD_BYTES_MAX {
            return Err(give_up("oversized_message"));
        }
        let token = self.token(None);
        let reply = self.post(message, device, &token, &body).await?;
        if reason(&reply) != "ExpiredProviderToken" {
            return judge(message, &reply);
        }
        // The clocks differ, or it stayed in a queue: one fresh token, and no more.
        let token = self.token(Some(&token));
        judge(message, &self.post(message, device, &token, &body).await?)
    }

    fn carries(&self, recipient: &Recipient) -> bool {
        is_installed_by(recipient, PushKind::Apns)
    }
}

/// The alert and, beside it, what the opened app shows.
fn payload(message: &Message) -> Value {
    let mut payload = data(message);
    let alert = json!({"title": message.content.subject, "body": message.content.text});
    payload.insert(
        "aps".to_owned(),
        json!({"alert": alert, "sound": "default"}),
    );
    Value::Object(payload)
}

/// The delivery as a UUID: the same for every try.
fn apns_id(message: &Message) -> String {
    use std::fmt::Write as _;
    let mut id = String::with_capacity(36);
    for (at, byte) in message.delivery.0.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

fn value(text: &str) -> Result<HeaderValue, SendError> {
    HeaderValue::from_str(text).map_err(|_| give_up("bad_message"))
}

/// Apple's word for what is wrong; empty where there is none.
fn reason(reply: &Reply) -> String {
    let json: Option<Value> = reply
        .body
        .as_ref()
        .and_then(|body| serde_json::from_slice(body).ok());
    json.and_then(|json| json["reason"].as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn judge(message: &Message, reply: &Reply) -> Result<Sent, SendError> {
    if reply.status.as_u16() == 200 {
        return Ok(Sent {
            reference: ProviderReference::parse(&apns_id(message)).ok(),
        });
    }
    Err(match reason(reply).as_str() {
        // The app is gone from the device, or the token is of the other environment.
        "Unregistered" | "ExpiredToken" => give_up("unregistered"),
        "BadDeviceToken" | "MissingDeviceToken" => give_up("refused"),
        "PayloadTooLarge" => give_up("oversized_message"),
        "TooManyRequests" | "TooManyProviderTokenUpdates" => again("busy", reply.retry_after),
        "ExpiredProviderToken"
        | "InvalidProviderToken"
        | "MissingProviderToken"
        | "BadEnvironmentKeyIdInToken"
        | "Forbidden" => next_sender("login_refused"),
        _ if is_busy(reply.status) => again("busy", reply.retry_after),
        _ if reply.status.is_success() => next_sender("malformed_reply"),
        _ => refusal(reply.status),
    })
}

#[cfg(test)]
mod tests;
