//! The settings of the push services' senders, with their keys read.

use super::secret;
use crate::{
    config::{self, Connection},
    sender::push::{apns::ApnsSettings, fcm::FcmSettings, webpush::WebPushSettings},
};

pub(super) fn fcm(settings: &config::FcmSender, plain: bool) -> anyhow::Result<FcmSettings> {
    let Connection {
        allow_hosts,
        ca_file,
        timeout,
    } = settings.connection.clone();
    let service_account = secret(&settings.service_account_file)?;
    Ok(FcmSettings {
        service_account,
        base_url: settings.base_url.clone(),
        allow_hosts,
        plain,
        ca_file,
        timeout,
    })
}

pub(super) fn apns(settings: &config::ApnsSender, plain: bool) -> anyhow::Result<ApnsSettings> {
    let Connection {
        allow_hosts,
        ca_file,
        timeout,
    } = settings.connection.clone();
    Ok(ApnsSettings {
        key: secret(&settings.key_file)?,
        key_id: settings.key_id.clone(),
        team_id: settings.team_id.clone(),
        topic: settings.topic.clone(),
        base_url: settings.base_url.clone(),
        allow_hosts,
        plain,
        ca_file,
        timeout,
    })
}

/// An endpoint is always https, so there is nothing for development to allow.
pub(super) fn webpush(settings: &config::WebPushSender) -> anyhow::Result<WebPushSettings> {
    let Connection {
        allow_hosts,
        ca_file,
        timeout,
    } = settings.connection.clone();
    let (contact, hosts) = (settings.contact.clone(), settings.hosts.clone());
    Ok(WebPushSettings {
        key: secret(&settings.key_file)?,
        contact,
        hosts,
        allow_hosts,
        ca_file,
        timeout,
    })
}
