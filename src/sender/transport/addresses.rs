//! The URLs under which a provider calls us back: each message has its own, ending in its token.

use crate::domain::delivery::receipt::ReceiptToken;

/// The beginnings of the callback URLs of one sender's messages.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// For receipts, which say what became of a message.
    pub callbacks: String,
    /// For the question what a call says after a key press; `None` if we do not speak the provider's call language.
    pub calls: Option<String>,
}

impl Addresses {
    /// Where the provider reports what became of this message.
    pub(in crate::sender) fn callback(&self, token: &ReceiptToken) -> String {
        format!("{}/{}", self.callbacks, token.as_str())
    }

    /// Where the provider asks what this call says; empty if it cannot ask.
    pub(in crate::sender) fn call(&self, token: &ReceiptToken) -> String {
        self.calls
            .as_ref()
            .map(|calls| format!("{calls}/{}", token.as_str()))
            .unwrap_or_default()
    }
}
