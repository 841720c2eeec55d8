//! The shipped ACL user has exactly the rights that the service needs.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use countersign::{
    app::read_store,
    domain::crypto::keyring::Kid,
    pb::v1::{self, CancelReason, Verdict},
    service::record::{usage::KeyUsage, vault::Line},
};

use super::bed::{down, guess, guesses_until_disabled, mend, on, settled, start_again, works};
use crate::{
    harness::{Harness, Setup, binary::binary, shape, unique, wrong},
    record::process::production,
    rig::{Options, RedisServer, Reply},
};

/// The ACL file that is shipped.
const RULES: &str = include_str!("../../../../deploy/redis-acl.conf");
/// The configuration of a server that is shipped.
const CONFIGURATION: &str = include_str!("../../../../deploy/redis.conf");
const PASSWORD: &str = "a-password-of-the-test";

/// The file's rule for a user, with a password that the test knows.
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

/// A server with the whole ACL file and the persistence of the shipped configuration.
fn persistent(dir: &Path, rules: &str) -> RedisServer {
    let file = dir.join("users.acl");
    let nobody = format!("#{}", "0".repeat(64));
    std::fs::write(&file, rules.replace(&nobody, &format!(">{PASSWORD}"))).unwrap();
    let persistence = CONFIGURATION
        .lines()
        .filter(|line| line.starts_with("append"))
        .filter_map(|line| line.split_once(' '));
    let options = persistence.fold(Options::default(), |options, (name, value)| {
        options.set(name, value)
    });
    let server = RedisServer::start(
        &options
            .set("aclfile", file.to_str().unwrap())
            .login("operator", PASSWORD),
    );
    assert_eq!(server.info("aof_enabled").as_deref(), Some("1"));
    server
}

fn records(server: &RedisServer) -> usize {
    server.cmd(&["KEYS", "cs:v1:*:r:*"]).list().len()
}

/// The URL of the limited user.
fn url(server: &RedisServer) -> String {
    server.url().replace("redis://", "redis://countersign@")
}

