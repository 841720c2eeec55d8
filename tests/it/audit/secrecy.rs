//! Codes, addresses, subjects and keys never appear in logs, replies, metrics or the database.

use countersign::pb::v1::{self, Verdict};

use crate::{
    harness::http::get,
    harness::{
        binary::{Process, borrowed, mail_settings},
        canary::Canaries,
        check_request, login,
        sink::{Sink, code},
        unique, with_key, wrong,
    },
};

/// Verifications in the scenario; with 8 digits, a match by chance is practically excluded.
const VERIFICATIONS: usize = 30;

/// Settings that make the code long enough to exclude a match by chance.
pub fn eight_digits_and<const N: usize>(more: [(&str, &str); N]) -> Vec<(String, String)> {
    let all = more
        .into_iter()
        .chain([("ACTIONS__LOGIN__CODE_DIGITS", "8")]);
    all.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn code_12_seal_07_log_03_a_whole_run_at_trace_level_leaks_nothing() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), Sink::start().await);
    let mut settings = mail_settings(&sink);
    settings.extend(eight_digits_and([
        ("LOG__LEVEL", "trace"),
        ("LOG__TIMESTAMPS", "false"),
    ]));
    let process = Process::start(dir.path(), &borrowed(&settings));
    let mut client = process.client().await;
    let (mut secrets, mut said) = (Vec::new(), Vec::new());
    for n in 0..VERIFICATIONS {
        let mut request = login(&format!("canary-subject-{n}"));
        request.recipients[0].address = format!("canary-address-{n}@recipient.example");
        request
            .binding
            .insert("note".to_owned(), format!("canary-binding-{n}"));
        secrets.extend([
            request.subject.clone(),
            request.recipients[0].address.clone(),
            format!("canary-binding-{n}"),
        ]);
        let v = client
            .start_verification(with_key(&process.key, request))
            .await
            .unwrap()
            .into_inner()
            .verification
            .unwrap();
        said.push(format!("{v:?}"));
        let mails = sink.wait_for(n + 1).await;
        let code = code(mails.last().unwrap());
        assert_eq!(code.len(), 8);
        let guesses = if n % 2 == 0 {
            vec![wrong(&code), code.clone()]
        } else {
            vec!["not-a-code".to_owned(), code.clone()]
        };
        for guess in guesses {
            let request = with_key(
                &process.key,
                check_request(&v.verification_id, &guess, &unique("a")),
            );
            said.push(format!("{:?}", client.check_code(request).await));
        }
        let request = v1::GetVerificationRequest {
            verification_id: v.verification_id.clone(),
        };
        let got = client
            .get_verification(with_key(&process.key, request))
            .await
            .unwrap()
            .into_inner()
            .verification
            .unwrap();
        assert_eq!(got.status(), v1::VerificationStatus::Approved);
        said.push(format!("{got:?}"));
        secrets.push(code);
    }
    assert!(
        said.iter()
            .any(|answer| answer.contains(Verdict::Approved.as_str_name())
                || answer.contains("verdict: Approved"))
    );
    said.push(get(process.admin.parse().unwrap(), "/metrics").await);
    let key_file = |name: &str| {
        std::fs::read_to_string(dir.path().join("data/keys").join(name))
            .unwrap()
            .trim()
            .to_owned()
    };
    secrets.extend([
        process.key.clone(),
        key_file("names.key"),
        key_file("dev.key"),
    ]);
    process.kill();

    let log = std::fs::read(dir.path().join("log")).unwrap();
    assert!(log.len() > 10_000, "the log was on");
    let canaries = Canaries::of(secrets);
    canaries.assert_absent(&log, "log");
    canaries.assert_absent(said.join("\n").as_bytes(), "replies and metrics");
    // SEAL-07: the names and values in the store.
    let database = std::fs::read(dir.path().join("data/countersign.redb")).unwrap();
    assert!(database.len() > 10_000, "there is something in it");
    canaries.assert_absent(&database, "database");
}

/// A provider of each kind on one server that accepts everything, and the credentials for them.
pub fn providers(server: &wiremock::MockServer, dir: &std::path::Path) -> (String, Vec<String>) {
    let (token, hook) = (
        "canary-token-1".to_owned(),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
    );
    let file = |name: &str, text: &str| {
        std::fs::write(dir.join(name), text).unwrap();
        dir.join(name).display().to_string()
    };
    let (token_file, hook_file) = (file("token", &token), file("hook", &hook));
    let (uri, allowed) = (
        server.uri(),
        format!("allow_hosts = [\"{}\"]", server.address()),
    );
    let text = format!(
        "[senders.a]\nkind = \"twilio\"\naccount_sid = \"AC1\"\nauth_token_file = \"{token_file}\"\nfrom = \"Bank\"\n\
         base_url = \"{uri}\"\n{allowed}\n\
         [senders.b]\nkind = \"webhook\"\nchannels = [\"voice\"]\nurl = \"{uri}/hook\"\nsecret_files = [\"{hook_file}\"]\n{allowed}\n\
         [senders.c]\nkind = \"http\"\nchannels = [\"whatsapp\"]\nurl = \"{uri}/send\"\nauth = \"bearer\"\n\
         token_file = \"{token_file}\"\njson = '[\"{{{{ address }}}}\", \"{{{{ text }}}}\", \"{{{{ code }}}}\"]'\n{allowed}\n\
         [routes.sms]\nsenders = [\"a\"]\n[routes.voice]\nsenders = [\"b\"]\n[routes.whatsapp]\nsenders = [\"c\"]\n"
    );
    (text, vec![token, hook])
}

