//! Blame: whose fault it is that a sender did not accept a message, and what that says about the sender.

use std::fmt;

/// Whose fault it is that a sender did not accept a message. It decides who is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The sender refuses us: our login, name, address, reputation or rights. The next sender of the route is asked, and
    /// the operator has something to mend.
    Ours,
    /// The sender itself fails: no connection, an error of its own, or an answer that is none. The next sender of the
    /// route is asked, and this one again after a pause.
    Sender,
    /// The refusal does not say whether it is about us, the message or its recipient. The next sender of the route is
    /// asked.
    Unclear,
    /// The sender may accept the message later: it is busy, or defers this recipient. The next sender of the route is
    /// asked, and this one again after a pause.
    Later,
    /// The recipient cannot be reached: no sender can deliver the message, and none other is asked.
    Recipient,
}

impl Blame {
    /// All words, for series that must exist from the start.
    pub const ALL: [Self; 5] = [
        Self::Ours,
        Self::Sender,
        Self::Unclear,
        Self::Later,
        Self::Recipient,
    ];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Sender => "sender",
            Self::Unclear => "unclear",
            Self::Later => "later",
            Self::Recipient => "recipient",
        }
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much the sender knew of the message when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not yet whom it is for, or it did not matter: any message would have failed.
    BeforeRecipient,
    /// Whom it is for: the next message may be accepted.
    WithRecipient,
    /// It concerns this message alone, whatever the sender knew: its recipient was deferred, or it waited too long for
    /// others.
    Alone,
}

/// What the end of a hand-over says about the sender. Its breaker counts by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It works: it accepted the message.
    Works,
    /// It fails for every message.
    Fails,
    /// It refused this message; if it also refuses those for other recipients, it refuses all.
    Refuses,
    /// Nothing: the recipient was at fault, or the message had been refused before.
    Nothing,
}

impl Sign {
    /// What a failure says about the sender. Whoever starts a verification chooses its recipient, so a refusal that came
    /// after the recipient was known never counts alone.
    #[must_use]
    pub const fn of(blame: Blame, stage: Stage) -> Self {
        match (blame, stage) {
            (Blame::Recipient, Stage::BeforeRecipient | Stage::WithRecipient)
            | (_, Stage::Alone) => Self::Nothing,
            (
                Blame::Ours | Blame::Sender | Blame::Unclear | Blame::Later,
                Stage::BeforeRecipient,
            ) => Self::Fails,
            (Blame::Ours | Blame::Sender | Blame::Unclear | Blame::Later, Stage::WithRecipient) => {
                Self::Refuses
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn send_15_what_is_about_a_recipient_says_nothing_of_the_sender() {
        for stage in [Stage::BeforeRecipient, Stage::WithRecipient] {
            assert_eq!(Sign::of(Blame::Recipient, stage), Sign::Nothing);
        }
        for blame in Blame::ALL {
            assert_eq!(Sign::of(blame, Stage::Alone), Sign::Nothing);
        }
        for blame in Blame::ALL
            .into_iter()
            .filter(|blame| *blame != Blame::Recipient)
        {
            assert_eq!(
                Sign::of(blame, Stage::BeforeRecipient),
                Sign::Fails,
                "{blame}"
            );
            assert_eq!(
                Sign::of(blame, Stage::WithRecipient),
                Sign::Refuses,
                "{blame}"
            );
        }
    }

    #[test]
    fn send_16_blame_has_five_words() {
        let words = Blame::ALL.map(Blame::as_str);
        assert_eq!(words, ["ours", "sender", "unclear", "later", "recipient"]);
    }
}
