//! The quotas that one message counts against, tightest first.

use crate::{
    domain::{
        crypto::keyring::{Keyring, Mark},
        decide::{Occasion, Outgoing},
        ids::TenantId,
        limit::{quota::Dimension, rate::Rate, spend::Money},
    },
    ports::store::Short,
    service::policy::Policy,
};

/// A bucket that a message counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) dimension: Dimension,
    pub(super) bucket: Mark,
    pub(super) rate: Rate,
    /// The amount to draw: 1, or the parts of a budget or of a guard's count that the message costs.
    pub(super) want: u32,
    /// What happens to the message if the bucket holds less.
    pub(super) short: Short,
}

/// Determines the charges of one tenant's messages.
pub(super) struct Tariff<'a> {
    pub(super) keyring: &'a Keyring,
    pub(super) policy: &'a Policy,
    pub(super) tenant: &'a TenantId,
}

impl Tariff<'_> {
    /// All charges of a message of this cost, in the order of [`Dimension`].
    pub(super) fn charges(&self, outgoing: &Outgoing, cost: Money) -> Vec<Charge> {
        let (recipient, subject) = (outgoing.recipient.limit_form(), outgoing.subject.as_str());
        let (area, caller) = (outgoing.recipient.number_area(), outgoing.caller.as_str());
        let mut charges = Vec::new();
        let mut add = |dimension, value: &[&str]| self.add(&mut charges, dimension, value);
        add(Dimension::Recipient, &[&recipient]);
        add(Dimension::RecipientLong, &[&recipient]);
        if outgoing.new_recipient {
            add(Dimension::RecipientSubjects, &[&recipient]);
            add(Dimension::SubjectRecipients, &[subject]);
        }
        add(Dimension::Subject, &[subject]);
        if let Some(area) = &area {
            add(Dimension::Prefix, &[&area.block]);
            add(Dimension::Country, &[&area.country]);
        }
        add(Dimension::Tenant, &[]);
        if let Occasion::Start(asker) = &outgoing.occasion {
            let contact = asker.contact.as_ref();
            if let Some(contact) = contact {
                add(Dimension::Contact, &[contact.id.as_str()]);
            }
            asker
                .keys
                .iter()
                .for_each(|key| add(Dimension::QuotaKeys, &[caller, key.as_str()]));
            if let Some(network) = asker.network {
                add(Dimension::SourceIp, &[&network.limit_form()]);
            }
            if let Some(agent) = contact.and_then(|contact| contact.agent.as_ref()) {
                add(Dimension::Agent, &[agent.as_str()]);
            }
            if outgoing.new_subject {
                add(Dimension::NewSubjects, &[caller]);
            }
            add(Dimension::Caller, &[caller]);
        }
        if let Some(area) = &area {
            charges.extend(self.guard_charges(area));
        }
        self.add_cost(&mut charges, cost);
        charges.sort_by_key(|charge| charge.dimension);
        charges
    }

    /// Adds the tenant's budgets, if the message costs anything. Both buckets are in one slot of a cluster.
    fn add_cost(&self, charges: &mut Vec<Charge>, cost: Money) {
        for share in self.policy.spend.shares(self.tenant, cost) {
            let mut bucket = self.mark(share.dimension, &[]);
            bucket[0] = self.mark(Dimension::SpendHour, &[])[0];
            charges.push(Charge {
                dimension: share.dimension,
                bucket,
                rate: share.rate,
                want: share.parts,
                short: Short::Refuse,
            });
        }
    }

    /// Adds a bucket, if its dimension has a rate. A key that is given twice counts once.
    fn add(&self, charges: &mut Vec<Charge>, dimension: Dimension, value: &[&str]) {
        let Some(rate) = self.policy.quotas.rate(dimension) else {
            return;
        };
        let mut bucket = self.mark(dimension, value);
        // A cluster places a bucket by its first byte: buckets for the same value are in one slot and are drawn by
        // one call.
        let first = match dimension {
            Dimension::RecipientLong | Dimension::RecipientSubjects => Dimension::Recipient,
            Dimension::SubjectRecipients => Dimension::Subject,
            other => other,
        };
        if first != dimension {
            bucket[0] = self.mark(first, value)[0];
        }
        if !charges.iter().any(|charge| charge.bucket == bucket) {
            charges.push(Charge {
                dimension,
                bucket,
                rate,
                want: 1,
                short: Short::Refuse,
            });
        }
    }

    /// Names a bucket by a keyed hash, so that the store sees no number, address or name.
    pub(super) fn mark(&self, dimension: Dimension, value: &[&str]) -> Mark {
        let mut fields = vec![
            dimension.as_str().as_bytes(),
            self.tenant.as_str().as_bytes(),
        ];
        fields.extend(value.iter().map(|part| part.as_bytes()));
        self.keyring.mark("quota", &fields)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::domain::{
        crypto::keyring::tests::ring,
        decide::Asker,
        ids::{ActionName, CallerName, Reference, SubjectId},
        limit::{
            guesses::GuessRules,
            pumping::{Guard, Mode},
            quota::{Network, Quotas},
            spend::{Budgets, Spend},
        },
        recipient::{
            Channel, Recipient, number::Country, rules::NumberRules,
            test_recipients::TestRecipients,
        },
        verification::{Contact, rules::SubjectRules},
    };

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    /// A message of a resend; tests change its fields.
    fn outgoing(channel: Channel, address: &str) -> Outgoing {
        Outgoing {
            tenant: tenant("bank"),
            caller: CallerName::parse("portal").unwrap(),
            action: ActionName::parse("login").unwrap(),
            subject: SubjectId::parse("customer-1").unwrap(),
            recipient: Recipient::parse(channel, address).unwrap(),
            occasion: Occasion::Resend,
            new_subject: true,
            new_recipient: true,
        }
    }

    fn quotas() -> Quotas {
        let counted = Dimension::ALL
            .into_iter()
            .filter(|dimension| dimension.is_plain());
        counted
            .map(|dimension| (dimension, Rate::per(5, Duration::from_secs(600))))
            .collect()
    }

    fn contact() -> Contact {
        let reference = |text| Reference::parse(text).unwrap();
        Contact {
            id: reference("call-1"),
            case: None,
            channel: None,
            agent: Some(reference("agent-7")),
        }
    }

    fn dimensions(charges: &[Charge]) -> Vec<Dimension> {
        charges.iter().map(|charge| charge.dimension).collect()
    }

    /// SMS messages have a price, and there are budgets per hour and per day.
    fn spend() -> Spend {
        let money = |text| Money::parse(text).unwrap();
        let budgets = Budgets {
            hour: money("1"),
            day: money("5"),
        };
        Spend {
            costs: [((Channel::Sms, None), money("0.25"))].into(),
            budgets,
            ..Spend::default()
        }
    }

    fn guard() -> Guard {
        let (leak, exempt) = (
            Duration::from_secs(86_400),
            [Country::parse("BE").unwrap()].into(),
        );
        Guard {
            mode: Mode::Enforce,
            budget: 50,
            reserve: 500,
            leak,
            exempt,
        }
    }

    fn policy(quotas: Quotas, spend: Spend) -> Policy {
        Policy {
            actions: BTreeMap::new(),
            subject: SubjectRules {
                failure_limit: 25,
                closed_retention: Duration::from_secs(3600),
                event_retention: Duration::from_secs(86_400),
            },
            guesses: GuessRules {
                alarm_failures: 100,
                alarm_factor: 10,
                slow_down: None,
            },
            quotas,
            guard: guard(),
            numbers: NumberRules::default(),
            spend,
            test_recipients: TestRecipients::default(),
            events_max_per_shard: None,
        }
    }

    fn bill_by(policy: &Policy, tenant: &TenantId, outgoing: &Outgoing) -> Vec<Charge> {
        let keyring = ring(1, &["a"]);
        let tariff = Tariff {
            keyring: &keyring,
            policy,
            tenant,
        };
        tariff.charges(outgoing, policy.spend.cost(&outgoing.recipient))
    }

    fn bill(tenant: &str, outgoing: &Outgoing) -> Vec<Charge> {
        bill_by(&policy(quotas(), spend()), &self::tenant(tenant), outgoing)
    }

    #[test]
    fn a_start_counts_against_everything_and_the_tightest_comes_first() {
        let keys = ["device-1", "shop-2", "device-1"].map(|key| Reference::parse(key).unwrap());
        let occasion = Occasion::Start(Asker {
            contact: Some(contact()),
            network: Some(Network::parse("192.0.2.1").unwrap()),
            keys: keys.to_vec(),
        });
        let started = Outgoing {
            occasion,
            ..outgoing(Channel::Sms, "+31612345678")
        };
        let charges = bill("bank", &started);
        let mut all = dimensions(&charges);
        assert_eq!(
            all.iter()
                .filter(|dimension| **dimension == Dimension::QuotaKeys)
                .count(),
            2,
            "a key twice counts once"
        );
        all.dedup();
        assert_eq!(all, Dimension::ALL);
        let slots: Vec<_> = charges
            .iter()
            .take(3)
            .map(|charge| charge.bucket[0])
            .collect();
        assert!(
            slots.iter().all(|slot| *slot == slots[0]),
            "those of one recipient lie together"
        );
        let mut buckets: Vec<_> = charges.iter().map(|charge| charge.bucket).collect();
        buckets.sort_unstable();
        buckets.dedup();
        assert_eq!(buckets.len(), charges.len(), "and are not the same");
    }

    #[test]
    fn a_resend_counts_for_where_it_goes_and_not_for_who_asks() {
        use Dimension::{
            Country, GuardCountry, GuardPrefix, Prefix, Recipient, RecipientLong, SpendDay,
            SpendHour, Subject, Tenant,
        };
        let known = Outgoing {
            new_subject: false,
            new_recipient: false,
            ..outgoing(Channel::Sms, "+31612345678")
        };
        let of_number = [Prefix, GuardPrefix, Country, GuardCountry];
        let expected = [
            &[Recipient, RecipientLong, Subject][..],
            &of_number,
            &[Tenant, SpendHour, SpendDay],
        ]
        .concat();
        for occasion in [Occasion::Resend, Occasion::Plan] {
            let message = Outgoing {
                occasion,
                ..known.clone()
            };
            assert_eq!(dimensions(&bill("bank", &message)), expected);
        }
        let mail = Outgoing {
            recipient: outgoing(Channel::Email, "a@example.org").recipient,
            ..known
        };
        assert_eq!(
            dimensions(&bill("bank", &mail)),
            [Recipient, RecipientLong, Subject, Tenant]
        );
    }

    #[test]
    fn one_number_is_one_bucket_by_every_channel_and_spelling_and_another_one_in_another_tenant() {
        let first = |tenant, channel, address| bill(tenant, &outgoing(channel, address))[0];
        let sms = first("bank", Channel::Sms, "+31612345678");
        assert_eq!(sms, first("bank", Channel::Voice, "+31 (0)6-1234 5678"));
        assert_eq!(sms, first("bank", Channel::Whatsapp, "+31 6 12 34 56 78"));
        assert_ne!(sms, first("bank", Channel::Sms, "+31612345679"));
        assert_ne!(sms, first("shop", Channel::Sms, "+31612345678"));
    }

    #[test]
    fn a_dimension_without_a_rate_is_not_counted() {
        let only: Quotas = [(Dimension::Tenant, Rate::per(1, Duration::from_secs(1)))]
            .into_iter()
            .collect();
        let outgoing = outgoing(Channel::Email, "a@example.org");
        let charges = bill_by(&policy(only, Spend::default()), &tenant("bank"), &outgoing);
        assert_eq!(dimensions(&charges), [Dimension::Tenant]);
    }

    #[test]
    fn send_04_a_message_to_a_number_counts_for_its_block_and_its_country_where_they_lie() {
        let guarded = |address| {
            let charges = bill("bank", &outgoing(Channel::Sms, address));
            let place = |of| {
                charges
                    .iter()
                    .find(|charge| charge.dimension == of)
                    .map(|charge| charge.bucket[0])
            };
            let shared = [
                place(Dimension::Prefix) == place(Dimension::GuardPrefix),
                place(Dimension::Country) == place(Dimension::GuardCountry),
            ];
            let counted: Vec<_> = charges
                .into_iter()
                .filter(|charge| charge.dimension.is_guard())
                .collect();
            (counted, shared)
        };
        let (counted, shared) = guarded("+31612345678");
        assert_eq!(
            (dimensions(&counted), shared),
            (
                vec![Dimension::GuardPrefix, Dimension::GuardCountry],
                [true, true]
            )
        );
        assert!(
            counted
                .iter()
                .all(|charge| charge.want == 3 && charge.short == Short::Refuse)
        );
        let buckets = |address| {
            guarded(address)
                .0
                .iter()
                .map(|charge| charge.bucket)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            buckets("+31612345999"),
            buckets("+31612345678"),
            "a neighbour"
        );
        let far = buckets("+31612399678");
        assert!(
            far[0] != counted[0].bucket && far[1] == counted[1].bucket,
            "of the same country"
        );
        assert_eq!(guarded("+32470123456").0, [], "an exempt country");
    }

    #[test]
    fn send_06_a_message_takes_its_share_of_both_budgets_of_its_tenant() {
        let money = |tenant, channel, address| {
            let charges = bill(tenant, &outgoing(channel, address));
            charges
                .into_iter()
                .filter(|charge| charge.dimension.is_money())
                .collect::<Vec<_>>()
        };
        let sms = money("bank", Channel::Sms, "+31612345678");
        assert_eq!(
            dimensions(&sms),
            [Dimension::SpendHour, Dimension::SpendDay]
        );
        assert_eq!(
            (sms[0].want, sms[1].want),
            (900_000_000, 180_000_000),
            "a quarter and a twentieth"
        );
        assert_eq!(sms[0].bucket[0], sms[1].bucket[0], "both lie together");
        assert_eq!(
            sms,
            money("bank", Channel::Sms, "+4915112345678"),
            "the budget is the tenant's"
        );
        assert_ne!(
            sms[0].bucket,
            money("shop", Channel::Sms, "+31612345678")[0].bucket
        );
        assert_eq!(
            money("bank", Channel::Email, "a@example.org"),
            [],
            "what costs nothing draws nothing"
        );
    }
}
