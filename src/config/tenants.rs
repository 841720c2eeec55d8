//! `[tenants]`: what holds for one tenant in place of what holds for all.

use std::collections::{BTreeMap, BTreeSet};

use super::{Table, numbers::countries, spend::budgets};
use crate::domain::{
    ids::{Invalid, TenantId},
    numbering::Country,
    spend::{Budgets, Spend},
};

/// What one tenant has of its own.
#[derive(Clone, Debug, Default)]
pub struct TenantSettings {
    /// The countries whose numbers may get a message.
    pub countries: Option<BTreeSet<Country>>,
    /// How much it may spend.
    pub spend: Option<Budgets>,
}

pub(super) fn tenants(mut table: Table<'_>, spend: &Spend) -> BTreeMap<TenantId, TenantSettings> {
    let mut tenants = BTreeMap::new();
    for (name, mut row) in table.named() {
        let settings = TenantSettings {
            countries: countries(&mut row, "countries"),
            spend: row.optional_table("spend").map(|own| budgets(own, spend)),
        };
        match TenantId::parse(&name) {
            Ok(name) => drop(tenants.insert(name, settings)),
            Err(Invalid(what)) => row.mistake_here(format!("the name {what}")),
        }
        row.finish();
    }
    table.finish();
    tenants
}
