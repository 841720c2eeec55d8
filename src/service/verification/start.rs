//! Starts a verification and puts its message into the nearest hands.

use super::Reading;
use crate::{
    domain::{
        caller::{Caller, Role},
        code::link::BrowserMark,
        decide::{Start, Work, start},
        ids::{ActionName, DeliveryId, Locale, Reference, RequestId, SubjectId, VerificationId},
        limit::quota::Network,
        recipient::{Channel, Recipient},
        verification::{Contact, RequestMark, binding::Binding, rules::Origin},
    },
    ports::system::fresh,
    service::{Service, failure::Failure, limit::Occasion, record::transact::Call},
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
    /// Starts a verification.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn start(&self, caller: &Caller, request: StartRequest) -> Result<Reading, Failure> {
        let limits = self
            .parts
            .policy
            .resolve(&request.action, &request.binding)?;
        if request.subject.looks_like_citizen_number() {
            metrics::counter!("countersign_citizen_number_subjects_total").increment(1);
            tracing::warn!(caller = %caller.name.as_str(), "A subject id looks like a citizen number; subject ids must be opaque.");
        }
        let key = self
            .parts
            .keyring
            .subject_key(&caller.tenant, &request.subject);
        let screened = self.screen(caller, &request, &limits).await?;
        let hand = self.parts.hands.reserve();
        let id = VerificationId {
            subject: key,
            random: fresh(&*self.parts.entropy),
        };
        let lease = hand.as_ref().map(|_| self.lease());
        let command = Start {
            tenant: caller.tenant.clone(),
            caller: caller.name.clone(),
            origin: origin(caller, request.authenticated),
            request: self.request_mark(caller, &request.request_id, &request.body),
            subject: request.subject,
            action: request.action,
            contact: request.contact,
            locale: request.locale,
            recipients: screened.fit,
            passed_over: screened.passed_over,
            preferred: request.preferred,
            binding: request.binding,
            limits,
            browser: request.browser,
            decoy: request.decoy,
            id,
            delivery: DeliveryId(fresh(&*self.parts.entropy)),
            nonce: fresh(&*self.parts.entropy),
            event_salt: fresh(&*self.parts.entropy),
            lease,
        };
        let contact = command.contact.as_ref();
        let occasion = Occasion::Start {
            contact,
            network: request.network,
            keys: &request.quota_keys,
        };
        let call = Call {
            name: "start",
            caller,
            verification: None,
            occasion: Some(occasion),
        };
        let (standing, now) = self
            .transact(&key, Some(call), |record, cx| {
                start(record, command.clone(), cx)
            })
            .await
            .map_err(Failure::of_new)?;
        // A repeat brings back the first verification, and nothing new is to be handed over.
        if let (Some(hand), Some(lease), true) = (hand, lease, standing.verification.id == id) {
            hand.take(Work {
                verification: id,
                delivery: command.delivery,
                token: lease.token,
            });
        }
        Ok(Reading { standing, now })
    }

    /// Recognises a repeat of a request of this caller.
    pub(in crate::service) fn request_mark(
        &self,
        caller: &Caller,
        id: &RequestId,
        body: &[u8; 32],
    ) -> RequestMark {
        let keyring = &self.parts.keyring;
        RequestMark {
            id: keyring.mark(
                "request",
                &[caller.name.as_str().as_bytes(), id.as_str().as_bytes()],
            ),
            body: keyring.mark("body", &[body]),
        }
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
