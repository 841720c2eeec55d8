//! `[tenants]`: what differs from one tenant to another.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CallerSettings, ChannelRoutes, Profile, Table,
    access::DEVELOPMENT_TENANT,
    admission::{numbers::countries, spend::budgets},
    messages,
    routes::{self, Means},
};
use crate::domain::{
    ids::{CallerName, Invalid, TenantId},
    limit::spend::{Budgets, Spend},
    recipient::number::Country,
};

/// What one tenant has of its own; all else it shares.
#[derive(Clone, Debug, Default)]
pub struct TenantSettings {
    /// Who its messages are from.
    pub brand: Option<String>,
    /// The host of its page on which a code of an SMS is typed.
    pub web_host: Option<String>,
    /// The countries whose numbers may get a message.
    pub countries: Option<BTreeSet<Country>>,
    /// How much it may spend.
    pub spend: Option<Budgets>,
    /// Its routes of channels that have others for everybody else.
    pub routes: ChannelRoutes,
}

/// What holds for a tenant that has nothing of its own, and what its own may name.
pub(super) struct Usual<'a> {
    pub(super) spend: &'a Spend,
    pub(super) means: Means<'a>,
    pub(super) routes: &'a ChannelRoutes,
}

/// Every tenant that a caller has, with what it has of its own. One without a caller is a slip of the pen.
pub(super) fn tenants(
    mut table: Table<'_>,
    (callers, profile): (&BTreeMap<CallerName, CallerSettings>, Profile),
    usual: &Usual<'_>,
) -> BTreeMap<TenantId, TenantSettings> {
    let of_development = (profile == Profile::Development)
        .then(|| TenantId::parse(DEVELOPMENT_TENANT).ok())
        .flatten();
    let known: BTreeSet<TenantId> = callers
        .values()
        .map(|caller| caller.tenant.clone())
        .chain(of_development)
        .collect();
    let mut tenants: BTreeMap<_, _> = known
        .into_iter()
        .map(|tenant| (tenant, TenantSettings::default()))
        .collect();
    for (name, mut row) in table.named() {
        let own = tenant(&mut row, usual);
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

fn tenant(row: &mut Table<'_>, usual: &Usual<'_>) -> TenantSettings {
    let brand = row
        .text("brand")
        .and_then(|text| match messages::brand(&text) {
            Ok(brand) => Some(brand),
            Err(what) => {
                row.mistake("brand", what);
                None
            }
        });
    TenantSettings {
        brand,
        web_host: row.text("web_host"),
        countries: countries(row, "countries"),
        spend: row
            .optional_table("spend")
            .map(|own| budgets(own, usual.spend)),
        routes: routes::of_tenant(row, usual.means, usual.routes),
    }
}

#[cfg(test)]
mod tests {
    use super::super::load;

    fn with(text: &str) -> Result<super::super::Settings, Vec<String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        load(Some(file.path()), std::iter::empty())
            .map_err(|mistakes| mistakes.0.into_iter().map(|one| one.key).collect())
    }

    #[test]
    fn a_tenant_is_known_by_its_callers() {
        let bank = "[callers.desk]\ntenant = \"bank\"\nroles = [\"agent\"]\n";
        let bank = format!("{bank}api_key_sha256 = \"{}\"\n", "ab".repeat(32));
        let settings = with(&format!(
            "{bank}[tenants.bank]\nbrand = \"Bank Zuid\"\nweb_host = \"zuid.example\"\n"
        ))
        .unwrap();
        let names: Vec<_> = settings
            .tenants
            .keys()
            .map(|tenant| tenant.as_str())
            .collect();
        assert_eq!(
            names,
            ["bank", "default"],
            "those of the settings and that of the development caller"
        );
        assert_eq!(
            settings.tenants.values().next().unwrap().brand.as_deref(),
            Some("Bank Zuid")
        );
        assert!(
            settings
                .effective()
                .contains("[tenants.bank]\nbrand = \"Bank Zuid\"\nweb_host = \"zuid.example\"")
        );
        assert_eq!(
            with("[tenants.bnak]\nbrand = \"Bank\"\n").unwrap_err(),
            ["tenants.bnak"]
        );
        let found = with(&format!(
            "{bank}[tenants.bank]\nbrand = \" \"\nbrnd = \"x\"\n[tenants.A]\n"
        ))
        .unwrap_err();
        assert_eq!(
            found,
            ["tenants.A", "tenants.bank.brand", "tenants.bank.brnd"]
        );
    }
}
