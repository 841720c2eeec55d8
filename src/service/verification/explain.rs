//! Explains the state of a verification to the customer.

use super::Reading;
use crate::{
    domain::{
        delivery::{Delivery, DeliveryStatus, reason::Reason},
        recipient::Channel,
        time::Now,
        verification::{CancelCause, Judgement, Outcome, Pending, Status, Verification},
    },
    message::{Explanation, MessageState, MessageStep, Progress, Remedy},
    service::Service,
};

impl Service {
    /// The state of a verification in a few sentences for the customer, in their language.
    #[must_use]
    pub fn explain(&self, reading: &Reading) -> String {
        let verification = &reading.snapshot.verification;
        self.courier.explain(verification, explanation(reading))
    }
}

/// What is to be explained. It was true at the time of the reading.
fn explanation(reading: &Reading) -> Explanation<'_> {
    let Reading { snapshot, now } = reading;
    let v = &snapshot.verification;
    match v.status(*now) {
        Status::Pending => Explanation::Pending(Progress {
            wait: (!now.has_reached(snapshot.next_attempt_at))
                .then(|| now.until(snapshot.next_attempt_at)),
            ..progress(v, *now)
        }),
        Status::Closed(Outcome::Approved) => Explanation::Approved,
        Status::Closed(Outcome::Rejected) => Explanation::Rejected,
        Status::Closed(Outcome::Denied) => Explanation::Denied,
        Status::Closed(Outcome::Canceled(CancelCause::Requested)) => Explanation::Canceled,
        Status::Closed(Outcome::Canceled(CancelCause::Superseded)) => Explanation::Superseded,
        Status::Closed(Outcome::Canceled(CancelCause::Generation)) => Explanation::Lost,
        Status::Closed(Outcome::Expired) => Explanation::Expired,
    }
}

fn progress(v: &Verification, now: Now) -> Progress<'_> {
    let pending = v.live(now);
    let latest = v.latest_delivery();
    let state = latest.map_or(NO_MESSAGE, message_state);
    let is_earlier = |delivery: &&Delivery| latest.is_some_and(|latest| latest.id != delivery.id);
    let earlier = v.deliveries.iter().rev().filter(is_earlier);
    Progress {
        digits: pending.map_or(0, |pending| pending.limits.code_length.get()),
        latest: state,
        earlier: earlier
            .map(message_state)
            .find(|earlier| state.step.has_failed() && earlier.step.is_out()),
        remedy: remedy(v, pending),
        attempts_left: pending
            .filter(
                |_| matches!(v.answers.last(), Some(last) if last.judgement != Judgement::Approved),
            )
            .map(|pending| v.attempts_left(pending)),
        wait: None,
    }
}

/// Used if there is no delivery, which cannot happen: every verification has one.
const NO_MESSAGE: MessageState<'static> = MessageState {
    address: None,
    step: MessageStep::NotSent,
};

fn message_state(delivery: &Delivery) -> MessageState<'_> {
    MessageState {
        address: (delivery.channel != Channel::Push).then_some(&delivery.masked),
        step: step(delivery),
    }
}

fn step(delivery: &Delivery) -> MessageStep {
    match &delivery.status {
        DeliveryStatus::Queued { .. } if delivery.tries == 0 => MessageStep::BeingSent,
        DeliveryStatus::Leased(_) if delivery.tries <= 1 => MessageStep::BeingSent,
        DeliveryStatus::Queued { .. } | DeliveryStatus::Leased(_) => MessageStep::StillTrying,
        DeliveryStatus::Sent => MessageStep::Sent,
        DeliveryStatus::Delivered => MessageStep::Delivered,
        DeliveryStatus::Undelivered { .. } => MessageStep::NotReached,
        DeliveryStatus::Failed { reason } => failed(reason),
    }
}

/// Whether the customer can do something about it, or we can, or nobody is to be told why.
fn failed(reason: &Reason) -> MessageStep {
    match reason {
        Reason::Refused
        | Reason::OptedOut
        | Reason::Unregistered
        | Reason::BadAddress
        | Reason::Expired
        | Reason::Deleted
        | Reason::Undeliverable
        | Reason::Rejected
        | Reason::Skipped
        | Reason::NotSaid => MessageStep::NotReached,
        Reason::VerificationClosed
        | Reason::MethodDisabled
        | Reason::QuotaExceeded
        | Reason::GuardRefused
        // The operator can read the hook's reason in the log; somebody who stole the number must
        // not learn it.
        | Reason::HookDenied
        | Reason::HookDeniedFor(_)
        | Reason::HookFailed => MessageStep::NotSent,
        Reason::TooManyTries
        | Reason::NoRecipient
        | Reason::NoSender
        | Reason::WrongAddressKind
        | Reason::KeyNotInRing
        | Reason::Deadline
        | Reason::Unreachable
        | Reason::ConnectionLost
        | Reason::Timeout
        | Reason::Closed
        | Reason::NameUnresolved
        | Reason::TlsFailed
        | Reason::AddressRefused
        | Reason::Redirected
        | Reason::StdoutClosed
        | Reason::LoginRefused
        | Reason::LoginFailed
        | Reason::LoginUnavailable
        | Reason::Busy
        | Reason::SenderRefused
        | Reason::MalformedReply
        | Reason::OversizedReply
        | Reason::UnknownAnswer
        | Reason::WrongChannel
        | Reason::BadMessage
        | Reason::OversizedMessage
        | Reason::TooLong
        | Reason::NotANumber
        | Reason::NotSigned
        | Reason::EncryptionFailed
        | Reason::Other(_) => MessageStep::Technical,
    }
}

