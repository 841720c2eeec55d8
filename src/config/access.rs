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
    /// The path of its file's key in the settings: `keys.ring.0.file`.
    pub key: String,
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
        let ring = ring(&mut table);
        let settings = if table.is_production() {
            if names_file.is_none() && !table.is_mistaken("names_file") {
                table.mistake("names_file", "is required in production");
            }
            if ring.is_empty() && !table.is_mistaken_within("ring") {
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
            let key = "keys.ring.0.file".to_owned();
            ring.push(RingEntry { key, kid, file });
        }
        Self {
            names_file: names_file.unwrap_or_else(|| dir.join("names.key")),
            ring,
            make_missing: true,
        }
    }
}

fn ring(table: &mut Table<'_>) -> Vec<RingEntry> {
    let mut ring: Vec<RingEntry> = Vec::new();
    for row in table.tables("ring") {
        let path = row.path("kid");
        let Some(entry) = ring_entry(row) else {
            continue;
        };
        if ring.iter().any(|other| other.kid == entry.kid) {
            let what = format!("is {:?}, as that of another key of the ring", entry.kid);
            table.mistake_at(&path, what);
        } else {
            ring.push(entry);
        }
    }
    ring
}

fn ring_entry(mut table: Table<'_>) -> Option<RingEntry> {
    let kid = table.parsed("kid", Kid::parse);
    let (key, file) = (table.path("file"), table.required("file"));
    table.finish();
    Some(RingEntry {
        key,
        kid: kid?,
        file: file?.into(),
    })
}

/// The name of the caller that the development profile adds.
pub const DEVELOPMENT_CALLER: &str = "development";
/// The tenant of the caller that the development profile adds.
pub const DEVELOPMENT_TENANT: &str = "default";

/// The beginning of the API keys that this program makes.
pub const API_KEY_PREFIX: &str = "csk_";

/// Keys that anybody can guess, because documentation and tutorials use them.
const SAMPLE_KEYS: [&str; 8] = [
    "", "key", "secret", "password", "test", "changeme", "KEY", "api-key",
];

/// The callers, sorted by name.
pub(super) fn callers(mut table: Table<'_>) -> Vec<Credential> {
    let mut callers = Vec::new();
    let mut hashes: HashMap<[u8; 32], String> = HashMap::new();
    for (name, mut row) in table.named() {
        let (tenant, roles, keys_sha256) = caller(&mut row);
        for hash in keys_sha256.iter().flatten() {
            if let Some(other) = hashes.insert(*hash, name.clone()) {
                let what =
                    format!("has a key that callers.{other} has too; each key is for one caller");
                row.mistake("api_key_sha256", what);
            }
        }
        match (CallerName::parse(&name), tenant, keys_sha256) {
            (Err(Invalid(what)), _, _) => row.mistake_here(format!("has a name that {what}")),
            (Ok(parsed), _, _) if parsed.as_str() == DEVELOPMENT_CALLER => {
                row.mistake_here("has the name of the development caller; choose another one");
            }
            (Ok(name), Some(tenant), Some(keys_sha256)) => callers.push(Credential {
                caller: Caller {
                    name,
                    tenant,
                    roles,
                },
                keys_sha256,
            }),
            // Its mistakes are recorded.
            (Ok(_), _, _) => {}
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

/// A caller's tenant, roles, and the hashes of its API keys.
fn caller(row: &mut Table<'_>) -> (Option<TenantId>, Roles, Option<Vec<[u8; 32]>>) {
    let tenant = row.parsed("tenant", TenantId::parse);
    let roles = roles(row);
    for key in ["mtls_name", "jwt"] {
        if row.text(key).is_some() {
            row.mistake(key, "is not supported in this version; use api_key_sha256");
        }
    }
    let keys_sha256 = api_key_sha256(row);
    (tenant, roles, keys_sha256)
}

/// One hash, or a list of hashes; in environment variables they are separated by commas.
fn api_key_sha256(row: &mut Table<'_>) -> Option<Vec<[u8; 32]>> {
    const KEY: &str = "api_key_sha256";
    let mut hashes = Vec::new();
    for text in row.masked_list(KEY)? {
        match api_key_hash_of(&text, row.is_production()) {
            Ok(hash) if hashes.contains(&hash) => {
                row.mistake(KEY, "has the same hash twice; remove one");
            }
            Ok(hash) => hashes.push(hash),
            Err(what) => row.mistake(KEY, what),
        }
    }
    if hashes.is_empty() && !row.is_mistaken(KEY) {
        row.mistake(KEY, "must have at least one hash");
    }
    (!row.is_mistaken(KEY)).then_some(hashes)
}

fn api_key_hash_of(text: &str, is_production: bool) -> Result<[u8; 32], String> {
    let mut hash = [0; 32];
    if text.starts_with(API_KEY_PREFIX) {
        return Err(
            "has an API key itself; it must be the SHA-256 of the key, which \
             `countersign keys api-key` prints with it"
                .to_owned(),
        );
    }
    if hex::decode_to_slice(text, &mut hash).is_err() {
        let count = text.chars().count();
        return Err(format!(
            "has {count} characters; it must be 64 hex digits, or a list of such hashes"
        ));
    }
    let is_uniform = hash.iter().all(|byte| *byte == hash[0]);
    let is_sample = is_uniform || SAMPLE_KEYS.iter().any(|key| api_key_hash(key) == hash);
    if is_production && is_sample {
        return Err(
            "is that of a sample key; `countersign keys api-key` makes a real one".to_owned(),
        );
    }
    Ok(hash)
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
