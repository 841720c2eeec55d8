//! Messages in every language and channel, with friendly and hostile values.

use std::{collections::BTreeMap, fs};

use super::*;

fn messages() -> Messages {
    Messages::load(None, "en", "Voorbeeld Bank").unwrap()
}

fn binding(values: &[(&str, &str)]) -> Binding {
    let values: BTreeMap<_, _> = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Binding::parse(values).unwrap()
}

fn render(messages: &Messages, channel: Channel, locale: Option<&str>, values: &[(&str, &str)]) -> Content {
    messages.render(&Facts {
        channel,
        locale: locale.map(|locale| Locale::parse(locale).unwrap()).as_ref(),
        action: &ActionName::parse("change_contract").unwrap(),
        code: &Digits::from_ascii(b"123456").unwrap(),
        binding: &binding(values),
        minutes: 5,
    })
}

/// The subject, the text and the HTML, where there is one.
fn parts(content: &Content) -> Vec<&str> {
    [Some(&content.text), content.html.as_ref()].into_iter().flatten().map(String::as_str).collect()
}

#[test]
fn text_04_every_message_names_brand_and_action_and_says_never_to_share() {
    let messages = messages();
    for (locale, never, minutes) in [
        ("nl", "Deel deze code nooit", "5 minuten"),
        ("de-AT", "Diesen Code niemals weitergeben", "5 Minuten"),
        ("EN-gb", "Never share this code", "5 minutes"),
    ] {
        for channel in Channel::ALL {
            let content = render(&messages, channel, Some(locale), &[]);
            for part in parts(&content) {
                for needed in ["Voorbeeld Bank", "change contract", never, minutes] {
                    assert!(part.contains(needed), "{locale} {channel:?} lacks {needed}: {part}");
                }
                assert!(!part.contains("{{") && !part.contains("http"), "{part}");
            }
            assert_eq!(content.html.is_some(), channel == Channel::Email);
            assert_eq!(content.subject.is_empty(), channel != Channel::Email);
            assert!(!content.subject.contains("123"), "a subject is shown on locked screens");
        }
    }
}

#[test]
fn bind_01_every_message_shows_what_is_approved() {
    let messages = messages();
    for channel in Channel::ALL {
        let content = render(&messages, channel, Some("nl"), &[("amount", "EUR 100.00"), ("payee", "Jansen & Co")]);
        assert!(content.text.contains("\namount: EUR 100.00\npayee: Jansen & Co\n"), "{channel:?}: {}", content.text);
        if let Some(html) = content.html {
            assert!(html.contains("amount: EUR 100.00<br>\npayee: Jansen &amp; Co</p>"), "{html}");
        }
    }
}

#[test]
fn without_a_binding_no_gap_is_left() {
    for channel in Channel::ALL {
        let content = render(&messages(), channel, None, &[]);
        assert!(!content.text.contains("\n\n\n"), "{}", content.text);
        assert!(!content.html.unwrap_or_default().contains("border-left"), "the box for the details is left out");
    }
}

#[test]
fn the_code_is_grouped_for_readers_and_spelled_for_listeners() {
    assert_eq!(["123456", "1234567", "12345678"].map(grouped), ["123 456", "123 4567", "1234 5678"]);
    assert_eq!(["123456", "1234567"].map(spoken), ["1 2 3, 4 5 6", "1 2 3, 4 5 6 7"]);
    let messages = messages();
    assert!(render(&messages, Channel::Email, None, &[]).text.contains("\n    123 456\n"));
    assert!(render(&messages, Channel::Sms, None, &[]).text.contains("123456"), "phones offer to fill it in");
    assert_eq!(render(&messages, Channel::Voice, None, &[]).text.matches("1 2 3, 4 5 6").count(), 2);
}

