//! Composition: builds the parts from the settings, connects them, and serves until it is stopped.

mod callbacks;
mod certificates;
mod check;
mod compose;
mod senders;
mod serve;
mod stores;

pub use certificates::Certificates;
pub use check::{Findings, findings};
pub use stores::{check_store, init_store, read_store};

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

/// What the service takes from the machine; tests and the demo replace parts of it.
pub struct Machine {
    /// The clock by which all decisions are made.
    pub clock: Arc<dyn Clock>,
    /// The source of all randomness.
    pub entropy: Arc<dyn Entropy>,
    /// A store used instead of the one in the settings; `None` for that one.
    pub store: Option<Arc<dyn Store>>,
    /// In tests, a clock used instead of the clocks of the Redis servers; otherwise `None`.
    pub store_clock: Option<Arc<dyn Clock>>,
    /// Senders used instead of those in the settings, by name.
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

/// The service with all its parts, bound to its addresses, but not serving yet.
pub struct App {
    settings: Settings,
    machine: Machine,
    service: Arc<Service>,
    worker: Worker,
    receipts: Receipts,
    credentials: Vec<Credential>,
    outbox: Option<Arc<Outbox>>,
    listeners: Listeners,
    certificates: Certificates,
    metrics: Metrics,
    shutdown: CancellationToken,
    development_key: Option<String>,
}

struct Listeners {
    grpc: TcpListener,
    http: TcpListener,
    admin: TcpListener,
}

/// The addresses of an app, the means to stop it, and what tests use of it.
#[derive(Clone)]
pub struct Reach {
    /// The address of the gRPC listener, with the real port even if the settings say 0.
    pub grpc: SocketAddr,
    /// The address of the HTTP listener, with the real port.
    pub http: SocketAddr,
    /// The address of the admin listener, with the real port.
    pub admin: SocketAddr,
    /// Canceling it drains and stops the app.
    pub shutdown: CancellationToken,
    /// The certificates of the listeners, which can be read again while the app serves.
    pub certificates: Certificates,
    /// The use cases, for tests that look behind the API.
    pub service: Arc<Service>,
    /// The queue for receipts that senders get over their own connections, for tests that replace a sender.
    pub receipts: Receipts,
    /// The development outbox; `None` in production.
    pub outbox: Option<Arc<Outbox>>,
    /// The API key of the development caller; `None` in production.
    pub development_key: Option<String>,
}

impl App {
    /// The addresses of the app, and what else its user needs.
    ///
    /// # Errors
    /// The operating system does not tell the address of a listener.
    pub fn reach(&self) -> std::io::Result<Reach> {
        Ok(Reach {
            grpc: self.listeners.grpc.local_addr()?,
            http: self.listeners.http.local_addr()?,
            admin: self.listeners.admin.local_addr()?,
            shutdown: self.shutdown.clone(),
            certificates: self.certificates.clone(),
            service: self.service.clone(),
            receipts: self.receipts.clone(),
            outbox: self.outbox.clone(),
            development_key: self.development_key.clone(),
        })
    }
}
