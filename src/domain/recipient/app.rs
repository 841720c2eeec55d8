//! Addresses of push messages: the token of an app installation, or the subscription of a browser.

use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, UnparsedPublicKey};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::Value;

use crate::domain::ids::Invalid;

/// Longest address, with its prefix. Endpoints of browsers have 150 to 500 characters.
const ADDRESS_BYTES_MAX: usize = 1024;
/// Bytes of an uncompressed point of P-256.
const P256DH_BYTES: usize = 65;
/// Bytes of the authentication secret of RFC 8291.
const AUTH_BYTES: usize = 16;

/// The push service that reaches an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushKind {
    /// Firebase Cloud Messaging (FCM), by a registration token.
    Fcm,
    /// Apple Push Notification service (APNs), by a device token.
    Apns,
    /// Web Push to a browser (RFC 8030).
    WebPush,
}

impl PushKind {
    /// All push services, for finding one by its prefix.
    pub const ALL: [Self; 3] = [Self::Fcm, Self::Apns, Self::WebPush];

    /// The prefix of its addresses, without the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fcm => "fcm",
            Self::Apns => "apns",
            Self::WebPush => "webpush",
        }
    }

    /// Splits an address into its push service and the rest behind the colon.
    #[must_use]
    pub fn split(address: &str) -> Option<(Self, &str)> {
        let (prefix, rest) = address.split_once(':')?;
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == prefix)
            .map(|kind| (kind, rest))
    }
}

/// The subscription that a browser gives to a page. Whoever knows it can send messages, so
/// it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The `https` URL that takes the messages.
    pub endpoint: String,
    /// The browser's public key: an uncompressed point of P-256.
    pub p256dh: [u8; P256DH_BYTES],
    /// The browser's authentication secret (RFC 8291).
    pub auth: [u8; AUTH_BYTES],
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscription(hidden)")
    }
}

impl Subscription {
    /// Parses the base64url of the browser's JSON; members other than the endpoint and the keys are ignored.
    ///
    /// # Errors
    /// Names the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const FORM: Invalid = Invalid(
            "must be webpush: and base64url, without padding, of the browser's subscription in JSON",
        );
        let json = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| FORM)?;
        let json: Value = serde_json::from_slice(&json).map_err(|_| FORM)?;
        let endpoint = json["endpoint"]
            .as_str()
            .filter(|endpoint| is_endpoint(endpoint));
        let endpoint =
            endpoint.ok_or(Invalid("must hold an endpoint that is a plain https URL"))?;
        let p256dh = key(&json["keys"]["p256dh"]).filter(is_on_curve);
        let auth = key(&json["keys"]["auth"]);
        Ok(Self {
            endpoint: endpoint.to_owned(),
            p256dh: p256dh.ok_or(Invalid(
                "must hold keys.p256dh, base64url of a point of P-256 in 65 bytes",
            ))?,
            auth: auth.ok_or(Invalid("must hold keys.auth, base64url of 16 bytes"))?,
        })
    }

    /// The canonical form: base64url of JSON with only these members, sorted.
    fn canonical(&self) -> String {
        let (auth, p256dh) = (
            BASE64_URL_SAFE_NO_PAD.encode(self.auth),
            BASE64_URL_SAFE_NO_PAD.encode(self.p256dh),
        );
        // An endpoint has no character that JSON would escape.
        let json = format!(
            r#"{{"endpoint":"{}","keys":{{"auth":"{auth}","p256dh":"{p256dh}"}}}}"#,
            self.endpoint
        );
        BASE64_URL_SAFE_NO_PAD.encode(json)
    }
}

