//! `[tenants]`: what differs from one tenant to another.

use std::collections::{BTreeMap, BTreeSet};

use super::{CallerSettings, ChannelRoutes, Profile, SenderSettings, Table, access::DEVELOPMENT_TENANT, messages, routes};
use crate::domain::ids::{CallerName, Invalid, TenantId};

/// What one tenant has of its own; all else it shares.
#[derive(Clone, Debug, Default)]
pub struct TenantSettings {
    /// Who its messages are from.
    pub brand: Option<String>,
    /// The host of its page on which a code of an SMS is typed.
    pub web_host: Option<String>,
    /// Its routes of channels that have others for everybody else.
    pub routes: ChannelRoutes,
}

/// Every tenant that a caller has, with what it has of its own. One without a caller is a slip of the pen.
pub(super) fn tenants(
    mut table: Table<'_>,
    (callers, profile): (&BTreeMap<CallerName, CallerSettings>, Profile),
    roads: (&BTreeMap<String, SenderSettings>, &ChannelRoutes),
) -> BTreeMap<TenantId, TenantSettings> {
    let of_development = (profile == Profile::Development).then(|| TenantId::parse(DEVELOPMENT_TENANT).ok()).flatten();
    let known: BTreeSet<TenantId> = callers.values().map(|caller| caller.tenant.clone()).chain(of_development).collect();
    let mut tenants: BTreeMap<_, _> = known.into_iter().map(|tenant| (tenant, TenantSettings::default())).collect();
    for (name, mut row) in table.named() {
        let own = tenant(&mut row, roads);
        match TenantId::parse(&name) {
            Err(Invalid(what)) => row.mistake_here(format!("the name {what}")),
            Ok(name) => match tenants.get_mut(&name) {
                Some(settings) => *settings = own,
                None => row.mistake_here("is the tenant of no caller"),
            },
        }
        row.finish();
    }
    table.finish();
    tenants
}

fn tenant(row: &mut Table<'_>, (senders, usual): (&BTreeMap<String, SenderSettings>, &ChannelRoutes)) -> TenantSettings {
    let brand = row.text("brand").and_then(|text| match messages::brand(&text) {
        Ok(brand) => Some(brand),
        Err(what) => {
            row.mistake("brand", what);
            None
        }
    });
    TenantSettings { brand, web_host: row.text("web_host"), routes: routes::of_tenant(row, senders, usual) }
}
