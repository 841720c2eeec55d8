//! The quotas that one message counts against, tightest first.

use crate::{
    domain::{
        crypto::keyring::{Keyring, Mark},
        decide::{Occasion, Outgoing},
        ids::TenantId,
        limit::{
            bucket::{BucketKind, Scope},
            quota::Dimension,
            rate::Rate,
            spend::Money,
        },
        verification::rules::Origin,
    },
    ports::store::{Draw, Short},
    service::policy::Policy,
};

/// A bucket that a message counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) kind: BucketKind,
    pub(super) name: BucketName,
    pub(super) rate: Rate,
    /// The amount to draw: 1, or the parts of a budget or of a guard's count that the message costs.
    pub(super) want: u32,
    /// What happens to the message if the bucket holds less.
    pub(super) short: Short,
}

/// Where the store keeps a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BucketName {
    pub(super) owner: Mark,
    pub(super) slot: u8,
    /// The name under which version 0.1 kept it, if it did.
    pub(super) former: Option<Mark>,
}

impl Charge {
    /// The draw of the whole charge.
    pub(super) fn draw(&self) -> Draw {
        let BucketName {
            owner,
            slot,
            former,
        } = self.name;
        Draw {
            slot,
            former,
            short: self.short,
            ..Draw::whole(owner, self.rate, self.want)
        }
    }
}

/// Determines the charges of one tenant's messages.
pub(super) struct Tariff<'a> {
    pub(super) keyring: &'a Keyring,
    pub(super) policy: &'a Policy,
    pub(super) tenant: &'a TenantId,
}

/// What names the owner of buckets: the values of the dimension that it is named after.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) value: &'a [&'a str],
    /// The values that named the buckets in version 0.1.
    pub(super) former: &'a [&'a str],
}

impl<'a> Named<'a> {
    /// Values that were the same in version 0.1.
    pub(super) fn by(value: &'a [&'a str]) -> Self {
        Self {
            value,
            former: value,
        }
    }
}

impl Tariff<'_> {
    /// All charges of a message of this cost, in the order of [`Dimension`]; of one dimension the anonymous one first.
    pub(super) fn charges(&self, outgoing: &Outgoing, cost: Money) -> Vec<Charge> {
        let (subject, caller) = (outgoing.subject.as_str(), outgoing.caller.as_str());
        let area = outgoing.recipient.number_area();
        let mut charges = Vec::new();
        self.add_recipient(&mut charges, outgoing);
        let mut add = |dimension, value: &[&str]| {
            self.add(&mut charges, dimension, outgoing.origin, Named::by(value));
        };
        add(Dimension::Subject, &[subject]);
        if outgoing.is_new_recipient() {
            add(Dimension::SubjectRecipients, &[subject]);
        }
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
            charges.extend(self.guard_charges(area, outgoing.origin));
        }
        self.add_cost(&mut charges, outgoing.origin, cost);
        charges.sort_by_key(|charge| charge.kind);
        charges
    }

    /// Adds what counts at the address. New subjects count at the address as it is written: a stranger who starts for
    /// `victim+1@`, `victim+2@` and so on uses up nothing of `victim@`.
    fn add_recipient(&self, charges: &mut Vec<Charge>, outgoing: &Outgoing) {
        let recipient = &outgoing.recipient;
        let (mailbox, former) = (recipient.limit_form(), recipient.former_limit_form());
        let named = Named {
            value: &[&mailbox],
            former: &[&former],
        };
        for dimension in [Dimension::Recipient, Dimension::RecipientLong] {
            self.add(charges, dimension, outgoing.origin, named);
        }
        if outgoing.is_new_recipient() {
            let exact = recipient.exact_form();
            let from = charges.len();
            let dimension = Dimension::RecipientSubjects;
            self.add(charges, dimension, outgoing.origin, Named::by(&[&exact]));
            // On a cluster it lies beside the other buckets of the mailbox, and is drawn by the same call.
            let place = self.names(dimension, named).owner[0];
            for charge in &mut charges[from..] {
                charge.name.owner[0] = place;
            }
        }
    }

    /// Adds the tenant's budgets, if the message costs anything.
    fn add_cost(&self, charges: &mut Vec<Charge>, origin: Origin, cost: Money) {
        for share in self.policy.spend.shares(self.tenant, cost, origin) {
            let names = self.names(share.kind.dimension, Named::by(&[]));
            charges.push(Charge {
                kind: share.kind,
                name: names.of(share.kind),
                rate: share.rate,
                want: share.parts,
                short: Short::Refuse,
            });
        }
    }

    /// Adds the buckets of a dimension, if it has a rate. A key that is given twice counts once.
    fn add(&self, charges: &mut Vec<Charge>, dimension: Dimension, origin: Origin, of: Named<'_>) {
        if self.policy.quotas.get(dimension).is_none() {
            return;
        }
        let names = self.names(dimension, of);
        for kind in dimension.kinds(origin) {
            let name = names.of(kind);
            let rate = self.policy.quotas.rate(kind);
            let rate = rate.filter(|_| !charges.iter().any(|charge| charge.name == name));
            charges.extend(rate.map(|rate| Charge {
                kind,
                name,
                rate,
                want: 1,
                short: Short::Refuse,
            }));
        }
    }

    /// The names of the buckets of a dimension. On a cluster the first byte of an owner says where it lies: those of a
    /// tenant lie where version 0.1 kept its budgets, so that an upgrade finds what was spent.
    pub(super) fn names(&self, dimension: Dimension, of: Named<'_>) -> Names {
        let (named_after, _) = dimension.place();
        let mut owner = self.mark(named_after, of.value);
        let lead = if of.former == of.value {
            owner
        } else {
            self.mark(named_after, of.former)
        };
        let mut former = lead;
        if dimension != named_after {
            former = self.mark(dimension, of.former);
        }
        match dimension {
            Dimension::SpendDay => former[0] = self.mark(Dimension::SpendHour, of.former)[0],
            // These lay by themselves.
            Dimension::SpendHour | Dimension::NewSubjects => {}
            _ => former[0] = lead[0],
        }
        if named_after == Dimension::Tenant {
            owner[0] = self.mark(Dimension::SpendHour, of.value)[0];
        }
        Names { owner, former }
    }

    /// A keyed hash as a name, so that the store sees no number, address or name.
    fn mark(&self, dimension: Dimension, value: &[&str]) -> Mark {
        let mut fields = vec![
            dimension.as_str().as_bytes(),
            self.tenant.as_str().as_bytes(),
        ];
        fields.extend(value.iter().map(|part| part.as_bytes()));
        self.keyring.mark("quota", &fields)
    }
}

