//! Explains the state of a verification to the customer, in their language.
//!
//! The sentences are in each language's file `explain.txt`. Place-holders such as `{address}` are filled in.

use std::time::Duration;

use super::{part::Part, sentences::fill, vocabulary::Vocabulary};

/// The state of a verification, as far as the customer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Explanation<'a> {
    /// The code can still be given.
    Pending(Progress<'a>),
    /// The right code was given.
    Approved,
    /// All attempts were used up by wrong codes.
    Rejected,
    /// The customer said "not me".
    Denied,
    /// The caller canceled it.
    Canceled,
    /// A later start replaced it.
    Superseded,
    /// The code expired before the right answer.
    Expired,
    /// The store failed over or was restored, so the code is no longer accepted.
    Lost,
}

/// What the customer of a pending verification can do, and where the messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Progress<'a> {
    /// The number of digits of the code.
    pub digits: u8,
    /// The state of the latest message.
    pub latest: MessageState<'a>,
    /// An earlier message that the customer may have, if the latest one failed.
    pub earlier: Option<MessageState<'a>>,
    /// What to suggest if the customer has no message.
    pub remedy: Remedy,
    /// The attempts left after a wrong code; `None` before the first.
    pub attempts_left: Option<u8>,
    /// The wait before the next attempt; `None` if it may come at once.
    pub wait: Option<Duration>,
}

/// The state of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageState<'a> {
    /// The masked address; `None` for the customer's app.
    pub address: Option<&'a str>,
    /// The step that it has reached.
    pub step: MessageStep,
}

/// The step that a message has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageStep {
    /// It waits for its first hand-over, or is being handed over.
    BeingSent,
    /// A hand-over failed, and it is tried again.
    StillTrying,
    /// A provider accepted it.
    Sent,
    /// The provider reported that it arrived.
    Delivered,
    /// It was not sent, for a reason that the customer is not told.
    NotSent,
    /// No provider could accept it.
    Technical,
    /// Its address was refused, or it did not arrive there.
    NotReached,
}

impl MessageStep {
    /// Whether the customer may have the message.
    #[must_use]
    pub const fn is_out(self) -> bool {
        match self {
            Self::Sent | Self::Delivered => true,
            Self::BeingSent
            | Self::StillTrying
            | Self::NotSent
            | Self::Technical
            | Self::NotReached => false,
        }
    }

    /// Whether it ended without reaching the customer.
    #[must_use]
    pub const fn has_failed(self) -> bool {
        match self {
            Self::NotSent | Self::Technical | Self::NotReached => true,
            Self::BeingSent | Self::StillTrying | Self::Sent | Self::Delivered => false,
        }
    }
}

/// What to suggest when a message failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// The service tries the next channel of the plan by itself.
    AnotherChannel,
    /// The customer can have the code sent again.
    Resend,
    /// All messages are used: the customer must start again.
    StartAgain,
}

pub(super) fn explain(vocabulary: &Vocabulary, explanation: Explanation<'_>) -> String {
    let name = match explanation {
        Explanation::Pending(progress) => return pending(vocabulary, &progress),
        Explanation::Approved => "approved",
        Explanation::Rejected => "rejected",
        Explanation::Denied => "denied",
        Explanation::Canceled => "canceled",
        Explanation::Superseded => "superseded",
        Explanation::Expired => "expired",
        Explanation::Lost => "lost",
    };
    vocabulary.say(Part::Explain, name).to_owned()
}

fn pending(vocabulary: &Vocabulary, progress: &Progress<'_>) -> String {
    let digits = progress.digits.to_string();
    let sentence = |name| vocabulary.say(Part::Explain, name);
    let message = |message: MessageState<'_>| {
        let values = [
            ("digits", digits.as_str()),
            ("address", message.address.unwrap_or_default()),
        ];
        fill(sentence(name_of(message)), &values)
    };
    let mut told = Vec::new();
    if let Some(left) = progress.attempts_left {
        let name = if left == 1 {
            "last_attempt"
        } else {
            "attempts_left"
        };
        told.push(fill(sentence(name), &[("left", &left.to_string())]));
    }
    told.push(message(progress.latest));
    if let Some(earlier) = progress.earlier {
        told.push(message(earlier));
    } else if progress.latest.step.has_failed() {
        told.push(sentence(remedy(progress.remedy)).to_owned());
    }
    if let Some(wait) = progress.wait {
        let wait = vocabulary.span(wait);
        told.push(fill(sentence("wait"), &[("wait", &wait)]));
    }
    told.join(" ")
}

