//! Quotas over all processes: what is refused, for how long, and what is not counted.

use std::{sync::Arc, time::Duration};

use countersign::{
    app::Machine,
    domain::{caller::api_key_hash, limit::quota::Dimension},
    pb::v1::{self, Channel, Contact, StartVerificationRequest},
    ports::store::Store,
    store::embedded::memory::Memory,
    system::SystemEntropy,
};
use tonic::{Code, Status};

use crate::{
    harness::http::get,
    harness::{
        Harness, Setup, anonymous, login, on_contact, on_redis, quota, reason, recipient,
        retry_after, shape, unique, with_key,
    },
};

/// A start of another subject to this recipient.
fn to(channel: Channel, address: &str) -> StartVerificationRequest {
    StartVerificationRequest {
        recipients: vec![recipient(channel, address)],
        ..login(&unique("subject"))
    }
}

/// A start of another subject to a new recipient.
fn elsewhere() -> StartVerificationRequest {
    to(Channel::Email, &format!("{}@example.org", unique("person")))
}

fn by_agent(
    request: StartVerificationRequest,
    contact: &str,
    agent: &str,
) -> StartVerificationRequest {
    let contact = Contact {
        contact_id: contact.to_owned(),
        agent_id: agent.to_owned(),
        ..Default::default()
    };
    StartVerificationRequest {
        contact: Some(contact),
        ..request
    }
}

/// A refusal by a quota, and its wait.
fn exceeded(status: &Status, dimension: Dimension) -> Duration {
    assert_eq!(
        (status.code(), reason(status).as_str()),
        (Code::ResourceExhausted, "QUOTA_EXCEEDED")
    );
    assert_eq!(quota(status), dimension.as_str());
    retry_after(status).expect("it says how long")
}

#[tokio::test]
async fn send_05_the_sixth_start_to_one_recipient_is_refused() {
    let service = Setup::default().quotas().start().await;
    for _ in 0..5 {
        service.start(login("s")).await.unwrap();
    }
    let status = service.start(login("s")).await.unwrap_err();
    assert_eq!(
        exceeded(&status, Dimension::Recipient),
        Duration::from_secs(120)
    );
    assert!(
        !format!("{status:?}").contains("anna"),
        "neither text nor metadata has the address"
    );
    service
        .start(elsewhere())
        .await
        .expect("another recipient is not touched");
    assert_eq!(service.recorder.wait_for(6).await.len(), 6);
}

#[tokio::test]
async fn send_09_the_wait_is_exact() {
    let service = Setup::default().quotas().start().await;
    for _ in 0..5 {
        service.start(login("s")).await.unwrap();
    }
    let wait = exceeded(
        &service.start(login("s")).await.unwrap_err(),
        Dimension::Recipient,
    );
    service
        .clock
        .advance(wait.checked_sub(Duration::from_secs(1)).unwrap());
    let early = service.start(login("s")).await.unwrap_err();
    assert_eq!(
        exceeded(&early, Dimension::Recipient),
        Duration::from_secs(1),
        "1 s less: refused"
    );
    service.advance(1);
    service
        .start(login("s"))
        .await
        .expect("that long: accepted");
    let again = service.start(login("s")).await.unwrap_err();
    assert_eq!(
        exceeded(&again, Dimension::Recipient),
        wait,
        "one came back, and no more"
    );
}

#[tokio::test]
async fn send_05_the_pause_rises_to_ten_minutes() {
    let service = Setup::default()
        .quotas()
        .quota(Dimension::RecipientSubjects, 0, 1)
        .start()
        .await;
    let mut pauses = Vec::new();
    for _ in 0..15 {
        let mut pause = Duration::ZERO;
        while let Err(status) = service.start(to(Channel::Email, "anna@example.org")).await {
            assert!(quota(&status).starts_with("recipient"), "{status:?}");
            let wait = retry_after(&status).unwrap();
            service.clock.advance(wait);
            pause += wait;
        }
        pauses.push(pause.as_secs());
    }
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert_eq!(
        (pauses[4], pauses[5], pauses[14]),
        (0, 120, 600),
        "{pauses:?}"
    );
}

