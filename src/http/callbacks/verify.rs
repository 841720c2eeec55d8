//! Authenticates callbacks: signature, time and id.

mod jwt;

use std::{collections::BTreeSet, time::Duration};

use axum::http::{
    HeaderMap,
    header::{AUTHORIZATION, AsHeaderName},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use jsonwebtoken::DecodingKey;

use crate::{
    domain::{delivery::callback::Scheme, time::Timestamp},
    format::{
        mac::{MacKey, SharedText},
        standard_webhooks::{WebhookKeys, WrongSecret},
    },
};

/// How far the time of a callback may differ from ours, in either direction (HOOK-02; the
/// tolerance of Standard Webhooks).
pub const TOLERANCE: Duration = Duration::from_secs(300);
/// The longest id accepted, in bytes; no provider sends longer ones.
const ID_BYTES_MAX: usize = 128;

/// The scheme by which a provider authenticates itself, with its secrets.
#[derive(Clone, Debug)]
pub enum Verifier {
    /// HMAC-SHA-1 or HMAC-SHA-256 over URL and form fields.
    Twilio(Vec<MacKey>),
    /// A JWT in the header `authorization`.
    Vonage(Vec<DecodingKey>),
    /// A JWT in the header `messagebird-signature-jwt`.
    Messagebird(Vec<DecodingKey>),
    /// HMAC-SHA-256 over the body, in the header `x-hub-signature-256`.
    Meta(Vec<MacKey>),
    /// User name and password (HTTP basic authentication).
    Basic(Vec<SharedText>),
    /// Standard Webhooks: HMAC-SHA-256 over id, time and body.
    StandardWebhooks(WebhookKeys),
}

impl Verifier {
    /// A verifier that accepts any of these secrets; `username` is used by [`Scheme::Basic`] only.
    ///
    /// # Errors
    /// [`WrongSecret`] if a secret does not have the form that the scheme requires.
    pub fn new(scheme: Scheme, username: &str, secrets: &[&str]) -> Result<Self, WrongSecret> {
        let all = |key: fn(&[u8]) -> MacKey| {
            secrets
                .iter()
                .map(|secret| key(secret.as_bytes()))
                .collect::<Vec<_>>()
        };
        Ok(match scheme {
            // Auth tokens sign with SHA-1; the shared keys of newer accounts sign with SHA-256.
            Scheme::Twilio => Self::Twilio([all(MacKey::sha_1), all(MacKey::sha_256)].concat()),
            Scheme::Vonage => Self::Vonage(jwt_keys(secrets)?),
            Scheme::Messagebird => Self::Messagebird(jwt_keys(secrets)?),
            Scheme::Meta => Self::Meta(all(MacKey::sha_256)),
            Scheme::Basic => {
                let pair = |secret: &&str| {
                    SharedText::new(&BASE64_STANDARD.encode(format!("{username}:{secret}")))
                };
                Self::Basic(secrets.iter().map(pair).collect())
            }
            Scheme::StandardWebhooks => {
                Self::StandardWebhooks(WebhookKeys::parse(secrets.iter().copied())?)
            }
        })
    }

    /// Judges the headers of a callback before its body is read.
    ///
    /// # Errors
    /// [`NotGenuine`] if no body could make it genuine.
    pub(super) fn judge_head(&self, headers: &HeaderMap) -> Result<Head, NotGenuine> {
        let call = Call {
            urls: Vec::new(),
            headers,
            body: &[],
        };
        match self {
            Self::Basic(pairs) => return basic(pairs, &call).map(|()| Head::Genuine),
            Self::Twilio(_) => call.header("x-twilio-signature")?,
            Self::Vonage(_) => call.header(AUTHORIZATION)?,
            Self::Messagebird(_) => call.header("messagebird-signature-jwt")?,
            Self::Meta(_) => call.header("x-hub-signature-256")?,
            Self::StandardWebhooks(_) => call.header("webhook-signature")?,
        };
        Ok(Head::Signed)
    }

    /// Authenticates a callback at `now`; returns its id, if the scheme has ids. A scheme without a time (Twilio,
    /// Meta, basic) cannot detect a repeat. That is harmless, because a receipt never moves a delivery backwards.
    ///
    /// # Errors
    /// [`NotGenuine`], for the metrics only; the sender of the callback does not learn it.
    pub(super) fn verify(
        &self,
        call: &Call<'_>,
        now: Timestamp,
    ) -> Result<Option<String>, NotGenuine> {
        match self {
            Self::Twilio(keys) => twilio(keys, call).map(|()| None),
            Self::Vonage(keys) => jwt::vonage(keys, call, now).map(Some),
            Self::Messagebird(keys) => jwt::messagebird(keys, call, now).map(Some),
            Self::Meta(keys) => meta(keys, call).map(|()| None),
            Self::Basic(pairs) => basic(pairs, call).map(|()| None),
            Self::StandardWebhooks(keys) => standard(keys, call, now).map(Some),
        }
    }
}

/// The keys for JWTs. Fails for an empty secret, with which anybody could sign.
fn jwt_keys(secrets: &[&str]) -> Result<Vec<DecodingKey>, WrongSecret> {
    let keys = secrets
        .iter()
        .map(|secret| DecodingKey::from_secret(secret.as_bytes()));
    keys.collect::<Result<_, _>>().map_err(|_| WrongSecret)
}

/// What the headers of a callback say of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// It is the provider: the scheme does not cover the body.
    Genuine,
    /// There is a signature, which can be checked with the body only.
    Signed,
}

