//! Prepares a leased message: checks the lease, renders the text, and lists the senders that may
//! carry it.

use std::{sync::Arc, time::Duration};

use super::{
    Courier,
    draft::Draft,
    fate::{Exemption, Fate, log_outcome},
    hand_over::{Handed, Ready},
    hands::HandOwner,
};
use crate::{
    domain::{
        code::guess::Digits,
        decide::{Context, Work},
        delivery::{Delivery, HandOver, reason::Reason, route::RouteState},
        ids::SenderName,
        recipient::Channel,
        record::subject::SubjectRecord,
        verification::{Pending, Verification},
    },
    message::{Facts, Link},
    ports::sender::Content,
};

/// Whether a leased message may go out.
pub(super) enum Readiness {
    /// Another process has the lease, or the verification has ended: there is nothing to
    /// do or to report.
    Gone,
    /// The hand-over ends without asking a sender.
    Decided(Handed<'static>),
    /// The message may go out.
    Ready(Box<Ready>),
}

/// A live verification, and the delivery of it that is to go out.
#[derive(Clone, Copy)]
pub(super) struct LiveDelivery<'a> {
    pub(super) verification: &'a Verification,
    pub(super) pending: &'a Pending,
    pub(super) delivery: &'a Delivery,
}

impl<'a> LiveDelivery<'a> {
    fn find(record: Option<&'a SubjectRecord>, work: &Work, cx: &Context<'_>) -> Option<Self> {
        let verification = record?.find(&work.verification)?;
        let pending = verification.live(cx.now)?;
        let delivery = verification
            .deliveries
            .iter()
            .find(|delivery| delivery.id == work.delivery)?;
        let is_ours =
            delivery.is_held_by(&work.token, cx.now) && verification.generation == cx.generation;
        is_ours.then_some(Self {
            verification,
            pending,
            delivery,
        })
    }
}

/// Why a message without a sender is given up: its route has senders, but none for such an address, or it has none.
const fn without_sender(route_has_senders: bool) -> Reason {
    if route_has_senders {
        Reason::WrongAddressKind
    } else {
        Reason::NoSender
    }
}

impl Courier {
    /// Prepares the message, if it may go out.
    pub(super) fn ready(
        &self,
        record: Option<&SubjectRecord>,
        work: &Work,
        cx: &Context<'_>,
    ) -> Readiness {
        let Some(live) = LiveDelivery::find(record, work, cx) else {
            return Readiness::Gone;
        };
        let recipient = live.pending.recipients.get(live.delivery.recipient);
        if recipient.is_some_and(|to| self.policy.test_recipients.code(to).is_some()) {
            let (sender, taken) = (SenderName::of_tests(), HandOver::Taken { reference: None });
            log_outcome(
                (&live.verification.id, &live.delivery.id),
                live.delivery.channel,
                Some(&sender),
                Fate::Skipped(Exemption::TestRecipient),
            );
            return Readiness::Decided(Handed::by(sender, taken));
        }
        let time_left = cx.now.until(live.verification.expires_at);
        match self.draft(live, time_left) {
            Ok(draft) => Readiness::Ready(Box::new(self.queue_up(live, draft, time_left))),
            // The commit of the report logs these reasons.
            Err(reason) => Readiness::Decided(Handed::by_nobody(HandOver::GivenUp { reason })),
        }
    }

    /// The draft with the senders that may carry it.
    fn queue_up(&self, live: LiveDelivery<'_>, draft: Draft, time_left: Duration) -> Ready {
        let LiveDelivery {
            verification,
            pending,
            delivery,
        } = live;
        let tenant = &verification.tenant;
        Ready {
            without_sender: without_sender(self.routes.has_senders(tenant, &draft.recipient)),
            senders: self.routes.order(tenant, &draft.recipient, &delivery.id),
            route_state: RouteState::of(delivery),
            hedge_after: self.routes.hedge_after(tenant, draft.recipient.channel()),
            time_left,
            question: self.question(verification, &draft),
            decoy: pending.decoy,
            owner: HandOwner {
                tenant: tenant.clone(),
                caller: verification.caller.clone(),
                origin: verification.origin,
            },
            draft,
        }
    }

    fn draft(&self, live: LiveDelivery<'_>, time_left: Duration) -> Result<Draft, Reason> {
        let LiveDelivery {
            verification,
            pending,
            delivery,
        } = live;
        let code = verification
            .code(&self.keyring, &self.policy.test_recipients)
            .ok_or(Reason::KeyNotInRing)?;
        let recipient = pending
            .recipients
            .get(delivery.recipient)
            .ok_or(Reason::NoRecipient)?
            .clone();
        Ok(Draft {
            delivery: delivery.id,
            verification: verification.id,
            recipient,
            content: Arc::new(self.content(live, &code, time_left)),
            code,
            expires_at: verification.expires_at,
        })
    }

    /// The rendered text of a delivery, in every form that its channel has.
    pub(super) fn content(
        &self,
        live: LiveDelivery<'_>,
        code: &Digits,
        time_left: Duration,
    ) -> Content {
        let (verification, channel) = (live.verification, live.delivery.channel);
        let link = self.link_of(verification, channel);
        self.messages.render(&Facts {
            tenant: &verification.tenant,
            channel,
            locale: verification.locale.as_ref(),
            action: &verification.action,
            code,
            binding: &live.pending.binding,
            minutes: time_left.as_secs().div_ceil(60).max(1),
            link: link.as_deref().map(Link),
        })
    }

    /// The link to approve with instead of the code; only e-mails have one.
    fn link_of(&self, verification: &Verification, channel: Channel) -> Option<String> {
        let page = self
            .link_page
            .as_ref()
            .filter(|_| channel == Channel::Email)?;
        Some(format!(
            "{page}#{}",
            verification.link(&self.keyring)?.expose()
        ))
    }
}
