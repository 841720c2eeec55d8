//! The words of replies: what servers of all makes say about us, about the recipient, or about neither.

use super::{
    parties::{self, FAR, NEAR, Party},
    phrases::{DOUBT, GREYLISTING, LINKS, NAMED, PASSING, RECIPIENT, RESTRICTED, US, US_PERHAPS},
};

/// What the words of a reply say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The server refuses us: our name, address, login, reputation or a limit of our account.
    Us,
    /// The recipient does not exist, or its mailbox takes no mail.
    Recipient,
    /// The server may refuse us, if neither its codes nor other words say whom.
    UsPerhaps,
    /// The server dislikes something of this mail, perhaps its content, so that its codes cannot be trusted.
    Doubt,
}

/// The words of a reply in lower case, each after one space, without addresses and punctuation. A space comes first,
/// so that a phrase is searched for with the space before it.
pub(super) struct Text {
    /// All words; links name the lists that a server looks us up in.
    all: String,
    /// The words without those of links, which explain every refusal alike.
    prose: String,
}

impl Text {
    /// The text of all lines, which servers break anywhere. Addresses are left out, because whoever starts a
    /// verification chooses them.
    pub(super) fn of(lines: &[String]) -> Self {
        let (mut all, mut prose) = (String::new(), String::new());
        for line in lines {
            let words = without_brackets(line);
            for word in words.split_whitespace().filter(|word| !word.contains('@')) {
                push_words(&mut all, word);
                if !is_link(word) {
                    push_words(&mut prose, word);
                }
            }
        }
        Self { all, prose }
    }

    /// What the text says; `None` if nothing that is known here. `to_rcpt`: the reply is to RCPT.
    pub(super) fn meaning(&self, to_rcpt: bool) -> Option<Meaning> {
        let is_doubted = self.has_any(DOUBT);
        if self.has_any(RESTRICTED) {
            Some(Meaning::Recipient)
        } else if self.has_any(LINKS) {
            Some(Meaning::Doubt)
        } else if self.is_about_us() {
            Some(Meaning::Us)
        } else if self.is_about_recipient(to_rcpt, is_doubted) {
            Some(Meaning::Recipient)
        } else if self.has_any(US_PERHAPS) {
            Some(Meaning::UsPerhaps)
        } else {
            is_doubted.then_some(Meaning::Doubt)
        }
    }

    fn is_about_us(&self) -> bool {
        // `User not listed in the directory` is no list of bad senders.
        let is_directory = self.has("not listed in");
        !is_directory && (has_any(&self.all, US) || self.is_said_of(&parties::SENDER, false))
    }

    /// Whether the recipient is clearly meant. RFC 5321 §4.2.3 has `mailbox unavailable` for refusals of policy too, so
    /// beside the words of filters such a phrase says nothing.
    fn is_about_recipient(&self, to_rcpt: bool, is_doubted: bool) -> bool {
        self.has_any(RECIPIENT)
            || self.is_said_of(&parties::RECIPIENT, is_doubted)
            || (to_rcpt && self.is_said_of(&parties::ACCOUNT, is_doubted))
    }

    /// Whether the recipient is named without a reason.
    pub(super) fn names_recipient(&self) -> bool {
        self.has_any(NAMED)
    }

    /// Whether the text names an IP address that is not of a server behind this one, whose words follow `said`.
    pub(super) fn names_network(&self) -> bool {
        let words: Vec<&str> = self.prose.split_whitespace().collect();
        let is_address = |part: &[&str]| part.iter().all(|word| word.parse::<u8>().is_ok());
        words.windows(4).any(is_address) && !self.has("said")
    }

    /// Whether the server defers mail of everybody whom it does not know yet.
    pub(super) fn is_greylisting(&self) -> bool {
        self.has_any(GREYLISTING)
    }

    /// Whether the server asks for patience, so that the same message may be accepted soon.
    pub(super) fn is_passing(&self) -> bool {
        self.is_greylisting() || self.has_any(PASSING)
    }

    fn has_any(&self, rows: &[&[&str]]) -> bool {
        has_any(&self.prose, rows)
    }

    fn has(&self, phrase: &str) -> bool {
        has(&self.prose, phrase)
    }

    /// Whether something is said of this party; with doubt, only what is clear.
    fn is_said_of(&self, party: &Party, is_doubted: bool) -> bool {
        let words: Vec<&str> = self.prose.split_whitespace().collect();
        let has_one = |part: &[&str], phrases: &[&str]| {
            let part = format!(" {}", part.join(" "));
            phrases.iter().any(|phrase| has(&part, phrase))
        };
        let up_to = |at: usize, reach: usize| &words[at + 1..words.len().min(at + 1 + reach)];
        let is_said = |at: usize| {
            has_one(up_to(at, FAR), party.after)
                || has_one(&words[at.saturating_sub(NEAR)..at], party.before)
                || (!is_doubted && has_one(up_to(at, NEAR), party.softly_after))
        };
        let mut places = words.iter().enumerate();
        places.any(|(at, word)| party.nouns.contains(word) && is_said(at))
    }
}

fn has_any(text: &str, rows: &[&[&str]]) -> bool {
    rows.iter()
        .any(|phrases| phrases.iter().all(|phrase| has(text, phrase)))
}

/// Whether a phrase occurs at the beginning of a word.
fn has(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase)
        .any(|(at, _)| text[..at].ends_with(' '))
}

fn is_link(word: &str) -> bool {
    word.contains("://") || word.starts_with("www.")
}

/// The line without what stands in angle brackets: the address that the refusal is about.
fn without_brackets(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        out.push(' ');
        rest = after.split_once('>').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

/// Appends the letters and digits of a word; punctuation separates words, and an apostrophe is left out.
fn push_words(text: &mut String, word: &str) {
    text.push(' ');
    for c in word.chars().filter(|c| !matches!(c, '\'' | '\u{2019}')) {
        if c.is_alphanumeric() {
            text.extend(c.to_lowercase());
        } else if !text.ends_with(' ') {
            text.push(' ');
        }
    }
    while text.ends_with(' ') {
        text.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[&str]) -> Text {
        Text::of(
            &lines
                .iter()
                .map(|&line| line.to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn words_are_found_over_line_ends_and_punctuation() {
        let found = text(&["5.1.1 <a@b.example>: The user-account", "  doesn't exist."]);
        assert_eq!(found.all, " 5 1 1 the user account doesnt exist");
        assert!(found.has("account doesnt") && !found.has("count doesnt"));
    }

    #[test]
    fn send_15_an_address_does_not_decide_what_the_reply_means() {
        for reply in [
            "no such user <helo-rejected@spamhaus.example>",
            "no such user: relay-denied@dnsbl.example",
            "no such user <\"sender verify failed\"@x.example",
        ] {
            assert_eq!(
                text(&[reply]).meaning(true),
                Some(Meaning::Recipient),
                "{reply}"
            );
        }
    }
}
