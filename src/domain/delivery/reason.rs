//! Why a message was not accepted or did not arrive: one list of the words that callers, logs and the store share.

use std::fmt;

/// Longest word outside the list, in bytes: the bound of a plug-in's own word.
const OTHER_BYTES_MAX: usize = 64;
/// Longest word of a hook, in bytes.
const HOOK_WORD_BYTES_MAX: usize = 32;
/// Longest code of a provider, in bytes.
const PROVIDER_CODE_BYTES_MAX: usize = 40;
/// A longer run of digits may be part of an address; no provider has error codes of that length.
const DIGITS_MAX: usize = 6;
/// What stands before the word of a hook.
const HOOK_DENIED_FOR: &str = "hook_denied:";

/// Makes the list: each reason with its word. Callers and stored records know the words, so none of them ever changes.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $reason:ident = $word:literal,)+) => {
        /// Why a message was not accepted or did not arrive.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Reason {
            $($(#[doc = $doc])+ $reason,)+
            /// The operator's hook denied the message and said why, as in `hook_denied:sim_swap`. Whoever runs the hook knows
            /// what its word means.
            HookDeniedFor(HookDenial),
            /// A word outside the list: the code of a provider, the word of a plug-in, or a word of another version of the
            /// service. Its meaning is in the documentation of whoever gave it.
            Other(OtherReason),
        }

        impl Reason {
            /// All reasons of the list.
            pub const LISTED: &'static [Self] = &[$(Self::$reason,)+];

            /// The word in `Delivery.failure`, logs, events and stored records.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$reason => $word,)+
                    Self::HookDeniedFor(denial) => &denial.0,
                    Self::Other(other) => &other.0,
                }
            }

            fn listed(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$reason),)+
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    // What the service itself decides.
    /// No sender accepted the message in 8 hand-overs. The log has the reason of each; the operator adds a sender to the
    /// route, or mends one.
    TooManyTries = "too_many_tries",
    /// The verification does not have the recipient that the delivery names. A defect: report it.
    NoRecipient = "no_recipient",
    /// The route has no sender that may accept the message (any more). The operator looks at `[routes]`.
    NoSender = "no_sender",
    /// No sender of the route carries this kind of address, such as a push address of another service. The operator adds one.
    WrongAddressKind = "wrong_address_kind",
    /// The verification ended before the message was sent. Nobody has to act.
    VerificationClosed = "verification_closed",
    /// The master key of the verification is not in the ring. The operator puts it back.
    KeyNotInRing = "key_not_in_ring",
    /// A step of a plan came after codes had been disabled for the subject. The caller verifies by other means.
    MethodDisabled = "method_disabled",
    /// A step of a plan was refused by a quota or a spend budget. The operator looks at the limits if it happens often.
    QuotaExceeded = "quota_exceeded",
    /// A step of a plan was refused by the guard against SMS pumping. The operator looks for an attack.
    GuardRefused = "guard_refused",
    /// The operator's hook denied the message and did not say why.
    HookDenied = "hook_denied",
    /// The operator's hook gave no answer, and `hook.default` is `deny`. The operator mends the hook.
    HookFailed = "hook_failed",
    /// The sender gave no answer before the deadline of the hand-over; it may have accepted the message. The operator asks the
    /// provider if it happens often.
    Deadline = "deadline",

    // The connection to a provider.
    /// There was no connection to the provider, or what answered does not follow the protocol. The operator checks the network.
    Unreachable = "unreachable",
    /// The connection was lost after the message was given over; the provider may have accepted it.
    ConnectionLost = "connection_lost",
    /// The provider did not answer in time; it may have accepted the message.
    Timeout = "timeout",
    /// The sender has been shut down: the process is stopping. Another process goes on.
    Closed = "closed",
    /// The name of the provider's host has no address. The operator checks the setting and the name server.
    NameUnresolved = "name_unresolved",
    /// TLS failed: the certificate is not for this host, has expired, or is of an unknown CA. The operator checks `ca_file`.
    TlsFailed = "tls_failed",
    /// The host leads into an inner network that `allow_hosts` does not name. The operator adds it, if it is meant.
    AddressRefused = "address_refused",
    /// The provider answered with a redirection, which is never followed. The operator corrects the URL.
    Redirected = "redirected",
    /// Standard output cannot be written to; only the sender `console` needs it.
    StdoutClosed = "stdout_closed",

    // The login at a provider.
    /// The provider refused our credentials, or they lack a right. The operator corrects them.
    LoginRefused = "login_refused",
    /// The credentials of a call could not be made. The operator checks the application's id and key.
    LoginFailed = "login_failed",
    /// The provider's login service is busy or down.
    LoginUnavailable = "login_unavailable",

    // The provider's answer.
    /// The provider is busy or down, or asked for a pause. In a receipt: the line of the called party is busy.
    Busy = "busy",
    /// The provider refused us, or refused this message because of us: our account, our originator, our rights. The operator
    /// looks at the provider's console.
    SenderRefused = "sender_refused",
    /// The provider refused the message because of its recipient, or did not say why. The customer checks the address.
    Refused = "refused",
    /// The recipient told the provider that they want no messages. The caller uses another channel.
    OptedOut = "opted_out",
    /// The app was removed from the device, or its address is out of date. The caller drops the address.
    Unregistered = "unregistered",
    /// The answer is not that of the provider: perhaps that of a proxy or a login page. The operator checks the URL.
    MalformedReply = "malformed_reply",
    /// The answer is longer than any of the provider's. The operator checks the URL.
    OversizedReply = "oversized_reply",
    /// The answer is a success that the settings do not know. The operator checks the URL and the sender's rules.
    UnknownAnswer = "unknown_answer",

    // A message that cannot be sent as it is.
    /// The sender does not carry this channel. The operator corrects `[routes]`.
    WrongChannel = "wrong_channel",
    /// The address cannot be written in the sender's protocol. The caller corrects it.
    BadAddress = "bad_address",
    /// The message cannot be written in the sender's protocol. The operator checks texts and templates.
    BadMessage = "bad_message",
    /// The message is larger than the provider accepts. The operator shortens the texts.
    OversizedMessage = "oversized_message",
    /// The text needs more parts than an SMS may have. The operator shortens the texts.
    TooLong = "too_long",
    /// The address is not a telephone number. The operator corrects `[routes]`.
    NotANumber = "not_a_number",
    /// The DKIM signature could not be made. The operator checks the key.
    NotSigned = "not_signed",
    /// A push message could not be encrypted for the browser. The caller has the browser subscribe again.
    EncryptionFailed = "encryption_failed",

    // What a receipt says if it gives no code: mostly the states of SMPP 3.4.
    /// The message expired at the provider: the device was off or out of reach.
    Expired = "expired",
    /// The provider deleted the message.
    Deleted = "deleted",
    /// The message cannot be delivered to this recipient.
    Undeliverable = "undeliv",
    /// The network of the recipient rejected the message.
    Rejected = "rejectd",
    /// The provider skipped the message.
    Skipped = "skipped",
    /// The provider gave no reason, or one that cannot be kept.
    NotSaid = "not_said",
}

