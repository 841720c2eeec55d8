//! The `store.url` setting: which store engine is used, and where it is.

use std::{fmt, path::PathBuf};

use crate::domain::ids::Invalid;

/// The store engine, with its location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `embedded:`, in the memory of this process; lost when it ends.
    Memory,
    /// `embedded:PATH`, in one file, used by one process at a time.
    File(PathBuf),
    /// `redis://`, its Sentinel and Cluster forms, and each with TLS; shared by any number of processes.
    Redis(RedisUrl),
}

/// A host and a port, as configured; names are not resolved here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// A DNS name or IP address; an IPv6 address without its brackets.
    pub host: String,
    /// The TCP port, never 0.
    pub port: u16,
}

/// How the Redis servers are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisKind {
    /// One server at a fixed address.
    Single(Endpoint),
    /// The sentinels are asked for the current master.
    Sentinel {
        /// The sentinels to ask; any one that answers is enough.
        sentinels: Vec<Endpoint>,
        /// The master's name, as the sentinels know it.
        master: String,
    },
    /// A cluster: any of these servers lists all others.
    Cluster(Vec<Endpoint>),
}

/// How to connect to Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUrl {
    /// Whether connections use TLS.
    pub tls: bool,
    /// The kind of deployment, with its addresses.
    pub kind: RedisKind,
    /// The ACL user; empty for Redis's default user.
    pub username: String,
    /// The database number, at least 0; always 0 on a cluster.
    pub db: i64,
}

impl StoreUrl {
    /// Parses the text of the setting `store.url`.
    ///
    /// # Errors
    /// [`Invalid`] lists the accepted forms.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text.split_once(':') {
            Some(("embedded", "")) => Ok(Self::Memory),
            Some(("embedded", path)) => Ok(Self::File(path.into())),
            Some((scheme, rest)) => RedisUrl::parse(scheme, rest).map(Self::Redis),
            None => Err(UNKNOWN),
        }
    }
}

const UNKNOWN: Invalid = Invalid(
    "must be embedded: (memory), embedded:PATH (one file), redis://HOST:PORT/DB, redis-sentinel://HOST:PORT,.../MASTER/DB or \
     redis-cluster://HOST:PORT,..., the last three also as rediss",
);
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;

