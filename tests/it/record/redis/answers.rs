//! Lost replies and requests, errors instead of answers, and a server that does not answer at all.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use countersign::pb::v1::{Channel, Verdict};

use super::bed::{down, guess, mend, on, settled, works};
use crate::{
    harness::{Harness, PATIENCE, login, shape, unique, wrong},
    rig::{ALWAYS, Options, Proxy, RedisServer, command},
};

struct Bed {
    _server: RedisServer,
    proxy: Proxy,
    service: Harness,
}

async fn bed() -> Bed {
    bed_with("10000").await
}

async fn bed_with(deadline_ms: &str) -> Bed {
    let server = RedisServer::start(&Options::default());
    let proxy = Proxy::start(server.addr());
    let service = on(&proxy.url())
        .with("STORE__DEADLINE_MS", deadline_ms)
        .with("WORKER__POLL_MS", "60000")
        .start()
        .await;
    Bed {
        _server: server,
        proxy,
        service,
    }
}

/// Matches the script of a commit: the script of draws has other keys, the script of heartbeats only one.
fn commit(arguments: &[Vec<u8>]) -> bool {
    command("EVALSHA")(arguments) && arguments.get(2).is_some_and(|keys| keys == b"4")
}

/// A reply or request is lost before each kind of change: it is carried out once, and a repeat gets the same answer.
async fn lose(one: impl Fn(&Proxy) -> crate::rig::Fault) {
    let Bed {
        proxy,
        service,
        _server,
    } = bed().await;
    let request = login("s");
    let fault = one(&proxy);
    let v = mend(|| service.start(request.clone())).await.unwrap();
    assert_eq!(fault.hits(), 1, "at the start");
    assert_eq!(
        service.start(request).await.unwrap().verification_id,
        v.verification_id
    );
    let code = service.code_of(&v.verification_id).await;
    let id = &v.verification_id;
    service
        .until(id, |v| {
            v.deliveries[0].tries == 1 && v.deliveries[0].sender == "outbox"
        })
        .await;

    service.advance(60);
    let (reports, resends) = (service.recorder.all().len(), unique("resend"));
    let fault = one(&proxy);
    let again = || resend(&service, id, &resends);
    let resent = mend(again).await.unwrap();
    assert_eq!(fault.hits(), 1, "at the resend");
    assert_eq!(
        mend(again).await.unwrap().sends_left,
        resent.sends_left,
        "once"
    );
    service.recorder.wait_for(reports + 1).await;
    service
        .until(id, |v| {
            v.deliveries.iter().all(|delivery| delivery.tries == 1)
        })
        .await;

    for (guess, verdict, left) in [
        (wrong(&code), Verdict::Wrong, 4),
        (code.clone(), Verdict::Approved, 0),
    ] {
        let (attempt, fault) = (unique("a"), one(&proxy));
        let first = mend(|| service.try_check(id, &guess, &attempt))
            .await
            .unwrap();
        assert_eq!(
            (fault.hits(), first.verdict(), first.attempts_left),
            (1, verdict, left),
            "at the check"
        );
        let again = service.try_check(id, &guess, &attempt).await.unwrap();
        assert_eq!(
            (again.verdict(), again.attempts_left),
            (verdict, first.attempts_left)
        );
    }
    assert_eq!(guess(&service, id, &code).await, Ok(Verdict::Closed));
    let messages = service.recorder.all();
    assert_eq!(
        messages.len(),
        reports + 1,
        "one message for the start and one for the resend"
    );
    assert!(messages.iter().all(|message| message.code.expose() == code));
}

