//! Amazon's Signature Version 4, for a POST to the root path without a query.

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac::{HMAC_SHA256, Key, Tag, sign},
};
use zeroize::Zeroizing;

use crate::{domain::time::Timestamp, format::secret::SecretText};

/// The access key, and the service and region for which it signs.
pub(super) struct Credentials {
    pub(super) key_id: SecretText,
    pub(super) secret: SecretText,
    pub(super) region: String,
    pub(super) service: &'static str,
}

/// A time in the form of the header `x-amz-date`: `20150830T123600Z`.
pub(super) fn date(at: Timestamp) -> String {
    let seconds = i64::try_from(at.as_micros() / 1_000_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .unwrap_or(jiff::Timestamp::MAX)
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string()
}

impl Credentials {
    /// The value of the header `authorization`. All given headers are signed, in any order; names in lower case.
    pub(super) fn authorization(
        &self,
        at: Timestamp,
        mut headers: Vec<(&str, &str)>,
        body: &[u8],
    ) -> String {
        headers.sort_unstable();
        let names = headers
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(";");
        let lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}:{}\n", value.trim()))
            .collect();
        let request = format!("POST\n/\n\n{}\n{names}\n{}", lines.concat(), hash(body));

        let date = date(at);
        let day = &date[..8];
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text = format!(
            "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
            hash(request.as_bytes())
        );
        let signature = hex(self.key(day).as_ref(), text.as_bytes());
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.key_id.expose()
        )
    }

    /// The signing key of one day, region and service.
    fn key(&self, day: &str) -> Tag {
        let secret = Zeroizing::new(format!("AWS4{}", self.secret.expose()));
        let day = mac(secret.as_bytes(), day.as_bytes());
        [self.region.as_str(), self.service, "aws4_request"]
            .iter()
            .fold(day, |key, part| mac(key.as_ref(), part.as_bytes()))
    }
}

fn mac(key: &[u8], text: &[u8]) -> Tag {
    sign(&Key::new(HMAC_SHA256, key), text)
}

fn hex(key: &[u8], text: &[u8]) -> String {
    hex::encode(mac(key, text))
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn signatures_are_those_of_amazons_test_suite() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../tests/vectors/aws_sigv4.json")).unwrap();
        let text = |value: &Value| SecretText::new(value.as_str().unwrap().to_owned());
        let credentials = Credentials {
            key_id: text(&vectors["access_key_id"]),
            secret: text(&vectors["secret_access_key"]),
            region: "us-east-1".to_owned(),
            service: "service",
        };
        // 2015-08-30T12:36:00Z
        let at = Timestamp::from_micros(1_440_938_160_000_000);
        assert_eq!(date(at), "20150830T123600Z");
        for case in vectors["cases"].as_array().unwrap() {
            let headers = case["headers"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
            let ours = credentials.authorization(
                at,
                headers.collect(),
                case["body"].as_str().unwrap().as_bytes(),
            );
            assert_eq!(
                ours,
                case["authorization"].as_str().unwrap(),
                "{}",
                case["name"]
            );
        }
        assert!(
            vectors["cases"].as_array().unwrap().len() >= 6,
            "the vectors were read"
        );
    }
}
