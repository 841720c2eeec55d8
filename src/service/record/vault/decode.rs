//! Converts the stored form to domain types; refuses what does not fit, and never guesses.

use std::time::Duration;

use crate::{
    domain::{
        code::{CodeLength, guess::Separators, link::BrowserMark},
        crypto::keyring::{Keyring, Kid},
        delivery::{Delivery, DeliveryStatus, Lease, plan::Step, reason::Reason, route::Refusals},
        ids::{
            ActionName, CallerName, DeliveryId, Invalid, Locale, ProviderReference, Reference,
            SenderName, SubjectId, SubjectKey, TenantId, VerificationId,
        },
        limit::failures::{Failures, Tally},
        recipient::{
            Channel, MethodLevel, Recipient,
            known::{KNOWN_MAX, Known, Reached},
        },
        record::subject::SubjectRecord,
        time::{Generation, Timestamp},
        verification::{
            Answer, CancelCause, Contact, Judgement, Outcome, Pending, Phase, RequestMark,
            Verification,
            binding::Binding,
            rules::{EntryMode, Limits, Origin},
        },
    },
    pb::store as pb,
    service::unreadable::VaultError,
};

type Decoded<T> = Result<T, VaultError>;

pub(super) fn record(
    stored: pb::SubjectRecord,
    version: u64,
    key: &SubjectKey,
    keyring: &Keyring,
) -> Decoded<SubjectRecord> {
    let decode = |v| verification(v, key, keyring);
    Ok(SubjectRecord {
        version,
        generation: Generation(array(&stored.generation)?),
        event_salt: array(&stored.event_salt)?,
        last_event_at: Timestamp::from_micros(stored.last_event_at),
        failures: Failures {
            anonymous: tally(stored.anonymous),
            vouched: tally(stored.vouched),
        },
        verifications: stored
            .verifications
            .into_iter()
            .map(decode)
            .collect::<Decoded<_>>()?,
        reached: Reached::from_stored(
            stored
                .reached
                .iter()
                .take(KNOWN_MAX)
                .map(known)
                .collect::<Decoded<_>>()?,
        ),
    })
}

fn known(stored: &pb::KnownRecipient) -> Decoded<Known> {
    Ok(Known {
        mark: array(&stored.mark)?,
        since: Timestamp::from_micros(stored.since),
    })
}

fn array<const N: usize>(bytes: &[u8]) -> Decoded<[u8; N]> {
    bytes.try_into().map_err(|_| VaultError::Content("id"))
}

fn text<T>(parsed: Result<T, Invalid>) -> Decoded<T> {
    parsed.map_err(|_| VaultError::Content("text"))
}

