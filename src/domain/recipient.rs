//! Recipients: addresses in canonical form, and how they are shown.

pub mod app;
mod channel;
mod email;
pub mod known;
pub mod number;
pub mod rules;
pub mod test_recipients;

use std::{borrow::Cow, fmt, sync::OnceLock};

pub use channel::{Channel, MethodLevel};

use super::ids::Invalid;
use email::{canonical_email, mask_email};
use number::NumberPlan;

/// An address at the end of a channel.
#[derive(Clone)]
pub struct Recipient {
    channel: Channel,
    address: String,
    /// The numbering plan's entry, looked up at first use: the look-up costs more than all other work on an address.
    plan: OnceLock<Option<NumberPlan>>,
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        (self.channel, &self.address) == (other.channel, &other.address)
    }
}

impl Eq for Recipient {}

impl Recipient {
    /// Parses an address as people write it and keeps its canonical form: for numbers E.164; for e-mail
    /// the domain in lower-case ASCII and the local part as it is; for apps the form of [`app`].
    ///
    /// # Errors
    /// Describes what the channel needs.
    pub fn parse(channel: Channel, address: &str) -> Result<Self, Invalid> {
        let (address, plan) = match channel {
            Channel::Email => (canonical_email(address)?, None),
            Channel::Sms | Channel::Voice | Channel::Whatsapp => {
                number::parse(address).map(|(address, plan)| (address, Some(plan)))?
            }
            Channel::Push => (app::canonical(address)?, None),
        };
        Ok(Self {
            channel,
            address,
            plan: OnceLock::from(plan),
        })
    }

    /// Takes an address that was stored in canonical form; only its outer form is checked again.
    ///
    /// # Errors
    /// The address cannot be canonical.
    pub fn from_canonical(channel: Channel, address: &str) -> Result<Self, Invalid> {
        let fits = match channel {
            Channel::Email => address.contains('@'),
            Channel::Sms | Channel::Voice | Channel::Whatsapp => address.starts_with('+'),
            Channel::Push => app::PushKind::split(address).is_some(),
        };
        let recipient = Self {
            channel,
            address: address.to_owned(),
            plan: OnceLock::new(),
        };
        if fits {
            Ok(recipient)
        } else {
            Err(Invalid("is not a canonical address"))
        }
    }

    /// The channel that reaches this address.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// The canonical address, to be given only to a sender.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.address
    }

    /// The push service of an app's address, and that service's token for the installation;
    /// `None` on other channels.
    #[must_use]
    pub fn installation(&self) -> Option<(app::PushKind, &str)> {
        if self.channel == Channel::Push {
            app::PushKind::split(&self.address)
        } else {
            None
        }
    }

    /// The address as it may be shown: `a•••@e•••.org`, `+31 6 •••• ••34`, `app •••• 4f2a`.
    #[must_use]
    pub fn masked(&self) -> String {
        match self.channel {
            Channel::Email => mask_email(&self.address),
            Channel::Sms | Channel::Voice | Channel::Whatsapp => mask_number(
                &self.address,
                self.number_plan().map_or(0, |plan| plan.calling_code),
            ),
            Channel::Push => app::mask(&self.address),
        }
    }

    /// The numbering plan's entry for a telephone number; `None` for other addresses.
    #[must_use]
    pub fn number_plan(&self) -> Option<NumberPlan> {
        match self.channel {
            Channel::Email | Channel::Push => None,
            Channel::Sms | Channel::Voice | Channel::Whatsapp => {
                *self.plan.get_or_init(|| NumberPlan::of(&self.address))
            }
        }
    }
}

/// The area of a telephone number, as the limits count it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberArea {
    /// The country, such as `NL`; for a number without a country its calling code.
    pub country: String,
    /// The block of a thousand neighbouring numbers: the number without its last three digits.
    pub block: String,
}

