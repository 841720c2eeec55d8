//! Screens the recipients of a start before the record is loaded: which of them may get a message.

use super::start::StartRequest;
use crate::{
    domain::{
        caller::Caller,
        ids::TenantId,
        recipient::{Channel, Recipient, rules::Unfit},
        verification::rules::Limits,
    },
    service::{
        Service,
        failure::{Failure, FieldViolation},
        policy::Policy,
        record::transact::Call,
    },
};

/// The recipients of a start after screening.
#[derive(Debug)]
pub(in crate::service) struct Screened {
    /// The recipients that may get a message, in the caller's order.
    pub(in crate::service) fit: Vec<Recipient>,
    /// The channels of the recipients that may not, and why.
    pub(in crate::service) passed_over: Vec<(Channel, Unfit)>,
}

impl Service {
    /// Screens the recipients of a start. If none of them may get a message, the
    /// refusal is an event.
    pub(in crate::service) async fn screen(
        &self,
        caller: &Caller,
        request: &StartRequest,
        limits: &Limits,
    ) -> Result<Screened, Failure> {
        let screened = match self.objections(&caller.tenant, request) {
            objections if objections.is_empty() => {
                self.policy.screen(&caller.tenant, request, limits)
            }
            objections => Err(Failure::Fields(objections)),
        };
        if let Err(failure) = &screened {
            let call = Call {
                name: "start",
                caller: &caller.name,
                verification: None,
                contact: request.contact.as_ref(),
            };
            let key = self.keyring.subject_key(&caller.tenant, &request.subject);
            self.records.note_refusal(&key, call, failure).await;
        }
        screened
    }

    /// The recipients that the settings of the senders exclude, such as a browser whose push service is none of theirs.
    fn objections(&self, tenant: &TenantId, request: &StartRequest) -> Vec<FieldViolation> {
        let objection = |(at, recipient)| {
            let description = self.courier.objection(tenant, recipient)?;
            Some(violation(at, description.to_owned()))
        };
        (0..)
            .zip(&request.recipients)
            .filter_map(objection)
            .collect()
    }
}

impl Policy {
    /// Separates the recipients of a start into those that may get a message and
    /// those that may not.
    ///
    /// # Errors
    /// A recipient is the agent's own; or no recipient on a channel of the action may get a
    /// message; or a test recipient's code does not have the action's length.
    fn screen(
        &self,
        tenant: &TenantId,
        request: &StartRequest,
        limits: &Limits,
    ) -> Result<Screened, Failure> {
        let recipients = &request.recipients;
        let agents_own = |recipient: &Recipient| {
            request
                .agents_own
                .iter()
                .any(|own| own.limit_form() == recipient.limit_form())
        };
        let own: Vec<_> = (0..)
            .zip(recipients)
            .filter(|(_, recipient)| agents_own(recipient))
            .map(|(at, _)| at)
            .collect();
        if !own.is_empty() {
            note_unfit(Unfit::AgentsOwn);
            return Err(unfit(
                own.into_iter().map(|at| (at, Unfit::AgentsOwn)).collect(),
            ));
        }
        let misfits = (0..).zip(recipients).filter_map(|(at, recipient)| {
            let digits = self.test_recipients.code(recipient)?.len();
            let wanted = limits.code_length.get();
            let description = format!(
                "is a test recipient with a code of {digits} digits; this action's have {wanted}"
            );
            (digits != wanted).then(|| violation(at, description))
        });
        let misfits: Vec<_> = misfits.collect();
        if !misfits.is_empty() {
            return Err(Failure::Fields(misfits));
        }
        let permitted = |recipient: &Recipient| limits.channels.contains(&recipient.channel());
        let (mut fit, mut passed_over, mut barred) =
            (Vec::with_capacity(recipients.len()), Vec::new(), Vec::new());
        for (at, recipient) in (0..).zip(recipients) {
            match self.numbers.judge(tenant, recipient) {
                Ok(()) => fit.push(recipient.clone()),
                Err(why) => {
                    note_unfit(why);
                    passed_over.push((recipient.channel(), why));
                    barred.extend(permitted(recipient).then_some((at, why)));
                }
            }
        }
        if barred.is_empty() || fit.iter().any(permitted) {
            Ok(Screened { fit, passed_over })
        } else {
            Err(unfit(barred))
        }
    }
}

/// The failure of a start because of these recipients; at least one.
fn unfit(barred: Vec<(usize, Unfit)>) -> Failure {
    let Some((_, why)) = barred.first().copied() else {
        return Failure::Internal;
    };
    let fields = barred
        .into_iter()
        .map(|(at, why)| violation(at, why.description().to_owned()))
        .collect();
    Failure::Unfit { why, fields }
}

fn note_unfit(why: Unfit) {
    metrics::counter!("countersign_unfit_recipients_total", "reason" => why.reason()).increment(1);
}

fn violation(at: usize, description: String) -> FieldViolation {
    FieldViolation {
        field: format!("recipients[{at}].address"),
        description,
    }
}
