//! Composes the mail.

use std::time::{Duration, SystemTime};

use lettre::{
    Address,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};

use super::{dkim::Signer, give_up, next_sender};
use crate::{
    domain::{recipient::Channel, time::Timestamp},
    ports::sender::{Message, SendError},
};

/// A mail that is ready for the wire. It holds the code, so it has no `Debug`.
pub(super) struct Mail {
    pub(super) from: Address,
    /// The one recipient.
    pub(super) to: Address,
    /// What follows DATA: ASCII, each line ended by CR LF, dots stuffed, and the line that ends it.
    pub(super) data: String,
}

/// Whose mails are composed.
#[derive(Debug)]
pub(super) struct Author {
    pub(super) from: Mailbox,
    /// None: mails go out unsigned.
    pub(super) signer: Option<Signer>,
}

impl Author {
    /// Composes the mail: text first, HTML after it, headers that say that a machine wrote it (RFC 3834), and signatures.
    ///
    /// The message id is the delivery's, so that two copies of one mail can be told from two mails.
    pub(super) fn compose(&self, message: &Message, now: Timestamp) -> Result<Mail, SendError> {
        if message.recipient.channel() != Channel::Email {
            return Err(give_up("wrong_channel"));
        }
        let to: Address = message
            .recipient
            .expose()
            .parse()
            .map_err(|_| give_up("bad_address"))?;
        let text = self
            .format(message, &to, now)
            .ok_or_else(|| give_up("bad_message"))?;
        let signatures = match &self.signer {
            None => String::new(),
            Some(signer) => signer
                .sign(&text, now)
                .map_err(|_| next_sender("not_signed"))?,
        };
        let mut data = stuffed(&signatures, &text);
        data.push_str(".\r\n");
        Ok(Mail {
            from: self.from.email.clone(),
            to,
            data,
        })
    }

    fn format(&self, message: &Message, to: &Address, now: Timestamp) -> Option<String> {
        let machine = HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        );
        let builder = lettre::Message::builder()
            .from(self.from.clone())
            .to(to.clone().into())
            .subject(one_line(&message.content.subject))
            .date(SystemTime::UNIX_EPOCH + Duration::from_micros(now.as_micros()))
            .message_id(Some(format!(
                "<{}@{}>",
                message.delivery,
                self.from.email.domain()
            )))
            .raw_header(machine);
        let text = lines(&message.content.text);
        let mail = match &message.content.html {
            Some(html) => builder.multipart(MultiPart::alternative_plain_html(text, lines(html))),
            None => builder.singlepart(SinglePart::plain(text)),
        };
        // The library encodes what is not ASCII, and breaks long lines.
        String::from_utf8(mail.ok()?.formatted())
            .ok()
            .filter(|text| text.is_ascii())
    }
}

/// Nothing that could end the header.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Line feeds and nothing else that controls: a lone CR ends a line for some servers and not for others.
fn lines(text: &str) -> String {
    text.chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect()
}

/// A line that begins with a dot gets another (RFC 5321 §4.5.2), and the last line its end.
fn stuffed(head: &str, text: &str) -> String {
    let mut out = String::with_capacity(head.len() + text.len() + 64);
    out.push_str(head);
    for line in text.split_inclusive("\r\n") {
        if line.starts_with('.') {
            out.push('.');
        }
        out.push_str(line);
    }
    if !out.ends_with("\r\n") {
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_02_no_line_of_a_mail_is_one_dot() {
        assert_eq!(
            stuffed("H: 1\r\n", ".\r\n..\r\na.\r\n."),
            "H: 1\r\n..\r\n...\r\na.\r\n..\r\n"
        );
        assert_eq!(stuffed("", "a\r\n"), "a\r\n");
    }
}
