//! Invalid input: a typed error that lists every field, and no side effect.

use std::time::Duration;

use countersign::{
    domain::caller::api_key_hash,
    pb::v1::{self, CancelReason, Channel, Contact},
};
use tonic::Code;

use crate::harness::{
    Harness, Setup, fields, login, reason, recipient, retry_after, shape, with_key,
};

#[tokio::test]
async fn net_12_a_bound_value_that_is_missing_is_named_with_all_that_is_wrong() {
    let service = Harness::new().await;
    let mut request = login("s");
    request.action = "payment".to_owned();
    request.binding = [("amount".to_owned(), "1.00 EUR".to_owned())].into();
    request.request_id = String::new();
    request.recipients[0].address = "nobody".to_owned();
    let status = service.start(request).await.unwrap_err();
    let mut named = fields(&status);
    named.sort();
    assert_eq!(
        named,
        ["binding.payee", "recipients[0].address", "request_id"]
    );
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let service = Harness::new().await;
    let request = v1::StartVerificationRequest {
        subject: " s".to_owned(),
        action: "Not An Action".to_owned(),
        recipients: vec![
            recipient(Channel::Email, "nobody"),
            recipient(Channel::Unspecified, "x"),
            recipient(Channel::Sms, "0612345678"),
        ],
        locale: "klingon!".to_owned(),
        binding: [
            ("Amount".to_owned(), "1".to_owned()),
            ("payee".to_owned(), "a\r\nb".to_owned()),
        ]
        .into(),
        contact: Some(Contact {
            contact_id: String::new(),
            case_id: "a b".to_owned(),
            channel: 99,
            agent_id: "\u{7f}".to_owned(),
            agent_recipients: vec!["12".to_owned()],
        }),
        request_id: String::new(),
        preferred_channel: 77,
        prior_acr: "x\n".to_owned(),
        source_ip: "300.1.1.1".to_owned(),
        audience: " ".to_owned(),
        quota_keys: vec!["x".repeat(65)],
        browser_sha256: "x".to_owned(),
        decoy: false,
    };
    let status = service.start(request).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "INVALID_FIELDS")
    );
    let mut named = fields(&status);
    named.sort();
    let mut expected = vec![
        "action",
        "audience",
        "binding.Amount",
        "binding.payee",
        "browser_sha256",
        "contact.agent_id",
        "contact.agent_recipients[0]",
        "contact.case_id",
        "contact.channel",
        "contact.contact_id",
        "locale",
        "preferred_channel",
        "prior_acr",
        "quota_keys[0]",
        "recipients[0].address",
        "recipients[1].channel",
        "recipients[2].address",
        "request_id",
        "source_ip",
        "subject",
    ];
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert!(service.audit().await.is_empty(), "nothing was done");
}

type Change = (&'static str, Box<dyn Fn(&mut v1::StartVerificationRequest)>);

#[tokio::test]
async fn role_04_each_field_refuses_what_is_too_long_or_missing() {
    let service = Harness::new().await;
    let long = "x".repeat(600);
    let text = long.clone();
    let changes: Vec<Change> = vec![
        ("subject", Box::new(|r| r.subject.clear())),
        ("subject", Box::new(move |r| r.subject = text.clone())),
        ("recipients", Box::new(|r| r.recipients.clear())),
        (
            "recipients",
            Box::new(|r| r.recipients = vec![r.recipients[0].clone(); 5]),
        ),
        (
            "recipients[0].channel",
            Box::new(|r| r.recipients[0].channel = 42),
        ),
        (
            "recipients[0].registered_at",
            Box::new(|r| {
                r.recipients[0].registered_at = Some(prost_types::Timestamp {
                    seconds: -1,
                    nanos: 0,
                });
            }),
        ),
        ("request_id", Box::new(|r| r.request_id = "ü".to_owned())),
        (
            "binding.note",
            Box::new(move |r| drop(r.binding.insert("note".to_owned(), long.clone()))),
        ),
        (
            "quota_keys",
            Box::new(|r| r.quota_keys = vec!["k".to_owned(); 9]),
        ),
    ];
    for (field, change) in changes {
        let mut request = login("s");
        change(&mut request);
        let status = service.start(request).await.unwrap_err();
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, vec![field.to_owned()])
        );
    }
}