impl Recipient {
    /// The form under which messages are counted: one form for one mailbox. A number is the same on every channel. In an
    /// e-mail address, case and a tag behind `+` are ignored, as nearly every mailbox ignores them, and at Gmail dots
    /// and the domain's other name too: otherwise `name+1@`, `name+2@` and so on would be enough to flood one mailbox.
    #[must_use]
    pub fn limit_form(&self) -> Cow<'_, str> {
        match self.channel {
            Channel::Email => Cow::Owned(email::mailbox(&self.address)),
            Channel::Sms | Channel::Voice | Channel::Whatsapp | Channel::Push => {
                Cow::Borrowed(&self.address)
            }
        }
    }

    /// The form under which version 0.1 counted messages: that of [`Self::limit_form`], without what is special at Gmail.
    #[must_use]
    pub fn former_limit_form(&self) -> Cow<'_, str> {
        match self.channel {
            Channel::Email => Cow::Owned(email::without_tag(&self.address)),
            Channel::Sms | Channel::Voice | Channel::Whatsapp | Channel::Push => {
                Cow::Borrowed(&self.address)
            }
        }
    }

    /// The address as it was given, apart from case: for what is counted against a stranger who chose the address, so
    /// that `victim+1@` does not count as `victim@`.
    #[must_use]
    pub fn exact_form(&self) -> Cow<'_, str> {
        match self.channel {
            Channel::Email => Cow::Owned(self.address.to_ascii_lowercase()),
            Channel::Sms | Channel::Voice | Channel::Whatsapp | Channel::Push => {
                Cow::Borrowed(&self.address)
            }
        }
    }

    /// The part of the address that a refusal may be about beyond this one recipient: the domain of an e-mail address,
    /// the block of a number, the push service of an app or browser. Of a domain, and of the host of a browser's endpoint,
    /// only the end counts: whoever starts a verification can make up any number of names below that.
    #[must_use]
    pub fn refusal_area(&self) -> String {
        match self.channel {
            Channel::Email => {
                let (_, domain) = self.address.rsplit_once('@').unwrap_or(("", &self.address));
                email::registered(domain).to_ascii_lowercase()
            }
            Channel::Sms | Channel::Voice | Channel::Whatsapp => self
                .number_area()
                .map(|area| area.block)
                .unwrap_or_default(),
            Channel::Push => app::area(&self.address),
        }
    }

    /// The area of a telephone number; `None` for other addresses.
    #[must_use]
    pub fn number_area(&self) -> Option<NumberArea> {
        let plan = self.number_plan()?;
        Some(NumberArea {
            country: plan.country.map_or_else(
                || plan.calling_code.to_string(),
                |country| country.as_str().to_owned(),
            ),
            block: self
                .address
                .get(..self.address.len().saturating_sub(3))
                .unwrap_or_default()
                .to_owned(),
        })
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.channel.as_str(), self.masked())
    }
}