#[test]
fn text_07_values_stay_as_they_are() {
    let messages = messages();
    for hostile in
        ["{{7*7}}", "{{ code }}", "{% raw %}", "${jndi:ldap://x}", "%s%n", "{0.__class__}", "<script>alert('1')</script>"]
    {
        for channel in Channel::ALL {
            let content = render(&messages, channel, None, &[("payee", hostile)]);
            assert!(content.text.contains(&format!("payee: {hostile}\n")), "{channel:?}: {}", content.text);
            if let Some(html) = &content.html {
                let escaped = minijinja::HtmlEscape(hostile).to_string();
                assert!(html.contains(&escaped), "{html}");
                assert!(!html.contains("<script") && !html.contains("alert('"), "{html}");
            }
        }
    }
}

#[test]
fn mail_02_a_locale_or_brand_with_line_breaks_never_gets_in() {
    assert!(Locale::parse("nl\r\nBcc: b@example.org").is_err());
    assert!(Messages::load(None, "nl", "Bank\r\nBcc: b@example.org").is_err());
}

#[test]
fn a_language_without_texts_gets_the_default_language() {
    let messages = Messages::load(None, "nl", "Bank").unwrap();
    for locale in [None, Some("fr"), Some("nl-BE")] {
        assert!(render(&messages, Channel::Sms, locale, &[]).text.contains("Deel deze code nooit"), "{locale:?}");
    }
    let french = Locale::parse("fr").unwrap();
    assert_eq!(messages.explain(Some(&french), Explanation::Approved), "U hebt bevestigd dat u het bent.");
}

#[test]
fn one_minute_is_not_five() {
    let (action, code) = (ActionName::parse("login").unwrap(), Digits::from_ascii(b"123456").unwrap());
    let text = |locale: &str, minutes| {
        let locale = Locale::parse(locale).unwrap();
        let binding = Binding::default();
        let facts =
            Facts { channel: Channel::Sms, locale: Some(&locale), action: &action, code: &code, binding: &binding, minutes };
        messages().render(&facts).text
    };
    assert!(text("nl", 0).contains("nog 1 minuut geldig"));
    assert!(text("de", 1).contains("noch 1 Minute gültig"));
    assert!(text("en", 1).contains("valid for 1 minute."));
}

#[test]
fn an_operators_file_replaces_one_text_and_an_actions_file_only_that_actions() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("nl")).unwrap();
    let body = "{{ brand }} {{ code }}\n{{ details }}\n{{ never_share }}";
    fs::write(dir.path().join("nl/sms.txt"), format!("GENERAL {{{{ action }}}} {body}")).unwrap();
    fs::write(dir.path().join("nl/change_contract.whatsapp.txt"), format!("OWN {body}")).unwrap();
    let messages = Messages::load(Some(dir.path()), "en", "Bank").unwrap();
    let text = |channel, locale| render(&messages, channel, Some(locale), &[]).text;
    assert!(text(Channel::Sms, "nl").starts_with("GENERAL"));
    assert!(text(Channel::Whatsapp, "nl").starts_with("OWN"));
    assert!(text(Channel::Sms, "en").starts_with("Bank"), "another language keeps its own");
    assert!(text(Channel::Voice, "nl").starts_with("Hallo"), "another form keeps its own");
    let login = ActionName::parse("login").unwrap();
    let others = messages.template(Language::Nl, &login, Form::Whatsapp);
    assert!(others.has(template::Place::Action), "another action keeps the general text");
}

#[test]
fn code_12_facts_and_contents_print_no_code() {
    let content = render(&messages(), Channel::Email, None, &[("payee", "Jansen")]);
    let (action, code) = (ActionName::parse("login").unwrap(), Digits::from_ascii(b"123456").unwrap());
    let binding = binding(&[("payee", "Jansen")]);
    let facts = Facts { channel: Channel::Sms, locale: None, action: &action, code: &code, binding: &binding, minutes: 5 };
    let printed = format!("{content:?} {facts:?} {:?}", messages());
    assert!(!printed.contains("123456") && !printed.contains("123 456") && !printed.contains("Jansen"), "{printed}");
}
