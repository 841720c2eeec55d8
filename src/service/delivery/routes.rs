//! The routes: which senders carry the messages of a channel, for a tenant and for the numbers of a
//! country.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    domain::{
        delivery::route::order,
        ids::{DeliveryId, SenderName, TenantId},
        recipient::{Channel, Recipient, number::Country},
    },
    ports::sender::Sender,
};

/// A sender with its name in the settings.
#[derive(Clone)]
pub struct NamedSender {
    /// Its name: `NAME` of `[senders.NAME]`.
    pub name: SenderName,
    /// The adapter that hands its messages over.
    pub sender: Arc<dyn Sender>,
}

/// The senders that carry the messages of a channel.
#[derive(Clone, Default)]
pub struct Route {
    /// The senders in failover order, unless they have weights.
    pub senders: Vec<NamedSender>,
    /// The weight of each sender: how often it comes first. Empty: the order of the
    /// list is always used.
    pub weights: Vec<u16>,
    /// The senders for numbers of a country, in failover order, instead of `senders`.
    pub countries: BTreeMap<Country, Vec<NamedSender>>,
    /// The wait for an answer after which the next sender gets the message too; `None`: never.
    pub hedge_after: Option<Duration>,
}

/// The routes of all channels and tenants.
#[derive(Clone, Default)]
pub struct Routes {
    /// The routes for tenants that have no route of their own on a channel.
    pub usual: BTreeMap<Channel, Route>,
    /// The routes of single tenants, which replace the usual routes of their channels.
    pub tenants: BTreeMap<TenantId, BTreeMap<Channel, Route>>,
}

impl Routes {
    /// The senders that can carry a message to this address, in the order in which they are asked:
    /// the same for every try of a delivery.
    pub(in crate::service) fn order(
        &self,
        tenant: &TenantId,
        recipient: &Recipient,
        delivery: &DeliveryId,
    ) -> Vec<NamedSender> {
        self.of(tenant, recipient.channel())
            .map(|route| route.order(recipient, delivery))
            .unwrap_or_default()
    }

    /// Whether the route of a recipient has senders, whether or not they can carry a
    /// message to this address.
    pub(in crate::service) fn has_senders(&self, tenant: &TenantId, recipient: &Recipient) -> bool {
        self.of(tenant, recipient.channel()).is_some_and(|route| {
            !route
                .of_country(recipient)
                .unwrap_or(&route.senders)
                .is_empty()
        })
    }

    /// Why no sender of the route may ever reach this address by its settings; `None`: one may, or none carries such an
    /// address at all.
    pub(in crate::service) fn objection(
        &self,
        tenant: &TenantId,
        recipient: &Recipient,
    ) -> Option<&'static str> {
        let route = self.of(tenant, recipient.channel())?;
        let senders = route.of_country(recipient).unwrap_or(&route.senders);
        let mut objections = senders
            .iter()
            .filter(|sender| sender.sender.carries(recipient))
            .map(|sender| sender.sender.objection(recipient));
        let first = objections.next()??;
        objections.all(|other| other.is_some()).then_some(first)
    }

    /// The wait for an answer after which the next sender gets a message too; `None`: never.
    pub(in crate::service) fn hedge_after(
        &self,
        tenant: &TenantId,
        channel: Channel,
    ) -> Option<Duration> {
        self.of(tenant, channel)?.hedge_after
    }

    fn of(&self, tenant: &TenantId, channel: Channel) -> Option<&Route> {
        let own = self
            .tenants
            .get(tenant)
            .and_then(|routes| routes.get(&channel));
        own.or_else(|| self.usual.get(&channel))
    }

    /// The names of all senders on routes, some more than once.
    pub(in crate::service) fn names(&self) -> impl Iterator<Item = &SenderName> {
        self.senders().map(|sender| &sender.name)
    }

    /// The senders that can send a limited number of messages at the same time.
    #[must_use]
    pub fn slots(&self) -> BTreeMap<SenderName, usize> {
        let limited = |sender: &NamedSender| Some((sender.name.clone(), sender.sender.slots()?));
        self.senders().filter_map(limited).collect()
    }

    /// All senders on routes, some more than once.
    pub(in crate::service) fn senders(&self) -> impl Iterator<Item = &NamedSender> {
        let routes = self
            .usual
            .values()
            .chain(self.tenants.values().flat_map(BTreeMap::values));
        routes.flat_map(|route| {
            route
                .senders
                .iter()
                .chain(route.countries.values().flatten())
        })
    }
}

