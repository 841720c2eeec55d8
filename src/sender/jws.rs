//! Signs the tokens (RFC 7519, JWT) that authenticate this service to push services and providers.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};

use crate::format::secret::SecretText;

const NO_PEM: WrongKey = WrongKey("holds no private key in PEM form");
const NO_P256: WrongKey = WrongKey("holds no private key of the curve P-256");
const NO_RSA: WrongKey = WrongKey("holds no private RSA key of at least 2048 bits");

/// The file holds no key of the required kind. The text is the end of a sentence that begins with
/// the key of the setting.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongKey(&'static str);

/// Signs tokens with one key by one algorithm. It holds the key, so it has no `Debug`.
pub(super) struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
}

impl Signer {
    /// A signer with ECDSA over P-256, and the public key as an uncompressed point.
    pub(super) fn es256(pem: &SecretText) -> Result<(Self, Vec<u8>), WrongKey> {
        let pair = EcdsaKeyPair::from_private_key_der(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            der(pem)?.secret_der(),
        );
        let pair = pair.map_err(|_| NO_P256)?;
        // The library reads PKCS#8 only; OpenSSL also writes SEC 1.
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| NO_P256)?;
        let key = EncodingKey::from_ec_der(pkcs8.as_ref());
        let public = pair.public_key().as_ref().to_vec();
        Ok((Self::tried(key, Algorithm::ES256).ok_or(NO_P256)?, public))
    }

    /// A signer with RSA (PKCS #1 v1.5) and SHA-256.
    pub(super) fn rs256(pem: &SecretText) -> Result<Self, WrongKey> {
        der(pem)?;
        let key = EncodingKey::from_rsa_pem(pem.expose().as_bytes()).map_err(|_| NO_RSA)?;
        Self::tried(key, Algorithm::RS256).ok_or(NO_RSA)
    }

    /// The library checks a key only when it signs, so a first signature is made here.
    fn tried(key: EncodingKey, algorithm: Algorithm) -> Option<Self> {
        let signer = Self { key, algorithm };
        signer.try_sign(None, &json!({})).map(|_token| signer)
    }

    /// A token with these claims. `kid` names the key, for receivers that know several.
    pub(super) fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        self.try_sign(kid, claims)
            .expect("a key that signed once signs again")
    }

    fn try_sign(&self, kid: Option<&str>, claims: &Value) -> Option<String> {
        let header = Header {
            kid: kid.map(str::to_owned),
            ..Header::new(self.algorithm)
        };
        encode(&header, claims, &self.key).ok()
    }
}

fn der(pem: &SecretText) -> Result<PrivateKeyDer<'static>, WrongKey> {
    PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| NO_PEM)
}

#[cfg(test)]
pub(super) mod tests {
    use aws_lc_rs::{
        encoding::{AsDer as _, EcPrivateKeyRfc5915Der},
        signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
    };
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
    use rcgen::PublicKeyData as _;

    use super::*;

    /// A fresh P-256 key in PEM form, as Apple issues them and as `openssl genpkey` makes them.
    pub(in super::super) fn ec_pem() -> SecretText {
        SecretText::new(rcgen::KeyPair::generate().unwrap().serialize_pem())
    }

    fn rsa() -> rcgen::KeyPair {
        rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap()
    }

    /// A fresh RSA key in PEM form, as Google issues them.
    pub(in super::super) fn rsa_pem() -> String {
        rsa().serialize_pem()
    }

    /// Header and claims of a token if this P-256 public key verifies its signature. It does not
    /// use the library that signs.
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
    fn a_token_verifies_with_the_public_key_of_its_signer_and_no_other() {
        let (signer, public) = Signer::es256(&ec_pem()).unwrap();
        let token = signer.sign(Some("K1"), &json!({"iss": "T1"}));
        let (header, claims) = verified(&token, &public).unwrap();
        assert_eq!(
            (header, claims),
            (
                json!({"alg": "ES256", "typ": "JWT", "kid": "K1"}),
                json!({"iss": "T1"})
            )
        );
        let (_, other) = Signer::es256(&ec_pem()).unwrap();
        assert!(verified(&token, &other).is_none(), "another key");

        let key = rsa();
        let token = Signer::rs256(&SecretText::new(key.serialize_pem()))
            .unwrap()
            .sign(None, &json!({}));
        let (text, signature) = token.rsplit_once('.').unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.der_bytes());
        assert!(public.verify(text.as_bytes(), &signature).is_ok());
        let header = text.split_once('.').unwrap().0;
        let header: Value =
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        assert_eq!(header, json!({"alg": "RS256", "typ": "JWT"}));
    }

    fn pem(label: &str, der: &[u8]) -> SecretText {
        let base64 = BASE64_STANDARD.encode(der);
        SecretText::new(format!(
            "-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n"
        ))
    }

    #[test]
    fn keys_are_read_in_the_older_forms_of_openssl_too() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let sec_1: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
        assert!(Signer::es256(&pem("EC PRIVATE KEY", sec_1.as_ref())).is_ok());
        // A PKCS#8 key of 2048 bits is 26 bytes of header and then the PKCS#1 key.
        let pkcs_8 = rsa().serialize_der();
        assert!(Signer::rs256(&pem("RSA PRIVATE KEY", &pkcs_8[26..])).is_ok());
    }

    #[test]
    fn a_file_without_such_a_key_is_refused_with_its_reason() {
        let es256 = |pem: &str| {
            Signer::es256(&SecretText::new(pem.to_owned()))
                .err()
                .unwrap()
                .to_string()
        };
        assert_eq!(es256("secret"), "holds no private key in PEM form");
        assert_eq!(es256(&rsa_pem()), "holds no private key of the curve P-256");
        let rs256 = Signer::rs256(&ec_pem()).err().unwrap().to_string();
        assert_eq!(rs256, "holds no private RSA key of at least 2048 bits");
    }
}
