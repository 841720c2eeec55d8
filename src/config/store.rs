//! `[store]`: which engine keeps records, how it is reached, and what it must keep to.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Profile, Table};
use crate::ports::store::url::{RedisUrl, StoreUrl};

const DATABASE: &str = "countersign.redb";

/// The store.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Which engine, and where.
    pub url: StoreUrl,
    /// Of all store work of one command.
    pub deadline: Duration,
    /// For Redis.
    pub redis: RedisKeys,
}

/// The keys of `[store]` that are for Redis.
#[derive(Clone, Debug)]
pub struct RedisKeys {
    /// Stands before every key.
    pub prefix: String,
    /// Shards; fixed when the store is set up.
    pub shards: u16,
    /// The password of the URL's user.
    pub password_file: Option<PathBuf>,
    /// The user of the sentinels; empty for the default user.
    pub sentinel_username: String,
    /// Its password.
    pub sentinel_password_file: Option<PathBuf>,
    /// Authorities to trust in place of those of the system.
    pub ca_file: Option<PathBuf>,
    /// The chain and the key that show who we are.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Connections to each server.
    pub connections: usize,
    /// Connections for commits that wait for replicas.
    pub durable_connections: usize,
    /// How many replicas must have a durable commit.
    pub wait_replicas: u32,
    /// Must it be in the append-only file?
    pub wait_aof: bool,
    /// How long it waits for that.
    pub wait: Duration,
}

impl StoreSettings {
    pub(super) fn read(mut table: Table<'_>, profile: Profile, data_dir: &Path) -> Option<Self> {
        let url = match table.text("url") {
            None => Some(StoreUrl::File(data_dir.join(DATABASE))),
            Some(text) => StoreUrl::parse(&text)
                .map_err(|invalid| table.mistake("url", invalid))
                .ok(),
        };
        if profile == Profile::Production && matches!(url, Some(StoreUrl::Memory)) {
            table.mistake(
                "url",
                "is memory only, and forgets failures with each restart; production needs embedded:PATH or Redis",
            );
        }
        let deadline = table.millis("deadline_ms", 250, &(1..=60_000));
        let redis = RedisKeys::read(&mut table);
        let plaintext_allowed = table.switch("plaintext_allowed", false);
        if let Some(StoreUrl::Redis(url)) = &url {
            redis.fits(&table, url);
            if redis.waits() && redis.wait >= deadline {
                table.mistake("wait_ms", "must be shorter than deadline_ms");
            }
            if profile == Profile::Production && !url.tls && !plaintext_allowed {
                table.mistake("url", "is not encrypted: use the rediss form, or plaintext_allowed behind a mesh that encrypts");
            }
        }
        table.finish();
        Some(Self {
            url: url?,
            deadline,
            redis,
        })
    }
}

impl RedisKeys {
    fn read(table: &mut Table<'_>) -> Self {
        let prefix = table.text("prefix").unwrap_or_else(|| "cs".to_owned());
        let fits = (1..=32).contains(&prefix.len())
            && prefix
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if !fits {
            table.mistake("prefix", "must be 1 to 32 of A-Z, a-z, 0-9, _, - and .");
        }
        let cert = table.text("client_cert_file");
        let key = table.text("client_key_file");
        if cert.is_some() != key.is_some() {
            table.mistake(
                "client_cert_file",
                "and client_key_file are needed both or not at all",
            );
        }
        Self {
            prefix,
            shards: table.small("shards", 64, &(1..=1024)),
            password_file: table.text("password_file").map(PathBuf::from),
            sentinel_username: table.text("sentinel_username").unwrap_or_default(),
            sentinel_password_file: table.text("sentinel_password_file").map(PathBuf::from),
            ca_file: table.text("ca_file").map(PathBuf::from),
            client: cert.zip(key).map(|(cert, key)| (cert.into(), key.into())),
            connections: table.small("connections", 2, &(1..=64)),
            durable_connections: table.small("durable_connections", 4, &(1..=64)),
            wait_replicas: table.small("wait_replicas", 0, &(0..=16)),
            wait_aof: table.switch("wait_aof", false),
            wait: table.millis("wait_ms", 100, &(1..=10_000)),
        }
    }

    /// Do durable commits wait for anything?
    fn waits(&self) -> bool {
        self.wait_replicas > 0 || self.wait_aof
    }

    /// Settings that fight with the URL.
    fn fits(&self, table: &Table<'_>, url: &RedisUrl) {
        if !url.username.is_empty() && self.password_file.is_none() {
            table.mistake("password_file", "is required with a user in the URL");
        }
        if !url.tls && (self.ca_file.is_some() || self.client.is_some()) {
            table.mistake(
                "url",
                "is not encrypted, but certificates are named: use the rediss form",
            );
        }
    }
}
