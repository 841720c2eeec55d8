//! Settings of routes and plans, correct and wrong.

use super::*;

/// Three senders besides those of the development profile, and a tenant besides its own.
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

/// General routes, and routes for a country and for two tenants.
fn routed() -> Settings {
    let text = format!(
        "{ROUTED}[routes.sms]\nsenders = [\"a\", \"b\"]\nweights = [3, 0]\nhedge_ms = 500\n[routes.sms.countries]\nNL = [\"b\", \"outbox\"]\n\
         [tenants.shop.routes.sms]\nsenders = [\"b\"]\n[tenants.default.routes.email]\nsenders = [\"mail\"]\n\
         [breaker]\nfailures = 3\nopen_s = 7\n"
    );
    with(&text, &[("ROUTES__SMS__COUNTRIES__BE", "a")]).unwrap()
}

#[test]
fn routes_are_read_with_weights_countries_and_hedges() {
    let settings = routed();
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
}

#[test]
fn routes_of_tenants_and_the_breaker_are_read_and_shown() {
    let settings = routed();
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
fn a_plan_is_read_from_a_file_and_from_a_variable() {
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
}

#[test]
fn a_plan_that_cannot_be_kept_is_a_mistake() {
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

/// A wrong setting, and the key of its mistake.
const BROKEN: [(&str, &str); 22] = [
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
];

#[test]
fn every_mistake_in_a_route_is_told() {
    for (route, key) in BROKEN {
        let keys = keys_of(with(&format!("{ROUTED}{route}\n"), &[]));
        assert_eq!(keys, [key], "{route}");
    }
}

#[test]
fn a_tenant_has_no_channel_of_its_own() {
    // Production has no routes by default.
    let text = format!(
        "{PRODUCTION}[senders.sms]\nkind = \"webhook\"\nurl = \"https://sms.example\"\nchannels = [\"sms\"]\n\
        secret_files = [\"/k/x\"]\n[tenants.bank.routes.sms]\nsenders = [\"sms\"]\n"
    );
    assert_eq!(keys_of(with(&text, &[])), ["tenants.bank.routes.sms"]);
}
