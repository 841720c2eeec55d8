//! The limits of actions and subjects, with their bounds.

use std::time::Duration;

use crate::domain::{
    code::{CodeLength, guess::Separators},
    delivery::plan::Step,
    recipient::Channel,
};

/// Longest life of a code. Ten minutes: the most that NIST SP 800-63B-4 §3.1.3.2 allows an out-of-band code.
pub const CODE_LIFETIME_MAX: Duration = Duration::from_secs(600);
/// Shortest life of a code: a shorter one would expire before the message arrives.
pub const CODE_LIFETIME_MIN: Duration = Duration::from_secs(30);
/// Most guesses per verification (PSD2 RTS Article 4(3)(b)).
pub const ATTEMPTS_MAX: u8 = 5;
/// Most messages per verification; a record keeps as many deliveries.
pub const SENDS_MAX: u8 = 4;
/// Longest pause between two messages.
pub const RESEND_COOLDOWN_MAX: Duration = Duration::from_secs(300);
/// Consecutive failures after which a subject stays disabled even after an unlock (NIST SP 800-63B-4 §3.2.2).
pub const FAILURES_CAP: u32 = 100;
/// Highest failure limit of one origin, so that both origins together stay within the cap.
pub const FAILURE_LIMIT_MAX: u32 = FAILURES_CAP / 2;
/// Longest retention of a closed verification.
pub const CLOSED_RETENTION_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long a closed verification is kept at least after its code would have expired.
pub const CLOSED_MARGIN: Duration = Duration::from_secs(600);
/// How long after the expiry the sweep closes a verification: both clocks then agree on it.
pub const EXPIRY_GRACE: Duration = Duration::from_secs(2);
/// Most live verifications per subject whose starts were vouched for.
pub const LIVE_VOUCHED_MAX: usize = 3;
/// Most live verifications per subject that anybody could start.
pub const LIVE_ANONYMOUS_MAX: usize = 3;
/// Most live verifications per subject that anybody could start from one network, so that one stranger does not take
/// all places.
pub const LIVE_PER_NETWORK_MAX: usize = 1;
/// Most bytes of addresses and binding values in the live verifications of a subject that anybody could start. One of
/// them may have all of it, as much as its fields allow; so a stranger cannot fill the record.
pub const LIVE_ANONYMOUS_BYTES_MAX: usize = 8 * 1024;
/// A start with no more bytes of addresses and binding values than this needs none of those: long starts of strangers
/// leave the other places to customers.
pub const LIVE_ANONYMOUS_BYTES_USUAL: usize = 1024;
/// Most verifications in a record, live and closed together. Closed ones are kept to answer repeated calls.
pub const REMEMBERED_MAX: usize = 16;
/// Most verifications in a record that anybody could start, live and closed together, so that a
/// stranger cannot fill it.
pub const REMEMBERED_ANONYMOUS_MAX: usize = REMEMBERED_MAX / 2;
/// Shortest wait of a step of a channel plan.
pub const STEP_WAIT_MIN: Duration = Duration::from_secs(5);
/// Longest wait of a step of a channel plan.
pub const STEP_WAIT_MAX: Duration = Duration::from_secs(300);
/// Most recipients of a verification.
pub const RECIPIENTS_MAX: usize = 4;

/// The wait between guesses rises from this failed verification on.
pub const WAIT_FROM_VERIFICATION: u32 = 3;
/// First of the rising waits.
pub const WAIT_FIRST: Duration = Duration::from_secs(30);
/// Longest of the rising waits.
pub const WAIT_MAX: Duration = Duration::from_secs(3600);
/// Failures charged when the store's generation changes: the guesses that may have been lost, at the attempt
/// rate's burst of 5 and half a guess a second over 10 s of lag.
pub const GENERATION_PENALTY: u32 = 10;
/// How long after a store lost its data the failure counts of new records start at half of their limit.
pub const FORGOTTEN_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// Who could have started a verification. Each origin has limits of its own, so that a stranger who uses up
/// one of them cannot lock the customer out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// Anybody: the subject was not authenticated before the start.
    Anonymous,
    /// A subject who was authenticated before, or an agent.
    Vouched,
}

/// The limits of an action. A verification copies them at its start, so a later change of the settings
/// does not reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The length of the code.
    pub code_length: CodeLength,
    /// The life of the code, from the start.
    pub code_lifetime: Duration,
    /// Guesses allowed, at most [`ATTEMPTS_MAX`].
    pub attempts: u8,
    /// Messages allowed, including the first; at most [`SENDS_MAX`].
    pub sends: u8,
    /// The shortest time between two messages.
    pub resend_cooldown: Duration,
    /// The separators that a guess may contain.
    pub separators: Separators,
    /// The entry modes in which the answer may be given.
    pub entry_modes: Vec<EntryMode>,
    /// Channels that may carry the code, best first.
    pub channels: Vec<Channel>,
    /// The channels that are tried one after the other. Empty: only the first of `channels`.
    pub plan: Vec<Step>,
}

/// The rules of a subject's record, the same for every action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRules {
    /// Consecutive failures per origin after which codes are disabled.
    pub failure_limit: u32,
    /// How long a closed verification is kept.
    pub closed_retention: Duration,
    /// How long the events of a subject stay readable after the last one.
    pub event_retention: Duration,
}

/// The place where the answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryMode {
    /// A page of the customer portal.
    Portal,
    /// The keypad of a telephone, to an automated menu (IVR).
    IvrKeypad,
    /// The organisation's app on the customer's device.
    App,
    /// The button on the page that an e-mail's link opens.
    Link,
}

impl EntryMode {
    /// All entry modes, in the order of the API.
    pub const ALL: [Self; 4] = [Self::Portal, Self::IvrKeypad, Self::App, Self::Link];

    /// The name used in settings and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Portal => "portal",
            Self::IvrKeypad => "ivr_keypad",
            Self::App => "app",
            Self::Link => "link",
        }
    }

    /// The name of its value in the API.
    #[must_use]
    pub const fn api_name(self) -> &'static str {
        match self {
            Self::Portal => "ENTRY_MODE_PORTAL",
            Self::IvrKeypad => "ENTRY_MODE_IVR_KEYPAD",
            Self::App => "ENTRY_MODE_APP",
            Self::Link => "ENTRY_MODE_LINK",
        }
    }

    /// The entry mode with that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}
