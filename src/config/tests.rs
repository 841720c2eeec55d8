//! Settings as operators write them: right, wrong, and fighting.

mod hook;
mod numbers;
mod receipts;
mod smpp;

use std::{path::PathBuf, time::Duration};

use super::*;
use crate::domain::{
    limit::{quota::Dimension, rate::Rate},
    recipient::Channel,
};

/// Loads a file's text and variables without their prefix.
fn with(text: &str, env: &[(&str, &str)]) -> Result<Settings, Mistakes> {
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("settings.toml");
    std::fs::write(&file, text).unwrap();
    load(
        Some(&file),
        env.iter()
            .map(|(key, value)| (format!("COUNTERSIGN__{key}"), (*value).to_owned())),
    )
}

fn keys_of(result: Result<Settings, Mistakes>) -> Vec<String> {
    result
        .err()
        .map(|mistakes| mistakes.0.into_iter().map(|mistake| mistake.key).collect())
        .unwrap_or_default()
}

/// A production file that is right; tests break it.
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
            settings.grpc.listen.port(),
            settings.http.listen.port()
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
    for line in DEFAULT.lines().filter(|line| !line.is_empty()) {
        // A comment covers the keys that follow it without a gap.
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
        "profil: is no setting; did you mean profile?",
        "actions.login.code_lifetime_s: 601 is not within 30 to 600",
        "store.url: ",
        "must not hold a password",
        "routes.email.senders: \"nobody\" is none of the senders",
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
fn send_05_the_quotas_of_production_are_those_of_the_default_file() {
    let settings = with(PRODUCTION, &[]).unwrap();
    for dimension in Dimension::ALL
        .into_iter()
        .filter(|dimension| dimension.is_plain())
    {
        let (count, period_s) = admission::quotas::default(dimension).unwrap();
        let rate = Rate::per(u32::try_from(count).unwrap(), Duration::from_secs(period_s));
        assert_eq!(
            settings.admission.quotas.rate(dimension),
            Some(rate),
            "{}",
            dimension.as_str()
        );
    }
    let recipient = Rate {
        interval: Duration::from_secs(120),
        burst: 4,
    };
    assert_eq!(
        settings.admission.quotas.rate(Dimension::Recipient),
        Some(recipient),
        "five per ten minutes"
    );
    assert!(
        settings
            .actions
            .values()
            .all(|action| !action.quota_fallback)
    );
}

#[test]
fn the_quotas_of_development_let_a_hundred_tests_use_one_recipient_in_the_periods_of_production() {
    let (development, production) = (with("", &[]).unwrap(), with(PRODUCTION, &[]).unwrap());
    for dimension in Dimension::ALL
        .into_iter()
        .filter(|dimension| dimension.is_plain())
    {
        let rate = development.admission.quotas.rate(dimension).unwrap();
        assert!(rate.burst >= 999, "{}", dimension.as_str());
        let (count, period_s) = admission::quotas::default(dimension).unwrap();
        let name = dimension.as_str().to_uppercase();
        let again = with(
            "",
            &[(
                format!("QUOTAS__{name}__COUNT").as_str(),
                count.to_string().as_str(),
            )],
        )
        .unwrap();
        let rate = Rate::per(u32::try_from(count).unwrap(), Duration::from_secs(period_s));
        assert_eq!(
            again.admission.quotas.rate(dimension),
            Some(rate),
            "{}",
            dimension.as_str()
        );
        assert_eq!(
            production.admission.quotas.rate(dimension),
            Some(rate),
            "{}",
            dimension.as_str()
        );
    }
}

#[test]
fn quotas_can_be_changed_and_switched_off_one_by_one() {
    let text = "[quotas]\nrecipient = { count = 0 }\ncaller = { period_s = 60 }\n[actions.login]\nquota_fallback = true\n";
    let settings = with(text, &[("QUOTAS__QUOTA_KEYS__COUNT", "7")]).unwrap();
    assert_eq!(settings.admission.quotas.rate(Dimension::Recipient), None);
    assert_eq!(
        settings.admission.quotas.rate(Dimension::Caller),
        Some(Rate::per(10_000, Duration::from_secs(60)))
    );
    assert_eq!(
        settings.admission.quotas.rate(Dimension::QuotaKeys),
        Some(Rate::per(7, Duration::from_secs(3600)))
    );
    assert!(settings.actions.values().next().unwrap().quota_fallback);
    let all_wrong = "[quotas]\nrecipient = { count = 1000001, period_s = 0 }\nagent = { cuont = 5 }\nmoon = { count = 1 }\ncaller = 5\n\
                     tenant = { count = -1, period_s = 604801 }\n";
    let expected = [
        "quotas.agent.cuont",
        "quotas.caller",
        "quotas.moon",
        "quotas.recipient.count",
        "quotas.recipient.period_s",
        "quotas.tenant.count",
        "quotas.tenant.period_s",
    ];
    assert_eq!(keys_of(with(all_wrong, &[])), expected);
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
        keys_of(with("[grpc]\ntls_cert_file = \"/c.pem\"\n", &[])),
        ["grpc.tls_key_file"]
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
            .map(str::to_owned)
            .into_iter()
            .chain(["callers".to_owned()])
            .rev()
            .collect::<Vec<_>>()
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
    let example = include_str!("../../deploy/production.toml");
    assert!(
        with(example, &[]).is_ok(),
        "{}",
        with(example, &[]).unwrap_err()
    );
    // With its store of several processes, which stands there as a comment.
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
    assert!(settings.effective().contains("client_key_file = \"/etc/"));
}

/// A section with all that a preset may be given.
fn preset_section(kind: &str, keys: &[&str]) -> String {
    let keys: Vec<String> = keys
        .iter()
        .map(|key| format!("{key} = \"v1-{key}\""))
        .collect();
    format!("[senders.p]\nkind = \"{kind}\"\n{}\n", keys.join("\n"))
}

#[test]
fn every_preset_is_read_with_its_keys_and_misses_each_that_is_required() {
    type Preset = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
        &'static [Channel],
    );
    let presets: [Preset; 6] = [
        (
            "twilio",
            &["account_sid", "auth_token_file", "from"],
            &["whatsapp_from", "whatsapp_content_sid"],
            &[Channel::Sms, Channel::Whatsapp],
        ),
        (
            "vonage",
            &["api_key", "api_secret_file", "from"],
            &[],
            &[Channel::Sms],
        ),
        (
            "vonage_voice",
            &["application_id", "private_key_file", "voice_from"],
            &[],
            &[Channel::Voice],
        ),
        (
            "messagebird",
            &["access_key_file", "from"],
            &[],
            &[Channel::Sms],
        ),
        (
            "infobip",
            &["base_url", "api_key_file", "from"],
            &[],
            &[Channel::Sms],
        ),
        (
            "whatsapp_cloud",
            &[
                "phone_number_id",
                "access_token_file",
                "template",
                "graph_version",
            ],
            &[],
            &[Channel::Whatsapp],
        ),
    ];
    for (kind, required, optional, channels) in presets {
        let all = [required, optional].concat();
        // A call asks in the middle what to say.
        let (public, receipts): (&[_], _) = match channels {
            [Channel::Voice] => (
                &[("HTTP__PUBLIC_URL", "https://otp.bank.example")],
                "receipts.secret_files = [\"/k/r\"]\n",
            ),
            _ => (&[], ""),
        };
        let preset_section = |kind, keys: &[&str]| preset_section(kind, keys) + receipts;
        let with = |text: &str, _: &[(&str, &str)]| with(text, public);
        let settings = with(&preset_section(kind, &all), &[]).unwrap();
        let SenderSettings::Http(http) = &settings.senders["p"] else {
            panic!("{kind} is a preset")
        };
        assert_eq!(
            http.requests.keys().copied().collect::<Vec<_>>(),
            channels,
            "{kind}"
        );
        assert!(
            http.answers.reference_pointer.is_some(),
            "{kind}: receipts need a reference"
        );
        assert_eq!(
            with(settings.effective(), &[]).unwrap().effective(),
            settings.effective()
        );
        for missing in required {
            let rest: Vec<&str> = all.iter().copied().filter(|key| key != missing).collect();
            let keys = keys_of(with(&preset_section(kind, &rest), &[]));
            // Without the number of one channel, the other is still carried.
            let spare = (kind, *missing) == ("twilio", "from");
            assert_eq!(keys.is_empty(), spare, "{kind} without {missing}: {keys:?}");
        }
        assert_eq!(
            keys_of(with(
                &format!("{}color = \"red\"\n", preset_section(kind, &all)),
                &[]
            )),
            ["senders.p.color"]
        );
    }
    let none = preset_section("twilio", &["account_sid", "auth_token_file"]);
    assert_eq!(
        keys_of(with(&none, &[])),
        ["senders.p"],
        "no channel has its keys"
    );
}

