//! Fixed values of the stories.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use crate::domain::{
    code::{CodeLength, guess::Separators},
    crypto::keyring::{Keyring, tests::ring},
    ids::{ActionName, CallerName, Reference, SenderName, SubjectId, TenantId},
    recipient::{Channel, Recipient},
    refusal::Refusal,
    verification::{
        Contact,
        binding::Binding,
        rules::{EntryMode, Limits},
    },
};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
/// The deadline of a sender, 10 s, plus 5 s.
pub(super) const LEASE: Duration = Duration::from_secs(15);

pub(super) static KEYRING: LazyLock<Keyring> = LazyLock::new(|| ring(1, &["a"]));
pub(super) static MAIL: LazyLock<Recipient> =
    LazyLock::new(|| Recipient::parse(Channel::Email, "anna@example.org").unwrap());
pub(super) static TENANT: LazyLock<TenantId> = LazyLock::new(|| TenantId::parse("bank").unwrap());
pub(super) static CALLER: LazyLock<CallerName> =
    LazyLock::new(|| CallerName::parse("portal").unwrap());
pub(super) static SUBJECT: LazyLock<SubjectId> =
    LazyLock::new(|| SubjectId::parse("customer-1").unwrap());
pub(super) static ACTION: LazyLock<ActionName> =
    LazyLock::new(|| ActionName::parse("payment").unwrap());

pub(super) fn binding(amount: &str) -> Binding {
    Binding::parse(BTreeMap::from([("amount".to_owned(), amount.to_owned())])).unwrap()
}

pub(super) fn sender_name(text: &str) -> SenderName {
    SenderName::parse(text).unwrap()
}

pub(super) fn action(name: &str) -> ActionName {
    ActionName::parse(name).unwrap()
}

pub(super) fn limits() -> Limits {
    Limits {
        code_length: CodeLength::new(6).unwrap(),
        code_lifetime: 5 * MINUTE,
        attempts: 5,
        sends: 4,
        resend_cooldown: 30 * SECOND,
        separators: Separators {
            space: true,
            hyphen: true,
        },
        entry_modes: EntryMode::ALL.to_vec(),
        channels: vec![Channel::Email, Channel::Sms, Channel::Voice],
        plan: Vec::new(),
    }
}

pub(super) fn contact(id: &str) -> Contact {
    Contact {
        id: Reference::parse(id).unwrap(),
        case: None,
        channel: None,
        agent: None,
    }
}

/// A code of the same length that is not this one.
pub(super) fn wrong(code: &str) -> String {
    let (head, last) = code.split_at(code.len() - 1);
    format!("{head}{}", if last == "9" { "0" } else { "9" })
}

/// The wait that a refusal names.
pub(super) fn wait(refusal: &Refusal) -> Duration {
    match refusal {
        Refusal::AttemptTooEarly { retry_after }
        | Refusal::ResendTooEarly { retry_after, .. }
        | Refusal::SendsExhausted { retry_after, .. }
        | Refusal::TooManyLive { retry_after, .. }
        | Refusal::TooManyRecent { retry_after } => *retry_after,
        other => panic!("no wait in {other:?}"),
    }
}
