//! How the store is reached, and what it must keep to.

use std::time::Duration;

use crate::{
    format::secret::SecretText,
    ports::store::url::{Endpoint, RedisUrl},
};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo as _,
    ProtocolVersion, RedisConnectionInfo, RedisError, TlsCertificates, aio::MultiplexedConnection,
};

/// A connection that is not made by then is none. It must not take longer than a failover.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The login of a server.
#[derive(Clone, Debug)]
pub struct Login {
    /// The ACL user; empty for the default user.
    pub username: String,
    /// The password.
    pub password: SecretText,
}

/// Certificates in PEM form.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    /// Authorities to trust in place of those of the system.
    pub ca: Option<Vec<u8>>,
    /// The chain and the key that show who we are.
    pub client: Option<(Vec<u8>, SecretText)>,
}

/// How Redis is reached, and what it must keep to.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Where.
    pub url: RedisUrl,
    /// As whom.
    pub login: Option<Login>,
    /// As whom with the sentinels.
    pub sentinel_login: Option<Login>,
    /// Certificates for the TLS forms.
    pub certificates: Certificates,
    /// Stands before every key.
    pub prefix: String,
    /// Shards; fixed when the store is set up.
    pub shards: u16,
    /// Connections to each server.
    pub connections: usize,
    /// Connections for commits that wait for replicas.
    pub durable_connections: usize,
    /// How many replicas must have a durable commit before it is answered; 0 to wait for none.
    pub wait_replicas: u32,
    /// Must a durable commit be in the append-only file of the master before it is answered?
    pub wait_aof: bool,
    /// How long a durable commit waits for that.
    pub wait: Duration,
    /// The deadline of one call.
    pub deadline: Duration,
}

impl RedisSettings {
    /// Do durable commits wait for anything?
    pub(in crate::store::redis) fn waits(&self) -> bool {
        self.wait_replicas > 0 || self.wait_aof
    }

    /// A connection to one server, without any promise of what it is.
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

    /// A connection to a sentinel.
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
        // The library's name is not told: it would need a right more.
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
        // A call has its deadline from whoever makes it.
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