#[tokio::test]
async fn send_05_a_resend_counts_and_so_do_all_channels_of_a_number() {
    let service = Setup::default()
        .quota(Dimension::Recipient, 3, 600)
        .start()
        .await;
    let mut request = to(Channel::Sms, "+31612345678");
    request
        .recipients
        .push(recipient(Channel::Voice, "+31 6 1234 5678"));
    let v = service.start(request).await.unwrap();
    for (sent, channel) in [(1, Channel::Unspecified), (2, Channel::Voice)] {
        // Half a minute is longer than the lease of a message.
        service.recorder.wait_for(sent).await;
        service.advance(30);
        service
            .try_resend(&v.verification_id, channel)
            .await
            .unwrap();
    }
    service.recorder.wait_for(3).await;
    service.advance(30);
    let status = service
        .try_resend(&v.verification_id, Channel::Sms)
        .await
        .unwrap_err();
    // The first one was drawn 90 seconds ago; one refills every 200 seconds.
    assert_eq!(
        exceeded(&status, Dimension::Recipient),
        Duration::from_secs(110)
    );
    assert_eq!(service.recorder.all().len(), 3);
    assert_eq!(
        service.get(&v.verification_id).await.unwrap().sends_left,
        1,
        "the refused resend took none"
    );
}

#[tokio::test]
async fn text_05_a_number_is_one_recipient_in_every_spelling() {
    let service = Setup::default()
        .quota(Dimension::Recipient, 4, 600)
        .start()
        .await;
    for (channel, spelling) in [
        (Channel::Sms, "+31612345678"),
        (Channel::Sms, "+31 6 12345678"),
        (Channel::Voice, "+31 (0)6-1234 5678"),
        (Channel::Whatsapp, "+31-6-12.34.56.78"),
    ] {
        service.start(to(channel, spelling)).await.unwrap();
    }
    let status = service
        .start(to(Channel::Sms, "+31612345678"))
        .await
        .unwrap_err();
    exceeded(&status, Dimension::Recipient);
    for spelling in ["0031612345678", "tel:+31612345678", "+31612345678;ext=1"] {
        let refused = shape(service.start(to(Channel::Sms, spelling)).await);
        assert_eq!(
            refused,
            (Code::InvalidArgument, "INVALID_FIELDS".to_owned()),
            "{spelling}: no second way to one number"
        );
    }
}

#[tokio::test]
async fn send_05_a_mailbox_is_one_recipient_in_every_case_and_with_every_tag() {
    let service = Setup::default()
        .quota(Dimension::Recipient, 3, 600)
        .start()
        .await;
    for spelling in ["anna@example.org", "Anna@EXAMPLE.org", "anna+1@example.org"] {
        service.start(to(Channel::Email, spelling)).await.unwrap();
    }
    let status = service
        .start(to(Channel::Email, "ANNA+2@example.org"))
        .await
        .unwrap_err();
    exceeded(&status, Dimension::Recipient);
    let sent = service.recorder.wait_for(3).await;
    let mut addresses: Vec<_> = sent
        .iter()
        .map(|message| message.recipient.expose().to_owned())
        .collect();
    addresses.sort();
    assert_eq!(
        addresses,
        ["Anna@example.org", "anna+1@example.org", "anna@example.org"],
        "but each is sent to as given"
    );
}

