//! What operators do: look at a subject, and unlock a customer who is locked out, by call and by command.

use countersign::{
    domain::caller::api_key_hash,
    pb::v1::{
        self, DisabledBy, Method, Verdict, VerificationStatus,
        admin_service_client::AdminServiceClient,
    },
};
use tonic::{Code, Status, transport::Channel};

use crate::harness::{
    Harness, Setup, anonymous,
    binary::{Process, binary},
    connect_channel, fields, login, shape, unique, with_key, wrong,
};

/// A caller with the role admin alone; its key is `ADMIN_KEY`.
const ADMIN_KEY: &str = "the key of the desk";

fn desk() -> String {
    let hash = hex::encode(api_key_hash(ADMIN_KEY));
    format!(
        "[callers.desk]\ntenant = \"default\"\nroles = [\"admin\"]\napi_key_sha256 = \"{hash}\"\n"
    )
}

async fn admin(service: &Harness) -> AdminServiceClient<Channel> {
    AdminServiceClient::new(connect_channel(&service.reach).await)
}

async fn show(service: &Harness, subject: &str) -> Result<v1::Subject, Status> {
    let request = v1::GetSubjectRequest {
        subject: subject.to_owned(),
    };
    let answer = admin(service)
        .await
        .get_subject(with_key(ADMIN_KEY, request))
        .await?;
    Ok(answer.into_inner().subject.expect("it is always set"))
}

fn unlock_request(subject: &str) -> v1::UnlockSubjectRequest {
    v1::UnlockSubjectRequest {
        subject: subject.to_owned(),
        reason: "passport seen at the counter, ticket 4711".to_owned(),
        ..Default::default()
    }
}

async fn unlock(
    service: &Harness,
    request: v1::UnlockSubjectRequest,
) -> Result<v1::Subject, Status> {
    let answer = admin(service)
        .await
        .unlock_subject(with_key(ADMIN_KEY, request))
        .await?;
    Ok(answer.into_inner().subject.expect("it is always set"))
}

/// Fails one guess after another, each in a verification of its own and after the longest wait, until codes are
/// disabled; returns their number.
async fn fail_until_disabled(
    service: &Harness,
    start: impl Fn() -> v1::StartVerificationRequest,
) -> u32 {
    for failures in 0.. {
        service.advance(4000);
        match service.start(start()).await {
            Ok(v) => {
                let code = service.code_of(&v.verification_id).await;
                let verdict = service.check(&v.verification_id, &wrong(&code)).await;
                assert_eq!(verdict, Verdict::Wrong, "failure {failures}");
            }
            Err(status) => {
                let disabled = (Code::FailedPrecondition, "METHOD_DISABLED".to_owned());
                assert_eq!(shape::<()>(Err(status)), disabled);
                return failures;
            }
        }
    }
    unreachable!("the loop ends only there")
}

#[tokio::test]
async fn guess_19_a_locked_subject_is_shown_and_unlocked_by_call_with_its_event() {
    let service = Setup::default().file(&desk()).start().await;
    let subject = unique("locked");
    assert_eq!(
        fail_until_disabled(&service, || anonymous(&subject)).await,
        25
    );
    let shown = show(&service, &subject).await.unwrap();
    assert_eq!(shown.subject, subject);
    assert_eq!((shown.failures_since_success, shown.failure_cap), (25, 100));
    let [anonymous_budget, vouched] = &shown.budgets[..] else {
        panic!("two origins: {:?}", shown.budgets);
    };
    assert_eq!(anonymous_budget.disabled_by(), DisabledBy::FailureLimit);
    assert_eq!(
        (anonymous_budget.failures, anonymous_budget.failure_limit),
        (25, 25)
    );
    assert_eq!(anonymous_budget.disabled_methods.len(), 5);
    assert!(
        anonymous_budget
            .disabled_methods()
            .any(|method| method == Method::SmsCode)
    );
    assert_eq!(
        (vouched.disabled_by(), vouched.failures),
        (DisabledBy::Unspecified, 0)
    );
    let operator = "j.jansen".to_owned();
    let request = v1::UnlockSubjectRequest {
        operator,
        ..unlock_request(&subject)
    };
    let after = unlock(&service, request).await.unwrap();
    assert_eq!(after.budgets[0].disabled_by(), DisabledBy::Unspecified);
    assert_eq!(
        (
            after.budgets[0].failures,
            after.budgets[0].failures_since_success
        ),
        (0, 25)
    );
    let (v, code) = service.start_and_read(anonymous(&subject)).await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
    let audit = service.audit().await;
    let unlocked: Vec<_> = audit
        .iter()
        .filter(|line| line.what == "unlocked")
        .collect();
    assert_eq!(unlocked.len(), 1);
    assert_eq!(unlocked[0].caller, "desk");
    assert_eq!(
        unlocked[0].details["reason"],
        "passport seen at the counter, ticket 4711"
    );
    assert_eq!(unlocked[0].details["operator"], "j.jansen");
    assert_eq!(unlocked[0].details["anonymous"], "25");
}