fn optional<T>(
    text_or_empty: &str,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Decoded<Option<T>> {
    if text_or_empty.is_empty() {
        Ok(None)
    } else {
        text(parse(text_or_empty)).map(Some)
    }
}

fn small(number: u32) -> Decoded<u8> {
    u8::try_from(number).map_err(|_| VaultError::Content("number"))
}

fn place(number: u32) -> Decoded<usize> {
    usize::try_from(number).map_err(|_| VaultError::Content("number"))
}

fn channel(name: &str) -> Decoded<Channel> {
    Channel::from_name(name).ok_or(VaultError::Content("channel"))
}

fn tally(stored: Option<pb::Tally>) -> Tally {
    let stored = stored.unwrap_or_default();
    Tally {
        // A level of a newer version is not known here either.
        level: match stored.level() {
            pb::Level::Unspecified => None,
            pb::Level::Basic => Some(MethodLevel::Basic),
            pb::Level::Standard => Some(MethodLevel::Standard),
        },
        since_unlock: stored.since_unlock,
        since_success: stored.since_success,
        verifications: stored.verifications,
        waits: stored.waits,
        next_attempt_at: Timestamp::from_micros(stored.next_attempt_at),
        rate: Timestamp::from_micros(stored.rate),
    }
}

fn verification(
    stored: pb::Verification,
    key: &SubjectKey,
    keyring: &Keyring,
) -> Decoded<Verification> {
    let phase = match stored.phase.ok_or(VaultError::Content("phase"))? {
        pb::verification::Phase::Pending(stored) => Phase::Pending(Box::new(pending(stored)?)),
        pb::verification::Phase::Closed(stored) => Phase::Closed {
            outcome: outcome(stored.outcome())?,
            at: Timestamp::from_micros(stored.at),
        },
    };
    // A clone of the ring's key id saves an allocation; a key that left the ring is still named.
    let kid = match keyring.find(&stored.kid) {
        Some(kid) => kid.clone(),
        None => text(Kid::parse(&stored.kid))?,
    };
    Ok(Verification {
        id: VerificationId {
            subject: *key,
            random: array(&stored.random)?,
        },
        tenant: text(TenantId::parse(&stored.tenant))?,
        caller: text(CallerName::parse(&stored.caller))?,
        action: text(ActionName::parse(&stored.action))?,
        origin: if stored.vouched {
            Origin::Vouched
        } else {
            Origin::Anonymous
        },
        contact: stored.contact.map(contact).transpose()?,
        locale: optional(&stored.locale, Locale::parse)?,
        kid,
        generation: Generation(array(&stored.generation)?),
        created_at: Timestamp::from_micros(stored.created_at),
        expires_at: Timestamp::from_micros(stored.expires_at),
        requests: stored
            .requests
            .iter()
            .map(request)
            .collect::<Decoded<_>>()?,
        answers: stored.answers.iter().map(answer).collect::<Decoded<_>>()?,
        deliveries: stored
            .deliveries
            .into_iter()
            .map(delivery)
            .collect::<Decoded<_>>()?,
        phase,
    })
}

fn contact(stored: pb::Contact) -> Decoded<Contact> {
    Ok(Contact {
        id: text(Reference::parse(&stored.id))?,
        case: optional(&stored.case_id, Reference::parse)?,
        channel: Some(stored.channel).filter(|channel| !channel.is_empty()),
        agent: optional(&stored.agent, Reference::parse)?,
    })
}

fn request(stored: &pb::RequestMark) -> Decoded<RequestMark> {
    Ok(RequestMark {
        id: array(&stored.id)?,
        body: array(&stored.body)?,
    })
}

fn answer(stored: &pb::Answer) -> Decoded<Answer> {
    let judgement = if stored.approved {
        Judgement::Approved
    } else {
        Judgement::Wrong {
            left: small(stored.left)?,
        }
    };
    Ok(Answer {
        id: array(&stored.id)?,
        fingerprint: array(&stored.fingerprint)?,
        judgement,
    })
}

fn delivery(stored: pb::Delivery) -> Decoded<Delivery> {
    use pb::delivery::Status;
    let status = match stored.status.ok_or(VaultError::Content("delivery"))? {
        Status::Queued(not_before) => DeliveryStatus::Queued {
            not_before: Timestamp::from_micros(not_before),
        },
        Status::Leased(lease) => DeliveryStatus::Leased(Lease {
            token: array(&lease.token)?,
            until: Timestamp::from_micros(lease.until),
        }),
        Status::Sent(_) => DeliveryStatus::Sent,
        Status::Delivered(_) => DeliveryStatus::Delivered,
        Status::Undelivered(_) => DeliveryStatus::Undelivered {
            reason: Reason::from_word(&stored.undelivered_reason),
        },
        Status::Failed(reason) => DeliveryStatus::Failed {
            reason: Reason::from_word(&reason),
        },
    };
    Ok(Delivery {
        id: DeliveryId(array(&stored.id)?),
        channel: channel(&stored.channel)?,
        recipient: place(stored.recipient)?,
        masked: stored.masked,
        status,
        updated_at: Timestamp::from_micros(stored.updated_at),
        made_at: Timestamp::from_micros(stored.made_at),
        tries: small(stored.tries)?,
        position: place(stored.position)?,
        refusals: Refusals::from_bits(small(stored.refusals)?),
        sender: optional(&stored.sender, SenderName::parse)?,
        reference: optional(&stored.reference, ProviderReference::parse)?,
    })
}

fn pending(stored: pb::Pending) -> Decoded<Pending> {
    let recipient = |stored: &pb::Recipient| {
        text(Recipient::from_canonical(
            channel(&stored.channel)?,
            &stored.address,
        ))
    };
    Ok(Pending {
        subject: text(SubjectId::parse(&stored.subject))?,
        nonce: array(&stored.nonce)?,
        recipients: stored
            .recipients
            .iter()
            .map(recipient)
            .collect::<Decoded<_>>()?,
        binding: Binding::parse(stored.binding).map_err(|_| VaultError::Content("binding"))?,
        limits: limits(
            stored
                .limits
                .as_ref()
                .ok_or(VaultError::Content("limits"))?,
        )?,
        next_resend_at: Timestamp::from_micros(stored.next_resend_at),
        browser: if stored.browser.is_empty() {
            None
        } else {
            Some(BrowserMark(array(&stored.browser)?))
        },
        decoy: stored.decoy,
        network: if stored.network.is_empty() {
            None
        } else {
            Some(array(&stored.network)?)
        },
    })
}

fn limits(stored: &pb::Limits) -> Decoded<Limits> {
    let entry_mode =
        |name: &String| EntryMode::from_name(name).ok_or(VaultError::Content("entry mode"));
    Ok(Limits {
        code_length: CodeLength::new(small(stored.digits)?)
            .ok_or(VaultError::Content("code length"))?,
        code_lifetime: Duration::from_micros(stored.code_lifetime),
        attempts: small(stored.attempts)?,
        sends: small(stored.sends)?,
        resend_cooldown: Duration::from_micros(stored.resend_cooldown),
        separators: Separators {
            space: stored.space,
            hyphen: stored.hyphen,
        },
        entry_modes: stored
            .entry_modes
            .iter()
            .map(entry_mode)
            .collect::<Decoded<_>>()?,
        channels: stored
            .channels
            .iter()
            .map(|name| channel(name))
            .collect::<Decoded<_>>()?,
        plan: stored.plan.iter().map(step).collect::<Decoded<_>>()?,
    })
}

fn step(stored: &pb::PlanStep) -> Decoded<Step> {
    let wait = (stored.wait > 0).then_some(Duration::from_micros(stored.wait));
    Ok(Step {
        channel: channel(&stored.channel)?,
        wait,
    })
}

fn outcome(stored: pb::Outcome) -> Decoded<Outcome> {
    Ok(match stored {
        pb::Outcome::Unspecified => return Err(VaultError::Content("outcome")),
        pb::Outcome::Approved => Outcome::Approved,
        pb::Outcome::Rejected => Outcome::Rejected,
        pb::Outcome::Denied => Outcome::Denied,
        pb::Outcome::Canceled => Outcome::Canceled(CancelCause::Requested),
        pb::Outcome::Superseded => Outcome::Canceled(CancelCause::Superseded),
        pb::Outcome::Generation => Outcome::Canceled(CancelCause::Generation),
        pb::Outcome::Expired => Outcome::Expired,
    })
}
