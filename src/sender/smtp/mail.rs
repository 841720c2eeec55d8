//! Composes mails: text, HTML, headers and signatures.

use std::time::{Duration, SystemTime};

use lettre::{
    Address,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};

use super::{dkim::DkimSigner, ours};
use crate::{
    domain::{
        delivery::{blame::Stage, reason::Reason},
        recipient::Channel,
        time::Timestamp,
    },
    ports::sender::{Message, SendError},
};

/// A mail that is ready to be sent. It contains the code, so it has no `Debug`.
pub(super) struct Mail {
    pub(super) from: Address,
    /// The only recipient of the mail.
    pub(super) to: Address,
    /// The text after DATA: ASCII, with CR LF after each line, dot stuffing, and the final
    /// line of one dot.
    pub(super) data: String,
}

/// The sender of mails, and how they are signed.
#[derive(Debug)]
pub(super) struct Author {
    pub(super) from: Mailbox,
    /// `None` leaves mails unsigned.
    pub(super) signer: Option<DkimSigner>,
}

impl Author {
    /// Composes a mail: text, then HTML, a header that marks it as automatic (RFC 3834), and signatures.
    ///
    /// The message id is derived from the delivery id, so that receivers can distinguish two copies
    /// of one mail from two mails.
    pub(super) fn compose(&self, message: &Message, now: Timestamp) -> Result<Mail, SendError> {
        if message.recipient.channel() != Channel::Email {
            return Err(ours(Reason::WrongChannel));
        }
        let to: Address = message
            .recipient
            .expose()
            .parse()
            .map_err(|_| SendError::about_recipient(Reason::BadAddress))?;
        let text = self
            .format(message, &to, now)
            .ok_or_else(|| ours(Reason::BadMessage))?;
        let signatures = match &self.signer {
            None => String::new(),
            Some(signer) => signer
                .sign(&text, now)
                .map_err(|_| ours(Reason::NotSigned).at(Stage::BeforeRecipient))?,
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
        // lettre encodes everything outside ASCII, and breaks long lines.
        String::from_utf8(mail.ok()?.formatted())
            .ok()
            .filter(|text| text.is_ascii())
    }
}

/// The text without characters that could end a header.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The text with line feeds as its only control characters: servers disagree whether a lone CR ends a line.
fn lines(text: &str) -> String {
    text.chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect()
}

/// Doubles the dot at the beginning of lines (RFC 5321 §4.5.2), and ends the last line.
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
