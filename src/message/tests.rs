//! Messages in every language and channel, with ordinary and hostile values.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::*;

fn wording<'a>(default_language: &'a str, brand: &'a str) -> Wording<'a> {
    Wording {
        default_language,
        brand,
        actions: vec![ActionName::parse("change_contract").unwrap()],
        ..Wording::default()
    }
}

fn load(default_language: &str, brand: &str) -> Result<Messages, Vec<TemplateMistake>> {
    Messages::load(&wording(default_language, brand))
}

fn messages() -> Messages {
    load("en", "Voorbeeld Bank").unwrap()
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn binding(values: &[(&str, &str)]) -> Binding {
    let values: BTreeMap<_, _> = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Binding::parse(values).unwrap()
}

fn render(
    messages: &Messages,
    channel: Channel,
    locale: Option<&str>,
    values: &[(&str, &str)],
) -> Content {
    messages.render(&Facts {
        tenant: &tenant("bank"),
        channel,
        locale: locale.map(|locale| Locale::parse(locale).unwrap()).as_ref(),
        action: &ActionName::parse("change_contract").unwrap(),
        code: &Digits::from_ascii(b"123456").unwrap(),
        binding: &binding(values),
        minutes: 5,
        link: None,
    })
}

/// What the action of these tests is called in each language.
const CHANGE_CONTRACT: [(&str, &str); 5] = [
    ("nl", "een contractwijziging"),
    ("de", "Vertragsänderung"),
    ("en", "changing your contract"),
    ("es", "cambiar su contrato"),
    ("fr", "modifier le contrat"),
];

/// The facts of an SMS whose code is valid for five minutes.
fn facts<'a>(
    tenant: &'a TenantId,
    action: &'a ActionName,
    code: &'a Digits,
    binding: &'a Binding,
) -> Facts<'a> {
    Facts {
        tenant,
        channel: Channel::Sms,
        locale: None,
        action,
        code,
        binding,
        minutes: 5,
        link: None,
    }
}

/// The full text of a message, in each form that the channel has.
fn parts(content: &Content) -> Vec<&str> {
    [Some(whole(content)), content.html.as_deref()]
        .into_iter()
        .flatten()
        .collect()
}

/// The full plain text: for a push message what the opened app shows.
fn whole(content: &Content) -> &str {
    content.opened.as_ref().unwrap_or(&content.text)
}

#[test]
fn text_04_every_message_names_brand_and_action_and_says_never_to_share() {
    let messages = messages();
    for (locale, title, never, minutes) in [
        (
            "nl",
            "een contractwijziging",
            "Deel deze code nooit",
            "5 minuten",
        ),
        (
            "de-AT",
            "Vertragsänderung",
            "Diesen Code niemals weitergeben",
            "5 Minuten",
        ),
        (
            "EN_gb",
            "changing your contract",
            "Never share this code",
            "5 minutes",
        ),
        (
            "es-MX",
            "cambiar su contrato",
            "No comparta nunca est",
            "5 minutos",
        ),
        (
            "fr",
            "modifier le contrat",
            "Ne partagez jamais ce code",
            "5 minutes",
        ),
    ] {
        for channel in Channel::ALL {
            let content = render(&messages, channel, Some(locale), &[]);
            for part in parts(&content) {
                for needed in ["Voorbeeld Bank", title, never, minutes] {
                    assert!(
                        part.contains(needed),
                        "{locale} {channel:?} lacks {needed}: {part}"
                    );
                }
                assert!(!part.contains("{{") && !part.contains("http"), "{part}");
            }
            assert_eq!(content.html.is_some(), channel == Channel::Email);
            assert_eq!(
                content.subject.is_empty(),
                ![Channel::Email, Channel::Push].contains(&channel)
            );
            assert!(
                !content.subject.contains("123"),
                "a subject is shown on locked screens"
            );
        }
    }
}

