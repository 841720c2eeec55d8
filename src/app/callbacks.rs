//! The routes that providers call.

use axum::Router;

use super::App;
use crate::{
    domain::ids::SenderName,
    http::callbacks::{self, Callbacks},
};

impl App {
    /// The routes that providers call; none without a public URL.
    pub(super) fn callbacks(&self) -> Router {
        let Some(public_url) = self.settings.http.public_url.clone() else {
            return Router::new();
        };
        let receiver = |(name, sender): (&String, &crate::config::ConfiguredSender)| {
            Some((SenderName::parse(name).ok()?, sender.receiver.clone()?))
        };
        callbacks::router(Callbacks {
            service: self.service.clone(),
            public_url,
            receivers: self.settings.senders.iter().filter_map(receiver).collect(),
        })
    }
}
