//! The numbers of an action and of a subject, each with its unit, its default and its ceiling.

use std::time::Duration;

use crate::domain::{
    code::{CodeLength, guess::Separators},
    delivery::plan::Step,
    recipient::Channel,
};

/// Ten minutes: the longest life NIST SP 800-63B-4 §3.1.3.2 gives an out-of-band code.
pub const CODE_LIFETIME_MAX: Duration = Duration::from_secs(600);
/// Shorter codes would die on the way.
pub const CODE_LIFETIME_MIN: Duration = Duration::from_secs(30);
/// Guesses per verification (RTS Article 4(3)(b)).
pub const ATTEMPTS_MAX: u8 = 5;
/// Sends per verification; as many deliveries are kept.
pub const SENDS_MAX: u8 = 4;
/// Longest pause between sends.
pub const RESEND_COOLDOWN_MAX: Duration = Duration::from_secs(300);
/// Failures in a row after which even an unlocked subject stays disabled (NIST SP 800-63B-4 §3.2.2).
pub const FAILURES_CAP: u32 = 100;
/// The most that the failure limit of one origin may be set to: both origins together stay within the cap.
pub const FAILURE_LIMIT_MAX: u32 = FAILURES_CAP / 2;
/// Longest memory of a closed verification.
pub const CLOSED_RETENTION_MAX: Duration = Duration::from_secs(24 * 3600);
/// A closed verification is remembered at least this long after its code would have died.
pub const CLOSED_MARGIN: Duration = Duration::from_secs(600);
/// The sweep closes an expired verification this long after its expiry, when both clocks agree on it.
pub const EXPIRY_GRACE: Duration = Duration::from_secs(2);
/// Live verifications of a subject whose starts were vouched for.
pub const LIVE_VOUCHED_MAX: usize = 3;
/// Live verifications of a subject that anybody could start.
pub const LIVE_ANONYMOUS_MAX: usize = 1;
/// Closed verifications that a record remembers.
pub const CLOSED_MAX: usize = 16;
/// How many of them may be what anybody could start, so that a stranger cannot fill the record.
pub const CLOSED_ANONYMOUS_MAX: usize = CLOSED_MAX / 2;
/// The shortest wait of a step of a channel plan.
pub const STEP_WAIT_MIN: Duration = Duration::from_secs(5);
/// The longest.
pub const STEP_WAIT_MAX: Duration = Duration::from_secs(300);
/// Recipients of one verification.
pub const RECIPIENTS_MAX: usize = 4;

/// From this verification without success on, the wait between guesses rises.
pub const WAIT_FROM_VERIFICATION: u32 = 3;
/// The first of the rising waits.
pub const WAIT_FIRST: Duration = Duration::from_secs(30);
/// The longest of the rising waits.
pub const WAIT_MAX: Duration = Duration::from_secs(3600);
/// What a change of the store's generation costs: the guesses that may have been lost with it, at the
/// attempt rate's burst of 5 and half a guess a second over 10 s of lag.
pub const GENERATION_PENALTY: u32 = 10;
/// For so long after a store forgot what it held, the counts of new records begin half spent.
pub const FORGOTTEN_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// Who could have started a verification. Limits are kept once for each, so that a stranger who uses up
/// the one cannot lock the customer out of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Anybody: the start came without prior authentication.
    Anonymous,
    /// Somebody who was authenticated before, or an agent.
    Vouched,
}

/// The rules that a verification copies when it starts, so that no later change of the settings reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Digits of the code.
    pub code_length: CodeLength,
    /// Life of the code, from the start.
    pub code_lifetime: Duration,
    /// Guesses.
    pub attempts: u8,
    /// Sends, the first included.
    pub sends: u8,
    /// Pause between sends.
    pub resend_cooldown: Duration,
    /// Separators that may be typed.
    pub separators: Separators,
    /// Where the answer may be given.
    pub entry_modes: Vec<EntryMode>,
    /// Channels that may carry the code, best first.
    pub channels: Vec<Channel>,
    /// The roads that the code takes by itself, one after the other. Empty: the first, and no other.
    pub plan: Vec<Step>,
}

/// The rules that hold for a subject, whatever the action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRules {
    /// Failures in a row, per origin, after which codes are disabled.
    pub failure_limit: u32,
    /// How long a closed verification is remembered.
    pub closed_retention: Duration,
    /// How long the events of a subject can be read after the last one.
    pub event_retention: Duration,
}

/// Where the answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryMode {
    /// A page of the customer portal.
    Portal,
    /// Telephone keys.
    IvrKeypad,
    /// The customer's app.
    App,
    /// A press on the page that the link of a mail opens.
    Link,
}

impl EntryMode {
    /// All of them.
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

    /// The name in the API.
    #[must_use]
    pub const fn api_name(self) -> &'static str {
        match self {
            Self::Portal => "ENTRY_MODE_PORTAL",
            Self::IvrKeypad => "ENTRY_MODE_IVR_KEYPAD",
            Self::App => "ENTRY_MODE_APP",
            Self::Link => "ENTRY_MODE_LINK",
        }
    }

    /// The entry mode of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}