/// The code may be entered on a page, in an app or on a telephone's keypad, and the text
/// does not know which.
#[test]
fn text_04_no_text_names_one_place_for_the_answer() {
    let places = [
        ("nl", &["pagina", "website", "app", "toets", "telefoon"][..]),
        ("de", &["seite", "webseite", "app", "taste", "telefon"][..]),
        ("en", &["page", "site", "app", "keypad", "phone"][..]),
        (
            "es",
            &["página", "sitio", "app", "aplicación", "tecla", "teléfono"][..],
        ),
        (
            "fr",
            &["page", "site", "app", "appli", "clavier", "téléphone"][..],
        ),
    ];
    let messages = load("en", "Bank").unwrap();
    for (language, words) in places {
        for channel in Channel::ALL {
            let content = render(&messages, channel, Some(language), &[]);
            // The style sheet is not part of the text.
            let body = content
                .html
                .as_deref()
                .and_then(|html| html.split_once("<body"))
                .map(|(_, body)| without_tags(body));
            for text in [whole(&content).to_owned(), body.unwrap_or_default()] {
                let text = text.to_lowercase();
                let found = |word: &&&str| {
                    text.split(|c: char| !c.is_alphabetic() && c != ' ')
                        .any(|part| holds(part, word))
                };
                let named: Vec<_> = words.iter().filter(found).collect();
                assert!(
                    named.is_empty(),
                    "{language} {channel:?} speaks of {named:?}: {text}"
                );
            }
        }
    }
}

/// Whether a text contains these words, at the beginning of a word.
fn holds(text: &str, words: &str) -> bool {
    text.starts_with(words) || text.contains(&format!(" {words}"))
}

