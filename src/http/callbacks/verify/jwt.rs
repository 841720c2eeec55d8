//! Calls that are signed by a JWT (RFC 7519) with HMAC-SHA-256: one algorithm, and no other is ever tried.

use axum::http::header::AUTHORIZATION;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::Deserialize;

use super::{Call, NotGenuine, fresh, genuine, usable};
use crate::{
    domain::time::Timestamp,
    format::mac::{MacKey, sha_256},
};

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that must be understood; we understand none.
    crit: Option<serde::de::IgnoredAny>,
}

/// What the two providers claim; unknown claims are passed over.
#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    iat: Option<u64>,
    nbf: Option<u64>,
    exp: Option<u64>,
    jti: Option<String>,
    payload_hash: Option<String>,
    url_hash: Option<String>,
}

/// `iat` within the tolerance, the hash of the body, and an id.
pub(super) fn vonage(
    keys: &[MacKey],
    call: &Call<'_>,
    now: Timestamp,
) -> Result<String, NotGenuine> {
    let token = call
        .header(AUTHORIZATION)?
        .strip_prefix("Bearer ")
        .ok_or(NotGenuine::Unsigned)?;
    let claims = claims(keys, token)?;
    genuine(is_hash_of(claims.payload_hash.as_deref(), call.body))?;
    fresh(claims.iat.ok_or(NotGenuine::Stale)?, now)?;
    ends(claims.exp, now)?;
    usable(&claims.jti.unwrap_or_default())
}

/// `nbf` within the tolerance, `exp` not over, the hashes of URL and body, and an id.
pub(super) fn messagebird(
    keys: &[MacKey],
    call: &Call<'_>,
    now: Timestamp,
) -> Result<String, NotGenuine> {
    let claims = claims(keys, call.header("messagebird-signature-jwt")?)?;
    genuine(claims.iss.as_deref() == Some("MessageBird"))?;
    let url = claims.url_hash.as_deref();
    genuine(
        call.urls
            .iter()
            .any(|ours| is_hash_of(url, ours.as_bytes())),
    )?;
    // A call without a body has no hash of one.
    let is_bare = call.body.is_empty() && claims.payload_hash.is_none();
    genuine(is_bare || is_hash_of(claims.payload_hash.as_deref(), call.body))?;
    fresh(claims.nbf.ok_or(NotGenuine::Stale)?, now)?;
    ends(Some(claims.exp.ok_or(NotGenuine::Stale)?), now)?;
    usable(&claims.jti.unwrap_or_default())
}

fn claims(keys: &[MacKey], token: &str) -> Result<Claims, NotGenuine> {
    let (signed, signature) = token.rsplit_once('.').ok_or(NotGenuine::Unsigned)?;
    let (header, claims) = signed.split_once('.').ok_or(NotGenuine::Unsigned)?;
    let header: Header = json(header)?;
    if header.alg != "HS256" || header.crit.is_some() {
        return Err(NotGenuine::Unsigned);
    }
    let tag = bytes(signature)?;
    genuine(
        keys.iter()
            .any(|key| key.verifies(&[signed.as_bytes()], &tag)),
    )?;
    json(claims)
}

fn bytes(text: &str) -> Result<Vec<u8>, NotGenuine> {
    BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| NotGenuine::Unsigned)
}

fn json<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, NotGenuine> {
    serde_json::from_slice(&bytes(text)?).map_err(|_| NotGenuine::Unsigned)
}

fn is_hash_of(claimed: Option<&str>, bytes: &[u8]) -> bool {
    // Neither of them is a secret.
    claimed.is_some_and(|claimed| claimed.eq_ignore_ascii_case(&hex::encode(sha_256(bytes))))
}

fn ends(exp: Option<u64>, now: Timestamp) -> Result<(), NotGenuine> {
    let is_over = exp.is_some_and(|exp| exp <= now.as_micros() / 1_000_000);
    if is_over {
        Err(NotGenuine::Stale)
    } else {
        Ok(())
    }
}