async fn resend(
    service: &Harness,
    id: &str,
    request: &str,
) -> Result<countersign::pb::v1::Verification, tonic::Status> {
    let request = countersign::pb::v1::ResendCodeRequest {
        verification_id: id.to_owned(),
        request_id: request.to_owned(),
        channel: Channel::Unspecified.into(),
    };
    Ok(service
        .client
        .clone()
        .resend_code(service.request(request))
        .await?
        .into_inner()
        .verification
        .unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn rf12_after_a_lost_reply_the_same_id_gets_the_stored_answer() {
    lose(|proxy| proxy.drop_replies(1, commit)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rf13_after_a_lost_request_a_repeat_is_safe() {
    lose(|proxy| proxy.drop_requests(1, commit)).await;
}

/// The report of a hand-over, or its reply, is lost: the report is repeated, and the message is not sent again.
async fn lose_a_report(lose: impl Fn(&Proxy, Matching) -> crate::rig::Fault) {
    let Bed {
        proxy,
        service,
        _server,
    } = bed().await;
    // The second commit of a start is the report of its hand-over.
    let nth = AtomicUsize::new(0);
    let fault = lose(
        &proxy,
        Box::new(move |arguments| commit(arguments) && nth.fetch_add(1, Ordering::SeqCst) == 1),
    );
    let (v, code) = settled(&service, "s").await;
    assert_eq!(fault.hits(), 1);
    for _ in 0..3 {
        service.advance(20);
        assert_eq!(
            service.get(&v.verification_id).await.unwrap().deliveries[0].tries,
            1
        );
    }
    assert_eq!(
        guess(&service, &v.verification_id, &code).await,
        Ok(Verdict::Approved)
    );
    assert_eq!(service.recorder.all().len(), 1);
}

type Matching = Box<dyn Fn(&[Vec<u8>]) -> bool + Send>;

#[tokio::test(flavor = "multi_thread")]
async fn rf12_and_store_18_a_report_whose_reply_is_lost_sends_no_message_again() {
    lose_a_report(|proxy, report| proxy.drop_replies(1, report)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rf13_a_report_that_is_lost_is_made_again() {
    lose_a_report(|proxy, report| proxy.drop_requests(1, report)).await;
}

const ERRORS: [&str; 7] = [
    "READONLY You can't write against a read only replica.",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
    "MOVED 866 127.0.0.1:1",
    "ASK 866 127.0.0.1:1",
    "TRYAGAIN Multiple keys request during rehashing of slot",
];

#[tokio::test(flavor = "multi_thread")]
async fn rf09_typed_errors_are_repeated_twice_and_never_become_verdicts() {
    let Bed {
        proxy,
        service,
        _server,
    } = bed_with("2000").await;
    for error in ERRORS {
        let (v, code) = settled(&service, &unique("s")).await;
        let (id, attempt, wrong) = (&v.verification_id, unique("a"), wrong(&code));
        // Meanwhile there is no answer, and few commands are sent.
        let fault = proxy.inject_error(ALWAYS, commit, error);
        assert_eq!(
            shape(service.try_check(id, &wrong, &attempt).await),
            down(),
            "{error}"
        );
        // One attempt and two repeats; the decision is made at most once more.
        assert!((1..=6).contains(&fault.hits()), "{error}: {}", fault.hits());
        fault.clear();
        let answer = mend(|| service.try_check(id, &wrong, &attempt))
            .await
            .unwrap();
        assert_eq!(
            (answer.verdict(), answer.attempts_left),
            (Verdict::Wrong, 4),
            "{error}"
        );
        // Only once: a repeat by the service or by the caller succeeds.
        let fault = proxy.inject_error(1, commit, error);
        assert_eq!(
            guess(&service, id, &code).await,
            Ok(Verdict::Approved),
            "{error}"
        );
        assert_eq!(fault.hits(), 1);
        assert_eq!(
            guess(&service, id, &code).await,
            Ok(Verdict::Closed),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rf09_errors_on_reads_are_no_verdicts_either() {
    let Bed {
        proxy,
        service,
        _server,
    } = bed_with("2000").await;
    let (v, code) = settled(&service, "s").await;
    for error in ERRORS {
        let fault = proxy.inject_error(ALWAYS, command("MGET"), error);
        assert_eq!(
            shape(
                service
                    .try_check(&v.verification_id, &code, &unique("a"))
                    .await
            ),
            down(),
            "{error}"
        );
        assert!(
            (1..=12).contains(&fault.hits()),
            "{error}: {}",
            fault.hits()
        );
        fault.clear();
        mend(|| service.get(&v.verification_id)).await.unwrap();
    }
    assert_eq!(
        guess(&service, &v.verification_id, &code).await,
        Ok(Verdict::Approved)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rf05_a_server_that_says_nothing_ends_in_the_deadline_without_a_storm() {
    let Bed {
        proxy,
        service,
        _server,
    } = bed_with("250").await;
    let v = mend(|| service.start(login("s"))).await.unwrap();
    let code = service.code_of(&v.verification_id).await;
    let connections = proxy.connections();
    let questions = proxy.counts();
    proxy.blackhole();
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let begun = Instant::now();
        assert_eq!(
            shape(
                service
                    .try_check(&v.verification_id, &code, &unique("a"))
                    .await
            ),
            down()
        );
        longest = longest.max(begun.elapsed());
    }
    println!("the longest of 20 calls took {longest:?}");
    assert!(longest < PATIENCE / 6, "{longest:?}");
    proxy.pass();
    works(&service).await;
    let more = proxy.connections() - connections;
    assert!(more < 100, "{more} connections were made");
    let asked = |counts: &std::collections::BTreeMap<String, u64>| {
        counts.get("EVALSHA").copied().unwrap_or_default()
    };
    let more = asked(&proxy.counts()) - asked(&questions);
    assert!(more < 200, "{more} commits for 20 calls");
    assert_eq!(
        guess(&service, &v.verification_id, &code)
            .await
            .unwrap_or(Verdict::Closed),
        Verdict::Approved
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn store_16_a_dead_server_approves_nothing_and_is_found_again() {
    let server = RedisServer::start(&Options::default());
    let service = on(&server.url())
        .with("STORE__DEADLINE_MS", "250")
        .start()
        .await;
    let v = mend(|| service.start(login("s"))).await.unwrap();
    let code = service.code_of(&v.verification_id).await;
    server.kill9();
    for _ in 0..20 {
        assert_eq!(
            shape(
                service
                    .try_check(&v.verification_id, &code, &unique("a"))
                    .await
            ),
            down()
        );
    }
    server.restart();
    let begun = Instant::now();
    works(&service).await;
    println!("served again after {:?}", begun.elapsed());
}
