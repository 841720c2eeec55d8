//! The hook as a gRPC service.

use async_trait::async_trait;

use crate::{
    domain::delivery::reason::Reason,
    pb::v1::{self, send_hook_service_client::SendHookServiceClient},
    ports::hook::{Hook, HookDecision, NoAnswer, Question},
    sender::{
        settings::SettingError,
        transport::peer::{Peer, PeerSettings, channel},
    },
};

/// Asks the hook through `SendHookService`.
pub(super) struct GrpcHook(Peer);

impl GrpcHook {
    pub(super) fn new(settings: &PeerSettings) -> Result<Self, SettingError> {
        Peer::new(settings).map(Self)
    }
}

#[async_trait]
impl Hook for GrpcHook {
    async fn judge(&self, question: &Question) -> Result<HookDecision, NoAnswer> {
        let request = v1::JudgeSendRequest {
            delivery_id: question.delivery.to_string(),
            verification_id: question.verification.to_string(),
            tenant: question.tenant.as_str().to_owned(),
            action: question.action.as_str().to_owned(),
            channel: channel(question.recipient.channel()).into(),
            address: question.recipient.expose().to_owned(),
            country: question
                .recipient
                .number_plan()
                .and_then(|plan| plan.country)
                .map_or_else(String::new, |c| c.as_str().to_owned()),
        };
        let mut client = SendHookServiceClient::new(self.0.connection());
        let answer = self
            .0
            .bounded(client.judge_send(self.0.request(request)))
            .await;
        let answer = answer.map_err(|error| NoAnswer(error.reason))?;
        match answer.decision() {
            v1::SendDecision::Allow => Ok(HookDecision::Allow),
            v1::SendDecision::Deny => Ok(HookDecision::deny(&answer.reason)),
            v1::SendDecision::Unspecified => Err(NoAnswer(Reason::MalformedReply)),
        }
    }
}
