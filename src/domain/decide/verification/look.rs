//! Looks at what a link in an e-mail would approve, without changing anything.

use crate::domain::{
    code::link::{BrowserMark, LinkToken},
    decide::Context,
    record::subject::SubjectRecord,
    verification::{Pending, Verification},
};

/// What a link leads to.
#[derive(Clone, Copy, Debug)]
pub enum Looked<'a> {
    /// A press of the button, in this browser, would be judged right.
    Ready(&'a Verification, &'a Pending),
    /// It is not the browser that asked, so the details are not shown.
    OtherBrowser(&'a Verification),
    /// The verification has ended.
    Over(&'a Verification),
    /// There is no such link.
    Unknown,
}

/// What the link leads to in this browser; `None`: it has no cookie.
#[must_use]
pub fn look<'a>(
    record: Option<&'a SubjectRecord>,
    token: &LinkToken,
    browser: Option<BrowserMark>,
    cx: &Context<'_>,
) -> Looked<'a> {
    let Some(verification) = record.and_then(|record| record.find(&token.verification)) else {
        return Looked::Unknown;
    };
    let live = verification
        .live(cx.now)
        .filter(|_| verification.generation == cx.generation);
    let Some(pending) = live else {
        return Looked::Over(verification);
    };
    let link = verification.link(cx.keyring);
    if link.is_none_or(|link| link.secret != token.secret) {
        return Looked::Unknown;
    }
    if pending.browser.is_none() || pending.browser != browser {
        return Looked::OtherBrowser(verification);
    }
    Looked::Ready(verification, pending)
}
