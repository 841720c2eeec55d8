//! The number, kind and size of the commands that a call sends to Redis.

use std::{cell::RefCell, time::Duration};

use countersign::pb::v1::Verdict;

use super::bed::{on, settled};
use crate::{
    harness::{login, unique, wrong},
    rig::{Options, Proxy, RedisServer, Reply, until},
};

/// Commands that do not belong to a call: identification, heartbeats, sweeps, news.
const BESIDE: [&str; 9] = [
    "INFO",
    "TIME",
    "ZRANGE",
    "HELLO",
    "AUTH",
    "SSUBSCRIBE",
    "SUNSUBSCRIBE",
    "CLIENT",
    "XTRIM",
];
/// The requests without those that belong to no call: the check that a start would succeed, the keeping of old events,
/// and the side records of breakers and of failed guesses, which each process reads and writes in the background.
fn of_calls(mut requests: Vec<Vec<Vec<u8>>>) -> Vec<Vec<Vec<u8>>> {
    let holds = |argument: &[u8], part: &[u8]| argument.windows(part.len()).any(|at| at == part);
    // A side record that is missing is looked up by its former name too.
    let sides: Vec<Vec<u8>> = requests
        .iter()
        .flatten()
        .filter(|argument| {
            holds(argument, b"{s") && (holds(argument, b"}:b:") || holds(argument, b"}:g:"))
        })
        .map(|key| key[key.len() - 16..].to_vec())
        .collect();
    requests.retain(|request| {
        let trims = request.get(3).is_some_and(|key| key.ends_with(b":events"));
        let is_beside = |argument: &Vec<u8>| {
            holds(argument, b":probe:") || sides.iter().any(|name| argument.ends_with(name))
        };
        !trims && !request.iter().any(is_beside)
    });
    requests
}

/// The number of closed verifications of one subject.
const CLOSED: usize = crate::harness::scaled(100, 100_000);

