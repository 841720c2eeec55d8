//! Handles a press of the button on the page that an e-mail's link opens.

use crate::{
    domain::{
        code::link::{BrowserMark, LinkToken},
        decide::{Follow, Pressed, Verdict, follow},
        ids::AttemptId,
        refusal::Refusal,
    },
    service::{Service, failure::Failure, record::transact::Change},
};

/// The result that the page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// The verification is approved.
    Approved,
    /// It was another browser than the one that asked.
    OtherBrowser,
    /// The link is unknown, or its secret is wrong.
    Unknown,
    /// It came after the verification had ended.
    Over,
}

impl Service {
    /// Judges a press. Pressing the button of one link again gets the same answer.
    ///
    /// # Errors
    /// [`Failure`]; then nothing was approved, and no attempt was used up unless
    /// the store is unavailable.
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
