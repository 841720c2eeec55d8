//! Codes over the API: one per verification, valid for a limited time, accepted once.

use std::time::Duration;

use countersign::{
    domain::delivery::reason::Reason,
    pb::v1::{CancelReason, Channel, DeliveryStatus, Verdict, VerificationStatus},
    ports::sender::SendError,
};
use tonic::Code;

use crate::harness::{
    Harness, Setup, anonymous, fields, login, on_contact, reason, recipient, retry_after, shape,
    unique, wrong,
};

#[tokio::test]
async fn a_right_code_approves_and_a_second_check_is_closed() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    assert_eq!(v.status(), VerificationStatus::Pending);
    assert_eq!(
        (v.attempts_left, v.sends_left, v.masked_recipient.as_str()),
        (5, 3, "a•••@e•••.org")
    );
    assert!(
        v.explanation.contains("a•••@e•••.org"),
        "the customer is told where the code is: {}",
        v.explanation
    );
    let answer = service
        .try_check(&v.verification_id, &code, "a1")
        .await
        .unwrap();
    assert_eq!(answer.verdict(), Verdict::Approved);
    assert_eq!(
        answer.verification.unwrap().status(),
        VerificationStatus::Approved
    );
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Closed
    );
}

#[tokio::test]
async fn a_customer_reads_that_a_code_was_sent_only_once_a_provider_has_it() {
    let service = Harness::new().await;
    service.recorder.answer_with([SendError::failing(
        Duration::from_secs(60),
        Reason::Unreachable,
    )]);
    let v = service.start(login("s")).await.unwrap();
    let told = v.explanation;
    assert!(told.starts_with("We are sending a code"), "{told}");
    let id = v.verification_id;
    let v = service
        .until(&id, |v| v.explanation.starts_with("We are still trying"))
        .await;
    assert_eq!(v.deliveries[0].status(), DeliveryStatus::Queued);
    service.advance(120);
    service
        .until(&id, |v| v.explanation.starts_with("We sent a code"))
        .await;
    service
        .recorder
        .answer_with([SendError::about_recipient(Reason::Refused)]);
    service.try_resend(&id, Channel::Unspecified).await.unwrap();
    let v = service
        .until(&id, |v| v.explanation.starts_with("The code did not reach"))
        .await;
    assert!(
        v.explanation.contains("We sent a code"),
        "{}",
        v.explanation
    );
}

#[tokio::test]
async fn code_04_a_resend_carries_the_same_code_and_extends_nothing() {
    let service = Harness::new().await;
    let mut request = login("s");
    request
        .recipients
        .push(recipient(Channel::Sms, "+31612345678"));
    let (v, code) = service.start_and_read(request).await;
    let wrong_code = wrong(&code);
    assert_eq!(
        service.check(&v.verification_id, &wrong_code).await,
        Verdict::Wrong
    );
    for (round, channel) in [Channel::Sms, Channel::Email, Channel::Unspecified]
        .into_iter()
        .enumerate()
    {
        service.advance(30);
        let resent = service
            .try_resend(&v.verification_id, channel)
            .await
            .unwrap();
        assert_eq!(
            (resent.expires_at, resent.attempts_left),
            (v.expires_at, 4),
            "resend {round}"
        );
        service.recorder.wait_for(round + 2).await;
    }
    let messages = service.recorder.wait_for(4).await;
    assert!(
        messages.iter().all(|message| message.code.expose() == code),
        "one code on all channels"
    );
    let channels: Vec<_> = messages
        .iter()
        .map(|message| message.recipient.channel().as_str())
        .collect();
    assert_eq!(channels, ["email", "sms", "email", "email"]);
    service.advance(30);
    let status = service
        .try_resend(&v.verification_id, Channel::Email)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "SENDS_EXHAUSTED");
}

