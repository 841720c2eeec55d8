//! `countersign subject`: shows what is known of a subject, and unlocks one that is locked out.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    client::{Client, ClientArguments},
    say,
};
use crate::pb::v1::{self, admin_service_client::AdminServiceClient};

/// The commands about one subject.
#[derive(Subcommand)]
pub(super) enum SubjectCommand {
    /// Show failures, what is disabled and why, waits, and the latest verifications.
    Show {
        /// The subject, as the callers name it.
        subject: String,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        client: ClientArguments,
    },
    /// Enable codes again for a subject that reached the failure limit. 100 failures since the last approval stay the
    /// end.
    Unlock {
        /// The subject, as the callers name it.
        subject: String,
        /// Why, for the audit trail: how the customer was identified, or the number of a ticket.
        #[arg(long)]
        reason: String,
        /// Who asks for it, for the audit trail. Without it, the trail names the caller alone.
        #[arg(long)]
        operator: Option<String>,
        /// End the wait before the next guess too.
        #[arg(long)]
        end_wait: bool,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        client: ClientArguments,
    },
}

impl SubjectCommand {
    pub(super) const fn client(&self) -> &ClientArguments {
        match self {
            Self::Show { client, .. } | Self::Unlock { client, .. } => client,
        }
    }

    /// Calls the service and prints its answer.
    pub(super) async fn run(&self, client: &Client) -> anyhow::Result<()> {
        let mut admin = AdminServiceClient::new(client.channel());
        let (answered, as_json) = match self {
            Self::Show { subject, json, .. } => {
                let request = client.request(v1::GetSubjectRequest {
                    subject: subject.clone(),
                });
                let answer = admin.get_subject(request).await;
                (answer.map(|answer| answer.into_inner().subject), *json)
            }
            Self::Unlock {
                subject,
                reason,
                operator,
                end_wait,
                json,
                ..
            } => {
                let request = client.request(v1::UnlockSubjectRequest {
                    subject: subject.clone(),
                    reason: reason.clone(),
                    operator: operator.clone().unwrap_or_default(),
                    end_wait: *end_wait,
                });
                let answer = admin.unlock_subject(request).await;
                if answer.is_ok() && !json {
                    say("unlocked");
                }
                (answer.map(|answer| answer.into_inner().subject), *json)
            }
        };
        let subject = answered
            .map_err(|status| client.failed(&status))?
            .unwrap_or_default();
        say(&if as_json {
            json_of(&subject).to_string()
        } else {
            text_of(&subject)
        });
        Ok(())
    }
}

fn text_of(subject: &v1::Subject) -> String {
    let mut text = format!("subject {}", subject.subject);
    for budget in &subject.budgets {
        let state = match budget.disabled_by() {
            v1::DisabledBy::Unspecified => "enabled",
            v1::DisabledBy::FailureLimit => {
                "DISABLED by the failure limit; unlock it once the customer is identified"
            }
            v1::DisabledBy::FailureCap => {
                "DISABLED for good by the cap on failures; no unlock helps"
            }
        };
        let _ = write!(
            text,
            "\n{:<10} {} of {} failures, codes {state}",
            origin(budget.origin()),
            budget.failures,
            budget.failure_limit,
        );
        if let Some(at) = &budget.next_attempt_at {
            let _ = write!(text, "; next guess from {}", instant(at));
        }
    }
    let _ = write!(
        text,
        "\nsince the last approval: {} of at most {} failures",
        subject.failures_since_success, subject.failure_cap
    );
    if subject.verifications.is_empty() {
        text.push_str("\nno verification is live or ended lately");
    }
    for v in &subject.verifications {
        let _ = write!(
            text,
            "\n{}\n  {} by {}, {}, {}: {}, {}",
            v.verification_id,
            v.action,
            v.caller,
            origin(v.origin()),
            lower(v.channel().as_str_name(), "CHANNEL_"),
            v.masked_recipient,
            lower(v.status().as_str_name(), "VERIFICATION_STATUS_"),
        );
        for (word, at) in [
            ("started", &v.created_at),
            ("expires", &v.expires_at),
            ("closed", &v.closed_at),
        ] {
            if let Some(at) = at {
                let _ = write!(text, ", {word} {}", instant(at));
            }
        }
        if v.status() == v1::VerificationStatus::Pending {
            let _ = write!(text, ", {} guesses left", v.attempts_left);
        }
    }
    text
}

