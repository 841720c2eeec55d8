//! Judges whether a call comes from the provider: its signature, its time, its id.

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

/// How far the time of a call may be off, either way (HOOK-02; the tolerance of Standard Webhooks).
pub const TOLERANCE: Duration = Duration::from_secs(300);
/// Longer ids are nobody's.
const ID_BYTES_MAX: usize = 128;

/// What a provider's calls are verified with.
#[derive(Clone, Debug)]
pub enum Verifier {
    /// By HMAC-SHA-1 or HMAC-SHA-256 over URL and form.
    Twilio(Vec<MacKey>),
    /// By a JWT in the header `authorization`.
    Vonage(Vec<DecodingKey>),
    /// By a JWT in the header `messagebird-signature-jwt`.
    Messagebird(Vec<DecodingKey>),
    /// By HMAC-SHA-256 over the body.
    Meta(Vec<MacKey>),
    /// By user name and password.
    Basic(Vec<SharedText>),
    /// By HMAC-SHA-256 over id, time and body.
    StandardWebhooks(WebhookKeys),
}

impl Verifier {
    /// With these secrets, each of which is good; `username` belongs to [`Scheme::Basic`].
    ///
    /// # Errors
    /// A secret of Standard Webhooks has another form.
    pub fn new(scheme: Scheme, username: &str, secrets: &[&str]) -> Result<Self, WrongSecret> {
        let all = |key: fn(&[u8]) -> MacKey| {
            secrets
                .iter()
                .map(|secret| key(secret.as_bytes()))
                .collect::<Vec<_>>()
        };
        Ok(match scheme {
            // The auth token signs with the one, the shared keys of newer accounts with the other.
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

    /// Judges a call at `now`; gives its id, if the scheme has ids. A scheme without a time (Twilio, Meta, basic) cannot
    /// tell a repeat: that does no harm, because a receipt never moves a delivery backwards.
    ///
    /// # Errors
    /// [`NotGenuine`]; the caller is not told why.
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

/// The keys of JWTs; an empty secret would let everybody sign.
fn jwt_keys(secrets: &[&str]) -> Result<Vec<DecodingKey>, WrongSecret> {
    let keys = secrets
        .iter()
        .map(|secret| DecodingKey::from_secret(secret.as_bytes()));
    keys.collect::<Result<_, _>>().map_err(|_| WrongSecret)
}

/// A call as it came in.
pub(super) struct Call<'a> {
    /// The URL as the provider knows it: begins with ours, never with what the call says of its host. With a port in
    /// ours also without it, because some sign so.
    pub(super) urls: Vec<String>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl Call<'_> {
    fn header(&self, name: impl AsHeaderName) -> Result<&str, NotGenuine> {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .ok_or(NotGenuine::Unsigned)
    }
}

/// Why a call has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotGenuine {
    /// It brings no signature, or none that can be read.
    Unsigned,
    /// The signature is not by one of our secrets, or of something else.
    Forged,
    /// It is too old or too early.
    Stale,
}

impl NotGenuine {
    /// The word of the metrics.
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

/// The URL, then each name with its value, in order, each pair once.
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
    let given = call
        .header(AUTHORIZATION)?
        .strip_prefix("Basic ")
        .ok_or(NotGenuine::Unsigned)?;
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

/// A number as the sender of a header writes it: no sign, no fraction.
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
