//! What the tests on Redis share: a service on a server of its own, repeats, and guesses up to the end.

use std::time::{Duration, Instant};

use countersign::pb::v1::{self, DeliveryStatus, Verdict};
use tonic::{Code, Status};

use crate::{
    harness::http::get,
    harness::{Harness, PATIENCE, Setup, anonymous, login, reason, shape, unique, wrong},
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// A service with its records there, whatever the suite runs on.
pub fn on(url: &str) -> Setup {
    // Without the URL of the suite's own store.
    Setup::default().durable().with("STORE__URL", url)
}

/// The answer while the store does not serve.
pub fn down() -> (Code, String) {
    (Code::Unavailable, "STORE_UNAVAILABLE".to_owned())
}

/// The answer to what another generation made.
pub fn start_again() -> (Code, String) {
    (Code::FailedPrecondition, "START_AGAIN".to_owned())
}

/// Repeats a call, with the same ids, while a repeat may mend it.
pub async fn mend<T, F: Future<Output = Result<T, Status>>>(
    call: impl Fn() -> F,
) -> Result<T, Status> {
    let begun = Instant::now();
    loop {
        match call().await {
            Err(status) if may_be_mended(&status) && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}

pub fn may_be_mended(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Aborted)
}

/// Asks again and again until it is so.
pub async fn eventually(wanted: &str, ask: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !ask().await {
        assert!(begun.elapsed() < PATIENCE, "waited for {wanted}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// A started verification whose delivery is reported, so that nothing but the test touches its record.
pub async fn settled(service: &Harness, subject: &str) -> (v1::Verification, String) {
    let (v, code) = service.start_and_read(login(subject)).await;
    let v = service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Sent
        })
        .await;
    (v, code)
}

/// Starts and approves.
pub async fn works(service: &Harness) {
    let request = login(&unique("works"));
    let v = mend(|| service.start(request.clone()))
        .await
        .expect("a start is taken");
    let code = service.code_of(&v.verification_id).await;
    let attempt = unique("a");
    let answer = mend(|| service.try_check(&v.verification_id, &code, &attempt))
        .await
        .expect("it is judged");
    assert_eq!(answer.verdict(), Verdict::Approved);
}

/// A guess that is repeated until there is a verdict or a refusal.
pub async fn guess(service: &Harness, id: &str, code: &str) -> Result<Verdict, (Code, String)> {
    let attempt = unique("a");
    let answer = mend(|| service.try_check(id, code, &attempt)).await;
    answer
        .map(|answer| answer.verdict())
        .map_err(|status| (status.code(), reason(&status)))
}

/// How many more wrong guesses are answered before codes are disabled for the subject.
pub async fn guesses_until_disabled(service: &Harness, subject: &str) -> usize {
    let mut answered = 0;
    loop {
        // Past every wait.
        service.advance(7200);
        let v = match service.start(login(subject)).await {
            Ok(v) => v,
            Err(status) if reason(&status) == "METHOD_DISABLED" => return answered,
            Err(status) => panic!("{status}"),
        };
        let code = service.code_of(&v.verification_id).await;
        loop {
            service.advance(2);
            match guess(service, &v.verification_id, &wrong(&code)).await {
                Ok(Verdict::Wrong) => answered += 1,
                Ok(Verdict::AttemptsExhausted) => {
                    answered += 1;
                    break;
                }
                Err((_, reason)) if reason == "METHOD_DISABLED" => return answered,
                Err((_, reason)) if reason == "ATTEMPT_TOO_EARLY" => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(answered < 100, "the budget never ends");
    }
}

/// What `/readyz` says.
pub async fn readyz(service: &Harness) -> String {
    get(service.reach.admin, "/readyz").await
}

/// The next start by anybody, and its shape.
pub async fn try_start(service: &Harness) -> (Code, String) {
    shape(service.start(anonymous(&unique("try"))).await)
}
