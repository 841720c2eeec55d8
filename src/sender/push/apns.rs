//! Sends through Apple's push service, over HTTP/2 with token authentication.

use std::{
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
        delivery::reason::Reason,
        ids::ProviderReference,
        recipient::{Channel, Recipient, app::PushKind},
        time::Timestamp,
    },
    format::secret::SecretText,
    ports::{
        sender::{Message, SendError, Sender, Sent},
        system::Clock,
    },
    sender::{
        http::{busy, is_busy, refusal},
        jws::Signer,
        settings::{SenderParts, SenderSettings, SettingError, distinct},
        transport::http::{
            Call, ConnectionSettings, HttpClient, Reply, Targets, again, always_ours, give_up,
            later, login_refused, next_sender, ours, unfit,
        },
    },
};

/// How long a token is used. Apple accepts one for an hour.
const TOKEN_LIFE: Duration = Duration::from_secs(40 * 60);
/// How soon a new token may follow the last one: Apple refuses more than one in twenty minutes.
const TOKEN_REST: Duration = Duration::from_secs(20 * 60);
/// The largest payload that Apple accepts, in bytes.
const PAYLOAD_BYTES_MAX: usize = 4096;

/// The settings of an app on Apple's devices, with the key that authenticates to Apple.
#[derive(Clone, Debug)]
pub struct ApnsSettings {
    /// The signing key as Apple issues it: the text of a `.p8` file.
    pub key: SecretText,
    /// Id of the signing key: 10 letters and digits.
    pub key_id: String,
    /// Id of the developer team: 10 letters and digits.
    pub team_id: String,
    /// Bundle id of the app.
    pub topic: String,
    /// The base URL of Apple's service: production or sandbox.
    pub base_url: String,
    /// The connection to the service.
    pub connection: ConnectionSettings,
}

impl SenderSettings for ApnsSettings {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Push
    }

    fn build(&self, parts: &SenderParts) -> Result<Arc<dyn Sender>, SettingError> {
        Ok(Arc::new(Apns::new(self, parts.clock.clone())?))
    }

    fn problems(&self, parts: &SenderParts) -> Vec<SettingError> {
        distinct([self.build(parts).err(), self.connection.problem()])
    }
}

/// When a token was made, and the header that carries it.
type Token = (Timestamp, HeaderValue);

/// Sends to apps on Apple's devices.
pub struct Apns {
    base_url: String,
    topic: HeaderValue,
    key_id: String,
    team_id: String,
    signer: Signer,
    outgoing: HttpClient,
    clock: Arc<dyn Clock>,
    token: Mutex<Option<Token>>,
}

impl Apns {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn new(settings: &ApnsSettings, clock: Arc<dyn Clock>) -> Result<Self, SettingError> {
        let topic = HeaderValue::from_str(&settings.topic).map_err(|_| {
            SettingError::new("topic", "holds characters that a header cannot carry")
        })?;
        let targets = Targets::of("base_url", &settings.base_url, &settings.connection)?;
        let (signer, _public) =
            Signer::es256(&settings.key).map_err(|wrong| SettingError::new("key_file", wrong))?;
        Ok(Self {
            base_url: settings.base_url.clone(),
            topic,
            key_id: settings.key_id.clone(),
            team_id: settings.team_id.clone(),
            signer,
            outgoing: HttpClient::http2(targets, &settings.connection)?,
            clock,
            token: Mutex::default(),
        })
    }

    /// The current token, or a new one if the current one is too old.
    fn token(&self) -> Token {
        let mut held = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        match held.as_ref() {
            Some(token) if now.since(token.0) < TOKEN_LIFE => token.clone(),
            Some(_) | None => self.new_token(&mut held, now),
        }
    }

    /// Another token than the one that Apple refused; `None` if it is too soon for a new one.
    fn token_after(&self, refused: &Token) -> Option<Token> {
        let mut held = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        match held.as_ref() {
            Some(token) if token.1 != refused.1 => Some(token.clone()),
            Some(token) if now.since(token.0) < TOKEN_REST => None,
            Some(_) | None => Some(self.new_token(&mut held, now)),
        }
    }

    fn new_token(&self, held: &mut Option<Token>, now: Timestamp) -> Token {
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
        // A resent message replaces the one before it.
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
            return Err(ours(Reason::OversizedMessage));
        }
        let token = self.token();
        let reply = self.post(message, device, &token, &body).await?;
        if reason(&reply) != "ExpiredProviderToken" {
            return judge(message, &reply);
        }
        // Clocks differ, or the call waited in a queue: try one fresh token, and no more.
        let token = self.token_after(&token).ok_or_else(login_refused)?;
        judge(message, &self.post(message, device, &token, &body).await?)
    }

    fn carries(&self, recipient: &Recipient) -> bool {
        is_installed_by(recipient, PushKind::Apns)
    }
}

/// The alert and, separately, the data for the opened app.
fn payload(message: &Message) -> Value {
    let mut payload = data(message);
    let alert = json!({"title": message.content.subject, "body": message.content.text});
    payload.insert(
        "aps".to_owned(),
        json!({"alert": alert, "sound": "default"}),
    );
    Value::Object(payload)
}

/// The delivery id as a UUID: the same for every attempt.
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
    HeaderValue::from_str(text).map_err(|_| ours(Reason::BadMessage))
}

/// Apple's error code; empty if there is none.
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
            ..Sent::default()
        });
    }
    Err(match reason(reply).as_str() {
        // The app was removed from the device.
        "Unregistered" | "ExpiredToken" => give_up(Reason::Unregistered),
        // A token of the other environment (`base_url`) or of another app is refused just like one that is made up.
        "BadDeviceToken" | "MissingDeviceToken" | "DeviceTokenNotForTopic" => {
            unfit(Reason::SenderRefused)
        }
        "PayloadTooLarge" => ours(Reason::OversizedMessage),
        "IdleTimeout" => again(Reason::Busy, reply.retry_after),
        // Too many for this device.
        "TooManyRequests" => later(Reason::Busy, reply.retry_after),
        "TooManyProviderTokenUpdates"
        | "ExpiredProviderToken"
        | "InvalidProviderToken"
        | "MissingProviderToken"
        | "UnrelatedKeyIdInToken"
        | "BadEnvironmentKeyIdInToken"
        | "BadCertificate"
        | "BadCertificateEnvironment"
        | "Forbidden" => login_refused(),
        "BadTopic" | "MissingTopic" | "TopicDisallowed" => always_ours(Reason::SenderRefused),
        _ if is_busy(reply.status) => busy(reply),
        _ if reply.status.is_success() => next_sender(Reason::MalformedReply),
        _ => refusal(reply.status),
    })
}

#[cfg(test)]
mod tests;
