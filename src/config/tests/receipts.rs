//! Settings for receipts, and for the URL that providers call, correct and wrong.

use super::{HttpApi, PRODUCTION, keys_of, sender, senders::preset_section, with};
use crate::{config::Settings, domain::delivery::callback::Place, http::callbacks::Verifier};

#[test]
fn the_public_address_is_encrypted_and_nothing_but_an_address() {
    let of = |text: &str| {
        with(&format!("[http]\npublic_url = \"{text}\"\n"), &[])
            .map(|settings| settings.http.public_url)
    };
    assert_eq!(of("").unwrap(), None);
    for (text, kept) in [
        ("https://otp.bank.example", "https://otp.bank.example"),
        (
            "https://otp.bank.example:8443/otp/",
            "https://otp.bank.example:8443/otp",
        ),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ] {
        assert_eq!(of(text).unwrap().as_deref(), Some(kept));
    }
    for bad in [
        "otp.bank.example",
        "ftp://otp.bank.example",
        "https://",
        "https://a@b.example",
        "https://b.example/?x",
        "https://b/#x",
    ] {
        assert_eq!(
            keys_of(with(&format!("[http]\npublic_url = \"{bad}\"\n"), &[])),
            ["http.public_url"],
            "{bad}"
        );
    }
    assert_eq!(
        keys_of(with(
            PRODUCTION,
            &[("HTTP__PUBLIC_URL", "http://127.0.0.1:8080")]
        )),
        ["http.public_url"]
    );
}

fn receives(settings: &Settings) -> bool {
    settings.senders["p"].receiver.is_some()
}

#[test]
fn hook_02_the_token_of_a_preset_verifies_its_receipts() {
    let public = &[("HTTP__PUBLIC_URL", "https://otp.bank.example")];
    let twilio = preset_section(
        "twilio",
        &["account_sid", "auth_token_file", "from", "voice_from"],
    );
    let settings = with(&twilio, public).unwrap();
    let own = settings.senders["p"].receiver.as_ref().unwrap();
    assert!(
        matches!(own.verifier, Verifier::Twilio(_)),
        "its own token signs"
    );
    assert!(!receives(&with(&twilio, &[]).unwrap()), "nobody could call");
}

#[test]
fn hook_02_receipts_need_an_address_secrets_and_a_plain_name() {
    let public = &[("HTTP__PUBLIC_URL", "https://otp.bank.example")];
    for (kind, keys, more) in [
        ("vonage", &["api_key", "api_secret_file", "from"][..], ""),
        (
            "infobip",
            &["base_url", "api_key_file", "from"],
            "receipts.username = \"i\"\n",
        ),
        (
            "webhook",
            &[],
            "channels = [\"sms\"]\nurl = \"https://h.example\"\nsecret_files = [\"/k/a\"]\n",
        ),
        (
            "plugin",
            &[],
            "channels = [\"sms\"]\naddress = \"http://127.0.0.1:1\"\n",
        ),
    ] {
        let bare = format!("{}{more}", preset_section(kind, keys));
        let full = format!("{bare}receipts.secret_files = [\"/k/r\"]\n");
        let settings = with(&full, public).unwrap();
        assert!(receives(&settings), "{kind}");
        let again = with(settings.effective(), &[]).unwrap();
        assert_eq!(again.effective(), settings.effective());
        assert_eq!(
            keys_of(with(&full, &[])),
            ["senders.p.receipts"],
            "{kind}: no address"
        );
        let empty = format!("{bare}receipts.secret_files = []\n");
        assert_eq!(
            keys_of(with(&empty, public)),
            ["senders.p.receipts.secret_files"],
            "{kind}: no secret"
        );
        let named = full.replace("senders.p", "senders.P");
        assert_eq!(
            keys_of(with(&named, public)),
            ["senders.P"],
            "{kind}: a name for URLs"
        );
    }
    let nameless = format!(
        "{}receipts.secret_files = [\"/k/r\"]\n",
        preset_section("infobip", &["base_url", "api_key_file", "from"])
    );
    assert_eq!(
        keys_of(with(&nameless, public)),
        ["senders.p.receipts.username"]
    );
}

#[test]
fn text_06_voice_of_a_preset_needs_an_address_for_the_key_press() {
    let route = "[routes.voice]\nsenders = [\"p\"]\n";
    let twilio = preset_section(
        "twilio",
        &["account_sid", "auth_token_file", "from", "voice_from"],
    ) + route;
    let public = &[("HTTP__PUBLIC_URL", "https://otp.bank.example")];
    assert!(with(&twilio, public).is_ok());
    let mistakes = with(&twilio, &[]).unwrap_err();
    assert_eq!(
        mistakes
            .0
            .iter()
            .map(|mistake| mistake.key.as_str())
            .collect::<Vec<_>>(),
        ["routes.voice.senders"]
    );
    assert!(
        mistakes
            .to_string()
            .contains("does not carry voice without http.public_url and receipts"),
        "{mistakes}"
    );
}

