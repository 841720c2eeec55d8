//! SMS: the length in segments, and the last lines, which browsers and apps read.

use std::borrow::Cow;

use crate::format::gsm7::{base_letters, septets};

/// Longest message with the hash of an Android app, in bytes (SMS Retriever API).
const WITH_HASH_BYTES_MAX: usize = 140;
/// Characters of the hash of an Android app.
const HASH_CHARS: usize = 11;

/// The mark before the host of an embedded page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbeddedMark {
    /// `@`, as the specification of origin-bound codes has it today.
    #[default]
    At,
    /// `%`, as Apple's systems read it before, and still do.
    Percent,
}

impl EmbeddedMark {
    const fn sign(self) -> &'static str {
        match self {
            Self::At => "@",
            Self::Percent => "%",
        }
    }
}

/// The rules for SMS, as the settings give them.
#[derive(Clone, Debug)]
pub struct SmsRules {
    /// The host of the page on which the code is entered; browsers offer to fill it in only there.
    /// `None`: no line for browsers.
    pub web_host: Option<String>,
    /// The host of an embedded page (frame) that asks for the code, inside the page of `web_host`.
    pub web_embedded_host: Option<String>,
    /// The mark before that host.
    pub web_embedded_mark: EmbeddedMark,
    /// The hash of the Android app that reads the code. `None`: no line for an app.
    pub android_hash: Option<String>,
    /// Most segments of a message, without the details of the binding.
    pub segments_max: usize,
    /// Whether texts may contain characters outside the GSM alphabet, which leave room for
    /// fewer characters per segment.
    pub ucs2: bool,
}

impl Default for SmsRules {
    fn default() -> Self {
        Self {
            web_host: None,
            web_embedded_host: None,
            web_embedded_mark: EmbeddedMark::At,
            android_hash: None,
            segments_max: 1,
            ucs2: false,
        }
    }
}

impl SmsRules {
    /// The end of a message: the line for the app, then the line for browsers, which must
    /// be the last one.
    pub(super) fn ending(&self, code: &str) -> String {
        let mut ending = String::new();
        if let Some(hash) = &self.android_hash {
            ending.extend(["\n", hash]);
        }
        if let Some(host) = &self.web_host {
            ending.extend(["\n@", host, " #", code]);
            if let Some(embedded) = &self.web_embedded_host {
                ending.extend([" ", self.web_embedded_mark.sign(), embedded]);
            }
        }
        ending
    }

    /// The mistakes in the rules: each with its setting, and as the end of a sentence that
    /// begins with the setting.
    pub(super) fn mistakes(&self) -> Vec<(&'static str, &'static str)> {
        let mut mistakes = Vec::new();
        let is_wrong = |host: &Option<String>| host.as_ref().is_some_and(|host| !is_host(host));
        for (key, host) in [
            ("web_host", &self.web_host),
            ("web_embedded_host", &self.web_embedded_host),
        ] {
            if is_wrong(host) {
                mistakes.push((
                    key,
                    "must be a host name in lower case, without scheme, port and path",
                ));
            }
        }
        if self.web_embedded_host.is_some() && self.web_host.is_none() {
            mistakes.push(("web_embedded_host", "needs web_host"));
        }
        let is_hash = |hash: &String| {
            hash.len() == HASH_CHARS
                && hash
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        };
        if self
            .android_hash
            .as_ref()
            .is_some_and(|hash| !is_hash(hash))
        {
            mistakes.push((
                "android_hash",
                "must be the 11 characters of the app's hash",
            ));
        }
        mistakes
    }

    /// Why a complete message may not be sent; `None` if it may.
    pub(super) fn flaw(&self, text: &str) -> Option<String> {
        let foreign = text.chars().find(|c| septets(*c).is_none());
        if let (Some(foreign), false) = (foreign, self.ucs2) {
            return Some(format!(
                "contains {foreign:?}, which leaves room for 70 characters per SMS instead of 160; change it, or set messages.sms_ucs2"
            ));
        }
        if segments(text) > self.segments_max {
            let (units, room) = (units(text), room(text));
            return Some(format!(
                "has {units} characters where {room} fit into an SMS; shorten it or the brand, or raise messages.sms_segments_max"
            ));
        }
        if self.android_hash.is_some() && text.len() > WITH_HASH_BYTES_MAX {
            return Some(format!(
                "has {} bytes, and an app reads at most {WITH_HASH_BYTES_MAX}",
                text.len()
            ));
        }
        None
    }
}

