//! Encrypts a message for one browser: RFC 8291 with the content coding of RFC 8188.

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree},
    error::Unspecified,
    hkdf::{HKDF_SHA256, KeyType, Salt},
};

use crate::domain::recipient::app::Subscription;

/// The record size in bytes: the largest that every push service must accept.
const RECORD_BYTES: u32 = 4096;
/// The header: salt, record size, length of the key id, and the key id, which is
/// the sender's public key.
const HEADER_BYTES: usize = 16 + 4 + 1 + 65;
const TAG_BYTES: usize = 16;
/// The delimiter of the last record.
const LAST: u8 = 2;
/// The longest text that fits into the record, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = RECORD_BYTES as usize - HEADER_BYTES - TAG_BYTES - 1;

/// The encrypted body of a push message, with a key pair made for it. The text must have
/// at most [`TEXT_BYTES_MAX`] bytes.
pub(super) fn sealed(
    to: &Subscription,
    text: &[u8],
    salt: [u8; 16],
) -> Result<Vec<u8>, Unspecified> {
    seal_by(&PrivateKey::generate(&ECDH_P256)?, to, text, salt)
}

fn seal_by(
    key: &PrivateKey,
    to: &Subscription,
    text: &[u8],
    salt: [u8; 16],
) -> Result<Vec<u8>, Unspecified> {
    let public = key.compute_public_key()?;
    let info = [b"WebPush: info\0", &to.p256dh[..], public.as_ref()];
    let peer = UnparsedPublicKey::new(&ECDH_P256, to.p256dh);
    let input: [u8; 32] = agree(key, peer, Unspecified, |shared| {
        derive(&to.auth, shared, &info)
    })?;
    let content_key: [u8; 16] = derive(&salt, &input, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce: [u8; 12] = derive(&salt, &input, &[b"Content-Encoding: nonce\0"])?;

    let mut record = [text, &[LAST]].concat();
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &content_key)?);
    cipher.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::empty(),
        &mut record,
    )?;
    Ok([
        &salt[..],
        &RECORD_BYTES.to_be_bytes(),
        &[65],
        public.as_ref(),
        &record,
    ]
    .concat())
}

/// HKDF with SHA-256, RFC 5869.
fn derive<const N: usize>(
    salt: &[u8],
    input: &[u8],
    info: &[&[u8]],
) -> Result<[u8; N], Unspecified> {
    struct Bytes(usize);
    impl KeyType for Bytes {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut out = [0; N];
    Salt::new(HKDF_SHA256, salt)
        .extract(input)
        .expand(info, Bytes(N))?
        .fill(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    use serde_json::Value;

    use super::*;

    fn vector() -> Value {
        serde_json::from_str(include_str!("../../../../tests/vectors/rfc8291.json")).unwrap()
    }

    fn bytes<const N: usize>(name: &str) -> [u8; N] {
        BASE64_URL_SAFE_NO_PAD
            .decode(vector()[name].as_str().unwrap())
            .unwrap()
            .try_into()
            .unwrap()
    }

    fn subscription() -> Subscription {
        Subscription {
            endpoint: String::new(),
            p256dh: bytes("ua_public"),
            auth: bytes("auth_secret"),
        }
    }

    #[test]
    fn the_message_of_rfc_8291_is_encrypted_as_it_says() {
        let key = PrivateKey::from_private_key(&ECDH_P256, &bytes::<32>("as_private")).unwrap();
        let text = BASE64_URL_SAFE_NO_PAD
            .decode(vector()["plaintext"].as_str().unwrap())
            .unwrap();
        let body = seal_by(&key, &subscription(), &text, bytes("salt")).unwrap();
        assert_eq!(
            BASE64_URL_SAFE_NO_PAD.encode(body),
            vector()["message"].as_str().unwrap()
        );
    }

    #[test]
    fn no_two_messages_share_a_key_and_the_longest_is_as_large_as_services_take() {
        let one = sealed(&subscription(), b"x", [7; 16]).unwrap();
        assert_ne!(one, sealed(&subscription(), b"x", [7; 16]).unwrap());
        assert_eq!(
            sealed(&subscription(), &[0; TEXT_BYTES_MAX], [7; 16])
                .unwrap()
                .len(),
            4096
        );
    }
}
