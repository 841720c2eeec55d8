//! Budgets: what a tenant spends in an hour and in a day, over all processes.

use std::{sync::Arc, time::Duration};

use countersign::{
    app::Machine,
    domain::{caller::api_key_hash, limit::quota::Dimension},
    pb::v1::{Channel, StartVerificationRequest},
    ports::store::Store,
    store::embedded::memory::Memory,
    system::SystemEntropy,
};
use tonic::{Code, Status};

use crate::{
    harness::http::get,
    harness::{
        A_BIT, Setup, login, on_redis, quota, reason, recipient, retry_after, shape, unique,
        with_key,
    },
};

const COSTS: &str = "[spend.costs]\nsms = 0.25\n\"sms.DE\" = 0.50\nvoice = 0.01\n";

fn to(channel: Channel, address: &str) -> StartVerificationRequest {
    StartVerificationRequest {
        recipients: vec![recipient(channel, address)],
        ..login(&unique("subject"))
    }
}

fn sms() -> StartVerificationRequest {
    to(Channel::Sms, "+31612345678")
}

/// A refusal by a budget, and its wait.
fn exceeded(status: &Status, budget: Dimension) -> Duration {
    assert_eq!(
        (status.code(), reason(status).as_str()),
        (Code::ResourceExhausted, "QUOTA_EXCEEDED")
    );
    assert_eq!(quota(status), budget.as_str());
    retry_after(status).expect("it says how long")
}

#[tokio::test]
async fn send_06_the_message_that_does_not_fit_the_hour_is_refused_and_the_wait_is_exact() {
    let service = Setup::default()
        .file(&format!("[spend]\nhour = 1\n{COSTS}"))
        .start()
        .await;
    for _ in 0..3 {
        service.start(sms()).await.unwrap();
    }
    // 0.25 is left. An SMS to Germany costs twice as much, and is refused rather than charged in part.
    let german = to(Channel::Sms, "+4915112345678");
    assert_eq!(
        exceeded(
            &service.start(german.clone()).await.unwrap_err(),
            Dimension::SpendHour
        ),
        Duration::from_secs(900)
    );
    service
        .start(sms())
        .await
        .expect("what was refused took nothing");
    let wait = exceeded(
        &service.start(sms()).await.unwrap_err(),
        Dimension::SpendHour,
    );
    assert_eq!(
        wait,
        Duration::from_secs(900),
        "a quarter of the budget comes back in a quarter of an hour"
    );
    service
        .start(to(Channel::Email, "anna@example.org"))
        .await
        .expect("what costs nothing draws nothing");
    // Their codes would expire while the time passes.
    service.recorder.wait_for(5).await;
    service
        .pass(wait.saturating_sub(Duration::from_secs(1)))
        .await;
    exceeded(
        &service.start(sms()).await.unwrap_err(),
        Dimension::SpendHour,
    );
    service.pass(Duration::from_secs(1)).await;
    service.start(sms()).await.expect("after that long");
    assert_eq!(service.recorder.wait_for(6).await.len(), 6);
}

#[tokio::test]
async fn send_06_a_resend_costs_as_much_and_a_repeat_nothing() {
    let service = Setup::default()
        .file(&format!("[spend]\nday = 0.75\n{COSTS}"))
        .start()
        .await;
    let request = sms();
    let (v, _) = service.start_and_read(request.clone()).await;
    service.start(request).await.unwrap();
    service.advance(30);
    service
        .try_resend(&v.verification_id, Channel::Sms)
        .await
        .unwrap();
    service.start(sms()).await.unwrap();
    service.advance(30);
    let status = service
        .try_resend(&v.verification_id, Channel::Sms)
        .await
        .unwrap_err();
    // A third of the budget refills in 8 hours, a minute of which has passed since the first draw.
    assert_eq!(
        exceeded(&status, Dimension::SpendDay),
        Duration::from_secs(8 * 3600 - 60)
    );
}