#[tokio::test]
async fn code_05_a_code_dies_at_its_fixed_time() {
    let setup = Setup::default().file("[actions.long]\ncode_lifetime_s = 600\n");
    let service = setup.start().await;
    let long = |subject| countersign::pb::v1::StartVerificationRequest {
        action: "long".to_owned(),
        ..login(subject)
    };
    let (in_time, code) = service.start_and_read(long("in-time")).await;
    let (late, late_code) = service.start_and_read(long("late")).await;
    service.advance(599);
    assert_eq!(
        service
            .try_resend(&late.verification_id, Channel::Unspecified)
            .await
            .unwrap()
            .expires_at,
        late.expires_at
    );
    assert_eq!(
        service.check(&in_time.verification_id, &code).await,
        Verdict::Approved
    );
    service.clock.advance(Duration::from_millis(1001));
    assert_eq!(
        service.check(&late.verification_id, &late_code).await,
        Verdict::Expired
    );
    assert_eq!(
        service.get(&late.verification_id).await.unwrap().status(),
        VerificationStatus::Expired
    );
}

#[tokio::test]
async fn code_07_a_code_is_right_only_for_its_own_verification() {
    let service = Harness::new().await;
    let (_, code) = service.start_and_read(login("one")).await;
    let (other, other_code) = service.start_and_read(login("two")).await;
    if code != other_code {
        let answer = service
            .try_check(&other.verification_id, &code, &unique("a"))
            .await
            .unwrap();
        assert_eq!(
            (answer.verdict(), answer.attempts_left),
            (Verdict::Wrong, 4)
        );
    }
    assert_eq!(
        service.check(&other.verification_id, &other_code).await,
        Verdict::Approved
    );
}

#[tokio::test]
async fn code_08_action_subject_and_binding_each_make_another_code() {
    let service = Harness::new().await;
    let payment = |subject: &str, amount: &str| {
        let mut request = login(subject);
        request.action = "payment".to_owned();
        request.binding = [("amount", amount), ("payee", "ACME")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .into();
        request
    };
    let mut started = Vec::new();
    for request in [
        login("s"),
        payment("s", "100.00"),
        payment("s2", "100.00"),
        payment("s3", "100.01"),
    ] {
        started.push(service.start_and_read(request).await);
    }
    for (at, (v, _)) in started.iter().enumerate() {
        let foreign = started
            .iter()
            .enumerate()
            .filter(|(other, (_, code))| *other != at && *code != started[at].1);
        for (_, (_, code)) in foreign {
            service.advance(2);
            assert_eq!(
                service.check(&v.verification_id, code).await,
                Verdict::Wrong
            );
        }
    }
}

#[tokio::test]
async fn code_09_a_newer_start_takes_the_place_of_the_older_on_the_same_contact() {
    let service = Harness::new().await;
    let (first, first_code) = service.start_and_read(login("s")).await;
    let (second, second_code) = service.start_and_read(login("s")).await;
    assert_eq!(
        service.check(&first.verification_id, &first_code).await,
        Verdict::Closed
    );
    let (third, _) = service.start_and_read(on_contact(login("s"), "c1")).await;
    service.start_and_read(on_contact(login("s"), "c2")).await;
    let status = service
        .start(on_contact(login("s"), "c3"))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "TOO_MANY_LIVE")
    );
    assert!(retry_after(&status).is_some_and(|wait| wait.as_secs() <= 300));
    assert_eq!(
        service.get(&third.verification_id).await.unwrap().status(),
        VerificationStatus::Pending
    );
    assert_eq!(
        service.check(&second.verification_id, &second_code).await,
        Verdict::Approved,
        "other contacts left it alone"
    );
}