fn is_gsm(text: &str) -> bool {
    text.chars().all(|c| septets(c).is_some())
}

/// The length as the network counts it: in septets for GSM text, otherwise in UTF-16 code units.
fn units(text: &str) -> usize {
    let gsm: Option<usize> = text
        .chars()
        .map(|c| septets(c).map(|septets| septets.as_slice().len()))
        .sum();
    gsm.unwrap_or_else(|| text.encode_utf16().count())
}

fn room(text: &str) -> usize {
    if is_gsm(text) { 160 } else { 70 }
}

/// The number of segments. The parts of a longer message hold fewer characters, because each has a header,
/// and a character of two units (an escape and its septet, or a surrogate pair) is never cut in two.
fn segments(text: &str) -> usize {
    if units(text) <= room(text) {
        return 1;
    }
    let is_gsm = is_gsm(text);
    let part = if is_gsm { 153 } else { 67 };
    let (mut parts, mut used) = (1, 0);
    for character in text.chars() {
        let gsm = septets(character).map(|septets| septets.as_slice().len());
        let width = gsm.filter(|_| is_gsm).unwrap_or(character.len_utf16());
        if used + width > part {
            (parts, used) = (parts + 1, 0);
        }
        used += width;
    }
    parts
}

/// Our own words as an SMS holds them: letters outside the GSM alphabet become their base letters, unless
/// the settings allow other characters.
pub(super) fn in_alphabet<'a>(text: &'a str, rules: &SmsRules) -> Cow<'a, str> {
    if rules.ucs2 || is_gsm(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match base_letters(character) {
            Some(letters) if septets(character).is_none() => out.push_str(letters),
            Some(_) | None => out.push(character),
        }
    }
    Cow::Owned(out)
}

fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        let plain = label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        (1..=63).contains(&label.len()) && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_address = text
        .split('.')
        .next_back()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= 253 && text.contains('.') && text.split('.').all(label) && !is_address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_02_an_sms_is_counted_as_on_the_air() {
        for (text, expected) in [
            ("a".repeat(160), (160, 1)),
            ("a".repeat(161), (161, 2)),
            ("a".repeat(306), (306, 2)),
            ("a".repeat(307), (307, 3)),
            ("€".repeat(80), (160, 1)),
            ("€".repeat(81), (162, 2)),
            ("äöüßÄÖÜñÑéèùìòàÇ£".repeat(9), (153, 1)),
            (format!("{}ó", "a".repeat(69)), (70, 1)),
            (format!("{}ó", "a".repeat(70)), (71, 2)),
            ("😀".repeat(35), (70, 1)),
            ("[]{}\\^~|".repeat(10), (160, 1)),
            // An escape does not part from its septet, so a part with 152 septets before it stays short.
            (format!("{}€{}", "a".repeat(152), "a".repeat(152)), (306, 3)),
            (format!("{}€{}", "a".repeat(151), "a".repeat(153)), (306, 2)),
            ("€".repeat(153), (306, 3)),
            // Neither does a surrogate pair.
            (format!("{}😀{}", "ó".repeat(66), "ó".repeat(66)), (134, 3)),
            (format!("{}😀{}", "ó".repeat(65), "ó".repeat(67)), (134, 2)),
            ("😀".repeat(67), (134, 3)),
        ] {
            assert_eq!((units(&text), segments(&text)), expected, "{text}");
        }
    }

    #[test]
    fn text_02_our_own_words_stay_in_the_alphabet() {
        let strict = SmsRules::default();
        let loose = SmsRules {
            ucs2: true,
            ..strict.clone()
        };
        assert_eq!(
            in_alphabet("cambiar su dirección ñ é €", &strict),
            "cambiar su direccion ñ é €"
        );
        assert_eq!(
            in_alphabet("l’échéance, ça, Übung, œuvre", &strict),
            "l'échéance, ca, Übung, oeuvre"
        );
        assert_eq!(in_alphabet("Zażółć gęślą", &strict), "Zazolc gesla");
        assert_eq!(in_alphabet("dirección", &loose), "dirección");
        assert_eq!(
            in_alphabet("рубль", &strict),
            "рубль",
            "another script has no base letters"
        );
    }

    #[test]
    fn text_01_the_mark_before_the_embedded_host_is_a_setting() {
        let rules = SmsRules {
            web_host: Some("example.com".to_owned()),
            web_embedded_host: Some("pay.example".to_owned()),
            web_embedded_mark: EmbeddedMark::Percent,
            ..SmsRules::default()
        };
        assert_eq!(
            rules.ending("123456"),
            "\n@example.com #123456 %pay.example"
        );
    }

    #[test]
    fn text_02_other_characters_must_be_allowed_by_name() {
        let strict = SmsRules::default();
        let (loose, long) = (
            SmsRules {
                ucs2: true,
                ..strict.clone()
            },
            "ż".repeat(71),
        );
        assert!(strict.flaw("zażółć").unwrap().contains("sms_ucs2"));
        assert_eq!(loose.flaw("zażółć"), None);
        assert!(
            loose
                .flaw(&long)
                .unwrap()
                .contains("71 characters where 70 fit")
        );
        assert_eq!(
            SmsRules {
                segments_max: 2,
                ..loose
            }
            .flaw(&long),
            None
        );
    }

    #[test]
    fn text_03_the_apps_hash_stands_before_the_line_for_browsers() {
        let rules = SmsRules {
            web_host: Some("example.com".to_owned()),
            web_embedded_host: Some("pay.example".to_owned()),
            android_hash: Some("FA+9qCX9VSu".to_owned()),
            ..SmsRules::default()
        };
        assert_eq!(
            rules.ending("123456"),
            "\nFA+9qCX9VSu\n@example.com #123456 @pay.example"
        );
        assert_eq!(rules.mistakes(), []);
        assert!(
            rules
                .flaw(&"a".repeat(141))
                .unwrap()
                .contains("at most 140")
        );
        assert_eq!(rules.flaw(&"a".repeat(140)), None);
        for bad in ["", "FA+9qCX9VS", "FA+9qCX9VSu=", "FA 9qCX9VSu"] {
            let rules = SmsRules {
                android_hash: Some(bad.to_owned()),
                ..SmsRules::default()
            };
            assert_eq!(rules.mistakes().len(), 1, "{bad}");
        }
    }

    /// The parser of the specification of origin-bound codes: host, code and embedded host
    /// of the last line.
    fn parse(message: &str) -> Option<(&str, &str, Option<&str>)> {
        let last = message.rsplit(['\n', '\r']).next()?;
        let rest = last.strip_prefix('@')?;
        let end = |text: &str| {
            text.find([' ', '\t', '\n', '\u{c}', '\r'])
                .unwrap_or(text.len())
        };
        let (host, rest) = rest.split_at(end(rest));
        let rest = rest.strip_prefix(" #").filter(|_| !host.is_empty())?;
        let (code, rest) = rest.split_at(end(rest));
        let embedded = rest
            .strip_prefix(" @")
            .map(|rest| &rest[..end(rest)])
            .filter(|host| !host.is_empty());
        Some((host, code, embedded)).filter(|_| !code.is_empty())
    }

    #[test]
    fn text_01_the_last_line_is_what_the_specification_parses() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/origin_bound_sms.json"))
                .unwrap();
        let cases = vectors["cases"].as_array().unwrap();
        assert!(cases.len() > 45, "the vectors were read");
        for case in cases {
            let (message, name) = (case["message"].as_str().unwrap(), &case["name"]);
            let parsed = parse(message);
            if case["expect"] == "invalid" {
                assert_eq!(parsed, None, "{name}");
                continue;
            }
            let expected = (
                case["host"].as_str().unwrap(),
                case["code"].as_str().unwrap(),
                case["embedded_host"].as_str(),
            );
            assert_eq!(parsed, Some(expected), "{name}");
            let (host, code, embedded) = expected;
            let rules = SmsRules {
                web_host: Some(host.to_owned()),
                web_embedded_host: embedded.map(str::to_owned),
                ..SmsRules::default()
            };
            // What the service writes is parsed back; what must never be written cannot be set or
            // is never written.
            let ours = format!("text{}", rules.ending(code));
            assert_eq!(parse(&ours), Some(expected), "{name}");
            let is_refused = case["renderer"] == "refused"
                && (!rules.mistakes().is_empty() || !message.ends_with(&ours[4..]));
            let is_other_text = name == "never rendered: code differs from the text";
            assert!(
                is_refused || is_other_text || rules.mistakes().is_empty(),
                "{name}"
            );
            if case["renderer"] == "refused" && !is_other_text {
                assert!(is_refused, "{name}");
            }
        }
    }
}
