//! Makes the receivers of providers' callbacks from the settings of senders, and reads the files of their secrets.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, ensure};
use axum::Router;
use zeroize::Zeroizing;

use super::App;
use crate::{
    config::{self, SenderSettings, Settings},
    domain::{delivery::callback::Scheme, ids::SenderName, recipient::Channel},
    format::mac::SharedText,
    http::callbacks::{self, Callbacks, Dialect, Receiver, Verifier},
};

/// What every sender with receipts is received with, by its name.
pub(super) fn receivers(settings: &Settings) -> anyhow::Result<BTreeMap<SenderName, Receiver>> {
    let with_receipts = settings
        .senders
        .iter()
        .filter_map(|(name, sender)| Some((name, receiver(sender)?)));
    with_receipts
        .map(|(name, made)| {
            Ok((
                SenderName::parse(name)?,
                made.with_context(|| format!("cannot receive for senders.{name}"))?,
            ))
        })
        .collect()
}

/// What a sender is received with, if it has receipts. Reads the files that its settings name.
pub(super) fn receiver(sender: &SenderSettings) -> Option<anyhow::Result<Receiver>> {
    let receipts = sender.receipts()?;
    Some(verifier(receipts).and_then(|verifier| {
        let challenge = receipts
            .verify_token_file
            .as_deref()
            .map(shared_secret)
            .transpose()?;
        Ok(Receiver {
            verifier,
            reading: receipts.reading.clone(),
            challenge: challenge.map(|token| SharedText::new(&token)),
            dialect: dialect(sender),
        })
    }))
}

fn verifier(receipts: &config::Receipts) -> anyhow::Result<Verifier> {
    let secrets: Vec<_> = receipts
        .secret_files
        .iter()
        .map(|file| shared_secret(file))
        .collect::<anyhow::Result<_>>()?;
    let secrets: Vec<&str> = secrets.iter().map(|secret| secret.as_str()).collect();
    let username = receipts.username.as_deref().unwrap_or_default();
    Verifier::new(receipts.scheme, username, &secrets).context("receipts.secret_files")
}

/// A secret without the line break that editors leave. An empty one would let everybody sign.
fn shared_secret(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = Zeroizing::new(
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
    );
    let text = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    ensure!(!text.is_empty(), "{} is empty", file.display());
    Ok(text)
}

/// Does its provider ask us what a call says?
pub(super) fn makes_calls(sender: &SenderSettings) -> bool {
    dialect(sender).is_some()
}

/// The language of the provider's calls, if the sender makes calls.
fn dialect(sender: &SenderSettings) -> Option<Dialect> {
    let SenderSettings::Http(http) = sender else {
        return None;
    };
    http.requests.get(&Channel::Voice)?;
    match http.receipts.as_ref()?.scheme {
        Scheme::Twilio => Some(Dialect::Twiml),
        Scheme::Vonage => Some(Dialect::Ncco),
        Scheme::Messagebird | Scheme::Meta | Scheme::Basic | Scheme::StandardWebhooks => None,
    }
}

impl App {
    /// The paths that providers call; without a public address there are none.
    pub(super) fn callbacks(&self) -> Router {
        let Some(public_url) = self.settings.http.public_url.clone() else {
            return Router::new();
        };
        let (service, receivers) = (self.service.clone(), self.receivers.clone());
        callbacks::router(Callbacks {
            service,
            public_url,
            receivers,
        })
    }
}
