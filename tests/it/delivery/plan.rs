//! Channel plans: the same code by one channel after the other, until the end.

use std::{sync::Arc, time::Duration};

use countersign::{
    app::Machine,
    domain::{
        delivery::{reason::Reason, receipt::Receipt},
        limit::quota::Dimension,
        recipient,
    },
    pb::v1::{
        Channel, DeliveryStatus, StartVerificationRequest, Verdict, Verification,
        VerificationStatus,
    },
    ports::{
        sender::{Message, SendError},
        store::Store,
    },
    store::embedded::memory::Memory,
    system::SystemEntropy,
};
use tonic::Code;

use crate::harness::{
    A_BIT, Harness, PATIENCE, Setup, login, on_redis, recipient, sender_name, unique,
};

const SECOND: Duration = Duration::from_secs(1);

fn planned(plan: &str) -> Setup {
    Setup::default().with("ACTIONS__LOGIN__PLAN", plan)
}

/// A start of a subject that can be reached on three channels.
fn reachable() -> StartVerificationRequest {
    let recipients = vec![
        recipient(Channel::Email, "anna@example.org"),
        recipient(Channel::Sms, "+31612345678"),
        recipient(Channel::Voice, "+31612345679"),
    ];
    StartVerificationRequest {
        recipients,
        ..login(&unique("planned"))
    }
}

/// Advances the clock in steps of this length until there are this many messages.
async fn pass_until(service: &Harness, messages: usize, step: Duration) -> Vec<Message> {
    let passing = async {
        while service.recorder.all().len() < messages {
            service.pass(step).await;
        }
    };
    tokio::time::timeout(PATIENCE, passing)
        .await
        .expect("they come");
    service.recorder.all()
}

