//! Nothing that must stay inside gets out: codes, addresses, subjects, keys; in logs, replies, metrics, the database.

use countersign::pb::v1::{self, Verdict};

use crate::{
    binary::{Process, borrowed, mail_settings},
    canary::Canaries,
    harness::{check_request, login, unique, with_key, wrong},
    sink::{Sink, code},
    transport::get,
};

/// Verifications of the scenario; with 8 digits a match by chance is out of the question.
const VERIFICATIONS: usize = 30;

/// Settings under which a code cannot be met by chance.
fn eight_digits_and<const N: usize>(more: [(&str, &str); N]) -> Vec<(String, String)> {
    let all = more.into_iter().chain([("ACTIONS__LOGIN__CODE_DIGITS", "8")]);
    all.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn code_12_seal_07_log_03_a_whole_run_at_trace_level_leaks_nothing() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), Sink::start().await);
    let mut settings = mail_settings(&sink);
    settings.extend(eight_digits_and([("LOG__LEVEL", "trace"), ("LOG__TIMESTAMPS", "false")]));
    let process = Process::start(dir.path(), &borrowed(&settings));
    let mut client = process.client().await;
    let (mut secrets, mut said) = (Vec::new(), Vec::new());
    for n in 0..VERIFICATIONS {
        let mut request = login(&format!("canary-subject-{n}"));
        request.recipients[0].address = format!("canary-address-{n}@recipient.example");
        request.binding.insert("note".to_owned(), format!("canary-binding-{n}"));
        secrets.extend([request.subject.clone(), request.recipients[0].address.clone(), format!("canary-binding-{n}")]);
        let v = client.start_verification(with_key(&process.key, request)).await.unwrap().into_inner().verification.unwrap();
        said.push(format!("{v:?}"));
        let mails = sink.wait_for(n + 1).await;
        let code = code(mails.last().unwrap());
        assert_eq!(code.len(), 8);
        let guesses = if n % 2 == 0 { vec![wrong(&code), code.clone()] } else { vec!["not-a-code".to_owned(), code.clone()] };
        for guess in guesses {
            let request = with_key(&process.key, check_request(&v.verification_id, &guess, &unique("a")));
            said.push(format!("{:?}", client.check_code(request).await));
        }
        let request = v1::GetVerificationRequest { verification_id: v.verification_id.clone() };
        let got = client.get_verification(with_key(&process.key, request)).await.unwrap().into_inner().verification.unwrap();
        assert_eq!(got.status(), v1::VerificationStatus::Approved);
        said.push(format!("{got:?}"));
        secrets.push(code);
    }
    assert!(said.iter().any(|answer| answer.contains(Verdict::Approved.as_str_name()) || answer.contains("verdict: Approved")));
    said.push(get(process.admin.parse().unwrap(), "/metrics").await);
    let key_file = |name: &str| std::fs::read_to_string(dir.path().join("data/keys").join(name)).unwrap().trim().to_owned();
    secrets.extend([process.key.clone(), key_file("names.key"), key_file("dev.key")]);
    process.kill();

    let log = std::fs::read(dir.path().join("log")).unwrap();
    assert!(log.len() > 10_000, "the log was on");
    let canaries = Canaries::of(secrets);
    canaries.assert_absent(&log, "log");
    canaries.assert_absent(said.join("\n").as_bytes(), "replies and metrics");
    // SEAL-07: the names and values of the store.
    let database = std::fs::read(dir.path().join("data/countersign.redb")).unwrap();
    assert!(database.len() > 10_000, "there is something in it");
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
        let mut bytes = vec![0; usize::try_from(u64::from_str_radix(to, 16).unwrap() - from).unwrap()];
        // Some regions cannot be read, such as the stack guard.
        if mem.read_exact_at(&mut bytes, from).is_ok() {
            all.extend(bytes);
        }
    }
    all
}

fn holds(memory: &[u8], secret: &str) -> bool {
    memory.windows(secret.len()).any(|window| window == secret.as_bytes())
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
        let v = client.start_verification(request).await.unwrap().into_inner().verification.unwrap();
        let mails = sink.wait_for(n + 1).await;
        let code = code(mails.last().unwrap());
        let request = with_key(&process.key, check_request(&v.verification_id, &code, "a"));
        assert_eq!(client.check_code(request).await.unwrap().into_inner().verdict(), Verdict::Approved);
        codes.push(code);
    }
    // What is freed is wiped. A stack keeps what was on it until the next call goes as deep: one code a worker thread.
    let memory = memory(&process);
    assert!(holds(&memory, "noreply@example.org"), "the search finds what is there");
    let found: Vec<usize> = (0..codes.len()).filter(|at| holds(&memory, &codes[*at])).collect();
    assert!(found.len() <= workers, "codes {found:?} of {} are still in memory", codes.len());
}
