//! Codes over the API: one per verification, valid for a limited time, accepted once.

use std::time::Duration;

use countersign::{
    domain::delivery::reason::Reason,
    pb::v1::{
        CancelReason, Channel, DeliveryStatus, StartVerificationRequest, Verdict,
        VerificationStatus,
    },
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
    let long = |subject| StartVerificationRequest {
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

/// The texts that the vectors expect to be refused before the record is read.
fn malformed_texts() -> Vec<String> {
    let read = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let vectors = read(include_str!("../../vectors/unicode_digits.json"));
    let cases = read(include_str!("../../vectors/pasted_codes.json"));
    let unicode = vectors["cases"].as_array().unwrap().iter();
    let unicode = unicode
        .filter(|case| case["judged"] == false)
        .map(|case| &case["code"]);
    let pasted = cases["malformed"].as_array().unwrap().iter();
    let more = ["", "   ", "\u{feff}", "123456789", "1234567"].map(serde_json::Value::from);
    unicode
        .chain(pasted)
        .chain(&more)
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn code_13_a_malformed_guess_names_the_field_and_takes_no_attempt() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    let id = &v.verification_id;
    for (at, guess) in malformed_texts().into_iter().enumerate() {
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
    let spaced = format!("\u{2068}{}\u{a0}{}\u{2069}\r\n", &code[..3], &code[3..]);
    assert_eq!(service.check(id, &spaced).await, Verdict::Approved);
}

#[tokio::test]
async fn code_13_one_attempt_in_two_spellings_is_a_repeat() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    let id = &v.verification_id;
    let wrong = wrong(&code);
    let (head, tail) = wrong.split_at(3);
    for spelling in [
        wrong.clone(),
        format!("{head} {tail}"),
        format!("\t{head}\u{2013}{tail}\u{200b}"),
        format!("{wrong}\r\n"),
    ] {
        let answer = service.try_check(id, &spelling, "same").await.unwrap();
        assert_eq!(
            (answer.verdict(), answer.attempts_left),
            (Verdict::Wrong, 4),
            "{spelling:?}"
        );
    }
    assert_eq!(service.get(id).await.unwrap().attempts_left, 4);
}

#[tokio::test]
async fn code_13_an_empty_guess_counts_as_malformed() {
    let service = Harness::new().await;
    let (v, _) = service.start_and_read(login("s")).await;
    let guess = |text: &'static str| service.try_check(&v.verification_id, text, "a");
    for text in ["", " \u{200b}"].into_iter().cycle().take(20) {
        let status = guess(text).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status), fields(&status)),
            (
                Code::InvalidArgument,
                "CODE_MALFORMED".to_owned(),
                vec!["code".to_owned()]
            )
        );
    }
    let status = guess("").await.unwrap_err();
    assert_eq!(
        reason(&status),
        "MALFORMED_TOO_OFTEN",
        "it draws that quota"
    );
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

/// An anonymous start of the victim from this address; empty: the caller does not know it.
fn from(address: &str) -> StartVerificationRequest {
    StartVerificationRequest {
        source_ip: address.to_owned(),
        ..anonymous("victim")
    }
}

#[tokio::test]
async fn guess_12_a_strangers_live_verification_does_not_keep_the_customer_out() {
    let service = Harness::new().await;
    let (strangers, _) = service.start_and_read(from("198.51.100.7")).await;
    let beside = on_contact(from("198.51.100.8"), "another");
    let refused = service.start(beside).await.unwrap_err();
    assert_eq!(reason(&refused), "TOO_MANY_LIVE");
    assert!(retry_after(&refused).is_some());
    let (v, code) = service.start_and_read(from("192.0.2.7")).await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
    let still = service.get(&strangers.verification_id).await.unwrap();
    assert_eq!(still.status(), VerificationStatus::Pending);
    // A call that drops and comes back, with a new contact and no address of the caller.
    for call in ["call-1", "call-2"] {
        let (v, code) = service.start_and_read(on_contact(from(""), call)).await;
        if call == "call-2" {
            assert_eq!(
                service.check(&v.verification_id, &code).await,
                Verdict::Approved
            );
        }
    }
}

