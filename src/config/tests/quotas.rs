//! The settings of quotas: their defaults, what can be changed, and what is a mistake.

use std::time::Duration;

use super::*;
use crate::domain::limit::{
    bucket::{BucketKind, Quota, Scope},
    quota::Dimension,
    rate::Rate,
};

fn quota(dimension: Dimension, count: u64, period_s: u64) -> Quota {
    let count = u32::try_from(count).unwrap();
    Quota::of(dimension, count, Duration::from_secs(period_s))
}

#[test]
fn send_05_the_quotas_of_production_are_those_of_the_default_file() {
    let settings = with(PRODUCTION, &[]).unwrap();
    for dimension in Dimension::ALL
        .into_iter()
        .filter(|dimension| dimension.is_plain())
    {
        let (count, period_s) = admission::quotas::default(dimension).unwrap();
        let quota = quota(dimension, count, period_s);
        assert_eq!(
            settings.admission.quotas.get(dimension),
            Some(quota),
            "{}",
            dimension.as_str()
        );
    }
    let recipient = BucketKind {
        dimension: Dimension::Recipient,
        scope: Scope::Anonymous,
    };
    let rate = Rate {
        interval: Duration::from_secs(120),
        burst: 4,
    };
    assert_eq!(
        settings.admission.quotas.rate(recipient),
        Some(rate),
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
        let raised = development.admission.quotas.get(dimension).unwrap();
        assert!(raised.count >= 1000, "{}", dimension.as_str());
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
        let quota = Some(quota(dimension, count, period_s));
        assert_eq!(
            again.admission.quotas.get(dimension),
            quota,
            "{}",
            dimension.as_str()
        );
        assert_eq!(
            production.admission.quotas.get(dimension),
            quota,
            "{}",
            dimension.as_str()
        );
    }
}

#[test]
fn quotas_can_be_changed_and_switched_off_one_by_one() {
    let text = "[quotas]\nrecipient = { count = 0 }\ncaller = { period_s = 60 }\n[actions.login]\nquota_fallback = true\n";
    let settings = with(text, &[("QUOTAS__QUOTA_KEYS__COUNT", "7")]).unwrap();
    assert_eq!(settings.admission.quotas.get(Dimension::Recipient), None);
    for (dimension, count, period_s) in [
        (Dimension::Caller, 10_000, 60),
        (Dimension::QuotaKeys, 7, 3600),
    ] {
        let quota = quota(dimension, count, period_s);
        assert_eq!(settings.admission.quotas.get(dimension), Some(quota));
    }
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
fn send_14_anonymous_starts_have_half_of_what_is_shared_unless_a_row_says_otherwise() {
    let anonymous = |text: &str, dimension| {
        let settings = with(text, &[]).unwrap();
        let quota = settings.admission.quotas.get(dimension).unwrap();
        quota.anonymous_count
    };
    let row = |count| format!("[quotas]\ntenant = {{ count = {count} }}\n");
    for (count, half) in [(1, 1), (2, 1), (3, 2), (1000, 500), (999_999, 500_000)] {
        assert_eq!(anonymous(&row(count), Dimension::Tenant), half, "{count}");
    }
    let own = "[quotas]\ntenant = { count = 10, anonymous_count = 10 }\nsubject = { anonymous_count = 2 }\n";
    assert_eq!(anonymous(own, Dimension::Tenant), 10);
    assert_eq!(anonymous(own, Dimension::Subject), 2);
    let one = "[quotas]\ncontact = { count = 7 }\nrecipient_subjects = { count = 7 }\n";
    for dimension in [Dimension::Contact, Dimension::RecipientSubjects] {
        assert_eq!(anonymous(one, dimension), 7, "each origin by itself");
    }
    let rate = |scope| {
        let quotas = with(own, &[]).unwrap().admission.quotas;
        let dimension = Dimension::Subject;
        quotas
            .rate(BucketKind { dimension, scope })
            .unwrap()
            .capacity()
    };
    assert_eq!((rate(Scope::Anonymous), rate(Scope::Vouched)), (2, 1000));
}

#[test]
fn send_14_an_anonymous_count_outside_of_its_row_is_a_mistake() {
    let wrong = "[quotas]\nrecipient = { count = 5, anonymous_count = 6 }\ntenant = { anonymous_count = 0 }\n\
                 recipient_subjects = { anonymous_count = 1 }\nagent = { count = 0, anonymous_count = 1 }\n\
                 caller = { count = 10, anonymous_count = \"half\" }\n";
    let expected = [
        "quotas.agent.anonymous_count",
        "quotas.caller.anonymous_count",
        "quotas.recipient.anonymous_count",
        "quotas.recipient_subjects.anonymous_count",
        "quotas.tenant.anonymous_count",
    ];
    assert_eq!(keys_of(with(wrong, &[])), expected);
}
