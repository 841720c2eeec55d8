//! Settings of senders: presets, HTTP APIs, push services, and the operator's own.

use super::*;

/// A section with everything that a preset accepts.
pub(super) fn preset_section(kind: &str, keys: &[&str]) -> String {
    let keys: Vec<String> = keys
        .iter()
        .map(|key| match key.strip_suffix("_file") {
            Some(name) => format!("{key} = \"/k/{name}\""),
            None => format!("{key} = \"v1-{key}\""),
        })
        .collect();
    format!("[senders.p]\nkind = \"{kind}\"\n{}\n", keys.join("\n"))
}

/// A preset: its kind, its required keys, its optional keys, and the channels that it carries with all of them.
struct Preset(
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static [Channel],
);

const PRESETS: [Preset; 6] = [
    Preset(
        "twilio",
        &["account_sid", "auth_token_file", "from"],
        &["whatsapp_from", "whatsapp_content_sid"],
        &[Channel::Sms, Channel::Whatsapp],
    ),
    Preset(
        "vonage",
        &["api_key", "api_secret_file", "from"],
        &[],
        &[Channel::Sms],
    ),
    Preset(
        "vonage_voice",
        &["application_id", "private_key_file", "voice_from"],
        &[],
        &[Channel::Voice],
    ),
    Preset(
        "messagebird",
        &["access_key_file", "from"],
        &[],
        &[Channel::Sms],
    ),
    Preset(
        "infobip",
        &["base_url", "api_key_file", "from"],
        &[],
        &[Channel::Sms],
    ),
    Preset(
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

impl Preset {
    fn all_keys(&self) -> Vec<&'static str> {
        [self.1, self.2].concat()
    }

    /// Adds receipts if it makes voice calls, because the provider asks during the call what to say.
    fn with(&self, keys: &[&str], more: &str) -> Result<Settings, Mistakes> {
        let section = preset_section(self.0, keys);
        match self.3 {
            [Channel::Voice] => {
                let public = ("HTTP__PUBLIC_URL", "https://otp.bank.example");
                let receipts = "receipts.secret_files = [\"/k/r\"]\n";
                with(&format!("{section}{receipts}{more}"), &[public])
            }
            _ => with(&format!("{section}{more}"), &[]),
        }
    }
}

#[test]
fn every_preset_is_read_with_its_keys() {
    for preset in PRESETS {
        let kind = preset.0;
        let settings = preset.with(&preset.all_keys(), "").unwrap();
        let http: &HttpApi = sender(&settings, "p");
        let channels: Vec<_> = http.requests.keys().copied().collect();
        assert_eq!(channels, preset.3, "{kind}");
        assert!(
            http.answers.reference_pointer.is_some(),
            "{kind}: receipts need a reference"
        );
        assert_eq!(
            with(settings.effective(), &[]).unwrap().effective(),
            settings.effective()
        );
    }
}

#[test]
fn every_preset_misses_each_key_that_it_requires() {
    for preset in PRESETS {
        let (kind, all) = (preset.0, preset.all_keys());
        for missing in preset.1 {
            let rest: Vec<&str> = all.iter().copied().filter(|key| key != missing).collect();
            let keys = keys_of(preset.with(&rest, ""));
            // Without the number for one channel, the other channel still works.
            let spare = (kind, *missing) == ("twilio", "from");
            assert_eq!(keys.is_empty(), spare, "{kind} without {missing}: {keys:?}");
        }
        let unknown = keys_of(preset.with(&all, "color = \"red\"\n"));
        assert_eq!(unknown, ["senders.p.color"]);
    }
    let none = preset_section("twilio", &["account_sid", "auth_token_file"]);
    let mistakes = with(&none, &[]).unwrap_err().to_string();
    assert!(
        mistakes.contains("senders.p: carries no channel; set from, or voice_from, http.public_url and receipts, or"),
        "{mistakes}"
    );
}

/// A provider without a preset.
const ACME: &str = r#"
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

#[test]
fn a_provider_is_described_by_settings_alone() {
    let settings = with(ACME, &[]).unwrap();
    let http: &HttpApi = sender(&settings, "acme");
    let request = &http.requests[&Channel::Voice];
    assert_eq!(
        (request.method, request.headers[0].0.as_str()),
        (Method::Put, "X-Request-Id")
    );
    assert_eq!(http.answers.give_up_codes, ["4", "bad"].map(Pattern::new));
    assert_eq!(http.answers.success_status, [202]);
    assert_eq!(
        with(settings.effective(), &[]).unwrap().effective(),
        settings.effective()
    );
    // A sender that cannot be read is not also a mistake in its route.
    let broken = |from: &str, to: &str| keys_of(with(&ACME.replace(from, to), &[]));
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
    let voice_only = ACME.replace("[\"sms\", \"voice\"]", "[\"voice\"]");
    assert_eq!(
        keys_of(with(&voice_only, &[])),
        ["routes.sms.senders"],
        "it does not carry SMS"
    );
}

#[test]
fn push_services_and_amazon_are_read_and_miss_each_key_that_they_require() {
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
}

#[test]
fn all_mistakes_about_push_services_and_amazon_are_told_together() {
    let all_wrong = "[senders.a]\nkind = \"apns\"\nkey_file = \"/k/x\"\nkey_id = \"abc\"\nteam_id = \"DEF123GHI-\"\ntopic = \"a b\"\n\
                     timeout_ms = 1\n[senders.b]\nkind = \"webpush\"\nkey_file = \"/k/x\"\ncontact = \"security@bank.example\"\nhosts = [\"*.com\"]\n\
                     [senders.c]\nkind = \"sns\"\nregion = \"EU\"\naccess_key_id_file = \"/k/x\"\nsecret_access_key_file = \"/k/x\"\n\
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

const GATEWAY: &str = r#"
[senders.gateway]
kind = "http"
channels = ["sms"]
url = "https://sms.example.org/send"
method = "GET"
secrets = { password = "/k/gateway" }
query = { to = "{{ address_digits }}", text = "{{ text }}", pass = "{{ password }}" }
answer = "text"
success_codes = ["OK: *"]
give_up_codes = ["ERR: 3"]
reference_pattern = "OK: *"
[routes.sms]
senders = ["gateway"]
"#;

#[test]
fn send_20_a_gateway_with_query_and_text_is_described_by_settings_alone() {
    let settings = with(GATEWAY, &[]).unwrap();
    let http: &HttpApi = sender(&settings, "gateway");
    let request = &http.requests[&Channel::Sms];
    assert_eq!((request.method, request.query.len()), (Method::Get, 3));
    assert_eq!(request.body, Body::None);
    assert_eq!(http.answers.form, AnswerForm::Text);
    assert_eq!(http.secrets.keys().collect::<Vec<_>>(), ["password"]);
    let warned = settings.warnings();
    assert_eq!(warned[0].key, "senders.gateway.query");
    assert_eq!(
        with(settings.effective(), &[]).unwrap().effective(),
        settings.effective()
    );
    let broken = |from: &str, to: &str| keys_of(with(&GATEWAY.replace(from, to), &[]));
    for (from, to, key) in [
        (
            "method = \"GET\"",
            "method = \"GET\"\ntext = \"{{ text }}\"",
            "text",
        ),
        ("query = {", "form = {", "form"),
        ("query = {", "#", "query"),
        (
            "method = \"GET\"\n",
            "xml = \"<a/>\"\ntext = \"a\"\n",
            "xml",
        ),
        ("success_codes = [\"OK: *\"]\n", "", "success_codes"),
        ("\"OK: *\"\n[", "\"OK\"\n[", "reference_pattern"),
        ("\"OK: *\"\n[", "\"1701|*|*\"\n[", "reference_pattern"),
        ("method", "charset = \"cp1252\"\nmethod", "charset"),
        (
            "method = \"GET\"\n",
            "charset = \"latin1\"\njson = '{}'\n",
            "charset",
        ),
        (
            "answer = \"text\"",
            "answer = \"text\"\ncode_pointer = \"/a\"",
            "code_pointer",
        ),
        ("answer = \"text\"", "answer = \"html\"", "answer"),
        ("{ password =", "{ code =", "secrets"),
    ] {
        let told = broken(from, to);
        let key = format!("senders.gateway.{key}");
        assert!(told.contains(&key), "{from} {to}: {told:?}");
    }
    let of_json = broken("answer = \"text\"", "code_pointer = \"/a\"");
    assert_eq!(of_json, ["senders.gateway.reference_pattern"]);
}
