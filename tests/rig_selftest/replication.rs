//! Tests of replicas and sentinels: who replicates whom, and who is promoted.

use crate::rig::{Options, PATIENCE, Proxy, RedisServer, Replicated, until};

fn copied(server: &RedisServer) {
    until("the value to be copied", || {
        match server.cmd(&["GET", "name"]).text() {
            text if text == "value" => Ok(()),
            text => Err(text),
        }
    });
}

/// Writes on a master and waits for its replicas, on one connection, because `WAIT` covers only the writes of its
/// connection.
fn write(master: &RedisServer, replicas: &str, patience: &str) -> i64 {
    let mut client = master.client().unwrap();
    client.call(&["SET", "name", "value"]).unwrap().ok();
    client.call(&["WAIT", replicas, patience]).unwrap().int()
}

#[test]
fn sentinels_promote_a_replica_after_a_kill_and_the_old_master_comes_back_as_a_replica() {
    let bed = Replicated::with_sentinels(2);
    let old = bed.master_addr();
    assert_eq!(bed.replicas().len(), 2);
    assert_eq!(write(bed.master(), "2", "10000"), 2);
    bed.server_at(old).kill9();
    let new = bed.wait_for_new_master(old, PATIENCE);
    assert_ne!(new, old);
    copied(bed.server_at(new));
    bed.wait_settled();
    bed.server_at(old).restart();
    bed.wait_settled();
    assert_eq!((bed.master_addr(), bed.replicas().len()), (new, 2));
    copied(bed.server_at(old));
}

#[test]
fn a_failover_that_was_asked_for_changes_the_master_and_loses_nothing() {
    let bed = Replicated::with_sentinels(1);
    let old = bed.master_addr();
    assert_eq!(write(bed.master(), "1", "10000"), 1);
    let new = bed.failover();
    assert_ne!(new, old);
    bed.wait_settled();
    copied(bed.master());
    assert!(
        bed.server_at(old)
            .cmd(&["SET", "name", "value"])
            .error()
            .unwrap()
            .starts_with("READONLY")
    );
    assert_eq!(bed.sentinels().len(), 3);
    assert_eq!(bed.url().matches(',').count(), 2);
}

#[test]
fn without_sentinels_a_replica_is_promoted_by_hand_and_both_sides_write() {
    let bed = Replicated::start(1);
    let [old, new] = bed.servers() else {
        unreachable!("a master and a replica")
    };
    bed.promote(1);
    old.cmd(&["SET", "side", "old"]).ok();
    new.cmd(&["SET", "side", "new"]).ok();
    assert_eq!(
        (
            old.cmd(&["GET", "side"]).text(),
            new.cmd(&["GET", "side"]).text()
        ),
        ("old".to_owned(), "new".to_owned())
    );
}

#[test]
fn a_replication_link_goes_through_a_proxy_that_cuts_it_and_heals_it() {
    let (master, replica) = (
        RedisServer::start(&Options::default()),
        RedisServer::start(&Options::default()),
    );
    let link = Proxy::start(master.addr());
    replica
        .cmd(&["REPLICAOF", "127.0.0.1", &link.addr().port().to_string()])
        .ok();
    let up = || {
        replica
            .info("master_link_status")
            .filter(|status| status == "up")
            .map(|_| ())
            .ok_or("down".to_owned())
    };
    until("the link to be up", up);
    assert_eq!(write(&master, "1", "10000"), 1);
    link.blackhole();
    assert_eq!(write(&master, "1", "100"), 0);
    link.pass();
    assert_eq!(write(&master, "1", "10000"), 1);
    link.cut();
    assert_eq!(write(&master, "1", "100"), 0);
    link.pass();
    until("the link to be up again", up);
    assert_eq!(write(&master, "1", "10000"), 1);
}