#[tokio::test]
async fn code_10_cancel_and_not_me_kill_the_code_at_once() {
    let service = Harness::new().await;
    for (request, cancel, status) in [
        (
            login("s"),
            CancelReason::Requested,
            VerificationStatus::Canceled,
        ),
        (login("t"), CancelReason::NotMe, VerificationStatus::Denied),
    ] {
        let (v, code) = service.start_and_read(request).await;
        assert_eq!(
            service
                .try_cancel(&v.verification_id, cancel)
                .await
                .unwrap()
                .status(),
            status
        );
        assert_eq!(
            service
                .try_cancel(&v.verification_id, cancel)
                .await
                .unwrap()
                .status(),
            status,
            "again is no error"
        );
        assert_eq!(
            service.check(&v.verification_id, &code).await,
            Verdict::Closed
        );
        let other = if cancel == CancelReason::NotMe {
            CancelReason::Requested
        } else {
            CancelReason::NotMe
        };
        let refused = shape(service.try_cancel(&v.verification_id, other).await);
        assert_eq!(
            refused,
            (Code::FailedPrecondition, "VERIFICATION_CLOSED".to_owned())
        );
    }
}

#[tokio::test]
async fn code_11_ids_are_unguessable_and_alike() {
    let service = Harness::new().await;
    let mut seen = std::collections::HashSet::new();
    for round in 0..200 {
        let v = service.start(login(&format!("s{round}"))).await.unwrap();
        let id = v.verification_id;
        assert_eq!((id.len(), &id[..4]), (48, "vrf_"));
        assert!(
            id[4..]
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() && !b"0OIl".contains(&b))
        );
        assert!(
            seen.insert(id[26..].to_owned()),
            "the random half never repeats"
        );
    }
}

#[tokio::test]
async fn code_13_a_malformed_guess_names_the_field_and_takes_no_attempt() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../vectors/unicode_digits.json")).unwrap();
    let unicode = vectors["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| case["code"].as_str().unwrap().to_owned());
    let plain = [
        "123456\n",
        " 123456",
        "+123456",
        "12345",
        "123456789",
        "1234567",
    ]
    .map(str::to_owned);
    let id = &v.verification_id;
    for (at, guess) in plain
        .into_iter()
        .chain(unicode)
        .filter(|guess| !guess.is_empty())
        .enumerate()
    {
        if at % 20 == 19 {
            service.advance(15); // The quota of malformed guesses is another test's story.
        }
        let status = service
            .try_check(id, &guess, &unique("a"))
            .await
            .unwrap_err();
        assert!(
            ["CODE_MALFORMED", "MALFORMED_TOO_OFTEN"].contains(&reason(&status).as_str()),
            "{guess:?}: {status:?}"
        );
        if reason(&status) == "CODE_MALFORMED" {
            assert_eq!(
                (status.code(), fields(&status)),
                (Code::InvalidArgument, vec!["code".to_owned()]),
                "{guess:?}"
            );
        }
    }
    assert_eq!(service.get(id).await.unwrap().attempts_left, 5);
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    assert_eq!(service.check(id, &spaced).await, Verdict::Approved);
}

#[tokio::test]
async fn code_14_malformed_guesses_have_a_quota_of_their_own() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    let guess = || service.try_check(&v.verification_id, "abcdef", "a");
    for _ in 0..20 {
        assert_eq!(
            shape(guess().await),
            (Code::InvalidArgument, "CODE_MALFORMED".to_owned())
        );
    }
    let status = guess().await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "MALFORMED_TOO_OFTEN")
    );
    assert_eq!(retry_after(&status).map(|wait| wait.as_secs()), Some(15));
    service.advance(15);
    assert_eq!(shape(guess().await).1, "CODE_MALFORMED");
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
}

#[tokio::test]
async fn guess_12_a_stranger_does_not_lock_the_customer_out() {
    let service = Harness::new().await;
    for failures in 0..25 {
        // Longer than the longest wait between guesses.
        service.advance(4000);
        let (v, code) = service.start_and_read(anonymous("victim")).await;
        assert_eq!(
            service.check(&v.verification_id, &wrong(&code)).await,
            Verdict::Wrong,
            "failure {failures}"
        );
    }
    service.advance(4000);
    assert_eq!(
        shape(service.start(anonymous("victim")).await),
        (Code::FailedPrecondition, "METHOD_DISABLED".to_owned())
    );
    let (v, code) = service.start_and_read(login("victim")).await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
}
