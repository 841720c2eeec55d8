//! The real binary as a process: settings, signals, kill -9, and what other users of the machine can see of it.

use std::{
    path::Path,
    process::{Command, Output},
};

use countersign::pb::v1::{self, Verdict, verification_service_client::VerificationServiceClient};
use tonic::{Code, Request, transport::Channel};

use crate::{
    harness::http::get,
    harness::{
        PATIENCE,
        binary::{Process, binary, borrowed, mail_settings},
        check_request, login, scaled,
        sink::{Pace, Sink, code, header},
        unique, with_key, wrong,
    },
};

/// The number of kills.
const KILLS: usize = scaled(10, 1000);

async fn start(process: &Process, subject: &str) -> String {
    let answer = process
        .client()
        .await
        .start_verification(with_key(&process.key, login(subject)))
        .await
        .unwrap();
    answer.into_inner().verification.unwrap().verification_id
}

async fn check(process: &Process, id: &str, code: &str, attempt: &str) -> v1::CheckCodeResponse {
    let request = with_key(&process.key, check_request(id, code, attempt));
    process
        .client()
        .await
        .check_code(request)
        .await
        .unwrap()
        .into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn rf19_killed_between_commit_and_send_the_message_goes_out_after_the_restart() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), Sink::start().await);
    let settings = mail_settings(&sink);
    sink.set(Pace::Silent);
    let process = Process::start(dir.path(), &borrowed(&settings));
    let id = start(&process, "s").await;
    process.kill();
    assert!(sink.mails().is_empty());

    sink.set(Pace::Prompt);
    let process = Process::start(dir.path(), &borrowed(&settings));
    let mails = sink.wait_for(1).await;
    assert_eq!(
        check(&process, &id, &code(&mails[0]), "a").await.verdict(),
        Verdict::Approved
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rf19_killed_between_send_and_report_there_is_at_most_one_duplicate_with_the_same_code() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), Sink::start().await);
    let settings = mail_settings(&sink);
    sink.set(Pace::WithholdReply);
    let process = Process::start(dir.path(), &borrowed(&settings));
    let id = start(&process, "s").await;
    sink.wait_for(1).await;
    process.kill();

    sink.set(Pace::Prompt);
    let process = Process::start(dir.path(), &borrowed(&settings));
    let mails = sink.wait_for(2).await;
    assert_eq!(code(&mails[0]), code(&mails[1]));
    assert_eq!(
        header(&mails[0], "Message-ID"),
        header(&mails[1], "Message-ID"),
        "the idempotency id"
    );
    assert_eq!(
        check(&process, &id, &code(&mails[1]), "a").await.verdict(),
        Verdict::Approved
    );
    assert_eq!(sink.mails().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rf19_a_loop_of_kills_loses_nothing_and_never_changes_a_code() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), Sink::start().await);
    let settings = mail_settings(&sink);
    let mut started: Vec<String> = Vec::new();
    let mut judged: Vec<(String, String, String, u32)> = Vec::new();
    for round in 0..KILLS {
        let process = Process::start(dir.path(), &borrowed(&settings));
        for (id, guess, attempt, left) in &judged {
            let again = check(&process, id, guess, attempt).await;
            assert_eq!(
                again.attempts_left, *left,
                "round {round}: a verdict that left is committed"
            );
        }
        judged.clear();
        for n in 0..4 {
            started.push(start(&process, &format!("s-{round}-{n}")).await);
        }
        let id = started.last().unwrap().clone();
        // The right code is not known without the mail; with a probability of one in a million, this is it.
        let answer = check(&process, &id, "271828", "guess").await;
        judged.push((
            id,
            "271828".to_owned(),
            "guess".to_owned(),
            answer.attempts_left,
        ));
        process.kill();
    }
    let process = Process::start(dir.path(), &borrowed(&settings));
    let mut codes = std::collections::HashMap::new();
    let mut client = process.client().await;
    let all_sent = async {
        for id in &started {
            let request = v1::WatchVerificationRequest {
                verification_id: id.clone(),
            };
            let mut stream = client
                .watch_verification(with_key(&process.key, request))
                .await
                .unwrap()
                .into_inner();
            while let Some(seen) = stream.message().await.unwrap() {
                let v = seen.verification.unwrap();
                if v.deliveries[0].status() == v1::DeliveryStatus::Sent {
                    codes.insert(v.deliveries[0].delivery_id.clone(), id.clone());
                    break;
                }
            }
        }
    };
    tokio::time::timeout(2 * PATIENCE, all_sent)
        .await
        .expect("every message goes out");
    let mails = sink.mails();
    assert!(
        mails.len() <= started.len() + 4 * KILLS,
        "at most one duplicate for each hand-over that a kill cut"
    );
    let mut seen = std::collections::HashMap::new();
    for mail in &mails {
        let delivery = header(mail, "Message-ID");
        let first = seen.entry(delivery.clone()).or_insert_with(|| code(mail));
        assert_eq!(*first, code(mail), "{delivery} has one code");
    }
    assert_eq!(seen.len(), started.len(), "nothing is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn net_06_running_out_of_files_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[]);
    // Limits open files to 64 now, so that the files that are open stay open.
    let (id, limit) = (process.id().to_string(), "--nofile=64:64");
    assert!(
        Command::new("prlimit")
            .args(["--pid", &id, limit])
            .status()
            .unwrap()
            .success()
    );
    let mut flood = Vec::new();
    for _ in 0..200 {
        flood.push(tokio::net::TcpStream::connect(&process.grpc).await.unwrap());
    }
    let log = || std::fs::read_to_string(dir.path().join("log")).unwrap();
    let seen = async {
        while !log().contains("connection not accepted") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, seen)
        .await
        .expect("the limit was met");
    drop(flood);
    start(&process, "after the flood").await;
}

