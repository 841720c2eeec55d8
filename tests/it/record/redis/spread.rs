//! A proxy that distributes connections over servers: not supported, and detected.

use std::{net::SocketAddr, sync::Arc};

use tokio::net::{TcpListener, TcpStream};

use super::bed::on;
use crate::rig::{Options, RedisServer};

/// Forwards each connection to the next of several servers.
async fn spreading(servers: Vec<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for server in servers.iter().cycle() {
            let (mut inbound, _) = listener.accept().await.unwrap();
            let mut outbound = TcpStream::connect(server).await.unwrap();
            tokio::spawn(async move {
                tokio::io::copy_bidirectional(&mut inbound, &mut outbound).await
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn store_09_connections_that_lead_to_two_servers_stop_the_start() {
    let servers = Arc::new([
        RedisServer::start(&Options::default()),
        RedisServer::start(&Options::default()),
    ]);
    let proxy = spreading(servers.iter().map(RedisServer::addr).collect()).await;
    let setup = on(&format!("redis://{proxy}"));
    let refused = setup
        .try_start_on(countersign::app::Machine::default())
        .await
        .err()
        .expect("no start");
    assert!(
        format!("{refused:#}").contains("two servers"),
        "{refused:#}"
    );
    // The same proxy is fine if it forwards to one server only.
    let proxy = spreading(vec![servers[0].addr()]).await;
    super::bed::works(&on(&format!("redis://{proxy}")).start().await).await;
}
