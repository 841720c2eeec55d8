//! Web Push: to browsers, encrypted for them alone (RFC 8291), with our signature for their push service (RFC 8292).

mod encrypt;

use std::{path::PathBuf, sync::Arc, time::Duration};

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
    domain::recipient::{
        Recipient,
        app::{PushKind, Subscription},
    },
    format::secret::SecretText,
    ports::{
        sender::{Message, SendError, Sender, Sent},
        system::{Clock, Entropy, fresh},
    },
    sender::{
        http::{is_busy, refusal},
        jws::{Signer, WrongKey},
        transport::http::{
            Call, Outgoing, OutgoingError, Reply, Settings, Targets, again, give_up, unfit,
        },
    },
};

/// How long our signature is good; RFC 8292 allows a day.
const SIGNATURE_LIFE: Duration = Duration::from_secs(12 * 3600);

/// How push services know us, and which of them are called.
#[derive(Clone, Debug)]
pub struct WebPushSettings {
    /// The private key of the application server, on P-256, in PEM: the page subscribes with its public half.
    pub key: SecretText,
    /// Whom a push service can reach: `mailto:` or `https://`.
    pub contact: String,
    /// Which hosts an endpoint may have: a name, or `*.` and an ending.
    pub hosts: Vec<String>,
    /// Hosts that may be in an inner network or on another port than the usual one.
    pub allow_hosts: Vec<String>,
    /// PEM file of certificate authorities to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Deadline of one call.
    pub timeout: Duration,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebPushError {
    /// The key cannot sign.
    #[error("key_file {0}")]
    Key(WrongKey),
    /// No calls can be made.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
}

/// Sends to browsers.
pub struct WebPush {
    contact: String,
    signer: Signer,
    outgoing: Outgoing,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl WebPush {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(
        settings: WebPushSettings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, WebPushError> {
        let WebPushSettings {
            contact,
            hosts,
            allow_hosts,
            ..
        } = settings;
        // An endpoint is always https, in development too.
        let targets = Targets::among(hosts, allow_hosts, false).map_err(OutgoingError::Hosts)?;
        let outgoing = Outgoing::new(Settings {
            targets,
            ca_file: settings.ca_file,
            timeout: settings.timeout,
        })?;
        Ok(Self {
            contact,
            signer: Signer::es256(&settings.key).map_err(WebPushError::Key)?,
            outgoing,
            clock,
            entropy,
        })
    }

    /// The scheme of RFC 8292: who we are, to this push service and no other.
    fn vapid(&self, endpoint: &str) -> Option<HeaderValue> {
        let audience = Url::parse(endpoint).ok()?.origin().ascii_serialization();
        let until = self.clock.now().plus(SIGNATURE_LIFE).as_micros() / 1_000_000;
        let token = self.signer.sign(
            None,
            &json!({"aud": audience, "exp": until, "sub": self.contact}),
        );
        let public = BASE64_URL_SAFE_NO_PAD.encode(self.signer.public());
        let mut header = HeaderValue::from_str(&format!("vapid t={token}, k={public}")).ok()?;
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
        // A message that was sent again takes the place of one that still waits: at most 32 characters of base64url.
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
        let subscription = Subscription::parse(browser).map_err(|_| give_up("refused"))?;
        let text = payload(message).to_string();
        if text.len() > TEXT_BYTES_MAX {
            return Err(give_up("oversized_message"));
        }
        let body = sealed(&subscription, text.as_bytes(), fresh(&*self.entropy))
            .map_err(|_| unfit("encryption_failed"))?;
        let headers = self
            .headers(message, &subscription.endpoint)
            .ok_or_else(|| give_up("bad_message"))?;
        let call = Call {
            method: Method::POST,
            url: subscription.endpoint,
            headers,
            body,
        };
        judge(&self.outgoing.call(call).await?)
    }

    fn carries(&self, recipient: &Recipient) -> bool {
        is_installed_by(recipient, PushKind::WebPush)
    }
}

/// The page's service worker shows `title` and `body`, and the rest once the page is opened.
fn payload(message: &Message) -> Value {
    json!({"title": message.content.subject, "body": message.content.text, "data": data(message)})
}

fn judge(reply: &Reply) -> Result<Sent, SendError> {
    match reply.status.as_u16() {
        // 202: the service will confirm it to whoever asked, which is not us. It has it.
        200..=202 => Ok(Sent::default()),
        404 | 410 => Err(give_up("unregistered")),
        413 => Err(give_up("oversized_message")),
        // The subscription is bound to another key, or our signature is not taken.
        401 | 403 => Err(unfit("login_refused")),
        _ if is_busy(reply.status) => Err(again("busy", reply.retry_after)),
        _ => Err(refusal(reply.status)),
    }
}

#[cfg(test)]
mod tests;
