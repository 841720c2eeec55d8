//! `[store]`: the store engine, and the connection to Redis.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Table, listeners::check_half};
use crate::{
    format::secret::SecretText,
    ports::store::url::{RedisUrl, StoreUrl},
    store::redis::{Certificates, Login, RedisSettings},
};

const DATABASE: &str = "countersign.redb";

/// The store of verifications, failure counts and quotas.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The engine, with its location.
    pub engine: StoreEngine,
    /// The time limit for all store work of one command.
    pub deadline: Duration,
}

/// An engine and its location.
#[derive(Clone, Debug)]
pub enum StoreEngine {
    /// In the memory of this process; lost when it ends.
    Memory,
    /// In one file, used by one process at a time.
    File(PathBuf),
    /// On Redis, shared by any number of processes.
    Redis(Box<RedisSettings>),
}

impl StoreSettings {
    pub(super) fn read(mut table: Table<'_>, data_dir: &Path) -> Self {
        // A mistake must not show the text, because it may contain a password.
        let url = match table.text("url").map(|text| StoreUrl::parse(&text)) {
            None => StoreUrl::File(data_dir.join(DATABASE)),
            Some(Ok(url)) => url,
            Some(Err(invalid)) => {
                table.mistake("url", invalid);
                StoreUrl::Memory
            }
        };
        let is_memory = matches!(url, StoreUrl::Memory) && !table.is_mistaken("url");
        if table.is_production() && is_memory {
            table.mistake(
                "url",
                "is memory only, which forgets failure counts at a restart; production needs embedded:PATH or Redis",
            );
        }
        let deadline = table.millis("deadline_ms", 250, &(1..=60_000));
        let (redis_url, other) = match url {
            StoreUrl::Memory => (None, StoreEngine::Memory),
            StoreUrl::File(path) => (None, StoreEngine::File(path)),
            StoreUrl::Redis(url) => (Some(url), StoreEngine::Memory),
        };
        let redis = redis(&mut table, redis_url, deadline);
        table.finish();
        Self {
            engine: redis.map_or(other, |redis| StoreEngine::Redis(Box::new(redis))),
            deadline,
        }
    }
}

/// The keys that name files used only with Redis.
const FILES: [&str; 5] = [
    "password_file",
    "sentinel_password_file",
    "ca_file",
    "client_cert_file",
    "client_key_file",
];

/// Reads the keys for Redis. Without a Redis URL they are only checked, and their files are not read.
fn redis(
    table: &mut Table<'_>,
    url: Option<RedisUrl>,
    deadline: Duration,
) -> Option<RedisSettings> {
    match &url {
        Some(url) => check_files(table, url),
        // It may be meant for Redis, so that the files are needed.
        None if table.is_mistaken("url") => {}
        None => FILES.iter().for_each(|key| drop(table.text(key))),
    }
    let password = table.secret("password_file");
    let sentinel_username = table.text("sentinel_username").unwrap_or_default();
    let sentinel_password = table.secret("sentinel_password_file");
    let certificates = certificates(table);
    let prefix = table.parsed_if_any("prefix", prefix);
    let shards = table.small("shards", 64, &(1..=1024));
    let connections = table.small("connections", 2, &(1..=64));
    let durable_connections = table.small("durable_connections", 4, &(1..=64));
    let wait_replicas = table.small("wait_replicas", 0, &(0..=16));
    let wait_aof = table.switch("wait_aof", false);
    let wait = table.millis("wait_ms", 100, &(1..=10_000));
    let plaintext_allowed = table.switch("plaintext_allowed", false);
    let url = url?;
    if !sentinel_username.is_empty() && sentinel_password.is_none() {
        let key = "sentinel_password_file";
        if !table.is_mistaken(key) {
            table.mistake(key, "is required with sentinel_username");
        }
    }
    if (wait_replicas > 0 || wait_aof) && wait >= deadline {
        table.mistake("wait_ms", "must be shorter than deadline_ms");
    }
    if table.is_production() && !url.tls && !plaintext_allowed && !table.is_mistaken("url") {
        let what = "is not encrypted; use the rediss form, or plaintext_allowed behind a mesh that encrypts";
        table.mistake("url", what);
    }
    Some(RedisSettings {
        login: login(&url.username, password),
        sentinel_login: login(&sentinel_username, sentinel_password),
        certificates,
        prefix: prefix.unwrap_or_else(|| "cs".to_owned()),
        shards,
        connections,
        durable_connections,
        wait_replicas,
        wait_aof,
        wait,
        deadline,
        url,
    })
}

/// Checks the files against the URL.
fn check_files(table: &Table<'_>, url: &RedisUrl) {
    let has_certificates = ["ca_file", "client_cert_file", "client_key_file"]
        .iter()
        .any(|key| table.has(key));
    if !url.tls && has_certificates {
        let what =
            "is not encrypted, but certificates are set; use the rediss form, or remove them";
        table.mistake("url", what);
    }
    if !url.username.is_empty() && !table.has("password_file") {
        table.mistake("password_file", "is required with a user in store.url");
    }
}

fn login(username: &str, password: Option<SecretText>) -> Option<Login> {
    Some(Login {
        username: username.to_owned(),
        password: password?,
    })
}

fn prefix(text: &str) -> Result<String, &'static str> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    if text.len() <= 32 && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 32 of A-Z, a-z, 0-9, _, - and .")
    }
}

fn certificates(table: &mut Table<'_>) -> Certificates {
    match (table.has("client_cert_file"), table.has("client_key_file")) {
        (true, false) => table.mistake("client_key_file", "is required with client_cert_file"),
        (false, true) => table.mistake("client_cert_file", "is required with client_key_file"),
        (true, true) | (false, false) => {}
    }
    let (chain, key) = (
        table.contents("client_cert_file"),
        table.document("client_key_file"),
    );
    check_half(
        table,
        ("client_cert_file", "client_key_file"),
        (chain.as_deref(), key.as_ref()),
    );
    Certificates {
        ca: table.contents("ca_file"),
        client: chain.zip(key),
    }
}