#[tokio::test]
async fn send_03_neighbouring_numbers_share_a_budget() {
    let service = Setup::default().quotas().start().await;
    let mut sent = 0;
    for n in 0..100 {
        match service
            .start(to(Channel::Sms, &format!("+316123450{n:02}")))
            .await
        {
            Ok(_) => sent += 1,
            Err(status) => assert_eq!(
                exceeded(&status, Dimension::Prefix),
                Duration::from_secs(60)
            ),
        }
    }
    assert_eq!(sent, 10);
    service
        .start(to(Channel::Sms, "+31612346000"))
        .await
        .expect("another block is not touched");
    service.recorder.wait_for(11).await;
    service.advance(60);
    service
        .start(to(Channel::Voice, "+31612345099"))
        .await
        .expect("one comes back, by whichever channel");
    assert_eq!(service.recorder.wait_for(12).await.len(), 12);
}

#[tokio::test]
async fn send_07_the_fourth_subject_of_one_recipient_is_refused() {
    let service = Setup::default()
        .quota(Dimension::RecipientSubjects, 3, 86_400)
        .start()
        .await;
    let start = async |subject: &str| service.start(anonymous(subject)).await;
    for subject in ["a", "b", "c", "a", "b"] {
        start(subject)
            .await
            .expect("who is known there counts once");
    }
    assert_eq!(
        exceeded(&start("d").await.unwrap_err(), Dimension::RecipientSubjects),
        Duration::from_secs(8 * 3600)
    );
    exceeded(
        &start("d").await.expect_err("a refusal makes nobody known"),
        Dimension::RecipientSubjects,
    );
    start("c").await.expect("the others go on");
    let other = StartVerificationRequest {
        recipients: vec![recipient(Channel::Email, "d@example.org")],
        ..anonymous("d")
    };
    service.start(other).await.expect("to another recipient");
    for subject in ["e", "f", "g", "h"] {
        service
            .start(login(subject))
            .await
            .expect("vouched subjects may share a mailbox");
    }
    service.advance(8 * 3600);
    start("d")
        .await
        .expect("one comes back in a third of a day");
}

#[tokio::test]
async fn send_07_the_fourth_recipient_of_one_subject_is_refused() {
    let service = Setup::default()
        .quota(Dimension::SubjectRecipients, 3, 86_400)
        .start()
        .await;
    let start = async |address: &str| {
        let recipients = vec![recipient(Channel::Email, address)];
        service
            .start(StartVerificationRequest {
                recipients,
                ..login("s")
            })
            .await
    };
    for address in [
        "a@example.org",
        "b@example.org",
        "c@example.org",
        "a@example.org",
    ] {
        start(address).await.unwrap();
    }
    exceeded(
        &start("d@example.org").await.unwrap_err(),
        Dimension::SubjectRecipients,
    );
    start("b@example.org").await.expect("a known one goes on");
    assert_eq!(service.recorder.wait_for(5).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn send_08_a_thousand_parallel_starts_send_no_more_than_the_limit() {
    let service = Setup::default()
        .quotas()
        .quota(Dimension::RecipientSubjects, 0, 1)
        .start()
        .await;
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (mut client, request) = (
            service.client.clone(),
            service.request(to(Channel::Email, "anna@example.org")),
        );
        starts.spawn(async move { client.start_verification(request).await });
    }
    let mut taken = 0;
    while let Some(answer) = starts.join_next().await {
        match answer.unwrap() {
            Ok(_) => taken += 1,
            Err(status) => drop(exceeded(&status, Dimension::Recipient)),
        }
    }
    assert_eq!(taken, 5);
    // While a thousand calls use the hands of the process, a message may be left to the due index.
    while service.recorder.all().len() < 5 {
        service.pass(Duration::from_secs(1)).await;
    }
    let recorder = service.recorder.clone();
    service.stop().await;
    assert_eq!(
        recorder.all().len(),
        5,
        "after the drain nothing is left to send"
    );
}

#[tokio::test]
async fn send_08_processes_that_share_a_store_share_its_quotas() {
    let setup =
        Setup::default()
            .quota(Dimension::Tenant, 300, 60)
            .quota(Dimension::Recipient, 2, 600);
    let store: Arc<dyn Store> =
        Arc::new(Memory::new(setup.clock.clone(), &SystemEntropy::default()));
    // Redis is shared in any case; the embedded engine only within a process.
    let store = (!on_redis()).then_some(store);
    let machine = || Machine {
        clock: setup.clock.clone(),
        store: store.clone(),
        ..Machine::default()
    };
    let fleet = [
        setup.start_on(machine()).await,
        setup.start_on(machine()).await,
    ];
    let to_one = [0, 1, 0].map(|n: usize| fleet[n].start(login("s")));
    let answers = futures_util::future::join_all(to_one).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.is_ok()).count(),
        2,
        "two messages to one recipient, by whichever process"
    );
    let mut taken = 2;
    for n in 0..400 {
        match fleet[n % 2].start(elsewhere()).await {
            Ok(_) => taken += 1,
            Err(status) => drop(exceeded(&status, Dimension::Tenant)),
        }
    }
    // A slice is three units, the last of which may be held by the other process.
    assert!((297..=300).contains(&taken), "{taken}");
}

