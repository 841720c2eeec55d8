//! The vocabulary of a language: everything that is not a template, in files of named sentences.

use std::{collections::BTreeMap, time::Duration};

use super::{
    built_in,
    form::link_in,
    part::Part,
    sentences::{self, Sentences, fill, places},
    template::{Detail, Flaw},
};
use crate::{
    domain::{
        ids::{ActionName, Locale, visible_problem},
        verification::binding::Binding,
    },
    format::visible::is_right_to_left,
};

/// Longest title of an action, in characters: it is part of every SMS.
pub const TITLE_CHARS_MAX: usize = 60;
/// Longest label of a bound name, in characters.
pub const LABEL_CHARS_MAX: usize = 40;
/// Longest sentence of any other file, in characters.
const SENTENCE_CHARS_MAX: usize = 400;

/// Why a text cannot be the title of an action; `None` if it can.
pub(super) fn title_problem(text: &str) -> Option<String> {
    short_problem(text, TITLE_CHARS_MAX)
}

/// Why a text cannot be the label of a bound name; `None` if it can.
pub(super) fn label_problem(text: &str) -> Option<String> {
    short_problem(text, LABEL_CHARS_MAX)
}

fn short_problem(text: &str, max: usize) -> Option<String> {
    if let Some(problem) = visible_problem(text, max) {
        return Some(format!("is {text:?}: it {problem}"));
    }
    link_in(text).then(|| format!("is {text:?}: it contains a link"))
}

impl Part {
    /// Why this name cannot have this text; `None` if it can.
    fn problem(self, name: &str, text: &str) -> Option<String> {
        match self {
            Self::Titles => title_problem(text).or_else(|| {
                let wrong = ActionName::parse(name).err()?;
                Some(format!("has {name}, which cannot be an action: it {wrong}"))
            }),
            Self::Labels => label_problem(text),
            Self::Words | Self::MailWords | Self::Explain | Self::Page => self.misfit(name, text),
        }
    }

    /// Why a sentence does not stand for the English one of its name.
    fn misfit(self, name: &str, text: &str) -> Option<String> {
        let english = built_in::part("en", self);
        let english = sentences::parse(english).unwrap_or_default();
        let Some((_, _, model)) = english.iter().find(|(_, known, _)| *known == name) else {
            let known: Vec<&str> = english.iter().map(|(_, known, _)| *known).collect();
            return Some(format!(
                "has {name}, which is not one of {}",
                known.join(", ")
            ));
        };
        if places(model) != places(text) {
            return Some(format!("{name} must have the place-holders of: {model}"));
        }
        // Joiners and marks of direction are part of the spelling of some languages, and isolates keep a brand in
        // another script apart from the sentence around it.
        let is_spelling =
            |c| matches!(c, '\u{61c}' | '\u{200c}'..='\u{200f}' | '\u{2066}'..='\u{2069}');
        let seen = text.replace(is_spelling, "");
        if let Some(problem) = visible_problem(&seen, SENTENCE_CHARS_MAX) {
            return Some(format!("{name} {problem}"));
        }
        if self == Self::Words && name == "voice" && Locale::parse(text).is_err() {
            return Some("voice must be a language tag such as nl-NL".to_owned());
        }
        link_in(text).then(|| format!("{name} contains a link"))
    }
}

/// The sentences of a language, by file and name.
#[derive(Debug, Default)]
pub(super) struct Vocabulary(BTreeMap<Part, Sentences>);

impl Vocabulary {
    /// The built-in vocabulary of one of the languages of [`built_in::LANGUAGES`].
    pub(super) fn built_in(tag: &str) -> Self {
        let mut vocabulary = Self::default();
        for part in Part::ALL {
            let all = sentences::parse(built_in::part(tag, part)).unwrap_or_default();
            for (_, name, text) in all {
                vocabulary.set(part, name, text);
            }
        }
        vocabulary
    }

    pub(super) fn set(&mut self, part: Part, name: &str, text: &str) {
        self.0
            .entry(part)
            .or_default()
            .insert(name.to_owned(), text.to_owned());
    }

    /// Takes the sentences of an operator's file, which replace those of the same names.
    pub(super) fn take(&mut self, part: Part, source: &str) -> Result<(), Vec<Flaw>> {
        let mut flaws = Vec::new();
        for (line, name, text) in sentences::parse(source)? {
            match part.problem(name, text) {
                None => self.set(part, name, text),
                Some(problem) => flaws.push(Flaw {
                    line: Some(line),
                    problem,
                }),
            }
        }
        if flaws.is_empty() { Ok(()) } else { Err(flaws) }
    }

