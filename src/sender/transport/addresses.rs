//! Where a provider reaches us: each message has addresses of its own, by its token.

use crate::domain::delivery::receipt::ReceiptToken;

/// What the addresses of a sender's messages begin with.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// To tell what became of a message.
    pub callbacks: String,
    /// To ask what a call says after a key press; `None`: nobody would answer in the provider's language.
    pub calls: Option<String>,
}

impl Addresses {
    /// Where the provider tells what became of this message.
    pub(in crate::sender) fn callback(&self, token: &ReceiptToken) -> String {
        format!("{}/{}", self.callbacks, token.as_str())
    }

    /// Where it asks what this call says; empty: nowhere.
    pub(in crate::sender) fn call(&self, token: &ReceiptToken) -> String {
        self.calls
            .as_ref()
            .map(|calls| format!("{calls}/{}", token.as_str()))
            .unwrap_or_default()
    }
}
