//! The metrics of a real process: described, present from the start, and updated by events.

use std::{
    collections::{BTreeMap, HashSet},
    io::Write,
    process::{Command, Stdio},
};

use countersign::pb::v1::Verdict;

use crate::harness::{
    binary::{Process, borrowed, mail_settings},
    check_request,
    http::get,
    login,
    sink::{Sink, code},
    unique, with_key, wrong,
};

/// The page without its HTTP headers.
async fn page(process: &Process) -> String {
    let answer = get(process.admin.parse().unwrap(), "/metrics").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("it has a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

/// Each series with its value.
fn series(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let split = lines.filter_map(|line| line.rsplit_once(' '));
    split
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// The differences between two pages, for the series whose names begin with this.
fn moved(before: &str, after: &str, prefix: &str) -> Vec<String> {
    let before = series(before);
    let changed = series(after).into_iter().filter(|(name, value)| {
        name.starts_with(prefix) && before.get(name).copied().unwrap_or_default() != *value
    });
    changed.map(|(name, _)| name).collect()
}

#[test]
fn log_06_the_shipped_alarms_are_rules_on_metrics_that_exist() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/alerts.yml");
    let checked = Command::new("promtool")
        .args(["check", "rules", file])
        .output()
        .expect("promtool is installed");
    assert!(checked.status.success(), "{checked:?}");
    let rules = std::fs::read_to_string(file).unwrap();
    let catalogue = include_str!("../../../src/telemetry/catalogue.rs");
    let mut used = 0;
    for line in rules.lines().filter(|line| line.contains("expr: ")) {
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        let names = line
            .split(|c| !is_name(c))
            .filter(|word| word.starts_with("countersign_") || word.starts_with("rpc_server"));
        for name in names {
            let name = name.strip_suffix("_count").unwrap_or(name);
            assert!(catalogue.contains(&format!("\"{name}\"")), "{name}: {line}");
            used += 1;
        }
    }
    assert!(used >= 9 && rules.contains("countersign_events_lost_total"));
}

#[test]
fn log_06_each_shipped_alarm_fires_after_its_event_and_not_before() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/alerts.yml");
    let tests = include_str!("alerts.yml");
    let shipped = std::fs::read_to_string(rules).unwrap();
    let names = shipped
        .lines()
        .filter_map(|line| line.split_once("alert: "));
    for (_, name) in names {
        let tested = tests.matches(&format!("alertname: {name}")).count();
        assert_eq!(tested, 2, "{name} is tested quiet and firing");
    }
    let guide = include_str!("../../../deploy/guide/operations.md");
    let table = guide.split("| alarm | expression |").nth(1).unwrap();
    let table = table.split("\n\n").next().unwrap();
    for name in table
        .split('`')
        .flat_map(|part| part.split(['(', '{', '[', ' ']))
    {
        // The budget that spending is compared with is the operator's own.
        if name.starts_with("countersign_") && name != "countersign_spend_micros_total" {
            assert!(shipped.contains(name), "{name} is an alarm of the guide");
        }
    }
    let is_text = |line: &&str| {
        let line = line.trim_start();
        let texts = ["annotations:", "summary:", "description:"];
        texts.iter().any(|key| line.starts_with(key))
    };
    let bare: Vec<&str> = shipped.lines().filter(|line| !is_text(line)).collect();
    let (dir, file) = (tempfile::tempdir().unwrap(), "tests.yml");
    std::fs::write(dir.path().join("rules.yml"), bare.join("\n")).unwrap();
    std::fs::write(dir.path().join(file), tests.replace("RULES", "rules.yml")).unwrap();
    let tested = Command::new("promtool")
        .args(["test", "rules", file])
        .current_dir(dir.path())
        .output()
        .expect("promtool is installed");
    assert!(tested.status.success(), "{tested:?}");
}

/// Checks the page with promtool (Debian: prometheus); fails if it is not installed.
fn promtool_finds_nothing_wrong(page: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed");
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(page.as_bytes()).unwrap();
    drop(stdin);
    let found = promtool.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&found.stdout) + String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success() && text.is_empty(), "{text}\n{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_07_metrics_are_described_and_there_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[]);
    let page = page(&process).await;
    promtool_finds_nothing_wrong(&page);
    let all = series(&page);
    let version = env!("CARGO_PKG_VERSION");
    for name in [
        &format!("countersign_build_info{{version=\"{version}\"}}"),
        "countersign_verdicts_total{action=\"login\",caller=\"development\",verdict=\"approved\"}",
        "countersign_verdicts_total{action=\"payment\",caller=\"development\",verdict=\"wrong\"}",
        "countersign_starts_total{action=\"login\",caller=\"development\",outcome=\"started\"}",
        "countersign_starts_total{action=\"login\",caller=\"development\",outcome=\"refused\"}",
        "countersign_verifications_ended_total{action=\"login\",channel=\"sms\",outcome=\"expired\"}",
        "countersign_sender_verifications_ended_total{channel=\"sms\",sender=\"outbox\",outcome=\"expired\"}",
        "countersign_time_to_approve_seconds_count{action=\"login\",channel=\"email\"}",
        "countersign_sender_time_to_approve_seconds_count{channel=\"email\",sender=\"outbox\"}",
        "countersign_deliveries_total{channel=\"push\",sender=\"outbox\",outcome=\"failed\"}",
        "rpc_server_call_duration_seconds_count{rpc_method=\"countersign.v1.VerificationService/CheckCode\",rpc_status_code=\"OK\"}",
        "countersign_refusals_total{caller=\"unknown\",reason=\"CALLER_UNKNOWN\"}",
        "countersign_hands_in_use",
        "countersign_hands_limit",
        "countersign_panics_total",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    ] {
        assert!(all.contains_key(name), "{name} is not in\n{page}");
    }
    let of_process = all["process_resident_memory_bytes"];
    assert!(of_process > 1e6 && all["process_open_fds"] > 3.0, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_07_a_wrong_and_a_right_code_move_two_series() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), Sink::start().await);
    let process = Process::start(dir.path(), &borrowed(&mail_settings(&sink)));
    let mut client = process.client().await;
    let at_start = page(&process).await;
    let started = client
        .start_verification(with_key(&process.key, login("s")))
        .await
        .unwrap();
    let id = started.into_inner().verification.unwrap().verification_id;
    let code = code(&sink.wait_for(1).await[0]);
    let before = page(&process).await;
    for (guess, verdict) in [
        (wrong(&code), Verdict::Wrong),
        (code, Verdict::Approved),
        ("271828".to_owned(), Verdict::Closed),
    ] {
        let request = check_request(&id, &guess, &unique("a"));
        let answer = client.check_code(with_key(&process.key, request)).await;
        assert_eq!(answer.unwrap().into_inner().verdict(), verdict);
    }
    let after = page(&process).await;
    let verdict = |word: &str| {
        format!(
            "countersign_verdicts_total{{action=\"login\",caller=\"development\",verdict=\"{word}\"}}"
        )
    };
    assert_eq!(
        moved(&before, &after, "countersign_verdicts_total"),
        [verdict("approved"), verdict("closed"), verdict("wrong")]
    );
    assert_eq!(
        moved(&at_start, &after, "countersign_starts_total"),
        ["countersign_starts_total{action=\"login\",caller=\"development\",outcome=\"started\"}"]
    );
    for (metric, labels) in [
        ("", r#"action="login",channel="email""#),
        ("sender_", r#"channel="email",sender="mail""#),
    ] {
        let ended = format!("countersign_{metric}verifications_ended_total");
        let approved = format!(r#"{ended}{{{labels},outcome="approved"}}"#);
        assert_eq!(moved(&before, &after, &ended), [approved]);
        let counted = format!("countersign_{metric}time_to_approve_seconds_count{{{labels}}}");
        assert_eq!(moved(&before, &after, &counted).len(), 1, "{after}");
    }
    for name in series(&after).keys() {
        let bounded = ["action", "caller", "channel", "sender", "tenant"];
        let labels = bounded
            .iter()
            .filter(|label| name.contains(&format!("{label}=\"")));
        assert!(labels.count() <= 2, "{name}");
    }
    promtool_finds_nothing_wrong(&after);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_04_the_number_of_series_does_not_grow_with_subjects_or_strangers() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[]);
    let mut client = process.client().await;
    let names = async || {
        let all = series(&page(&process).await);
        all.into_keys().collect::<HashSet<_>>()
    };
    let mut start = async |n: usize, action: &str, key: &str| {
        let mut request = login(&format!("many-{n}"));
        request.action = action.to_owned();
        request.recipients[0].address = format!("person{n}@example.org");
        let started = client.start_verification(with_key(key, request)).await;
        started.map(drop)
    };
    start(0, "login", &process.key).await.unwrap();
    start(1, "nothing", &process.key).await.unwrap_err();
    start(2, "login", "nobody's").await.unwrap_err();
    let before = names().await;
    for n in 10..1000 {
        start(n, "login", &process.key).await.unwrap();
        start(n, &format!("nothing-{n}"), &process.key)
            .await
            .unwrap_err();
        start(n, "login", &format!("many-{n}")).await.unwrap_err();
    }
    let after = names().await;
    let grown: Vec<_> = after.difference(&before).collect();
    assert!(grown.is_empty(), "{grown:?}");
    assert!(after.len() < 1000, "{}", after.len());
    let named = after.iter().find(|name| name.contains("many-"));
    assert_eq!(named, None);
}
