//! Shared by the tests on Redis: a service on its own server, repeats, and guesses until codes are disabled.

use std::time::{Duration, Instant};

use countersign::pb::v1::{self, DeliveryStatus, Verdict};
use tonic::{Code, Status};

use crate::{
    harness::http::get,
    harness::{Harness, PATIENCE, Setup, anonymous, login, reason, shape, unique, wrong},
};

/// The pause between two polls.
const PAUSE: Duration = Duration::from_millis(10);

/// A service with its store at this URL, whatever store the suite runs on.
pub fn on(url: &str) -> Setup {
    // Without the settings of the suite's own store.
    Setup::default().durable().with("STORE__URL", url)
}

/// The error while the store is down.
pub fn down() -> (Code, String) {
    (Code::Unavailable, "STORE_UNAVAILABLE".to_owned())
}

/// The error for a verification of another generation.
pub fn start_again() -> (Code, String) {
    (Code::FailedPrecondition, "START_AGAIN".to_owned())
}

/// Repeats a call with the same ids as long as a repeat may succeed.
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

/// Polls until the condition holds.
pub async fn eventually(wanted: &str, ask: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !ask().await {
        assert!(begun.elapsed() < PATIENCE, "waited for {wanted}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// A started verification whose delivery is reported, so that only the test changes its record.
pub async fn settled(service: &Harness, subject: &str) -> (v1::Verification, String) {
    let (v, code) = service.start_and_read(login(subject)).await;
    let v = service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Sent
        })
        .await;
    (v, code)
}

/// Starts a verification and approves it.
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

/// Makes a guess, repeated until there is a verdict or a refusal.
pub async fn guess(service: &Harness, id: &str, code: &str) -> Result<Verdict, (Code, String)> {
    let attempt = unique("a");
    let answer = mend(|| service.try_check(id, code, &attempt)).await;
    answer
        .map(|answer| answer.verdict())
        .map_err(|status| (status.code(), reason(&status)))
}

/// The number of further wrong guesses that are answered before codes are disabled for the subject.
pub async fn guesses_until_disabled(service: &Harness, subject: &str) -> usize {
    let mut answered = 0;
    loop {
        // After the longest wait.
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

/// The body of `/readyz`.
pub async fn readyz(service: &Harness) -> String {
    get(service.reach.admin, "/readyz").await
}

/// Makes an anonymous start; returns the code and reason of its error.
pub async fn try_start(service: &Harness) -> (Code, String) {
    shape(service.start(anonymous(&unique("try"))).await)
}