/// The word `hook_denied:` with that of the hook behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookDenial(String);

/// A word outside the list, at most 64 bytes long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherReason(String);

impl Reason {
    /// The reason with this word. A word outside the list is kept as [`Reason::Other`], cut to 64 bytes, so that records of
    /// every version can be read.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        let is_denial = word
            .strip_prefix(HOOK_DENIED_FOR)
            .is_some_and(is_word_of_a_hook);
        if is_denial {
            return Self::HookDeniedFor(HookDenial(word.to_owned()));
        }
        Self::listed(word).unwrap_or_else(|| {
            let end = word.floor_char_boundary(OTHER_BYTES_MAX);
            Self::Other(OtherReason(word[..end].to_owned()))
        })
    }

    /// The reason of a receipt with this code of the provider: one short word in lower case, which cannot hold an address.
    /// [`Reason::NotSaid`] if it is not such a word.
    #[must_use]
    pub fn from_provider(code: &str) -> Self {
        let word = code.to_ascii_lowercase();
        let fits = (1..=PROVIDER_CODE_BYTES_MAX).contains(&word.len())
            && word.bytes().all(|b| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || matches!(b, b'_' | b'-' | b'.' | b':')
            })
            && word
                .split(|c: char| !c.is_ascii_digit())
                .all(|digits| digits.len() <= DIGITS_MAX);
        if fits {
            Self::from_word(&word)
        } else {
            Self::NotSaid
        }
    }

    /// The reason of a message that the hook denied, with the hook's own word if it may be stored and logged: at most 32
    /// of `a-z` and `_`.
    #[must_use]
    pub fn from_hook(word: &str) -> Self {
        if is_word_of_a_hook(word) {
            Self::HookDeniedFor(HookDenial(format!("{HOOK_DENIED_FOR}{word}")))
        } else {
            Self::HookDenied
        }
    }
}

