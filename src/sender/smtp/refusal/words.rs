//! The words of replies: what servers of all makes say about us, about the recipient, or about neither.

use super::phrases::{DOUBT, NAMED, RECIPIENT, RESTRICTED, US};

/// What the words of a reply say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The server refuses us: our name, address, login, reputation or a limit of our account.
    Us,
    /// The recipient does not exist, or its mailbox takes no mail.
    Recipient,
    /// The server dislikes something of this mail, perhaps its content, so that its codes cannot be trusted.
    Doubt,
}

/// The words of a reply in lower case, each after one space, without addresses and punctuation. A space comes first,
/// so that a phrase is searched for with the space before it.
pub(super) struct Text(String);

impl Text {
    /// The text of all lines, which servers break anywhere. Addresses are left out, because whoever starts a
    /// verification chooses them.
    pub(super) fn of(lines: &[String]) -> Self {
        let mut text = String::new();
        for line in lines {
            let words = without_brackets(line);
            for word in words.split_whitespace().filter(|word| !word.contains('@')) {
                push_words(&mut text, word);
            }
        }
        Self(text)
    }

    /// What the text says; `None` if nothing that is known here.
    pub(super) fn meaning(&self) -> Option<Meaning> {
        let kinds = [
            (RESTRICTED, Meaning::Recipient),
            (US, Meaning::Us),
            (RECIPIENT, Meaning::Recipient),
            (DOUBT, Meaning::Doubt),
        ];
        let said = kinds.into_iter().find(|(rows, _)| self.has_any(rows));
        match said {
            // `User not listed in the directory` is no list of bad senders.
            Some((_, Meaning::Us)) if self.has("not listed in") => Some(Meaning::Recipient),
            Some((_, meaning)) => Some(meaning),
            None => None,
        }
    }

    /// Whether the recipient is named without a reason.
    pub(super) fn names_recipient(&self) -> bool {
        self.has_any(NAMED)
    }

    /// Whether the server defers mail of everybody whom it does not know yet.
    pub(super) fn is_greylisting(&self) -> bool {
        ["greylist", "graylist", "grey list", "gray list"]
            .iter()
            .any(|word| self.has(word))
    }

    fn has_any(&self, rows: &[&[&str]]) -> bool {
        rows.iter()
            .any(|phrases| phrases.iter().all(|phrase| self.has(phrase)))
    }

    /// Whether a phrase occurs at the beginning of a word.
    fn has(&self, phrase: &str) -> bool {
        self.0
            .match_indices(phrase)
            .any(|(at, _)| self.0[..at].ends_with(' '))
    }
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
        assert_eq!(found.0, " 5 1 1 the user account doesnt exist");
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
                text(&[reply]).meaning(),
                Some(Meaning::Recipient),
                "{reply}"
            );
        }
    }
}
