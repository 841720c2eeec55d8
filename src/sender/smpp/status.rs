//! Decides what to do after a message centre has refused something.

use std::time::Duration;

use rusmpp::CommandStatus;

use crate::{
    domain::delivery::{blame::Stage, reason::Reason},
    ports::sender::SendError,
};

/// How long to wait before the same message centre is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What to do after a refused login.
pub(super) fn judge_bind(status: CommandStatus) -> SendError {
    match status {
        CommandStatus::EsmeRbindfail
        | CommandStatus::EsmeRinvpaswd
        | CommandStatus::EsmeRinvsysid
        | CommandStatus::EsmeRinvsystyp
        | CommandStatus::EsmeRprohibited => SendError::login_refused(RETRY_AFTER),
        // Also "already bound": the message centre has not noticed yet that the last session ended.
        _ => retry(Reason::Busy),
    }
}

/// What to do after a refused message.
pub(super) fn judge(status: CommandStatus) -> SendError {
    match status {
        CommandStatus::EsmeRinvbndsts => retry(Reason::Busy),
        // Message centres report a full queue for one recipient, and some a system error for a number that they
        // cannot route.
        CommandStatus::EsmeRsyserr | CommandStatus::EsmeRsubmitfail => {
            retry(Reason::Busy).at(Stage::WithRecipient)
        }
        CommandStatus::EsmeRthrottled
        | CommandStatus::EsmeRmsgqful
        | CommandStatus::EsmeRxTAppn => SendError::later(RETRY_AFTER, Reason::Busy),
        CommandStatus::EsmeRinvsrcadr
        | CommandStatus::EsmeRinvsrcton
        | CommandStatus::EsmeRinvsrcnpi
        | CommandStatus::EsmeRinvdstton
        | CommandStatus::EsmeRinvdstnpi
        | CommandStatus::EsmeRprohibited
        | CommandStatus::EsmeRinvsertyp
        | CommandStatus::EsmeRsertypunauth
        | CommandStatus::EsmeRsertypunavail
        | CommandStatus::EsmeRsertypdenied => SendError::ours(Reason::SenderRefused),
        CommandStatus::EsmeRinvdstadr => SendError::about_recipient(Reason::Refused),
        // Something is wrong with this message; only the provider knows what.
        _ => unfit(Reason::Refused),
    }
}

pub(super) fn retry(reason: Reason) -> SendError {
    SendError::failing(RETRY_AFTER, reason)
}

/// The message centre may have accepted the message before it stopped answering.
pub(super) fn unknown(reason: Reason) -> SendError {
    SendError::unanswered(RETRY_AFTER, reason)
}

pub(super) fn next_sender(reason: Reason) -> SendError {
    SendError::broken(reason)
}

pub(super) fn unfit(reason: Reason) -> SendError {
    SendError::unclear(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn send_16_a_refusal_says_who_is_to_blame() {
        let later = SendError::later(RETRY_AFTER, Reason::Busy);
        let ours = SendError::ours(Reason::SenderRefused);
        for (status, expected) in [
            (0x58, later.clone()),
            (0x08, retry(Reason::Busy).at(Stage::WithRecipient)),
            (0x14, later),
            (0x0a, ours.clone()),
            (0x0b, SendError::about_recipient(Reason::Refused)),
            (0x50, ours.clone()),
            (0x101, ours),
            (0x01, unfit(Reason::Refused)),
            // A status code of the provider's own.
            (0x0400, unfit(Reason::Refused)),
        ] {
            assert_eq!(judge(CommandStatus::from(status)), expected, "{status:#x}");
        }
        for (status, expected) in [
            (0x0e, SendError::login_refused(RETRY_AFTER)),
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
