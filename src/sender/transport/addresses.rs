//! The URLs of providers' callbacks. Each message has its own URL, which ends in its token.

use crate::{domain::delivery::receipt::ReceiptToken, format::secret::SecretText};

/// The prefixes of the callback URLs of one sender's messages.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The prefix of the URLs for receipts.
    pub callbacks: String,
    /// The prefix of the URLs that give a call's text after a key press; `None` if the provider's
    /// call language is not supported.
    pub calls: Option<String>,
    /// User name and password, with a colon between them, that the URLs for receipts carry for providers that
    /// authenticate themselves only in that way; `None`: the URLs are without.
    pub login: Option<SecretText>,
}

impl Addresses {
    /// The URL at which the provider reports receipts of this message.
    pub(in crate::sender) fn callback(&self, token: &ReceiptToken) -> String {
        let url = format!("{}/{}", self.callbacks, token.as_str());
        match (&self.login, url.split_once("://")) {
            (Some(login), Some((scheme, rest))) => format!("{scheme}://{}@{rest}", login.expose()),
            (None, _) | (_, None) => url,
        }
    }

    /// The URL at which the provider asks for the text of this call; empty if it cannot ask.
    pub(in crate::sender) fn call(&self, token: &ReceiptToken) -> String {
        self.calls
            .as_ref()
            .map(|calls| format!("{calls}/{}", token.as_str()))
            .unwrap_or_default()
    }
}
