//! Failing senders: another one delivers every message, none is lost or sent twice by the same sender, and the fleet's
//! shared breaker opens and closes by itself.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use countersign::{
    pb::v1::{self, DeliveryStatus, Verdict},
    ports::system::Clock as _,
};
use tokio::task::JoinSet;

use crate::{
    harness::http::get,
    harness::{
        A_BIT, Harness, PATIENCE, Setup, login, on_redis,
        provider::{Answer, Got, Provider, section},
        unique,
    },
};

const VERIFICATIONS: usize = 1000;
/// The first provider is killed after this many messages.
const KILL_AFTER: usize = 300;
/// Hand-overs of each process at the same time.
const HANDS: usize = 4;
/// Consecutive failures until the breaker opens: the default.
const FAILURES: usize = 5;
/// Longer than a test lasts by its clock, so that nothing probes before the test allows it.
const OPEN_S: u64 = 100;

fn setup(senders: &str, route: &str) -> Setup {
    let file = format!("{senders}[routes.email]\nsenders = [{route}]\n");
    let setup = Setup::default()
        .with("WORKER__CONCURRENCY", &HANDS.to_string())
        .with("WORKER__POLL_MS", "10")
        .file(&file);
    setup.with("BREAKER__OPEN_S", &OPEN_S.to_string())
}

/// The number of processes that share the store: two if the store allows it.
async fn fleet(setup: &Setup) -> Vec<Harness> {
    let mut fleet = vec![setup.start().await];
    if on_redis() {
        fleet.push(setup.start().await);
    }
    fleet
}

/// Starts this many verifications, several at once, on all processes in turn; returns the ids. `meanwhile` is run once,
/// in the middle.
async fn start(fleet: &[Harness], count: usize) -> Vec<String> {
    let mut starts = JoinSet::new();
    let mut ids = Vec::new();
    for n in 0..count {
        if starts.len() == 2 * HANDS {
            ids.push(starts.join_next().await.unwrap().unwrap());
        }
        let service = &fleet[n % fleet.len()];
        let (mut client, request) = (service.client.clone(), service.request(login(&unique("s"))));
        starts.spawn(async move {
            let answer = client
                .start_verification(request)
                .await
                .expect("the start is taken");
            answer.into_inner().verification.unwrap().verification_id
        });
    }
    ids.extend(starts.join_all().await);
    ids
}

/// Waits until each delivery has one of the expected ends; time passes so slowly that the codes stay valid.
async fn settle(
    fleet: &[Harness],
    ids: &[String],
    fits: impl Fn(&v1::Delivery) -> bool,
) -> Vec<v1::Delivery> {
    let mut deliveries = Vec::new();
    for id in ids {
        let find = async {
            loop {
                let v = fleet[0].get(id).await.unwrap();
                if fits(&v.deliveries[0]) {
                    return v.deliveries[0].clone();
                }
                fleet[0].pass(A_BIT).await;
                // A hand-over in progress takes real time, and must not outlive its lease.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let Ok(found) = tokio::time::timeout(PATIENCE, find).await else {
            panic!(
                "it does not end: {:?}",
                fleet[0].get(id).await.unwrap().deliveries[0]
            )
        };
        deliveries.push(found);
    }
    deliveries
}

fn is_sent(delivery: &v1::Delivery) -> bool {
    delivery.status() == DeliveryStatus::Sent
}

fn by<'a>(
    deliveries: &'a [v1::Delivery],
    sender: &'a str,
) -> impl Iterator<Item = &'a v1::Delivery> {
    deliveries
        .iter()
        .filter(move |delivery| delivery.sender == sender)
}

/// Checks that no provider got a message twice, and that all copies of a message carry the same code.
fn assert_none_twice(providers: &[&Provider]) {
    let mut codes = HashMap::new();
    for got in providers.iter().map(|provider| provider.got()) {
        let ids: HashSet<_> = got.iter().map(|got| &got.delivery).collect();
        assert_eq!(
            ids.len(),
            got.len(),
            "a message came twice to the same provider"
        );
        for Got { delivery, code } in got {
            assert_eq!(
                codes.entry(delivery).or_insert_with(|| code.clone()),
                &code,
                "another code by another sender"
            );
        }
    }
}

