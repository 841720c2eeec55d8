//! Test recipients: they get no message, and callers' tests know their code beforehand.

use std::collections::BTreeMap;

use super::Recipient;
use crate::domain::code::guess::Digits;

/// The test recipients of the settings, each with its code. They are not in any record.
#[derive(Clone, Debug, Default)]
pub struct TestRecipients(BTreeMap<String, Digits>);

impl TestRecipients {
    /// The code of a test recipient. A number has the same code on every channel.
    #[must_use]
    pub fn code(&self, recipient: &Recipient) -> Option<&Digits> {
        self.0.get(recipient.expose())
    }

    /// The code of a verification whose recipients are all test recipients: that of the first one. A
    /// verification that can reach anybody else has a derived code.
    #[must_use]
    pub fn code_of_all(&self, recipients: &[Recipient]) -> Option<&Digits> {
        let all = recipients
            .iter()
            .all(|recipient| self.code(recipient).is_some());
        recipients
            .first()
            .filter(|_| all)
            .and_then(|first| self.code(first))
    }

    /// The number of test recipients.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no test recipients.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The codes of all test recipients.
    pub fn codes(&self) -> impl Iterator<Item = &Digits> {
        self.0.values()
    }
}

impl FromIterator<(Recipient, Digits)> for TestRecipients {
    fn from_iter<T: IntoIterator<Item = (Recipient, Digits)>>(recipients: T) -> Self {
        Self(
            recipients
                .into_iter()
                .map(|(recipient, code)| (recipient.expose().to_owned(), code))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::recipient::Channel;

    fn recipient(channel: Channel, address: &str) -> Recipient {
        Recipient::parse(channel, address).unwrap()
    }

    fn known() -> TestRecipients {
        let code = |text: &[u8]| Digits::from_ascii(text).unwrap();
        let number = (recipient(Channel::Sms, "+31 6 1000 0001"), code(b"123456"));
        [
            number,
            (recipient(Channel::Email, "ci@example.org"), code(b"654321")),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn a_number_is_a_test_recipient_by_every_channel_and_spelling_and_its_neighbours_are_not() {
        let code = |channel, address| {
            known()
                .code(&recipient(channel, address))
                .map(|code| code.expose().to_owned())
        };
        assert_eq!(
            code(Channel::Voice, "+31610000001").as_deref(),
            Some("123456")
        );
        assert_eq!(
            code(Channel::Whatsapp, "+31 (0)6-1000 0001").as_deref(),
            Some("123456")
        );
        assert_eq!(
            code(Channel::Email, "ci@EXAMPLE.org").as_deref(),
            Some("654321")
        );
        for (channel, address) in [
            (Channel::Sms, "+31610000002"),
            (Channel::Email, "ci+1@example.org"),
            (Channel::Email, "CI@example.org"),
            (Channel::Email, "ci@example.com"),
        ] {
            assert_eq!(code(channel, address), None, "{address}");
        }
    }

    #[test]
    fn one_other_recipient_makes_the_code_unknown() {
        let (number, mail) = (
            recipient(Channel::Sms, "+31610000001"),
            recipient(Channel::Email, "ci@example.org"),
        );
        let anna = recipient(Channel::Email, "anna@example.org");
        let code = |recipients: &[&Recipient]| {
            let recipients: Vec<_> = recipients.iter().copied().cloned().collect();
            known()
                .code_of_all(&recipients)
                .map(|code| code.expose().to_owned())
        };
        assert_eq!(
            code(&[&mail, &number]).as_deref(),
            Some("654321"),
            "that of the first"
        );
        assert_eq!(
            (code(&[&number, &anna]), code(&[&anna]), code(&[])),
            (None, None, None)
        );
        assert!(TestRecipients::default().code_of_all(&[number]).is_none());
    }
}