#[test]
fn net_14_sigterm_drains_and_ends_well() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[]);
    assert_eq!(process.terminate(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn net_14_after_sigterm_calls_are_taken_for_the_lame_duck_time_and_a_second_one_ends_at_once()
{
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[("GRPC__LAME_DUCK_MS", "60000")]);
    let admin = process.admin.parse().unwrap();
    assert!(get(admin, "/readyz").await.starts_with("HTTP/1.1 200"));
    process.signal("TERM");
    let not_ready = async { while !get(admin, "/readyz").await.starts_with("HTTP/1.1 503") {} };
    tokio::time::timeout(PATIENCE, not_ready)
        .await
        .expect("it says that it is not ready");
    start(&process, "on a new connection").await;
    assert_eq!(process.terminate(), 0);
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains("second signal"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_is_told_and_does_not_kill() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[]);
    process.signal("HUP");
    let log = || std::fs::read_to_string(dir.path().join("log")).unwrap();
    let told = async {
        while !log().contains("SIGHUP ignored: changed settings need a restart") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, told)
        .await
        .expect("it is told");
    start(&process, "after the signal").await;
}

#[test]
fn a_log_level_that_is_none_is_reported_with_those_that_are() {
    let output = binary()
        .env("COUNTERSIGN__LOG__LEVEL", "verbose")
        .arg("check-config")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let report = String::from_utf8(output.stderr).unwrap();
    assert!(
        report.contains("log.level: is \"verbose\"; it must be one of"),
        "{report}"
    );
    assert!(
        report.contains("off, error, warn, info, debug, trace"),
        "{report}"
    );
}

#[test]
fn bind_12_check_config_warns_of_what_customers_read_without_words_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.toml");
    let settings = "[actions.change_zq]\nbinding = [\"amount\", \"zq_tier\"]\ntitle = { en = \"your tier\", nl = \"uw niveau\" }\n";
    std::fs::write(&file, settings).unwrap();
    let output = binary()
        .arg("check-config")
        .arg("--config")
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    let warnings: Vec<_> = told
        .lines()
        .filter(|line| line.starts_with("warning: "))
        .collect();
    assert_eq!(
        warnings,
        [
            "warning: actions.change_zq.title: has no text in de, es, fr, so customers read only \"Ihr Anliegen\" there; set one for each language",
            "warning: labels.zq_tier: has no text in de, en, es, fr, nl, so customers read only \"Angabe\" there; set one for each language",
        ]
    );
}