#[tokio::test]
async fn an_action_that_is_unknown_or_lacks_its_binding_is_refused() {
    let service = Harness::new().await;
    let unknown = v1::StartVerificationRequest {
        action: "no_such_action".to_owned(),
        ..login("s")
    };
    let status = service.start(unknown).await.unwrap_err();
    assert_eq!(
        (reason(&status).as_str(), fields(&status)),
        ("ACTION_UNKNOWN", vec!["action".to_owned()])
    );
    let unbound = v1::StartVerificationRequest {
        action: "payment".to_owned(),
        ..login("s")
    };
    let status = service.start(unbound).await.unwrap_err();
    assert_eq!(
        (reason(&status).as_str(), fields(&status)),
        (
            "INVALID_FIELDS",
            vec!["binding.amount".to_owned(), "binding.payee".to_owned()]
        )
    );
}

#[tokio::test]
async fn chan_11_a_channel_that_the_action_does_not_permit_is_never_used() {
    let setup = Setup::default().file("[actions.mail_only]\nchannels = [\"email\"]\n");
    let service = setup.start().await;
    let sms = recipient(Channel::Sms, "+31612345678");
    let mut request = v1::StartVerificationRequest {
        action: "mail_only".to_owned(),
        recipients: vec![sms.clone()],
        ..login("s")
    };
    assert_eq!(
        shape(service.start(request.clone()).await),
        (Code::FailedPrecondition, "CHANNEL_NOT_PERMITTED".to_owned())
    );
    request
        .recipients
        .push(recipient(Channel::Email, "anna@example.org"));
    request.preferred_channel = Channel::Sms.into();
    request.request_id = "other".to_owned();
    let v = service.start(request).await.unwrap();
    assert_eq!(
        v.channel(),
        Channel::Email,
        "the preference is ignored, never obeyed"
    );
    service.advance(30);
    assert_eq!(
        shape(service.try_resend(&v.verification_id, Channel::Sms).await).1,
        "CHANNEL_NOT_PERMITTED"
    );
}

#[tokio::test]
async fn store_18_a_repeated_request_id_gets_the_first_answer_or_is_refused() {
    let service = Harness::new().await;
    let request = login("s");
    let first = service.start(request.clone()).await.unwrap();
    let again = service.start(request.clone()).await.unwrap();
    assert_eq!(first.verification_id, again.verification_id);
    let other = v1::StartVerificationRequest {
        locale: "nl".to_owned(),
        ..request.clone()
    };
    assert_eq!(
        shape(service.start(other).await),
        (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned())
    );
    service.advance(30);
    let resend = v1::ResendCodeRequest {
        verification_id: first.verification_id.clone(),
        request_id: "r".to_owned(),
        channel: 0,
    };
    let mut client = service.client.clone();
    for _ in 0..3 {
        let answer = client
            .resend_code(service.request(resend.clone()))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.verification.unwrap().deliveries.len(), 2);
    }
    let other = v1::ResendCodeRequest {
        channel: Channel::Email.into(),
        ..resend
    };
    assert_eq!(
        shape(client.resend_code(service.request(other)).await).1,
        "REQUEST_ID_REUSED"
    );
    assert_eq!(
        service.recorder.wait_for(2).await.len(),
        2,
        "one message for each that counted"
    );
}

#[tokio::test]
async fn a_resend_waits_for_its_cool_down() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    let status = service
        .try_resend(&v.verification_id, Channel::Unspecified)
        .await
        .unwrap_err();
    assert_eq!(
        (reason(&status).as_str(), retry_after(&status)),
        ("RESEND_TOO_EARLY", Some(Duration::from_secs(5)))
    );
    service.check(&v.verification_id, &code).await;
    service.advance(30);
    let closed = shape(
        service
            .try_resend(&v.verification_id, Channel::Unspecified)
            .await,
    );
    assert_eq!(
        closed,
        (Code::FailedPrecondition, "VERIFICATION_CLOSED".to_owned())
    );
}

