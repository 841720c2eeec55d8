//! The routes that providers call.

use std::collections::BTreeMap;

use axum::Router;

use super::App;
use crate::{
    domain::ids::SenderName,
    http::callbacks::{self, Callbacks},
};

impl App {
    /// The routes that providers call; none without a public URL, or if no sender gets callbacks.
    pub(super) fn callbacks(&self) -> Router {
        let receiver = |(name, sender): (&String, &crate::config::ConfiguredSender)| {
            Some((SenderName::parse(name).ok()?, sender.receiver.clone()?))
        };
        let senders = self.settings.senders.iter();
        let receivers: BTreeMap<_, _> = senders.filter_map(receiver).collect();
        let Some(public_url) = self.settings.http.public_url.clone() else {
            return Router::new();
        };
        if receivers.is_empty() {
            return Router::new();
        }
        callbacks::router(Callbacks {
            service: self.service.clone(),
            receipts: self.receipts.clone(),
            public_url,
            receivers,
        })
    }
}
