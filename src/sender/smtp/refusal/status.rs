//! Enhanced status codes of replies (RFC 3463, RFC 5248 and its registry).

use crate::domain::delivery::blame::Blame;

/// The subject and the detail of an enhanced status code: 1 and 10 of `5.1.10`. Its class is left out: the reply code
/// says whether the failure is permanent (RFC 3463 §3.1), and servers contradict it now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Enhanced {
    subject: u16,
    detail: u16,
}

impl Enhanced {
    /// The first code of a failure in the lines: at their beginning, as it should be, or as `#5.1.1` in the
    /// text, as qmail and its descendants write it.
    pub(super) fn of(lines: &[String]) -> Option<Self> {
        let first = |line: &String| Self::parse(line.split_whitespace().next()?);
        let marked = |line: &String| {
            line.split_whitespace()
                .filter_map(|word| word.trim_start_matches('(').strip_prefix('#'))
                .find_map(Self::parse)
        };
        lines
            .iter()
            .find_map(first)
            .or_else(|| lines.iter().find_map(marked))
    }

    /// The code at the beginning of a word; what follows it, such as `)` or `:`, is ignored.
    fn parse(word: &str) -> Option<Self> {
        let word = word.strip_prefix('#').unwrap_or(word);
        let word = word.trim_end_matches(|c: char| !c.is_ascii_digit());
        let mut numbers = word.split('.').map(str::parse::<u16>);
        match (numbers.next()?, numbers.next()?, numbers.next()?) {
            (Ok(4 | 5), Ok(subject), Ok(detail)) if numbers.next().is_none() => {
                Some(Self { subject, detail })
            }
            _ => None,
        }
    }

    /// Whose fault the code alone says it is; `None` if it leaves that open.
    pub(super) const fn blame(self) -> Option<Blame> {
        match self.subject {
            1 => self.of_address(),
            // The mailbox is disabled or full, or the list has no members.
            2 if matches!(self.detail, 1 | 2 | 4) => Some(Blame::Recipient),
            // The sender may not use this address (Exchange).
            2 if self.detail == 252 => Some(Blame::Ours),
            // The domain does not exist (Exchange).
            4 if self.detail == 310 => Some(Blame::Recipient),
            // A limit of the account (Gmail).
            4 if self.detail == 5 => Some(Blame::Ours),
            // We broke the protocol.
            5 if matches!(self.detail, 1..=6) => Some(Blame::Ours),
            7 => self.of_policy(),
            _ => None,
        }
    }

    /// Whether it says what we lack, which no later try has: a new password, DKIM, SPF, reverse DNS, DMARC, or a sender's
    /// domain that resolves.
    pub(super) const fn is_about_us(self) -> bool {
        matches!((self.subject, self.detail), (7, 12 | 20..=27) | (1, 7 | 8))
    }

    /// Whether it says that the protocol was broken.
    pub(super) const fn is_about_protocol(self) -> bool {
        self.subject == 5
    }

    /// Whether it is about the mailbox or its domain, whoever sends.
    pub(super) const fn is_about_mailbox(self) -> bool {
        matches!((self.subject, self.detail), (1, 1..=4 | 6 | 10) | (2, _))
    }

    const fn of_address(self) -> Option<Blame> {
        match self.detail {
            // The mailbox or its domain does not exist, or has moved.
            1..=4 | 6 | 10 => Some(Blame::Recipient),
            // The sender's address; the limits of the account (Exchange).
            7..=9 | 90 => Some(Blame::Ours),
            _ => None,
        }
    }

    const fn of_policy(self) -> Option<Blame> {
        match self.detail {
            // The mailbox or its domain has another owner than before (RFC 7293); the recipient takes mail from chosen
            // senders only (Exchange).
            17 | 18 | 124 | 129 | 133..=136 => Some(Blame::Recipient),
            // Login, encryption, DKIM, SPF, reverse DNS, DMARC, the reputation of our address.
            8..=12 | 15 | 16 | 20..=30 | 54 | 57 | 60 | 64 | 500..=999 => Some(Blame::Ours),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_where_servers_write_it() {
        let found = |line: &str| Enhanced::of(&[line.to_owned()]);
        let expected = |subject, detail| Some(Enhanced { subject, detail });
        assert_eq!(found("5.1.10 RecipientNotFound"), expected(1, 10));
        assert_eq!(found("sorry, no mailbox (#5.1.1)"), expected(1, 1));
        assert_eq!(
            found("sorry, no mailbox (#5.1.1 - chkuser)"),
            expected(1, 1)
        );
        assert_eq!(found("#5.1.0 Address rejected."), expected(1, 0));
        assert_eq!(found("5.7.1: no"), expected(7, 1));
        for line in [
            "",
            "no such user",
            "2.1.5 fine",
            "5.1 x",
            "5.1.1.1 x",
            "mail from 5.1.1 is refused",
            "5.a.1 x",
            "5.99999.1 x",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
    }
}