fn remedy(v: &Verification, pending: Option<&Pending>) -> Remedy {
    let sends_left = pending.map_or(0, |pending| v.sends_left(pending));
    if v.next_step().is_some() {
        Remedy::AnotherChannel
    } else if sends_left > 0 {
        Remedy::Resend
    } else {
        Remedy::StartAgain
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        domain::{
            code::{CodeLength, guess::Separators},
            crypto::keyring::Kid,
            decide::Snapshot,
            delivery::{Lease, plan::Step},
            ids::{
                ActionName, CallerName, DeliveryId, SubjectId, SubjectKey, TenantId, VerificationId,
            },
            recipient::Recipient,
            time::{Generation, Timestamp},
            verification::{
                Answer, Phase,
                binding::Binding,
                rules::{EntryMode, Limits, Origin},
            },
        },
        message::{Messages, Wording},
    };

    const MAIL: &str = "a•••@e•••.org";
    const SMS: &str = "+31 6 •••• ••78";

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn limits() -> Limits {
        Limits {
            code_length: CodeLength::new(6).unwrap(),
            code_lifetime: Duration::from_secs(300),
            attempts: 3,
            sends: 3,
            resend_cooldown: Duration::from_secs(30),
            separators: Separators {
                space: true,
                hyphen: true,
            },
            entry_modes: EntryMode::ALL.to_vec(),
            channels: Channel::ALL.to_vec(),
            plan: Vec::new(),
        }
    }

    fn delivery(number: usize, channel: Channel, status: DeliveryStatus, tries: u8) -> Delivery {
        let recipient = &recipients()[number];
        assert_eq!(recipient.channel(), channel);
        let id = DeliveryId([u8::try_from(number).unwrap(); 16]);
        Delivery {
            status,
            tries,
            ..Delivery::queued(id, number, recipient, at(1000))
        }
    }

    fn recipients() -> Vec<Recipient> {
        let app = format!("apns:{}", "0".repeat(64));
        [
            (Channel::Email, "anna@example.org"),
            (Channel::Sms, "+31612345678"),
            (Channel::Push, &app),
        ]
        .map(|(channel, address)| Recipient::parse(channel, address).unwrap())
        .to_vec()
    }

    fn by_mail(status: DeliveryStatus, tries: u8) -> Delivery {
        delivery(0, Channel::Email, status, tries)
    }

    fn queued() -> DeliveryStatus {
        DeliveryStatus::Queued {
            not_before: at(1000),
        }
    }

    fn leased() -> DeliveryStatus {
        DeliveryStatus::Leased(Lease {
            token: [1; 16],
            until: at(1015),
        })
    }

    fn failed(reason: &str) -> DeliveryStatus {
        DeliveryStatus::Failed {
            reason: Reason::from_word(reason),
        }
    }

    /// A verification that was read one second after its start.
    fn reading(deliveries: Vec<Delivery>) -> Reading {
        let verification = Verification {
            id: VerificationId {
                subject: SubjectKey([1; 16]),
                random: [2; 16],
            },
            tenant: TenantId::parse("bank").unwrap(),
            caller: CallerName::parse("portal").unwrap(),
            action: ActionName::parse("payment").unwrap(),
            origin: Origin::Vouched,
            contact: None,
            locale: None,
            kid: Kid::parse("k1").unwrap(),
            generation: Generation([3; 16]),
            created_at: at(1000),
            expires_at: at(1300),
            requests: Vec::new(),
            answers: Vec::new(),
            deliveries,
            phase: Phase::Pending(Box::new(Pending {
                subject: SubjectId::parse("customer-1").unwrap(),
                nonce: [4; 16],
                recipients: recipients(),
                binding: Binding::default(),
                limits: limits(),
                next_resend_at: at(1030),
                browser: None,
                network: None,
                decoy: false,
            })),
        };
        Reading {
            snapshot: Snapshot {
                verification,
                next_attempt_at: at(0),
            },
            now: Now::new(at(1001), at(1001)),
        }
    }

    fn english(reading: &Reading) -> String {
        let messages = Messages::load(&Wording {
            default_language: "en",
            brand: "Bank",
            ..Wording::default()
        });
        let tenant = TenantId::parse("bank").unwrap();
        messages
            .unwrap()
            .explain(&tenant, None, explanation(reading))
    }

    fn limits_of(reading: &mut Reading) -> &mut Limits {
        match &mut reading.snapshot.verification.phase {
            Phase::Pending(pending) => &mut pending.limits,
            Phase::Closed { .. } => panic!("it is pending"),
        }
    }

    #[test]
    fn a_message_is_called_sent_when_a_provider_took_it_and_not_before() {
        let undelivered = DeliveryStatus::Undelivered {
            reason: Reason::from_word("30003"),
        };
        for (status, tries, expected) in [
            (queued(), 0, "We are sending a code of 6 digits to "),
            (leased(), 1, "We are sending a code of 6 digits to "),
            (queued(), 1, "We are still trying to send a code of 6 "),
            (leased(), 2, "We are still trying to send a code of 6 "),
            (DeliveryStatus::Sent, 1, "We sent a code of 6 digits to "),
            (DeliveryStatus::Delivered, 1, "A code of 6 digits has "),
            (undelivered, 1, "The code did not reach "),
            (failed("refused"), 1, "The code did not reach "),
            (failed("unreachable"), 8, "Because of a technical problem "),
            (failed("no_sender"), 0, "Because of a technical problem "),
            (failed("full_moon"), 1, "Because of a technical problem "),
            (failed("unregistered"), 1, "The code did not reach "),
            (failed("quota_exceeded"), 0, "We could not send "),
            (failed("hook_failed"), 1, "We could not send "),
            (failed("hook_denied:sim_swap"), 1, "We could not send "),
        ] {
            let told = english(&reading(vec![by_mail(status.clone(), tries)]));
            assert!(
                told.starts_with(expected) && told.contains(MAIL),
                "{status:?}: {told}"
            );
            assert!(!told.contains("hook") && !told.contains("swap"), "{told}");
            let is_out = matches!(status, DeliveryStatus::Sent | DeliveryStatus::Delivered);
            assert_eq!(
                told.contains("sent") || told.contains("arrived"),
                is_out,
                "{status:?}: {told}"
            );
        }
        let app = delivery(2, Channel::Push, DeliveryStatus::Sent, 1);
        assert!(
            english(&reading(vec![app])).starts_with("There is a code of 6 digits in your app")
        );
    }

    #[test]
    fn after_a_message_that_failed_the_customer_reads_what_is_next() {
        let mut read = reading(vec![by_mail(failed("unreachable"), 8)]);
        let ask_again = "Ask for the code again, or choose another way.";
        assert!(english(&read).ends_with(ask_again));
        limits_of(&mut read).sends = 1;
        assert!(english(&read).ends_with("Please start again."));
        limits_of(&mut read).sends = 3;
        limits_of(&mut read).plan = [(Channel::Email, Some(60)), (Channel::Sms, None)]
            .map(|(channel, wait)| Step {
                channel,
                wait: wait.map(Duration::from_secs),
            })
            .to_vec();
        assert!(english(&read).ends_with("We will try another way."));
    }

    #[test]
    fn a_message_that_the_customer_has_is_named_after_a_later_one_that_failed() {
        let by_sms = |status| delivery(1, Channel::Sms, status, 1);
        let told = english(&reading(vec![
            by_mail(DeliveryStatus::Sent, 1),
            by_sms(failed("refused")),
        ]));
        assert_eq!(
            told,
            format!(
                "The code did not reach {SMS}: please check that this is right. We sent a code of 6 digits to {MAIL}. \
                 Nobody will ever ask you to tell it."
            )
        );
        let told = english(&reading(vec![
            by_mail(failed("unreachable"), 8),
            by_sms(DeliveryStatus::Sent),
        ]));
        assert!(
            told.starts_with("We sent ") && !told.contains(MAIL),
            "{told}"
        );
    }

    #[test]
    fn a_wrong_code_and_a_wait_are_told_with_their_numbers() {
        let mut read = reading(vec![by_mail(DeliveryStatus::Sent, 1)]);
        for (left, attempts) in [(2, "2 attempts"), (1, "1 attempt")] {
            read.snapshot.verification.answers.push(Answer {
                id: [left; 16],
                fingerprint: [left; 16],
                judgement: Judgement::Wrong { left },
            });
            let told = english(&read);
            let expected =
                format!("The last code you entered was not right. You have {attempts} left. We ");
            assert!(told.starts_with(&expected), "{told}");
        }
        read.snapshot.next_attempt_at = at(1031);
        assert!(english(&read).ends_with("Please wait 30 seconds before you try again."));
    }

    #[test]
    fn each_end_is_told_by_itself_and_time_ends_too() {
        let mut told = Vec::new();
        for outcome in [
            Outcome::Approved,
            Outcome::Rejected,
            Outcome::Denied,
            Outcome::Canceled(CancelCause::Requested),
            Outcome::Canceled(CancelCause::Superseded),
            Outcome::Canceled(CancelCause::Generation),
            Outcome::Expired,
        ] {
            let mut read = reading(vec![by_mail(DeliveryStatus::Sent, 1)]);
            read.snapshot.verification = read.snapshot.verification.close(outcome, at(1001));
            told.push(english(&read));
        }
        let mut late = reading(vec![by_mail(queued(), 0)]);
        late.now = Now::new(at(1300), at(1300));
        assert_eq!(Some(&english(&late)), told.last());
        assert!(told.iter().all(|text| !text.contains("sent")), "{told:?}");
        told.sort();
        told.dedup();
        assert_eq!(told.len(), 7);
    }
}
