//! The bare limit: a gRPC echo that does one `EVALSHA` per call over one connection. No service on Redis can be faster.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use redis::{Cmd, Script, aio::MultiplexedConnection, cmd};
use tokio::{net::TcpListener, runtime::Runtime, task::JoinSet};
use tonic::{
    Request, Response, Status,
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};

/// A value of the size of a record.
const VALUE: [u8; 400] = [7; 400];
/// Reads and writes as a commit does, without its checks.
const SCRIPT: &str = "local was = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1])
return was and 1 or 0";

/// The echo server on its own runtime, with which it ends.
pub struct Bare {
    pub at: SocketAddr,
    _runtime: Runtime,
}

impl Bare {
    /// Starts the server on this Redis.
    pub fn start(url: &str, runtime: Runtime) -> anyhow::Result<Self> {
        let at = runtime.block_on(async {
            let mut connection = redis::Client::open(url)?
                .get_multiplexed_async_connection()
                .await?;
            let script = Script::new(SCRIPT);
            script.load_async(&mut connection).await?;
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let at = listener.local_addr()?;
            let echo = HealthServer::new(Echo {
                connection,
                hash: script.get_hash().to_owned(),
            });
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            tokio::spawn(async move {
                let served = Server::builder()
                    .add_service(echo)
                    .serve_with_incoming(incoming)
                    .await;
                served.expect("the echo serves as long as its runtime lives");
            });
            anyhow::Ok(at)
        })?;
        Ok(Self {
            at,
            _runtime: runtime,
        })
    }
}

struct Echo {
    connection: MultiplexedConnection,
    hash: String,
}

impl Echo {
    fn call(&self, key: &str) -> Cmd {
        let mut call = cmd("EVALSHA");
        call.arg(&self.hash).arg(1).arg(key).arg(&VALUE[..]);
        call
    }
}

#[tonic::async_trait]
impl Health for Echo {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let call = self.call(&request.get_ref().service);
        let answer: redis::RedisResult<i32> = call.query_async(&mut self.connection.clone()).await;
        let status = answer.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(HealthCheckResponse { status }))
    }

    type WatchStream = tokio_stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("it only echoes"))
    }
}

/// Calls as fast as possible; returns the number of pairs of calls.
pub async fn drive(at: SocketAddr, clients: usize, span: Duration) -> anyhow::Result<usize> {
    let end = Instant::now() + span;
    let mut tasks = JoinSet::new();
    for place in 0..clients {
        tasks.spawn(async move {
            let mut stub = HealthClient::new(
                Channel::from_shared(format!("http://{at}"))?
                    .connect()
                    .await?,
            );
            let mut pairs = 0;
            while Instant::now() < end {
                // A different key each time, of a bounded number of keys, so that no key is hot.
                let service = format!("bare:{place}:{}", pairs % 1000);
                stub.check(HealthCheckRequest {
                    service: service.clone(),
                })
                .await?;
                stub.check(HealthCheckRequest { service }).await?;
                pairs += 1;
            }
            anyhow::Ok(pairs)
        });
    }
    let mut pairs = 0;
    while let Some(one) = tasks.join_next().await {
        pairs += one??;
    }
    Ok(pairs)
}
