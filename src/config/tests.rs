//! Settings as operators write them: correct, wrong, and contradictory.

mod files;
mod hook;
mod listeners;
mod numbers;
mod quotas;
mod receipts;
mod routes;
mod senders;
mod smpp;
mod store;
mod texts;

use std::{
    any::Any, fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process,
    sync::atomic::AtomicUsize, sync::atomic::Ordering,
};

use super::*;
use crate::{
    domain::recipient::{Channel, number::Country},
    sender::http::{AnswerForm, Body, HttpSettings as HttpApi, Method, Pattern},
};

/// The directory of the files that tests name as `/k/NAME`. Each contains one secret that fits everywhere.
const FILES: &str = concat!(env!("OUT_DIR"), "/files-of-settings");

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";

/// Replaces these names by real paths, and creates the files.
fn with_files(text: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    fs::create_dir_all(FILES).unwrap();
    for rest in text.split("/k/").skip(1) {
        let name = rest.split(['"', '\'', ',', ' ']).next().unwrap();
        // Write to a temporary name and rename, because other tests read the same file.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let draft = format!("{FILES}/{}-{count}.draft", process::id());
        fs::write(&draft, SECRET).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(draft, format!("{FILES}/{name}")).unwrap();
    }
    text.replace("/k/", &format!("{FILES}/"))
}