#[tokio::test]
async fn guess_19_a_vouched_approval_lets_anonymous_starts_in_again() {
    let service = Setup::default()
        .with("SUBJECT__FAILURE_LIMIT", "1")
        .start()
        .await;
    let (v, code) = service.start_and_read(anonymous("victim")).await;
    service.check(&v.verification_id, &wrong(&code)).await;
    let (v, code) = service.start_and_read(login("victim")).await;
    assert_eq!(
        shape(service.start(anonymous("victim")).await).1,
        "METHOD_DISABLED"
    );
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
    let (v, code) = service.start_and_read(anonymous("victim")).await;
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

#[tokio::test]
async fn bind_12_what_cannot_be_seen_is_refused_by_the_name_of_the_value() {
    let service = Harness::new().await;
    for hidden in [
        '\u{61c}',
        '\u{200b}',
        '\u{202a}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
        '\u{e0041}',
        '\u{3164}',
        '\u{115f}',
        '\u{ffa0}',
        '\u{fff9}',
        '\u{ad}',
        '\u{fe0f}',
        '\u{0}',
        '\u{e000}',
        '\u{2028}',
    ] {
        let mut request = login("s");
        request
            .binding
            .insert("payee".to_owned(), format!("Jan{hidden}sen"));
        request
            .binding
            .insert("amount".to_owned(), "EUR 1,00 \u{20ac}".to_owned());
        let status = service.start(request).await.unwrap_err();
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, vec!["binding.payee".to_owned()]),
            "{hidden:?}"
        );
        let says = format!(
            "binding.payee has U+{:04X} as character 4, ",
            u32::from(hidden)
        );
        assert!(status.message().contains(&says), "{}", status.message());
    }
}

#[tokio::test]
async fn bind_12_a_customer_reads_titles_and_labels_in_his_language_whatever_the_spelling_of_the_locale()
 {
    let settings = "[actions.change_iban]\nbinding = [\"new_iban\", \"zq_tier\"]\n\
                    [labels]\nzq_tier = { de = \"Stufe\", en = \"tier\" }\n";
    let service = Setup::default().file(settings).start().await;
    for (locale, language, expected) in [
        (
            "de_DE",
            "de",
            &["Ihre neue IBAN", "neue IBAN: NL00", "Stufe: 7"][..],
        ),
        ("de-AT", "de", &["Ihre neue IBAN", "Stufe: 7"]),
        (
            "NL",
            "nl",
            &["een nieuw IBAN", "nieuw IBAN: NL00", "gegeven: 7"],
        ),
        (
            "pt-BR",
            "en",
            &["changing your IBAN", "new IBAN: NL00", "tier: 7"],
        ),
        ("", "en", &["changing your IBAN"]),
    ] {
        let mut request = login(&unique("s"));
        request.action = "change_iban".to_owned();
        request.locale = locale.to_owned();
        request
            .binding
            .insert("new_iban".to_owned(), "NL00".to_owned());
        request.binding.insert("zq_tier".to_owned(), "7".to_owned());
        let (v, code) = service.start_and_read(request).await;
        let all = service.recorder.all();
        let message = all
            .iter()
            .find(|message| message.verification.to_string() == v.verification_id);
        let content = &message.unwrap().content;
        assert_eq!(&*content.language, language, "{locale}");
        let html = content.html.as_ref().unwrap();
        for part in [&content.text, &html.replace("<bdi>", "")] {
            for text in expected {
                assert!(part.contains(text), "{locale} lacks {text}: {part}");
            }
            assert!(part.contains(&code), "the digits stand in one run: {part}");
            for raw in ["change_iban", "new_iban", "zq", "change iban"] {
                assert!(!part.contains(raw), "{locale} has {raw}: {part}");
            }
        }
    }
}
