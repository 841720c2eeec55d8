//! Takes a press on the page that the link of a mail opens.

use crate::{
    domain::{
        code::link::{BrowserMark, LinkToken},
        decide::{Follow, Pressed, Verdict, follow},
        ids::AttemptId,
        refusal::Refusal,
    },
    service::{Service, failure::Failure, record::transact::Change},
};

/// What is said to whoever pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// It is done.
    Approved,
    /// It was not the browser that asked.
    OtherBrowser,
    /// There is no such link.
    Unknown,
    /// It came after the end.
    Over,
}

impl Service {
    /// Judges a press. A repeated press of one link gets the same answer.
    ///
    /// # Errors
    /// [`Failure`]; then nothing was approved, and unless the store is unavailable no attempt was taken.
    pub async fn follow(
        &self,
        token: LinkToken,
        browser: Option<BrowserMark>,
    ) -> Result<Press, Failure> {
        let key = token.verification.subject;
        let attempt = AttemptId::parse(&format!("link-{}", token.secret.expose()))
            .map_err(|_| Refusal::NotFound)?;
        let command = Follow {
            token,
            attempt,
            browser,
        };
        let pressed = self
            .change(Change::of(key), |record, cx| follow(record, &command, cx))
            .await;
        let press = match pressed {
            Ok((Pressed::OtherBrowser, _)) => Ok(Press::OtherBrowser),
            Ok((Pressed::Judged(verdict), _)) => Ok(match verdict {
                Verdict::Approved => Press::Approved,
                Verdict::Wrong { .. } | Verdict::AttemptsExhausted => Press::Unknown,
                Verdict::Expired | Verdict::Closed => Press::Over,
            }),
            Err(Failure::Refused(Refusal::NotFound | Refusal::EntryModeNotPermitted { .. })) => {
                Ok(Press::Unknown)
            }
            Err(Failure::Refused(Refusal::Closed | Refusal::StartAgain)) => Ok(Press::Over),
            Err(failure) => Err(failure),
        };
        let outcome = match press {
            Ok(Press::Approved) => "approved",
            Ok(Press::OtherBrowser) => "other_browser",
            Ok(Press::Unknown) => "unknown",
            Ok(Press::Over) => "over",
            Err(_) => "failed",
        };
        metrics::counter!("countersign_link_presses_total", "outcome" => outcome).increment(1);
        press
    }
}