#[test]
fn a_caller_that_may_call_nothing_is_warned_of_by_check_config_and_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.toml");
    let caller = |name: &str, roles: &str| {
        let hash = hex::encode(countersign::domain::caller::api_key_hash(name));
        format!(
            "[callers.{name}]\ntenant = \"bank\"\nroles = [{roles}]\napi_key_sha256 = \"{hash}\"\n"
        )
    };
    let text = caller("reports", "\"executor\"") + &caller("desk", "\"agent\", \"executor\"");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let mut command = binary();
    command.env("COUNTERSIGN__DATA_DIR", dir.path().join("data"));
    let output = command.args(["check-config", "--config", file]).output();
    let output = output.unwrap();
    let report = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{report}");
    let warning = "callers.reports.roles: executor allows no call in this version";
    assert!(report.contains(warning), "{report}");
    assert!(!report.contains("callers.desk"), "{report}");
    drop(Process::start_with(dir.path(), &[], &["--config", file]));
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains("questionable setting"), "{log}");
    assert!(log.contains("callers.reports.roles"), "{log}");
}

/// What the outbox of a service has of a verification.
async fn letter(process: &Process, id: &str) -> serde_json::Value {
    let found = async {
        loop {
            let page = get(process.http.parse().unwrap(), "/dev/outbox").await;
            let (_, body) = page.split_once("\r\n\r\n").unwrap();
            let all: Vec<serde_json::Value> = serde_json::from_str(body).unwrap();
            if let Some(one) = all.into_iter().find(|one| one["verification_id"] == id) {
                return one;
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    found.expect("the message was handed over")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_finds_the_code_of_its_first_approval() {
    let guide = include_str!("../../../deploy/guide/production.md");
    let command = guide
        .lines()
        .find_map(|line| line.trim().strip_prefix("CODE=$(")?.strip_suffix(')'))
        .expect("step 8 has it");
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[]);
    let id = start(&process, "customer-1").await;
    let letter = letter(&process, &id).await;
    // As deploy/plugins/file_sender.py writes it.
    let line = serde_json::json!({"address": "customer-1@example.org", "text": letter["text"]});
    let file = dir.path().join("messages.jsonl");
    std::fs::write(&file, format!("{line}\n")).unwrap();
    let command = command.replace(
        "/opt/countersign-trial/messages.jsonl",
        file.to_str().unwrap(),
    );
    let found = Command::new("sh")
        .args(["-c", &command, "sh", "customer-1"])
        .output()
        .unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    assert_eq!(found.trim(), letter["code"].as_str().unwrap(), "{line}");
}

#[test]
fn conf_01_all_mistakes_are_reported_at_once_with_exit_code_two() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("broken.toml");
    std::fs::write(
        &file,
        "profil = \"x\"\n[grpc]\nlisten = \"nowhere\"\nmax_streams = 0\n[store]\nurl = \"mysql://x\"\n[subject]\nfailure_limit = 51\n\
         [actions.a]\ncode_digits = 5\ncode_lifetime_s = 601\nattempts = 6\nchannels = [\"pigeon\"]\n[routes.email]\nsenders = [\"nobody\"]\n",
    )
    .unwrap();
    for command in [vec!["check-config"], vec![]] {
        let output: Output = binary()
            .args(command)
            .arg("--config")
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let report = String::from_utf8(output.stderr).unwrap();
        for key in [
            "profil",
            "grpc.listen",
            "grpc.max_streams",
            "store.url",
            "subject.failure_limit",
            "actions.a.code_digits",
            "actions.a.code_lifetime_s",
            "actions.a.attempts",
            "actions.a.channels",
            "routes.email.senders",
        ] {
            assert!(report.contains(key), "{key} is missing in:\n{report}");
        }
    }
}

#[test]
fn conf_01_all_files_that_cannot_be_used_are_reported_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = production(dir.path(), "a-real-key");
    std::fs::write(dir.path().join("keys/k1.key"), "00".repeat(32)).unwrap();
    let nowhere = dir.path().join("nowhere").display().to_string();
    let mut command = binary();
    for (key, value) in [
        ("GRPC__TLS_CERT_FILE", nowhere.as_str()),
        ("GRPC__TLS_KEY_FILE", &nowhere),
        ("MESSAGES__TEMPLATES_DIR", &nowhere),
        ("SENDERS__MAIL__FROM", "nobody"),
    ] {
        command.env(format!("COUNTERSIGN__{key}"), value);
    }
    let output = command
        .args(["check-config", "--config", &file])
        .output()
        .unwrap();
    let report = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{report}");
    for key in [
        "5 mistakes in the settings:",
        "keys.ring.0.file: ",
        "sample key",
        "grpc.tls_cert_file: ",
        "grpc.tls_key_file: ",
        "messages.templates_dir: ",
        "senders.mail.from: ",
    ] {
        assert!(report.contains(key), "{key} is missing in:\n{report}");
    }
}

#[test]
fn chan_08_and_hook_03_production_refuses_providers_that_are_open_or_inner() {
    let dir = tempfile::tempdir().unwrap();
    let file = production(dir.path(), "a-real-key");
    let mut text = std::fs::read_to_string(&file).unwrap();
    let sender = |name: &str, url: &str| {
        let json = "json = '{\"to\": \"{{ address }}\", \"text\": \"{{ text }}\"}'";
        format!(
            "\n[senders.{name}]\nkind = \"http\"\nchannels = [\"sms\"]\nurl = \"{url}\"\n{json}\n"
        )
    };
    text.push_str(&sender("open", "http://api.example.org/send"));
    text.push_str(&sender("inner", "https://169.254.169.254/send"));
    text.push_str(&sender(
        "secret",
        "https://api.example.org/send?text={{ text }}",
    ));
    text.push_str(
        "[senders.hook]\nkind = \"webhook\"\nchannels = [\"sms\"]\nurl = \"http://h.example/\"\nsecret_files = [\"/nowhere\"]\n",
    );
    text.push_str("[senders.plugin]\nkind = \"plugin\"\nchannels = [\"sms\"]\naddress = \"http://10.0.0.5:1\"\n");
    text.push_str(&sender("good", "https://api.example.org/send"));
    std::fs::write(&file, text).unwrap();
    let output = binary()
        .args(["check-config", "--config", &file])
        .output()
        .unwrap();
    let report = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{report}");
    for sender in [
        "open.url: \"http://api.example.org/send\" must begin with https://",
        "inner.url: ",
        "secret.url: ",
        "hook.secret_files: ",
        "plugin.address: ",
    ] {
        assert!(
            report.contains(&format!("senders.{sender}")),
            "{sender} is missing in:\n{report}"
        );
    }
    assert!(
        !report.contains("senders.good") && !report.contains("senders.mail"),
        "{report}"
    );
}

#[test]
fn a_certificate_and_a_key_that_do_not_belong_together_are_refused_before_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let [own, other] =
        [0, 1].map(|_| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
    let (cert, key, empty) = (
        dir.path().join("cert.pem"),
        dir.path().join("key.pem"),
        dir.path().join("empty.pem"),
    );
    std::fs::write(&cert, own.cert.pem()).unwrap();
    std::fs::write(&empty, "no PEM\n").unwrap();
    let report = |cert: &Path, key: &Path| {
        let output = binary()
            .env("COUNTERSIGN__DATA_DIR", dir.path().join("data"))
            .env("COUNTERSIGN__GRPC__TLS_CERT_FILE", cert)
            .env("COUNTERSIGN__GRPC__TLS_KEY_FILE", key)
            .arg("check-config")
            .output()
            .unwrap();
        let report = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), report)
    };
    let write_key = |pem: String| std::fs::write(&key, pem).unwrap();
    write_key(other.signing_key.serialize_pem());
    for (cert, key, told) in [
        (
            &cert,
            &key,
            "grpc.tls_key_file: the key and the certificate of tls_cert_file cannot be used together",
        ),
        (
            &cert,
            &empty,
            "grpc.tls_key_file: the file holds no usable private key",
        ),
        (
            &empty,
            &key,
            "grpc.tls_cert_file: the file holds no usable certificate",
        ),
    ] {
        let (code, report) = report(cert, key);
        assert_eq!(code, Some(2), "{report}");
        assert!(report.contains(told), "{report}");
    }
    write_key(own.signing_key.serialize_pem());
    let (code, report) = report(&cert, &key);
    assert_eq!(code, Some(0), "{report}");
}