#[tokio::test]
async fn send_06_a_step_of_a_plan_that_does_not_fit_is_passed_over() {
    let plan = "[actions.login]\nplan = [\"email 40s\", \"sms 40s\", \"voice\"]\n";
    let service = Setup::default()
        .file(&format!("[spend]\nday = 0.5\n{COSTS}{plan}"))
        .start()
        .await;
    let mut request = to(Channel::Email, "anna@example.org");
    request.recipients.extend(
        [
            (Channel::Sms, "+4915112345678"),
            (Channel::Voice, "+31612345678"),
        ]
        .map(|(c, a)| recipient(c, a)),
    );
    let id = service.start(request).await.unwrap().verification_id;
    service.start(sms()).await.unwrap();
    service.recorder.wait_for(2).await;
    service.advance(40);
    while service.recorder.all().len() < 3 {
        service.pass(A_BIT).await;
    }
    let deliveries = service.get(&id).await.unwrap().deliveries;
    let channels: Vec<_> = deliveries
        .iter()
        .map(|made| (made.channel(), made.failure.as_str()))
        .collect();
    assert_eq!(
        channels,
        [
            (Channel::Email, ""),
            (Channel::Sms, "quota_exceeded"),
            (Channel::Voice, "")
        ]
    );
}

#[tokio::test]
async fn send_06_each_tenant_has_its_own_budget() {
    let hash = hex::encode(api_key_hash("shop"));
    let file = format!(
        "[spend]\nhour = 0.5\n{COSTS}[callers.shop]\ntenant = \"shop\"\nroles = [\"frontend\"]\napi_key_sha256 = \"{hash}\"\n\
         [tenants.shop.spend]\nhour = 1\n"
    );
    let service = Setup::default().file(&file).start().await;
    let shops = || with_key("shop", sms());
    for _ in 0..2 {
        service.start(sms()).await.unwrap();
    }
    exceeded(
        &service.start(sms()).await.unwrap_err(),
        Dimension::SpendHour,
    );
    for _ in 0..4 {
        service
            .client
            .clone()
            .start_verification(shops())
            .await
            .expect("another tenant is not touched");
    }
    exceeded(
        &service
            .client
            .clone()
            .start_verification(shops())
            .await
            .unwrap_err(),
        Dimension::SpendHour,
    );
}

#[tokio::test]
async fn send_06_a_budget_reached_is_an_event_and_a_metric() {
    let service = Setup::default()
        .file(&format!("[spend]\nhour = 0.5\n{COSTS}"))
        .start()
        .await;
    service
        .start(to(Channel::Sms, "+4915112345678"))
        .await
        .unwrap();
    service.advance(1);
    exceeded(
        &service.start(sms()).await.unwrap_err(),
        Dimension::SpendHour,
    );
    let lines = service.audit().await;
    let refused: Vec<_> = lines.iter().filter(|line| line.what == "refused").collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (
            refused[0].details["reason"].as_str(),
            refused[0].details["quota"].as_str()
        ),
        ("QUOTA_EXCEEDED", "spend_hour")
    );
    let page = get(service.reach.admin, "/metrics").await;
    assert!(
        page.contains("countersign_quota_refusals_total{dimension=\"spend_hour\",origin=\"all\"}"),
        "{page}"
    );
    let spent = page
        .lines()
        .find(|line| line.starts_with("countersign_spend_micros_total"));
    assert!(
        spent.is_some_and(
            |line| line.contains("tenant=\"default\"") && line.contains("currency=\"EUR\"")
        ),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn send_08_two_processes_spend_one_budget_together() {
    let setup = Setup::default().file(&format!("[spend]\nhour = 5\n{COSTS}"));
    let store: Arc<dyn Store> =
        Arc::new(Memory::new(setup.clock.clone(), &SystemEntropy::default()));
    // Redis is shared in any case; the embedded engine only within a process.
    let store = (!on_redis()).then_some(store);
    let machine = || Machine {
        clock: setup.clock.clone(),
        store: store.clone(),
        ..Machine::default()
    };
    let both = [
        setup.start_on(machine()).await,
        setup.start_on(machine()).await,
    ];
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..100 {
        let (mut client, key) = (both[n % 2].client.clone(), both[n % 2].key.clone());
        calls.spawn(async move {
            client
                .start_verification(with_key(&key, sms()))
                .await
                .map(drop)
        });
    }
    let answers = calls.join_all().await;
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(taken, 20, "5 for 0.25 each, and no more at once");
    for answer in answers {
        if let Err(status) = answer {
            exceeded(&status, Dimension::SpendHour);
        }
    }
}

#[tokio::test]
async fn send_06_no_budget_is_the_default() {
    let service = Setup::default().file(COSTS).start().await;
    for _ in 0..30 {
        service.start(sms()).await.unwrap();
    }
    assert_eq!(
        shape(service.start(to(Channel::Voice, "+31201234567")).await).0,
        Code::Ok
    );
}