/// Waits for this many messages while hardly any time passes: a process on its own runtime, or one that takes over from
/// another, needs real time to react.
async fn wait_until(service: &Harness, messages: usize) -> Vec<Message> {
    let waiting = async {
        while service.recorder.all().len() < messages {
            service.pass(A_BIT).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("they come");
    service.recorder.all()
}

/// The verification after its last message was accepted.
async fn taken(service: &Harness, id: &str, deliveries: usize) -> Verification {
    let is_taken = |v: &Verification| {
        v.deliveries.len() == deliveries
            && v.deliveries[deliveries - 1].status() == DeliveryStatus::Sent
    };
    service.until(id, is_taken).await
}

fn channels(v: &Verification) -> Vec<Channel> {
    v.deliveries
        .iter()
        .map(|delivery| delivery.channel())
        .collect()
}

async fn say(service: &Harness, message: &Message, receipt: Receipt) {
    service
        .reach
        .service
        .receipt(&sender_name("outbox"), message.receipt.as_str(), receipt)
        .await
        .unwrap();
}

fn undelivered() -> Receipt {
    Receipt::Undelivered {
        reason: Reason::from_word("30003"),
    }
}

#[tokio::test]
async fn a_plan_brings_the_same_code_by_each_channel_in_its_time() {
    let service = planned("email 20s, sms 40s, voice").start().await;
    let v = service.start(reachable()).await.unwrap();
    let id = v.verification_id.clone();
    assert_eq!(v.next_channel(), Channel::Sms);
    let (starts, next) = (
        v.created_at.unwrap().seconds,
        v.next_step_at.unwrap().seconds,
    );
    assert_eq!(next - starts, 20);
    taken(&service, &id, 1).await;
    service.pass(Duration::from_secs(19)).await;
    assert_eq!(service.recorder.all().len(), 1, "not before its time");
    pass_until(&service, 2, SECOND).await;
    let v = taken(&service, &id, 2).await;
    assert_eq!(
        (v.next_channel(), v.channel()),
        (Channel::Voice, Channel::Sms)
    );
    let messages = pass_until(&service, 3, SECOND).await;
    let v = taken(&service, &id, 3).await;
    assert_eq!(
        (v.next_channel(), v.next_step_at, v.sends_left),
        (Channel::Unspecified, None, 1)
    );
    assert_eq!(channels(&v), [Channel::Email, Channel::Sms, Channel::Voice]);
    assert!(
        messages
            .iter()
            .all(|message| message.code == messages[0].code),
        "one code on all channels"
    );
    let lines = service.audit().await;
    let moved: Vec<_> = lines
        .iter()
        .filter(|line| line.what == "moved_on")
        .map(|line| line.details["channel"].as_str())
        .collect();
    assert_eq!(moved, ["sms", "voice"]);
    assert_eq!(
        service.check(&id, messages[0].code.expose()).await,
        Verdict::Approved
    );
}

#[tokio::test]
async fn a_plan_moves_on_at_once_when_a_message_fails_or_does_not_arrive() {
    let service = planned("email 200s, sms 40s, voice").start().await;
    service
        .recorder
        .answer_with([SendError::about_recipient(Reason::Refused)]);
    let id = service.start(reachable()).await.unwrap().verification_id;
    let messages = pass_until(&service, 2, A_BIT).await;
    taken(&service, &id, 2).await;
    say(&service, &messages[1], undelivered()).await;
    pass_until(&service, 3, A_BIT).await;
    let v = taken(&service, &id, 3).await;
    let statuses: Vec<_> = v
        .deliveries
        .iter()
        .map(|delivery| delivery.status())
        .collect();
    assert_eq!(
        statuses,
        [
            DeliveryStatus::Failed,
            DeliveryStatus::Undelivered,
            DeliveryStatus::Sent
        ]
    );
    assert_eq!(channels(&v), [Channel::Email, Channel::Sms, Channel::Voice]);
}

#[tokio::test]
async fn without_a_plan_nothing_moves_on() {
    let service = Harness::new().await;
    let id = service.start(reachable()).await.unwrap().verification_id;
    taken(&service, &id, 1).await;
    say(&service, &service.recorder.all()[0], undelivered()).await;
    for _ in 0..20 {
        service.pass(Duration::from_secs(10)).await;
    }
    assert_eq!(service.recorder.all().len(), 1);
    assert_eq!(
        service.get(&id).await.unwrap().next_channel(),
        Channel::Unspecified
    );
}

#[tokio::test]
async fn a_resend_to_a_channel_is_next_now_and_the_plan_goes_on_behind_it() {
    let service = planned("email 100s, sms 100s, voice").start().await;
    let id = service.start(reachable()).await.unwrap().verification_id;
    taken(&service, &id, 1).await;
    service.advance(30);
    let v = service.try_resend(&id, Channel::Sms).await.unwrap();
    assert_eq!(
        v.next_channel(),
        Channel::Voice,
        "behind the channel that was asked for"
    );
    taken(&service, &id, 2).await;
    service.pass(Duration::from_secs(99)).await;
    assert_eq!(
        service.recorder.all().len(),
        2,
        "its own wait counts, from now on"
    );
    pass_until(&service, 3, SECOND).await;
    assert_eq!(
        channels(&taken(&service, &id, 3).await),
        [Channel::Email, Channel::Sms, Channel::Voice]
    );
}

#[tokio::test]
async fn chan_11_the_preferred_channel_comes_first_if_the_action_permits_it() {
    let service = planned("email 20s, sms 40s, voice").start().await;
    let request = StartVerificationRequest {
        preferred_channel: Channel::Sms.into(),
        ..reachable()
    };
    let v = service.start(request).await.unwrap();
    assert_eq!(
        (v.channel(), v.next_channel()),
        (Channel::Sms, Channel::Email)
    );
    let request = StartVerificationRequest {
        preferred_channel: Channel::Whatsapp.into(),
        ..reachable()
    };
    let v = service.start(request).await.unwrap();
    assert_eq!(
        (v.channel(), v.next_channel()),
        (Channel::Email, Channel::Sms),
        "there is no recipient for it"
    );
}

#[tokio::test]
async fn send_05_a_step_that_the_quotas_refuse_is_passed_over_and_everybody_sees_it() {
    let service = planned("email 20s, sms 40s, voice")
        .quota(Dimension::Recipient, 1, 600)
        .start()
        .await;
    let spent = StartVerificationRequest {
        recipients: vec![recipient(Channel::Sms, "+31612345678")],
        ..login("other")
    };
    service.start(spent).await.unwrap();
    let id = service.start(reachable()).await.unwrap().verification_id;
    service.recorder.wait_for(2).await;
    taken(&service, &id, 1).await;
    let messages = pass_until(&service, 3, SECOND).await;
    let v = taken(&service, &id, 3).await;
    assert_eq!(channels(&v), [Channel::Email, Channel::Sms, Channel::Voice]);
    let refused = &v.deliveries[1];
    assert_eq!(
        (refused.status(), refused.failure.as_str(), refused.tries),
        (DeliveryStatus::Failed, "quota_exceeded", 0)
    );
    assert_eq!(messages.len(), 3, "no message went there");
    assert_eq!(messages[2].recipient.channel(), recipient::Channel::Voice);
    let lines = service.audit().await;
    assert!(
        lines
            .iter()
            .any(|line| line.what == "send_failed" && line.details["reason"] == "quota_exceeded")
    );
}

#[tokio::test]
async fn what_a_plan_sends_counts_against_the_quotas() {
    let service = planned("email 20s, sms 40s, voice")
        .quota(Dimension::Tenant, 2, 600)
        .start()
        .await;
    let id = service.start(reachable()).await.unwrap().verification_id;
    taken(&service, &id, 1).await;
    pass_until(&service, 2, SECOND).await;
    let status = service.start(login("other")).await.unwrap_err();
    assert_eq!(
        status.code(),
        Code::ResourceExhausted,
        "the step took the second of two"
    );
}

#[tokio::test]
async fn send_13_no_step_comes_at_the_expiry_or_after_the_end() {
    let setup = planned("email 40s, sms")
        .with("ACTIONS__LOGIN__CODE_LIFETIME_S", "60")
        .with("ACTIONS__LOGIN__RESEND_COOLDOWN_S", "0");
    let service = setup.start().await;
    let late = service.start(reachable()).await.unwrap().verification_id;
    taken(&service, &late, 1).await;
    service.advance(25);
    let v = service
        .try_resend(&late, Channel::Unspecified)
        .await
        .unwrap();
    assert_eq!(
        v.next_step_at, None,
        "its wait begins anew, and would end after the code"
    );
    taken(&service, &late, 2).await;
    let approved = service.start(reachable()).await.unwrap().verification_id;
    let code = service.code_of(&approved).await;
    taken(&service, &approved, 1).await;
    assert_eq!(service.check(&approved, &code).await, Verdict::Approved);
    for _ in 0..70 {
        service.pass(SECOND).await;
    }
    let expired = service
        .until(&late, |v| v.status() == VerificationStatus::Expired)
        .await;
    assert_eq!(
        (expired.deliveries.len(), service.recorder.all().len()),
        (2, 3)
    );
}

#[tokio::test]
async fn send_12_a_step_of_a_process_that_died_is_brought_by_another_with_the_same_code() {
    let setup = Arc::new(planned("email 20s, sms"));
    let store: Arc<dyn Store> =
        Arc::new(Memory::new(setup.clock.clone(), &SystemEntropy::default()));
    let store = (!on_redis()).then_some(store);
    let machine = || Machine {
        clock: setup.clock.clone(),
        store: store.clone(),
        ..Machine::default()
    };
    // A separate runtime, which is dropped with everything on it, like a process that is killed.
    let process = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (on, with) = (setup.clone(), machine());
    let first = process
        .spawn(async move { on.start_on(with).await })
        .await
        .unwrap();
    first.recorder.fall_silent_on(recipient::Channel::Sms);
    let id = first.start(reachable()).await.unwrap().verification_id;
    taken(&first, &id, 1).await;
    first.advance(20);
    let lost = wait_until(&first, 2).await;
    // The step was made and leased to this process in the same commit.
    process.shutdown_background();
    drop(first);
    let second = setup.start_on(machine()).await;
    // Longer than the lease of the step.
    second.advance(20);
    let again = wait_until(&second, 1).await;
    assert_eq!(
        (again[0].delivery, &again[0].code),
        (lost[1].delivery, &lost[1].code)
    );
    let v = taken(&second, &id, 2).await;
    assert_eq!(
        (v.deliveries[1].tries, channels(&v)),
        (2, vec![Channel::Email, Channel::Sms])
    );
    second.advance(300);
    let closed = async {
        while !second
            .audit()
            .await
            .iter()
            .any(|line| line.what == "closed")
        {
            second.pass(A_BIT).await;
        }
    };
    tokio::time::timeout(PATIENCE, closed)
        .await
        .expect("it ends");
    let ends = second
        .audit()
        .await
        .into_iter()
        .filter(|line| line.what == "closed")
        .count();
    assert_eq!(ends, 1, "one start, one end");
}

#[tokio::test]
async fn send_11_a_second_provider_gets_the_same_code_and_an_address_without_luck_is_not_repeated()
{
    let spare =
        "[senders.spare]\nkind = \"outbox\"\n[routes.email]\nsenders = [\"outbox\", \"spare\"]\n";
    let service = planned("email 60s, sms 60s, voice")
        .file(spare)
        .start()
        .await;
    service
        .recorder
        .answer_with([SendError::broken(Reason::from_word("http_500"))]);
    let id = service.start(reachable()).await.unwrap().verification_id;
    let outbox = service.reach.outbox.clone().unwrap();
    while outbox.list().is_empty() {
        service.pass(A_BIT).await;
    }
    let v = taken(&service, &id, 1).await;
    assert_eq!(
        (v.deliveries[0].sender.as_str(), v.sends_left),
        ("spare", 3),
        "two providers, one send"
    );
    let mail = outbox.list().remove(0).message;
    assert_eq!(mail.code, service.recorder.all()[0].code);
    service
        .reach
        .service
        .receipt(&sender_name("spare"), mail.receipt.as_str(), undelivered())
        .await
        .unwrap();
    let messages = pass_until(&service, 2, A_BIT).await;
    assert_eq!(
        (messages[1].recipient.channel(), &messages[1].code),
        (recipient::Channel::Sms, &mail.code)
    );
    assert_eq!(outbox.list().len(), 1, "the address is not tried again");
}
