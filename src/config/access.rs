//! `[keys]`, `[callers]` and `[shield]`: the key files, the callers, and how often each may call.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use super::{Mistake, Table};
use crate::{
    domain::{
        caller::{Caller, Role, Roles, api_key_hash, permission},
        crypto::keyring::Kid,
        ids::{CallerName, Invalid, TenantId},
    },
    grpc::entrance::callers::{Credential, ShieldRate},
};

/// A master secret of the key ring: its id and its file.
#[derive(Clone, Debug)]
pub struct RingEntry {
    /// The id of the secret, stored with everything sealed under it.
    pub kid: Kid,
    /// The file that contains it.
    pub file: PathBuf,
}

/// The files of the keys that encrypt records and derive codes.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// The file of the secret that hashes the names of records.
    pub names_file: PathBuf,
    /// The master secrets, newest first.
    pub ring: Vec<RingEntry>,
    /// Whether missing files are generated; only in the development profile.
    pub make_missing: bool,
}

impl KeySettings {
    pub(super) fn read(mut table: Table<'_>, data_dir: &Path) -> Self {
        let names_file = table.file("names_file");
        let ring: Vec<_> = table
            .tables("ring")
            .into_iter()
            .filter_map(ring_entry)
            .collect();
        let settings = if table.is_production() {
            if names_file.is_none() && !table.is_mistaken("names_file") {
                table.mistake("names_file", "is required in production");
            }
            if ring.is_empty() {
                table.mistake("ring", "is empty; production needs at least one key");
            }
            Self {
                names_file: names_file.unwrap_or_default(),
                ring,
                make_missing: false,
            }
        } else {
            Self::of_development(names_file, ring, &data_dir.join("keys"))
        };
        table.finish();
        settings
    }

    /// Uses generated files in this directory for everything that is not set.
    fn of_development(names_file: Option<PathBuf>, mut ring: Vec<RingEntry>, dir: &Path) -> Self {
        if ring.is_empty() {
            let kid = Kid::parse("dev").expect("it is an id");
            let file = dir.join("dev.key");
            ring.push(RingEntry { kid, file });
        }
        Self {
            names_file: names_file.unwrap_or_else(|| dir.join("names.key")),
            ring,
            make_missing: true,
        }
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

/// The name of the caller that the development profile adds.
pub const DEVELOPMENT_CALLER: &str = "development";
/// The tenant of the caller that the development profile adds.
pub const DEVELOPMENT_TENANT: &str = "default";

/// Keys that anybody can guess, because documentation and tutorials use them.
const SAMPLE_KEYS: [&str; 8] = [
    "", "key", "secret", "password", "test", "changeme", "KEY", "api-key",
];

/// The callers, sorted by name.
pub(super) fn callers(mut table: Table<'_>) -> Vec<Credential> {
    let mut callers = Vec::new();
    let mut hashes: HashMap<[u8; 32], String> = HashMap::new();
    for (name, mut row) in table.named() {
        let own = caller(&mut row);
        match CallerName::parse(&name) {
            Err(Invalid(what)) => row.mistake_here(format!("has a name that {what}")),
            Ok(parsed) if parsed.as_str() == DEVELOPMENT_CALLER => {
                row.mistake_here("has the name of the development caller; choose another one");
            }
            Ok(parsed) => {
                if let Some((tenant, roles, key_sha256)) = own {
                    if let Some(other) = hashes.insert(key_sha256, name) {
                        let what = format!(
                            "is that of callers.{other} too; each caller needs a key of its own"
                        );
                        row.mistake("api_key_sha256", what);
                    }
                    callers.push(Credential {
                        caller: Caller {
                            name: parsed,
                            tenant,
                            roles,
                        },
                        key_sha256,
                    });
                }
            }
        }
        row.finish();
    }
    table.finish();
    callers
}

/// Callers whose roles allow no method of this version: all their calls are refused.
pub(super) fn idle_callers(callers: &[Credential]) -> Vec<Mistake> {
    let idle = callers
        .iter()
        .map(|credential| &credential.caller)
        .filter(|caller| !permission::allows_any(&caller.roles));
    idle.map(idle_caller).collect()
}

fn idle_caller(caller: &Caller) -> Mistake {
    let roles: Vec<&str> = caller.roles.iter().map(|role| role.as_str()).collect();
    Mistake {
        key: format!("callers.{}.roles", caller.name.as_str()),
        what: format!(
            "{} allow{} no call in this version, so every call of this caller is refused",
            roles.join(", "),
            if roles.len() == 1 { "s" } else { "" }
        ),
    }
}

/// A caller's tenant, roles, and the hash of its API key.
fn caller(row: &mut Table<'_>) -> Option<(TenantId, Roles, [u8; 32])> {
    let tenant = row.parsed("tenant", TenantId::parse);
    let roles = roles(row);
    for key in ["mtls_name", "jwt"] {
        if row.text(key).is_some() {
            row.mistake(key, "is not supported in this version; use api_key_sha256");
        }
    }
    let key_sha256 = api_key_sha256(row);
    Some((tenant?, roles, key_sha256?))
}

fn api_key_sha256(row: &mut Table<'_>) -> Option<[u8; 32]> {
    let text = row.masked("api_key_sha256")?;
    let mut hash = [0; 32];
    if hex::decode_to_slice(&text, &mut hash).is_err() {
        let what = format!("has {} characters; it must be 64 hex digits", text.len());
        row.mistake("api_key_sha256", what);
        return None;
    }
    let is_sample = hash == [0; 32] || SAMPLE_KEYS.iter().any(|key| api_key_hash(key) == hash);
    if row.is_production() && is_sample {
        let what = "is that of a sample key; `countersign keys api-key` makes a real one";
        row.mistake("api_key_sha256", what);
    }
    Some(hash)
}

fn roles(row: &mut Table<'_>) -> Roles {
    let all = Role::ALL.map(|role| (role.as_str(), role));
    let roles = Roles::new(row.required_words("roles", &all));
    let desk_and_customer =
        roles.has(Role::Agent) && roles.has_any(&[Role::Frontend, Role::Customer]);
    if row.is_production() && desk_and_customer {
        row.mistake(
            "roles",
            "has agent together with frontend or customer; use two callers, because agents never check a code",
        );
    }
    roles
}

/// `[shield]`: how often each caller may call this process.
pub(super) fn shield(mut table: Table<'_>) -> ShieldRate {
    let rate = ShieldRate {
        calls_per_s: positive(&mut table, "calls_per_s", 2000),
        burst: positive(&mut table, "burst", 4000),
    };
    table.finish();
    rate
}

fn positive(table: &mut Table<'_>, key: &str, default: u64) -> NonZeroU32 {
    let number = table.small(key, default, &(1..=10_000_000));
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}