fn without_tags(html: &str) -> String {
    html.split('<')
        .map(|piece| piece.split_once('>').map_or("", |(_, text)| text))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn bind_01_every_message_shows_what_is_approved() {
    let messages = messages();
    for channel in Channel::ALL {
        let content = render(
            &messages,
            channel,
            Some("nl"),
            &[("amount", "EUR 100.00"), ("new_payee", "Jansen & Co")],
        );
        let text = whole(&content);
        assert!(
            text.contains("\nbedrag: EUR 100.00\nnieuwe begunstigde: Jansen & Co\n"),
            "{channel:?}: {text}"
        );
        if let Some(html) = content.html {
            assert!(
                html.contains("bedrag: <bdi>EUR 100.00</bdi><br>\nnieuwe begunstigde: <bdi>Jansen &amp; Co</bdi></p>"),
                "{html}"
            );
        }
    }
}

#[test]
fn chan_07_a_locked_screen_shows_neither_the_code_nor_what_is_approved() {
    let messages = messages();
    for (language, title) in CHANGE_CONTRACT {
        let content = render(
            &messages,
            Channel::Push,
            Some(language),
            &[("payee", "Jansen")],
        );
        for shown in [&content.subject, &content.text] {
            assert!(
                !shown.contains(|c: char| c.is_ascii_digit()) && !shown.contains("Jansen"),
                "{shown}"
            );
            assert!(shown.contains(title), "{shown}");
        }
        let opened = content.opened.unwrap();
        assert!(
            opened.contains("123456") && opened.contains(": Jansen"),
            "{opened}"
        );
    }
    assert!(Channel::ALL.iter().all(|channel| {
        render(&messages, *channel, None, &[]).opened.is_some() == (*channel == Channel::Push)
    }));
}

/// Titles and labels of the settings are used too; what has neither is told in words that fit everything.
#[test]
fn bind_12_no_customer_reads_a_raw_identifier_in_any_language() {
    let messages = messages();
    let code = Digits::from_ascii(b"123456").unwrap();
    let values = [
        ("amount", "EUR 1"),
        ("zq_level", "7"),
        ("zq_mode", "8"),
        ("new_iban", "9"),
    ];
    let binding = binding(&values);
    for action in ["change_iban", "payment", "zq_special_2", "reset-all"] {
        let action = ActionName::parse(action).unwrap();
        for language in built_in::LANGUAGES {
            let locale = Locale::parse(language).unwrap();
            for channel in Channel::ALL {
                let content = messages.render(&Facts {
                    channel,
                    locale: Some(&locale),
                    ..facts(&tenant("bank"), &action, &code, &binding)
                });
                let speech = content.speech.as_ref().map(|speech| speech.ssml.as_str());
                let shown = [
                    Some(content.subject.as_str()),
                    Some(whole(&content)),
                    content.html.as_deref(),
                    speech,
                ];
                for text in shown.into_iter().flatten() {
                    let lower = text.to_lowercase();
                    for raw in [
                        "change_iban",
                        "change iban",
                        "zq",
                        "special 2",
                        "new_iban",
                        "reset-all",
                        "mode",
                    ] {
                        assert!(
                            !lower.contains(raw),
                            "{language} {channel:?} has {raw}: {text}"
                        );
                    }
                }
                assert_eq!(&*content.language, language);
            }
            let page = messages.page(Reader {
                locale: Some(&locale),
                ..Reader::default()
            });
            let summary = page.summary(&action, &binding);
            let told = format!("{} {:?}", summary.title, summary.details);
            assert!(!told.contains('_') && !told.contains("zq"), "{told}");
            let labels: BTreeSet<_> = summary.details.iter().map(|(label, _)| label).collect();
            assert_eq!(
                labels.len(),
                values.len(),
                "each value has a label of its own: {told}"
            );
        }
    }
}

#[test]
fn bind_11_messages_for_different_actions_read_differently() {
    let messages = messages();
    let code = Digits::from_ascii(b"123456").unwrap();
    for language in built_in::LANGUAGES {
        let locale = Locale::parse(language).unwrap();
        let mut texts = BTreeSet::new();
        for action in [
            "login",
            "payment",
            "change_iban",
            "change_address",
            "change_contract",
        ] {
            let action = ActionName::parse(action).unwrap();
            let content = messages.render(&Facts {
                locale: Some(&locale),
                ..facts(&tenant("bank"), &action, &code, &binding(&[]))
            });
            texts.insert(content.text);
        }
        assert_eq!(texts.len(), 5, "{language}: {texts:?}");
    }
}

#[test]
fn bind_12_the_code_of_a_mail_is_one_run_of_digits() {
    let messages = messages();
    for language in built_in::LANGUAGES {
        let content = render(&messages, Channel::Email, Some(language), &[]);
        for part in parts(&content) {
            assert_eq!(part.matches("123456").count(), 1, "{part}");
        }
        let html = content.html.unwrap();
        let (_, after) = html.split_once("123456").unwrap();
        assert!(
            after.starts_with("</p>") && html.contains("letter-spacing"),
            "{html}"
        );
    }
}

#[test]
fn without_a_binding_no_gap_is_left() {
    for channel in Channel::ALL {
        let content = render(&messages(), channel, None, &[]);
        assert!(!whole(&content).contains("\n\n\n"), "{}", whole(&content));
        assert!(
            !content.html.unwrap_or_default().contains("border-left"),
            "the box for the details is left out"
        );
    }
}

#[test]
fn the_code_is_one_run_for_readers_and_spelled_for_listeners() {
    assert_eq!(
        ["123456", "1234567"].map(spoken),
        ["1 2 3, 4 5 6", "1 2 3, 4 5 6 7"]
    );
    let messages = messages();
    assert!(
        render(&messages, Channel::Email, None, &[])
            .text
            .contains("\n    123456\n"),
        "a mail is copied from"
    );
    assert!(
        render(&messages, Channel::Sms, None, &[])
            .text
            .contains("123456"),
        "phones offer to fill it in"
    );
    let whatsapp = render(&messages, Channel::Whatsapp, None, &[]);
    assert!(whatsapp.text.contains("*123456*"), "{}", whatsapp.text);
    let opened = render(&messages, Channel::Push, None, &[]).opened.unwrap();
    assert!(opened.contains("123456"), "{opened}");
    assert_eq!(
        render(&messages, Channel::Voice, None, &[])
            .text
            .matches("1 2 3, 4 5 6")
            .count(),
        2
    );
}

#[test]
fn text_07_values_stay_as_they_are() {
    let messages = messages();
    for hostile in [
        "{{7*7}}",
        "{{ code }}",
        "{% raw %}",
        "${jndi:ldap://x}",
        "%s%n",
        "{0.__class__}",
        "<script>alert('1')</script>",
    ] {
        for channel in Channel::ALL {
            let content = render(&messages, channel, None, &[("payee", hostile)]);
            let text = whole(&content);
            assert!(
                text.contains(&format!("payee: {hostile}\n")),
                "{channel:?}: {text}"
            );
            if let Some(html) = &content.html {
                let escaped = minijinja::HtmlEscape(hostile).to_string();
                assert!(html.contains(&escaped), "{html}");
                assert!(
                    !html.contains("<script") && !html.contains("alert('"),
                    "{html}"
                );
            }
        }
    }
}

#[test]
fn mail_02_a_locale_or_brand_with_line_breaks_never_gets_in() {
    assert!(Locale::parse("nl\r\nBcc: b@example.org").is_err());
    assert!(load("nl", "Bank\r\nBcc: b@example.org").is_err());
}

#[test]
fn a_language_without_texts_gets_the_default_language() {
    let messages = load("nl", "Bank").unwrap();
    for locale in [None, Some("pl"), Some("nl-BE")] {
        assert!(
            render(&messages, Channel::Sms, locale, &[])
                .text
                .contains("Deel deze code nooit"),
            "{locale:?}"
        );
    }
    let polish = Locale::parse("pl").unwrap();
    assert_eq!(
        messages.explain(&tenant("bank"), Some(&polish), Explanation::Approved),
        "U hebt bevestigd dat u het bent."
    );
}

#[test]
fn one_minute_is_not_five() {
    let (action, code) = (
        ActionName::parse("login").unwrap(),
        Digits::from_ascii(b"123456").unwrap(),
    );
    let text = |locale: &str, minutes| {
        let locale = Locale::parse(locale).unwrap();
        let binding = Binding::default();
        messages()
            .render(&Facts {
                locale: Some(&locale),
                minutes,
                ..facts(&tenant("bank"), &action, &code, &binding)
            })
            .text
    };
    assert!(text("nl", 0).contains("nog 1 minuut geldig"));
    assert!(text("de", 1).contains("1 Minute gültig"));
    assert!(text("en", 1).contains("valid for 1 minute."));
}

#[test]
fn an_operators_file_replaces_one_text_and_an_actions_file_only_that_actions() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("nl")).unwrap();
    let body = "{{ brand }} {{ code }}\n{{ details }}\n{{ never_share }}";
    fs::write(
        dir.path().join("nl/sms.txt"),
        format!("GENERAL {{{{ action }}}} {body}"),
    )
    .unwrap();
    fs::write(
        dir.path().join("nl/change_contract.whatsapp.txt"),
        format!("OWN {body}"),
    )
    .unwrap();
    let messages = Messages::load(&Wording {
        templates_dir: Some(dir.path()),
        ..wording("en", "Bank")
    })
    .unwrap();
    let text = |channel, locale| render(&messages, channel, Some(locale), &[]).text;
    assert!(text(Channel::Sms, "nl").starts_with("GENERAL"));
    assert!(text(Channel::Whatsapp, "nl").starts_with("OWN"));
    assert!(
        text(Channel::Sms, "en").starts_with("Bank"),
        "another language keeps its own"
    );
    assert!(
        text(Channel::Voice, "nl").starts_with("Hier is"),
        "another form keeps its own"
    );
    let login = ActionName::parse("login").unwrap();
    let code = Digits::from_ascii(b"123456").unwrap();
    let others = messages.template(
        &facts(&tenant("bank"), &login, &code, &binding(&[])),
        &Language::parse("nl").unwrap(),
        Form::Whatsapp,
    );
    assert!(
        others.has(template::Place::Action),
        "another action keeps the general text"
    );
}