#[tokio::test(flavor = "multi_thread")]
async fn store_01_a_call_takes_few_trips_and_one_script_for_its_commit() {
    let server = RedisServer::start(&Options::default());
    let proxy = Proxy::start(server.addr());
    let service = on(&proxy.url())
        .with("WORKER__POLL_MS", "60000")
        .start()
        .await;
    settled(&service, "warm").await;
    let words = || {
        of_calls(proxy.take_requests())
            .into_iter()
            .map(|request| String::from_utf8(request[0].to_ascii_uppercase()).unwrap())
            .filter(|word| !BESIDE.contains(&word.as_str()))
            .collect::<Vec<_>>()
    };
    let beats = |words: &[String]| words.iter().filter(|word| *word == "EVALSHA").count();
    words();
    let (v, code) = service.start_and_read(login("s")).await;
    let started = RefCell::new(Vec::new());
    super::bed::eventually("the report", async || {
        started.borrow_mut().extend(words());
        beats(&started.borrow()) >= 2
    })
    .await;
    let started = started.into_inner();
    // A start loads (two keys at once), draws and commits; its delivery loads and commits. A heartbeat may come
    // between.
    assert!(
        started.iter().filter(|word| *word == "MGET").count() <= 3,
        "{started:?}"
    );
    assert!((2..=4).contains(&beats(&started)), "{started:?}");
    assert!(
        started
            .iter()
            .all(|word| word == "MGET" || word == "EVALSHA"),
        "{started:?}"
    );
    assert_eq!(
        service.check(&v.verification_id, &wrong(&code)).await,
        Verdict::Wrong
    );
    let checked = words();
    assert!(
        checked.iter().filter(|word| *word == "MGET").count() <= 1,
        "{checked:?}"
    );
    assert!((1..=3).contains(&beats(&checked)), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_01_the_monitor_sees_one_script_write_all_of_a_commit() {
    let server = RedisServer::start(&Options::default());
    let service = on(&server.url())
        .with("WORKER__POLL_MS", "60000")
        .start()
        .await;
    let (v, code) = settled(&service, "s").await;
    let mut monitor = server.client().unwrap();
    monitor.call(&["MONITOR"]).unwrap().ok();
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
    server.cmd(&["ECHO", "the end"]).ok();
    let mut lines = Vec::new();
    while !lines
        .last()
        .is_some_and(|line: &String| line.contains("the end"))
    {
        lines.push(monitor.receive().unwrap().text());
    }
    let is_commit =
        |line: &&String| line.to_lowercase().contains("\"evalsha\"") && line.contains("}:r:");
    assert_eq!(lines.iter().filter(is_commit).count(), 1, "{lines:#?}");
    let by_script = |word: &str| {
        lines
            .iter()
            .filter(|line| line.contains(" lua]") && line.contains(&format!("\"{word}\"")))
            .count()
    };
    assert_eq!(
        (by_script("SET"), by_script("SPUBLISH")),
        (1, 1),
        "{lines:#?}"
    );
    assert!(by_script("XADD") >= 1, "{lines:#?}");
    let alone = |line: &&String| {
        !line.contains(" lua]")
            && ["\"SET\"", "\"XADD\"", "\"DEL\""]
                .iter()
                .any(|word| line.contains(word))
    };
    assert_eq!(lines.iter().find(alone), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn store_19_and_rf16_scripts_stay_short_and_records_small_for_a_busy_subject() {
    let server = RedisServer::start(
        &Options::default()
            .set("slowlog-log-slower-than", "1000")
            .set("slowlog-max-len", "4096"),
    );
    let service = on(&server.url()).start().await;
    for n in 0..CLOSED {
        let (v, code) = service.start_and_read(login("busy")).await;
        assert_eq!(
            service.check(&v.verification_id, &code).await,
            Verdict::Approved
        );
        if n % 8 == 7 {
            // After the time for which a closed verification must be remembered.
            service.advance(1000);
        } else {
            service.advance(2);
        }
    }
    let mut largest = 0;
    for key in server.cmd(&["KEYS", "*}:r:*"]).ok().list() {
        largest = largest.max(server.cmd(&[b"STRLEN", key.bytes()]).ok().int());
    }
    assert!((1..=64 * 1024).contains(&largest), "{largest} bytes");
    let calls = 3 * CLOSED;
    let slow = server.cmd(&["SLOWLOG", "GET", "4096"]).ok();
    let scripts: Vec<i64> = slow
        .list()
        .iter()
        .filter(|entry| is_script(entry))
        .map(|entry| entry.list()[2].int())
        .collect();
    println!(
        "the record has {largest} bytes; of {calls} scripts {} took more than 1 ms: {scripts:?} us",
        scripts.len()
    );
    // 99 of 100 must be fast: other load on the machine may stop the server itself now and then.
    assert!(scripts.len() <= calls / 10, "{scripts:?}");
}

fn is_script(entry: &Reply) -> bool {
    entry.list()[3]
        .list()
        .first()
        .is_some_and(|word| word.text().eq_ignore_ascii_case("evalsha"))
}

#[tokio::test(flavor = "multi_thread")]
async fn time_03_without_any_time_to_live_everything_still_expires() {
    let server = RedisServer::start(&Options::default());
    let service = on(&server.url())
        .with("SUBJECT__EVENT_RETENTION_DAYS", "1")
        .start()
        .await;
    let mut live = Vec::new();
    for n in 0..5 {
        live.push(settled(&service, &format!("s{n}")).await);
    }
    let persist = || {
        let keys = server.cmd(&["KEYS", "*"]).ok();
        keys.list()
            .iter()
            .map(|key| server.cmd(&[b"PERSIST", key.bytes()]).ok().int())
            .sum::<i64>()
    };
    assert!(persist() >= 5, "records have a time to live");
    service.advance(301);
    for (v, code) in &live {
        assert_eq!(
            service.check(&v.verification_id, code).await,
            Verdict::Expired
        );
    }
    let records = || server.cmd(&["KEYS", "*}:r:*"]).ok().list().len();
    until("all records to be forgotten by the service", || {
        persist();
        service.advance(3600);
        if records() == 0 {
            Ok(())
        } else {
            Err(format!("{} records", records()))
        }
    });
    assert_eq!(
        server.cmd(&["KEYS", "*}:due"]).ok().list().len(),
        0,
        "nothing is due any more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn store_17_a_record_outlives_its_last_rule_on_the_server_too() {
    let server = RedisServer::start(&Options::default());
    let service = on(&server.url()).start().await;
    let (v, code) = settled(&service, &unique("s")).await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
    let key = server.cmd(&["KEYS", "*}:r:*"]).ok().list()[0]
        .bytes()
        .to_vec();
    let ttl = Duration::from_millis(server.cmd(&[b"PTTL", &key[..]]).ok().int().unsigned_abs());
    assert!(ttl >= Duration::from_secs(300 + 600), "{ttl:?}");
    service.advance(300 + 595);
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Closed
    );
}
