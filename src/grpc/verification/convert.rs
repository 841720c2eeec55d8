//! Converts requests to domain types: parses every field once, and reports all violations together.

mod contact;

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use prost::Message;

use crate::{
    domain::{
        caller::Caller,
        code::{guess::Guess, link::BrowserMark},
        decide::CancelReason,
        ids::{
            Acr, ActionName, AttemptId, Locale, Reference, RequestId, SubjectId, VerificationId,
        },
        limit::quota::Network,
        recipient::{Channel, Recipient},
        verification::{
            binding::Binding,
            rules::{EntryMode, RECIPIENTS_MAX},
        },
    },
    grpc::fields::Fields,
    pb::v1,
    service::{
        failure::{Failure, FieldViolation},
        verification::{check::CheckRequest, resend::ResendRequest, start::StartRequest},
    },
};

/// The largest number of `quota_keys` in a start.
const QUOTA_KEYS_MAX: usize = 8;

/// The SHA-256 hash of a request whose request id is cleared; a repeat with the same id must have the same hash.
fn body(request: &impl Message) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, &request.encode_to_vec()).as_ref());
    out
}

/// Parses a start. `missing_binding` names the values that an action demands and a request lacks, so that they are told
/// together with all that is wrong.
pub(super) fn start(
    caller: &Caller,
    mut request: v1::StartVerificationRequest,
    missing_binding: impl Fn(&ActionName, &BTreeMap<String, String>) -> Vec<FieldViolation>,
) -> Result<StartRequest, Failure> {
    let mut fields = Fields::default();
    let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
    request.request_id.clear();
    let body = body(&request);
    // Not used yet, but checked, so that a later version need not handle invalid values.
    fields.optional("audience", &request.audience, Acr::parse);
    let network = fields.optional("source_ip", &request.source_ip, Network::parse);
    let quota_keys = quota_keys(&mut fields, &request.quota_keys);
    let browser = fields.optional(
        "browser_sha256",
        &request.browser_sha256,
        BrowserMark::parse,
    );
    let subject = fields.take("subject", SubjectId::parse(&request.subject));
    let action = fields.take("action", ActionName::parse(&request.action));
    if let Some(action) = &action {
        fields.extend(missing_binding(action, &request.binding));
    }
    let recipients = recipients(&mut fields, &request.recipients);
    let locale = fields.optional("locale", &request.locale, Locale::parse);
    let agents_own = request
        .contact
        .as_ref()
        .map(|given| contact::agents_own(&mut fields, given))
        .unwrap_or_default();
    let contact = request
        .contact
        .as_ref()
        .and_then(|given| contact::contact(&mut fields, given));
    let preferred = preferred(&mut fields, "preferred_channel", request.preferred_channel);
    let acr = fields.optional("prior_acr", &request.prior_acr, Acr::parse);
    check_decoy(&mut fields, caller, &request);
    let binding = binding(&mut fields, std::mem::take(&mut request.binding));
    let parsed = (|| {
        Some(StartRequest {
            subject: subject?,
            action: action?,
            recipients,
            locale,
            binding: binding?,
            contact,
            agents_own,
            request_id: request_id?,
            preferred,
            authenticated: acr.is_some(),
            network,
            quota_keys,
            browser,
            decoy: request.decoy,
            body,
        })
    })();
    fields.finish(parsed)
}

/// A decoy is for a stranger, so nothing may vouch for it: it would draw other quotas than the strangers' starts that it
/// must look like.
fn check_decoy(fields: &mut Fields, caller: &Caller, request: &v1::StartVerificationRequest) {
    if !request.decoy {
        return;
    }
    if !request.prior_acr.is_empty() {
        fields.wrong("decoy", "must be false with prior_acr");
    }
    let contact = request.contact.as_ref();
    if contact.is_some_and(|contact| !contact.agent_id.is_empty()) {
        fields.wrong("decoy", "must be false with contact.agent_id");
    }
    if caller.is_agent() {
        fields.wrong("decoy", "must be false for a caller of role agent");
    }
}

fn quota_keys(fields: &mut Fields, given: &[String]) -> Vec<Reference> {
    if given.len() > QUOTA_KEYS_MAX {
        fields.wrong_count("quota_keys", given.len(), "at most 8");
    }
    let each = given.iter().enumerate().take(QUOTA_KEYS_MAX);
    each.filter_map(|(at, key)| fields.take(&format!("quota_keys[{at}]"), Reference::parse(key)))
        .collect()
}

fn recipients(fields: &mut Fields, given: &[v1::Recipient]) -> Vec<Recipient> {
    if given.is_empty() || given.len() > RECIPIENTS_MAX {
        fields.wrong_count("recipients", given.len(), "1 to 4");
    }
    let mut parsed = Vec::with_capacity(given.len().min(RECIPIENTS_MAX));
    for (at, recipient) in given.iter().enumerate().take(RECIPIENTS_MAX) {
        if recipient
            .registered_at
            .is_some_and(|at| !(0..1_000_000_000).contains(&at.nanos) || at.seconds < 0)
        {
            fields.wrong(
                &format!("recipients[{at}].registered_at"),
                "must be a time after 1970, with 0 to 999999999 nanos",
            );
        }
        match channel(recipient.channel()) {
            Some(channel) => {
                parsed.extend(fields.take(
                    &format!("recipients[{at}].address"),
                    Recipient::parse(channel, &recipient.address),
                ));
            }
            None => wrong_channel(
                fields,
                &format!("recipients[{at}].channel"),
                recipient.channel,
            ),
        }
    }
    parsed
}

