//! Composition: makes the parts from the settings, puts them together, and serves until told to stop.

mod callbacks;
mod check;
mod compose;
mod hook;
mod senders;
mod serve;
mod stores;

pub use check::problems;
pub use stores::{init_store, look_at_store, read_store};

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Settings,
    grpc::entrance::callers::Credential,
    http::callbacks::Receiver,
    ports::{
        sender::{Sender, outbox::Outbox, receipts::Receipts},
        store::Store,
        system::{Clock, Entropy},
    },
    service::Service,
    system::{SystemClock, SystemEntropy},
    worker::Worker,
};

/// What the service takes from the machine; tests and the demo bring their own.
pub struct Machine {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives randomness.
    pub entropy: Arc<dyn Entropy>,
    /// A store that takes the place of that of the settings.
    pub store: Option<Arc<dyn Store>>,
    /// A clock that takes the place of that of the store's servers.
    pub store_clock: Option<Arc<dyn Clock>>,
    /// Senders that take the place of those of the settings, by name.
    pub senders: BTreeMap<String, Arc<dyn Sender>>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy::default()),
            store: None,
            store_clock: None,
            senders: BTreeMap::new(),
        }
    }
}

/// The service, put together and bound to its addresses, not yet serving.
pub struct App {
    settings: Settings,
    machine: Machine,
    service: Arc<Service>,
    worker: Worker,
    receipts: Receipts,
    credentials: Vec<Credential>,
    outbox: Option<Arc<Outbox>>,
    receivers: BTreeMap<String, Receiver>,
    listeners: Listeners,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
    development_key: Option<String>,
}

struct Listeners {
    grpc: TcpListener,
    http: TcpListener,
    admin: TcpListener,
}

/// Where an app can be reached, and how it is stopped.
#[derive(Clone)]
pub struct Reach {
    /// The gRPC listener.
    pub grpc: SocketAddr,
    /// The HTTP listener.
    pub http: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
    /// Cancel it to drain and stop.
    pub shutdown: CancellationToken,
    /// The use cases, for tests that look behind the API.
    pub service: Arc<Service>,
    /// Where senders put the receipts that come over their own connections, for tests that stand in for one.
    pub receipts: Receipts,
    /// The development outbox; none in production.
    pub outbox: Option<Arc<Outbox>>,
    /// The development caller's key; none in production.
    pub development_key: Option<String>,
}

impl App {
    /// Where it can be reached.
    ///
    /// # Errors
    /// A listener has lost its address.
    pub fn reach(&self) -> std::io::Result<Reach> {
        Ok(Reach {
            grpc: self.listeners.grpc.local_addr()?,
            http: self.listeners.http.local_addr()?,
            admin: self.listeners.admin.local_addr()?,
            shutdown: self.shutdown.clone(),
            service: self.service.clone(),
            receipts: self.receipts.clone(),
            outbox: self.outbox.clone(),
            development_key: self.development_key.clone(),
        })
    }
}
