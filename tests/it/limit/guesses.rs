//! One guess on each of many subjects: counted per caller and tenant, an alarm, then a slow-down.

use std::{sync::Arc, time::Duration};

use countersign::{
    app::Machine,
    domain::caller::api_key_hash,
    pb::v1::{self, Verdict},
    ports::store::Store,
    store::embedded::memory::Memory,
    system::SystemEntropy,
};
use tonic::{Code, Status};

use crate::harness::{
    Harness, PATIENCE, Setup, anonymous, check_request, http::get, login, reason, retry_after,
    scaled, unique, with_key, wrong,
};

/// The subjects of the attack, each with one guess; the requirement speaks of a million.
const SUBJECTS: usize = scaled(300, 100_000);
/// The alarm of the default settings, in failures an hour.
const ALARM: usize = 100;
/// The failures that may still be judged before the alarm reaches every process.
const LATE: usize = 50;
/// The slow-down of the default settings.
const SLOW_DOWN: Duration = Duration::from_secs(10);

/// Two more callers of the tenant; the key of each is its name.
fn callers() -> String {
    ["attacked", "beside"]
        .map(|name| {
            let hash = hex::encode(api_key_hash(name));
            format!(
                "[callers.{name}]\ntenant = \"default\"\nroles = [\"frontend\"]\napi_key_sha256 = \"{hash}\"\n"
            )
        })
        .concat()
}

/// The settings that a user has, as far as they are about guesses.
fn setup() -> Setup {
    Setup::default()
        .file(&callers())
        .with("GUESSES__ALARM_FAILURES_PER_H", &ALARM.to_string())
}

/// Starts a verification of a new subject and gives one wrong guess, both by this caller.
async fn one_guess(
    service: &Harness,
    caller: &str,
    start: v1::StartVerificationRequest,
) -> Result<Verdict, Status> {
    let mut client = service.client.clone();
    let started = client.start_verification(with_key(caller, start)).await;
    let id = started.unwrap().into_inner().verification.unwrap();
    let code = service.code_of(&id.verification_id).await;
    let guess = check_request(&id.verification_id, &wrong(&code), &unique("attempt"));
    let answer = client.check_code(with_key(caller, guess)).await?;
    Ok(answer.into_inner().verdict())
}

/// One guess on each of many subjects; returns how many were judged, and the refusals of the others.
async fn attack(service: &Harness, caller: &str, subjects: usize) -> (usize, Vec<Status>) {
    let (mut judged, mut refused) = (0, Vec::new());
    for _ in 0..subjects {
        match one_guess(service, caller, anonymous(&unique("victim"))).await {
            Ok(verdict) => {
                assert_eq!(verdict, Verdict::Wrong);
                judged += 1;
            }
            Err(status) => refused.push(status),
        }
    }
    (judged, refused)
}

/// Waits until this process has heard of the alarm: until a guess is refused. Returns the refusal.
async fn slowed(service: &Harness, caller: &str) -> Status {
    let find = async {
        loop {
            if let Err(status) = one_guess(service, caller, anonymous(&unique("victim"))).await {
                return status;
            }
        }
    };
    tokio::time::timeout(PATIENCE, find)
        .await
        .expect("the alarm comes")
}

fn is_slowed(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted && reason(status) == "GUESSES_SLOWED"
}

