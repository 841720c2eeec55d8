//! Verifies callbacks signed with a JWT (RFC 7519) by HMAC-SHA-256; no other algorithm is accepted.

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, errors::ErrorKind};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Call, NotGenuine, fresh, genuine, usable};
use crate::{domain::time::Timestamp, format::mac::sha_256};

/// The only token type that the providers send.
const TYPE: &str = "JWT";

/// The claims that either provider sends.
#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    iat: Option<u64>,
    nbf: Option<u64>,
    exp: Option<u64>,
    jti: Option<String>,
    payload_hash: Option<String>,
    url_hash: Option<String>,
    /// Unknown claims. A flattened field also makes sure that only an object is accepted, never a list.
    #[serde(flatten)]
    _others: Map<String, Value>,
}

/// Vonage: `iat` within the tolerance, the hash of the body, and an id.
pub(super) fn vonage(
    keys: &[DecodingKey],
    call: &Call<'_>,
    now: Timestamp,
) -> Result<String, NotGenuine> {
    let token = call.credentials("bearer")?;
    let claims = claims(keys, token)?;
    genuine(is_hash_of(claims.payload_hash.as_deref(), call.body))?;
    fresh(claims.iat.ok_or(NotGenuine::Stale)?, now)?;
    not_expired(claims.exp, now)?;
    usable(&claims.jti.unwrap_or_default())
}

/// `MessageBird`: `nbf` within the tolerance, `exp` in the future, the hashes of URL and body, and an id.
pub(super) fn messagebird(
    keys: &[DecodingKey],
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
    // A callback without a body has no hash of one.
    let is_bare = call.body.is_empty() && claims.payload_hash.is_none();
    genuine(is_bare || is_hash_of(claims.payload_hash.as_deref(), call.body))?;
    fresh(claims.nbf.ok_or(NotGenuine::Stale)?, now)?;
    not_expired(Some(claims.exp.ok_or(NotGenuine::Stale)?), now)?;
    usable(&claims.jti.unwrap_or_default())
}

/// The claims of a token signed with one of the keys.
fn claims(keys: &[DecodingKey], token: &str) -> Result<Claims, NotGenuine> {
    let validation = signature_alone();
    let mut failure = NotGenuine::Unsigned;
    for key in keys {
        match decode::<Claims>(token, key, &validation) {
            Ok(token) if is_plain(&token.header) => return Ok(token.claims),
            Err(error) if *error.kind() == ErrorKind::InvalidSignature => {
                failure = NotGenuine::Forged;
            }
            // The result is the same for every key: the token cannot be parsed, or is of another kind.
            Ok(_) | Err(_) => return Err(NotGenuine::Unsigned),
        }
    }
    Err(failure)
}

/// Checks algorithm and signature only. Times, issuer and hashes are checked in this file, by the service's clock.
fn signature_alone() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// Whether the header describes a plain token with claims: no other type, not compressed, encrypted or nested.
fn is_plain(header: &Header) -> bool {
    let is_jwt = |typ: &String| typ.eq_ignore_ascii_case(TYPE);
    header.typ.as_ref().is_none_or(is_jwt)
        && header.cty.is_none()
        && header.zip.is_none()
        && header.enc.is_none()
}

fn is_hash_of(claimed: Option<&str>, bytes: &[u8]) -> bool {
    // Hashes are not secret, so the comparison need not be constant-time.
    claimed.is_some_and(|claimed| claimed.eq_ignore_ascii_case(&hex::encode(sha_256(bytes))))
}

fn not_expired(exp: Option<u64>, now: Timestamp) -> Result<(), NotGenuine> {
    let is_over = exp.is_some_and(|exp| exp <= now.as_micros() / 1_000_000);
    if is_over {
        Err(NotGenuine::Stale)
    } else {
        Ok(())
    }
}