#[tokio::test]
async fn guess_06_unlocks_lift_the_limit_and_never_the_cap() {
    let service = Setup::default().file(&desk()).start().await;
    let subject = unique("often");
    let mut failures = 0;
    for unlocks in 0..4 {
        failures += fail_until_disabled(&service, || login(&subject)).await;
        let unlocked = shape(unlock(&service, unlock_request(&subject)).await);
        if unlocks < 3 {
            assert_eq!(unlocked.0, Code::Ok);
        } else {
            let refused = (Code::FailedPrecondition, "FAILURE_CAP_REACHED".to_owned());
            assert_eq!(unlocked, refused);
        }
    }
    assert_eq!(failures, 100);
    let shown = show(&service, &subject).await.unwrap();
    for budget in &shown.budgets {
        assert_eq!(budget.disabled_by(), DisabledBy::FailureCap);
    }
    assert_eq!(fail_until_disabled(&service, || login(&subject)).await, 0);
    assert_eq!(
        fail_until_disabled(&service, || anonymous(&subject)).await,
        0,
        "the cap is over both origins"
    );
}

#[tokio::test]
async fn guess_10_the_wait_stays_after_an_unlock_unless_the_operator_ends_it() {
    let service = Setup::default().file(&desk()).start().await;
    let subject = unique("waits");
    for _ in 0..4 {
        service.advance(4000);
        let (v, code) = service.start_and_read(login(&subject)).await;
        service.check(&v.verification_id, &wrong(&code)).await;
    }
    let waits = |subject: &v1::Subject| subject.budgets[1].next_attempt_at.is_some();
    let unlocked = unlock(&service, unlock_request(&subject)).await.unwrap();
    assert!(waits(&unlocked), "an unlock alone is about the limit");
    let request = v1::UnlockSubjectRequest {
        end_wait: true,
        ..unlock_request(&subject)
    };
    assert!(!waits(&unlock(&service, request).await.unwrap()));
    let (v, code) = service.start_and_read(login(&subject)).await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
}

#[tokio::test]
async fn guess_19_an_operator_sees_verifications_masked_and_only_of_the_own_tenant() {
    let other = format!(
        "{}[callers.elsewhere]\ntenant = \"other\"\nroles = [\"admin\"]\napi_key_sha256 = \"{}\"\n",
        desk(),
        hex::encode(api_key_hash("elsewhere"))
    );
    let service = Setup::default().file(&other).start().await;
    let subject = unique("seen");
    let first = service.start(login(&subject)).await.unwrap();
    service.advance(1);
    let second = service.start(anonymous(&subject)).await.unwrap();
    let shown = show(&service, &subject).await.unwrap();
    let ids: Vec<_> = shown
        .verifications
        .iter()
        .map(|v| v.verification_id.as_str())
        .collect();
    assert_eq!(ids, [&second.verification_id, &first.verification_id]);
    let v = &shown.verifications[1];
    assert_eq!(v.masked_recipient, "a•••@e•••.org");
    assert_eq!(
        (v.action.as_str(), v.caller.as_str()),
        ("login", "development")
    );
    assert_eq!(v.status(), VerificationStatus::Pending);
    assert_eq!(v.created_at, first.created_at);
    assert_eq!(v.attempts_left, 5);
    service.advance(3600);
    let later = show(&service, &subject).await.unwrap();
    assert!(
        later
            .verifications
            .iter()
            .all(|v| v.status() == VerificationStatus::Expired && v.closed_at.is_some())
    );
    let request = v1::GetSubjectRequest {
        subject: subject.clone(),
    };
    let answer = admin(&service)
        .await
        .get_subject(with_key("elsewhere", request))
        .await;
    let unknown = (Code::NotFound, "SUBJECT_NOT_FOUND".to_owned());
    assert_eq!(shape(answer), unknown);
    let answer = unlock(&service, unlock_request("nobody")).await;
    assert_eq!(shape(answer), unknown);
}

