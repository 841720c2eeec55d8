//! What quotas over all processes limit.

use std::net::{IpAddr, Ipv6Addr};

use crate::domain::ids::Invalid;

/// What a quota limits. Quotas are drawn in this order: those of one person first and those shared by many last, so
/// that a refusal by the former takes nothing from the latter. If several quotas refuse, the first one is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Messages to one recipient, over any channel.
    Recipient,
    /// Messages to one recipient over a longer time, so that the pauses between messages grow.
    RecipientLong,
    /// Subjects that were not seen at this recipient before.
    RecipientSubjects,
    /// Recipients that were not seen for this subject before.
    SubjectRecipients,
    /// Messages for one subject.
    Subject,
    /// Starts on one contact.
    Contact,
    /// Starts under one of the caller's own keys.
    QuotaKeys,
    /// Messages to a block of a thousand neighbouring numbers.
    Prefix,
    /// Messages to such a block without an approval, as counted by the pumping guard.
    GuardPrefix,
    /// Starts for customers in one network.
    SourceIp,
    /// Starts by one agent.
    Agent,
    /// Starts by one caller for subjects without a record.
    NewSubjects,
    /// Messages to the numbers of one country.
    Country,
    /// Messages to the numbers of one country without an approval, as counted by the pumping guard.
    GuardCountry,
    /// Starts by one caller.
    Caller,
    /// Messages of one tenant.
    Tenant,
    /// Money that a tenant spends in an hour.
    SpendHour,
    /// Money that a tenant spends in a day.
    SpendDay,
}

impl Dimension {
    /// All dimensions, in the order in which they are drawn.
    pub const ALL: [Self; 18] = [
        Self::Recipient,
        Self::RecipientLong,
        Self::RecipientSubjects,
        Self::SubjectRecipients,
        Self::Subject,
        Self::Contact,
        Self::QuotaKeys,
        Self::Prefix,
        Self::GuardPrefix,
        Self::SourceIp,
        Self::Agent,
        Self::NewSubjects,
        Self::Country,
        Self::GuardCountry,
        Self::Caller,
        Self::Tenant,
        Self::SpendHour,
        Self::SpendDay,
    ];

    /// The name used in settings, errors, events and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::RecipientLong => "recipient_long",
            Self::RecipientSubjects => "recipient_subjects",
            Self::SubjectRecipients => "subject_recipients",
            Self::Subject => "subject",
            Self::Contact => "contact",
            Self::QuotaKeys => "quota_keys",
            Self::Prefix => "prefix",
            Self::GuardPrefix => "guard_prefix",
            Self::SourceIp => "source_ip",
            Self::Agent => "agent",
            Self::NewSubjects => "new_subjects",
            Self::Country => "country",
            Self::GuardCountry => "guard_country",
            Self::Caller => "caller",
            Self::Tenant => "tenant",
            Self::SpendHour => "spend_hour",
            Self::SpendDay => "spend_day",
        }
    }

    /// Whether it counts money. Such budgets are set in `[spend]`.
    #[must_use]
    pub const fn is_money(self) -> bool {
        matches!(self, Self::SpendHour | Self::SpendDay)
    }

    /// Whether it is a count of the pumping guard. Such budgets are set in `[guard]`.
    #[must_use]
    pub const fn is_guard(self) -> bool {
        matches!(self, Self::GuardPrefix | Self::GuardCountry)
    }

    /// Whether it is a plain count. Such rates are set in `[quotas]`.
    #[must_use]
    pub const fn is_plain(self) -> bool {
        !self.is_money() && !self.is_guard()
    }

    /// The API's `ErrorReason` for a refusal by this dimension.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        if self.is_guard() {
            "GUARD_REFUSED"
        } else {
            "QUOTA_EXCEEDED"
        }
    }

    /// Whether one of its buckets is used by a large part of all calls, so that processes draw from it in slices.
    /// Money is excluded, so that a budget is spent down to the last message that fits.
    #[must_use]
    pub const fn is_hot(self) -> bool {
        matches!(
            self,
            Self::NewSubjects | Self::Country | Self::Caller | Self::Tenant
        )
    }
}

/// The network of a customer: an IPv4 address, or the /64 prefix of an IPv6 address, because one customer can use
/// all addresses in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Network(IpAddr);

impl Network {
    /// Parses an IPv4 or IPv6 address in any notation.
    ///
    /// # Errors
    /// [`Invalid`] describes the expected form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let address: IpAddr = text
            .parse()
            .map_err(|_| Invalid("must be an IPv4 or IPv6 address"))?;
        Ok(Self(match address.to_canonical() {
            IpAddr::V6(long) => IpAddr::V6((u128::from(long) & !u128::from(u64::MAX)).into()),
            short @ IpAddr::V4(_) => short,
        }))
    }

    /// The prefix that one provider gives to one neighbourhood of customers: the /24 of IPv4, the /48 of IPv6. So a
    /// stranger does not get another place by each address that they have: an ordinary line has 256 prefixes of 64
    /// bits, and a rented server often 65,536 (RFC 6177).
    #[must_use]
    pub fn neighbourhood(self) -> String {
        match self.0 {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(address) => {
                let site = u128::from(address) >> 80 << 80;
                format!("{}/48", Ipv6Addr::from(site))
            }
        }
    }

    /// The text under which the network is counted.
    #[must_use]
    pub fn limit_form(self) -> String {
        self.0.to_string()
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_the_order_of_drawing_and_complete() {
        assert!(Dimension::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(Dimension::ALL.last(), Some(&Dimension::SpendDay));
        assert_eq!(Dimension::ALL.len(), Dimension::SpendDay as usize + 1);
    }

    #[test]
    fn a_network_has_one_form() {
        let form = |text: &str| Network::parse(text).map(Network::limit_form).unwrap();
        assert_eq!(form("192.0.2.7"), form("::ffff:192.0.2.7"));
        assert_eq!(
            form("2001:db8:1:2::1"),
            form("2001:0DB8:1:2:ffff:eeee:dddd:cccc")
        );
        assert_ne!(form("2001:db8:1:2::1"), form("2001:db8:1:3::1"));
        assert_ne!(form("192.0.2.7"), form("192.0.2.8"));
        for text in [
            "",
            "192.0.2",
            "192.0.2.7:80",
            "host",
            "192.0.2.7, 192.0.2.8",
        ] {
            assert!(Network::parse(text).is_err(), "{text:?}");
        }
    }
}