    /// The names of a file that are still missing.
    pub(super) fn lacks(&self, part: Part) -> Vec<&'static str> {
        if !part.is_fixed() {
            return Vec::new();
        }
        let all = sentences::parse(built_in::part("en", part)).unwrap_or_default();
        let names = all.into_iter().map(|(_, name, _)| name);
        names
            .filter(|name| self.find(part, name).is_none())
            .collect()
    }

    fn find(&self, part: Part, name: &str) -> Option<&str> {
        self.0.get(&part)?.get(name).map(String::as_str)
    }

    /// A sentence that every language has.
    pub(super) fn say(&self, part: Part, name: &str) -> &str {
        self.find(part, name)
            .expect("a language is complete before it is used")
    }

    pub(super) fn word(&self, name: &str) -> &str {
        self.say(Part::Words, name)
    }

    /// The title of an action; `None` if it has none.
    pub(super) fn title(&self, action: &ActionName) -> Option<&str> {
        self.find(Part::Titles, action.as_str())
    }

    /// The label of a bound name; `None` if it has none.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.find(Part::Labels, name)
    }

    /// The title of an action, or words for an action without one: never its name, which is no customer's language.
    pub(super) fn title_of(&self, action: &ActionName) -> &str {
        self.title(action).unwrap_or_else(|| self.word("request"))
    }

    /// The label and the value of each bound name. Names without a label are numbered if there are several.
    pub(super) fn details(&self, binding: &Binding) -> Vec<(String, String)> {
        let unnamed = binding
            .iter()
            .filter(|(name, _)| self.label(name).is_none())
            .count();
        let mut number = 0;
        let mut label = |name: &str| match self.label(name) {
            Some(label) => label.to_owned(),
            None if unnamed == 1 => self.word("detail").to_owned(),
            None => {
                number += 1;
                format!("{} {number}", self.word("detail"))
            }
        };
        let each = binding
            .iter()
            .map(|(name, value)| (label(name), value.to_owned()));
        each.collect()
    }

    /// A bound value with its label, as the language writes it: `amount: EUR 5`, `montant : EUR 5`.
    pub(super) fn detail(&self, label: &str, value: String) -> Detail {
        let line = self.word("bound");
        let (before, after) = line.split_once("{value}").unwrap_or((line, ""));
        let part = |text| fill(text, &[("label", label)]);
        Detail {
            before: part(before),
            value,
            after: part(after),
        }
    }

    /// Whether the language is written from right to left, as its warning never to share the code is.
    pub(super) fn is_right_to_left(&self) -> bool {
        let sentence = self.find(Part::Words, "never_share");
        sentence.is_some_and(is_right_to_left)
    }

    /// The frame of HTML mails with the words of this language filled in. A missing word leaves its
    /// place-holder, which the check at load refuses.
    pub(super) fn html_mail(&self, tag: &str) -> String {
        let (direction, start) = if self.is_right_to_left() {
            ("rtl", "right")
        } else {
            ("ltr", "left")
        };
        let frame = built_in::FRAME
            .replace("{{ language }}", tag)
            .replace("{{ direction }}", direction)
            .replace("{{ start }}", start);
        let words = self.0.get(&Part::MailWords).into_iter().flatten();
        words.fold(frame, |mail, (name, word)| {
            mail.replace(&format!("{{{{ words.{name} }}}}"), word)
        })
    }

    /// A span in words, rounded up: `30 seconds`, `2 minutes`.
    pub(super) fn span(&self, span: Duration) -> String {
        let seconds = span.as_millis().div_ceil(1000);
        if seconds >= 60 {
            return self.minutes(u64::try_from(seconds.div_ceil(60)).unwrap_or(u64::MAX));
        }
        let name = if seconds == 1 { "second" } else { "seconds" };
        fill(self.word(name), &[("count", &seconds.to_string())])
    }

    /// A number of minutes in words: `1 minute`, `5 minutes`.
    pub(super) fn minutes(&self, minutes: u64) -> String {
        let name = if minutes == 1 { "minute" } else { "minutes" };
        fill(self.word(name), &[("count", &minutes.to_string())])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::message::form::Form;

    #[test]
    fn bind_12_each_built_in_language_has_every_sentence_with_the_same_places() {
        for tag in built_in::LANGUAGES {
            for part in Part::ALL {
                let source = built_in::part(tag, part);
                let mut vocabulary = Vocabulary::default();
                assert_eq!(vocabulary.take(part, source), Ok(()), "{tag} {part:?}");
                assert_eq!(vocabulary.lacks(part), [""; 0], "{tag} {part:?}");
                let names = |tag| {
                    let all = sentences::parse(built_in::part(tag, part)).unwrap();
                    all.into_iter()
                        .map(|(_, name, _)| name)
                        .collect::<BTreeSet<_>>()
                };
                assert_eq!(names(tag), names("en"), "{tag} {part:?}");
                assert!(source.lines().count() >= 6, "{tag} {part:?}");
            }
        }
    }

    #[test]
    fn every_language_has_the_words_of_the_frame_and_no_others() {
        for tag in built_in::LANGUAGES {
            let words = sentences::parse(built_in::part(tag, Part::MailWords)).unwrap();
            for (_, name, _) in &words {
                let place = format!("{{{{ words.{name} }}}}");
                assert_eq!(built_in::FRAME.matches(&place).count(), 1, "{place}");
            }
            assert_eq!(built_in::FRAME.matches("{{ words.").count(), words.len());
            let mail = Vocabulary::built_in(tag).html_mail(tag);
            let begin = format!("<html lang=\"{tag}\" dir=\"ltr\">");
            assert!(mail.contains(&begin), "{mail}");
        }
    }

    #[test]
    fn bind_12_a_mail_has_the_direction_of_its_language() {
        let mut hebrew = Vocabulary::built_in("en");
        hebrew.set(Part::Words, "never_share", "\u{5d0}\u{5dc} 1 x");
        let mail = hebrew.html_mail("he");
        assert!(mail.contains("<html lang=\"he\" dir=\"rtl\">"), "{mail}");
        assert!(mail.contains("<div lang=\"he\" dir=\"rtl\""), "{mail}");
        assert!(mail.contains("border-right:3px"), "{mail}");
        assert!(!mail.contains("left"), "{mail}");
        assert!(Form::EmailHtml.parse(&mail, false).is_ok());
    }

    #[test]
    fn a_mail_that_lacks_a_word_is_refused() {
        let mut vocabulary = Vocabulary::default();
        vocabulary.set(Part::MailWords, "asked", "Gevraagd voor:");
        let flaws = Form::EmailHtml
            .parse(&vocabulary.html_mail("nl"), false)
            .unwrap_err();
        assert!(flaws[0].problem.starts_with("contains {{ words.valid }}"));
    }

    #[test]
    fn spans_are_told_in_words_and_rounded_up() {
        let dutch = Vocabulary::built_in("nl");
        let span = |ms| dutch.span(Duration::from_millis(ms));
        assert_eq!(span(1), "1 seconde");
        assert_eq!(span(29_001), "30 seconden");
        assert_eq!(
            (span(60_000), span(60_001)),
            ("1 minuut".into(), "2 minuten".into())
        );
    }

    #[test]
    fn bind_12_a_sentence_that_does_not_fit_its_name_is_refused_with_its_line() {
        let refused = |part, source: &str| {
            let flaws = Vocabulary::default().take(part, source).unwrap_err();
            flaws
                .into_iter()
                .map(|flaw| (flaw.line.unwrap(), flaw.problem))
                .collect::<Vec<_>>()
        };
        let found = refused(
            Part::Words,
            "minutes: {count} minutos\nminute: um minuto\nhour: hora\nvoice: x\ncode_gone: a\u{202e}b\nrequest: www.x\n",
        );
        let begins = [
            "minute must have",
            "has hour, which is not one of",
            "voice must be",
            "code_gone has U+202E as character 2,",
            "request contains a link",
        ];
        assert_eq!(found.len(), begins.len(), "{found:#?}");
        for (at, begin) in begins.iter().enumerate() {
            assert_eq!(found[at].0, at + 2);
            assert!(found[at].1.starts_with(begin), "{found:#?}");
        }
        let persian = "code_gone: \u{646}\u{645}\u{6cc}\u{200c}\u{634}\u{648}\u{62f}\n";
        assert_eq!(Vocabulary::default().take(Part::Words, persian), Ok(()));
        assert_eq!(
            refused(Part::Titles, "Pay: um pagamento\npay: http://x\n").len(),
            2
        );
        assert_eq!(
            refused(Part::Labels, &format!("amount: {}\n", "x".repeat(41))).len(),
            1
        );
    }
}
