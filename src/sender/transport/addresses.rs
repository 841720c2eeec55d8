//! The URLs of providers' callbacks. Each message has its own URL, which ends in its token.

use crate::domain::delivery::receipt::ReceiptToken;

/// The prefixes of the callback URLs of one sender's messages.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The prefix of the URLs for receipts.
    pub callbacks: String,
    /// The prefix of the URLs that give a call's text after a key press; `None` if the provider's
    /// call language is not supported.
    pub calls: Option<String>,
}

impl Addresses {
    /// The URL at which the provider reports receipts of this message.
    pub(in crate::sender) fn callback(&self, token: &ReceiptToken) -> String {
        format!("{}/{}", self.callbacks, token.as_str())
    }

    /// The URL at which the provider asks for the text of this call; empty if it cannot ask.
    pub(in crate::sender) fn call(&self, token: &ReceiptToken) -> String {
        self.calls
            .as_ref()
            .map(|calls| format!("{calls}/{}", token.as_str()))
            .unwrap_or_default()
    }
}
