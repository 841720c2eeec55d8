//! Fairness between origins: what strangers use up, and what stays for customers who are vouched for.

use std::time::Duration;

use countersign::{
    domain::{caller::api_key_hash, limit::quota::Dimension},
    pb::v1::{Channel, Contact, StartVerificationRequest, Verdict},
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{
    Harness, Setup, anonymous, fields, http::get, login, quota, reason, recipient, retry_after,
    scaled, shape, unique, with_key,
};

/// The starts of the flood.
const FLOOD: usize = scaled(1_000, 10_000);
/// The vouched customers who start after the flood.
const CUSTOMERS: usize = 40;

const VICTIM: &str = "victim@example.org";
const COSTS: &str = "[spend.costs]\nsms = 0.25\n";

/// The same start, without anybody who vouches for it.
fn by_stranger(request: StartVerificationRequest) -> StartVerificationRequest {
    StartVerificationRequest {
        prior_acr: String::new(),
        request_id: unique("start"),
        ..request
    }
}

fn to(subject: &str, channel: Channel, address: &str) -> StartVerificationRequest {
    StartVerificationRequest {
        recipients: vec![recipient(channel, address)],
        ..login(subject)
    }
}

/// A start with everything that quotas can be about.
fn by_everything(subject: &str) -> StartVerificationRequest {
    let contact = Contact {
        contact_id: "call-1".to_owned(),
        agent_id: "agent-7".to_owned(),
        ..Default::default()
    };
    StartVerificationRequest {
        contact: Some(contact),
        source_ip: "192.0.2.1".to_owned(),
        quota_keys: vec!["device-1".to_owned()],
        ..to(subject, Channel::Sms, "+31612345678")
    }
}

/// The quota that refused a call, and whom it counts.
fn refused_by(status: &Status) -> (String, String) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let info = status.get_details_error_info().expect("it has a reason");
    (quota(status), info.metadata["origin"].clone())
}

async fn refused(service: &Harness, request: StartVerificationRequest) -> (String, String) {
    let status = service.start(request).await.expect_err("it is used up");
    assert!(retry_after(&status).is_some(), "it says how long");
    refused_by(&status)
}