/// The names of the buckets of a dimension.
pub(super) struct Names {
    owner: Mark,
    /// The name of its only bucket in version 0.1.
    former: Mark,
}

impl Names {
    /// Where the store keeps one of them. Version 0.1 had no buckets for anonymous messages alone; that of new subjects,
    /// which is left to them, counted all.
    pub(super) fn of(&self, kind: BucketKind) -> BucketName {
        let is_former =
            kind.scope != Scope::Anonymous || kind.dimension == Dimension::RecipientSubjects;
        BucketName {
            owner: self.owner,
            slot: kind.slot(),
            former: is_former.then_some(self.former),
        }
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
            bucket::{Quota, Quotas},
            guesses::GuessRules,
            pumping::{Guard, Mode},
            quota::Network,
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
            origin: Origin::Vouched,
            new_subject: true,
            new_recipient: true,
            decoy: false,
        }
    }

    fn quotas() -> Quotas {
        let counted = Dimension::ALL
            .into_iter()
            .filter(|dimension| dimension.is_plain());
        counted
            .map(|dimension| (dimension, five(dimension)))
            .collect()
    }

    fn five(dimension: Dimension) -> Quota {
        Quota::of(dimension, 5, Duration::from_secs(600))
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
        charges.iter().map(|charge| charge.kind.dimension).collect()
    }

    /// The quotas and origins that are drawn from, as in metrics.
    fn kinds(charges: &[Charge]) -> Vec<(&'static str, &'static str)> {
        let kinds = charges.iter().map(|charge| charge.kind);
        kinds
            .map(|kind| (kind.dimension.as_str(), kind.scope.as_str()))
            .collect()
    }

    /// A start by an agent's customer, with everything that is counted.
    fn started(origin: Origin, channel: Channel, address: &str) -> Outgoing {
        let keys = ["device-1", "shop-2", "device-1"].map(|key| Reference::parse(key).unwrap());
        let asker = Asker {
            contact: Some(contact()),
            network: Some(Network::parse("192.0.2.1").unwrap()),
            keys: keys.to_vec(),
        };
        Outgoing {
            occasion: Occasion::Start(asker),
            origin,
            ..outgoing(channel, address)
        }
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
        let sms = |origin| bill("bank", &started(origin, Channel::Sms, "+31612345678"));
        let (vouched, anonymous) = (sms(Origin::Vouched), sms(Origin::Anonymous));
        let all = dimensions(&anonymous);
        assert_eq!(
            all.iter()
                .filter(|dimension| **dimension == Dimension::QuotaKeys)
                .count(),
            2,
            "a key twice counts once"
        );
        let of_both = [dimensions(&vouched), vec![Dimension::RecipientSubjects]].concat();
        for mut all in [all, of_both] {
            all.sort();
            all.dedup();
            assert_eq!(all, Dimension::ALL);
        }
        for charges in [vouched, anonymous] {
            assert!(charges.is_sorted_by_key(|charge| charge.kind));
            let mut names: Vec<_> = charges
                .iter()
                .map(|charge| (charge.name.owner, charge.name.slot))
                .collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), charges.len(), "no two are one bucket");
            names.dedup_by_key(|(owner, _)| *owner);
            assert_eq!(
                names.len(),
                "recipient subject contact key key prefix network agent caller country tenant"
                    .split(' ')
                    .count(),
                "the buckets of one owner are one key"
            );
        }
    }

    #[test]
    fn send_14_an_anonymous_start_draws_from_nothing_that_is_kept_for_vouched_ones() {
        let mail = |origin| bill("bank", &started(origin, Channel::Email, "a@example.org"));
        let (vouched, anonymous) = (mail(Origin::Vouched), mail(Origin::Anonymous));
        assert_eq!(
            kinds(&vouched),
            [
                ("recipient", "vouched"),
                ("recipient_long", "vouched"),
                ("subject_recipients", "vouched"),
                ("subject", "vouched"),
                ("contact", "vouched"),
                ("quota_keys", "vouched"),
                ("quota_keys", "vouched"),
                ("source_ip", "vouched"),
                ("agent", "all"),
                ("new_subjects", "all"),
                ("caller", "all"),
                ("tenant", "all"),
            ]
        );
        assert_eq!(
            kinds(&anonymous),
            [
                ("recipient", "anonymous"),
                ("recipient_long", "anonymous"),
                ("recipient_subjects", "anonymous"),
                ("subject_recipients", "anonymous"),
                ("subject", "anonymous"),
                ("contact", "anonymous"),
                ("quota_keys", "anonymous"),
                ("quota_keys", "anonymous"),
                ("source_ip", "anonymous"),
                ("agent", "anonymous"),
                ("agent", "all"),
                ("new_subjects", "anonymous"),
                ("new_subjects", "all"),
                ("caller", "anonymous"),
                ("caller", "all"),
                ("tenant", "anonymous"),
                ("tenant", "all"),
            ]
        );
        let names: Vec<_> = vouched.iter().map(|charge| charge.name).collect();
        for charge in anonymous {
            assert_eq!(
                names.contains(&charge.name),
                charge.kind.scope == Scope::All,
                "{charge:?}"
            );
            let half =
                charge.kind.scope == Scope::Anonymous && !charge.kind.dimension.is_per_origin();
            assert_eq!(charge.rate.capacity(), if half { 3 } else { 5 });
        }
    }

    #[test]
    fn send_14_a_decoy_draws_what_an_anonymous_start_of_a_known_customer_draws() {
        let start = started(Origin::Anonymous, Channel::Sms, "+31612345678");
        for new_subject in [true, false] {
            let known = Outgoing {
                new_subject,
                new_recipient: false,
                ..start.clone()
            };
            let decoy = Outgoing {
                new_subject,
                decoy: true,
                ..start.clone()
            };
            assert_eq!(bill("bank", &decoy), bill("bank", &known));
        }
    }

    #[test]
    fn send_14_new_subjects_count_at_the_address_as_it_is_written() {
        let charges = |address| bill("bank", &started(Origin::Anonymous, Channel::Email, address));
        let of = |address, dimension| {
            let of = |charge: &&Charge| charge.kind.dimension == dimension;
            charges(address).iter().find(of).unwrap().name
        };
        let [plain, tagged] = ["victim@example.org", "victim+a@example.org"];
        for dimension in [Dimension::Recipient, Dimension::RecipientLong] {
            assert_eq!(of(plain, dimension), of(tagged, dimension));
        }
        let subjects = |address| of(address, Dimension::RecipientSubjects);
        assert_ne!(subjects(plain), subjects(tagged));
        assert_ne!(subjects("victim+b@example.org"), subjects(tagged));
        assert_eq!(subjects("Victim+A@example.org"), subjects(tagged));
        let mailbox = of(plain, Dimension::Recipient).owner;
        assert_eq!(subjects(plain).owner, mailbox);
        assert_eq!(
            subjects(tagged).owner[0],
            mailbox[0],
            "on a cluster both lie together"
        );
        let gmail = ["anna.berg@googlemail.com", "annaberg+1@gmail.com"];
        assert_eq!(
            of(gmail[0], Dimension::Recipient).owner,
            of(gmail[1], Dimension::Recipient).owner
        );
        assert_ne!(subjects(gmail[0]), subjects(gmail[1]));
    }

    /// The marks of version 0.1, made as it made them.
    #[test]
    fn send_14_a_bucket_continues_where_version_0_1_kept_it() {
        let keyring = ring(1, &["a"]);
        let mark = |dimension: &str, value: &[&str]| {
            let fields = [&[dimension, "bank"], value].concat();
            let fields: Vec<_> = fields.iter().map(|field| field.as_bytes()).collect();
            keyring.mark("quota", &fields)
        };
        let beside = |dimension, first, value: &[&str]| {
            let mut name = mark(dimension, value);
            name[0] = mark(first, value)[0];
            name
        };
        let (number, block) = ("+31612345678", "+31612345");
        let former = BTreeMap::from([
            ("recipient", mark("recipient", &[number])),
            (
                "recipient_long",
                beside("recipient_long", "recipient", &[number]),
            ),
            (
                "recipient_subjects",
                beside("recipient_subjects", "recipient", &[number]),
            ),
            (
                "subject_recipients",
                beside("subject_recipients", "subject", &["customer-1"]),
            ),
            ("subject", mark("subject", &["customer-1"])),
            ("contact", mark("contact", &["call-1"])),
            ("prefix", mark("prefix", &[block])),
            ("guard_prefix", beside("guard_prefix", "prefix", &[block])),
            ("source_ip", mark("source_ip", &["192.0.2.1"])),
            ("agent", mark("agent", &["agent-7"])),
            ("new_subjects", mark("new_subjects", &["portal"])),
            ("country", mark("country", &["NL"])),
            ("guard_country", beside("guard_country", "country", &["NL"])),
            ("caller", mark("caller", &["portal"])),
            ("tenant", mark("tenant", &[])),
            ("spend_hour", mark("spend_hour", &[])),
            ("spend_day", beside("spend_day", "spend_hour", &[])),
        ]);
        let mut seen = 0;
        for origin in [Origin::Vouched, Origin::Anonymous] {
            for charge in bill("bank", &started(origin, Channel::Sms, number)) {
                let (dimension, name) = (charge.kind.dimension, charge.name);
                if dimension == Dimension::QuotaKeys {
                    continue;
                }
                let is_new = charge.kind.scope == Scope::Anonymous
                    && dimension != Dimension::RecipientSubjects;
                let expected = former.get(dimension.as_str()).copied();
                assert_eq!(
                    name.former,
                    expected.filter(|_| !is_new),
                    "{:?}",
                    charge.kind
                );
                // A cluster reads the former name only if both are in one slot. What is not money or a person may
                // begin again.
                let begins_again = [Dimension::Tenant, Dimension::NewSubjects].contains(&dimension);
                if let Some([place, ..]) = name.former.filter(|_| !begins_again) {
                    assert_eq!(name.owner[0], place, "{:?}", charge.kind);
                    seen += 1;
                }
            }
        }
        assert_eq!(
            seen,
            14 + 9,
            "of all vouched ones, and of the shared ones twice"
        );
        let gmail = bill("bank", &outgoing(Channel::Email, "a.b+c@googlemail.com"));
        assert_eq!(
            gmail[0].name.former,
            Some(mark("recipient", &["a.b@googlemail.com"])),
            "by the rules of that time"
        );
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
        let only: Quotas = [(Dimension::Tenant, five(Dimension::Tenant))]
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
                    .find(|charge| charge.kind.dimension == of)
                    .map(|charge| charge.name.owner)
            };
            let shared = [
                place(Dimension::Prefix) == place(Dimension::GuardPrefix),
                place(Dimension::Country) == place(Dimension::GuardCountry),
            ];
            let counted: Vec<_> = charges
                .into_iter()
                .filter(|charge| charge.kind.dimension.is_guard())
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
                .map(|charge| charge.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            buckets("+31612345999"),
            buckets("+31612345678"),
            "a neighbour"
        );
        let far = buckets("+31612399678");
        assert!(
            far[0] != counted[0].name && far[1] == counted[1].name,
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
                .filter(|charge| charge.kind.dimension.is_money())
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
        assert_eq!(sms[0].name.owner, sms[1].name.owner, "both lie together");
        assert_eq!(
            sms,
            money("bank", Channel::Sms, "+4915112345678"),
            "the budget is the tenant's"
        );
        assert_ne!(
            sms[0].name,
            money("shop", Channel::Sms, "+31612345678")[0].name
        );
        assert_eq!(
            money("bank", Channel::Email, "a@example.org"),
            [],
            "what costs nothing draws nothing"
        );
    }
}