#[test]
fn a_provider_is_described_by_settings_alone() {
    let text = r#"
[senders.acme]
kind = "http"
channels = ["sms", "voice"]
url = "https://api.acme.example/v1/messages"
method = "PUT"
headers = { X-Request-Id = "{{ delivery }}" }
auth = "header"
auth_header = "X-Api-Key"
token_file = "/k/acme"
json = '{"To": "{{ address }}", "Text": "{{ text }}"}'
success_status = [202]
code_pointer = "/code"
give_up_codes = [4, "bad"]
timeout_ms = 3000
allow_hosts = ["api.acme.example:8443"]
[routes.sms]
senders = ["acme"]
"#;
    let settings = with(text, &[]).unwrap();
    let SenderSettings::Http(http) = &settings.senders["acme"] else {
        panic!("it is one")
    };
    let request = &http.requests[&Channel::Voice];
    assert_eq!(
        (request.method, request.headers[0].0.as_str()),
        (HttpMethod::Put, "X-Request-Id")
    );
    assert_eq!(http.answers.give_up_codes, ["4", "bad"]);
    assert_eq!(http.answers.success_status, [202]);
    assert_eq!(
        with(settings.effective(), &[]).unwrap().effective(),
        settings.effective()
    );
    let broken = |from: &str, to: &str| {
        let mut keys = keys_of(with(&text.replace(from, to), &[]));
        // A sender that cannot be read is missing in its route, too.
        keys.retain(|key| key.starts_with("senders."));
        keys
    };
    assert_eq!(
        broken("json = ", "form = { To = \"{{ address }}\" }\njson = "),
        ["senders.acme.form"]
    );
    assert_eq!(
        broken("code_pointer = \"/code\"", ""),
        ["senders.acme.code_pointer"]
    );
    assert_eq!(
        broken("\"/code\"", "\"code\""),
        ["senders.acme.code_pointer"]
    );
    assert_eq!(broken("[202]", "[20]"), ["senders.acme.success_status"]);
    assert_eq!(
        broken("token_file = \"/k/acme\"", ""),
        ["senders.acme.token_file"]
    );
    assert_eq!(broken("\"http\"", "\"htp\""), ["senders.acme.kind"]);
    let voice_only = text.replace("[\"sms\", \"voice\"]", "[\"voice\"]");
    assert_eq!(
        keys_of(with(&voice_only, &[])),
        ["routes.sms.senders"],
        "it does not carry SMS"
    );
}

