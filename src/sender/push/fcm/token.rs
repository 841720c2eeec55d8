//! Google's access tokens for a service account (RFC 7523). A token is kept until shortly before it
//! expires.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use super::{ACCOUNT, no_account};
use crate::{
    domain::{delivery::reason::Reason, time::Timestamp},
    format::secret::SecretText,
    ports::{sender::SendError, system::Clock},
    sender::{
        http::{is_busy, refusal},
        jws::Signer,
        settings::SettingError,
        transport::http::{
            Call, ConnectionSettings, HttpClient, Reply, Targets, again, login_refused, next_sender,
        },
    },
};

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// The grant type of RFC 7523.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest life of an assertion that Google accepts.
const ASSERTION_LIFE_S: u64 = 3600;
/// A token that expires within this span is no longer used, because the call that
/// carries it takes time.
const SPARE: Duration = Duration::from_secs(60);

struct Held {
    header: HeaderValue,
    until: Timestamp,
}

/// Fetches tokens for one service account.
pub(super) struct Tokens {
    url: String,
    email: String,
    kid: Option<String>,
    signer: Signer,
    outgoing: HttpClient,
    clock: Arc<dyn Clock>,
    /// Locked while a token is fetched, so that concurrent calls wait for the same one.
    held: Mutex<Option<Held>>,
}

impl Tokens {
    pub(super) fn new(
        account: &Value,
        connection: &ConnectionSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SettingError> {
        if account["type"] != "service_account" {
            return Err(no_account("type is not service_account"));
        }
        let url = field(account, "token_uri")?;
        let key = SecretText::new(field(account, "private_key")?);
        let targets = Targets::of(ACCOUNT, &url, connection)
            .map_err(|error| no_account(&format!("token_uri {}", error.problem)))?;
        Ok(Self {
            email: field(account, "client_email")?,
            kid: account["private_key_id"].as_str().map(str::to_owned),
            signer: Signer::rs256(&key).map_err(|wrong| SettingError::new(ACCOUNT, wrong))?,
            outgoing: HttpClient::new(targets, connection)?,
            url,
            clock,
            held: Mutex::default(),
        })
    }

    /// The value of an `authorization` header, with a new token if the current one has
    /// expired or was refused.
    pub(super) async fn token(
        &self,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, SendError> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        match &*held {
            Some(token) if refused != Some(&token.header) && now < token.until => {
                Ok(token.header.clone())
            }
            Some(_) | None => {
                let fresh = self.fetch(now).await?;
                Ok(held.insert(fresh).header.clone())
            }
        }
    }

    async fn fetch(&self, now: Timestamp) -> Result<Held, SendError> {
        let at = now.as_micros() / 1_000_000;
        let claims = json!({"iss": self.email, "scope": SCOPE, "aud": self.url, "iat": at, "exp": at + ASSERTION_LIFE_S});
        let assertion = self.signer.sign(self.kid.as_deref(), &claims);
        let form = Serializer::new(String::new())
            .append_pair("grant_type", GRANT)
            .append_pair("assertion", &assertion)
            .finish();
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let call = Call {
            method: Method::POST,
            url: self.url.clone(),
            headers,
            body: form.into_bytes(),
        };
        read(&self.outgoing.call(call).await?, now)
    }
}

fn field(account: &Value, name: &str) -> Result<String, SettingError> {
    let text = account[name].as_str().map(str::to_owned);
    text.ok_or_else(|| no_account(&format!("{name} is missing")))
}

fn read(reply: &Reply, now: Timestamp) -> Result<Held, SendError> {
    if is_busy(reply.status) {
        return Err(again(Reason::LoginUnavailable, reply.retry_after));
    }
    if !reply.status.is_success() {
        // The key was deleted, or the account lacks the permission.
        return Err(if reply.status.is_client_error() {
            login_refused()
        } else {
            refusal(reply.status)
        });
    }
    let malformed = || next_sender(Reason::MalformedReply);
    let json: Value = serde_json::from_slice(reply.body.as_ref().ok_or_else(malformed)?)
        .map_err(|_| malformed())?;
    let token = json["access_token"].as_str().ok_or_else(malformed)?;
    let life = Duration::from_secs(json["expires_in"].as_u64().ok_or_else(malformed)?);
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut header = HeaderValue::from_str(&text).map_err(|_| malformed())?;
    header.set_sensitive(true);
    Ok(Held {
        header,
        until: now.plus(life.saturating_sub(SPARE)),
    })
}