#[tokio::test(flavor = "multi_thread")]
async fn guess_14_one_guess_on_each_of_many_subjects_is_noticed_and_slowed_down() {
    let service = setup().start().await;
    let (judged, refused) = attack(&service, "attacked", SUBJECTS).await;
    assert!(
        (ALARM..=ALARM + LATE).contains(&judged),
        "{judged} of {SUBJECTS} guesses were judged"
    );
    for status in &refused {
        assert!(is_slowed(status), "{status:?}");
        assert!(retry_after(status).is_some_and(|wait| wait <= SLOW_DOWN));
    }
    let audit = service.audit().await;
    let alarms: Vec<_> = audit
        .iter()
        .filter(|line| line.what == "many_failures")
        .collect();
    assert_eq!(alarms.len(), 2, "of the caller and of its tenant");
    let of_caller = alarms
        .iter()
        .find(|line| line.details["scope"] == "caller")
        .expect("one names the caller");
    assert_eq!(of_caller.caller, "attacked");
    assert_eq!(of_caller.tenant, "default");
    assert_eq!(of_caller.details["mean"], "0");
    assert!(of_caller.details["failures"].parse::<usize>().unwrap() >= ALARM);
    let metrics = get(service.reach.admin, "/metrics").await;
    for line in [
        "countersign_guess_alarms_total{scope=\"caller\"}",
        "countersign_guess_alarms_total{scope=\"tenant\"}",
        "countersign_guess_alarms ",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    let reasons = "countersign_refusals_total{caller=\"attacked\",reason=\"GUESSES_SLOWED\"}";
    assert!(metrics.contains(reasons));

    // One guess in ten seconds.
    service.advance(SLOW_DOWN.as_secs());
    assert_eq!(attack(&service, "attacked", 5).await.0, 1);
    // Whoever is vouched for, and other callers of the tenant, notice nothing.
    for _ in 0..5 {
        let vouched = one_guess(&service, "attacked", login(&unique("customer"))).await;
        assert_eq!(vouched.unwrap(), Verdict::Wrong);
        let beside = one_guess(&service, "beside", anonymous(&unique("customer"))).await;
        assert_eq!(beside.unwrap(), Verdict::Wrong);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guess_14_what_is_refused_anyway_uses_up_no_slow_guess_and_slowed_guesses_are_events() {
    let service = setup().start().await;
    let strangers = service.start(anonymous("stranger")).await.unwrap();
    let code = service.code_of(&strangers.verification_id).await;
    let guess = async |code: &str| {
        service
            .try_check(&strangers.verification_id, code, &unique("attempt"))
            .await
    };
    attack(&service, &service.key, ALARM).await;
    slowed(&service, &service.key).await;
    service.advance(SLOW_DOWN.as_secs());
    // More digits than the codes of this action have.
    for _ in 0..5 {
        assert_eq!(
            reason(&guess("12345678").await.unwrap_err()),
            "CODE_MALFORMED"
        );
    }
    let judged = one_guess(&service, &service.key, anonymous("customer")).await;
    assert_eq!(judged.unwrap(), Verdict::Wrong, "the slow guess is left");
    assert!(is_slowed(&guess(&wrong(&code)).await.unwrap_err()));
    let lines = service.audit().await;
    let told = lines
        .iter()
        .any(|line| line.what == "refused" && line.details["reason"] == "GUESSES_SLOWED");
    assert!(told, "a refusal is in the trail");
}

#[tokio::test(flavor = "multi_thread")]
async fn guess_14_the_slow_down_ends_and_repeats_are_never_slowed() {
    let service = setup().start().await;
    let first = service.start(anonymous(&unique("victim"))).await.unwrap();
    let code = service.code_of(&first.verification_id).await;
    let repeat = async || {
        let guess = wrong(&code);
        let answer = service
            .try_check(&first.verification_id, &guess, "repeated")
            .await;
        answer.map(|answer| answer.verdict())
    };
    assert_eq!(repeat().await.unwrap(), Verdict::Wrong);
    for _ in 0..2 * ALARM {
        assert_eq!(
            repeat().await.unwrap(),
            Verdict::Wrong,
            "a repeat counts once"
        );
    }
    let (judged, _) = attack(&service, &service.key, ALARM - 2).await;
    assert_eq!(judged, ALARM - 2, "99 failures are no alarm");
    let refused = slowed(&service, &service.key).await;
    assert!(is_slowed(&refused), "{refused:?}");
    assert_eq!(repeat().await.unwrap(), Verdict::Wrong);
    // An hour after the last failure that was too many.
    service.advance(2 * 3600 + 1);
    let (judged, refused) = attack(&service, &service.key, 20).await;
    assert_eq!((judged, refused.len()), (20, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn guess_14_the_failures_of_all_processes_add_up() {
    let setup = setup();
    let store: Arc<dyn Store> =
        Arc::new(Memory::new(setup.clock.clone(), &SystemEntropy::default()));
    let machine = || Machine {
        clock: setup.clock.clone(),
        store: Some(store.clone()),
        ..Machine::default()
    };
    let services = [
        setup.start_on(machine()).await,
        setup.start_on(machine()).await,
    ];
    let each = ALARM * 6 / 10;
    assert_eq!(attack(&services[0], "attacked", each).await.0, each);
    let (judged, _) = attack(&services[1], "attacked", each).await;
    assert!(
        judged >= ALARM - each,
        "only {judged}, before there were a hundred"
    );
    for service in &services {
        assert!(is_slowed(&slowed(service, "attacked").await));
    }
    let alarms = services[0].audit().await;
    let of_caller = |line: &&countersign::service::record::vault::Line| {
        line.what == "many_failures" && line.details["scope"] == "caller"
    };
    assert_eq!(alarms.iter().filter(of_caller).count(), 1, "told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn guess_14_without_a_slow_down_there_is_still_the_alarm() {
    let service = setup().with("GUESSES__SLOW_DOWN_S", "0").start().await;
    let (judged, refused) = attack(&service, "attacked", 2 * ALARM).await;
    assert_eq!((judged, refused.len()), (2 * ALARM, 0));
    let alarmed = async {
        while !service
            .audit()
            .await
            .iter()
            .any(|line| line.what == "many_failures")
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, alarmed)
        .await
        .expect("the alarm comes");
}