const fn name_of(message: MessageState<'_>) -> &'static str {
    match (message.step, message.address.is_some()) {
        (MessageStep::BeingSent, true) => "being_sent",
        (MessageStep::StillTrying, true) => "still_trying",
        (MessageStep::Sent, true) => "sent",
        (MessageStep::Delivered, true) => "delivered",
        (MessageStep::NotSent, true) => "not_sent",
        (MessageStep::Technical, true) => "technical",
        (MessageStep::NotReached, true) => "not_reached",
        (MessageStep::BeingSent, false) => "app_being_sent",
        (MessageStep::StillTrying, false) => "app_still_trying",
        // The customer sees in the app whether it has arrived, so both have one sentence.
        (MessageStep::Sent | MessageStep::Delivered, false) => "app_sent",
        (MessageStep::NotSent, false) => "app_not_sent",
        (MessageStep::Technical, false) => "app_technical",
        (MessageStep::NotReached, false) => "app_not_reached",
    }
}

const fn remedy(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::AnotherChannel => "another_way",
        Remedy::Resend => "ask_again",
        Remedy::StartAgain => "start_again",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const ADDRESS: &str = "a•••@e•••.org";
    const STEPS: [MessageStep; 7] = [
        MessageStep::BeingSent,
        MessageStep::StillTrying,
        MessageStep::Sent,
        MessageStep::Delivered,
        MessageStep::NotSent,
        MessageStep::Technical,
        MessageStep::NotReached,
    ];
    /// A word of each language that says that a message went out.
    const SENT: [(&str, &str); 5] = [
        ("nl", "gestuurd"),
        ("de", "geschickt"),
        ("en", "sent"),
        ("es", "hemos enviado"),
        ("fr", "avons envoyé"),
    ];

    fn says_sent(language: &str, text: &str) -> bool {
        let word = SENT.iter().find(|(of, _)| *of == language).unwrap().1;
        text.to_lowercase().contains(word)
    }

    /// Every state that can be explained to a customer.
    fn all() -> Vec<Explanation<'static>> {
        let mut all = vec![
            Explanation::Approved,
            Explanation::Rejected,
            Explanation::Denied,
            Explanation::Canceled,
            Explanation::Superseded,
            Explanation::Expired,
            Explanation::Lost,
        ];
        for address in [Some(ADDRESS), None] {
            for step in STEPS {
                for remedy in [Remedy::AnotherChannel, Remedy::Resend, Remedy::StartAgain] {
                    for attempts_left in [None, Some(1), Some(2)] {
                        for wait in [None, Some(30), Some(60), Some(61)] {
                            all.push(Explanation::Pending(Progress {
                                digits: 6,
                                latest: MessageState { address, step },
                                earlier: None,
                                remedy,
                                attempts_left,
                                wait: wait.map(Duration::from_secs),
                            }));
                        }
                    }
                }
            }
        }
        all
    }

    /// Removes what makes no difference to the customer: the remedy of a message that did not fail,
    /// and whether a message to an app has arrived.
    fn as_told(explanation: Explanation<'_>) -> Explanation<'_> {
        let Explanation::Pending(mut progress) = explanation else {
            return explanation;
        };
        if !progress.latest.step.has_failed() {
            progress.remedy = Remedy::Resend;
        }
        if progress.latest.address.is_none() && progress.latest.step == MessageStep::Delivered {
            progress.latest.step = MessageStep::Sent;
        }
        Explanation::Pending(progress)
    }

    #[test]
    fn no_two_states_share_a_text() {
        for (tag, _) in SENT {
            let language = &Vocabulary::built_in(tag);
            let mut seen = HashMap::new();
            for explanation in all().into_iter().map(as_told) {
                let text = explain(language, explanation);
                assert!(!text.contains('{') && !text.contains("  "), "{text}");
                let other = *seen.entry(text.clone()).or_insert(explanation);
                assert_eq!(other, explanation, "{text}");
            }
        }
    }

    #[test]
    fn nothing_says_sent_unless_a_message_is_out() {
        for (tag, _) in SENT {
            let language = &Vocabulary::built_in(tag);
            for explanation in all() {
                let text = explain(language, explanation);
                let expected = match explanation {
                    // An app shows the code, so the sentence points there.
                    Explanation::Pending(Progress { latest, .. }) => {
                        latest.step == MessageStep::Sent && latest.address.is_some()
                    }
                    _ => false,
                };
                assert_eq!(says_sent(tag, &text), expected, "{text}");
            }
        }
    }

    #[test]
    fn a_customer_reads_how_it_stands() {
        let progress = Progress {
            digits: 6,
            latest: MessageState {
                address: Some("{left}•••@e•••.org"),
                step: MessageStep::Technical,
            },
            earlier: None,
            remedy: Remedy::Resend,
            attempts_left: Some(2),
            wait: Some(Duration::from_millis(29_001)),
        };
        let words = Vocabulary::built_in("en");
        let english = |progress| explain(&words, Explanation::Pending(progress));
        assert_eq!(
            english(progress),
            "The last code you entered was not right. You have 2 attempts left. Because of a technical problem we \
             could not send the code to {left}•••@e•••.org. Ask for the code again, or choose another way. Please \
             wait 30 seconds before you try again."
        );
        let earlier = MessageState {
            address: Some("+31 6 •••• ••34"),
            step: MessageStep::Sent,
        };
        assert_eq!(
            english(Progress {
                earlier: Some(earlier),
                attempts_left: None,
                wait: None,
                ..progress
            }),
            "Because of a technical problem we could not send the code to {left}•••@e•••.org. We sent a code of 6 \
             digits to +31 6 •••• ••34. Nobody will ever ask you to tell it."
        );
    }
}
