//! `[keys]`, `[callers]` and `[shield]`: which keys there are, who may call, and how often.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use super::{Mistake, Profile, Table};
use crate::domain::{
    caller::{Role, Roles, api_key_hash, permission},
    crypto::keyring::Kid,
    ids::{CallerName, Invalid, TenantId},
};

/// A master secret of the key ring: its id and its file.
#[derive(Clone, Debug)]
pub struct RingEntry {
    /// The id by which records name it.
    pub kid: Kid,
    /// The file that holds it.
    pub file: PathBuf,
}

/// `[keys]`: the files of the secrets that never go into the store.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// The file of the names secret.
    pub names_file: PathBuf,
    /// The master secrets, newest first.
    pub ring: Vec<RingEntry>,
    /// May missing files be made? Only in development.
    pub make_missing: bool,
}

impl KeySettings {
    pub(super) fn read(mut table: Table<'_>, profile: Profile, data_dir: &Path) -> Option<Self> {
        let names_file = table.text("names_file").map(PathBuf::from);
        let ring: Vec<_> = table
            .tables("ring")
            .into_iter()
            .filter_map(ring_entry)
            .collect();
        let local = data_dir.join("keys");
        let kid = Kid::parse("dev").ok()?;
        let settings = match profile {
            Profile::Production => {
                if names_file.is_none() {
                    table.mistake("names_file", "is required in production");
                }
                if ring.is_empty() {
                    table.mistake("ring", "must hold at least one key in production");
                }
                names_file.map(|names_file| Self {
                    names_file,
                    ring,
                    make_missing: false,
                })
            }
            Profile::Development => Some(Self {
                names_file: names_file.unwrap_or_else(|| local.join("names.key")),
                ring: if ring.is_empty() {
                    vec![RingEntry {
                        kid,
                        file: local.join("dev.key"),
                    }]
                } else {
                    ring
                },
                make_missing: true,
            }),
        };
        table.finish();
        settings
    }
}

fn ring_entry(mut table: Table<'_>) -> Option<RingEntry> {
    let kid = table.parsed("kid", Kid::parse);
    let file = table.required("file");
    table.finish();
    Some(RingEntry {
        kid: kid?,
        file: file?.into(),
    })
}

/// One `[callers.NAME]`: who may use the API, and as what.
#[derive(Clone, Debug)]
pub struct CallerSettings {
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// Its roles, which say what it may do.
    pub roles: Roles,
    /// SHA-256 of its API key.
    pub api_key_sha256: [u8; 32],
}

/// The name of the caller that the development profile adds.
pub const DEVELOPMENT_CALLER: &str = "development";
/// The tenant of that caller.
pub const DEVELOPMENT_TENANT: &str = "default";

/// Keys that anybody can guess, because documents and tutorials show them.
const SAMPLE_KEYS: [&str; 8] = [
    "", "key", "secret", "password", "test", "changeme", "KEY", "api-key",
];

pub(super) fn callers(
    mut table: Table<'_>,
    profile: Profile,
) -> BTreeMap<CallerName, CallerSettings> {
    let mut callers = BTreeMap::new();
    let mut hashes: HashMap<[u8; 32], String> = HashMap::new();
    for (name, mut row) in table.named() {
        let caller = caller(&mut row, profile);
        match CallerName::parse(&name) {
            Err(Invalid(what)) => row.mistake_here(format!("the name {what}")),
            Ok(parsed) if parsed.as_str() == DEVELOPMENT_CALLER => {
                row.mistake_here("is the name of the development caller");
            }
            Ok(parsed) => {
                if let Some(caller) = caller {
                    if let Some(other) = hashes.insert(caller.api_key_sha256, name.clone()) {
                        row.mistake("api_key_sha256", format!("is that of {other} too"));
                    }
                    callers.insert(parsed, caller);
                }
            }
        }
        row.finish();
    }
    table.finish();
    callers
}

/// Callers whose roles allow no method of this version: whatever they call is refused.
pub(super) fn idle_callers(callers: &BTreeMap<CallerName, CallerSettings>) -> Vec<Mistake> {
    let idle = callers
        .iter()
        .filter(|(_, caller)| !permission::allows_any(&caller.roles));
    let warning = |(name, caller): (&CallerName, &CallerSettings)| {
        let roles: Vec<&str> = caller.roles.iter().map(|role| role.as_str()).collect();
        Mistake {
            key: format!("callers.{}.roles", name.as_str()),
            what: format!(
                "{} allow{} no call in this version, so every call of this caller is refused",
                roles.join(", "),
                if roles.len() == 1 { "s" } else { "" }
            ),
        }
    };
    idle.map(warning).collect()
}

fn caller(row: &mut Table<'_>, profile: Profile) -> Option<CallerSettings> {
    let tenant = row.parsed("tenant", TenantId::parse);
    let roles = roles(row, profile);
    for key in ["mtls_name", "jwt"] {
        if row.text(key).is_some() {
            row.mistake(key, "is not built yet; use api_key_sha256");
        }
    }
    let hash = row.masked("api_key_sha256").map(|text| {
        hex::decode(text)
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
    });
    if hash == Some(None) {
        row.mistake("api_key_sha256", "must be 64 hex digits");
    }
    let api_key_sha256 = hash.flatten();
    let is_sample = |hash: &[u8; 32]| SAMPLE_KEYS.iter().any(|key| api_key_hash(key) == *hash);
    if profile == Profile::Production
        && api_key_sha256
            .as_ref()
            .is_some_and(|hash| is_sample(hash) || *hash == [0; 32])
    {
        row.mistake("api_key_sha256", "is that of a sample key");
    }
    Some(CallerSettings {
        tenant: tenant?,
        roles,
        api_key_sha256: api_key_sha256?,
    })
}

fn roles(row: &mut Table<'_>, profile: Profile) -> Roles {
    let roles =
        Roles::new(row.required_words("roles", &Role::ALL.map(|role| (role.as_str(), role))));
    let desk_and_customer =
        roles.has(Role::Agent) && roles.has_any(&[Role::Frontend, Role::Customer]);
    if profile == Profile::Production && desk_and_customer {
        row.mistake(
            "roles",
            "agent must not come together with frontend or customer: agents never check a code",
        );
    }
    roles
}

/// `[shield]`: how often each caller may call this process.
#[derive(Clone, Debug)]
pub struct ShieldSettings {
    /// Calls per second, sustained.
    pub calls_per_s: u32,
    /// Calls at once, after a pause.
    pub burst: u32,
}

impl ShieldSettings {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let settings = Self {
            calls_per_s: table.small("calls_per_s", 2000, &(1..=10_000_000)),
            burst: table.small("burst", 4000, &(1..=10_000_000)),
        };
        table.finish();
        settings
    }
}
