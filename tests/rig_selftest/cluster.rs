//! Tests of the cluster: its form, moving slots, masters that are killed.

use std::collections::BTreeSet;

use crate::rig::{Client, Cluster, Reply, until};

fn code(reply: &Reply) -> String {
    reply
        .error()
        .unwrap_or_default()
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_cluster_of_six_moves_slots_and_outlives_its_masters() {
    let cluster = Cluster::start();
    every_slot_has_one_owner_and_every_master_a_replica(&cluster);
    a_slot_moves_with_its_keys(&cluster);
    an_open_slot_sends_clients_to_and_fro(&cluster);
    a_replica_takes_over_when_it_is_told_to(&cluster);
    a_replica_takes_over_when_its_master_dies(&cluster);
}

fn every_slot_has_one_owner_and_every_master_a_replica(cluster: &Cluster) {
    let masters = cluster.masters();
    assert_eq!(
        (
            masters.len(),
            cluster.seeds().len(),
            cluster.url().matches(',').count()
        ),
        (3, 6, 5)
    );
    let owners: BTreeSet<_> = [0, 5461, 10_922, 16_383]
        .map(|slot| cluster.owner(slot).port())
        .into();
    assert_eq!(owners, masters.iter().map(|master| master.port()).collect());
    masters
        .iter()
        .for_each(|master| assert_eq!(cluster.replicas_of(master).len(), 1));
    let slot = cluster.slot_of("{tag}name");
    let stranger = masters
        .iter()
        .find(|master| master.port() != cluster.owner(slot).port())
        .unwrap();
    let moved = format!("MOVED {slot} {}", cluster.owner(slot).addr());
    assert_eq!(
        stranger.cmd(&["SET", "{tag}name", "value"]).error(),
        Some(moved.as_str())
    );
    assert_eq!(code(&stranger.cmd(&["MGET", "a", "b"])), "CROSSSLOT");
}

fn a_slot_moves_with_its_keys(cluster: &Cluster) {
    let slot = cluster.slot_of("{tag}");
    let old = cluster.owner(slot);
    let mut client = old.client().unwrap();
    (0..250).for_each(|number| {
        drop(
            client
                .call(&["SET", &format!("{{tag}}{number}"), "value"])
                .unwrap()
                .ok(),
        );
    });
    let new = cluster
        .masters()
        .into_iter()
        .find(|master| master.port() != old.port())
        .unwrap();
    cluster.migrate_slot(slot, new);
    assert_eq!(cluster.owner(slot).port(), new.port());
    assert_eq!(
        new.cmd(&["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()])
            .int(),
        250
    );
    assert_eq!(new.cmd(&["GET", "{tag}249"]).text(), "value");
    assert_eq!(code(&old.cmd(&["GET", "{tag}249"])), "MOVED");
}

fn an_open_slot_sends_clients_to_and_fro(cluster: &Cluster) {
    let slot = cluster.slot_of("{open}");
    let old = cluster.owner(slot);
    old.cmd(&["SET", "{open}1", "value"]).ok();
    let new = cluster
        .masters()
        .into_iter()
        .find(|master| master.port() != old.port())
        .unwrap();
    cluster.begin_migration(slot, new);
    assert_eq!(old.cmd(&["GET", "{open}1"]).text(), "value");
    assert_eq!(code(&old.cmd(&["GET", "{open}2"])), "ASK");
    assert_eq!(code(&old.cmd(&["MGET", "{open}1", "{open}2"])), "TRYAGAIN");
    assert_eq!(code(&new.cmd(&["GET", "{open}1"])), "MOVED");
    let mut client: Client = new.client().unwrap();
    client.call(&["ASKING"]).unwrap().ok();
    assert!(client.call(&["GET", "{open}2"]).unwrap().is_nil());
    assert_eq!(
        (cluster.move_keys(slot, new), cluster.move_keys(slot, new)),
        (1, 0)
    );
    cluster.end_migration(slot, new);
    assert_eq!(new.cmd(&["GET", "{open}1"]).text(), "value");
}

fn a_replica_takes_over_when_it_is_told_to(cluster: &Cluster) {
    let slot = cluster.slot_of("{told}");
    let old = cluster.owner(slot);
    old.cmd(&["SET", "{told}", "value"]).ok();
    let new = cluster.failover(slot);
    assert_eq!(new.cmd(&["GET", "{told}"]).text(), "value");
    until("the old master to follow", || {
        match cluster.replicas_of(new).as_slice() {
            [replica] if replica.port() == old.port() => Ok(()),
            other => Err(format!("{} replicas", other.len())),
        }
    });
}

fn a_replica_takes_over_when_its_master_dies(cluster: &Cluster) {
    let slot = cluster.slot_of("{dead}");
    let mut client = cluster.owner(slot).client().unwrap();
    client.call(&["SET", "{dead}", "value"]).unwrap().ok();
    assert_eq!(client.call(&["WAIT", "1", "10000"]).unwrap().int(), 1);
    let old = cluster.kill_owner(slot);
    let new = cluster.wait_for_new_owner(slot, old);
    assert_ne!(new.port(), old.port());
    assert_eq!(new.cmd(&["GET", "{dead}"]).text(), "value");
    old.restart();
    cluster.wait_settled();
    assert_eq!(
        (cluster.replicas_of(new).len(), cluster.masters().len()),
        (1, 3)
    );
}
