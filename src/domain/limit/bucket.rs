//! The buckets of the quotas: which messages each one counts, its rate, and its fixed place among those of its owner.

use std::{collections::BTreeMap, time::Duration};

use super::{quota::Dimension, rate::Rate};
use crate::domain::verification::rules::Origin;

/// Which messages a bucket counts, by the origin of their verifications. What anybody can cause has buckets of its
/// own, so that it never uses up what vouched customers need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Messages of anonymous verifications and decoys.
    Anonymous,
    /// Messages of vouched verifications.
    Vouched,
    /// All messages. Anonymous ones also count in a smaller anonymous bucket beside this one.
    All,
}

impl Scope {
    /// The name used in errors, events and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Vouched => "vouched",
            Self::All => "all",
        }
    }
}

/// The kind of a bucket: what it limits, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketKind {
    /// What it counts by, such as one recipient or one tenant.
    pub dimension: Dimension,
    /// Which messages it counts.
    pub scope: Scope,
}

impl BucketKind {
    /// The fixed number of the bucket among those of its owner. Stored: a number never changes its meaning.
    #[must_use]
    pub const fn slot(self) -> u8 {
        let (_, row) = self.dimension.place();
        match self.scope {
            Scope::Vouched | Scope::All => 2 * row,
            Scope::Anonymous => 2 * row + 1,
        }
    }
}

impl Dimension {
    /// The buckets of this dimension that a message of this origin counts in, in the order of drawing.
    pub fn kinds(self, origin: Origin) -> impl Iterator<Item = BucketKind> {
        let scopes: &[Scope] = match (self, origin) {
            // Vouched customers share a mailbox as they like; only strangers collect codes of many subjects.
            (Self::RecipientSubjects, Origin::Vouched) => &[],
            (Self::RecipientSubjects, Origin::Anonymous) => &[Scope::Anonymous],
            (_, Origin::Vouched) if self.is_per_origin() => &[Scope::Vouched],
            (_, Origin::Anonymous) if self.is_per_origin() => &[Scope::Anonymous],
            (_, Origin::Vouched) => &[Scope::All],
            (_, Origin::Anonymous) => &[Scope::Anonymous, Scope::All],
        };
        scopes.iter().map(move |scope| BucketKind {
            dimension: self,
            scope: *scope,
        })
    }

    /// Whether each origin has a bucket of its own, as for all that is about one person. What is about many has one
    /// bucket for all messages, and a smaller one beside it for anonymous ones.
    #[must_use]
    pub const fn is_per_origin(self) -> bool {
        matches!(
            self,
            Self::Recipient
                | Self::RecipientLong
                | Self::RecipientSubjects
                | Self::SubjectRecipients
                | Self::Subject
                | Self::Contact
                | Self::QuotaKeys
                | Self::SourceIp
        )
    }

    /// The anonymous count that belongs to a count, unless the settings give another: the same where each origin is
    /// counted by itself, else half of it, rounded up.
    #[must_use]
    pub const fn anonymous_count(self, count: u32) -> u32 {
        if self.is_per_origin() {
            count
        } else {
            count.div_ceil(2)
        }
    }

    /// The dimension after which the owner of its buckets is named, and the row of this dimension there. The buckets of
    /// one owner are stored together, eight bytes a slot and two slots a row, so a row never changes its meaning.
    #[must_use]
    pub const fn place(self) -> (Self, u8) {
        match self {
            Self::Recipient => (Self::Recipient, 0),
            Self::RecipientLong => (Self::Recipient, 1),
            Self::RecipientSubjects => (Self::Recipient, 2),
            Self::Subject => (Self::Subject, 0),
            Self::SubjectRecipients => (Self::Subject, 1),
            Self::Contact => (Self::Contact, 0),
            Self::QuotaKeys => (Self::QuotaKeys, 0),
            Self::Prefix => (Self::Prefix, 0),
            Self::GuardPrefix => (Self::Prefix, 1),
            Self::SourceIp => (Self::SourceIp, 0),
            Self::Agent => (Self::Agent, 0),
            Self::Country => (Self::Country, 0),
            Self::GuardCountry => (Self::Country, 1),
            Self::Caller => (Self::Caller, 0),
            Self::NewSubjects => (Self::Caller, 1),
            Self::Tenant => (Self::Tenant, 0),
            Self::SpendHour => (Self::Tenant, 1),
            Self::SpendDay => (Self::Tenant, 2),
        }
    }
}

