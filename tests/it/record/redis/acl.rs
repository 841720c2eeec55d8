//! A user of the server with no more rights than the service needs, as the shipped file has it.

use countersign::{
    app::read_store,
    domain::crypto::keyring::Kid,
    pb::v1::{CancelReason, Verdict},
    service::record::usage::KeyUsage,
};

use super::bed::{on, settled, works};
use crate::{
    harness::{Setup, shape, unique},
    rig::{Options, RedisServer, Reply},
};

/// The rights as operators get them.
const RULES: &str = include_str!("../../../../deploy/redis-acl.conf");
const PASSWORD: &str = "a-password-of-the-test";

/// The rule of the file for a user, with a password that the test knows.
fn rule(user: &str) -> String {
    let start = format!("user {user} ");
    let line = RULES
        .lines()
        .find(|line| line.starts_with(&start))
        .expect("the file has the user");
    let hash = line
        .split_whitespace()
        .find(|word| word.starts_with('#'))
        .expect("a password is set");
    line.strip_prefix("user ")
        .unwrap()
        .replace(hash, &format!(">{PASSWORD}"))
}

fn server() -> RedisServer {
    RedisServer::start(&Options::default().set("user", &rule("countersign")))
}

fn limited(server: &RedisServer) -> Setup {
    let setup = on(&server.url().replace("redis://", "redis://countersign@"));
    let file = setup.dir.path().join("redis.password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    setup
        .with("STORE__PREFIX", "cs")
        .with("STORE__PASSWORD_FILE", file.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn store_13_the_shipped_rights_are_enough() {
    let server = server();
    let service = limited(&server).start().await;
    let (v, code) = settled(&service, "s").await;
    assert_eq!(
        service
            .check(&v.verification_id, &crate::harness::wrong(&code))
            .await,
        Verdict::Wrong
    );
    assert_eq!(
        shape(
            service
                .try_check(&v.verification_id, "no code", &unique("a"))
                .await
        )
        .1,
        "CODE_MALFORMED"
    );
    service
        .try_cancel(&v.verification_id, CancelReason::Requested)
        .await
        .unwrap();
    assert!(!service.audit().await.is_empty());
    works(&service).await;
    let store = read_store(&limited(&server).settings()).await.unwrap();
    let usage = KeyUsage::count(&*store).await.unwrap();
    let kid = Kid::parse("dev").unwrap();
    let sealed = &usage.by_kid[&Some(kid)];
    assert!(sealed.all_records() >= 1 && sealed.events > 1, "{usage:?}");
    let denied = server.cmd(&["ACL", "LOG"]).ok();
    assert!(denied.list().is_empty(), "{denied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_13_the_shipped_rights_are_no_more_than_that() {
    let server = server();
    let mut client = server.client().unwrap();
    client
        .call(&["AUTH", "countersign", PASSWORD])
        .unwrap()
        .ok();
    let calls: [&[&str]; 15] = [
        &["KEYS", "*"],
        &["FLUSHALL"],
        &["FLUSHDB"],
        &["CONFIG", "GET", "*"],
        &["DEBUG", "JMAP"],
        &["MODULE", "LIST"],
        &[
            "FUNCTION",
            "LOAD",
            "#!lua name=x\nredis.register_function('x', function() end)",
        ],
        &["EVAL", "return 1", "0"],
        &["SCRIPT", "FLUSH"],
        &["CLIENT", "KILL", "TYPE", "normal"],
        &["REPLICAOF", "NO", "ONE"],
        &["ACL", "LIST"],
        &["MONITOR"],
        &["GET", "another:v1:{s1}:r:x"],
        &["SET", "another", "x"],
    ];
    for call in calls {
        let reply = client.call(call).unwrap();
        let refused = matches!(&reply, Reply::Error(error) if error.starts_with("NOPERM"));
        assert!(refused, "{call:?} is answered by {reply:?}");
    }
    assert_eq!(
        client
            .call(&["SPUBLISH", "another", ""])
            .unwrap()
            .error()
            .map(|error| &error[..6]),
        Some("NOPERM")
    );
    assert!(
        client.call(&["INFO"]).unwrap().error().is_none(),
        "who it is stays known"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn store_13_a_right_that_is_missing_is_named_at_the_start() {
    for right in ["xadd", "getrange", "zadd"] {
        let server = server();
        let less = format!("-{right}");
        server.cmd(&["ACL", "SETUSER", "countersign", &less]).ok();
        let refused = limited(&server)
            .try_start_on(countersign::app::Machine::default())
            .await
            .err()
            .expect("no start");
        let text = format!("{refused:#}").to_uppercase();
        assert!(text.contains(&right.to_uppercase()), "{text}");
    }
}
