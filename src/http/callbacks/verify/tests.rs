//! Callbacks as the providers sign them, from published examples where there are any, and variations that must be
//! refused.

mod forged;

use axum::http::HeaderName;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::format::mac::sha_256;

const NOW: u64 = 1_800_000_000;
const URL: &str = "https://otp.bank.example/callbacks/p/token?a=1";
const BODY: &[u8] = b"{\"status\":\"delivered\"}";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// The result of verifying a call to [`URL`], or to another URL.
fn verify_at(
    url: &str,
    verifier: &Verifier,
    headers: &HeaderMap,
    body: &[u8],
    now: u64,
) -> Result<Option<String>, NotGenuine> {
    verifier.verify(
        &Call {
            urls: vec!["https://elsewhere.example/".to_owned(), url.to_owned()],
            headers,
            body,
        },
        at(now),
    )
}

fn verifier(scheme: Scheme, secrets: &[&str]) -> Verifier {
    Verifier::new(scheme, "user", secrets).unwrap()
}

fn jwt(secret: &str, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let tag = MacKey::sha_256(secret.as_bytes()).sign(&[signed.as_bytes()]);
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(sha_256(bytes))
}

#[test]
fn hook_02_standard_webhooks_are_judged_as_the_vectors_say() {
    let vectors: Value = serde_json::from_str(include_str!(
        "../../../../tests/vectors/standard_webhooks.json"
    ))
    .unwrap();
    let mut counts = [0, 0];
    for case in vectors["cases"].as_array().unwrap() {
        let secrets: Vec<&str> = case["secrets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|secret| secret.as_str().unwrap())
            .collect();
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        let given: Vec<_> = names
            .into_iter()
            .filter_map(|name| Some((name, case["headers"][name].as_str()?)))
            .collect();
        let (body, now) = (
            case["body"].as_str().unwrap().as_bytes(),
            case["now"].as_u64().unwrap(),
        );
        let found = verify_at(
            URL,
            &verifier(Scheme::StandardWebhooks, &secrets),
            &headers(&given),
            body,
            now,
        );
        let expected = case["expect"] == "accepted";
        assert_eq!(found.is_ok(), expected, "{}: {found:?}", case["name"]);
        assert!(
            !expected || found == Ok(case["headers"]["webhook-id"].as_str().map(str::to_owned))
        );
        counts[usize::from(expected)] += 1;
    }
    assert!(
        counts[0] >= 15 && counts[1] >= 8,
        "the vectors were read: {counts:?}"
    );
}

#[test]
fn hook_02_twilio_signs_url_and_sorted_form() {
    // The example in Twilio's documentation, which its own libraries use in their tests.
    let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
    let body = b"To=%2B18005551212&CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&Caller=%2B14158675309";
    let signed = headers(&[("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8=")]);
    let keys = verifier(Scheme::Twilio, &["other", "12345"]);
    assert_eq!(
        verify_at(url, &keys, &signed, body, NOW),
        Ok(None),
        "either of two tokens"
    );
    assert_eq!(
        verify_at(
            url,
            &verifier(Scheme::Twilio, &["other"]),
            &signed,
            body,
            NOW
        ),
        Err(NotGenuine::Forged)
    );
    assert_eq!(
        verify_at(&url.replace("foo=1", "foo=2"), &keys, &signed, body, NOW),
        Err(NotGenuine::Forged)
    );
    let more = [body.as_slice(), b"&MessageStatus=delivered"].concat();
    assert_eq!(
        verify_at(url, &keys, &signed, &more, NOW),
        Err(NotGenuine::Forged)
    );
    for (bad, why) in [
        ("", NotGenuine::Forged),
        ("!", NotGenuine::Unsigned),
        ("RSOYDt4T1cUTdK1PDd93", NotGenuine::Forged),
    ] {
        assert_eq!(
            verify_at(
                url,
                &keys,
                &headers(&[("x-twilio-signature", bad)]),
                body,
                NOW
            ),
            Err(why),
            "{bad}"
        );
    }
    assert_eq!(
        verify_at(url, &keys, &HeaderMap::new(), body, NOW),
        Err(NotGenuine::Unsigned)
    );
    // The same callback under a shared key; computed with Twilio's Python library.
    let signed = headers(&[(
        "x-twilio-signature",
        "033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s=",
    )]);
    assert_eq!(verify_at(url, &keys, &signed, body, NOW), Ok(None));
}

#[test]
fn hook_02_meta_signs_the_body() {
    let tag = |secret: &str| {
        format!(
            "sha256={}",
            hex::encode(MacKey::sha_256(secret.as_bytes()).sign(&[BODY]))
        )
    };
    let keys = verifier(Scheme::Meta, &["new", "old"]);
    let found = |tag: &str, body| {
        verify_at(
            URL,
            &keys,
            &headers(&[("x-hub-signature-256", tag)]),
            body,
            NOW,
        )
    };
    assert_eq!(
        (found(&tag("new"), BODY), found(&tag("old"), BODY)),
        (Ok(None), Ok(None))
    );
    assert_eq!(found(&tag("third"), BODY), Err(NotGenuine::Forged));
    assert_eq!(found(&tag("new"), b"{}"), Err(NotGenuine::Forged));
    assert_eq!(found(&tag("new")[7..], BODY), Err(NotGenuine::Unsigned));
}

#[test]
fn hook_02_basic_wants_the_user_and_one_of_the_passwords() {
    let keys = verifier(Scheme::Basic, &["new:er", "old"]);
    let found = |pair: &str| {
        let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
        verify_at(
            URL,
            &keys,
            &headers(&[("authorization", &value)]),
            BODY,
            NOW,
        )
    };
    assert_eq!(
        (found("user:new:er"), found("user:old")),
        (Ok(None), Ok(None))
    );
    let pair = BASE64_STANDARD.encode("user:old");
    for scheme in ["basic", "BASIC", "bAsIc", "Basic "] {
        let value = format!("{scheme} {pair}");
        let headers = headers(&[("authorization", &value)]);
        assert_eq!(verify_at(URL, &keys, &headers, BODY, NOW), Ok(None));
    }
    let one = format!("Basic {pair}");
    for other in [&one[..], "Basic x", "Bearer x", ""] {
        for pairs in [[&one[..], other], [other, &one[..]]] {
            let mut two = HeaderMap::new();
            for value in pairs {
                two.append("authorization", value.parse().unwrap());
            }
            let found = verify_at(URL, &keys, &two, BODY, NOW);
            assert_eq!(found, Err(NotGenuine::Unsigned), "net_18: two credentials");
        }
    }
    for wrong in ["user:older", "user:", "other:old", "userold", ""] {
        assert_eq!(found(wrong), Err(NotGenuine::Forged), "{wrong}");
    }
    assert_eq!(
        verify_at(
            URL,
            &keys,
            &headers(&[("authorization", "Bearer x")]),
            BODY,
            NOW
        ),
        Err(NotGenuine::Unsigned)
    );
}

fn vonage_claims() -> Value {
    json!({"iss": "Vonage", "iat": NOW, "jti": "j1", "api_key": "a", "payload_hash": hash(BODY)})
}

fn messagebird_claims() -> Value {
    let (url_hash, payload_hash) = (hash(URL.as_bytes()), hash(BODY));
    json!({"iss": "MessageBird", "nbf": NOW, "exp": NOW + 300, "jti": "j1", "url_hash": url_hash, "payload_hash": payload_hash})
}

/// The result of verifying a JWT with these claims.
fn found(
    scheme: Scheme,
    claims: &Value,
    body: &[u8],
    now: u64,
) -> Result<Option<String>, NotGenuine> {
    let token = jwt("s2", &json!({"alg": "HS256", "typ": "JWT"}), claims);
    verify_jwt(scheme, &token, body, now)
}

fn verify_jwt(
    scheme: Scheme,
    token: &str,
    body: &[u8],
    now: u64,
) -> Result<Option<String>, NotGenuine> {
    let bearer = format!("Bearer {token}");
    let headers = headers(&[
        ("authorization", &bearer),
        ("messagebird-signature-jwt", token),
    ]);
    verify_at(URL, &verifier(scheme, &["s1", "s2"]), &headers, body, now)
}

#[test]
fn hook_02_a_jwt_counts_for_its_body_its_url_and_its_time() {
    for (scheme, claims) in [
        (Scheme::Vonage, vonage_claims()),
        (Scheme::Messagebird, messagebird_claims()),
    ] {
        assert_eq!(
            found(scheme, &claims, BODY, NOW),
            Ok(Some("j1".to_owned())),
            "by the second of two secrets"
        );
        assert_eq!(
            found(scheme, &claims, b"{\"status\":\"failed\"}", NOW),
            Err(NotGenuine::Forged)
        );
        assert_eq!(found(scheme, &claims, b"", NOW), Err(NotGenuine::Forged));
        for (off, fresh) in [(299, true), (301, false)] {
            assert_eq!(
                found(scheme, &claims, BODY, NOW - off).is_ok(),
                fresh,
                "{off} s early"
            );
            assert_eq!(
                found(scheme, &claims, BODY, NOW + off).is_ok(),
                fresh,
                "{off} s late"
            );
        }
        for (claim, value, why) in [
            ("payload_hash", Value::Null, NotGenuine::Forged),
            ("payload_hash", json!(hash(b"other")), NotGenuine::Forged),
            ("jti", Value::Null, NotGenuine::Unsigned),
            ("jti", json!("x".repeat(129)), NotGenuine::Unsigned),
            ("exp", json!(NOW), NotGenuine::Stale),
            ("exp", json!(-1), NotGenuine::Unsigned),
        ] {
            let mut changed = claims.clone();
            changed[claim] = value;
            assert_eq!(
                found(scheme, &changed, BODY, NOW),
                Err(why),
                "{scheme:?} {claim}"
            );
        }
    }
}

#[test]
fn hook_02_each_provider_has_claims_of_its_own() {
    for (claim, value, why) in [
        ("iss", json!("Somebody"), NotGenuine::Forged),
        (
            "url_hash",
            json!(hash(b"https://otp.bank.example/")),
            NotGenuine::Forged,
        ),
        ("url_hash", Value::Null, NotGenuine::Forged),
        ("nbf", Value::Null, NotGenuine::Stale),
        ("exp", Value::Null, NotGenuine::Stale),
    ] {
        let mut changed = messagebird_claims();
        changed[claim] = value;
        assert_eq!(
            found(Scheme::Messagebird, &changed, BODY, NOW),
            Err(why),
            "{claim}"
        );
    }
    let mut bare = messagebird_claims();
    bare["payload_hash"] = Value::Null;
    assert!(
        found(Scheme::Messagebird, &bare, b"", NOW).is_ok(),
        "a GET has no body, and no hash of one"
    );
    let mut timeless = vonage_claims();
    timeless["iat"] = Value::Null;
    assert_eq!(
        found(Scheme::Vonage, &timeless, BODY, NOW),
        Err(NotGenuine::Stale)
    );
}

#[test]
fn hook_02_no_other_algorithm_is_ever_tried() {
    for (scheme, claims) in [
        (Scheme::Vonage, vonage_claims()),
        (Scheme::Messagebird, messagebird_claims()),
    ] {
        for header in [
            json!({"alg": "none"}),
            json!({"alg": "HS384"}),
            json!({"alg": "RS256"}),
            json!({"alg": "hs256"}),
            json!({}),
            json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        ] {
            assert_eq!(
                verify_jwt(scheme, &jwt("s1", &header, &claims), BODY, NOW),
                Err(NotGenuine::Unsigned),
                "{header}"
            );
        }
        let right = jwt("s1", &json!({"alg": "HS256"}), &claims);
        let (signed, _) = right.rsplit_once('.').unwrap();
        let other = jwt("third", &json!({"alg": "HS256"}), &claims);
        let empty = jwt("", &json!({"alg": "HS256"}), &claims);
        for forged in [
            other,
            empty,
            format!("{signed}."),
            format!("{signed}.AAAA"),
            signed.to_owned(),
            String::new(),
        ] {
            assert!(verify_jwt(scheme, &forged, BODY, NOW).is_err(), "{forged}");
        }
        assert!(verify_jwt(scheme, &right, BODY, NOW).is_ok());
    }
}