#[test]
fn push_services_and_amazon_are_read_with_all_their_mistakes_together() {
    let senders = [
        ("fcm", "push", "service_account_file = \"/k/a.json\"\n"),
        (
            "apns",
            "push",
            "key_file = \"/k/a.p8\"\nkey_id = \"ABC123DEFG\"\nteam_id = \"DEF123GHIJ\"\ntopic = \"example.app\"\n",
        ),
        (
            "webpush",
            "push",
            "key_file = \"/k/v.pem\"\ncontact = \"mailto:security@bank.example\"\n",
        ),
        (
            "sns",
            "sms",
            "region = \"eu-central-1\"\naccess_key_id_file = \"/k/i\"\nsecret_access_key_file = \"/k/s\"\nsender_id = \"Bank\"\n",
        ),
    ];
    for (kind, channel, keys) in senders {
        let section = |keys: &str| format!("[senders.p]\nkind = \"{kind}\"\n{keys}");
        let route =
            |channel: &str| format!("{}[routes.{channel}]\nsenders = [\"p\"]\n", section(keys));
        let settings = with(&route(channel), &[]).unwrap();
        assert_eq!(
            with(settings.effective(), &[]).unwrap().effective(),
            settings.effective(),
            "{kind}"
        );
        assert_eq!(
            keys_of(with(&route("voice"), &[])),
            ["routes.voice.senders"],
            "{kind}"
        );
        for missing in keys.lines().filter(|line| !line.starts_with("sender_id")) {
            let key = missing.split(' ').next().unwrap();
            let rest = keys.replace(&format!("{missing}\n"), "");
            assert_eq!(
                keys_of(with(&section(&rest), &[])),
                [format!("senders.p.{key}")]
            );
        }
        let mut unknown = keys_of(with(&format!("{}color = \"red\"\n", section(keys)), &[]));
        assert_eq!(unknown.pop().as_deref(), Some("senders.p.color"), "{kind}");
    }
    let all_wrong = "[senders.a]\nkind = \"apns\"\nkey_file = \"/k\"\nkey_id = \"abc\"\nteam_id = \"DEF123GHI-\"\ntopic = \"a b\"\n\
                     timeout_ms = 1\n[senders.b]\nkind = \"webpush\"\nkey_file = \"/k\"\ncontact = \"security@bank.example\"\nhosts = [\"*.com\"]\n\
                     [senders.c]\nkind = \"sns\"\nregion = \"EU\"\naccess_key_id_file = \"/k\"\nsecret_access_key_file = \"/k\"\n\
                     sender_id = \"123\"\n";
    let expected = [
        "senders.a.key_id",
        "senders.a.team_id",
        "senders.a.timeout_ms",
        "senders.a.topic",
        "senders.b.contact",
        "senders.b.hosts",
        "senders.c.region",
        "senders.c.sender_id",
    ];
    assert_eq!(keys_of(with(all_wrong, &[])), expected);
}

