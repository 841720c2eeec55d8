//! Starts a verification and puts its message into the nearest hands.

use std::sync::Arc;

use super::Reading;
use crate::{
    domain::{
        caller::{Caller, Role},
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
        record::transact::{Call, Change},
    },
};

/// A start as the caller asks for it.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// Which customer.
    pub subject: SubjectId,
    /// What for.
    pub action: ActionName,
    /// Where the customer can be reached, best first.
    pub recipients: Vec<Recipient>,
    /// Language of the customer.
    pub locale: Option<Locale>,
    /// What is approved.
    pub binding: Binding,
    /// The contact that asks.
    pub contact: Option<Contact>,
    /// Where its agent can be reached: never there.
    pub agents_own: Vec<Recipient>,
    /// Makes a repeat harmless.
    pub request_id: RequestId,
    /// What the customer prefers.
    pub preferred: Option<Channel>,
    /// Did the customer authenticate before?
    pub authenticated: bool,
    /// Where the customer is.
    pub network: Option<Network>,
    /// The caller's own keys to limit by.
    pub quota_keys: Vec<Reference>,
    /// The browser that asks.
    pub browser: Option<BrowserMark>,
    /// Does the caller know that nobody is behind it?
    pub decoy: bool,
    /// Digest of the whole request, so that another body under the same id is noticed.
    pub body: [u8; 32],
}

impl Service {
    /// Starts a verification. Commit and hand-over go on if the call is dropped.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn start(
        self: &Arc<Self>,
        caller: &Caller,
        request: StartRequest,
    ) -> Result<Reading, Failure> {
        note_citizen_number(caller, &request.subject);
        let command = self.prepare(caller, request).await?;
        let service = self.clone();
        self.apart(async move { service.commit_start(&command).await })
            .await
    }

    /// The command of a start: its limits resolved, its recipients screened, and fresh random bits for all that it makes.
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
            verification: None,
            contact: command.contact.as_ref(),
        };
        let crew = self.courier.crew(key);
        let (standing, now) = self
            .send(Change::of(key).by(call), crew, |record, hands, cx| {
                start(record, command, hands, cx)
            })
            .await
            .map_err(Failure::of_new)?;
        Ok(Reading { standing, now })
    }

    /// Recognises a repeat of a request of this caller.
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

/// Prior authentication or an agent vouches for a start; a front end alone does not.
fn origin(caller: &Caller, authenticated: bool) -> Origin {
    let by_agent = caller.roles.has(Role::Agent) && !caller.roles.has(Role::Frontend);
    if authenticated || by_agent {
        Origin::Vouched
    } else {
        Origin::Anonymous
    }
}
