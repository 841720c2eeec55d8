//! Makes the hook from its settings, and reads the files of its secrets.

use std::sync::Arc;

use super::senders::secret;
use crate::{
    config::{HookKind, HookSettings, Profile},
    ports::{hook::Hook, system::Clock},
    sender::{
        operator::hook::{GrpcHook, HttpHook},
        transport::{peer::PeerSettings, signed::SignedSettings},
    },
    service::delivery::hook::HookRule,
};

/// The hook, and what holds when it does not answer.
pub(super) fn hook(
    settings: &HookSettings,
    profile: Profile,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<HookRule> {
    let (ca_file, timeout) = (settings.ca_file.clone(), settings.timeout);
    let hook: Arc<dyn Hook> = match &settings.kind {
        HookKind::Http {
            url,
            secret_files,
            allow_hosts,
        } => {
            let secrets = secret_files
                .iter()
                .map(|file| secret(file))
                .collect::<anyhow::Result<_>>()?;
            let (url, allow_hosts, plain) = (
                url.clone(),
                allow_hosts.clone(),
                profile == Profile::Development,
            );
            Arc::new(HttpHook::new(
                SignedSettings {
                    url,
                    secrets,
                    allow_hosts,
                    plain,
                    ca_file,
                    timeout,
                },
                clock.clone(),
            )?)
        }
        HookKind::Grpc {
            address,
            token_file,
        } => {
            let token = token_file.as_ref().map(|file| secret(file)).transpose()?;
            Arc::new(GrpcHook::new(&PeerSettings {
                address: address.clone(),
                token,
                ca_file,
                timeout,
            })?)
        }
    };
    let (channels, allow_without_answer) =
        (settings.channels.clone(), settings.allow_without_answer);
    Ok(HookRule {
        hook,
        channels,
        timeout,
        allow_without_answer,
    })
}
