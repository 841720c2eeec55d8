//! Guesses over the API: never more than the limit, under any concurrency and with any repeats.

use std::collections::HashMap;

use countersign::pb::v1::Verdict;
use tonic::Code;

use crate::harness::{
    Client, Harness, Setup, connect, login, nth_wrong, reason, retry_after, scaled, shape, unique,
    with_key, wrong,
};

/// Rounds of the race with right codes.
const RIGHT_ROUNDS: usize = scaled(100, 1000);
/// Guesses in each of these rounds.
const RIGHT_GUESSES: usize = scaled(200, 1000);
/// Rounds of the race with wrong codes, on each engine.
const WRONG_ROUNDS: usize = scaled(10, 500);
/// Guesses in each of these rounds.
const WRONG_GUESSES: u64 = 1000;
/// Connections over which the guesses are sent.
const CONNECTIONS: usize = 4;

/// Sends all guesses at once over several connections; counts the answers.
async fn race(service: &Harness, id: &str, guesses: Vec<String>) -> HashMap<String, usize> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(connect(&service.reach).await);
    }
    race_over(&clients, &service.key, id, guesses).await
}

/// Sends all guesses at once over these connections; counts the answers.
pub async fn race_over(
    clients: &[Client],
    key: &str,
    id: &str,
    guesses: Vec<String>,
) -> HashMap<String, usize> {
    let mut answers = tokio::task::JoinSet::new();
    for (at, guess) in guesses.into_iter().enumerate() {
        let mut client = clients[at % clients.len()].clone();
        let request = with_key(
            key,
            crate::harness::check_request(id, &guess, &unique("race")),
        );
        answers.spawn(async move {
            match client.check_code(request).await {
                Ok(answer) => format!("{:?}", answer.into_inner().verdict()),
                Err(status) => reason(&status),
            }
        });
    }
    let mut counts = HashMap::new();
    while let Some(answer) = answers.join_next().await {
        *counts.entry(answer.unwrap()).or_default() += 1;
    }
    counts
}

pub fn count(counts: &HashMap<String, usize>, names: &[&str]) -> usize {
    names
        .iter()
        .map(|name| counts.get(*name).copied().unwrap_or_default())
        .sum()
}

