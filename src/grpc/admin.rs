//! The handlers of `AdminService`.

use std::sync::Arc;

use tonic::{Request, Response};

use super::{
    RpcResult, audit, caller,
    fields::Fields,
    status::status,
    verification::view::{channel, instant, method, status as verification_status},
};
use crate::{
    domain::{
        ids::{Reference, SubjectId, UnlockReason},
        recipient::Channel,
        verification::{
            Verification,
            rules::{FAILURES_CAP, Origin},
        },
    },
    pb::v1::{self, admin_service_server::AdminService},
    service::{
        Service,
        admin::{SubjectReading, UnlockRequest},
        failure::Failure,
    },
};

/// Handles the calls of `AdminService`.
pub struct AdminHandler {
    service: Arc<Service>,
}

impl AdminHandler {
    /// A handler of these use cases.
    #[must_use]
    pub fn new(service: Arc<Service>) -> Self {
        Self { service }
    }
}

#[tonic::async_trait]
impl AdminService for AdminHandler {
    async fn get_subject(
        &self,
        request: Request<v1::GetSubjectRequest>,
    ) -> RpcResult<v1::GetSubjectResponse> {
        let answer = async {
            let caller = caller(&request)?;
            let subject = subject_id(&request.get_ref().subject)?;
            let reading = self.service.subject(&caller, &subject).await?;
            Ok(view(&subject, &reading))
        };
        let subject = answer.await.map_err(|failure| status(failure, None))?;
        Ok(Response::new(v1::GetSubjectResponse {
            subject: Some(subject),
        }))
    }

    async fn unlock_subject(
        &self,
        request: Request<v1::UnlockSubjectRequest>,
    ) -> RpcResult<v1::UnlockSubjectResponse> {
        let answer = async {
            let caller = caller(&request)?;
            let request = unlock_request(request.get_ref())?;
            let subject = request.subject.clone();
            let reading = self.service.unlock(&caller, request).await?;
            Ok(view(&subject, &reading))
        };
        let subject = answer.await.map_err(|failure| status(failure, None))?;
        Ok(Response::new(v1::UnlockSubjectResponse {
            subject: Some(subject),
        }))
    }

    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> RpcResult<v1::ListEventsResponse> {
        let answer = async {
            let caller = caller(&request)?;
            let query = audit::query(request.get_ref())?;
            self.service.list_events(&caller, query).await
        };
        let page = answer.await.map_err(|failure| status(failure, None))?;
        Ok(Response::new(audit::response(page)))
    }
}

fn subject_id(text: &str) -> Result<SubjectId, Failure> {
    let mut fields = Fields::default();
    let subject = fields.take("subject", SubjectId::parse(text));
    fields.finish(subject)
}

fn unlock_request(request: &v1::UnlockSubjectRequest) -> Result<UnlockRequest, Failure> {
    let mut fields = Fields::default();
    let subject = fields.take("subject", SubjectId::parse(&request.subject));
    let reason = fields.take("reason", UnlockReason::parse(&request.reason));
    let operator = fields.optional("operator", &request.operator, Reference::parse);
    let end_wait = request.end_wait;
    let parsed = subject.zip(reason).map(|(subject, reason)| UnlockRequest {
        subject,
        reason,
        operator,
        end_wait,
    });
    fields.finish(parsed)
}

fn view(id: &SubjectId, reading: &SubjectReading) -> v1::Subject {
    let snapshot = &reading.snapshot;
    let budget = |origin| failure_budget(origin, reading);
    v1::Subject {
        subject: id.as_str().to_owned(),
        budgets: [Origin::Anonymous, Origin::Vouched].map(budget).into(),
        failures_since_success: snapshot.failures.total(),
        failure_cap: FAILURES_CAP,
        verifications: snapshot
            .verifications
            .iter()
            .rev()
            .map(|verification| subject_verification(verification, reading))
            .collect(),
    }
}

fn failure_budget(of: Origin, reading: &SubjectReading) -> v1::FailureBudget {
    let (failures, limit) = (&reading.snapshot.failures, reading.failure_limit);
    let tally = failures.of(of);
    let disabled_by = if failures.cap_reached() {
        v1::DisabledBy::FailureCap
    } else if failures.disabled(of, limit) {
        v1::DisabledBy::FailureLimit
    } else {
        v1::DisabledBy::Unspecified
    };
    // All channels share one count, so all methods that send a code are disabled together.
    let disabled_methods = match disabled_by {
        v1::DisabledBy::Unspecified => Vec::new(),
        v1::DisabledBy::FailureLimit | v1::DisabledBy::FailureCap => {
            Channel::ALL.map(|channel| method(channel).into()).to_vec()
        }
    };
    v1::FailureBudget {
        origin: origin(of).into(),
        failures: tally.since_unlock,
        failure_limit: limit,
        failures_since_success: tally.since_success,
        disabled_methods,
        disabled_by: disabled_by.into(),
        next_attempt_at: (!reading.now.has_reached(tally.next_attempt_at))
            .then(|| instant(tally.next_attempt_at)),
    }
}

fn subject_verification(v: &Verification, reading: &SubjectReading) -> v1::SubjectVerification {
    let (now, last) = (reading.now, v.latest_delivery());
    v1::SubjectVerification {
        verification_id: v.id.to_string(),
        action: v.action.as_str().to_owned(),
        caller: v.caller.as_str().to_owned(),
        origin: origin(v.origin).into(),
        channel: last
            .map_or(v1::Channel::Unspecified, |delivery| {
                channel(delivery.channel)
            })
            .into(),
        masked_recipient: last
            .map(|delivery| delivery.masked.clone())
            .unwrap_or_default(),
        status: verification_status(v.status(now)).into(),
        created_at: Some(instant(v.created_at)),
        expires_at: Some(instant(v.expires_at)),
        closed_at: v.closed_at(now).map(instant),
        attempts_left: v
            .live(now)
            .map_or(0, |pending| v.attempts_left(pending))
            .into(),
    }
}

fn origin(origin: Origin) -> v1::Origin {
    match origin {
        Origin::Anonymous => v1::Origin::Anonymous,
        Origin::Vouched => v1::Origin::Vouched,
    }
}