#[tokio::test]
async fn guess_19_every_wrong_field_of_an_unlock_is_named_at_once() {
    let service = Setup::default().file(&desk()).start().await;
    let request = v1::UnlockSubjectRequest {
        subject: String::new(),
        reason: "x".repeat(257),
        operator: "two words".to_owned(),
        end_wait: false,
    };
    let status = unlock(&service, request).await.err().unwrap();
    assert_eq!(fields(&status), ["subject", "reason", "operator"]);
    let request = v1::UnlockSubjectRequest {
        reason: " ".to_owned(),
        ..unlock_request("customer")
    };
    let status = unlock(&service, request).await.err().unwrap();
    assert_eq!(fields(&status), ["reason"]);
}

/// Runs the command against a process; returns its exit code, standard output and standard error.
fn run(process: &Process, arguments: &[&str]) -> (i32, String, String) {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&key, &process.key).unwrap();
    let address = format!("http://{}", process.grpc);
    let output = binary()
        .args(arguments)
        .args(["--address", &address, "--key-file"])
        .arg(key.path())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn guess_19_a_locked_subject_is_unlocked_by_command() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("SUBJECT__FAILURE_LIMIT", "1"), ("STORE__URL", "embedded:")];
    let process = Process::start(dir.path(), &settings);
    let mut client = process.client().await;
    let subject = unique("terminal");
    let (code, _, told) = run(&process, &["subject", "show", &subject]);
    assert_eq!(code, 1);
    assert!(
        told.starts_with("countersign: SUBJECT_NOT_FOUND: "),
        "{told}"
    );
    let started = client
        .start_verification(with_key(&process.key, login(&subject)))
        .await
        .unwrap()
        .into_inner();
    let id = started.verification.unwrap().verification_id;
    // One of the two is wrong.
    for guess in ["000000", "000001"] {
        let check = crate::harness::check_request(&id, guess, &unique("attempt"));
        if client
            .check_code(with_key(&process.key, check))
            .await
            .is_err()
        {
            break;
        }
    }
    let (code, shown, _) = run(&process, &["subject", "show", &subject]);
    assert_eq!(code, 0);
    assert!(
        shown.contains("vouched    1 of 1 failures, codes DISABLED by the failure limit"),
        "{shown}"
    );
    let (code, _, told) = run(&process, &["subject", "unlock", &subject]);
    assert_eq!(code, 2, "a reason is required: {told}");
    let unlock = ["subject", "unlock", &subject, "--reason", "ticket 4711"];
    let (code, shown, _) = run(&process, &unlock);
    assert_eq!(code, 0);
    assert!(
        shown.starts_with("unlocked\n")
            && shown.contains("vouched    0 of 1 failures, codes enabled"),
        "{shown}"
    );
    let (code, json, _) = run(&process, &["subject", "show", &subject, "--json"]);
    assert_eq!(code, 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["budgets"][1]["disabled_by"], "DISABLED_BY_UNSPECIFIED");
    process.kill();
}

#[test]
fn guess_19_a_command_that_reaches_no_service_says_so() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&key, "key").unwrap();
    let show = |address: &str| {
        let mut command = binary();
        command
            .args(["subject", "show", "x", "--address", address, "--key-file"])
            .arg(key.path());
        let output = command.output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, told) = show("http://127.0.0.1:1");
    assert_eq!(code, 1);
    assert!(
        told.starts_with("countersign: cannot reach the service at http://127.0.0.1:1: "),
        "{told}"
    );
    let (code, told) = show("http://192.0.2.1:50051");
    assert_eq!(code, 2);
    assert!(told.contains("--address"), "{told}");
}