fn mask_number(number: &str, calling_code: u16) -> String {
    let country = calling_code.to_string();
    let national = number.get(1 + country.len()..).unwrap_or_default();
    let first = national.get(..1).unwrap_or_default();
    let last = national
        .get(national.len().saturating_sub(2)..)
        .unwrap_or_default();
    format!("+{country} {first} •••• ••{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(channel: Channel, text: &str) -> Option<String> {
        Recipient::parse(channel, text)
            .ok()
            .map(|r| r.expose().to_owned())
    }

    #[test]
    fn mail_06_an_address_has_one_form() {
        for (text, form) in [
            ("Anna@Example.ORG", Some("Anna@example.org")),
            ("a@bücher.example", Some("a@xn--bcher-kva.example")),
            ("a.b+c@sub.example.org", Some("a.b+c@sub.example.org")),
            ("a@example.org\r\nBcc: b@example.org", None),
            ("a b@example.org", None),
            ("Anna <a@example.org>", None),
            ("a@localhost", None),
            ("a@[127.0.0.1]", None),
            ("@example.org", None),
            ("a@", None),
            ("\"a\"@example.org", None),
        ] {
            assert_eq!(canonical(Channel::Email, text).as_deref(), form, "{text:?}");
        }
    }

    #[test]
    fn text_05_a_number_has_one_form_or_is_refused() {
        for text in [
            "+31612345678",
            "+31 6 12345678",
            "+31 (0)6-1234 5678",
            "+31-6-12.34.56.78",
        ] {
            assert_eq!(
                canonical(Channel::Sms, text).as_deref(),
                Some("+31612345678"),
                "{text:?}"
            );
        }
        for text in [
            "0612345678",
            "0031612345678",
            "tel:+31612345678",
            "+31612345678;ext=1",
            "+",
            "+1",
            "+٣١612345678",
            "+31612345678\n",
            "+999123456789",
        ] {
            assert_eq!(canonical(Channel::Voice, text), None, "{text:?}");
        }
    }

    #[test]
    fn a_recipient_is_counted_under_one_form() {
        let form = |channel, text| {
            Recipient::parse(channel, text)
                .unwrap()
                .limit_form()
                .into_owned()
        };
        assert_eq!(form(Channel::Sms, "+31 6 12345678"), "+31612345678");
        assert_eq!(
            form(Channel::Sms, "+31612345678"),
            form(Channel::Voice, "+31 (0)6-1234 5678")
        );
        assert_eq!(
            form(Channel::Email, "Anna+1@Example.org"),
            form(Channel::Email, "anna@example.org")
        );
        assert_ne!(
            form(Channel::Email, "anna@example.org"),
            form(Channel::Email, "anna@example.com")
        );
        assert_ne!(
            form(Channel::Email, "+1@example.org"),
            form(Channel::Email, "+2@example.org")
        );
        for gmail in [
            "annaberg@gmail.com",
            "Anna.Berg@gmail.com",
            "a.n.n.a.b.e.r.g+shop@googlemail.com",
            "annaberg+1@GMAIL.com",
        ] {
            assert_eq!(form(Channel::Email, gmail), "annaberg@gmail.com", "{gmail}");
        }
        assert_ne!(
            form(Channel::Email, "anna.berg@example.org"),
            form(Channel::Email, "annaberg@example.org"),
            "elsewhere a dot makes another mailbox"
        );
    }

    #[test]
    fn send_14_the_exact_form_keeps_what_a_stranger_can_choose() {
        let exact = |address: &str| {
            let recipient = Recipient::parse(Channel::Email, address).unwrap();
            recipient.exact_form().into_owned()
        };
        assert_eq!(exact("Victim+A@Example.org"), "victim+a@example.org");
        assert_eq!(exact("v.ictim@googlemail.com"), "v.ictim@googlemail.com");
    }

    #[test]
    fn send_03_a_number_belongs_to_a_country_and_a_block_of_a_thousand() {
        let of = |text| {
            Recipient::parse(Channel::Sms, text)
                .unwrap()
                .number_area()
                .unwrap()
        };
        let pair = |text| (of(text).country, of(text).block);
        assert_eq!(
            pair("+31612345678"),
            ("NL".to_owned(), "+31612345".to_owned())
        );
        assert_eq!(of("+31612345678"), of("+31612345999"));
        assert_ne!(of("+31612345678").block, of("+31612346678").block);
        assert_eq!(
            (of("+12125550123").country, of("+14165550123").country),
            ("US".to_owned(), "CA".to_owned())
        );
        assert_eq!(
            Recipient::parse(Channel::Email, "a@example.org")
                .unwrap()
                .number_area(),
            None
        );
    }

    #[test]
    fn log_03_what_is_shown_is_masked() {
        let shown = |channel, text| format!("{:?}", Recipient::parse(channel, text).unwrap());
        assert_eq!(
            shown(Channel::Email, "anna@example.org"),
            "email:a•••@e•••.org"
        );
        assert_eq!(shown(Channel::Sms, "+31612345634"), "sms:+31 6 •••• ••34");
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_05_no_text_panics_and_a_canonical_number_is_its_own_form(text in ".{0,40}") {
            if let Ok(recipient) = Recipient::parse(Channel::Sms, &text) {
                let canonical = recipient.expose().to_owned();
                let digits = canonical.strip_prefix('+').expect("it begins with a plus");
                prop_assert!(digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_digit()), "{canonical}");
                prop_assert_eq!(Recipient::parse(Channel::Sms, &canonical), Ok(recipient));
            }
        }

        #[test]
        fn text_05_another_spelling_is_the_same_number_or_refused(gaps in proptest::collection::vec("[ .()-]{0,2}", 11)) {
            let mut spelled = "+31612345678".to_owned();
            for (at, gap) in gaps.iter().enumerate().rev() {
                spelled.insert_str(at + 1, gap);
            }
            if let Ok(recipient) = Recipient::parse(Channel::Sms, &spelled) {
                prop_assert_eq!(recipient.expose(), "+31612345678", "{}", spelled);
            }
        }
    }
}