#[test]
fn receipts_of_a_provider_are_described_by_settings_alone() {
    let text = r#"
[http]
public_url = "https://otp.bank.example"
[senders.acme]
kind = "http"
channels = ["sms"]
url = "https://api.acme.example/v1/messages"
json = '{"To": "{{ address }}", "Text": "{{ text }}", "Tell": "{{ callback }}"}'
[senders.acme.receipts]
scheme = "meta"
secret_files = ["/k/old", "/k/new"]
verify_token_file = "/k/verify"
body = "form"
items = "/results/*"
status = ["/a/status", "/status"]
delivered = ["DELIVRD"]
undelivered = ["UNDELIV", "EXPIRED"]
"#;
    let settings = with(text, &[]).unwrap();
    let receiver = settings.senders["acme"].receiver.as_ref().unwrap();
    assert!(matches!(&receiver.verifier, Verifier::Meta(keys) if keys.len() == 2));
    assert!(receiver.challenge.is_some());
    assert_eq!(receiver.format.place, Place::Form);
    assert_eq!(receiver.format.status, ["/a/status", "/status"]);
    assert_eq!(
        receiver.format.reference,
        ["/data/reference"],
        "what is left out is our own form"
    );
    let broken = |from: &str, to: &str| keys_of(with(&text.replace(from, to), &[]));
    assert_eq!(
        broken("\"meta\"", "\"mta\""),
        ["senders.acme.receipts.scheme"]
    );
    assert_eq!(
        broken("scheme = \"meta\"", ""),
        ["senders.acme.receipts.scheme"]
    );
    assert_eq!(
        broken("\"/status\"", "\"status\""),
        ["senders.acme.receipts.status"]
    );
    assert_eq!(
        broken("\"/results/*\"", "\"results\""),
        ["senders.acme.receipts.items"]
    );
    assert_eq!(
        broken("body = \"form\"", "boddy = \"form\""),
        ["senders.acme.receipts.boddy"]
    );
}

#[test]
fn send_20_what_a_gateways_receipts_need_is_read_and_checked() {
    let text = r#"
[http]
public_url = "https://otp.bank.example"
[senders.gateway]
kind = "http"
channels = ["sms"]
url = "https://sms.example.org/send"
text = "{{ text }}"
headers = { To = "{{ address }}", Report = "{{ callback }}?status=%d" }
[senders.gateway.receipts]
scheme = "basic"
username = "gateway"
secret_files = ["/k/gateway"]
login_in_url = true
body = "query"
body_kib_max = 3072
status = ["/status"]
delivered = ["1"]
ignored = ["4"]
"#;
    let settings = with(text, &[]).unwrap();
    let receiver = settings.senders["gateway"].receiver.as_ref().unwrap();
    assert_eq!(receiver.body_bytes_max, 3 * 1024 * 1024);
    assert_eq!(receiver.format.ignored, ["4"]);
    let http: &HttpApi = sender(&settings, "gateway");
    let login = http.addresses.as_ref().unwrap().login.as_ref().unwrap();
    assert!(login.expose().starts_with("gateway:"));
    let shown = format!("{http:?}");
    assert!(!shown.contains(login.expose()), "{shown}");
    assert_eq!(
        with(settings.effective(), &[]).unwrap().effective(),
        settings.effective()
    );
    let broken = |from: &str, to: &str| keys_of(with(&text.replace(from, to), &[]));
    for (from, to, key) in [
        ("\"gateway\"\nsecret", "\"g:w\"\nsecret", "username"),
        ("3072", "3073", "body_kib_max"),
        ("3072", "0", "body_kib_max"),
        (
            "login_in_url = true",
            "login_in_url = \"x\"",
            "login_in_url",
        ),
        (
            "\"basic\"\nusername = \"gateway\"",
            "\"meta\"",
            "login_in_url",
        ),
    ] {
        let told = broken(from, to);
        assert_eq!(told, [format!("senders.gateway.receipts.{key}")], "{to}");
    }
    let small = with(&text.replace("body_kib_max = 3072\n", ""), &[]).unwrap();
    let receiver = small.senders["gateway"].receiver.as_ref().unwrap();
    assert_eq!(receiver.body_bytes_max, 64 * 1024, "usually small");
}