/// The answers that are permitted in addition to verdicts that count.
pub fn nothing_else(counts: &HashMap<String, usize>, allowed: &[&str]) {
    let others: Vec<_> = counts
        .keys()
        .filter(|name| !allowed.contains(&name.as_str()))
        .collect();
    assert!(others.is_empty(), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn code_06_of_many_right_guesses_at_once_one_is_approved() {
    let service = Harness::new().await;
    for round in 0..RIGHT_ROUNDS {
        let (v, code) = service.start_and_read(login(&format!("s{round}"))).await;
        let counts = race(&service, &v.verification_id, vec![code; RIGHT_GUESSES]).await;
        assert_eq!(
            count(&counts, &["Approved"]),
            1,
            "round {round}: {counts:?}"
        );
        nothing_else(
            &counts,
            &[
                "Approved",
                "Closed",
                "LATE_TOO_OFTEN",
                "CONTENTION",
                "ATTEMPT_TOO_EARLY",
            ],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guess_03_of_many_wrong_guesses_at_once_five_are_judged() {
    for setup in [Setup::default(), Setup::default().durable()] {
        let service = setup.start().await;
        for round in 0..WRONG_ROUNDS {
            let (v, code) = service.start_and_read(login(&format!("s{round}"))).await;
            let guesses = (0..WRONG_GUESSES).map(|n| nth_wrong(&code, n)).collect();
            let counts = race(&service, &v.verification_id, guesses).await;
            let judged = count(&counts, &["Wrong", "AttemptsExhausted"]);
            assert!((1..=5).contains(&judged), "{counts:?}");
            nothing_else(
                &counts,
                &[
                    "Wrong",
                    "AttemptsExhausted",
                    "Closed",
                    "LATE_TOO_OFTEN",
                    "CONTENTION",
                    "ATTEMPT_TOO_EARLY",
                ],
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guess_03_ten_thousand_guesses_with_the_right_one_among_them() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    let guesses = (0..10_000)
        .map(|n| {
            if n == 4321 {
                code.clone()
            } else {
                nth_wrong(&code, n)
            }
        })
        .collect();
    let counts = race(&service, &v.verification_id, guesses).await;
    assert!(
        count(&counts, &["Wrong", "AttemptsExhausted", "Approved"]) <= 5,
        "{counts:?}"
    );
}

#[tokio::test]
async fn guess_01_five_wrong_guesses_end_a_verification() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    for left in (0..5).rev() {
        let answer = service
            .try_check(
                &v.verification_id,
                &nth_wrong(&code, left.into()),
                &unique("a"),
            )
            .await
            .unwrap();
        let expected = if left == 0 {
            Verdict::AttemptsExhausted
        } else {
            Verdict::Wrong
        };
        assert_eq!((answer.verdict(), answer.attempts_left), (expected, left));
    }
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Closed
    );
}

#[tokio::test]
async fn guess_17_a_repeated_attempt_gets_the_first_answer_and_takes_nothing() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    let wrong = wrong(&code);
    for _ in 0..100 {
        let answer = service
            .try_check(&v.verification_id, &wrong, "same")
            .await
            .unwrap();
        assert_eq!(
            (answer.verdict(), answer.attempts_left),
            (Verdict::Wrong, 4)
        );
    }
    let other = shape(service.try_check(&v.verification_id, &code, "same").await);
    assert_eq!(
        other,
        (Code::AlreadyExists, "ATTEMPT_ID_REUSED".to_owned()),
        "no verdict, not even for the right code"
    );
    assert_eq!(
        service.get(&v.verification_id).await.unwrap().attempts_left,
        4
    );
    for _ in 0..3 {
        let answer = service
            .try_check(&v.verification_id, &code, "right")
            .await
            .unwrap();
        assert_eq!(
            answer.verdict(),
            Verdict::Approved,
            "an approval repeats too"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guess_17_a_repeat_at_the_same_time_takes_one_attempt() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    let request = || {
        service.request(crate::harness::check_request(
            &v.verification_id,
            &wrong(&code),
            "same",
        ))
    };
    let mut answers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (mut client, request) = (service.client.clone(), request());
        answers.spawn(async move { client.check_code(request).await });
    }
    while let Some(answer) = answers.join_next().await {
        match answer.unwrap() {
            Ok(answer) => assert_eq!(answer.into_inner().verdict(), Verdict::Wrong),
            Err(status) => assert_eq!(status.code(), Code::Aborted),
        }
    }
    assert_eq!(
        service.get(&v.verification_id).await.unwrap().attempts_left,
        4
    );
}

#[tokio::test]
async fn guess_11_the_rate_of_a_subject_holds_over_its_verifications() {
    let service = Harness::new().await;
    let mut started = Vec::new();
    // Only two verifications: a third one with a failure would make the subject wait longer.
    for contact in ["c1", "c2"] {
        started.push(
            service
                .start_and_read(crate::harness::on_contact(login("s"), contact))
                .await,
        );
    }
    for n in 0..5 {
        let (v, code) = &started[n % 2];
        assert_eq!(
            service
                .check(&v.verification_id, &nth_wrong(code, n as u64))
                .await,
            Verdict::Wrong
        );
    }
    let (v, code) = &started[1];
    let status = service
        .try_check(&v.verification_id, code, "early")
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "ATTEMPT_TOO_EARLY")
    );
    assert_eq!(retry_after(&status).map(|wait| wait.as_secs()), Some(2));
    service.advance(2);
    assert_eq!(
        service.check(&v.verification_id, code).await,
        Verdict::Approved
    );
}

#[tokio::test]
async fn guess_10_waits_rise_and_an_early_guess_takes_nothing() {
    let service = Harness::new().await;
    for round in 0..2 {
        let (v, code) = service.start_and_read(login("s")).await;
        assert_eq!(
            service.check(&v.verification_id, &wrong(&code)).await,
            Verdict::Wrong,
            "round {round}"
        );
    }
    let (v, code) = service.start_and_read(login("s")).await;
    let mut last = 0;
    for n in 0..3 {
        assert_eq!(
            service
                .check(&v.verification_id, &nth_wrong(&code, n))
                .await,
            Verdict::Wrong
        );
        let before = service.get(&v.verification_id).await.unwrap();
        assert!(
            before.next_attempt_at.is_some(),
            "the customer is told when"
        );
        let status = service
            .try_check(&v.verification_id, &code, &unique("early"))
            .await
            .unwrap_err();
        let wait = retry_after(&status).unwrap().as_secs();
        assert_eq!(
            (reason(&status).as_str(), wait),
            ("ATTEMPT_TOO_EARLY", 30 << n)
        );
        assert!(wait >= last);
        assert_eq!(
            service.get(&v.verification_id).await.unwrap().attempts_left,
            before.attempts_left
        );
        last = wait;
        service.advance(wait);
    }
}

#[tokio::test]
async fn guess_16_every_guess_that_counted_or_was_blocked_is_an_event() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    for n in 0..3 {
        service
            .check(&v.verification_id, &nth_wrong(&code, n))
            .await;
    }
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Closed
    );
    let lines = service.audit().await;
    let of = |what: &str| {
        lines
            .iter()
            .filter(|line| line.what == what && line.verification == v.verification_id)
            .count()
    };
    assert_eq!(
        (
            of("started"),
            of("checked"),
            of("closed"),
            of("refused"),
            of("approved_after_failures")
        ),
        (1, 4, 1, 1, 1)
    );
    let by_a_call = |what: &str| ["started", "checked", "closed", "refused"].contains(&what);
    assert!(
        lines
            .iter()
            .filter(|line| by_a_call(&line.what))
            .all(|line| line.caller == "development")
    );
}