/// The canonical form of an address: the prefix, and the rest in the form of its push service.
pub(in crate::domain) fn canonical(address: &str) -> Result<String, Invalid> {
    if address.len() > ADDRESS_BYTES_MAX {
        return Err(Invalid("must be at most 1024 bytes"));
    }
    let unknown = Invalid("must begin with fcm:, apns: or webpush:");
    let (kind, rest) = PushKind::split(address).ok_or(unknown)?;
    let all = |fits: fn(u8) -> bool| rest.bytes().all(fits);
    let rest = match kind {
        PushKind::Fcm if (32..=512).contains(&rest.len()) && all(is_token) => rest.to_owned(),
        PushKind::Fcm => {
            return Err(Invalid(
                "must be fcm: and a registration token, 32 to 512 of A-Z, a-z, 0-9, _, - and :",
            ));
        }
        // Apple says that the length may change; it has been 32 bytes so far.
        PushKind::Apns
            if (64..=200).contains(&rest.len())
                && rest.len().is_multiple_of(2)
                && all(|b| b.is_ascii_hexdigit()) =>
        {
            rest.to_ascii_lowercase()
        }
        PushKind::Apns => {
            return Err(Invalid(
                "must be apns: and a device token, 64 to 200 hexadecimal digits",
            ));
        }
        PushKind::WebPush => Subscription::parse(rest)?.canonical(),
    };
    let canonical = format!("{}:{rest}", kind.as_str());
    if canonical.len() > ADDRESS_BYTES_MAX {
        Err(Invalid("must be at most 1024 bytes"))
    } else {
        Ok(canonical)
    }
}

/// `app •••• 4f2a`: the end of the token, or of the browser's endpoint.
pub(in crate::domain) fn mask(address: &str) -> String {
    let (kind, rest) = PushKind::split(address).unwrap_or((PushKind::Fcm, ""));
    let end = |text: &str| {
        text.get(text.len().saturating_sub(4)..)
            .unwrap_or_default()
            .to_owned()
    };
    let end = match kind {
        PushKind::Fcm | PushKind::Apns => end(rest),
        PushKind::WebPush => Subscription::parse(rest).map_or_else(
            |_| String::new(),
            |subscription| end(&subscription.endpoint),
        ),
    };
    format!("app •••• {end}")
}

/// The push service that an address leads to: its prefix, and of a browser's endpoint the last two labels of the host.
pub(in crate::domain) fn area(address: &str) -> String {
    let Some((kind, rest)) = PushKind::split(address) else {
        return String::new();
    };
    let endpoint = match kind {
        PushKind::Fcm | PushKind::Apns => None,
        PushKind::WebPush => Subscription::parse(rest).ok(),
    };
    let host = endpoint
        .as_ref()
        .and_then(|browser| host(&browser.endpoint));
    let labels: Vec<&str> = host.unwrap_or_default().rsplitn(3, '.').take(2).collect();
    format!("{} {}", kind.as_str(), labels.join(" ")).to_ascii_lowercase()
}

/// The host of an endpoint, without its port.
fn host(endpoint: &str) -> Option<&str> {
    let authority = endpoint
        .strip_prefix("https://")?
        .split(['/', '?'])
        .next()?;
    Some(
        authority
            .split_once(':')
            .map_or(authority, |(host, _)| host),
    )
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':')
}

/// A first check of the URL; the sender checks it more strictly before it sends anything.
fn is_endpoint(text: &str) -> bool {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'<' | b'>' | b'#'));
    let authority = text
        .strip_prefix("https://")
        .map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    plain
        && authority
            .is_some_and(|authority| !authority.is_empty() && !authority.contains(['@', '%']))
}

fn key<const N: usize>(value: &Value) -> Option<[u8; N]> {
    BASE64_URL_SAFE_NO_PAD
        .decode(value.as_str()?)
        .ok()?
        .try_into()
        .ok()
}