#[test]
fn certificates_of_the_store_that_cannot_be_used_are_refused_before_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let [own, other] =
        [0, 1].map(|_| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (cert, key) = (
        file("cert.pem", &own.cert.pem()),
        file("key.pem", &own.signing_key.serialize_pem()),
    );
    let foreign = file("other.pem", &other.signing_key.serialize_pem());
    let empty = file("empty.pem", "no PEM\n");
    let report = |ca: &Path, cert: &Path, key: &Path| {
        let output = binary()
            .env("COUNTERSIGN__STORE__URL", "rediss://localhost")
            .env("COUNTERSIGN__STORE__CA_FILE", ca)
            .env("COUNTERSIGN__STORE__CLIENT_CERT_FILE", cert)
            .env("COUNTERSIGN__STORE__CLIENT_KEY_FILE", key)
            .arg("check-config")
            .output()
            .unwrap();
        let report = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), report)
    };
    for (files, told) in [
        (
            [&cert, &cert, &foreign],
            "store.client_key_file: the key and",
        ),
        ([&cert, &cert, &empty], "store.client_key_file: the file"),
        ([&cert, &empty, &key], "store.client_cert_file: the file"),
        ([&empty, &cert, &key], "store.ca_file: the file"),
    ] {
        let (code, report) = report(files[0], files[1], files[2]);
        assert_eq!(code, Some(2), "{report}");
        assert!(report.contains(told), "{report}");
    }
    let (code, report) = report(&cert, &cert, &key);
    assert_eq!(code, Some(0), "{report}");
}

