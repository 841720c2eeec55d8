//! Languages: their tags, and which of them a customer reads.

use std::{collections::BTreeMap, sync::Arc};

use super::vocabulary::Vocabulary;
use crate::domain::ids::Locale;

/// Most ranges of an `Accept-Language` header that are looked at; browsers send a handful.
const RANGES_MAX: usize = 32;

/// The tag of a language with texts, as BCP 47 recommends to write it: `nl`, `pt-BR`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Language(Arc<str>);

impl Language {
    /// The language of a tag in any spelling: `pt-br`, `PT_BR`; `None` if it is not a tag.
    pub(super) fn parse(tag: &str) -> Option<Self> {
        let locale = Locale::parse(tag).ok()?;
        let lower = locale.lookup().next()?;
        let mut subtags = lower.split('-');
        let mut written = subtags.next().unwrap_or_default().to_owned();
        for subtag in subtags {
            written.push('-');
            written.push_str(&in_its_case(subtag));
        }
        Some(Self(written.into()))
    }

    pub(super) fn tag(&self) -> &Arc<str> {
        &self.0
    }

    /// The language without its region and script: `pt` of `pt-BR`.
    fn primary(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }
}

/// A language tag in the spelling that messages have: `pt-BR` for `pt_br`; `None` if it is not a tag.
#[must_use]
pub fn canonical_tag(tag: &str) -> Option<String> {
    Language::parse(tag).map(|language| language.tag().to_string())
}

/// A region in capitals, a script with one capital letter, everything else in lower case.
fn in_its_case(subtag: &str) -> String {
    match subtag.len() {
        2 => subtag.to_ascii_uppercase(),
        4 if subtag.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            subtag[..1].to_ascii_uppercase() + &subtag[1..]
        }
        _ => subtag.to_owned(),
    }
}

/// The languages with texts.
#[derive(Debug, Default)]
pub(super) struct Languages(pub(super) BTreeMap<Language, Vocabulary>);

impl Languages {
    /// The language for a locale: the same one, else a less specific one (`pt` for `pt-BR`), else another
    /// variety of it (`pt-PT` for `pt-BR`); `None` if there is none.
    pub(super) fn best(&self, locale: &Locale) -> Option<&Language> {
        let known = |tag: String| self.0.get_key_value(&Language::parse(&tag)?);
        if let Some((language, _)) = locale.lookup().find_map(known) {
            return Some(language);
        }
        let primary = locale.lookup().last()?;
        self.0.keys().find(|language| language.primary() == primary)
    }

    /// The language that a browser prefers among ours, by its header `Accept-Language` (RFC 9110 §12.5.4);
    /// `None` if it accepts none, or any.
    pub(super) fn accepted(&self, header: &str) -> Option<&Language> {
        let mut ranges: Vec<_> = header
            .split(',')
            .take(RANGES_MAX)
            .filter_map(range)
            .collect();
        // A stable sort: of two equal weights the first counts.
        ranges.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        let wanted = ranges.into_iter().filter(|(_, weight)| *weight > 0);
        let mut known = wanted.map(|(tag, _)| Locale::parse(tag).ok());
        known.find_map(|locale| self.best(&locale?))
    }

    /// The tags of all languages, for a message.
    pub(super) fn names(&self) -> String {
        let tags: Vec<&str> = self.0.keys().map(|language| &**language.tag()).collect();
        tags.join(", ")
    }
}

/// A language range and its weight in thousandths; `None` if the weight is malformed.
fn range(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';');
    let tag = parts.next()?.trim();
    let Some(parameter) = parts.next() else {
        return Some((tag, 1000));
    };
    let (name, value) = parameter.split_once('=')?;
    let value = value.trim();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let is_decimal = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    if !name.trim().eq_ignore_ascii_case("q") || !is_decimal {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some((tag, thousandths)),
        "1" if thousandths == 0 => Some((tag, 1000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn languages(tags: &[&str]) -> Languages {
        let all = tags
            .iter()
            .map(|tag| (Language::parse(tag).unwrap(), Vocabulary::default()));
        Languages(all.collect())
    }

    const BUILT_IN: [&str; 5] = ["nl", "de", "en", "es", "fr"];

    #[test]
    fn a_tag_has_one_spelling() {
        for (text, tag) in [
            ("NL", "nl"),
            ("pt_br", "pt-BR"),
            ("ZH-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("de-CH-1996", "de-CH-1996"),
        ] {
            assert_eq!(&**Language::parse(text).unwrap().tag(), tag);
        }
        for bad in ["", "tenants", "n", "a b", "..", "nl.txt"] {
            assert_eq!(Language::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn bind_12_a_locale_falls_back_to_the_nearest_language_with_texts() {
        let best = |tags: &[&str], locale: &str| {
            let languages = languages(tags);
            let found = languages.best(&Locale::parse(locale).unwrap());
            found.map(|language| language.tag().to_string())
        };
        for (locale, expected) in [
            ("de_DE", Some("de")),
            ("de-AT", Some("de")),
            ("DE-at", Some("de")),
            ("nl_BE", Some("nl")),
            ("en-Latn-GB", Some("en")),
            ("es-419", Some("es")),
            ("pt-BR", None),
            ("ens", None),
        ] {
            assert_eq!(best(&BUILT_IN, locale).as_deref(), expected, "{locale}");
        }
        let more = ["pt", "pt-BR", "zh-Hant", "en"];
        for (locale, expected) in [
            ("pt_BR", "pt-BR"),
            ("pt-br", "pt-BR"),
            ("pt-PT", "pt"),
            ("pt", "pt"),
            ("zh-Hant-HK", "zh-Hant"),
            ("zh-TW", "zh-Hant"),
            ("zh", "zh-Hant"),
        ] {
            assert_eq!(best(&more, locale).as_deref(), Some(expected), "{locale}");
        }
    }

    #[test]
    fn bind_12_a_browser_gets_the_language_that_it_weighs_highest() {
        let languages = languages(&BUILT_IN);
        let tag = |header: &str| {
            let found = languages.accepted(header);
            found
                .map(|language| language.tag().to_string())
                .unwrap_or_default()
        };
        for (header, expected) in [
            ("nl-NL,nl;q=0.9,en;q=0.8", "nl"),
            ("sv, FR-be;q=0.5", "fr"),
            ("en;q=0.2, de;q=0.8, nl;q=0.5", "de"),
            ("en;q=0.2,de ; q = 0.199", "en"),
            ("fr;q=0.5,es;q=0.5", "fr"),
            ("en;q=0, nl;q=0.1", "nl"),
            ("en;q=0", ""),
            ("de;q=1.000,en", "de"),
            ("en;q=2, de;q=x, nl;q=0.0001, es;q=0.3", "es"),
            ("en;level=1, nl;q=0.1", "nl"),
            ("*", ""),
            ("*;q=0.5,fr;q=0.1", "fr"),
            ("sv", ""),
            ("", ""),
            (",,;;,=", ""),
            ("<script>, nl", "nl"),
        ] {
            assert_eq!(tag(header), expected, "{header}");
        }
        assert_eq!(tag(&"xx,".repeat(100_000)), "");
    }
}
