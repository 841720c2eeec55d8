//! `[tenants]`: settings that differ between tenants.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    AdmissionSettings, ChannelRoutes, Table,
    access::DEVELOPMENT_TENANT,
    admission::{numbers::countries, spend::budgets},
    messages,
    reader::spelling::hint,
    routes::{self, RouteContext},
};
use crate::{
    domain::{
        ids::{Invalid, TenantId},
        limit::spend::{Budgets, Spend},
        recipient::number::Country,
    },
    grpc::entrance::callers::Credential,
};

/// The tenant's own settings; its countries and budgets are in [`AdmissionSettings`].
#[derive(Clone, Debug, Default)]
pub struct TenantSettings {
    /// The name under which its customers know it; `None` for the general one.
    pub brand: Option<String>,
    /// The language for its customers whose own language has no texts; `None` for the general one.
    pub default_language: Option<String>,
    /// The host of its web page where the code of an SMS is typed; `None` for the general one.
    pub web_host: Option<String>,
    /// Its own routes, which replace the general ones of these channels.
    pub routes: ChannelRoutes,
}

/// What is needed to read the tables of tenants.
pub(super) struct TenantContext<'a> {
    pub(super) callers: &'a [Credential],
    pub(super) route_context: RouteContext<'a>,
    /// The routes of tenants without their own.
    pub(super) routes: &'a ChannelRoutes,
}

/// Reads the settings of every tenant that a caller has. A table for another tenant is a mistake.
pub(super) fn tenants(
    mut table: Table<'_>,
    context: &TenantContext<'_>,
    admission: &mut AdmissionSettings,
) -> BTreeMap<TenantId, TenantSettings> {
    let mut tenants: BTreeMap<_, _> = known(context.callers, table.is_production())
        .into_iter()
        .map(|tenant| (tenant, TenantSettings::default()))
        .collect();
    for (name, mut row) in table.named() {
        let own = own(&mut row, context, &admission.spend);
        match TenantId::parse(&name) {
            Err(Invalid(what)) => row.mistake_here(format!("has a name that {what}")),
            Ok(tenant) => match tenants.get_mut(&tenant) {
                // A caller with a mistake may be its caller.
                None if row.is_root_mistaken("callers") => {}
                None => {
                    let known = context.callers.iter().map(|known| &known.caller.tenant);
                    let hint = hint(known.map(TenantId::as_str), &name);
                    row.mistake_here(format!("is the tenant of no caller{hint}"));
                }
                Some(settings) => {
                    *settings = own.settings;
                    let countries = own.countries.map(|countries| (tenant.clone(), countries));
                    admission.numbers.by_tenant.extend(countries);
                    let budgets = own.budgets.map(|budgets| (tenant, budgets));
                    admission.spend.by_tenant.extend(budgets);
                }
            },
        }
        row.finish();
    }
    table.finish();
    tenants
}

fn known(callers: &[Credential], is_production: bool) -> BTreeSet<TenantId> {
    let mut known: BTreeSet<_> = callers
        .iter()
        .map(|credential| credential.caller.tenant.clone())
        .collect();
    if !is_production {
        known.extend(TenantId::parse(DEVELOPMENT_TENANT));
    }
    known
}

/// Everything read from one table.
struct Own {
    settings: TenantSettings,
    countries: Option<BTreeSet<Country>>,
    budgets: Option<Budgets>,
}

fn own(row: &mut Table<'_>, context: &TenantContext<'_>, spend: &Spend) -> Own {
    let countries = countries(row, "countries");
    let budgets = row.table_if_any("spend").map(|own| budgets(own, spend));
    Own {
        settings: TenantSettings {
            brand: row.parsed_if_any("brand", messages::brand),
            default_language: row.parsed_if_any("default_language", messages::tag),
            web_host: row.text("web_host"),
            routes: routes::of_tenant(row, context.route_context, context.routes),
        },
        countries,
        budgets,
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