impl RedisUrl {
    fn parse(scheme: &str, rest: &str) -> Result<Self, Invalid> {
        let (tls, kind) = match scheme.split_once('-') {
            None => (scheme == "rediss", ""),
            Some((redis, kind)) => (redis == "rediss", kind),
        };
        let known = ["redis", "rediss"].contains(&scheme.split('-').next().unwrap_or_default());
        let rest = rest
            .strip_prefix("//")
            .filter(|_| known && ["", "sentinel", "cluster"].contains(&kind))
            .ok_or(UNKNOWN)?;
        if rest.contains(['?', '#']) {
            return Err(Invalid("takes no parameters"));
        }
        let (username, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        if username.contains(':') {
            return Err(Invalid(
                "must not hold a password: put it into a file, and its path into password_file",
            ));
        }
        let mut parts = rest.trim_end_matches('/').split('/');
        let hosts = parts.next().unwrap_or_default();
        let master = (kind == "sentinel").then(|| parts.next().unwrap_or_default());
        let db = parts.next();
        if kind == "cluster" && db.is_some() {
            return Err(Invalid("must name no database: a cluster has only one"));
        }
        let kind = RedisKind::parse(kind, hosts, master)?;
        let db = db.map_or(Some(0), |db| db.parse().ok().filter(|db| *db >= 0));
        let db = db.filter(|_| parts.next().is_none()).ok_or(Invalid(
            "must end with the number of the database, or without",
        ))?;
        Ok(Self {
            tls,
            kind,
            username: username.to_owned(),
            db,
        })
    }
}

impl RedisKind {
    fn parse(kind: &str, hosts: &str, master: Option<&str>) -> Result<Self, Invalid> {
        let default_port = if kind == "sentinel" {
            SENTINEL_PORT
        } else {
            REDIS_PORT
        };
        let endpoints: Vec<Endpoint> = hosts
            .split(',')
            .map(|host| Endpoint::parse(host, default_port))
            .collect::<Result<_, _>>()?;
        match (kind, master, endpoints.as_slice()) {
            ("cluster", ..) => Ok(Self::Cluster(endpoints)),
            ("sentinel", None | Some(""), _) => Err(Invalid(
                "must end with the name of the master, as the sentinels know it",
            )),
            ("sentinel", Some(master), _) => Ok(Self::Sentinel {
                sentinels: endpoints,
                master: master.to_owned(),
            }),
            (_, _, [one]) => Ok(Self::Single(one.clone())),
            _ => Err(Invalid(
                "must name one server; several are redis-sentinel:// or redis-cluster://",
            )),
        }
    }
}

impl Endpoint {
    /// Parses `HOST:PORT`, `HOST`, `[V6]:PORT` or `[V6]`.
    ///
    /// # Errors
    /// [`Invalid`] lists the accepted forms.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, Invalid> {
        let wrong = || Invalid("must name each server as HOST, HOST:PORT or [ADDRESS]:PORT");
        let (host, port) = match text.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']').ok_or_else(wrong)?;
                (
                    host,
                    port.strip_prefix(':')
                        .or((port.is_empty()).then_some(""))
                        .ok_or_else(wrong)?,
                )
            }
            None => text.split_once(':').unwrap_or((text, "")),
        };
        let port = if port.is_empty() {
            Some(default_port)
        } else {
            port.parse().ok().filter(|port| *port > 0)
        };
        let fits =
            !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control());
        match (port, fits) {
            (Some(port), true) => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint {
            host: host.to_owned(),
            port,
        }
    }

    fn redis(text: &str) -> RedisUrl {
        match StoreUrl::parse(text) {
            Ok(StoreUrl::Redis(url)) => url,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_store_is_memory_or_a_file() {
        assert_eq!(StoreUrl::parse("embedded:"), Ok(StoreUrl::Memory));
        assert_eq!(
            StoreUrl::parse("embedded:a/b:c.redb"),
            Ok(StoreUrl::File("a/b:c.redb".into()))
        );
    }

    #[test]
    fn a_redis_is_one_server_a_master_known_to_sentinels_or_a_cluster() {
        let one = redis("redis://localhost");
        assert_eq!(
            (one.tls, one.kind, one.db),
            (false, RedisKind::Single(endpoint("localhost", 6379)), 0)
        );
        let one = redis("rediss://app@[::1]:7000/3");
        assert_eq!(
            (one.tls, one.kind, one.db),
            (true, RedisKind::Single(endpoint("::1", 7000)), 3)
        );
        assert_eq!(one.username, "app");
        let sentinels = vec![endpoint("a", 26379), endpoint("b", 5000)];
        let watched = redis("redis-sentinel://a,b:5000/main/2");
        assert_eq!(
            (watched.kind, watched.db),
            (
                RedisKind::Sentinel {
                    sentinels,
                    master: "main".to_owned()
                },
                2
            )
        );
        let cluster = redis("rediss-cluster://a:1,b:2,c:3");
        let nodes = vec![endpoint("a", 1), endpoint("b", 2), endpoint("c", 3)];
        assert_eq!(
            (cluster.tls, cluster.kind),
            (true, RedisKind::Cluster(nodes))
        );
    }

    #[test]
    fn what_is_no_store_is_refused_with_the_forms_there_are() {
        for bad in [
            "",
            "embedded",
            "Embedded:",
            "postgres://host",
            "/var/lib/store",
            "redis:host",
            "redis-x://host",
            "rediss-:a",
        ] {
            assert_eq!(StoreUrl::parse(bad), Err(UNKNOWN), "{bad:?}");
        }
        for bad in [
            "redis://",
            "redis://a,b",
            "redis://a:0",
            "redis://a:x",
            "redis://a/x",
            "redis://a/0/1",
            "redis://a/0?x=y",
            "redis://user:secret@a",
            "redis-sentinel://a",
            "redis-cluster://a/1",
            "redis://[::1",
            "redis://[::1]7",
        ] {
            let refused = StoreUrl::parse(bad).unwrap_err();
            assert_ne!(refused, UNKNOWN, "{bad:?}");
        }
    }
}
