//! The id of a request, which its log lines and its answer have in common.

use crate::ports::system::{Entropy, fresh};

/// The id of a request: 16 random hexadecimal digits.
pub(super) struct RequestId([u8; 16]);

impl RequestId {
    pub(super) fn new(entropy: &dyn Entropy) -> Self {
        let mut digits = [b'0'; 16];
        // Cannot fail: the lengths match.
        let _ = hex::encode_to_slice(fresh::<8>(entropy), &mut digits);
        Self(digits)
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}