#[tokio::test]
async fn send_08_a_refused_start_takes_nothing_from_what_others_share() {
    let setup =
        Setup::default()
            .quota(Dimension::Recipient, 1, 600)
            .quota(Dimension::Tenant, 2, 600);
    let service = setup.start().await;
    service.start(login("s")).await.unwrap();
    for _ in 0..10 {
        exceeded(
            &service.start(login("s")).await.unwrap_err(),
            Dimension::Recipient,
        );
    }
    service
        .start(elsewhere())
        .await
        .expect("the tenant has one left");
    exceeded(
        &service.start(elsewhere()).await.unwrap_err(),
        Dimension::Tenant,
    );
}

#[tokio::test]
async fn send_10_the_source_address_comes_from_its_field_only() {
    let service = Setup::default()
        .quota(Dimension::SourceIp, 1, 600)
        .start()
        .await;
    let forged = |source_ip: &str, forged: &'static str| {
        let mut request = service.request(StartVerificationRequest {
            source_ip: source_ip.to_owned(),
            ..elsewhere()
        });
        for name in ["x-forwarded-for", "x-real-ip", "forwarded"] {
            request.metadata_mut().insert(name, forged.parse().unwrap());
        }
        let mut client = service.client.clone();
        async move { client.start_verification(request).await }
    };
    forged("192.0.2.1", "198.51.100.1").await.unwrap();
    for other in ["198.51.100.2", "for=198.51.100.3"] {
        let status = forged("192.0.2.1", other)
            .await
            .expect_err("no header makes it another address");
        exceeded(&status, Dimension::SourceIp);
    }
    exceeded(
        &forged("::ffff:192.0.2.1", "198.51.100.4")
            .await
            .unwrap_err(),
        Dimension::SourceIp,
    );
    for _ in 0..3 {
        forged("", "192.0.2.1")
            .await
            .expect("no header counts where the field is absent");
    }
    forged("2001:db8::1", "192.0.2.1").await.unwrap();
    exceeded(
        &forged("2001:db8::2", "192.0.2.9")
            .await
            .expect_err("one /64 is one customer"),
        Dimension::SourceIp,
    );
    forged("2001:db8:0:1::1", "192.0.2.1")
        .await
        .expect("the next /64 is another");
}

#[tokio::test]
async fn desk_06_the_fifty_first_start_of_an_agent_is_refused() {
    let service = Setup::default().quotas().start().await;
    for n in 0..50 {
        service
            .start(by_agent(elsewhere(), &format!("call-{n}"), "agent-7"))
            .await
            .unwrap();
    }
    let status = service
        .start(by_agent(elsewhere(), "call-50", "agent-7"))
        .await
        .unwrap_err();
    assert_eq!(exceeded(&status, Dimension::Agent), Duration::from_secs(72));
    service
        .start(by_agent(elsewhere(), "call-50", "agent-8"))
        .await
        .expect("another agent is not touched");
    let lines = service.audit().await;
    let refusals: Vec<_> = lines.iter().filter(|line| line.what == "refused").collect();
    assert_eq!(refusals.len(), 1);
    assert_eq!(
        (refusals[0].agent.as_str(), refusals[0].contact.as_str()),
        ("agent-7", "call-50"),
        "the event says who"
    );
}

