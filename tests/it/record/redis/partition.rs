//! Two masters at once, and an old master that returns: only the generation in which a verification was started may
//! approve it.

use std::sync::Arc;

use countersign::pb::v1::Verdict;

use super::bed::{eventually, guess, on, settled, start_again, works};
use crate::{
    harness::{Setup, shape},
    rig::{Proxy, RedisServer, Replicated, until},
};

/// A service with the keys and the clock of another one, on another server.
fn beside(setup: &Setup, url: &str) -> Setup {
    let mut settings = setup.settings.clone();
    settings.retain(|(key, _)| key != "STORE__URL");
    let other = Setup {
        settings,
        dir: setup.dir.clone(),
        clock: setup.clock.clone(),
        ..Setup::default()
    };
    other.with("STORE__URL", url)
}

/// Waits until the replica has all data of its master.
fn in_step(master: &RedisServer, replica: &RedisServer) {
    until("the replica to have all", || {
        let (has, wanted) = (
            replica.info("slave_repl_offset"),
            master.info("master_repl_offset"),
        );
        if has.is_some() && has == wanted {
            Ok(())
        } else {
            Err(format!("{has:?} of {wanted:?}"))
        }
    });
}

fn follow(replica: &RedisServer, master: &RedisServer) {
    replica
        .cmd(&["REPLICAOF", "127.0.0.1", &master.port().to_string()])
        .ok();
    until("the replica in step", || {
        match replica.info("master_link_status") {
            Some(status) if status == "up" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rf03_on_both_sides_of_a_partition_one_code_is_approved_once() {
    let bed = Replicated::start(1);
    let (old, new) = (&bed.servers()[0], &bed.servers()[1]);
    let setup = on(&old.url());
    let minority = Arc::new(setup.start().await);
    let mut live = Vec::new();
    for n in 0..5 {
        live.push(settled(&minority, &format!("s{n}")).await);
    }
    in_step(old, new);
    bed.promote(1);
    let majority = Arc::new(beside(&setup, &new.url()).start().await);
    for (v, code) in &live {
        let (one, other) = tokio::join!(
            guess(&minority, &v.verification_id, code),
            guess(&majority, &v.verification_id, code)
        );
        assert_eq!(
            (one, other),
            (Ok(Verdict::Approved), Err(start_again())),
            "only its own generation approves it"
        );
    }
    works(&majority).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rf03_back_on_the_old_master_within_the_life_of_a_code_it_is_dead() {
    let bed = Replicated::start(1);
    let (a, b) = (&bed.servers()[0], &bed.servers()[1]);
    let proxy = Proxy::start(a.addr());
    let service = on(&proxy.url()).start().await;
    let (spent, spent_code) = settled(&service, "spent").await;
    let (open, open_code) = settled(&service, "open").await;
    in_step(a, b);
    // The replica is cut off while both verifications are live, and is promoted.
    bed.promote(1);
    assert_eq!(
        guess(&service, &spent.verification_id, &spent_code).await,
        Ok(Verdict::Approved)
    );
    // The service moves to it. The old master becomes its replica, which replaces its data and removes the approval
    // there, and is then promoted again.
    proxy.retarget(b.addr());
    proxy.drop_connections();
    eventually("the service on the new master", async || {
        service.start(crate::harness::login("moved")).await.is_ok()
    })
    .await;
    follow(a, b);
    a.cmd(&["REPLICAOF", "NO", "ONE"]).ok();
    proxy.retarget(a.addr());
    proxy.drop_connections();
    for (v, code) in [(&spent, &spent_code), (&open, &open_code)] {
        assert_eq!(
            guess(&service, &v.verification_id, code).await,
            Err(start_again()),
            "the run id is the old one"
        );
    }
    works(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_08_a_replica_with_old_data_is_never_asked() {
    let bed = Replicated::start(1);
    let proxy = Proxy::start(bed.servers()[0].addr());
    let service = on(&proxy.url())
        .with("STORE__DEADLINE_MS", "1000")
        .start()
        .await;
    let (v, code) = settled(&service, "s").await;
    proxy.retarget(bed.servers()[1].addr());
    proxy.drop_connections();
    for _ in 0..5 {
        let answer = shape(service.try_check(&v.verification_id, &code, "a").await);
        assert_eq!(answer, super::bed::down(), "it is a replica");
    }
    proxy.retarget(bed.servers()[0].addr());
    proxy.drop_connections();
    assert_eq!(
        guess(&service, &v.verification_id, &code).await,
        Ok(Verdict::Approved),
        "the generation is the same"
    );
}