#[tokio::test(flavor = "multi_thread")]
async fn code_12_log_03_providers_get_what_no_log_shows_at_trace_level() {
    let (dir, server) = (
        tempfile::tempdir().unwrap(),
        wiremock::MockServer::start().await,
    );
    // A provider that returns the code as its id of the message and in its texts.
    let answer = |request: &wiremock::Request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        wiremock::ResponseTemplate::new(201)
            .set_body_json(serde_json::json!({"sid": body, "reference": body}))
    };
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(answer)
        .mount(&server)
        .await;
    let (text, mut secrets) = providers(&server, dir.path());
    let file = dir.path().join("settings.toml");
    std::fs::write(&file, text).unwrap();
    let settings = eight_digits_and([("LOG__LEVEL", "trace"), ("LOG__TIMESTAMPS", "false")]);
    let process = Process::start_with(
        dir.path(),
        &borrowed(&settings),
        &["--config", file.to_str().unwrap()],
    );
    let mut client = process.client().await;
    let channels = [v1::Channel::Sms, v1::Channel::Voice, v1::Channel::Whatsapp];
    for (n, channel) in channels.into_iter().cycle().take(9).enumerate() {
        let number = format!("+3161234567{n}");
        let mut request = login(&format!("s{n}"));
        request.recipients = vec![crate::harness::recipient(channel, &number)];
        let v = client
            .start_verification(with_key(&process.key, request))
            .await
            .unwrap()
            .into_inner()
            .verification
            .unwrap();
        let watch = v1::WatchVerificationRequest {
            verification_id: v.verification_id,
        };
        let mut stream = client
            .watch_verification(with_key(&process.key, watch))
            .await
            .unwrap()
            .into_inner();
        let sent = |v: &v1::Verification| v.deliveries[0].status() == v1::DeliveryStatus::Sent;
        while !stream
            .message()
            .await
            .unwrap()
            .unwrap()
            .verification
            .is_some_and(|v| sent(&v))
        {}
        let requests = server.received_requests().await.unwrap();
        let body = String::from_utf8_lossy(&requests.last().unwrap().body).into_owned();
        let code = body
            .split(|c: char| !c.is_ascii_digit())
            .find(|run| run.len() == 8)
            .expect("the provider got it");
        secrets.extend([code.to_owned(), number[1..].to_owned()]);
    }
    process.kill();
    let log = std::fs::read(dir.path().join("log")).unwrap();
    assert!(log.len() > 10_000, "the log was on");
    let canaries = Canaries::of(secrets);
    canaries.assert_absent(&log, "log");
    let database = std::fs::read(dir.path().join("data/countersign.redb")).unwrap();
    canaries.assert_absent(&database, "database");
}

/// The writable memory of a process.
fn memory(process: &Process) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", process.id())).unwrap();
    let mem = std::fs::File::open(format!("/proc/{}/mem", process.id())).unwrap();
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let from = u64::from_str_radix(from, 16).unwrap();
        let mut bytes =
            vec![0; usize::try_from(u64::from_str_radix(to, 16).unwrap() - from).unwrap()];
        // Some regions cannot be read, such as the stack guard.
        if mem.read_exact_at(&mut bytes, from).is_ok() {
            all.extend(bytes);
        }
    }
    all
}

fn holds(memory: &[u8], secret: &str) -> bool {
    memory
        .windows(secret.len())
        .any(|window| window == secret.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn seal_10_codes_are_wiped_from_memory() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), Sink::start().await);
    let mut settings = mail_settings(&sink);
    settings.extend(eight_digits_and([]));
    let process = Process::start(dir.path(), &borrowed(&settings));
    let mut codes = Vec::new();
    let workers = std::thread::available_parallelism().unwrap().get();
    for n in 0..10 * workers {
        let mut client = process.client().await;
        let request = with_key(&process.key, login(&format!("s{n}")));
        let v = client
            .start_verification(request)
            .await
            .unwrap()
            .into_inner()
            .verification
            .unwrap();
        let mails = sink.wait_for(n + 1).await;
        let code = code(mails.last().unwrap());
        let request = with_key(&process.key, check_request(&v.verification_id, &code, "a"));
        assert_eq!(
            client
                .check_code(request)
                .await
                .unwrap()
                .into_inner()
                .verdict(),
            Verdict::Approved
        );
        codes.push(code);
    }
    // Freed memory is wiped. A stack keeps its content until a later call overwrites it, so each worker thread may
    // still hold one code of a delivery and one of a check, at different depths. Older codes must be gone.
    let memory = memory(&process);
    assert!(
        holds(&memory, "noreply@example.org"),
        "the search finds what is there"
    );
    let found: Vec<usize> = (0..codes.len())
        .filter(|at| holds(&memory, &codes[*at]))
        .collect();
    let are_last = found.iter().all(|at| at + 4 * workers >= codes.len());
    assert!(
        found.len() <= 2 * workers && are_last,
        "codes {found:?} of {} are still in memory",
        codes.len()
    );
}