/// The settings of a sender, which must be of this type.
fn sender<'a, T: 'static>(settings: &'a Settings, name: &str) -> &'a T {
    let settings: &dyn Any = &*settings.senders[name].settings;
    settings.downcast_ref().expect("it is of this kind")
}

/// Loads settings from the text of a file, and variables given without their prefix.
fn with(text: &str, env: &[(&str, &str)]) -> Result<Settings, Mistakes> {
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("settings.toml");
    fs::write(&file, with_files(text)).unwrap();
    let env = env
        .iter()
        .map(|(key, value)| (format!("COUNTERSIGN__{key}"), with_files(value)));
    load(Some(&file), env)
}

fn keys_of(result: Result<Settings, Mistakes>) -> Vec<String> {
    result
        .err()
        .map(|mistakes| mistakes.0.into_iter().map(|mistake| mistake.key).collect())
        .unwrap_or_default()
}

/// A correct production file; tests introduce mistakes into it.
const PRODUCTION: &str = r#"
profile = "production"
[keys]
names_file = "/k/names.key"
ring = [{ kid = "k1", file = "/k/k1.key" }]
[callers.payments]
tenant = "bank"
roles = ["frontend"]
api_key_sha256 = "b0f0a4c3d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8"
[senders.mail]
kind = "smtp"
host = "mail.example.org"
from = "noreply@example.org"
[routes.email]
senders = ["mail"]
[actions.login]
"#;

#[test]
fn the_defaults_are_right_and_the_same_as_an_empty_file() {
    let settings = load(None, std::iter::empty()).unwrap();
    assert_eq!(settings.effective(), with("", &[]).unwrap().effective());
    assert_eq!(
        (
            settings.profile,
            settings.grpc.listener.listen.port(),
            settings.http.listener.listen.port()
        ),
        (Profile::Development, 50051, 8080)
    );
    assert_eq!(settings.subject.failure_limit, 25);
    let actions: Vec<_> = settings.actions.keys().map(|name| name.as_str()).collect();
    assert_eq!(actions, ["login", "payment"]);
    assert_eq!(settings.routes.len(), 5);
    assert_eq!(
        settings.actions.values().next_back().unwrap().binding,
        ["amount", "payee"]
    );
}

#[test]
fn every_default_is_documented() {
    let mut comment_above = false;
    for line in layers::DEFAULT.lines().filter(|line| !line.is_empty()) {
        // A comment covers the keys that follow it without a blank line.
        comment_above = line.starts_with('#') || (comment_above && !line.starts_with('['));
        let is_key = !line.starts_with('#') && !line.starts_with('[');
        assert!(
            !is_key || comment_above || line.starts_with("listen"),
            "{line}"
        );
    }
}

#[test]
fn conf_01_ten_mistakes_in_one_file_give_ten_messages() {
    let text = r#"
profil = "development"
[grpc]
listen = "nowhere"
max_streams = 0
[store]
url = "redis://user:secret@localhost"
[subject]
failure_limit = 51
[actions.login]
code_digits = 9
code_lifetime_s = 601
attempts = 6
channels = ["pigeon"]
[routes.email]
senders = ["nobody"]
"#;
    let mistakes = with(text, &[]).unwrap_err();
    assert_eq!(mistakes.0.len(), 10, "{mistakes}");
    let report = mistakes.to_string();
    for part in [
        "profil: is not a setting; did you mean profile?",
        "actions.login.code_lifetime_s: is 601; it must be from 30 to 600",
        "store.url: ",
        "must not hold a password",
        "routes.email.senders: names \"nobody\" without a section [senders.nobody]",
    ] {
        assert!(report.contains(part), "{part} is missing in {report}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_mistake_with_its_place() {
    let mistakes = with("[grpc\nlisten = 1", &[]).unwrap_err();
    assert!(mistakes.to_string().contains("line 1"), "{mistakes}");
    let absent = load(
        Some(Path::new("/nonexistent/settings.toml")),
        std::iter::empty(),
    )
    .unwrap_err();
    assert!(absent.to_string().contains("/nonexistent/settings.toml"));
}

#[test]
fn the_environment_wins_over_the_file() {
    let settings = with(
        "[actions.login]\nattempts = 4\n",
        &[
            ("ACTIONS__LOGIN__ATTEMPTS", "3"),
            ("GRPC__MAX_STREAMS", "7"),
        ],
    )
    .unwrap();
    assert_eq!(
        (
            settings.actions.values().next().unwrap().limits.attempts,
            settings.grpc.max_streams
        ),
        (3, 7)
    );
    assert_eq!(
        keys_of(with("", &[("GRPC__MAX_STREAMS", "many")])),
        ["grpc.max_streams"]
    );
    assert_eq!(
        keys_of(with("", &[("GRPC__NO_SUCH", "1")])),
        ["grpc.no_such"]
    );
    let spare = "[senders.spare]\nkind = \"outbox\"\n";
    let settings = with(
        spare,
        &[
            ("ROUTES__EMAIL__SENDERS", "spare, outbox"),
            ("ROUTES__EMAIL__WEIGHTS", "3, 1"),
        ],
    )
    .unwrap();
    let route = &settings.routes[&Channel::Email];
    assert_eq!(
        (&route.senders[..], &route.weights[..]),
        (&["spare".to_owned(), "outbox".to_owned()][..], &[3, 1][..])
    );
}

#[test]
fn code_05_no_cap_can_be_passed() {
    for (key, above) in [
        ("code_lifetime_s", "601"),
        ("code_digits", "9"),
        ("code_digits", "5"),
        ("attempts", "6"),
        ("sends", "5"),
        ("resend_cooldown_s", "301"),
    ] {
        assert_eq!(
            keys_of(with(&format!("[actions.login]\n{key} = {above}\n"), &[])),
            [format!("actions.login.{key}")]
        );
    }
    assert_eq!(
        keys_of(with("[subject]\nclosed_retention_s = 86401\n", &[])),
        ["subject.closed_retention_s"]
    );
    assert_eq!(
        keys_of(with("[subject]\nfailure_limit = -1\n", &[])),
        ["subject.failure_limit"]
    );
}

#[test]
fn settings_that_fight_are_mistakes() {
    assert_eq!(
        keys_of(with(
            "[actions.login]\ncode_lifetime_s = 60\nresend_cooldown_s = 60\n",
            &[]
        )),
        ["actions.login.resend_cooldown_s"]
    );
    assert_eq!(
        keys_of(with(
            "[grpc]\ndeadline_default_ms = 2000\ndeadline_max_ms = 1000\n",
            &[]
        )),
        ["grpc.deadline_default_ms"]
    );
    assert_eq!(
        keys_of(with("[grpc]\ntls_cert_file = \"/k/c.pem\"\n", &[])),
        // The file holds no certificate either.
        ["grpc.tls_cert_file", "grpc.tls_key_file"]
    );
    assert_eq!(
        keys_of(with("[grpc]\nlisten = \"0.0.0.0:50051\"\n", &[])),
        ["grpc.listen"]
    );
}

#[test]
fn production_is_strict() {
    assert!(
        with(PRODUCTION, &[]).is_ok(),
        "{}",
        with(PRODUCTION, &[]).unwrap_err()
    );
    let broken = |from: &str, to: &str| keys_of(with(&PRODUCTION.replace(from, to), &[]));
    assert_eq!(
        broken("kind = \"smtp\"", "kind = \"outbox\""),
        [
            "senders.mail.from",
            "senders.mail.host",
            "senders.mail.kind"
        ]
    );
    assert_eq!(
        broken("from = ", "tls = \"none\"\nfrom = "),
        ["senders.mail.tls"]
    );
    assert_eq!(
        broken(
            "roles = [\"frontend\"]",
            "roles = [\"agent\", \"frontend\"]"
        ),
        ["callers.payments.roles"]
    );
    assert_eq!(
        broken("names_file = \"/k/names.key\"", ""),
        ["keys.names_file"]
    );
    assert_eq!(
        broken("[callers.payments]", "[callers.development]"),
        ["callers.development"]
    );
    for (key, value, wrong) in [
        ("GRPC__LISTEN", "0.0.0.0:50051", "grpc.listen"),
        ("STORE__URL", "embedded:", "store.url"),
    ] {
        assert_eq!(keys_of(with(PRODUCTION, &[(key, value)])), [wrong]);
    }
    let sample = hex::encode(crate::domain::caller::api_key_hash("changeme"));
    let hash = "b0f0a4c3d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8";
    assert_eq!(broken(hash, &sample), ["callers.payments.api_key_sha256"]);
    assert!(
        with(
            PRODUCTION,
            &[
                ("GRPC__LISTEN", "0.0.0.0:50051"),
                ("GRPC__PLAINTEXT_ALLOWED", "true")
            ]
        )
        .is_ok()
    );
}

#[test]
fn callers_are_told_apart() {
    let twin = "[callers.a]\ntenant = \"t\"\nroles = [\"frontend\"]\napi_key_sha256 = \"HASH\"\n"
        .replace("HASH", &"ab".repeat(32));
    let both = format!("{twin}{}", twin.replace("callers.a", "callers.b"));
    assert_eq!(keys_of(with(&both, &[])), ["callers.b.api_key_sha256"]);
    assert_eq!(
        keys_of(with(&twin.replace("frontend", "king"), &[])),
        ["callers.a.roles"]
    );
    assert_eq!(
        keys_of(with(&format!("{twin}jwt = \"x\"\n"), &[])),
        ["callers.a.jwt"]
    );
    assert_eq!(
        keys_of(with(&twin.replace("abab", "zz"), &[])),
        ["callers.a.api_key_sha256"]
    );
}

#[test]
fn the_effective_settings_can_be_loaded_and_show_no_hash() {
    let settings = with(PRODUCTION, &[]).unwrap();
    let shown = settings.effective();
    assert!(shown.contains("api_key_sha256 = \"(masked)\"") && !shown.contains("b0f0a4c3"));
    let development = with("", &[]).unwrap();
    assert_eq!(
        with(development.effective(), &[]).unwrap().effective(),
        development.effective()
    );
}

#[test]
fn the_example_for_production_is_right() {
    let example = include_str!("../../deploy/production.toml")
        .replace("/etc/countersign/keys/", "/k/")
        .replace("/etc/countersign/tls/", "/k/")
        .replace("/etc/countersign/", "/k/");
    with(&example, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    // Adds its store for several processes, which is a comment in the file.
    let is_setting = |line: &&str| line.contains(" = ");
    let (_, store) = example.split_once("\n# [store]").expect("a store");
    let (store, _) = store.split_once("\n\n").expect("its end");
    let store: Vec<_> = store
        .lines()
        .filter(is_setting)
        .map(|line| line.trim_start_matches("# "))
        .collect();
    let whole = format!("{example}\n[store]\n{}\n", store.join("\n"));
    let settings = with(&whole, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let shown = settings.effective();
    assert!(shown.contains("client_key_file"), "{shown}");
}