fn limited(server: &RedisServer) -> Setup {
    let setup = on(&url(server));
    let file = setup.dir.path().join("redis.password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    setup
        .with("STORE__PREFIX", "cs")
        .with("STORE__PASSWORD_FILE", file.to_str().unwrap())
}

/// A server with the shipped user, and a service that logs in as it.
pub fn limited_server() -> (RedisServer, Setup) {
    let server = server();
    let setup = limited(&server);
    (server, setup)
}

#[tokio::test(flavor = "multi_thread")]
async fn store_13_the_shipped_rights_are_enough() {
    let server = server();
    let service = limited(&server).start().await;
    let (v, code) = settled(&service, "s").await;
    assert_eq!(
        service.check(&v.verification_id, &wrong(&code)).await,
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
    let calls: [&[&str]; 18] = [
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
        &["ACL", "GETUSER", "operator"],
        &["ACL", "SETUSER", "countersign", "allcommands"],
        &["ACL", "LOAD"],
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
    for right in ["xadd", "xdel", "getrange", "zadd", "zscore"] {
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

/// Whether the right code gets no verdict, leaves the verification as it was, and is approved once `mended` is done.
async fn is_all_or_nothing(
    service: &Harness,
    what: &str,
    mended: impl FnOnce(),
    (v, code): (v1::Verification, String),
) {
    let id = &v.verification_id;
    let events = service.audit().await;
    let before = service.get(id).await.unwrap();
    for guess in [wrong(&code), code.clone()] {
        let answer = service.try_check(id, &guess, &unique("refused")).await;
        assert_eq!(shape(answer), down(), "{what}");
    }
    let canceled = service.try_cancel(id, CancelReason::NotMe).await;
    assert_eq!(shape(canceled), down(), "{what}");
    assert_eq!(service.get(id).await.unwrap(), before, "{what}");
    mended();
    assert_eq!(service.audit().await, events, "{what}");
    assert_eq!(
        guess(service, id, &code).await,
        Ok(Verdict::Approved),
        "{what}"
    );
    let of_one = |line: &&Line| line.verification == *id;
    let lines = service.audit().await;
    let told: Vec<_> = lines.iter().filter(of_one).map(|line| &line.what).collect();
    assert_eq!(
        told,
        ["started", "sent", "checked", "closed"],
        "{what}: one event for each decision"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn store_22_without_a_right_no_approval_leaves_and_nothing_changes() {
    let server = server();
    // A sweep that meets the fault is not what this test is about.
    let setup = limited(&server).with("WORKER__POLL_MS", "60000");
    let service = setup.start().await;
    let grant = |right: String| drop(server.cmd(&["ACL", "SETUSER", "countersign", &right]).ok());
    for right in ["xadd", "xdel", "zadd", "zrem", "zscore", "xlen", "set"] {
        let started = settled(&service, &unique(right)).await;
        grant(format!("-{right}"));
        is_all_or_nothing(
            &service,
            &format!("without {right}"),
            || grant(format!("+{right}")),
            started,
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_22_with_a_key_of_another_type_no_approval_leaves_and_nothing_changes() {
    let server = server();
    let setup = limited(&server)
        .with("WORKER__POLL_MS", "60000")
        .with("STORE__SHARDS", "1");
    let service = setup.start().await;
    for key in ["cs:v1:{s0}:events", "cs:v1:{s0}:due"] {
        let started = settled(&service, &unique("s")).await;
        server.cmd(&["RENAME", key, "cs:v1:{s0}:kept"]).ok();
        server.cmd(&["SET", key, "theirs"]).ok();
        let v = started.0.verification_id.clone();
        let answer = service.try_check(&v, &started.1, &unique("refused")).await;
        assert_eq!(shape(answer), down(), "{key}");
        assert_eq!(server.cmd(&["GET", key]).text(), "theirs");
        server.cmd(&["RENAME", "cs:v1:{s0}:kept", key]).ok();
        nothing_has_changed(&service, key, started).await;
    }
}

async fn nothing_has_changed(service: &Harness, what: &str, (v, code): (v1::Verification, String)) {
    let id = &v.verification_id;
    let lines = service.audit().await;
    let told = lines.iter().filter(|line| line.verification == *id);
    assert_eq!(told.count(), 2, "{what}: started and sent");
    assert_eq!(service.get(id).await.unwrap().attempts_left, 5, "{what}");
    assert_eq!(
        guess(service, id, &code).await,
        Ok(Verdict::Approved),
        "{what}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn store_22_without_memory_no_approval_leaves_and_nothing_changes() {
    let server = server();
    let setup = limited(&server).with("WORKER__POLL_MS", "60000");
    let service = setup.start().await;
    let started = settled(&service, "s").await;
    server.cmd(&["CONFIG", "SET", "maxmemory", "1"]).ok();
    is_all_or_nothing(
        &service,
        "without memory",
        || drop(server.cmd(&["CONFIG", "SET", "maxmemory", "0"]).ok()),
        started,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_13_records_survive_a_restart_with_the_shipped_users() {
    let dir = tempfile::tempdir().unwrap();
    let server = persistent(dir.path(), RULES);
    let service = limited(&server)
        .with("SUBJECT__FAILURE_LIMIT", "15")
        .start()
        .await;
    let (v, code) = settled(&service, "s").await;
    let (events, two_wrong) = (service.audit().await.len(), [wrong(&code), wrong(&code)]);
    for guess in &two_wrong {
        assert_eq!(
            service.check(&v.verification_id, guess).await,
            Verdict::Wrong
        );
        service.advance(2);
    }
    let before = records(&server);
    server.stop_gracefully();
    server.restart();
    assert_eq!((before > 0, records(&server)), (true, before));
    mend(|| service.get(&v.verification_id))
        .await
        .expect("the verification is there");
    assert_eq!(
        guess(&service, &v.verification_id, &code).await,
        Err(start_again()),
        "it is known, though no code outlives the server's life"
    );
    assert!(service.audit().await.len() > events, "the events are there");
    // Two failures were counted, and ten are charged for what may be lost.
    assert_eq!(guesses_until_disabled(&service, "s").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn store_13_a_replay_that_would_lose_records_is_refused_at_the_start() {
    let (_, shipped) = RULES.split_once('\n').unwrap();
    let lines = [
        "user default off",
        "user default off resetpass ~* &* +@all -xadd",
        "user default off resetpass ~another:* &* +@all",
    ];
    for line in lines {
        let dir = tempfile::tempdir().unwrap();
        let server = persistent(dir.path(), &format!("{line}\n{shipped}"));
        let refused = limited(&server)
            .try_start_on(countersign::app::Machine::default())
            .await
            .err()
            .unwrap_or_else(|| panic!("it starts with {line}"));
        let text = format!("{refused:#}");
        assert!(
            text.contains("user default may not use") && text.contains("~* &* +@all"),
            "{line}: {text}"
        );
        server.cmd(&["CONFIG", "SET", "appendonly", "no"]).ok();
        limited(&server).start().await;
    }
}

#[test]
fn store_13_check_config_says_that_it_may_not_ask_about_the_replay() {
    let dir = tempfile::tempdir().unwrap();
    let server = persistent(dir.path(), &RULES.replace(" +acl|dryrun", ""));
    let password = dir.path().join("redis.password");
    std::fs::write(&password, PASSWORD).unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = production(dir.path(), "a-real-key");
    let check = || {
        let output = binary()
            .env("COUNTERSIGN__STORE__URL", url(&server))
            .env("COUNTERSIGN__STORE__PASSWORD_FILE", &password)
            .env("COUNTERSIGN__STORE__PREFIX", "cs")
            .env("COUNTERSIGN__STORE__PLAINTEXT_ALLOWED", "true")
            .args(["check-config", "--store", "--config", &file])
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (code, said) = check();
    assert!(code == Some(0) && said.contains("replay_unknown"), "{said}");
    let grant = ["ACL", "SETUSER", "countersign", "+acl|dryrun"];
    server.cmd(&grant).ok();
    let (code, said) = check();
    assert!(code == Some(0) && !said.contains("replay"), "{said}");
    server.cmd(&["ACL", "SETUSER", "default", "-@all"]).ok();
    let (code, said) = check();
    assert!(
        code == Some(1) && said.contains("user default may not use SET"),
        "{said}"
    );
}