#[tokio::test]
async fn role_01_another_tenants_verification_is_as_absent_as_none() {
    let file = format!(
        "[callers.stranger]\ntenant = \"other\"\nroles = [\"frontend\"]\napi_key_sha256 = \"{}\"\n",
        hex::encode(api_key_hash("stranger-key"))
    );
    let service = Setup::default().file(&file).start().await;
    let (v, code) = service.start_and_read(login("s")).await;
    let unknown = countersign::domain::ids::VerificationId {
        subject: countersign::domain::ids::SubjectKey([7; 16]),
        random: [7; 16],
    };
    let mut answers = Vec::new();
    for id in [v.verification_id.clone(), unknown.to_string()] {
        let mut client = service.client.clone();
        let get = v1::GetVerificationRequest {
            verification_id: id.clone(),
        };
        let check = crate::harness::check_request(&id, &code, "a");
        let cancel = v1::CancelVerificationRequest {
            verification_id: id,
            reason: CancelReason::Requested.into(),
        };
        let got = client
            .get_verification(with_key("stranger-key", get))
            .await
            .unwrap_err();
        let checked = client
            .check_code(with_key("stranger-key", check))
            .await
            .unwrap_err();
        let canceled = client
            .cancel_verification(with_key("stranger-key", cancel))
            .await
            .unwrap_err();
        answers.push(
            [got, checked, canceled]
                .map(|status| (status.code(), reason(&status), status.message().to_owned())),
        );
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0][0].1, "VERIFICATION_NOT_FOUND");
}

#[tokio::test]
async fn desk_02_an_agent_starts_and_watches_and_never_checks() {
    let hash = hex::encode(api_key_hash("desk"));
    let customer = hex::encode(api_key_hash("session"));
    let file = format!(
        "[callers.desk]\ntenant = \"default\"\nroles = [\"agent\"]\napi_key_sha256 = \"{hash}\"\n\
         [callers.session]\ntenant = \"default\"\nroles = [\"customer\"]\napi_key_sha256 = \"{customer}\"\n"
    );
    let service = Setup::default().file(&file).start().await;
    let mut client = service.client.clone();
    let started = client
        .start_verification(with_key("desk", login("s")))
        .await
        .unwrap()
        .into_inner()
        .verification
        .unwrap();
    let code = service.code_of(&started.verification_id).await;
    let check = crate::harness::check_request(&started.verification_id, &code, "a");
    let refused = shape(client.check_code(with_key("desk", check.clone())).await);
    assert_eq!(refused, (Code::PermissionDenied, "ROLE_MISSING".to_owned()));
    let id = started.verification_id.clone();
    let cancel = |reason: CancelReason| v1::CancelVerificationRequest {
        verification_id: id.clone(),
        reason: reason.into(),
    };
    let requested = client
        .cancel_verification(with_key("session", cancel(CancelReason::Requested)))
        .await;
    assert_eq!(
        shape(requested).1,
        "ROLE_MISSING",
        "a customer's session says only `not me`"
    );
    assert_eq!(
        shape(
            client
                .start_verification(with_key("session", login("t")))
                .await
        )
        .1,
        "ROLE_MISSING"
    );
    let approved = client
        .check_code(with_key("session", check))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(approved.verdict(), v1::Verdict::Approved);
}

#[tokio::test]
async fn an_unknown_caller_learns_nothing() {
    let service = Harness::new().await;
    let mut client = service.client.clone();
    for key in ["", "wrong"] {
        let status = client
            .start_verification(with_key(key, login("s")))
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unauthenticated, "CALLER_UNKNOWN")
        );
    }
    let bare = client.start_verification(login("s")).await;
    assert_eq!(shape(bare).0, Code::Unauthenticated);
}

#[tokio::test]
async fn a_subject_remembers_a_bounded_number_of_verifications() {
    let service = Harness::new().await;
    for _ in 0..16 {
        service.start(login("s")).await.unwrap();
    }
    let status = service.start(login("s")).await.unwrap_err();
    assert_eq!(reason(&status), "TOO_MANY_RECENT");
    service.advance(retry_after(&status).unwrap().as_secs() + 1);
    service.start(login("s")).await.unwrap();
}
