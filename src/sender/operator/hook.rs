//! Asks the operator's hook before each hand-over, by a signed webhook or over gRPC.

mod grpc;
mod http;

use std::{sync::Arc, time::Duration};

use self::{grpc::GrpcHook, http::HttpHook};
use crate::{
    ports::{hook::Hook, system::Clock},
    sender::{
        settings::SettingError,
        transport::{peer::PeerSettings, signed::SignedSettings},
    },
};

/// How the hook is called.
#[derive(Clone, Debug)]
pub enum HookCall {
    /// By signed webhooks over HTTP.
    Http(SignedSettings),
    /// Over gRPC, as `SendHookService`.
    Grpc(PeerSettings),
}

impl HookCall {
    /// The time limit of one answer.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        match self {
            Self::Http(signed) => signed.connection.timeout,
            Self::Grpc(peer) => peer.timeout,
        }
    }

    /// Builds the client of the hook. Reads `ca_file`, so it blocks; never opens a connection.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn build(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Hook>, SettingError> {
        Ok(match self {
            Self::Http(signed) => Arc::new(HttpHook::new(signed, clock)?),
            Self::Grpc(peer) => Arc::new(GrpcHook::new(peer)?),
        })
    }

    /// All settings that cannot be used. Blocks as [`Self::build`] does.
    #[must_use]
    pub fn problems(&self) -> Vec<SettingError> {
        match self {
            Self::Http(signed) => signed.problems(),
            Self::Grpc(peer) => peer.problems(),
        }
    }
}

#[cfg(test)]
mod tests;
