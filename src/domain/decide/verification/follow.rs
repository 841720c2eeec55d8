//! Judges a press on the page that the link of a mail opens.

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

/// Judge a press.
#[derive(Clone, Debug)]
pub struct Follow {
    /// What the link carries.
    pub token: LinkToken,
    /// The same for every press of one link, so that its repeats are harmless.
    pub attempt: AttemptId,
    /// Where it was pressed.
    pub browser: Option<BrowserMark>,
}

/// What came of a press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressed {
    /// It was judged like a guess of the code.
    Judged(Verdict),
    /// It was not the browser that asked: no attempt is taken, for whoever reads the mail may open its links.
    OtherBrowser,
}

/// Decides [`Follow`]. Whoever holds the link answers in the place of the caller that started.
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