/// Whether a process reports that the breaker of this sender is open.
fn says_open(service: &Harness, sender: &str) -> bool {
    let named = format!("{sender:?}");
    let complaints = service.reach.service.complaints();
    complaints
        .iter()
        .any(|complaint| complaint.word == "sender_open" && complaint.text.contains(&named))
}

/// Waits until every process reports that the breaker of this sender is open, or that it is not.
async fn until_open(fleet: &[Harness], sender: &str, open: bool) {
    let all = async {
        while fleet
            .iter()
            .any(|service| says_open(service, sender) != open)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all)
        .await
        .expect("the whole fleet hears of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn rf18_a_provider_that_is_killed_loses_no_message_and_comes_back_by_itself() {
    let (a, b) = (
        Provider::start(Answer::Taken).await,
        Provider::start(Answer::Taken).await,
    );
    let fleet = fleet(&setup(
        &format!("{}{}", a.section("a"), b.section("b")),
        "\"a\", \"b\"",
    ))
    .await;
    let killed = async {
        a.wait_for(KILL_AFTER).await;
        a.kill().await;
    };
    let (ids, ()) = tokio::join!(start(&fleet, VERIFICATIONS), killed);
    let deliveries = settle(&fleet, &ids, is_sent).await;
    assert_none_twice(&[&a, &b]);
    let (by_a, by_b) = (by(&deliveries, "a").count(), by(&deliveries, "b").count());
    assert_eq!(by_a + by_b, VERIFICATIONS, "each is delivered");
    let taken: HashSet<_> = b.got().into_iter().map(|got| got.delivery).collect();
    assert!(
        by(&deliveries, "b").all(|delivery| taken.contains(&delivery.delivery_id)),
        "what is sent by b, b has"
    );
    // Each hand records the effect of a message on the breaker before it takes another one. So besides the failures
    // that open it, each hand can have at most one more message on its way to a provider whose failures it has not
    // heard of.
    let failed: u32 = by(&deliveries, "b")
        .map(|delivery| delivery.tries - 1)
        .sum();
    let bound = FAILURES + HANDS * fleet.len();
    assert!(
        (FAILURES..=bound).contains(&usize::try_from(failed).unwrap()),
        "{failed} failed, and {bound} are the most"
    );

    until_open(&fleet, "a", true).await;
    for service in &fleet {
        let page = get(service.reach.admin, "/readyz").await;
        assert!(
            page.contains("ready") && page.contains("degraded: sender_open: sender \"a\""),
            "{page}"
        );
        assert!(
            get(service.reach.admin, "/metrics")
                .await
                .contains("countersign_sender_open{sender=\"a\"}")
        );
    }
    a.revive().await;
    let before = a.got().len();
    let others = start(&fleet, 50).await;
    let deliveries = settle(&fleet, &others, is_sent).await;
    assert_eq!(
        (a.got().len(), by(&deliveries, "b").count()),
        (before, 50),
        "while it is open nobody asks it"
    );
    assert!(
        deliveries.iter().all(|delivery| delivery.tries == 1),
        "to be passed over is no try"
    );

    fleet[0].advance(OPEN_S);
    let probe = start(&fleet, 1).await;
    assert_eq!(
        settle(&fleet, &probe, is_sent).await[0].sender,
        "a",
        "one message tries it"
    );
    until_open(&fleet, "a", false).await;
    let again = start(&fleet, 50).await;
    let deliveries = settle(&fleet, &again, is_sent).await;
    assert_eq!(
        by(&deliveries, "a").count(),
        50,
        "all is as before, in the whole fleet"
    );
    assert_none_twice(&[&a, &b]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_other_sender_messages_wait_and_one_of_them_probes() {
    let a = Provider::start(Answer::Taken).await;
    let fleet = fleet(&setup(&a.section("a"), "\"a\"")).await;
    a.kill().await;
    let ids = start(&fleet, 3 * FAILURES).await;
    until_open(&fleet, "a", true).await;
    // Many sweeps while it is open, none of which counts as a try.
    let queued = settle(&fleet, &ids, |delivery| {
        delivery.status() == DeliveryStatus::Queued
    })
    .await;
    let tried: u32 = queued.iter().map(|delivery| delivery.tries).sum();
    assert!(
        usize::try_from(tried).unwrap() <= FAILURES + HANDS * fleet.len(),
        "{tried} tries"
    );

    a.answer(Answer::Silent);
    a.revive().await;
    // A fifth longer, because pauses are lengthened by up to that much.
    fleet[0].advance(OPEN_S + OPEN_S / 5);
    a.wait_for(1).await;
    for _ in 0..50 {
        fleet[0].pass(A_BIT).await;
    }
    assert_eq!(a.got().len(), 1, "and no other, in the whole fleet");
    a.answer(Answer::Taken);
    until_open(&fleet, "a", false).await;
    settle(&fleet, &ids, is_sent).await;
    assert_none_twice(&[&a]);
    assert_eq!(a.got().len(), ids.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_message_opens_no_breaker() {
    let a = Provider::start(Answer::Taken).await;
    let fleet = fleet(&setup(&a.section("a"), "\"a\"")).await;
    a.answer(Answer::Status(500, "", String::new()));
    let poison = start(&fleet, 1).await;
    // It is tried until it has used up its tries, and crashes the provider each time.
    let failed = async {
        while fleet[0].get(&poison[0]).await.unwrap().deliveries[0].status()
            != DeliveryStatus::Failed
        {
            fleet[0].pass(Duration::from_millis(500)).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, failed)
        .await
        .expect("it ends");
    assert!(a.got().len() > FAILURES, "{} tries", a.got().len());
    a.answer(Answer::Status(400, "", String::new()));
    let unfit = start(&fleet, 2 * FAILURES).await;
    let deliveries = settle(&fleet, &unfit, |delivery| {
        delivery.status() == DeliveryStatus::Failed
    })
    .await;
    assert!(
        deliveries
            .iter()
            .all(|delivery| delivery.failure == "sender_refused")
    );
    a.answer(Answer::Taken);
    let next = start(&fleet, 1).await;
    assert_eq!(
        settle(&fleet, &next, is_sent).await[0].tries,
        1,
        "the next message goes through at once"
    );
    assert!(fleet.iter().all(|service| !says_open(service, "a")));
}

/// One start on a service whose only sender gives this answer; returns its delivery once it has the expected state.
async fn alone(answer: Answer, fits: impl Fn(&v1::Delivery) -> bool) -> (v1::Delivery, Vec<Got>) {
    let a = Provider::start(answer).await;
    let fleet = [setup(&a.section("a"), "\"a\"").start().await];
    let ids = start(&fleet, 1).await;
    let delivery = settle(&fleet, &ids, fits).await.remove(0);
    (delivery, a.got())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_is_never_reported_as_sent() {
    let status = |status, body: &str| Answer::Status(status, "", body.to_owned());
    for (answer, reason) in [
        // 202 Accepted, where only 201 Created is a success.
        (status(202, "{\"id\": \"x\"}"), "unknown_answer"),
        (status(402, ""), "sender_refused"),
        (status(201, "<html>log in first</html>"), "malformed_reply"),
        (
            status(201, &format!("{{\"id\": \"{}\"}}", "x".repeat(2_200_000))),
            "oversized_reply",
        ),
        (status(302, ""), "redirected"),
        (status(400, ""), "sender_refused"),
    ] {
        let (delivery, got) = alone(answer, |delivery| {
            delivery.status() == DeliveryStatus::Failed
        })
        .await;
        assert_eq!((delivery.failure.as_str(), got.len()), (reason, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_04_a_busy_provider_is_asked_again_when_it_says_and_no_sooner() {
    for (headers, seconds) in [("", 2), ("retry-after: 30\r\n", 30)] {
        let a = Provider::start(Answer::Status(429, headers, String::new())).await;
        let fleet = [setup(&a.section("a"), "\"a\"").start().await];
        let started = fleet[0].clock.now();
        start(&fleet, 1).await;
        a.wait_for(1).await;
        let again = async {
            while a.got().len() == 1 {
                fleet[0].pass(Duration::from_millis(100)).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, again)
            .await
            .expect("it is asked again");
        let waited = fleet[0].clock.now().since(started);
        // The service's tasks see this clock late, so it runs at fifty times the pace here.
        let most = Duration::from_secs(seconds).mul_f64(1.2) + Duration::from_secs(5);
        assert!(
            waited >= Duration::from_secs(seconds) && waited <= most,
            "{waited:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn send_11_whatever_is_wrong_with_a_provider_the_next_sends_the_same_code_once() {
    let b = Provider::start(Answer::Taken).await;
    let closed = Provider::start(Answer::Taken).await;
    closed.kill().await;
    let deaf = Provider::start(Answer::Silent).await;
    let plain = Provider::start(Answer::Taken).await;
    let encrypted = section(
        "a",
        &format!("https://127.0.0.1:{}", plain.port),
        &format!("127.0.0.1:{}", plain.port),
    );
    let sections = [
        ("unreachable", closed.section("a")),
        (
            "name_unresolved",
            section("a", "https://provider.invalid", "provider.invalid"),
        ),
        ("tls_failed", encrypted),
        ("timeout", deaf.section("a")),
    ];
    for (what, a) in sections {
        let fleet = [setup(&format!("{a}{}", b.section("b")), "\"a\", \"b\"")
            .start()
            .await];
        let ids = start(&fleet, 1).await;
        let delivery = settle(&fleet, &ids, is_sent).await.remove(0);
        assert_eq!(
            (delivery.sender.as_str(), delivery.tries),
            ("b", 2),
            "{what}"
        );
        let sent: Vec<_> = b
            .got()
            .into_iter()
            .filter(|got| got.delivery == delivery.delivery_id)
            .collect();
        assert_eq!(sent.len(), 1, "{what}");
        assert_eq!(
            fleet[0].check(&ids[0], &sent[0].code).await,
            Verdict::Approved,
            "{what}"
        );
    }
    assert!(plain.got().is_empty(), "nothing went out in the clear");
    assert_eq!(
        deaf.got()[0].code,
        b.got().last().unwrap().code,
        "the same code by both senders"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_takes_a_message_and_drops_the_connection_costs_one_duplicate() {
    let (a, b) = (
        Provider::start(Answer::TakenAndDropped(usize::MAX)).await,
        Provider::start(Answer::Taken).await,
    );
    let fleet = [setup(
        &format!("{}{}", a.section("a"), b.section("b")),
        "\"a\", \"b\"",
    )
    .start()
    .await];
    let ids = start(&fleet, 1).await;
    let delivery = settle(&fleet, &ids, is_sent).await.remove(0);
    assert_eq!(delivery.sender, "b", "nobody knows that a has it");
    assert_eq!(
        (a.got(), a.got().len()),
        (b.got(), 1),
        "one by each sender: the same message, with the same code"
    );
    // Much later, nothing is sent again.
    for _ in 0..50 {
        fleet[0].pass(Duration::from_secs(1)).await;
    }
    assert_eq!(a.got().len() + b.got().len(), 2);

    // The same sender again, because there is no other.
    let lone = Provider::start(Answer::TakenAndDropped(1)).await;
    let fleet = [setup(&lone.section("a"), "\"a\"").start().await];
    let ids = start(&fleet, 1).await;
    settle(&fleet, &ids, is_sent).await;
    let got = lone.got();
    assert_eq!(
        (got.len(), &got[0]),
        (2, &got[1]),
        "the same id, by which the provider can tell, and the same code"
    );
}
