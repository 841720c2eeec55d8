//! A provider's receipt for a message that it accepted, and the token that leads a receipt to its
//! delivery.

use std::fmt;

use subtle::ConstantTimeEq as _;

use super::reason::Reason;
use crate::domain::{
    crypto::keyring::Keyring,
    ids::{DeliveryId, SubjectKey},
};
use crate::format::base58;

/// The status that a provider reports for a message after it accepted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// The provider has sent it on.
    Sent,
    /// It arrived at the customer's device.
    Delivered,
    /// It will not arrive.
    Undelivered {
        /// The code of the provider, or its word for the state.
        reason: Reason,
    },
}

impl Receipt {
    /// The name used in metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Undelivered { .. } => "undelivered",
        }
    }
}

const ID_BYTES: usize = 16;
const TAG_BYTES: usize = 8;
const TOKEN_BYTES: usize = 2 * ID_BYTES + TAG_BYTES;
/// The fewest digits that hold 320 bits.
const TOKEN_CHARS: usize = 55;

/// A token that goes to a provider with a message and comes back with its receipts: 55 base58
/// characters that name the record and the delivery, with a tag that only this service can
/// make, for one sender.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceiptToken(String);

impl ReceiptToken {
    /// The token of a delivery for a sender of the settings.
    #[must_use]
    pub fn new(keyring: &Keyring, sender: &str, key: &SubjectKey, delivery: &DeliveryId) -> Self {
        let raw = [
            key.0.as_slice(),
            &delivery.0,
            &tag(keyring, sender, key, delivery),
        ]
        .concat();
        let digits: [u8; TOKEN_CHARS] = base58::encode(&raw);
        Self(digits.iter().copied().map(char::from).collect())
    }

    /// The 55 characters, only for the sender's request.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The record and the delivery that a token names; `None` if this service did not make
    /// it for this sender.
    #[must_use]
    pub fn open(keyring: &Keyring, sender: &str, text: &str) -> Option<(SubjectKey, DeliveryId)> {
        let digits = Some(text.as_bytes()).filter(|digits| digits.len() == TOKEN_CHARS)?;
        let raw: [u8; TOKEN_BYTES] = base58::decode(digits)?;
        let (key, rest) = raw.split_first_chunk::<ID_BYTES>()?;
        let (delivery, said) = rest.split_first_chunk::<ID_BYTES>()?;
        let (key, delivery) = (SubjectKey(*key), DeliveryId(*delivery));
        bool::from(tag(keyring, sender, &key, &delivery).ct_eq(said)).then_some((key, delivery))
    }
}

impl fmt::Debug for ReceiptToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReceiptToken(hidden)")
    }
}

/// A keyed tag of 64 bits: a forger has one chance in 2^64 per call, and gains no more
/// than a wrong status.
fn tag(
    keyring: &Keyring,
    sender: &str,
    key: &SubjectKey,
    delivery: &DeliveryId,
) -> [u8; TAG_BYTES] {
    let mark = keyring.mark("receipt", &[sender.as_bytes(), &key.0, &delivery.0]);
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&mark[..TAG_BYTES]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::crypto::keyring::tests::ring;

    const KEY: SubjectKey = SubjectKey([3; 16]);
    const DELIVERY: DeliveryId = DeliveryId([4; 16]);

    #[test]
    fn a_token_finds_its_delivery_for_its_sender_only() {
        let keyring = ring(1, &["a"]);
        let token = ReceiptToken::new(&keyring, "twilio", &KEY, &DELIVERY);
        assert_eq!(token.as_str().len(), TOKEN_CHARS);
        assert_eq!(
            ReceiptToken::open(&keyring, "twilio", token.as_str()),
            Some((KEY, DELIVERY))
        );
        assert_eq!(
            ReceiptToken::open(&keyring, "vonage", token.as_str()),
            None,
            "of another provider"
        );
        assert_eq!(
            ReceiptToken::open(&ring(2, &["a"]), "twilio", token.as_str()),
            None,
            "of another service"
        );
        assert_eq!(format!("{token:?}"), "ReceiptToken(hidden)");
    }

    #[test]
    fn a_changed_token_is_none() {
        let keyring = ring(1, &["a"]);
        let token = ReceiptToken::new(&keyring, "twilio", &KEY, &DELIVERY)
            .as_str()
            .to_owned();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'2' { b'3' } else { b'2' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(
                ReceiptToken::open(&keyring, "twilio", &changed),
                None,
                "{changed}"
            );
        }
        for other in [
            "",
            "1",
            &token[1..],
            &format!("{token}1"),
            &"z".repeat(TOKEN_CHARS),
            &"é".repeat(TOKEN_CHARS),
        ] {
            assert_eq!(
                ReceiptToken::open(&keyring, "twilio", other),
                None,
                "{other}"
            );
        }
    }
}
