//! Starts a verification, whose first message this process hands over if it can.

use std::sync::Arc;

use super::Reading;
use crate::{
    domain::{
        caller::Caller,
        code::link::BrowserMark,
        decide::{Start, start},
        ids::{ActionName, DeliveryId, Locale, Reference, RequestId, SubjectId, VerificationId},
        limit::quota::Network,
        recipient::{Channel, Recipient},
        verification::{Contact, RequestMark, binding::Binding, rules::Origin},
    },
    ports::system::fresh,
    service::{
        Service,
        failure::Failure,
        record::{call::Call, transact::Change},
    },
};

/// A start as the caller asks for it.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// The customer, by the caller's opaque id.
    pub subject: SubjectId,
    /// The action to be approved.
    pub action: ActionName,
    /// Where the customer can be reached, best first.
    pub recipients: Vec<Recipient>,
    /// The customer's language; `None` if the caller does not know it.
    pub locale: Option<Locale>,
    /// The details that the customer approves.
    pub binding: Binding,
    /// The contact in which it is asked for, if the caller named one.
    pub contact: Option<Contact>,
    /// The addresses of the contact's agent. None of them may be a recipient.
    pub agents_own: Vec<Recipient>,
    /// The caller's id of the request; a repeat with the same id gets the first answer.
    pub request_id: RequestId,
    /// The channel that the customer prefers, used if permitted.
    pub preferred: Option<Channel>,
    /// Whether the caller authenticated the customer before.
    pub authenticated: bool,
    /// The network of the customer's IP address, if the caller gave one.
    pub network: Option<Network>,
    /// Further keys to limit by, chosen by the caller.
    pub quota_keys: Vec<Reference>,
    /// The browser that asks; without it the e-mail has no link.
    pub browser: Option<BrowserMark>,
    /// Whether the caller knows that there is no such customer, so that nothing is to be sent.
    pub decoy: bool,
    /// Digest of the whole request, to notice another body with the same id.
    pub body: [u8; 32],
}

impl Service {
    /// Starts a verification. Commit and hand-over continue even if the call is dropped.
    ///
    /// # Errors
    /// [`Failure`] if the start is refused or cannot be committed.
    pub async fn start(
        self: &Arc<Self>,
        caller: &Caller,
        request: StartRequest,
    ) -> Result<Reading, Failure> {
        note_citizen_number(caller, &request.subject);
        let command = self.prepare(caller, request).await?;
        let service = self.clone();
        self.run_detached(async move { service.commit_start(&command).await })
            .await
    }

    /// Prepares the command: resolves the limits, screens the recipients, and adds fresh random
    /// bits for ids and nonce.
    async fn prepare(&self, caller: &Caller, request: StartRequest) -> Result<Start, Failure> {
        let limits = self.policy.resolve(&request.action, &request.binding)?;
        let screened = self.screen(caller, &request, &limits).await?;
        Ok(Start {
            tenant: caller.tenant.clone(),
            caller: caller.name.clone(),
            origin: origin(caller, request.authenticated),
            request: self.request_mark(caller, &request.request_id, &request.body),
            id: VerificationId {
                subject: self.keyring.subject_key(&caller.tenant, &request.subject),
                random: fresh(&*self.entropy),
            },
            subject: request.subject,
            action: request.action,
            contact: request.contact,
            network: request.network,
            quota_keys: request.quota_keys,
            locale: request.locale,
            recipients: screened.fit,
            passed_over: screened.passed_over,
            preferred: request.preferred,
            binding: request.binding,
            limits,
            browser: request.browser,
            decoy: request.decoy,
            delivery: DeliveryId(fresh(&*self.entropy)),
            nonce: fresh(&*self.entropy),
            event_salt: fresh(&*self.entropy),
        })
    }

    async fn commit_start(&self, command: &Start) -> Result<Reading, Failure> {
        let key = command.id.subject;
        let call = Call {
            name: "start",
            caller: &command.caller,
            tenant: &command.tenant,
            verification: None,
            contact: command.contact.as_ref(),
        };
        let reserved = self.courier.reserved_hands(key);
        let (snapshot, now) = self
            .send(Change::of(key).by(call), reserved, |record, hands, cx| {
                start(record, command, hands, cx)
            })
            .await
            .map_err(Failure::of_new)?;
        Ok(Reading { snapshot, now })
    }

    /// The keyed hashes that recognise a repeated request of this caller.
    pub(in crate::service) fn request_mark(
        &self,
        caller: &Caller,
        id: &RequestId,
        body: &[u8; 32],
    ) -> RequestMark {
        let keyring = &self.keyring;
        RequestMark {
            id: keyring.mark(
                "request",
                &[caller.name.as_str().as_bytes(), id.as_str().as_bytes()],
            ),
            body: keyring.mark("body", &[body]),
        }
    }
}

fn note_citizen_number(caller: &Caller, subject: &SubjectId) {
    if subject.looks_like_citizen_number() {
        metrics::counter!("countersign_citizen_number_subjects_total").increment(1);
        tracing::warn!(
            caller = caller.name.as_str(),
            "subject id looks like a citizen number; subject ids must be opaque"
        );
    }
}

/// Prior authentication or an agent vouches for a start. A front end alone does not.
fn origin(caller: &Caller, authenticated: bool) -> Origin {
    if authenticated || caller.is_agent() {
        Origin::Vouched
    } else {
        Origin::Anonymous
    }
}