fn is_on_curve(point: &[u8; P256DH_BYTES]) -> bool {
    point[0] == 4 && ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, point)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of RFC 8291, section 5.
    const P256DH: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
    const ENDPOINT: &str = "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV";

    fn browser(endpoint: &str, p256dh: &str, auth: &str) -> String {
        let json = format!(
            r#"{{ "keys": {{"p256dh": "{p256dh}", "auth": "{auth}"}}, "expirationTime": null, "endpoint": "{endpoint}" }}"#
        );
        format!("webpush:{}", BASE64_URL_SAFE_NO_PAD.encode(json))
    }

    #[test]
    fn an_address_of_an_app_has_one_form() {
        let token = "dG9rZW4_-:".repeat(4);
        for (given, form) in [
            (format!("fcm:{token}"), format!("fcm:{token}")),
            (
                format!("apns:{}", "AbCd".repeat(16)),
                format!("apns:{}", "abcd".repeat(16)),
            ),
        ] {
            assert_eq!(canonical(&given).as_ref(), Ok(&form));
            assert_eq!(
                canonical(&form).as_ref(),
                Ok(&form),
                "and its own form is itself"
            );
        }
    }

    #[test]
    fn a_subscription_is_the_same_however_its_json_is_written() {
        let form = canonical(&browser(ENDPOINT, P256DH, AUTH)).unwrap();
        assert_eq!(canonical(&form).as_ref(), Ok(&form));
        let (kind, rest) = PushKind::split(&form).unwrap();
        let subscription = Subscription::parse(rest).unwrap();
        assert_eq!(
            (kind, subscription.endpoint.as_str()),
            (PushKind::WebPush, ENDPOINT)
        );
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(subscription.p256dh), P256DH);
        assert!(!format!("{subscription:?}").contains("push.example"));
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_with_its_reason() {
        let off_curve = BASE64_URL_SAFE_NO_PAD.encode([4; 65]);
        let json = |text: &str| format!("webpush:{}", BASE64_URL_SAFE_NO_PAD.encode(text));
        for (given, reason) in [
            (String::new(), "must begin with"),
            ("gcm:x".to_owned(), "must begin with"),
            (format!("FCM:{}", "a".repeat(40)), "must begin with"),
            ("fcm:short".to_owned(), "registration token"),
            (format!("fcm:{} b", "a".repeat(40)), "registration token"),
            (format!("fcm:{}", "a".repeat(513)), "registration token"),
            (format!("apns:{}", "a".repeat(65)), "hexadecimal"),
            (format!("apns:{}", "g".repeat(64)), "hexadecimal"),
            ("webpush:{}".to_owned(), "base64url"),
            (format!("{}=", browser(ENDPOINT, P256DH, AUTH)), "base64url"),
            (json("[]"), "endpoint"),
            (browser("http://push.example.net/x", P256DH, AUTH), "https"),
            (
                browser("https://u@push.example.net/x", P256DH, AUTH),
                "https",
            ),
            (browser("https:///x", P256DH, AUTH), "https"),
            (browser(ENDPOINT, &P256DH[1..], AUTH), "p256dh"),
            (browser(ENDPOINT, &off_curve, AUTH), "p256dh"),
            (browser(ENDPOINT, P256DH, "BTBZ"), "auth"),
            (
                browser(
                    &format!("https://x.example/{}", "a".repeat(800)),
                    P256DH,
                    AUTH,
                ),
                "at most 1024",
            ),
        ] {
            let refused = canonical(&given).unwrap_err();
            assert!(refused.0.contains(reason), "{given}: {}", refused.0);
        }
    }

    #[test]
    fn send_15_all_installations_of_a_push_service_are_one_area() {
        let browser = |endpoint| area(&canonical(&browser(endpoint, P256DH, AUTH)).unwrap());
        assert_eq!(area(&format!("fcm:{}", "a".repeat(40))), "fcm ");
        assert_eq!(
            area(&format!("apns:{}", "0".repeat(64))),
            area(&format!("apns:{}", "1".repeat(64)))
        );
        assert_eq!(
            browser("https://a.push.example.net/1"),
            "webpush net example"
        );
        assert_eq!(
            browser("https://a.push.example.net/1"),
            browser("https://B.PUSH.Example.NET:8443?2")
        );
        assert_ne!(
            browser("https://a.push.example.net/1"),
            browser("https://a.push.example.org/1")
        );
    }

    #[test]
    fn log_03_an_address_shows_its_end_alone() {
        assert_eq!(
            mask(&format!("apns:{}4f2a", "0".repeat(60))),
            "app •••• 4f2a"
        );
        assert_eq!(
            mask(&canonical(&browser(ENDPOINT, P256DH, AUTH)).unwrap()),
            "app •••• JUsV"
        );
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_panics_and_a_canonical_address_is_its_own_form(
            kind in 0..4_usize,
            rest in "[A-Za-z0-9_:{}\"-]{0,90}",
            json in any::<bool>(),
        ) {
            let prefix = ["fcm:", "apns:", "webpush:", ""][kind];
            let rest = if json { BASE64_URL_SAFE_NO_PAD.encode(&rest) } else { rest };
            if let Ok(canonical) = canonical(&format!("{prefix}{rest}")) {
                prop_assert!(mask(&canonical).starts_with("app •••• "));
                prop_assert_eq!(super::canonical(&canonical), Ok(canonical.clone()));
            }
        }
    }
}