fn json_of(subject: &v1::Subject) -> Value {
    let time = |at: &Option<prost_types::Timestamp>| at.as_ref().map(instant);
    let budget = |budget: &v1::FailureBudget| {
        let methods: Vec<&str> = budget.disabled_methods().map(|m| m.as_str_name()).collect();
        json!({
            "origin": budget.origin().as_str_name(),
            "failures": budget.failures,
            "failure_limit": budget.failure_limit,
            "failures_since_success": budget.failures_since_success,
            "disabled_methods": methods,
            "disabled_by": budget.disabled_by().as_str_name(),
            "next_attempt_at": time(&budget.next_attempt_at),
        })
    };
    let verification = |v: &v1::SubjectVerification| {
        json!({
            "verification_id": v.verification_id,
            "action": v.action,
            "caller": v.caller,
            "origin": v.origin().as_str_name(),
            "channel": v.channel().as_str_name(),
            "masked_recipient": v.masked_recipient,
            "status": v.status().as_str_name(),
            "created_at": time(&v.created_at),
            "expires_at": time(&v.expires_at),
            "closed_at": time(&v.closed_at),
            "attempts_left": v.attempts_left,
        })
    };
    json!({
        "subject": subject.subject,
        "budgets": subject.budgets.iter().map(budget).collect::<Vec<_>>(),
        "failures_since_success": subject.failures_since_success,
        "failure_cap": subject.failure_cap,
        "verifications": subject.verifications.iter().map(verification).collect::<Vec<_>>(),
    })
}

fn origin(origin: v1::Origin) -> String {
    lower(origin.as_str_name(), "ORIGIN_")
}

/// The name of an enum value for people: `sms` for `CHANNEL_SMS`.
fn lower(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix)
        .unwrap_or(name)
        .to_ascii_lowercase()
}

fn instant(at: &prost_types::Timestamp) -> String {
    jiff::Timestamp::from_second(at.seconds).map_or_else(|_| "?".to_owned(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked() -> v1::Subject {
        v1::Subject {
            subject: "customer-17".to_owned(),
            budgets: vec![
                v1::FailureBudget {
                    origin: v1::Origin::Anonymous.into(),
                    failures: 25,
                    failure_limit: 25,
                    failures_since_success: 30,
                    disabled_methods: vec![v1::Method::SmsCode.into()],
                    disabled_by: v1::DisabledBy::FailureLimit.into(),
                    next_attempt_at: Some(prost_types::Timestamp {
                        seconds: 1_800_000_000,
                        nanos: 0,
                    }),
                },
                v1::FailureBudget {
                    origin: v1::Origin::Vouched.into(),
                    failure_limit: 25,
                    ..Default::default()
                },
            ],
            failures_since_success: 30,
            failure_cap: 100,
            verifications: vec![v1::SubjectVerification {
                verification_id: "vrf_1".to_owned(),
                action: "payment".to_owned(),
                caller: "portal".to_owned(),
                origin: v1::Origin::Vouched.into(),
                channel: v1::Channel::Sms.into(),
                masked_recipient: "+31 6 •••• ••34".to_owned(),
                status: v1::VerificationStatus::Pending.into(),
                attempts_left: 4,
                ..Default::default()
            }],
        }
    }

    #[test]
    fn guess_19_the_terminal_shows_what_is_disabled_and_why() {
        assert_eq!(
            text_of(&locked()),
            "subject customer-17\n\
             anonymous  25 of 25 failures, codes DISABLED by the failure limit; unlock it once the customer is identified; next guess from 2027-01-15T08:00:00Z\n\
             vouched    0 of 25 failures, codes enabled\n\
             since the last approval: 30 of at most 100 failures\n\
             vrf_1\n  payment by portal, vouched, sms: +31 6 •••• ••34, pending, 4 guesses left"
        );
        let json = json_of(&locked());
        assert_eq!(
            json["budgets"][0]["disabled_by"],
            "DISABLED_BY_FAILURE_LIMIT"
        );
        assert_eq!(json["budgets"][0]["disabled_methods"][0], "METHOD_SMS_CODE");
        assert_eq!(json["budgets"][1]["next_attempt_at"], Value::Null);
        assert_eq!(
            json["verifications"][0]["status"],
            "VERIFICATION_STATUS_PENDING"
        );
    }
}