#[test]
fn code_05_a_life_above_the_cap_is_refused_by_name() {
    let output = binary()
        .env("COUNTERSIGN__ACTIONS__LOGIN__CODE_LIFETIME_S", "601")
        .arg("check-config")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("actions.login.code_lifetime_s")
    );
}

/// Key files, a caller, and settings as in production; plaintext on loopback.
pub fn production(dir: &Path, api_key: &str) -> String {
    let made = binary()
        .args(["keys", "generate", "--kid", "k1", "--out"])
        .arg(dir.join("keys"))
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let hash = hex::encode(countersign::domain::caller::api_key_hash(api_key));
    let file = dir.join("production.toml");
    let keys = dir.join("keys").display().to_string();
    let text = format!(
        "profile = \"production\"\n[keys]\nnames_file = \"{keys}/names.key\"\nring = [{{ kid = \"k1\", file = \"{keys}/k1.key\" }}]\n\
         [callers.payments]\ntenant = \"bank\"\nroles = [\"frontend\"]\napi_key_sha256 = \"{hash}\"\n\
         [senders.mail]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = 9\ntls = \"none\"\nfrom = \"noreply@example.org\"\n\
         [routes.email]\nsenders = [\"mail\"]\n[actions.login]\n"
    );
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn conf_02_production_has_nothing_of_development() {
    let dir = tempfile::tempdir().unwrap();
    let file = production(dir.path(), "a-real-key");
    let process = Process::start_with(dir.path(), &[], &["--config", &file]);
    for path in ["/dev", "/dev/", "/dev/outbox"] {
        assert!(
            get(process.http.parse().unwrap(), path)
                .await
                .starts_with("HTTP/1.1 404"),
            "{path}"
        );
    }
    assert!(!dir.path().join("data/development.key").exists());
    let channel = Channel::from_shared(format!("http://{}", process.grpc))
        .unwrap()
        .connect()
        .await
        .unwrap();
    // NET-07: the callers' listener serves neither reflection nor health, whatever the credential.
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let mut reflection =
        tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(
            channel.clone(),
        );
    let check = tonic_health::pb::HealthCheckRequest::default();
    let ask = tonic_reflection::pb::v1::ServerReflectionRequest::default();
    for (key, code) in [
        (None, Code::Unauthenticated),
        (Some("a-real-key"), Code::PermissionDenied),
    ] {
        let mut requests = (
            Request::new(check.clone()),
            Request::new(tokio_stream::iter([ask.clone()])),
        );
        if let Some(key) = key {
            requests = (
                with_key(key, check.clone()),
                with_key(key, tokio_stream::iter([ask.clone()])),
            );
        }
        let checked = health.check(requests.0).await.unwrap_err();
        let listed = reflection.server_reflection_info(requests.1).await;
        assert_eq!((checked.code(), listed.unwrap_err().code()), (code, code));
    }
    let started = VerificationServiceClient::new(channel)
        .start_verification(with_key("a-real-key", login("s")))
        .await;
    assert_eq!(
        started.unwrap().into_inner().verification.unwrap().status(),
        v1::VerificationStatus::Pending
    );
}

#[test]
fn seal_05_no_key_is_in_the_environment_or_the_arguments() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[]);
    let mut secrets = vec![process.key.clone()];
    for file in ["names.key", "dev.key"] {
        secrets.push(
            std::fs::read_to_string(dir.path().join("data/keys").join(file))
                .unwrap()
                .trim()
                .to_owned(),
        );
    }
    assert!(secrets.iter().all(|secret| secret.len() >= 32));
    for file in ["environ", "cmdline"] {
        let seen = std::fs::read(format!("/proc/{}/{file}", process.id())).unwrap();
        let seen = String::from_utf8_lossy(&seen);
        assert!(
            secrets.iter().all(|secret| !seen.contains(secret.as_str())),
            "{file}"
        );
    }
}

