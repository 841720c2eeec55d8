//! Whether a subject has room for one more live verification: vouched ones in all, anonymous ones also by network.

use super::Start;
use crate::domain::{
    crypto::keyring::Mark,
    decide::Context,
    recipient::Recipient,
    record::subject::SubjectRecord,
    refusal::Refusal,
    verification::{
        Contact, Pending, Verification,
        binding::Binding,
        rules::{
            LIVE_ANONYMOUS_BYTES_MAX, LIVE_ANONYMOUS_BYTES_USUAL, LIVE_ANONYMOUS_MAX,
            LIVE_PER_NETWORK_MAX, LIVE_VOUCHED_MAX, Origin,
        },
    },
};

impl Start {
    /// Keyed hash of the network that the start comes from; `None` if the caller named none.
    pub(super) fn network_mark(&self, cx: &Context<'_>) -> Option<Mark> {
        let network = self.network?.neighbourhood();
        Some(cx.keyring.mark("network", &[network.as_bytes()]))
    }

    /// Refuses the start if the subject has as many live verifications as allowed.
    pub(super) fn find_place(
        &self,
        record: &SubjectRecord,
        network: Option<Mark>,
        cx: &Context<'_>,
    ) -> Result<(), Refusal> {
        let live: Vec<_> = record
            .live(self.origin, cx.now)
            .filter_map(|v| Some((v, v.live(cx.now)?)))
            .collect();
        let refuse = |of_network, limit, ends: &mut dyn Iterator<Item = &Verification>| {
            let first_end = ends.map(|v| v.expires_at).min().unwrap_or_default();
            Err(Refusal::TooManyLive {
                origin: self.origin,
                of_network,
                limit,
                retry_after: cx.now.until(first_end),
            })
        };
        if self.origin == Origin::Vouched {
            return if live.len() < LIVE_VOUCHED_MAX {
                Ok(())
            } else {
                let limit = LIVE_VOUCHED_MAX;
                refuse(false, limit, &mut live.iter().map(|(v, _)| *v))
            };
        }
        let beside: Vec<_> = live
            .iter()
            .filter(|(v, pending)| self.same_source(v, pending, network))
            .collect();
        if beside.len() >= LIVE_PER_NETWORK_MAX {
            let limit = LIVE_PER_NETWORK_MAX;
            return refuse(true, limit, &mut beside.iter().map(|(v, _)| *v));
        }
        let bytes: usize = live
            .iter()
            .map(|(_, pending)| bytes_of(&pending.recipients, &pending.binding))
            .sum();
        let own = bytes_of(&self.recipients, &self.binding);
        let is_full = live.len() >= LIVE_ANONYMOUS_MAX
            || (!live.is_empty()
                && own > LIVE_ANONYMOUS_BYTES_USUAL
                && bytes + own > LIVE_ANONYMOUS_BYTES_MAX);
        if is_full {
            let limit = live.len();
            return refuse(false, limit, &mut live.iter().map(|(v, _)| *v));
        }
        Ok(())
    }

    /// Whether another anonymous verification came from the same place. Without a network the contact is the place: a
    /// call that dropped and comes back is another contact. Without either, all come from one place.
    fn same_source(&self, other: &Verification, pending: &Pending, network: Option<Mark>) -> bool {
        match (pending.network, network) {
            (Some(theirs), Some(own)) => theirs == own,
            (None, None) => self.same_contact(other),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Whether another verification is on the same contact, or neither is on any.
    pub(super) fn same_contact(&self, other: &Verification) -> bool {
        let id = |contact: &Option<Contact>| contact.as_ref().map(|contact| contact.id.clone());
        id(&other.contact) == id(&self.contact)
    }
}

/// The bytes of a verification that its starter may make long.
fn bytes_of(recipients: &[Recipient], binding: &Binding) -> usize {
    let addresses: usize = recipients
        .iter()
        .map(|recipient| recipient.expose().len())
        .sum();
    addresses + binding.canonical().len()
}
