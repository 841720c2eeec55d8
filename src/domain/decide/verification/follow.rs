//! Judges a press of the button on the page that an e-mail's link opens.

use super::{
    given::{Asked, Given},
    judge::{Verdict, judge},
};
use crate::domain::{
    code::link::{BrowserMark, LinkToken},
    decide::{Context, Decision, Target},
    ids::AttemptId,
    record::subject::SubjectRecord,
    refusal::Refusal,
};

/// The command to judge a press of the button on the link's page.
#[derive(Clone, Debug)]
pub struct Follow {
    /// The token in the link's fragment: verification and secret.
    pub token: LinkToken,
    /// The same for every press of one link, so that pressing again is harmless.
    pub attempt: AttemptId,
    /// The browser in which it was pressed; `None` if it has no cookie.
    pub browser: Option<BrowserMark>,
}

/// The result of a press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressed {
    /// It was judged like a guess of the code.
    Judged(Verdict),
    /// It was another browser than the one that asked. No attempt is counted, because anybody who
    /// reads the mail may open its links.
    OtherBrowser,
}

/// Decides [`Follow`]. The answer counts as if the caller that started the
/// verification had given it.
#[must_use]
pub fn follow(
    record: Option<SubjectRecord>,
    command: &Follow,
    cx: &Context<'_>,
) -> Decision<Pressed> {
    let id = command.token.verification;
    let found = record.as_ref().and_then(|record| record.find(&id));
    let Some(verification) = found else {
        return Decision::refuse(Refusal::NotFound);
    };
    // After the end the browser does not matter: nothing can be approved any more.
    if let Some(pending) = verification.live(cx.now) {
        if verification.link(cx.keyring).is_none() {
            return Decision::refuse(Refusal::NotFound);
        }
        if pending.browser.is_none() || pending.browser != command.browser {
            return Decision::same(Ok(Pressed::OtherBrowser));
        }
    }
    let target = Target {
        tenant: verification.tenant.clone(),
        caller: verification.caller.clone(),
        id,
    };
    let given = Given::Link {
        secret: &command.token.secret,
    };
    let Decision {
        next,
        events,
        outgoing,
        reply,
    } = judge(
        record,
        &Asked {
            target: &target,
            attempt: &command.attempt,
            given,
        },
        cx,
    );
    Decision {
        next,
        events,
        outgoing,
        reply: reply.map(|checked| Pressed::Judged(checked.verdict)),
    }
}