#[tokio::test]
async fn a_contact_and_the_callers_own_keys_are_limited() {
    let hash = hex::encode(api_key_hash("other-key"));
    let file = format!(
        "[callers.other]\ntenant = \"default\"\nroles = [\"frontend\"]\napi_key_sha256 = \"{hash}\"\n"
    );
    let setup = Setup::default()
        .file(&file)
        .quota(Dimension::Contact, 2, 600)
        .quota(Dimension::QuotaKeys, 3, 600);
    let service = setup.start().await;
    let on_contact = || by_agent(elsewhere(), "call-1", "");
    service.start(on_contact()).await.unwrap();
    service.start(on_contact()).await.unwrap();
    exceeded(
        &service.start(on_contact()).await.unwrap_err(),
        Dimension::Contact,
    );
    let keyed = |keys: &[&str]| {
        let quota_keys = keys.iter().map(|key| (*key).to_owned()).collect();
        StartVerificationRequest {
            quota_keys,
            ..elsewhere()
        }
    };
    service
        .start(keyed(&["device-1", "device-1"]))
        .await
        .expect("a key twice counts once");
    service.start(keyed(&["shop-2", "device-1"])).await.unwrap();
    service.start(keyed(&["device-1"])).await.unwrap();
    exceeded(
        &service
            .start(keyed(&["shop-2", "device-1"]))
            .await
            .unwrap_err(),
        Dimension::QuotaKeys,
    );
    service
        .start(keyed(&["shop-2"]))
        .await
        .expect("the refused one took nothing of the other key");
    let mut client = service.client.clone();
    client
        .start_verification(with_key("other-key", keyed(&["device-1"])))
        .await
        .expect("a caller's keys are its own");
}

#[tokio::test]
async fn each_tenant_has_quotas_of_its_own() {
    let hash = hex::encode(api_key_hash("other-key"));
    let file = format!(
        "[callers.other]\ntenant = \"other\"\nroles = [\"frontend\"]\napi_key_sha256 = \"{hash}\"\n"
    );
    let setup = Setup::default()
        .file(&file)
        .quota(Dimension::Recipient, 1, 600)
        .quota(Dimension::Tenant, 1, 600);
    let service = setup.start().await;
    service.start(login("s")).await.unwrap();
    exceeded(
        &service.start(login("s")).await.unwrap_err(),
        Dimension::Recipient,
    );
    let mut client = service.client.clone();
    client
        .start_verification(with_key("other-key", login("s")))
        .await
        .expect("another tenant's");
}

#[tokio::test]
async fn new_subjects_of_a_caller_are_limited_and_counted() {
    let service = Setup::default()
        .quota(Dimension::NewSubjects, 2, 3600)
        .start()
        .await;
    for subject in ["a", "b", "a", "b"] {
        service
            .start(login(subject))
            .await
            .expect("a known subject is not new");
    }
    exceeded(
        &service.start(login("c")).await.unwrap_err(),
        Dimension::NewSubjects,
    );
    let page = get(service.reach.admin, "/metrics").await;
    let counted = page
        .lines()
        .find(|line| line.starts_with("countersign_new_subjects_total{caller=\"development\"}"));
    assert!(counted.is_some(), "{page}");
}

#[tokio::test]
async fn the_numbers_of_a_country_are_limited_and_mail_is_of_none() {
    let service = Setup::default()
        .quota(Dimension::Country, 2, 600)
        .start()
        .await;
    service
        .start(to(Channel::Sms, "+31612345678"))
        .await
        .unwrap();
    service
        .start(to(Channel::Voice, "+31201234567"))
        .await
        .unwrap();
    exceeded(
        &service
            .start(to(Channel::Sms, "+31687654321"))
            .await
            .unwrap_err(),
        Dimension::Country,
    );
    service
        .start(to(Channel::Sms, "+4915112345678"))
        .await
        .expect("another country");
    service.start(elsewhere()).await.expect("mail");
}