fn by(quota: &str, origin: &str) -> (String, String) {
    (quota.to_owned(), origin.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn send_14_ten_thousand_anonymous_starts_use_up_theirs_and_vouched_ones_start() {
    let count = u32::try_from(FLOOD).unwrap();
    let setup = Setup::default()
        .quotas()
        .quota(Dimension::Tenant, count, 3600)
        .quota(Dimension::Caller, count, 3600)
        .quota(Dimension::NewSubjects, count, 3600);
    let service = setup.start().await;
    let mut taken = 0;
    for n in 0..FLOOD {
        let address = format!("stranger-{n}@example.org");
        let request = to(&format!("stranger-{n}"), Channel::Email, &address);
        match service.start(by_stranger(request)).await {
            Ok(_) => taken += 1,
            Err(status) => assert_eq!(refused_by(&status), by("new_subjects", "anonymous")),
        }
    }
    assert_eq!(taken, FLOOD / 2, "half of what all may have");
    for n in 0..CUSTOMERS {
        let address = format!("stranger-{n}@example.org");
        let customer = to(&format!("stranger-{n}"), Channel::Email, &address);
        let started = service.start(customer).await.expect("at once");
        service.code_of(&started.verification_id).await;
    }
}

#[tokio::test]
async fn send_14_three_anonymous_starts_with_tagged_addresses_leave_the_customer_alone() {
    let service = Setup::default().quotas().start().await;
    for tag in ["a", "b", "c"] {
        let address = format!("victim+{tag}@example.org");
        let start = to(&format!("new-{tag}"), Channel::Email, &address);
        service.start(by_stranger(start)).await.unwrap();
    }
    service
        .start(to("victim", Channel::Email, VICTIM))
        .await
        .expect("the customer starts at once");
    service.recorder.wait_for(4).await;
    // Nor do they count as subjects that are new at the customer's own address.
    let anonymous = by_stranger(to("victim-2", Channel::Email, VICTIM));
    service.start(anonymous).await.unwrap();
}

#[tokio::test]
async fn send_14_no_anonymous_start_holds_a_recipient_shut_for_a_vouched_one() {
    // What is about many is not what this test is about.
    let setup = Setup::default()
        .quotas()
        .quota(Dimension::RecipientSubjects, 0, 1);
    let service = setup.start().await;
    for round in 0..20 {
        for n in 0..20 {
            let tag = ["v.ictim", "victim+1", "VICTIM", "victim"][n % 4];
            let address = format!("{tag}@gmail.com");
            let start = to(&format!("new-{round}-{n}"), Channel::Email, &address);
            let answer = service.start(by_stranger(start)).await;
            if let Err(status) = answer {
                let (quota, origin) = refused_by(&status);
                assert!(quota.starts_with("recipient"), "{quota}");
                assert_eq!(origin, "anonymous");
            }
        }
        let customer = to("victim", Channel::Email, "vic.tim@googlemail.com");
        service.start(customer).await.expect("in every round");
        service.pass(Duration::from_secs(700)).await;
    }
}

#[tokio::test]
async fn send_14_what_strangers_use_up_at_one_persons_places_stops_strangers_only() {
    use Dimension::{
        Agent, Contact, Country, Prefix, QuotaKeys, Recipient, RecipientLong, SourceIp, Subject,
    };
    for dimension in [
        Recipient,
        RecipientLong,
        Subject,
        Contact,
        QuotaKeys,
        SourceIp,
        Prefix,
        Agent,
        Country,
    ] {
        let service = Setup::default().quota(dimension, 4, 3600).start().await;
        let shared = [Prefix, Agent, Country].contains(&dimension);
        let stranger = || by_stranger(by_everything("s"));
        let strangers = if shared { 2 } else { 4 };
        for _ in 0..strangers {
            service.start(stranger()).await.unwrap();
        }
        let name = dimension.as_str();
        assert_eq!(refused(&service, stranger()).await, by(name, "anonymous"));
        let customers = if shared { 2 } else { 4 };
        for _ in 0..customers {
            let customer = by_everything("s");
            service.start(customer).await.unwrap_or_else(|status| {
                panic!("{name} is used up by strangers: {status:?}");
            });
        }
        let origin = if shared { "all" } else { "vouched" };
        assert_eq!(
            refused(&service, by_everything("s")).await,
            by(name, origin)
        );
    }
}

#[tokio::test]
async fn send_05_the_sixth_start_of_each_origin_to_one_recipient_is_refused() {
    let service = Setup::default().quotas().start().await;
    for _ in 0..5 {
        service.start(anonymous("s")).await.unwrap();
    }
    let status = service.start(anonymous("s")).await.unwrap_err();
    assert_eq!(refused_by(&status), by("recipient", "anonymous"));
    assert_eq!(retry_after(&status), Some(Duration::from_secs(120)));
    assert!(
        status.message().contains("for anonymous starts"),
        "{}",
        status.message()
    );
    for _ in 0..5 {
        service.start(login("s")).await.unwrap();
    }
    assert_eq!(
        refused(&service, login("s")).await,
        by("recipient", "vouched")
    );
}

#[tokio::test]
async fn send_07_the_fourth_recipient_of_each_origin_of_one_subject_is_refused() {
    let service = Setup::default()
        .quota(Dimension::SubjectRecipients, 3, 86_400)
        .start()
        .await;
    let start =
        |origin: &str, n: u32| to("s", Channel::Email, &format!("{origin}-{n}@example.org"));
    for n in 0..3 {
        let stranger = by_stranger(start("anonymous", n));
        service.start(stranger).await.unwrap();
    }
    assert_eq!(
        refused(&service, by_stranger(start("anonymous", 3))).await,
        by("subject_recipients", "anonymous")
    );
    for n in 0..3 {
        service.start(start("vouched", n)).await.unwrap();
    }
    assert_eq!(
        refused(&service, start("vouched", 3)).await,
        by("subject_recipients", "vouched")
    );
}

#[tokio::test]
async fn send_14_a_resend_counts_for_the_origin_of_its_start() {
    let service = Setup::default()
        .quota(Dimension::Recipient, 2, 600)
        .start()
        .await;
    let resend = async |v: &str| {
        service.advance(30);
        service.try_resend(v, Channel::Email).await
    };
    let stranger = service.start(anonymous("s")).await.unwrap().verification_id;
    resend(&stranger).await.unwrap();
    let status = resend(&stranger).await.unwrap_err();
    assert_eq!(refused_by(&status), by("recipient", "anonymous"));
    let customer = service.start(login("s")).await.unwrap().verification_id;
    resend(&customer).await.expect("it has two of its own");
}

#[tokio::test]
async fn send_14_strangers_spend_half_of_a_budget() {
    let file = format!("[spend]\nhour = 1\nday = 10\n{COSTS}");
    let service = Setup::default().file(&file).start().await;
    let sms = || to(&unique("s"), Channel::Sms, "+31612345678");
    for _ in 0..2 {
        service.start(by_stranger(sms())).await.unwrap();
    }
    assert_eq!(
        refused(&service, by_stranger(sms())).await,
        by("spend_hour", "anonymous")
    );
    for _ in 0..2 {
        service.start(sms()).await.expect("the other half");
    }
    assert_eq!(refused(&service, sms()).await, by("spend_hour", "all"));
}

#[tokio::test]
async fn send_14_strangers_use_up_half_of_the_pumping_guards_budget_and_win_it_back() {
    let service = Setup::default()
        .with("GUARD__MODE", "enforce")
        .with("GUARD__RESERVE", "0")
        .start()
        .await;
    let sms = |n: u32| to(&unique("s"), Channel::Sms, &format!("+31612345{n:03}"));
    let mut ids = Vec::new();
    for n in 0..25 {
        let started = service.start(by_stranger(sms(n))).await.unwrap();
        ids.push(started.verification_id);
    }
    let status = service.start(by_stranger(sms(25))).await.unwrap_err();
    assert_eq!(reason(&status), "GUARD_REFUSED");
    assert_eq!(refused_by(&status), by("guard_prefix", "anonymous"));
    // A code that comes back frees six messages and two thirds of one, here and in the count of all.
    let code = service.code_of(&ids[0]).await;
    assert_eq!(service.check(&ids[0], &code).await, Verdict::Approved);
    for _ in 0..20 {
        service.pass(Duration::from_millis(1)).await;
    }
    for n in 0..6 {
        service.start(by_stranger(sms(100 + n))).await.unwrap();
    }
    let status = service.start(by_stranger(sms(200))).await.unwrap_err();
    assert_eq!(refused_by(&status), by("guard_prefix", "anonymous"));
    for n in 0..25 {
        service.start(sms(300 + n)).await.expect("the other half");
    }
    assert_eq!(refused(&service, sms(400)).await, by("guard_prefix", "all"));
    let page = get(service.reach.admin, "/metrics").await;
    let counted = "countersign_guard_refusals_total{dimension=\"guard_prefix\",origin=\"anonymous\",mode=\"enforce\"}";
    assert!(page.contains(counted), "{page}");
    let lines = service.audit().await;
    let mut details: Vec<_> = lines
        .iter()
        .filter(|line| line.what == "refused")
        .map(|line| line.details.get("origin").map(String::as_str))
        .collect();
    details.sort_unstable();
    assert_eq!(details, [None, Some("anonymous"), Some("anonymous")]);
}

#[tokio::test]
async fn send_14_what_a_recording_guard_would_refuse_strangers_counts_against_nobody() {
    let service = Setup::default()
        .with("GUARD__MODE", "record_only")
        .with("GUARD__RESERVE", "0")
        .start()
        .await;
    let sms = |n: u32| to(&unique("s"), Channel::Sms, &format!("+31612345{n:03}"));
    for n in 0..100 {
        service.start(by_stranger(sms(n))).await.unwrap();
    }
    let would_refuse = async || {
        let lines = service.audit().await;
        let lines = lines.iter().filter(|line| line.what == "would_refuse");
        let of = lines.map(|line| line.details.get("origin").cloned());
        of.collect::<Vec<_>>()
    };
    // As in the mode that refuses: half of the budget is theirs, and the other half is left.
    let of_strangers = would_refuse().await;
    assert!(of_strangers.len() >= 75);
    assert!(
        of_strangers
            .iter()
            .all(|origin| origin.as_deref() == Some("anonymous"))
    );
    for n in 0..25 {
        service.start(sms(300 + n)).await.unwrap();
    }
    assert_eq!(would_refuse().await, of_strangers);
    service.start(sms(400)).await.unwrap();
    assert!(would_refuse().await.len() > of_strangers.len());
}

#[tokio::test]
async fn send_14_an_anonymous_count_of_the_settings_takes_the_place_of_the_half() {
    let service = Setup::default()
        .quota(Dimension::Tenant, 4, 3600)
        .with("QUOTAS__TENANT__ANONYMOUS_COUNT", "1")
        .start()
        .await;
    let start = || to(&unique("s"), Channel::Email, "a@example.org");
    service.start(by_stranger(start())).await.unwrap();
    assert_eq!(
        refused(&service, by_stranger(start())).await,
        by("tenant", "anonymous")
    );
    for _ in 0..3 {
        service.start(start()).await.unwrap();
    }
    let page = get(service.reach.admin, "/metrics").await;
    assert!(
        page.contains(
            "countersign_quota_refusals_total{dimension=\"tenant\",origin=\"anonymous\"} 1"
        ),
        "{page}"
    );
}

#[tokio::test]
async fn send_14_decoys_use_up_what_anonymous_starts_of_known_customers_use_up() {
    let decoys = Setup::default().quotas().start().await;
    let decoy = |n: u32| StartVerificationRequest {
        decoy: true,
        ..anonymous(&format!("nobody-{n}"))
    };
    for n in 0..5 {
        decoys.start(decoy(n)).await.expect("however many subjects");
    }
    assert_eq!(
        refused(&decoys, decoy(5)).await,
        by("recipient", "anonymous"),
        "as a known customer's sixth start"
    );
    decoys
        .start(login("anna"))
        .await
        .expect("she is vouched for");
}

#[tokio::test]
async fn send_14_nothing_may_vouch_for_a_decoy() {
    let hash = hex::encode(api_key_hash("desk-key"));
    let file = format!(
        "[callers.desk]\ntenant = \"default\"\nroles = [\"agent\"]\napi_key_sha256 = \"{hash}\"\n"
    );
    let service = Setup::default().file(&file).start().await;
    let decoy = |request| StartVerificationRequest {
        decoy: true,
        ..request
    };
    let with_agent = by_stranger(by_everything("s"));
    for (request, named) in [
        (login("s"), "prior_acr"),
        (with_agent.clone(), "contact.agent_id"),
    ] {
        let status = service.start(decoy(request)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(fields(&status), ["decoy"]);
        assert!(status.message().contains(named), "{}", status.message());
    }
    let mut desk = service.client.clone();
    let start = decoy(StartVerificationRequest {
        locale: "no such locale".to_owned(),
        prior_acr: "password".to_owned(),
        ..with_agent
    });
    let status = desk
        .start_verification(with_key("desk-key", start))
        .await
        .unwrap_err();
    let mut all = fields(&status);
    all.sort();
    assert_eq!(all, ["decoy", "decoy", "decoy", "locale"], "all at once");
    let mut desk = service.client.clone();
    let plain = with_key("desk-key", decoy(anonymous("s")));
    let answer = desk.start_verification(plain).await;
    assert_eq!(
        shape(answer),
        (Code::InvalidArgument, "INVALID_FIELDS".to_owned())
    );
    service.start(decoy(anonymous("s"))).await.unwrap();
}