#[test]
fn webhooks_and_plugins_say_what_they_carry() {
    let hook = "[senders.p]\nkind = \"webhook\"\nchannels = [\"sms\"]\nurl = \"https://h.example/in\"\nsecret_files = [\"/k/a\"]\n";
    let plugin =
        "[senders.p]\nkind = \"plugin\"\nchannels = [\"sms\"]\naddress = \"http://127.0.0.1:1\"\n";
    for (section, required) in [
        (hook, &["channels", "url", "secret_files"][..]),
        (plugin, &["channels", "address"]),
    ] {
        let route = |channel: &str| format!("{section}[routes.{channel}]\nsenders = [\"p\"]\n");
        let settings = with(&route("sms"), &[]).unwrap();
        assert_eq!(
            with(settings.effective(), &[]).unwrap().effective(),
            settings.effective()
        );
        assert_eq!(
            keys_of(with(&route("voice"), &[])),
            ["routes.voice.senders"]
        );
        for key in required {
            let rest: Vec<&str> = section
                .lines()
                .filter(|line| !line.starts_with(&format!("{key} =")))
                .collect();
            assert_eq!(
                keys_of(with(&rest.join("\n"), &[])),
                [format!("senders.p.{key}")]
            );
        }
    }
    assert_eq!(
        keys_of(with(&format!("{plugin}allow_hosts = [\"x\"]\n"), &[])),
        ["senders.p.allow_hosts"]
    );
}

#[test]
fn store_14_production_takes_redis_without_tls_only_where_it_says_so() {
    let keys = |text: &str| {
        let file = format!("profile = \"production\"\n[store]\n{text}\n");
        let mistakes = with(&file, &[]).unwrap_err();
        mistakes
            .0
            .into_iter()
            .map(|mistake| mistake.key)
            .filter(|key| key.starts_with("store."))
            .collect::<Vec<_>>()
    };
    assert_eq!(keys("url = \"redis://redis.internal\""), ["store.url"]);
    assert_eq!(
        keys("url = \"redis://redis.internal\"\nplaintext_allowed = true"),
        Vec::<String>::new()
    );
    assert_eq!(
        keys("url = \"rediss-cluster://a,b,c\"\nshards = 128\nwait_replicas = 1"),
        Vec::<String>::new()
    );
}

#[test]
fn settings_of_the_store_that_fight_are_mistakes() {
    for (text, key) in [
        ("url = \"redis://user@h\"", "store.password_file"),
        ("url = \"redis://h\"\nca_file = \"ca.pem\"", "store.url"),
        (
            "url = \"rediss://h\"\nclient_cert_file = \"c.pem\"",
            "store.client_cert_file",
        ),
        (
            "url = \"redis://h\"\nwait_replicas = 1\nwait_ms = 250",
            "store.wait_ms",
        ),
        ("url = \"redis://h\"\nprefix = \"a b\"", "store.prefix"),
        ("url = \"redis://h\"\nshards = 0", "store.shards"),
    ] {
        let mistakes = with(&format!("[store]\n{text}\n"), &[]).unwrap_err();
        assert_eq!(
            mistakes
                .0
                .iter()
                .map(|mistake| mistake.key.as_str())
                .collect::<Vec<_>>(),
            [key],
            "{mistakes}"
        );
    }
}