fn is_word_of_a_hook(word: &str) -> bool {
    (1..=HOOK_WORD_BYTES_MAX).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGE: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/guide/troubleshooting.md"
    ));

    #[test]
    fn the_guide_has_a_row_for_every_reason_and_for_nothing_else() {
        let (_, tables) = PAGE.split_once("\n## Why a message failed\n").unwrap();
        let tables = tables.split("\n## ").next().unwrap();
        let mut rows: Vec<_> = tables
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('|').next())
            .flat_map(|words| words.split(", "))
            .map(|word| word.trim().trim_matches('`'))
            .collect();
        rows.sort_unstable();
        let mut words: Vec<_> = Reason::LISTED.iter().map(Reason::as_str).collect();
        words.push("hook_denied:WORD");
        words.sort_unstable();
        assert_eq!(rows, words);
    }

    #[test]
    fn every_reason_is_read_back_from_its_word() {
        let words: BTreeSet<_> = Reason::LISTED.iter().map(Reason::as_str).collect();
        assert_eq!(words.len(), Reason::LISTED.len(), "no two share a word");
        for reason in Reason::LISTED {
            assert_eq!(&Reason::from_word(reason.as_str()), reason);
            assert_eq!(reason.to_string(), reason.as_str());
        }
        let denied = Reason::from_hook("sim_swap");
        assert_eq!(denied.as_str(), "hook_denied:sim_swap");
        assert_eq!(Reason::from_word("hook_denied:sim_swap"), denied);
    }

    #[test]
    fn a_word_outside_the_list_is_kept_as_it_is_up_to_its_bound() {
        let longest = "x".repeat(OTHER_BYTES_MAX);
        for word in ["30003", "a_word_of_2030", "", "hook_denied:", &longest] {
            let reason = Reason::from_word(word);
            assert!(matches!(reason, Reason::Other(_)), "{word}");
            assert_eq!(reason.as_str(), word);
        }
        let cut = Reason::from_word(&format!("{}é and more", &longest[1..]));
        assert_eq!(cut.as_str(), &longest[1..], "not within a character");
        let digits = Reason::from_word("hook_denied:123");
        assert!(matches!(digits, Reason::Other(_)), "no word of a hook");
    }

    #[test]
    fn only_a_short_word_of_a_hook_is_kept() {
        for word in ["", "+31612345678", "Swap", "a b", &"x".repeat(33)] {
            assert_eq!(Reason::from_hook(word), Reason::HookDenied, "{word}");
        }
    }

    #[test]
    fn a_reason_is_one_short_word_and_never_an_address() {
        for (said, kept) in [
            ("30003", "30003"),
            ("Rejected_By_Carrier", "rejected_by_carrier"),
            ("131026", "131026"),
        ] {
            assert_eq!(Reason::from_provider(said).as_str(), kept);
        }
        assert_eq!(Reason::from_provider("EXPIRED"), Reason::Expired);
        for said in [
            "",
            "no such user",
            "a@example.org",
            "+31612345678",
            "31612345678",
            "err:1234567",
            &"x".repeat(41),
            "é",
        ] {
            assert_eq!(Reason::from_provider(said), Reason::NotSaid, "{said}");
        }
    }
}
