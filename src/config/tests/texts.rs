//! Titles, labels, languages and the other texts of settings.

use super::*;

fn mistakes(text: &str) -> Vec<String> {
    let refused = with(text, &[]).err().unwrap_or_default();
    refused
        .0
        .into_iter()
        .map(|mistake| format!("{}: {}", mistake.key, mistake.what))
        .collect()
}

#[test]
fn bind_12_titles_and_labels_are_read_by_language() {
    let settings = with(
        "[actions.rent]\ntitle = { nl = \"de huur\", pt-BR = \"o aluguel\" }\n\
         [labels]\namount = { nl = \"bedrag\" }\nzq_tier = { en = \"tier\" }\n\
         [messages]\nweb_host = \"bank.example\"\nweb_embedded_host = \"pay.example\"\nweb_embedded_mark = \"%\"\n\
         [tenants.default]\ndefault_language = \"nl\"\n",
        &[("ACTIONS__LOGIN__TITLE__DE", "die Anmeldung")],
    )
    .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let title = |name: &str| &settings.messages.titles[&ActionName::parse(name).unwrap()];
    assert_eq!(title("rent")["nl"], "de huur");
    assert_eq!(title("rent").len(), 2);
    assert_eq!(title("login")["de"], "die Anmeldung");
    assert_eq!(settings.messages.labels["zq_tier"]["en"], "tier");
    assert_eq!(
        settings.messages.sms.web_embedded_mark,
        crate::message::EmbeddedMark::Percent
    );
    let tenant = settings.tenants.values().next().unwrap();
    assert_eq!(tenant.default_language.as_deref(), Some("nl"));
    assert!(
        settings.effective().contains("\"de huur\""),
        "{}",
        settings.effective()
    );
}

#[test]
fn bind_12_texts_of_the_wrong_shape_are_refused_by_their_key() {
    let found = mistakes(
        "[actions.rent]\ntitle = \"the rent\"\n[labels]\n\"Amount x\" = { en = \"amount\" }\npayee = 7\n\
         [messages]\ndefault_language = \"dutch language\"\nweb_embedded_mark = \"#\"\n\
         [tenants.default]\ndefault_language = \"x y\"\n",
    );
    for begin in [
        "actions.rent.title: must be a table of texts",
        "labels.Amount x: is not a bound name",
        "labels.payee: must be a table of texts",
        "messages.default_language: is \"dutch language\"; it must be a language tag",
        "messages.web_embedded_mark: is \"#\"; it must be one of @, %",
        "tenants.default.default_language: is ",
    ] {
        assert!(
            found.iter().any(|mistake| mistake.starts_with(begin)),
            "{begin}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn mail_03_a_cookie_of_the_host_alone_needs_https() {
    let with_url = |url: &str| {
        mistakes(&format!(
            "[http]\npublic_url = \"{url}\"\nhost_cookie_only = true\n"
        ))
    };
    assert_eq!(with_url("https://otp.bank.example"), [""; 0]);
    for url in ["http://127.0.0.1:8080", ""] {
        let found = with_url(url);
        assert!(
            matches!(&found[..], [one] if one.starts_with("http.host_cookie_only: needs a public_url with https://")),
            "{found:#?}"
        );
    }
    let found = with_url("https://otp.bank.example:99999");
    assert!(
        matches!(&found[..], [one] if one.starts_with("http.public_url: ")),
        "{found:#?}"
    );
}
