//! The page that an e-mail's link opens: what it shows, and what a press of its button does.

use crate::{
    domain::{
        code::link::{BrowserMark, LinkToken},
        decide::{Follow, Looked, Pressed, Verdict, follow, look},
        ids::{AttemptId, Locale, TenantId},
        refusal::Refusal,
        verification::Verification,
    },
    message::Reader,
    service::{Service, failure::Failure, record::transact::Change},
};

pub use crate::message::{Page, PageSentence, Summary};

/// What a link leads to, before its button is pressed.
#[derive(Clone, Debug)]
pub struct Visit {
    /// What the page can do.
    pub state: VisitState,
    /// The tenant and the language of the customer; `None` if the link is unknown.
    customer: Option<(TenantId, Option<Locale>)>,
}

/// What the page of a link can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VisitState {
    /// It can show what is confirmed, and the button.
    Ready(Summary),
    /// It is another browser than the one that asked.
    OtherBrowser,
    /// The link is unknown, or its secret is wrong.
    Unknown,
    /// The verification has ended.
    Over,
}

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
    /// Looks at what a link leads to. Changes nothing. `accepted` is the browser's header `Accept-Language`.
    ///
    /// # Errors
    /// [`Failure`] if the record cannot be read.
    pub async fn visit(
        &self,
        token: &LinkToken,
        browser: Option<BrowserMark>,
        accepted: &str,
    ) -> Result<Visit, Failure> {
        let loaded = self.records.read(&token.verification.subject).await?;
        let cx = self.records.context(&loaded);
        let customer = |verification: &Verification| {
            Some((verification.tenant.clone(), verification.locale.clone()))
        };
        let visit = match look(loaded.record.as_ref(), token, browser, &cx) {
            Looked::Ready(verification, pending) => {
                let customer = customer(verification);
                let page = self.courier.page(reader(customer.as_ref(), accepted));
                let summary = page.summary(&verification.action, &pending.binding);
                Visit {
                    state: VisitState::Ready(summary),
                    customer,
                }
            }
            Looked::OtherBrowser(verification) => Visit {
                state: VisitState::OtherBrowser,
                customer: customer(verification),
            },
            Looked::Over(verification) => Visit {
                state: VisitState::Over,
                customer: customer(verification),
            },
            Looked::Unknown => Visit {
                state: VisitState::Unknown,
                customer: None,
            },
        };
        Ok(visit)
    }

    /// The texts of the page in the language of the customer, or of the browser while the customer is unknown.
    #[must_use]
    pub fn page<'a>(&'a self, visit: Option<&'a Visit>, accepted: &'a str) -> Page<'a> {
        let customer = visit.and_then(|visit| visit.customer.as_ref());
        self.courier.page(reader(customer, accepted))
    }

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

fn reader<'a>(customer: Option<&'a (TenantId, Option<Locale>)>, accepted: &'a str) -> Reader<'a> {
    Reader {
        tenant: customer.map(|(tenant, _)| tenant),
        locale: customer.and_then(|(_, locale)| locale.as_ref()),
        accepted,
    }
}