fn write(dir: &std::path::Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_tenants_text_comes_before_that_of_an_action_and_a_tenants_own_action_before_both() {
    let dir = tempfile::tempdir().unwrap();
    let body = "{{ brand }} {{ code }} {{ action }}\n{{ details }}\n{{ never_share }}";
    for (path, begin) in [
        ("nl/sms.txt", "ALL"),
        ("nl/change_contract.sms.txt", "ACTION"),
        ("tenants/bank/nl/sms.txt", "TENANT"),
        ("tenants/bank/nl/change_contract.sms.txt", "BOTH"),
    ] {
        write(dir.path(), path, &format!("{begin} {body}"));
    }
    let text = |templates_dir: &std::path::Path, of: &str, action: &str, locale: &str| {
        let tenants = [tenant("bank"), tenant("shop")]
            .map(|name| (name, TenantWording::default()))
            .into();
        let wording = Wording {
            templates_dir: Some(templates_dir),
            tenants,
            ..wording("nl", "Bank")
        };
        let (tenant, action) = (tenant(of), ActionName::parse(action).unwrap());
        let (code, binding, locale) = (
            Digits::from_ascii(b"123456").unwrap(),
            binding(&[]),
            Locale::parse(locale).unwrap(),
        );
        let facts = Facts {
            locale: Some(&locale),
            ..facts(&tenant, &action, &code, &binding)
        };
        Messages::load(&wording)
            .unwrap()
            .render(&facts)
            .text
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    let dir = dir.path();
    assert_eq!(text(dir, "bank", "change_contract", "nl"), "BOTH");
    assert_eq!(text(dir, "bank", "login", "nl"), "TENANT");
    assert_eq!(text(dir, "shop", "change_contract", "nl"), "ACTION");
    assert_eq!(text(dir, "shop", "login", "nl"), "ALL");
    // For an unknown language the whole chain is used in the default language; for a known language
    // no other one is used.
    assert_eq!(text(dir, "bank", "change_contract", "pl"), "BOTH");
    assert_eq!(text(dir, "bank", "change_contract", "de"), "Bank:");
    fs::remove_file(dir.join("tenants/bank/nl/change_contract.sms.txt")).unwrap();
    assert_eq!(
        text(dir, "bank", "change_contract", "nl"),
        "TENANT",
        "the tenant counts for more than the action"
    );
    fs::remove_file(dir.join("tenants/bank/nl/sms.txt")).unwrap();
    assert_eq!(text(dir, "bank", "change_contract", "nl"), "ACTION");
    fs::remove_file(dir.join("nl/change_contract.sms.txt")).unwrap();
    assert_eq!(text(dir, "bank", "change_contract", "nl"), "ALL");
}

#[test]
fn a_tenant_speaks_under_its_own_name_and_for_its_own_page() {
    let own = TenantWording {
        brand: Some("Bank Zuid"),
        default_language: Some("nl"),
        web_host: Some("zuid.example"),
    };
    let sms = SmsRules {
        web_host: Some("bank.example".to_owned()),
        web_embedded_host: Some("pay.example".to_owned()),
        ..SmsRules::default()
    };
    let tenants = [
        (tenant("zuid"), own),
        (tenant("bank"), TenantWording::default()),
    ]
    .into();
    let messages = Messages::load(&Wording {
        sms,
        tenants,
        ..wording("en", "Bank")
    })
    .unwrap();
    let (action, code) = (
        ActionName::parse("login").unwrap(),
        Digits::from_ascii(b"123456").unwrap(),
    );
    let text = |name: &str| {
        messages
            .render(&facts(&tenant(name), &action, &code, &binding(&[])))
            .text
    };
    let (zuid, bank) = (text("zuid"), text("bank"));
    assert!(
        zuid.starts_with("Bank Zuid: ")
            && zuid.contains("Deel deze code nooit")
            && zuid.ends_with("\n@zuid.example #123456"),
        "{zuid}"
    );
    assert!(
        bank.starts_with("Bank: ")
            && bank.contains("Never share")
            && bank.ends_with("\n@bank.example #123456 @pay.example"),
        "{bank}"
    );
}

#[test]
fn text_02_every_tenants_override_is_judged_at_load() {
    let dir = tempfile::tempdir().unwrap();
    let long = TenantWording {
        brand: Some("Eerste Voorbeeld Bank van Nederland N.V."),
        default_language: None,
        web_host: Some("a.klanten.bank.example"),
    };
    let wrong = TenantWording {
        brand: None,
        default_language: None,
        web_host: Some("https://bank.example"),
    };
    let wide = format!(
        "{{{{ brand }}}} {{{{ code }}}} {{{{ action }}}} {}\n{{{{ details }}}}\n{{{{ never_share }}}}",
        "x".repeat(150)
    );
    let refused = |tenants: &[(&str, TenantWording<'static>)]| {
        let tenants = tenants
            .iter()
            .map(|(name, own)| (tenant(name), *own))
            .collect();
        let wording = Wording {
            templates_dir: Some(dir.path()),
            tenants,
            ..wording("en", "Bank")
        };
        let mistakes = Messages::load(&wording).err().unwrap_or_default();
        mistakes
            .iter()
            .map(|m| m.to_string().replace(dir.path().to_str().unwrap(), ""))
            .collect::<Vec<_>>()
    };
    let plain = TenantWording::default();
    assert_eq!(refused(&[("bank", plain)]), [""; 0]);
    let found = refused(&[("bank", plain), ("long", long), ("wrong", wrong)]);
    assert!(
        found
            .iter()
            .any(|m| m.starts_with("tenant long: nl/sms.txt, for change_contract: has ")),
        "{found:#?}"
    );
    assert!(
        found
            .iter()
            .any(|m| m.starts_with("tenants.wrong.web_host: must be a host name")),
        "{found:#?}"
    );
    assert!(!found.iter().any(|m| m.contains("bank: ")), "{found:#?}");

    write(dir.path(), "tenants/bank/nl/login.sms.txt", &wide);
    write(
        dir.path(),
        "tenants/bank/nl/sms.txt",
        "{{ brand }} {{ code }}",
    );
    write(dir.path(), "tenants/bank/xx/sms.txt", "x");
    write(dir.path(), "tenants/nobody/nl/sms.txt", "x");
    let found = refused(&[("bank", plain)]);
    let begins = [
        "/tenants/bank/nl/sms.txt: lacks",
        "/tenants/bank/xx: is not a folder named de, en, es, fr, nl",
        "/tenants/nobody: is the folder of a tenant",
    ];
    assert!(
        begins
            .iter()
            .all(|begin| found.iter().any(|mistake| mistake.starts_with(begin))),
        "{found:#?}"
    );
    for path in [
        "tenants/bank/nl/sms.txt",
        "tenants/bank/xx/sms.txt",
        "tenants/nobody/nl/sms.txt",
    ] {
        fs::remove_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
    }
    fs::remove_dir(dir.path().join("tenants/nobody")).unwrap();
    write(dir.path(), "tenants/bank/nl/login.sms.txt", &wide);
    let found = refused(&[("bank", plain)]);
    assert!(
        matches!(&found[..], [one] if one.starts_with("tenant bank: nl/sms.txt, for login: has ")),
        "{found:#?}"
    );
}

#[test]
fn code_12_facts_and_contents_print_no_code() {
    let content = render(&messages(), Channel::Email, None, &[("payee", "Jansen")]);
    let (action, code) = (
        ActionName::parse("login").unwrap(),
        Digits::from_ascii(b"123456").unwrap(),
    );
    let binding = binding(&[("payee", "Jansen")]);
    let tenant = tenant("bank");
    let link = Some(Link("https://bank.example/link#secret"));
    let facts = Facts {
        link,
        ..facts(&tenant, &action, &code, &binding)
    };
    let printed = format!("{content:?} {facts:?} {:?}", messages());
    assert!(
        !printed.contains("123456")
            && !printed.contains("123 456")
            && !printed.contains("Jansen")
            && !printed.contains("#secret"),
        "{printed}"
    );
}

/// Every message of every language at its longest: an action and a brand of the settings, eight digits, ten minutes.
#[test]
fn text_02_every_template_is_as_it_was_reviewed() {
    let sms = SmsRules {
        web_host: Some("login.example".to_owned()),
        ..SmsRules::default()
    };
    let wording = Wording {
        sms,
        ..wording("en", "Voorbeeld Bank N.V.")
    };
    let messages = Messages::load(&wording).unwrap();
    let mut all = String::new();
    for language in built_in::LANGUAGES {
        for channel in Channel::ALL {
            let (locale, code) = (
                Locale::parse(language).unwrap(),
                Digits::from_ascii(b"12345678").unwrap(),
            );
            let content = messages.render(&Facts {
                tenant: &tenant("bank"),
                channel,
                locale: Some(&locale),
                action: &wording.actions[0],
                code: &code,
                binding: &binding(&[("amount", "EUR 1,234.56 & <b>")]),
                minutes: 10,
                link: Some(Link("https://otp.example/link#secret")),
            });
            let speech = content
                .speech
                .map(|speech| format!("{}\n~~~~\n{}", speech.greeting, speech.ssml));
            let parts = [
                Some(content.subject),
                Some(content.text),
                content.html,
                speech,
                content.opened,
            ];
            let parts: Vec<String> = parts
                .into_iter()
                .flatten()
                .filter(|part| !part.is_empty())
                .collect();
            all.extend([
                "==== ",
                language,
                " ",
                channel.as_str(),
                "\n",
                &parts.join("\n----\n"),
                "\n",
            ]);
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/message/snapshot.txt");
    if option_env!("COUNTERSIGN_BLESS").is_some() {
        fs::write(path, &all).unwrap();
    }
    let reviewed = fs::read_to_string(path).unwrap_or_default();
    let first = all
        .lines()
        .zip(reviewed.lines())
        .find(|(now, then)| now != then);
    assert!(
        all == reviewed,
        "build the tests with COUNTERSIGN_BLESS=1, and review; first difference: {first:?}"
    );
}

#[test]
fn text_02_each_sms_fits_one_segment_at_its_longest_or_the_settings_are_refused() {
    let refused = |brand: &str, change: fn(&mut SmsRules)| {
        let mut wording = wording("en", brand);
        change(&mut wording.sms);
        let mistakes = Messages::load(&wording).err().unwrap_or_default();
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let bound = |sms: &mut SmsRules| sms.web_host = Some("login.voorbeeldbank.example".to_owned());
    let all = |sms: &mut SmsRules| sms.android_hash = Some("FA+9qCX9VSu".to_owned());
    assert_eq!(refused("Voorbeeld Bank Nederland N.V.", |_| {}), [""; 0]);
    assert_eq!(refused("Voorbeeld Bank", all), [""; 0]);
    assert_eq!(refused("Voorbeeld Bank", bound), [""; 0]);
    let long = refused("Eerste Voorbeeld Bank van Nederland N.V.", |sms| {
        sms.web_host = Some("login.klanten.voorbeeldbank.example".to_owned());
    });
    assert!(
        !long.is_empty()
            && long
                .iter()
                .all(|mistake| mistake.contains("characters where 160 fit")),
        "{long:#?}"
    );
    assert_eq!(
        refused("Eerste Voorbeeld Bank van Nederland N.V.", |sms| sms
            .segments_max =
            2),
        [""; 0]
    );
    let foreign = refused("Bank Śląski", |_| {});
    assert_eq!(foreign.len(), built_in::LANGUAGES.len());
    assert!(
        foreign[0].contains("'Ś'") && foreign[0].contains("sms_ucs2"),
        "{foreign:#?}"
    );
    assert!(
        refused("Bank", |sms| sms.web_host =
            Some("https://bank.example".to_owned()))[0]
            .starts_with("messages.web_host")
    );
}

#[test]
fn text_02_what_is_bound_is_shown_whole_even_in_a_second_segment() {
    let long = "x".repeat(200);
    assert!(
        render(&messages(), Channel::Sms, None, &[("payee", &long)])
            .text
            .contains(&long)
    );
}

#[test]
fn text_01_every_sms_ends_with_the_bound_line_and_text_03_the_hash_before_it() {
    let sms = SmsRules {
        web_host: Some("bank.example".to_owned()),
        android_hash: Some("FA+9qCX9VSu".to_owned()),
        ..SmsRules::default()
    };
    let messages = Messages::load(&Wording {
        sms,
        ..wording("en", "Bank")
    })
    .unwrap();
    for language in built_in::LANGUAGES {
        for values in [&[][..], &[("payee", "@evil.example #999999")][..]] {
            let text = render(&messages, Channel::Sms, Some(language), values).text;
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(
                lines[lines.len() - 2..],
                ["FA+9qCX9VSu", "@bank.example #123456"],
                "{text}"
            );
            assert!(
                text.starts_with("Bank"),
                "no line is empty but those of the text"
            );
        }
        let other = render(&messages, Channel::Whatsapp, Some(language), &[]).text;
        assert!(!other.contains("@bank.example"), "only SMS has the line");
    }
}

#[test]
fn text_04_an_answer_by_keypad_alone_is_offered_to_no_browser_and_no_app() {
    let sms = SmsRules {
        web_host: Some("bank.example".to_owned()),
        android_hash: Some("FA+9qCX9VSu".to_owned()),
        ..SmsRules::default()
    };
    let (by_phone, online) = (
        ActionName::parse("by_phone").unwrap(),
        ActionName::parse("online").unwrap(),
    );
    let messages = Messages::load(&Wording {
        sms,
        by_keypad: [by_phone.clone()].into(),
        ..wording("en", "Bank")
    })
    .unwrap();
    let code = Digits::from_ascii(b"123456").unwrap();
    let text = |action| {
        messages
            .render(&facts(&tenant("bank"), action, &code, &binding(&[])))
            .text
    };
    assert!(
        text(&online).ends_with("FA+9qCX9VSu\n@bank.example #123456"),
        "{}",
        text(&online)
    );
    assert!(
        text(&by_phone).ends_with("Never share this code."),
        "{}",
        text(&by_phone)
    );
}

#[test]
fn text_06_a_voice_says_each_digit_twice_and_nothing_before_a_key_press() {
    let messages = messages();
    for language in built_in::LANGUAGES {
        let content = render(
            &messages,
            Channel::Voice,
            Some(language),
            &[("payee", "<break/> & \"x\"")],
        );
        let speech = content.speech.unwrap();
        assert!(
            !speech.greeting.contains(|c: char| c.is_ascii_digit()),
            "{}",
            speech.greeting
        );
        assert!(
            speech.greeting.contains("Voorbeeld Bank"),
            "{}",
            speech.greeting
        );
        for digit in ["1", "2", "3", "4", "5", "6"] {
            let said = format!("<say-as interpret-as=\"characters\">{digit}</say-as>");
            assert_eq!(speech.ssml.matches(&said).count(), 2, "{}", speech.ssml);
        }
        assert_eq!(
            speech.ssml.matches("<break time=").count(),
            10,
            "a pause between any two digits, and no other"
        );
        assert!(
            speech
                .ssml
                .contains("&lt;break&#x2f;&gt; &amp; &quot;x&quot;"),
            "{}",
            speech.ssml
        );
        assert!(!speech.ssml.contains("123"), "{}", speech.ssml);
    }
    for channel in [Channel::Sms, Channel::Email, Channel::Whatsapp] {
        assert!(
            render(&messages, channel, None, &[]).speech.is_none(),
            "{channel:?}"
        );
    }
}
