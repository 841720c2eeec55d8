//! Builds the senders, the hook, and the routes to the senders from their settings.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, anyhow};

use super::Machine;
use crate::{
    config::{ChannelRoutes, HookSettings, Settings},
    domain::{ids::SenderName, recipient::Channel},
    ports::sender::{Sender, outbox::Outbox, receipts::Receipts},
    sender::settings::{SenderParts, SettingError},
    service::delivery::{
        hook::HookRule,
        routes::{NamedSender, Route, Routes},
    },
};

type Senders = BTreeMap<SenderName, Arc<dyn Sender>>;

/// The parts of this process that senders may use.
pub(super) fn sender_parts(
    machine: &Machine,
    outbox: Option<Arc<Outbox>>,
    receipts: Receipts,
) -> SenderParts {
    SenderParts {
        clock: machine.clock.clone(),
        entropy: machine.entropy.clone(),
        receipts,
        outbox,
    }
}

/// Builds the senders, and the routes to them. Senders of the machine replace those of the settings.
pub(super) fn routes(
    settings: &Settings,
    machine: &Machine,
    parts: &SenderParts,
) -> anyhow::Result<Routes> {
    let mut senders = Senders::new();
    for (name, sender) in &settings.senders {
        let built = sender.settings.build(parts).map_err(|error| told(&error));
        let built = built.with_context(|| format!("cannot build senders.{name}"))?;
        senders.insert(sender_name(name)?, built);
    }
    for (name, sender) in &machine.senders {
        senders.insert(sender_name(name)?, sender.clone());
    }
    let tenants = settings
        .tenants
        .iter()
        .map(|(tenant, own)| (tenant.clone(), channel_routes(&own.routes, &senders)));
    Ok(Routes {
        usual: channel_routes(&settings.routes, &senders),
        tenants: tenants.collect(),
    })
}

fn channel_routes(settings: &ChannelRoutes, senders: &Senders) -> BTreeMap<Channel, Route> {
    let mut routes = BTreeMap::new();
    for (channel, settings) in settings {
        let countries = settings
            .countries
            .iter()
            .map(|(country, names)| (*country, named(names, senders)));
        let route = Route {
            senders: named(&settings.senders, senders),
            weights: settings.weights.clone(),
            countries: countries.collect(),
            hedge_after: settings.hedge_after,
        };
        routes.insert(*channel, route);
    }
    routes
}

fn named(names: &[String], senders: &Senders) -> Vec<NamedSender> {
    let mut found = Vec::new();
    for name in names {
        let sender = SenderName::parse(name).ok();
        if let Some((name, sender)) = sender.and_then(|name| senders.get_key_value(&name)) {
            found.push(NamedSender {
                name: name.clone(),
                sender: sender.clone(),
            });
        }
    }
    found
}

fn sender_name(name: &str) -> anyhow::Result<SenderName> {
    SenderName::parse(name).map_err(|error| anyhow!("the name of senders.{name} {error}"))
}

/// Builds the hook, and the rule for when it does not answer.
pub(super) fn hook(settings: &HookSettings, machine: &Machine) -> Result<HookRule, SettingError> {
    Ok(HookRule {
        hook: settings.call.build(machine.clock.clone())?,
        channels: settings.channels.clone(),
        timeout: settings.call.timeout(),
        allow_without_answer: settings.allow_without_answer,
    })
}

/// Converts a mistake in a setting to an error.
pub(super) fn told(error: &SettingError) -> anyhow::Error {
    anyhow!("{error}")
}
