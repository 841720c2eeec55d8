//! Decides what to do after a message centre has refused something.

use std::time::Duration;

use rusmpp::CommandStatus;

use crate::ports::sender::SendError;

/// How long to wait before the same message centre is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What to do after a refused login.
pub(super) fn judge_bind(status: CommandStatus) -> SendError {
    match status {
        CommandStatus::EsmeRbindfail
        | CommandStatus::EsmeRinvpaswd
        | CommandStatus::EsmeRinvsysid
        | CommandStatus::EsmeRinvsystyp
        | CommandStatus::EsmeRprohibited => next_sender("login_refused"),
        // Also "already bound": the message centre has not noticed yet that the last session ended.
        _ => retry("busy"),
    }
}

/// What to do after a refused message.
pub(super) fn judge(status: CommandStatus) -> SendError {
    match status {
        CommandStatus::EsmeRthrottled
        | CommandStatus::EsmeRsyserr
        | CommandStatus::EsmeRxTAppn
        | CommandStatus::EsmeRsubmitfail
        | CommandStatus::EsmeRinvbndsts => retry("busy"),
        // Most message centres use it for the queue of one recipient.
        CommandStatus::EsmeRmsgqful => SendError::Deferred {
            after: RETRY_AFTER,
            reason: "busy".to_owned(),
        },
        CommandStatus::EsmeRinvsrcadr
        | CommandStatus::EsmeRinvsrcton
        | CommandStatus::EsmeRinvsrcnpi => unfit("sender_refused"),
        CommandStatus::EsmeRprohibited
        | CommandStatus::EsmeRinvsertyp
        | CommandStatus::EsmeRsertypunauth
        | CommandStatus::EsmeRsertypunavail
        | CommandStatus::EsmeRsertypdenied => next_sender("sender_refused"),
        CommandStatus::EsmeRinvdstadr => SendError::GiveUp {
            reason: "refused".to_owned(),
        },
        // Something is wrong with this message; only the provider knows what.
        _ => unfit("refused"),
    }
}

pub(super) fn retry(reason: &str) -> SendError {
    SendError::Retry {
        after: RETRY_AFTER,
        reason: reason.to_owned(),
    }
}

/// The message centre may have accepted the message before it stopped answering.
pub(super) fn unknown(reason: &str) -> SendError {
    SendError::Unknown {
        after: RETRY_AFTER,
        reason: reason.to_owned(),
    }
}

pub(super) fn next_sender(reason: &str) -> SendError {
    SendError::NextSender {
        reason: reason.to_owned(),
    }
}

pub(super) fn unfit(reason: &str) -> SendError {
    SendError::Unfit {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_is_next_and_who_is_to_blame() {
        let busy = |after| SendError::Deferred {
            after,
            reason: "busy".to_owned(),
        };
        for (status, expected) in [
            (0x58, retry("busy")),
            (0x08, retry("busy")),
            (0x14, busy(RETRY_AFTER)),
            (0x0a, unfit("sender_refused")),
            (
                0x0b,
                SendError::GiveUp {
                    reason: "refused".to_owned(),
                },
            ),
            (0x101, next_sender("sender_refused")),
            (0x01, unfit("refused")),
            // A number of the provider's own.
            (0x0400, unfit("refused")),
        ] {
            assert_eq!(judge(CommandStatus::from(status)), expected, "{status:#x}");
        }
        for (status, expected) in [
            (0x0e, next_sender("login_refused")),
            (0x05, retry("busy")),
            (0x58, retry("busy")),
        ] {
            assert_eq!(
                judge_bind(CommandStatus::from(status)),
                expected,
                "{status:#x}"
            );
        }
    }
}