/// Three senders beside those of the development profile, and a tenant beside its own.
const ROUTED: &str = r#"
[senders.a]
kind = "outbox"
[senders.b]
kind = "outbox"
[senders.mail]
kind = "smtp"
host = "mail.example"
from = "a@example.org"
[callers.shop]
tenant = "shop"
roles = ["frontend"]
api_key_sha256 = "8888888888888888888888888888888888888888888888888888888888888888"
"#;

#[test]
fn routes_are_read_with_weights_countries_and_tenants() {
    let text = format!(
        "{ROUTED}[routes.sms]\nsenders = [\"a\", \"b\"]\nweights = [3, 0]\nhedge_ms = 500\n[routes.sms.countries]\nNL = [\"b\", \"outbox\"]\n\
         [tenants.shop.routes.sms]\nsenders = [\"b\"]\n[tenants.default.routes.email]\nsenders = [\"mail\"]\n\
         [breaker]\nfailures = 3\nopen_s = 7\n"
    );
    let settings = with(&text, &[("ROUTES__SMS__COUNTRIES__BE", "a")]).unwrap();
    let (sms, country) = (&settings.routes[&Channel::Sms], |name| {
        Country::parse(name).unwrap()
    });
    assert_eq!(
        (&sms.senders[..], &sms.weights[..]),
        (&["a".to_owned(), "b".to_owned()][..], &[3, 0][..])
    );
    assert_eq!(
        (
            sms.countries[&country("NL")].len(),
            sms.countries[&country("BE")].len()
        ),
        (2, 1)
    );
    assert_eq!(sms.hedge_after.map(|after| after.as_millis()), Some(500));
    let hedged = |routes: &ChannelRoutes| {
        routes
            .values()
            .filter(|route| route.hedge_after.is_some())
            .count()
    };
    assert_eq!(
        (
            hedged(&settings.routes),
            settings
                .tenants
                .values()
                .map(|own| hedged(&own.routes))
                .sum::<usize>()
        ),
        (1, 0)
    );
    let tenants: Vec<_> = settings
        .tenants
        .iter()
        .map(|(name, own)| (name.as_str(), own.routes.len()))
        .collect();
    assert_eq!(tenants, [("default", 1), ("shop", 1)]);
    assert_eq!(
        (
            settings.breaker.failures,
            settings.breaker.open.as_secs(),
            settings.breaker.open_max.as_secs()
        ),
        (3, 7, 120)
    );
    for line in [
        "[routes.sms.countries]",
        "weights = [\"3\", \"0\"]",
        "[tenants.shop.routes.sms]",
        "open_max_s = 120",
    ] {
        assert!(
            settings.effective().contains(line),
            "{line} is not in\n{}",
            settings.effective()
        );
    }
}

#[test]
fn a_plan_is_read_and_its_mistakes_are_told() {
    let settings = with(
        "[actions.login]\nplan = [\"email 20s\", \"sms 40s\", \"voice\"]\n",
        &[],
    )
    .unwrap();
    let login = settings.actions.values().next().unwrap();
    let plan: Vec<_> = login
        .limits
        .plan
        .iter()
        .map(|step| (step.channel, step.wait.map(|wait| wait.as_secs())))
        .collect();
    assert_eq!(
        plan,
        [
            (Channel::Email, Some(20)),
            (Channel::Sms, Some(40)),
            (Channel::Voice, None)
        ]
    );
    assert!(
        settings
            .effective()
            .contains("plan = [\"email 20s\", \"sms 40s\", \"voice\"]")
    );
    assert_eq!(
        with("", &[("ACTIONS__LOGIN__PLAN", "sms 40s,voice")])
            .unwrap()
            .actions
            .values()
            .next()
            .unwrap()
            .limits
            .plan
            .len(),
        2
    );
    for plan in [
        "[\"pigeon 20s\", \"sms\"]",
        "[\"email\", \"sms\"]",
        "[\"email 20s\", \"sms 20s\"]",
        "[\"email 20\", \"sms\"]",
        "[\"email 4s\", \"sms\"]",
        "[\"email 301s\", \"sms\"]",
        "[\"email 20s more\", \"sms\"]",
        "[\"email 20s\", \"email\"]",
        "[\"email 150s\", \"sms 150s\", \"voice\"]",
        "[\"\"]",
    ] {
        assert_eq!(
            keys_of(with(&format!("[actions.login]\nplan = {plan}\n"), &[])),
            ["actions.login.plan"],
            "{plan}"
        );
    }
    let narrow = "[actions.login]\nchannels = [\"email\"]\nplan = [\"email 20s\", \"sms\"]\n";
    assert_eq!(
        keys_of(with(narrow, &[])),
        ["actions.login.plan"],
        "beyond the permitted channels"
    );
    let few = "[actions.login]\nsends = 2\nplan = [\"email 20s\", \"sms 40s\", \"voice\"]\n";
    assert_eq!(
        keys_of(with(few, &[])),
        ["actions.login.plan"],
        "more steps than sends"
    );
}

