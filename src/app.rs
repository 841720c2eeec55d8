//! Composition: builds the parts from the settings, puts them together, and serves until told to stop.

mod callbacks;
mod check;
mod compose;
mod senders;
mod serve;
mod stores;

pub use check::problems;
pub use stores::{init_store, look_at_store, read_store};

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Settings,
    grpc::entrance::callers::Credential,
    ports::{
        sender::{Sender, outbox::Outbox, receipts::Receipts},
        store::Store,
        system::{Clock, Entropy},
    },
    service::Service,
    system::{SystemClock, SystemEntropy},
    telemetry::Metrics,
    worker::Worker,
};

/// What the service uses of the machine; tests and the demo replace parts of it.
pub struct Machine {
    /// The clock of the service.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// A store that replaces the one of the settings.
    pub store: Option<Arc<dyn Store>>,
    /// A clock that replaces the one of the store's servers.
    pub store_clock: Option<Arc<dyn Clock>>,
    /// Senders that replace those of the settings, by name.
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
    listeners: Listeners,
    metrics: Metrics,
    shutdown: CancellationToken,
    development_key: Option<String>,
}

struct Listeners {
    grpc: TcpListener,
    http: TcpListener,
    admin: TcpListener,
}

/// The addresses of an app, how it is stopped, and what tests use of it.
#[derive(Clone)]
pub struct Reach {
    /// Address of the gRPC listener.
    pub grpc: SocketAddr,
    /// Address of the HTTP listener.
    pub http: SocketAddr,
    /// Address of the admin listener.
    pub admin: SocketAddr,
    /// Cancel it to drain and stop.
    pub shutdown: CancellationToken,
    /// The use cases, for tests that look behind the API.
    pub service: Arc<Service>,
    /// Where senders put the receipts that arrive over their own connections, for tests that replace a sender.
    pub receipts: Receipts,
    /// The development outbox; `None` in production.
    pub outbox: Option<Arc<Outbox>>,
    /// The API key of the development caller; `None` in production.
    pub development_key: Option<String>,
}

impl App {
    /// Where the app can be reached.
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
