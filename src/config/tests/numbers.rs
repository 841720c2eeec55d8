//! Settings for allowed numbers, prices and test recipients.

use super::*;
use crate::domain::{
    ids::TenantId,
    limit::spend::{Budgets, Money},
    recipient::{Channel, Recipient, number::NumberType},
};

/// A production file with a route for SMS, but no country.
fn by_sms() -> String {
    let sms = "[senders.p]\nkind = \"vonage\"\napi_key = \"k\"\napi_secret_file = \"/k/s\"\nfrom = \"Bank\"\n[routes.sms]\nsenders = [\"p\"]\n";
    format!("{PRODUCTION}{sms}")
}

fn country(name: &str) -> Country {
    Country::parse(name).unwrap()
}

fn money(text: &str) -> Money {
    Money::parse(text).unwrap()
}

fn bank() -> TenantId {
    TenantId::parse("bank").unwrap()
}

#[test]
fn send_01_no_country_is_allowed_by_default_and_production_needs_one_for_numbers() {
    assert!(
        with(PRODUCTION, &[])
            .unwrap()
            .admission
            .numbers
            .countries
            .is_empty(),
        "mail needs none"
    );
    assert_eq!(keys_of(with(&by_sms(), &[])), ["countries.allowed"]);
    assert_eq!(
        keys_of(with(
            &format!("{}[tenants.bank]\ncountries = []\n", by_sms()),
            &[]
        )),
        ["countries.allowed"]
    );
    let one = with(
        &format!("{}[countries]\nallowed = [\"NL\"]\n", by_sms()),
        &[],
    )
    .unwrap();
    assert_eq!(one.admission.numbers.countries, [country("NL")].into());
    let own = with(
        &format!("{}[tenants.bank]\ncountries = [\"NL\", \"DE\"]\n", by_sms()),
        &[],
    )
    .unwrap();
    assert_eq!(
        own.admission.numbers.by_tenant,
        [(bank(), [country("DE"), country("NL")].into())].into()
    );
    let by_environment = with(
        &by_sms(),
        &[
            ("COUNTRIES__ALLOWED", "NL, BE"),
            ("TENANTS__BANK__COUNTRIES", "LU"),
        ],
    )
    .unwrap();
    assert_eq!(
        by_environment.admission.numbers.countries,
        [country("BE"), country("NL")].into()
    );
    assert_eq!(
        by_environment.admission.numbers.by_tenant[&bank()],
        [country("LU")].into()
    );
}

#[test]
fn send_01_development_allows_countries_and_what_is_none_is_a_mistake() {
    let development = with("", &[]).unwrap().admission.numbers.countries;
    assert!(
        ["NL", "DE", "GB", "US"]
            .map(country)
            .iter()
            .all(|one| development.contains(one))
    );
    for wrong in ["nl", "NLD", "001", "+31", "XX", "882", ""] {
        assert_eq!(
            keys_of(with(
                &format!("[countries]\nallowed = [\"{wrong}\"]\n"),
                &[]
            )),
            ["countries.allowed"],
            "{wrong:?}"
        );
    }
    assert_eq!(
        keys_of(with("[countries]\nallow = [\"NL\"]\n", &[])),
        ["countries.allow"]
    );
    assert_eq!(
        keys_of(with("[tenants.default]\ncountries = [\"xx\"]\n", &[])),
        ["tenants.default.countries"]
    );
}

#[test]
fn send_02_types_are_allowed_by_name() {
    let none = with("", &[]).unwrap().admission.numbers;
    assert!(none.types.is_empty() && !none.fixed_line_text);
    let some = with(
        "[numbers]\nvoip = true\ntoll_free = true\nfixed_line_sms = true\n",
        &[],
    )
    .unwrap()
    .admission
    .numbers;
    assert_eq!(some.types, [NumberType::Voip, NumberType::TollFree].into());
    assert!(some.fixed_line_text);
    assert_eq!(
        keys_of(with("[numbers]\npremium = true\n", &[])),
        ["numbers.premium"],
        "no setting allows it"
    );
}

#[test]
fn send_06_amounts_are_read_to_the_last_decimal() {
    let text = "[spend]\nhour = 100.0\nday = \"1000\"\n[spend.costs]\nsms = 0.08\n\"sms.DE\" = 0.090001\nvoice = 1\nemail = 0\n\
                [tenants.default.spend]\nday = 5.5\n";
    let settings = with(text, &[]).unwrap();
    let spend = &settings.admission.spend;
    assert_eq!(
        (spend.currency.as_str(), spend.budgets),
        (
            "EUR",
            Budgets {
                hour: money("100"),
                day: money("1000")
            }
        )
    );
    assert_eq!(spend.costs[&(Channel::Sms, None)], money("0.08"));
    assert_eq!(
        spend.costs[&(Channel::Sms, Some(country("DE")))],
        money("0.090001")
    );
    assert_eq!(
        (
            spend.costs[&(Channel::Voice, None)],
            spend.costs[&(Channel::Email, None)]
        ),
        (money("1"), money("0"))
    );
    assert_eq!(
        spend.by_tenant[&TenantId::parse("default").unwrap()],
        Budgets {
            hour: money("0"),
            day: money("5.5")
        }
    );
    assert_eq!(
        with(settings.effective(), &[]).unwrap().effective(),
        settings.effective()
    );
    let off = with("", &[]).unwrap().admission.spend;
    assert_eq!(
        (off.budgets, off.costs.len()),
        (Budgets::default(), 0),
        "off by default"
    );
    let by_environment = with("", &[("SPEND__COSTS__SMS", "0.1"), ("SPEND__HOUR", "2.5")])
        .unwrap()
        .admission
        .spend;
    assert_eq!(
        (
            by_environment.costs[&(Channel::Sms, None)],
            by_environment.budgets.hour
        ),
        (money("0.1"), money("2.5"))
    );
}