#[test]
fn every_mistake_in_a_route_is_told() {
    let mistakes = |routes: &str| keys_of(with(&format!("{ROUTED}{routes}\n"), &[]));
    for (route, key) in [
        (
            "[routes.sms]\nsenders = [\"a\", \"nobody\"]",
            "routes.sms.senders",
        ),
        (
            "[routes.sms]\nsenders = [\"a\", \"mail\"]",
            "routes.sms.senders",
        ),
        (
            "[routes.sms]\nsenders = [\"a\", \"a\"]",
            "routes.sms.senders",
        ),
        ("[routes.sms]\nsenders = []", "routes.sms.senders"),
        ("[routes.pigeon]\nsenders = [\"a\"]", "routes.pigeon"),
        (
            "[routes.sms]\nsenders = [\"a\", \"b\"]\nweights = [1]",
            "routes.sms.weights",
        ),
        (
            "[routes.sms]\nsenders = [\"a\", \"b\"]\nweights = [0, 0]",
            "routes.sms.weights",
        ),
        (
            "[routes.sms]\nsenders = [\"a\", \"b\"]\nweights = [1, 1001]",
            "routes.sms.weights",
        ),
        (
            "[routes.sms]\nsenders = [\"a\", \"b\"]\nweights = [1, -1]",
            "routes.sms.weights",
        ),
        (
            "[routes.sms.countries]\nUK = [\"a\"]",
            "routes.sms.countries.UK",
        ),
        (
            "[routes.sms.countries]\nNL = [\"nobody\"]",
            "routes.sms.countries.NL",
        ),
        (
            "[routes.email.countries]\nNL = [\"a\"]",
            "routes.email.countries.NL",
        ),
        ("[routes.sms]\norder = [\"a\"]", "routes.sms.order"),
        (
            "[routes.sms]\nsenders = [\"a\", \"b\"]\nhedge_ms = 499",
            "routes.sms.hedge_ms",
        ),
        (
            "[routes.sms]\nsenders = [\"a\", \"b\"]\nhedge_ms = 10000",
            "routes.sms.hedge_ms",
        ),
        (
            "[routes.sms]\nsenders = [\"a\", \"b\"]\nhedge_ms = 1000\n[worker]\nsend_deadline_ms = 1000",
            "routes.sms.hedge_ms",
        ),
        (
            "[tenants.shop.routes.sms]\nsenders = [\"a\"]\nhedge_ms = 1",
            "tenants.shop.routes.sms.hedge_ms",
        ),
        (
            "[tenants.nobody.routes.sms]\nsenders = [\"a\"]",
            "tenants.nobody",
        ),
        (
            "[tenants.shop.routes.sms]\nsenders = [\"nobody\"]",
            "tenants.shop.routes.sms.senders",
        ),
        ("[tenants.shop]\nroute = 1", "tenants.shop.route"),
        ("[breaker]\nopen_s = 200", "breaker.open_s"),
        ("[breaker]\nfailures = 0", "breaker.failures"),
    ] {
        assert_eq!(mistakes(route), [key], "{route}");
    }
}

#[test]
fn a_tenant_has_no_channel_of_its_own() {
    // In production no route is there by itself.
    let text = format!(
        "{PRODUCTION}[senders.sms]\nkind = \"webhook\"\nurl = \"https://sms.example\"\nchannels = [\"sms\"]\n\
        secret_files = [\"/x\"]\n[tenants.bank.routes.sms]\nsenders = [\"sms\"]\n"
    );
    assert_eq!(keys_of(with(&text, &[])), ["tenants.bank.routes.sms"]);
}
