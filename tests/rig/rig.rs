//! A test bed of real Redis servers: one, replicated, or a cluster, and a proxy that injects faults.
//!
//! Several targets include it by path, so it refers to its own modules by `super` and needs nothing but `redis-server`
//! 7.0 or newer, a shell, tokio and tempfile. Everything listens on loopback, on its own ports and in its own
//! directories, and ends with its owner. Functions that wait poll for at most [`PATIENCE`] and block their thread: an
//! async test whose other tasks must run meanwhile calls them on a thread for blocking work.
//!
//! - [`RedisServer`]: a process that is started, stopped, killed, frozen and started again on its port.
//! - [`Replicated`]: a master, its replicas, and sentinels.
//! - [`Cluster`]: three masters and three replicas.
//! - [`Proxy`]: stands before a server; loses, delays, refuses and counts.
//! - [`SmtpSink`]: a mail server, Postfix's for tests, which needs its program.
//! - [`Postfix`]: the whole of Postfix, with the settings of an operator; only root can start it.
//! - [`Client`] and [`Reply`]: one blocking connection, and what is said on it.
#![allow(dead_code, unused_imports, reason = "each target uses a part of it")]
#![allow(clippy::unwrap_used, reason = "what fails here is to fail the test")]

mod client;
mod cluster;
mod options;
mod poll;
pub mod port;
mod postfix;
mod process;
mod proxy;
mod replicated;
mod resp;
mod server;
mod smtp_sink;
mod watchdog;

pub use client::Client;
pub use cluster::Cluster;
pub use options::{MASTER_NAME, Options, Tls};
pub use poll::{PATIENCE, until, until_within};
pub use port::{free as free_port, loopback};
pub use postfix::Postfix;
pub use proxy::{ALWAYS, Fault, Proxy, command, command_with};
pub use replicated::Replicated;
pub use resp::{Reply, encode, parse};
pub use server::RedisServer;
pub use smtp_sink::SmtpSink;