/// How much a quota allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many at once, and how many refill in each period.
    pub count: u32,
    /// How many of them may be anonymous; where each origin is counted by itself, how many anonymous ones there may be.
    pub anonymous_count: u32,
    /// The time in which `count` refills.
    pub period: Duration,
}

impl Quota {
    /// A quota with the usual anonymous count.
    #[must_use]
    pub fn of(dimension: Dimension, count: u32, period: Duration) -> Self {
        Self {
            count,
            anonymous_count: dimension.anonymous_count(count),
            period,
        }
    }
}

/// The quota of each dimension. A dimension without one is switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas(BTreeMap<Dimension, Quota>);

impl Quotas {
    /// The quota of a dimension; `None` if it is switched off.
    #[must_use]
    pub fn get(&self, dimension: Dimension) -> Option<Quota> {
        self.0.get(&dimension).copied()
    }

    /// The rate of a bucket; `None` if its dimension is switched off.
    #[must_use]
    pub fn rate(&self, kind: BucketKind) -> Option<Rate> {
        let quota = self.get(kind.dimension)?;
        let count = match kind.scope {
            Scope::Vouched | Scope::All => quota.count,
            Scope::Anonymous => quota.anonymous_count,
        };
        Some(Rate::per(count, quota.period))
    }
}

impl FromIterator<(Dimension, Quota)> for Quotas {
    fn from_iter<T: IntoIterator<Item = (Dimension, Quota)>>(quotas: T) -> Self {
        Self(quotas.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    /// The table of all buckets; a row is added, never changed.
    const GOLDEN: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/buckets.json"
    ));

    fn all() -> BTreeSet<BucketKind> {
        let of = |origin| {
            Dimension::ALL
                .into_iter()
                .flat_map(move |d| d.kinds(origin))
        };
        of(Origin::Anonymous).chain(of(Origin::Vouched)).collect()
    }

    #[test]
    fn golden_each_bucket_has_the_slot_of_the_table() {
        let table: Vec<Value> = all()
            .into_iter()
            .map(|kind| {
                json!({
                    "quota": kind.dimension.as_str(),
                    "origin": kind.scope.as_str(),
                    "owner": kind.dimension.place().0.as_str(),
                    "slot": kind.slot(),
                })
            })
            .collect();
        let golden: Vec<Value> = serde_json::from_str(GOLDEN).unwrap();
        assert!(
            table == golden,
            "other slots; now they are:\n{}",
            serde_json::to_string_pretty(&table).unwrap()
        );
    }

    #[test]
    fn no_two_buckets_of_one_owner_share_a_slot() {
        let places: BTreeSet<_> = all()
            .into_iter()
            .map(|kind| (kind.dimension.place().0, kind.slot()))
            .collect();
        assert_eq!(places.len(), all().len());
    }

    #[test]
    fn send_14_what_is_about_one_person_is_apart_and_what_is_about_many_is_counted_in_all() {
        let scopes = |dimension: Dimension, origin| {
            let kinds = dimension.kinds(origin);
            kinds.map(|kind| kind.scope.as_str()).collect::<Vec<_>>()
        };
        for dimension in Dimension::ALL {
            let (anonymous, vouched): (&[&str], &[&str]) = match dimension {
                Dimension::RecipientSubjects => (&["anonymous"], &[]),
                Dimension::Recipient
                | Dimension::RecipientLong
                | Dimension::Subject
                | Dimension::SubjectRecipients
                | Dimension::Contact
                | Dimension::QuotaKeys
                | Dimension::SourceIp => (&["anonymous"], &["vouched"]),
                _ => (&["anonymous", "all"], &["all"]),
            };
            assert_eq!(scopes(dimension, Origin::Anonymous), anonymous);
            assert_eq!(scopes(dimension, Origin::Vouched), vouched);
        }
    }
}