#[tokio::test]
async fn store_18_a_repeat_draws_nothing() {
    let service = Setup::default()
        .quota(Dimension::Recipient, 2, 600)
        .start()
        .await;
    let request = login("s");
    let first = service.start(request.clone()).await.unwrap();
    for _ in 0..10 {
        assert_eq!(
            service
                .start(request.clone())
                .await
                .unwrap()
                .verification_id,
            first.verification_id
        );
    }
    service.recorder.wait_for(1).await;
    service.advance(30);
    let resend = v1::ResendCodeRequest {
        verification_id: first.verification_id,
        request_id: "r".to_owned(),
        channel: 0,
    };
    for _ in 0..10 {
        service
            .client
            .clone()
            .resend_code(service.request(resend.clone()))
            .await
            .expect("the second draw, once");
    }
    exceeded(
        &service.start(login("s")).await.unwrap_err(),
        Dimension::Recipient,
    );
    service
        .start(request)
        .await
        .expect("a repeat is answered though the quota is used up");
    assert_eq!(service.recorder.wait_for(2).await.len(), 2);
}

#[tokio::test]
async fn a_start_that_is_refused_before_draws_nothing() {
    let service = Setup::default()
        .quota(Dimension::Recipient, 2, 600)
        .start()
        .await;
    let start = |contact: &str| StartVerificationRequest {
        source_ip: "192.0.2.7".to_owned(),
        ..on_contact(anonymous("s"), contact)
    };
    service.start(start("c1")).await.unwrap();
    for _ in 0..5 {
        let second = start("c2");
        assert_eq!(shape(service.start(second).await).1, "TOO_MANY_LIVE");
    }
    let first = || on_contact(anonymous("s"), "c1");
    service.start(first()).await.expect("one is left");
    exceeded(
        &service.start(first()).await.unwrap_err(),
        Dimension::Recipient,
    );
}

#[tokio::test]
async fn a_refusal_by_a_quota_is_an_event_and_a_metric() {
    let service = Setup::default()
        .quota(Dimension::Recipient, 1, 600)
        .start()
        .await;
    service.start(login("s")).await.unwrap();
    service.advance(1);
    exceeded(
        &service.start(login("s")).await.unwrap_err(),
        Dimension::Recipient,
    );
    exceeded(
        &service.start(login("nobody-yet")).await.unwrap_err(),
        Dimension::Recipient,
    );
    let lines = service.audit().await;
    let refusals: Vec<_> = lines.iter().filter(|line| line.what == "refused").collect();
    assert_eq!(
        refusals.len(),
        2,
        "of a subject with a record and of one without"
    );
    for line in refusals {
        let detail = |name: &str| line.details.get(name).map(String::as_str);
        assert_eq!(
            (detail("call"), detail("reason")),
            (Some("start"), Some("QUOTA_EXCEEDED"))
        );
        assert_eq!(
            (detail("quota"), line.caller.as_str()),
            (Some("recipient"), "development")
        );
    }
    assert_eq!(
        lines.iter().filter(|line| line.what == "started").count(),
        1,
        "nothing else was written"
    );
    let page = get(service.reach.admin, "/metrics").await;
    assert!(
        page.contains(
            "countersign_quota_refusals_total{dimension=\"recipient\",origin=\"vouched\"}"
        ),
        "{page}"
    );
}

#[tokio::test]
async fn a_quota_of_zero_is_switched_off() {
    let service = Harness::new().await;
    for _ in 0..30 {
        service
            .start(to(Channel::Email, "anna@example.org"))
            .await
            .unwrap();
    }
}
