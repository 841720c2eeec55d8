//! Settings of the connections to Redis.

use std::time::Duration;

use crate::{
    format::secret::SecretText,
    ports::store::url::{Endpoint, RedisUrl},
};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo as _,
    ProtocolVersion, RedisConnectionInfo, RedisError, TlsCertificates, aio::MultiplexedConnection,
};

/// How long making a connection may take. Must not be longer than a failover.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The credentials for a server.
#[derive(Clone, Debug)]
pub struct Login {
    /// The ACL user; empty for Redis's default user.
    pub username: String,
    /// The password, read from `store.password_file` or the file for the sentinels.
    pub password: SecretText,
}

/// TLS certificates in PEM form.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    /// The authorities to trust instead of the system's; `None` for the system's.
    pub ca: Option<Vec<u8>>,
    /// The client certificate chain and its private key; `None` if the server asks for none.
    pub client: Option<(Vec<u8>, SecretText)>,
}

/// The settings of the store on Redis.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// The servers, from `store.url`.
    pub url: RedisUrl,
    /// The credentials for the servers; `None` to connect without.
    pub login: Option<Login>,
    /// The credentials for the sentinels; `None` to connect without.
    pub sentinel_login: Option<Login>,
    /// Used by the TLS forms of the URL only.
    pub certificates: Certificates,
    /// Put before every key, so that several stores can share a server.
    pub prefix: String,
    /// The number of shards. Cannot be changed once the store is set up.
    pub shards: u16,
    /// The number of connections to each server, besides the durable ones.
    pub connections: usize,
    /// The number of connections to each server for calls that wait for replicas or the append-only file.
    pub durable_connections: usize,
    /// The number of replicas that must acknowledge a durable commit; 0 to wait for none.
    pub wait_replicas: u32,
    /// Whether a durable commit waits until the master has written it to its append-only file.
    pub wait_aof: bool,
    /// The longest wait for these acknowledgements.
    pub wait: Duration,
    /// The deadline of one store operation, including repeats.
    pub deadline: Duration,
}

impl RedisSettings {
    /// Whether durable commits wait for any acknowledgement.
    pub(in crate::store::redis) fn waits(&self) -> bool {
        self.wait_replicas > 0 || self.wait_aof
    }

    /// Opens a connection to one server, whose identity is not checked yet.
    pub(in crate::store::redis) async fn dial(
        &self,
        to: &Endpoint,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, RedisError> {
        let resp3 = RedisConnectionInfo::default()
            .set_db(self.url.db)
            .set_protocol(ProtocolVersion::RESP3);
        self.connect(to, with_login(resp3, self.login.as_ref()), config)
            .await
    }

    /// Opens a connection to a sentinel.
    pub(in crate::store::redis) async fn dial_sentinel(
        &self,
        to: &Endpoint,
    ) -> Result<MultiplexedConnection, RedisError> {
        let plain = RedisConnectionInfo::default();
        self.connect(
            to,
            with_login(plain, self.sentinel_login.as_ref()),
            AsyncConnectionConfig::new(),
        )
        .await
    }

    async fn connect(
        &self,
        to: &Endpoint,
        info: RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, RedisError> {
        let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
        // Sending the library's name would need the right to use `CLIENT SETINFO`.
        let addr = self
            .address(to)
            .into_connection_info()?
            .set_redis_settings(info.set_skip_set_lib_name())
            .set_tcp_settings(tcp);
        let client = if self.url.tls {
            let client_tls = self.certificates.client.as_ref();
            let client_tls = client_tls.map(|(cert, key)| ClientTlsConfig {
                client_cert: cert.clone(),
                client_key: key.expose().as_bytes().to_vec(),
            });
            Client::build_with_tls(
                addr,
                TlsCertificates {
                    client_tls,
                    root_cert: self.certificates.ca.clone(),
                },
            )?
        } else {
            Client::open(addr)?
        };
        // Callers set their own deadlines; this timeout only catches a connection that no longer answers.
        let config = config
            .set_connection_timeout(Some(DIAL_TIMEOUT))
            .set_response_timeout(Some(2 * self.deadline));
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    fn address(&self, to: &Endpoint) -> ConnectionAddr {
        let (host, port) = (to.host.clone(), to.port);
        if self.url.tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        }
    }
}

fn with_login(info: RedisConnectionInfo, login: Option<&Login>) -> RedisConnectionInfo {
    let Some(login) = login else { return info };
    let info = info.set_password(login.password.expose());
    if login.username.is_empty() {
        info
    } else {
        info.set_username(&login.username)
    }
}
