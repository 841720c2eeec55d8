//! Decides what to do after a message centre has refused something.

use std::time::Duration;

use rusmpp::CommandStatus;

use crate::{domain::delivery::reason::Reason, ports::sender::SendError};

/// How long to wait before the same message centre is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What to do after a refused login.
pub(super) fn judge_bind(status: CommandStatus) -> SendError {
    match status {
        CommandStatus::EsmeRbindfail
        | CommandStatus::EsmeRinvpaswd
        | CommandStatus::EsmeRinvsysid
        | CommandStatus::EsmeRinvsystyp
        | CommandStatus::EsmeRprohibited => next_sender(Reason::LoginRefused),
        // Also "already bound": the message centre has not noticed yet that the last session ended.
        _ => retry(Reason::Busy),
    }
}

/// What to do after a refused message.
pub(super) fn judge(status: CommandStatus) -> SendError {
    match status {
        CommandStatus::EsmeRthrottled
        | CommandStatus::EsmeRsyserr
        | CommandStatus::EsmeRxTAppn
        | CommandStatus::EsmeRsubmitfail
        | CommandStatus::EsmeRinvbndsts => retry(Reason::Busy),
        // Most message centres report it for the queue of one recipient.
        CommandStatus::EsmeRmsgqful => SendError::Deferred {
            after: RETRY_AFTER,
            reason: Reason::Busy,
        },
        CommandStatus::EsmeRinvsrcadr
        | CommandStatus::EsmeRinvsrcton
        | CommandStatus::EsmeRinvsrcnpi => unfit(Reason::SenderRefused),
        CommandStatus::EsmeRprohibited
        | CommandStatus::EsmeRinvsertyp
        | CommandStatus::EsmeRsertypunauth
        | CommandStatus::EsmeRsertypunavail
        | CommandStatus::EsmeRsertypdenied => next_sender(Reason::SenderRefused),
        CommandStatus::EsmeRinvdstadr => SendError::GiveUp {
            reason: Reason::Refused,
        },
        // Something is wrong with this message; only the provider knows what.
        _ => unfit(Reason::Refused),
    }
}

pub(super) fn retry(reason: Reason) -> SendError {
    SendError::Retry {
        after: RETRY_AFTER,
        reason,
    }
}

/// The message centre may have accepted the message before it stopped answering.
pub(super) fn unknown(reason: Reason) -> SendError {
    SendError::Unknown {
        after: RETRY_AFTER,
        reason,
    }
}

pub(super) fn next_sender(reason: Reason) -> SendError {
    SendError::NextSender { reason }
}

pub(super) fn unfit(reason: Reason) -> SendError {
    SendError::Unfit { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_is_next_and_who_is_to_blame() {
        let busy = |after| SendError::Deferred {
            after,
            reason: Reason::Busy,
        };
        for (status, expected) in [
            (0x58, retry(Reason::Busy)),
            (0x08, retry(Reason::Busy)),
            (0x14, busy(RETRY_AFTER)),
            (0x0a, unfit(Reason::SenderRefused)),
            (
                0x0b,
                SendError::GiveUp {
                    reason: Reason::Refused,
                },
            ),
            (0x101, next_sender(Reason::SenderRefused)),
            (0x01, unfit(Reason::Refused)),
            // A status code of the provider's own.
            (0x0400, unfit(Reason::Refused)),
        ] {
            assert_eq!(judge(CommandStatus::from(status)), expected, "{status:#x}");
        }
        for (status, expected) in [
            (0x0e, next_sender(Reason::LoginRefused)),
            (0x05, retry(Reason::Busy)),
            (0x58, retry(Reason::Busy)),
        ] {
            assert_eq!(
                judge_bind(CommandStatus::from(status)),
                expected,
                "{status:#x}"
            );
        }
    }
}
