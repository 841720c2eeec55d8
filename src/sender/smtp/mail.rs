//! Composes the mail.

use lettre::{
    Address,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};

use super::give_up;
use crate::{
    domain::recipient::Channel,
    ports::sender::{Message, SendError},
};

/// A mail that is ready for the wire. It holds the code, so it has no `Debug`.
pub(super) struct Mail {
    pub(super) from: Address,
    /// The one recipient.
    pub(super) to: Address,
    /// ASCII, each line ended by CR LF.
    pub(super) bytes: Vec<u8>,
}

/// Composes the mail: text first, HTML after it, and headers that say that a machine wrote it (RFC 3834).
///
/// The message id is the delivery's, so that two copies of one mail can be told from two mails.
pub(super) fn compose(from: &Mailbox, message: &Message) -> Result<Mail, SendError> {
    if message.recipient.channel() != Channel::Email {
        return Err(give_up("wrong_channel"));
    }
    let to: Address = message.recipient.expose().parse().map_err(|_| give_up("bad_address"))?;
    let machine = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    let builder = lettre::Message::builder()
        .from(from.clone())
        .to(to.clone().into())
        .subject(one_line(&message.content.subject))
        .date_now()
        .message_id(Some(format!("<{}@{}>", message.delivery, from.email.domain())))
        .raw_header(machine);
    let text = lines(&message.content.text);
    let mail = match &message.content.html {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(text, lines(html))),
        None => builder.singlepart(SinglePart::plain(text)),
    };
    let bytes = mail.map_err(|_| give_up("bad_message"))?.formatted();
    Ok(Mail { from: from.email.clone(), to, bytes })
}

/// Nothing that could end the header.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Line feeds and nothing else that controls: a lone CR ends a line for some servers and not for others.
fn lines(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}