impl Route {
    fn order(&self, recipient: &Recipient, delivery: &DeliveryId) -> Vec<NamedSender> {
        let carries = |sender: &&NamedSender| {
            sender.sender.carries(recipient) && sender.sender.objection(recipient).is_none()
        };
        if let Some(senders) = self.of_country(recipient) {
            return senders.iter().filter(carries).cloned().collect();
        }
        if self.weights.is_empty() {
            return self.senders.iter().filter(carries).cloned().collect();
        }
        order(&self.weights, delivery)
            .into_iter()
            .filter_map(|place| self.senders.get(place))
            .filter(carries)
            .cloned()
            .collect()
    }

    /// The senders for numbers of the recipient's country, if the route lists any.
    fn of_country(&self, recipient: &Recipient) -> Option<&Vec<NamedSender>> {
        if self.countries.is_empty() {
            return None;
        }
        self.countries.get(&recipient.number_plan()?.country?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::sender::{Message, SendError, Sent};

    struct Nobody;

    #[async_trait::async_trait]
    impl Sender for Nobody {
        async fn send(&self, _message: &Message) -> Result<Sent, SendError> {
            Ok(Sent::default())
        }
    }

    fn senders(names: &[&str]) -> Vec<NamedSender> {
        names
            .iter()
            .map(|name| NamedSender {
                name: SenderName::parse(name).unwrap(),
                sender: Arc::new(Nobody),
            })
            .collect()
    }

    #[test]
    fn the_route_of_the_tenant_and_of_the_country_comes_first() {
        let countries = |country: &str, names: &[&str]| {
            [(Country::parse(country).unwrap(), senders(names))].into()
        };
        let usual = Route {
            senders: senders(&["a", "b"]),
            weights: vec![0, 1],
            countries: countries("NL", &["c", "a"]),
            ..Route::default()
        };
        let own = Route {
            senders: senders(&["d"]),
            countries: countries("DE", &["e"]),
            ..Route::default()
        };
        let tenant = |name| TenantId::parse(name).unwrap();
        let routes = Routes {
            usual: [
                (Channel::Sms, usual),
                (
                    Channel::Email,
                    Route {
                        senders: senders(&["m"]),
                        ..Route::default()
                    },
                ),
            ]
            .into(),
            tenants: [(tenant("bank"), [(Channel::Sms, own)].into())].into(),
        };
        let order = |name, channel, address| {
            let recipient = Recipient::parse(channel, address).unwrap();
            let names = routes
                .order(&tenant(name), &recipient, &DeliveryId([1; 16]))
                .into_iter()
                .map(|sender| sender.name.as_str().to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(order("shop", Channel::Sms, "+31612345678"), ["c", "a"]);
        assert_eq!(
            order("shop", Channel::Sms, "+4915123456789"),
            ["b", "a"],
            "by weight"
        );
        assert_eq!(order("bank", Channel::Sms, "+4915123456789"), ["e"]);
        assert_eq!(
            order("bank", Channel::Sms, "+31612345678"),
            ["d"],
            "its own senders, not the country's of the others"
        );
        assert_eq!(
            order("bank", Channel::Email, "a@example.org"),
            ["m"],
            "it has none of its own there"
        );
        assert!(order("bank", Channel::Voice, "+31612345678").is_empty());
        let mut names: Vec<_> = routes.names().map(SenderName::as_str).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, ["a", "b", "c", "d", "e", "m"]);
    }
}
