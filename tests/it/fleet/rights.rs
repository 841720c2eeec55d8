//! The user of `deploy/redis-acl.conf`: everything works, and nothing else is allowed.

use crate::{
    fleet::{blocking, converse, deployed, on},
    harness::Setup,
    rig::{Client, Options, RedisServer},
};

const USER: &str = "countersign";
const PASSWORD: &str = "of-the-test";

/// The rule of the service's user, as it is deployed.
fn rule() -> String {
    let text = deployed("redis-acl.conf");
    let rule = text.lines().find_map(|line| line.strip_prefix(&format!("user {USER} "))).expect("the user is there");
    format!("{USER} {}", rule.replace("PASSWORD", PASSWORD))
}

async fn server(rule: String) -> RedisServer {
    blocking(move || RedisServer::start(&Options::default().set("user", &rule))).await
}

/// The service as that user.
fn as_user(server: &RedisServer) -> Setup {
    let setup = on(&server.url().replace("redis://", &format!("redis://{USER}@")));
    let file = setup.dir.path().join("redis.password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    setup.with("STORE__PASSWORD_FILE", file.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn store_13_the_deployed_user_can_do_all_that_the_service_needs() {
    let server = server(rule()).await;
    let service = as_user(&server).start().await;
    converse(&service, "s").await;
    assert!(!service.audit().await.is_empty());
    let denied = server.cmd(&["ACL", "LOG"]);
    assert!(denied.list().is_empty(), "{denied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_13_the_deployed_user_can_do_nothing_else() {
    let server = server(rule()).await;
    let addr = server.addr();
    blocking(move || {
        let mut client = Client::connect(addr).unwrap();
        let mut say = |call: &[&str]| client.call(call).unwrap();
        assert_eq!(say(&["AUTH", USER, PASSWORD]).error(), None);
        for forbidden in [
            &["KEYS", "*"][..],
            &["SCAN", "0"],
            &["FLUSHALL"],
            &["FLUSHDB"],
            &["SCRIPT", "FLUSH"],
            &["CONFIG", "GET", "maxmemory"],
            &["DEBUG", "SLEEP", "0"],
            &["MODULE", "LIST"],
            &["FUNCTION", "LOAD", "#!lua name=x\nredis.register_function('f', function() end)"],
            &["EVAL", "return 1", "0"],
            &["ACL", "LIST"],
            &["SHUTDOWN"],
            &["GET", "other:v1:{s0}:epoch"],
            &["SET", "cs:v2:x", "1"],
            &["SPUBLISH", "other", "x"],
            &["MONITOR"],
        ] {
            let reply = say(forbidden);
            assert!(reply.error().is_some_and(|error| error.starts_with("NOPERM")), "{forbidden:?}: {reply:?}");
        }
        assert_eq!(say(&["GET", "cs:v1:{s0}:epoch"]).error(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_13_a_right_too_few_stops_the_start_and_is_named() {
    for (right, named) in [(" +spublish", "commits"), (" +xtrim", "XTRIM"), (" +pexpire", "signs of life")] {
        let server = server(rule().replace(right, "")).await;
        let setup = as_user(&server);
        let mut command = crate::binary::binary();
        for (key, value) in &setup.settings {
            command.env(format!("COUNTERSIGN__{key}"), value);
        }
        let output = blocking(move || command.args(["check-config", "--store"]).output().unwrap()).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(named) && told.contains("refused"), "{right}: {told}");
    }
}