#[test]
fn the_demo_plays_to_its_end() {
    let output = binary().arg("demo").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let verdicts = ["Wrong", "Wrong", "Approved", "Closed"];
    let places: Vec<_> = said
        .lines()
        .filter(|line| {
            verdicts
                .iter()
                .any(|verdict| line.contains(&format!("-> {verdict}")))
        })
        .collect();
    assert_eq!(places.len(), 4, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_never_share_a_database_file() {
    let dir = tempfile::tempdir().unwrap();
    let first = Process::start(dir.path(), &[]);
    let mut command = binary();
    for listener in ["GRPC", "HTTP", "ADMIN"] {
        command.env(format!("COUNTERSIGN__{listener}__LISTEN"), "127.0.0.1:0");
    }
    let second = command
        .env("COUNTERSIGN__DATA_DIR", dir.path().join("data"))
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&second.stderr).contains("another process"),
        "{second:?}"
    );
    assert!(
        get(first.admin.parse().unwrap(), "/readyz")
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_mail_brings_a_real_code() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), Sink::start().await);
    let process = Process::start(dir.path(), &borrowed(&mail_settings(&sink)));
    let id = start(&process, "s").await;
    let mails = sink.wait_for(1).await;
    let code = code(&mails[0]);
    let answer = check(&process, &id, &wrong(&code), &unique("a")).await;
    assert_eq!(
        (answer.verdict(), answer.attempts_left),
        (Verdict::Wrong, 4)
    );
    assert_eq!(
        check(&process, &id, &code, "right").await.verdict(),
        Verdict::Approved
    );
    assert_eq!(
        check(&process, &id, &code, "again").await.verdict(),
        Verdict::Closed
    );
    assert_eq!(header(&mails[0], "Auto-Submitted"), "auto-generated");
}
