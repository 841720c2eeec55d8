//! Sends to browsers by Web Push: encrypted for the browser (RFC 8291), signed for its push service (RFC 8292).

mod encrypt;

use std::{ops::Not as _, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use url::Url;

use self::encrypt::{TEXT_BYTES_MAX, sealed};
use super::{data, installation, is_installed_by, time_left};
use crate::{
    domain::{
        delivery::{blame::Stage, reason::Reason},
        recipient::{
            Channel, Recipient,
            app::{PushKind, Subscription},
        },
    },
    format::secret::SecretText,
    ports::{
        sender::{Message, SendError, Sender, Sent},
        system::{Clock, Entropy, fresh},
    },
    sender::{
        http::{busy, is_busy, refusal},
        jws::Signer,
        settings::{SenderParts, SenderSettings, SettingError},
        transport::http::{
            Call, ConnectionSettings, HttpClient, Reply, Targets, give_up, ours, unfit,
        },
    },
};

/// Life of a VAPID signature; RFC 8292 allows a day.
const SIGNATURE_LIFE: Duration = Duration::from_secs(12 * 3600);

/// The settings of Web Push: the key that push services recognise, and the push services
/// that may be called.
#[derive(Clone, Debug)]
pub struct WebPushSettings {
    /// The application server's private key on P-256, in PEM form; pages subscribe with its public half.
    pub key: SecretText,
    /// Contact for push services: `mailto:` or `https://`.
    pub contact: String,
    /// Hosts that an endpoint may have: a name, or `*.` and an ending.
    pub hosts: Vec<String>,
    /// The connection to push services. An endpoint is always `https://`, in development too.
    pub connection: ConnectionSettings,
}

impl SenderSettings for WebPushSettings {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Push
    }

    fn build(&self, parts: &SenderParts) -> Result<Arc<dyn Sender>, SettingError> {
        Ok(Arc::new(WebPush::new(self, parts)?))
    }
}

/// Sends to subscribed browsers.
pub struct WebPush {
    contact: String,
    signer: Signer,
    public_key: String,
    outgoing: HttpClient,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl WebPush {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn new(settings: &WebPushSettings, parts: &SenderParts) -> Result<Self, SettingError> {
        let targets = Targets::among(&settings.hosts, &settings.connection)?;
        let (signer, public_key) =
            Signer::es256(&settings.key).map_err(|wrong| SettingError::new("key_file", wrong))?;
        Ok(Self {
            contact: settings.contact.clone(),
            signer,
            public_key: BASE64_URL_SAFE_NO_PAD.encode(public_key),
            outgoing: HttpClient::new(targets, &settings.connection)?,
            clock: parts.clock.clone(),
            entropy: parts.entropy.clone(),
        })
    }

    /// The VAPID authorization of RFC 8292, for one push service.
    fn vapid(&self, endpoint: &str) -> Option<HeaderValue> {
        let audience = Url::parse(endpoint).ok()?.origin().ascii_serialization();
        let until = self.clock.now().plus(SIGNATURE_LIFE).as_micros() / 1_000_000;
        let token = self.signer.sign(
            None,
            &json!({"aud": audience, "exp": until, "sub": self.contact}),
        );
        let value = format!("vapid t={token}, k={}", self.public_key);
        let mut header = HeaderValue::from_str(&value).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    fn headers(&self, message: &Message, endpoint: &str) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.vapid(endpoint)?);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        headers.insert(
            "ttl",
            HeaderValue::from(time_left(message, self.clock.now()).as_secs()),
        );
        headers.insert("urgency", HeaderValue::from_static("high"));
        // A resent message replaces one that still waits. The topic has at most 32 characters of base64url.
        let topic = digest(&SHA256, message.verification.to_string().as_bytes());
        headers.insert(
            "topic",
            HeaderValue::from_str(&BASE64_URL_SAFE_NO_PAD.encode(&topic.as_ref()[..24])).ok()?,
        );
        Some(headers)
    }
}

#[async_trait]
impl Sender for WebPush {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let browser = installation(message, PushKind::WebPush)?;
        let subscription = Subscription::parse(browser).map_err(|_| give_up(Reason::Refused))?;
        let text = payload(message).to_string();
        if text.len() > TEXT_BYTES_MAX {
            return Err(ours(Reason::OversizedMessage));
        }
        let body = sealed(&subscription, text.as_bytes(), fresh(&*self.entropy))
            .map_err(|_| unfit(Reason::EncryptionFailed))?;
        let headers = self
            .headers(message, &subscription.endpoint)
            .ok_or_else(|| ours(Reason::BadMessage))?;
        let call = Call {
            method: Method::POST,
            url: subscription.endpoint,
            headers,
            body,
        };
        let reply = self.outgoing.call(call).await.map_err(of_endpoint)?;
        judge(&reply)
    }

    fn carries(&self, recipient: &Recipient) -> bool {
        is_installed_by(recipient, PushKind::WebPush)
    }

    fn objection(&self, recipient: &Recipient) -> Option<&'static str> {
        let (_, browser) = recipient.installation()?;
        let endpoint = Subscription::parse(browser).ok()?.endpoint;
        self.outgoing.may_call(&endpoint).not().then_some(
            "leads to a push service that no webpush sender of the route has in its hosts",
        )
    }
}

/// Whoever starts a verification chooses the host of the endpoint, so what fails there is about the recipient, or may be.
fn of_endpoint(error: SendError) -> SendError {
    if error.reason == Reason::AddressRefused {
        return give_up(Reason::AddressRefused);
    }
    error.at(Stage::WithRecipient)
}

/// The page's service worker shows `title` and `body` at once, and `data` when the page is opened.
fn payload(message: &Message) -> Value {
    json!({"title": message.content.subject, "body": message.content.text, "data": data(message)})
}

fn judge(reply: &Reply) -> Result<Sent, SendError> {
    match reply.status.as_u16() {
        // 202 means accepted. A confirmation is sent only if the request asks for one, which it
        // does not.
        200..=202 => Ok(Sent::default()),
        404 | 410 => Err(give_up(Reason::Unregistered)),
        413 => Err(ours(Reason::OversizedMessage)),
        // The subscription belongs to another key, or the signature was not accepted.
        401 | 403 => Err(unfit(Reason::SenderRefused)),
        _ if is_busy(reply.status) => Err(of_endpoint(busy(reply))),
        _ => Err(of_endpoint(refusal(reply.status))),
    }
}

#[cfg(test)]
mod tests;
