//! The call behind a change, and what is told of its refusal.

use crate::{
    domain::{
        audit::{
            event::{Event, RefusedCall, What},
            refusals::About,
        },
        decide::refused,
        ids::{CallerName, SubjectKey, TenantId, VerificationId},
        refusal::Refusal,
        time::Now,
        verification::Contact,
    },
    service::failure::Failure,
};

/// The call behind a change; named in the event if the change is refused.
#[derive(Clone, Copy)]
pub(in crate::service) struct Call<'a> {
    pub(in crate::service) name: &'static str,
    pub(in crate::service) caller: &'a CallerName,
    pub(in crate::service) tenant: &'a TenantId,
    pub(in crate::service) verification: Option<VerificationId>,
    /// The contact of the request; `None` if the verification already names it.
    pub(in crate::service) contact: Option<&'a Contact>,
}

impl Call<'_> {
    /// The refusal of this call, for its event; `None` if the failure is not a refusal.
    pub(super) fn refusal(&self, failure: &Failure) -> Option<RefusedCall> {
        let mut exceeded = None;
        let reason = if let Failure::QuotaExceeded { quota, .. } = failure {
            exceeded = Some(*quota);
            quota.dimension.reason()
        } else if let Failure::Refused(refusal) = failure {
            // Its own limit decides how it is answered, and the event tells the answer.
            if *refusal == Refusal::CodeMalformed {
                return None;
            }
            refusal.reason()
        } else if let Failure::Unfit { why, .. } = failure {
            why.reason()
        } else {
            match failure {
                Failure::CodeMalformed => "CODE_MALFORMED",
                Failure::MalformedTooOften { .. } => "MALFORMED_TOO_OFTEN",
                Failure::GuessesSlowed { .. } => "GUESSES_SLOWED",
                _ => return None,
            }
        };
        Some(RefusedCall {
            call: self.name,
            reason,
            quota: exceeded,
        })
    }

    /// What a refusal of this call is about.
    pub(super) fn about(&self, key: &SubjectKey, failure: &Failure) -> About {
        let caller = self.caller.clone();
        match (failure, self.verification) {
            (Failure::Refused(Refusal::NotFound), _) => About::Unknown(self.tenant.clone(), caller),
            (_, Some(id)) => About::Verification(id, caller),
            (_, None) => {
                let agent = self.contact.and_then(|contact| contact.agent.clone());
                About::Subject(*key, caller, agent)
            }
        }
    }

    /// An event of this call.
    pub(in crate::service) fn event(&self, what: What, now: Now) -> Event {
        Event {
            agent: self.contact.and_then(|contact| contact.agent.clone()),
            contact: self.contact.map(|contact| contact.id.clone()),
            ..refused(
                self.tenant,
                self.caller,
                self.verification,
                what,
                now.stamp(),
            )
        }
    }
}