/// A callback as it was received.
pub(super) struct Call<'a> {
    /// The URL that the provider was given, built from our settings and never from the callback's host header. If it
    /// has a port, also the URL without it, because some providers sign that one.
    pub(super) urls: Vec<String>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl<'a> Call<'a> {
    /// The value of a header that must not be repeated: of two signatures, which one counts?
    fn header(&self, name: impl AsHeaderName) -> Result<&'a str, NotGenuine> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().map_err(|_| NotGenuine::Unsigned),
            _ => Err(NotGenuine::Unsigned),
        }
    }

    /// The credentials in the one header `authorization`, if they are of this scheme. Its letter case does not matter
    /// (RFC 9110 §11.1).
    fn credentials(&self, scheme: &str) -> Result<&'a str, NotGenuine> {
        self.header(AUTHORIZATION)?
            .split_once(' ')
            .filter(|(given, _)| given.eq_ignore_ascii_case(scheme))
            .map(|(_, credentials)| credentials.trim())
            .ok_or(NotGenuine::Unsigned)
    }
}

/// Why a callback is not genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotGenuine {
    /// It has no signature, or one that cannot be parsed.
    Unsigned,
    /// The signature was not made with one of the secrets, or not for this callback.
    Forged,
    /// Its time is too far in the past or in the future.
    Stale,
}

impl NotGenuine {
    /// The label used in the metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Forged => "forged",
            Self::Stale => "stale",
        }
    }
}

fn genuine(is: bool) -> Result<(), NotGenuine> {
    if is { Ok(()) } else { Err(NotGenuine::Forged) }
}

fn fresh(seconds: u64, now: Timestamp) -> Result<(), NotGenuine> {
    let off = (now.as_micros() / 1_000_000).abs_diff(seconds);
    if off <= TOLERANCE.as_secs() {
        Ok(())
    } else {
        Err(NotGenuine::Stale)
    }
}

/// Twilio signs the URL followed by the sorted names and values of the form; each pair counts once.
fn twilio(keys: &[MacKey], call: &Call<'_>) -> Result<(), NotGenuine> {
    let signature = call.header("x-twilio-signature")?;
    let tag = BASE64_STANDARD
        .decode(signature)
        .map_err(|_| NotGenuine::Unsigned)?;
    let fields: BTreeSet<(String, String)> = url::form_urlencoded::parse(call.body)
        .into_owned()
        .collect();
    let signed = |url: &String| {
        let mut parts = vec![url.as_bytes()];
        fields
            .iter()
            .for_each(|(name, value)| parts.extend([name.as_bytes(), value.as_bytes()]));
        keys.iter().any(|key| key.verifies(&parts, &tag))
    };
    genuine(call.urls.iter().any(signed))
}

fn meta(keys: &[MacKey], call: &Call<'_>) -> Result<(), NotGenuine> {
    let signature = call.header("x-hub-signature-256")?;
    let tag = signature
        .strip_prefix("sha256=")
        .and_then(|digits| hex::decode(digits).ok())
        .ok_or(NotGenuine::Unsigned)?;
    genuine(keys.iter().any(|key| key.verifies(&[call.body], &tag)))
}

fn basic(pairs: &[SharedText], call: &Call<'_>) -> Result<(), NotGenuine> {
    let given = call.credentials("basic")?;
    genuine(pairs.iter().any(|pair| pair.is(given)))
}

fn standard(keys: &WebhookKeys, call: &Call<'_>, now: Timestamp) -> Result<String, NotGenuine> {
    let (id, signature) = (
        call.header("webhook-id")?,
        call.header("webhook-signature")?,
    );
    let seconds = digits(call.header("webhook-timestamp")?).ok_or(NotGenuine::Unsigned)?;
    let id = usable(id)?;
    genuine(keys.verifies(&id, seconds, call.body, signature))?;
    fresh(seconds, now)?;
    Ok(id)
}

/// Parses a whole number without a sign.
fn digits(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn usable(id: &str) -> Result<String, NotGenuine> {
    if (1..=ID_BYTES_MAX).contains(&id.len()) {
        Ok(id.to_owned())
    } else {
        Err(NotGenuine::Unsigned)
    }
}

#[cfg(test)]
mod tests;
