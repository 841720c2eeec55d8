//! Signed tokens in the compact form of RFC 7515, by which push services know us.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeyPair as RsaKeyPair,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};

use crate::format::secret::SecretText;

/// A key has another form, as the end of a sentence that begins with the name of its file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongKey(&'static str);

enum Key {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

/// Signs tokens with one key. It holds the key, so it has no `Debug`.
pub(super) struct Signer(Key);

impl Signer {
    /// By ECDSA over P-256.
    pub(super) fn es256(pem: &SecretText) -> Result<Self, WrongKey> {
        let key = EcdsaKeyPair::from_private_key_der(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            der(pem)?.secret_der(),
        );
        key.map(|key| Self(Key::Es256(key)))
            .map_err(|_| WrongKey("holds no private key of the curve P-256"))
    }

    /// By RSA, PKCS #1 v1.5.
    pub(super) fn rs256(pem: &SecretText) -> Result<Self, WrongKey> {
        let der = der(pem)?;
        let key = match &der {
            PrivateKeyDer::Pkcs1(pkcs1) => RsaKeyPair::from_der(pkcs1.secret_pkcs1_der()),
            other => RsaKeyPair::from_pkcs8(other.secret_der()),
        };
        key.map(|key| Self(Key::Rs256(key)))
            .map_err(|_| WrongKey("holds no private key of RSA"))
    }

    /// A token with these claims; `kid` names the key to those who know several.
    pub(super) fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = json!({ "alg": self.algorithm(), "typ": "JWT" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = format!("{}.{}", part(&header), part(claims));
        let signature = self.signature(token.as_bytes());
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    /// The public key: of P-256 an uncompressed point.
    pub(super) fn public(&self) -> &[u8] {
        match &self.0 {
            Key::Es256(key) => key.public_key().as_ref(),
            Key::Rs256(key) => key.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self.0 {
            Key::Es256(_) => "ES256",
            Key::Rs256(_) => "RS256",
        }
    }

    fn signature(&self, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.0 {
            Key::Es256(key) => key
                .sign(&random, text)
                .expect("a key that was read signs")
                .as_ref()
                .to_vec(),
            Key::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature)
                    .expect("a key that was read signs");
                signature
            }
        }
    }
}

fn der(pem: &SecretText) -> Result<PrivateKeyDer<'static>, WrongKey> {
    PrivateKeyDer::from_pem_slice(pem.expose().as_bytes())
        .map_err(|_| WrongKey("holds no private key in PEM form"))
}

#[cfg(test)]
pub(super) mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    };

    use super::*;

    /// A fresh key of P-256 in PEM, as Apple gives them and as `openssl genpkey` makes them.
    pub(in super::super) fn ec_pem() -> SecretText {
        SecretText::new(rcgen::KeyPair::generate().unwrap().serialize_pem())
    }

    /// A fresh key of RSA in PEM, as Google gives them.
    pub(in super::super) fn rsa_pem() -> String {
        rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
            .unwrap()
            .serialize_pem()
    }

    /// Header and claims of a token that this public key of P-256 vouches for.
    pub(in super::super) fn verified(token: &str, public: &[u8]) -> Option<(Value, Value)> {
        let (text, signature) = token.rsplit_once('.')?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
            .verify(text.as_bytes(), &signature)
            .ok()?;
        let part =
            |text: &str| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        let (header, claims) = text.split_once('.')?;
        Some((part(header)?, part(claims)?))
    }

    #[test]
    fn a_token_is_what_its_public_key_vouches_for() {
        let signer = Signer::es256(&ec_pem()).unwrap();
        let token = signer.sign(Some("K1"), &json!({"iss": "T1"}));
        let (header, claims) = verified(&token, signer.public()).unwrap();
        assert_eq!(
            (header, claims),
            (
                json!({"alg": "ES256", "typ": "JWT", "kid": "K1"}),
                json!({"iss": "T1"})
            )
        );
        assert!(
            verified(&token, Signer::es256(&ec_pem()).unwrap().public()).is_none(),
            "another key"
        );

        let signer = Signer::rs256(&SecretText::new(rsa_pem())).unwrap();
        let token = signer.sign(None, &json!({}));
        let (text, signature) = token.rsplit_once('.').unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, signer.public());
        assert!(key.verify(text.as_bytes(), &signature).is_ok());
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_reason() {
        let es256 = |pem: &str| {
            Signer::es256(&SecretText::new(pem.to_owned()))
                .err()
                .unwrap()
                .to_string()
        };
        assert_eq!(es256("secret"), "holds no private key in PEM form");
        assert_eq!(es256(&rsa_pem()), "holds no private key of the curve P-256");
        let rs256 = Signer::rs256(&ec_pem()).err().unwrap().to_string();
        assert_eq!(rs256, "holds no private key of RSA");
    }
}
