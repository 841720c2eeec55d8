//! The hook as a receiver of signed webhooks, which answers with JSON.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    domain::delivery::reason::Reason,
    ports::{
        hook::{Hook, HookDecision, NoAnswer, Question},
        system::Clock,
    },
    sender::{
        settings::SettingError,
        transport::signed::{Signed, SignedSettings},
    },
};

/// Asks the hook with webhooks of type `send.judge`.
pub(super) struct HttpHook(Signed);

impl HttpHook {
    pub(super) fn new(
        settings: &SignedSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SettingError> {
        Signed::new(settings, clock).map(Self)
    }
}

#[async_trait]
impl Hook for HttpHook {
    async fn judge(&self, question: &Question) -> Result<HookDecision, NoAnswer> {
        let reply = self
            .0
            .post(&question.delivery.to_string(), &payload(question))
            .await;
        let reply = reply.map_err(|error| NoAnswer(error.reason))?;
        if reply.status != StatusCode::OK {
            return Err(NoAnswer(Reason::UnknownAnswer));
        }
        let answer: Value = reply
            .body
            .and_then(|body| serde_json::from_slice(&body).ok())
            .unwrap_or_default();
        match answer["decision"].as_str() {
            Some("allow") => Ok(HookDecision::Allow),
            Some("deny") => Ok(HookDecision::deny(
                answer["reason"].as_str().unwrap_or_default(),
            )),
            Some(_) | None => Err(NoAnswer(Reason::MalformedReply)),
        }
    }
}

fn payload(question: &Question) -> Value {
    json!({
        "type": "send.judge",
        "data": {
            "delivery_id": question.delivery.to_string(),
            "verification_id": question.verification.to_string(),
            "tenant": question.tenant.as_str(),
            "action": question.action.as_str(),
            "channel": question.recipient.channel().as_str(),
            "address": question.recipient.expose(),
            "country": question.recipient.number_plan().and_then(|plan| plan.country).map(|country| country.as_str().to_owned()),
        },
    })
}