#[test]
fn send_06_budgets_that_would_stop_all_or_nothing_are_mistakes() {
    let costs = "[spend.costs]\nsms = 0.08\nvoice = 0.5\n";
    for (text, key) in [
        ("[spend]\nhour = 1\n".to_owned(), "spend.hour"),
        (format!("[spend]\nday = 0.49\n{costs}"), "spend.day"),
        (
            format!("{costs}[tenants.default.spend]\nhour = 0.1\n"),
            "tenants.default.spend.hour",
        ),
        (format!("[spend]\nhour = -1\n{costs}"), "spend.hour"),
        (format!("[spend]\nhour = true\n{costs}"), "spend.hour"),
        (
            format!("[spend]\ncurrency = \"euro\"\n{costs}"),
            "spend.currency",
        ),
        ("[spend.costs]\nfax = 1\n".to_owned(), "spend.costs.fax"),
        (
            "[spend.costs]\n\"sms.XX\" = 1\n".to_owned(),
            "spend.costs.sms.XX",
        ),
        (
            "[spend.costs]\n\"email.NL\" = 1\n".to_owned(),
            "spend.costs.email.NL",
        ),
        (
            "[spend.costs]\nsms = 0.0000001\n".to_owned(),
            "spend.costs.sms",
        ),
        ("[spend.costs]\nsms = [1]\n".to_owned(), "spend.costs.sms"),
    ] {
        assert_eq!(keys_of(with(&text, &[])), [key], "{text}");
    }
}

#[test]
fn a_test_recipient_is_an_address_with_a_code_as_long_as_an_actions() {
    let text = "[test_recipients]\n\"+31 6 1000 0001\" = \"123456\"\n\"ci@example.org\" = 654321\n";
    let settings = with(text, &[]).unwrap();
    let code = |channel, address| {
        let recipient = Recipient::parse(channel, address).unwrap();
        settings
            .test_recipients
            .code(&recipient)
            .map(|code| code.expose().to_owned())
    };
    assert_eq!(settings.test_recipients.len(), 2);
    assert_eq!(
        code(Channel::Voice, "+31610000001").as_deref(),
        Some("123456")
    );
    assert_eq!(
        code(Channel::Email, "ci@example.org").as_deref(),
        Some("654321")
    );
    assert_eq!(
        with(settings.effective(), &[]).unwrap().effective(),
        settings.effective()
    );
    for (line, key) in [
        ("\"0610000001\" = \"123456\"", "test_recipients.0610000001"),
        ("\"ci\" = \"123456\"", "test_recipients.ci"),
        (
            "\"ci@example.org\" = \"12345\"",
            "test_recipients.ci@example.org",
        ),
        (
            "\"ci@example.org\" = \"12345a\"",
            "test_recipients.ci@example.org",
        ),
        (
            "\"ci@example.org\" = \"12345678\"",
            "test_recipients.ci@example.org",
        ),
        (
            "\"ci@example.org\" = [\"123456\"]",
            "test_recipients.ci@example.org",
        ),
    ] {
        assert_eq!(
            keys_of(with(&format!("[test_recipients]\n{line}\n"), &[])),
            [key],
            "{line}"
        );
    }
}

#[test]
fn conf_02_production_has_no_test_recipients() {
    let text = format!(
        "{PRODUCTION}[test_recipients]\n\"ci@example.org\" = \"123456\"\n\"+31610000001\" = \"123456\"\n"
    );
    assert_eq!(
        keys_of(with(&text, &[])),
        [
            "test_recipients.+31610000001",
            "test_recipients.ci@example.org"
        ]
    );
    let variable = [("TEST_RECIPIENTS__+31610000001", "123456")];
    assert_eq!(
        keys_of(with(PRODUCTION, &variable)),
        ["test_recipients.+31610000001"],
        "nor by a variable"
    );
    assert!(with(PRODUCTION, &[]).unwrap().test_recipients.is_empty());
}

#[test]
fn guess_14_the_alarm_of_guesses_is_read_with_its_range() {
    let guesses = |settings: &[(&str, &str)]| {
        with("", settings)
            .map(|settings| settings.admission.guesses)
            .map_err(|mistakes| mistakes.0.iter().map(|m| m.key.clone()).collect::<Vec<_>>())
    };
    let by_default = guesses(&[]).unwrap();
    assert_eq!(by_default.alarm_failures, 100);
    assert_eq!(by_default.alarm_factor, 10);
    assert_eq!(by_default.slow_down, Some(Duration::from_secs(10)));
    let alarm_only = guesses(&[("GUESSES__SLOW_DOWN_S", "0")]).unwrap();
    assert_eq!(alarm_only.slow_down, None);
    let wrong = [
        ("GUESSES__ALARM_FAILURES_PER_H", "0"),
        ("GUESSES__ALARM_FACTOR", "1"),
        ("GUESSES__SLOW_DOWN_S", "601"),
    ];
    for (key, value) in wrong {
        let path = key.to_lowercase().replace("__", ".");
        assert_eq!(guesses(&[(key, value)]), Err(vec![path]));
    }
}