fn channel(given: v1::Channel) -> Option<Channel> {
    match given {
        v1::Channel::Sms => Some(Channel::Sms),
        v1::Channel::Email => Some(Channel::Email),
        v1::Channel::Voice => Some(Channel::Voice),
        v1::Channel::Whatsapp => Some(Channel::Whatsapp),
        v1::Channel::Push => Some(Channel::Push),
        v1::Channel::Unspecified => None,
    }
}

fn preferred(fields: &mut Fields, field: &str, number: i32) -> Option<Channel> {
    let known = v1::Channel::try_from(number);
    if known.is_err() {
        wrong_channel(fields, field, number);
    }
    known.ok().and_then(channel)
}

fn wrong_channel(fields: &mut Fields, field: &str, number: i32) {
    let found = v1::Channel::try_from(number).ok();
    fields.wrong_enum(
        field,
        found.map(|channel| channel.as_str_name()),
        number,
        "CHANNEL_SMS, CHANNEL_EMAIL, CHANNEL_VOICE, CHANNEL_WHATSAPP or CHANNEL_PUSH",
    );
}

fn binding(fields: &mut Fields, given: BTreeMap<String, String>) -> Option<Binding> {
    let refused = match Binding::parse(given) {
        Ok(binding) => return Some(binding),
        Err(refused) => refused,
    };
    for (name, problem) in refused {
        // The name is the caller's own text, so it is shown without unprintable characters, and at most 32 characters
        // of it.
        let name: String = name
            .chars()
            .filter(|c| c.is_ascii_graphic())
            .take(32)
            .collect();
        fields.wrong(
            &if name.is_empty() {
                "binding".to_owned()
            } else {
                format!("binding.{name}")
            },
            problem,
        );
    }
    None
}

pub(super) fn id(text: &str) -> Result<VerificationId, Failure> {
    let mut fields = Fields::default();
    let parsed = fields.take("verification_id", VerificationId::parse(text));
    fields.finish(parsed)
}

pub(super) fn check(request: &v1::CheckCodeRequest) -> Result<CheckRequest, Failure> {
    let mut fields = Fields::default();
    let id = fields.take(
        "verification_id",
        VerificationId::parse(&request.verification_id),
    );
    let attempt = fields.take("attempt_id", AttemptId::parse(&request.attempt_id));
    let entry_mode = entry_mode(&mut fields, request.entry_mode);
    if !request.transcript.is_empty() {
        fields.wrong("transcript", "must be empty: this version takes no speech");
    }
    let guess = Guess::parse(&request.code);
    let parsed = (|| {
        Some(CheckRequest {
            id: id?,
            attempt: attempt?,
            guess,
            entry_mode: entry_mode?,
        })
    })();
    fields.finish(parsed)
}

fn entry_mode(fields: &mut Fields, number: i32) -> Option<EntryMode> {
    let given = v1::EntryMode::try_from(number);
    match given {
        Ok(v1::EntryMode::Portal) => Some(EntryMode::Portal),
        Ok(v1::EntryMode::IvrKeypad) => Some(EntryMode::IvrKeypad),
        Ok(v1::EntryMode::App) => Some(EntryMode::App),
        Ok(
            v1::EntryMode::Unspecified
            | v1::EntryMode::IvrSpeech
            | v1::EntryMode::Link
            | v1::EntryMode::AgentRelay,
        )
        | Err(_) => {
            let found = given.ok().map(|mode| mode.as_str_name());
            let allowed = "ENTRY_MODE_PORTAL, ENTRY_MODE_IVR_KEYPAD or ENTRY_MODE_APP";
            fields.wrong_enum("entry_mode", found, number, allowed);
            None
        }
    }
}

pub(super) fn resend(mut request: v1::ResendCodeRequest) -> Result<ResendRequest, Failure> {
    let mut fields = Fields::default();
    let request_id = fields.take("request_id", RequestId::parse(&request.request_id));
    request.request_id.clear();
    let body = body(&request);
    let id = fields.take(
        "verification_id",
        VerificationId::parse(&request.verification_id),
    );
    let wanted = preferred(&mut fields, "channel", request.channel);
    let parsed = (|| {
        Some(ResendRequest {
            id: id?,
            request_id: request_id?,
            channel: wanted,
            body,
        })
    })();
    fields.finish(parsed)
}

pub(super) fn cancel(
    request: &v1::CancelVerificationRequest,
) -> Result<(VerificationId, CancelReason), Failure> {
    let mut fields = Fields::default();
    let id = fields.take(
        "verification_id",
        VerificationId::parse(&request.verification_id),
    );
    let given = v1::CancelReason::try_from(request.reason);
    let reason = match given {
        Ok(v1::CancelReason::Requested) => Some(CancelReason::Requested),
        Ok(v1::CancelReason::NotMe) => Some(CancelReason::NotMe),
        Ok(v1::CancelReason::Unspecified) | Err(_) => {
            let found = given.ok().map(|reason| reason.as_str_name());
            let allowed = "CANCEL_REASON_REQUESTED or CANCEL_REASON_NOT_ME";
            fields.wrong_enum("reason", found, request.reason, allowed);
            None
        }
    };
    let parsed = (|| Some((id?, reason?)))();
    fields.finish(parsed)
}
