//! Hides secrets that stand in the settings themselves: in URLs, headers, and bodies of requests.

use std::borrow::Cow;

/// What is shown in place of a secret.
pub(in crate::config) const MASKED: &str = "(masked)";

/// Parts of the names of fields whose values are secret, in lower case and without signs.
const SECRET_PARTS: [&str; 13] = [
    "apikey",
    "accesskey",
    "authkey",
    "authorization",
    "cookie",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "signature",
    "token",
];
/// Whole names of such fields.
const SECRET_NAMES: [&str; 9] = [
    "auth", "key", "pass", "passcode", "pin", "psw", "pw", "pwd", "sig",
];

/// Whether a field of this name holds a secret, as the headers and parameters of providers are named.
pub(in crate::config) fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    SECRET_NAMES.contains(&plain.as_str())
        || SECRET_PARTS.iter().any(|part| plain.contains(part))
        // Such as `subscription-key`.
        || (plain.ends_with("key") && plain.len() > "key".len())
}

/// The value of a field as it may be shown.
pub(in crate::config) fn field<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if is_secret(name) && !is_placeholder(value) {
        Cow::Borrowed(MASKED)
    } else {
        text(value)
    }
}

/// A text as it may be shown: without the password of a URL, and without the values of secret parameters, of secret
/// members of JSON, and of secret elements of XML.
pub(in crate::config) fn text(text: &str) -> Cow<'_, str> {
    let mut spans = Vec::new();
    user_info(text, &mut spans);
    parameters(text, &mut spans);
    members(text, &mut spans);
    elements(text, &mut spans);
    spans.retain(|(from, to)| from < to && !is_placeholder(&text[*from..*to]));
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    spans.sort_unstable();
    let (mut shown, mut end) = (String::with_capacity(text.len()), 0);
    for (from, to) in spans.into_iter().filter(|(from, to)| from < to) {
        // A span within the one before is hidden already.
        if from >= end {
            shown.push_str(&text[end..from]);
            shown.push_str(MASKED);
        }
        end = end.max(to);
    }
    shown.push_str(&text[end..]);
    Cow::Owned(shown)
}

/// Whether a value is filled in for each message, so that it is no secret of the settings.
fn is_placeholder(value: &str) -> bool {
    let inner = value
        .trim()
        .strip_prefix("{{")
        .and_then(|value| value.strip_suffix("}}"));
    inner.is_some_and(|inner| !inner.contains("}}"))
}

/// A part of a text, by its first byte and the byte after it.
type Span = (usize, usize);

/// The user information of URLs: all of it, because some providers use the name alone as a key.
fn user_info(text: &str, spans: &mut Vec<Span>) {
    for (at, scheme) in text.match_indices("://") {
        let from = at + scheme.len();
        let rest = &text[from..];
        let authority = rest
            .find(['/', '?', '#', '"', '\'', '<', ' ', ','])
            .unwrap_or(rest.len());
        let Some(end) = rest[..authority].rfind('@') else {
            continue;
        };
        // A name without a password is an account, such as that of `rediss://USER@HOST`.
        if let Some(colon) = rest[..end].find(':') {
            spans.push((from + colon + 1, from + end));
        }
    }
}

/// The values of `name=value` in the query of a URL, in a form, or in a header such as a cookie.
fn parameters(text: &str, spans: &mut Vec<Span>) {
    let ends = |c: char| "&;?#\"'<> \n".contains(c);
    for (at, _) in text.match_indices('=') {
        let begin = text[..at].rfind(ends).map_or(0, |before| before + 1);
        let name = &text[begin..at];
        if name.is_empty() || name.contains(['=', ':', '/']) || !is_secret(name) {
            continue;
        }
        let from = at + 1;
        spans.push((from, value_end(text, from, "&;#\"'<> \n")));
    }
}

/// Where a value ends: at one of these characters, but not within a placeholder.
fn value_end(text: &str, from: usize, ends: &str) -> usize {
    let mut depth = 0_u32;
    for (at, c) in text[from..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 && ends.contains(c) => return from + at,
            _ => {}
        }
    }
    text.len()
}

/// The values of the members of a JSON text.
fn members(text: &str, spans: &mut Vec<Span>) {
    let mut from = 0;
    while let Some((begin, end)) = string(text, from) {
        from = end + 1;
        let after = &text[from..];
        let Some(value) = after.trim_start().strip_prefix(':') else {
            continue;
        };
        if !is_secret(&text[begin..end]) {
            continue;
        }
        let value = value.trim_start();
        let at = text.len() - value.len();
        if value.starts_with('"') {
            if let Some((begin, end)) = string(text, at) {
                spans.push((begin, end));
                from = end + 1;
            }
        } else if !value.starts_with(['{', '[']) {
            let length = value.find([',', '}', ']', '\n']).unwrap_or(value.len());
            spans.push((at, at + value[..length].trim_end().len()));
        }
    }
}

/// The content of the next JSON string at or after a byte.
fn string(text: &str, from: usize) -> Option<Span> {
    let begin = from + text.get(from..)?.find('"')? + 1;
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(begin) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some((begin, at)),
            _ => {}
        }
    }
    None
}

/// The contents of the elements of an XML text, without those that contain others.
fn elements(text: &str, spans: &mut Vec<Span>) {
    for (at, _) in text.match_indices('<') {
        let Some(length) = text[at..].find('>') else {
            return;
        };
        let name = text[at + 1..at + length]
            .split_whitespace()
            .next()
            .unwrap_or("");
        let name = name.rsplit(':').next().unwrap_or(name);
        let from = at + length + 1;
        let to = text[from..].find('<').map_or(text.len(), |end| from + end);
        if is_secret(name) {
            spans.push((from, to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conf_04_secrets_in_urls_forms_json_and_xml_are_not_shown() {
        for (given, shown) in [
            ("https://user:s3cret@h/p", "https://user:(masked)@h/p"),
            ("https://u:s3:c@ret@h", "https://u:(masked)@h"),
            ("smtp://u:s3cret@h:25", "smtp://u:(masked)@h:25"),
            (
                "https://h/p?to={{ address }}&token=s3cret",
                "https://h/p?to={{ address }}&token=(masked)",
            ),
            (
                "https://h/?api_key=s3cret&x=1#api-key=s3cret",
                "https://h/?api_key=(masked)&x=1#api-key=(masked)",
            ),
            (
                "https://h/?apiKey=s3cret;PASSWORD=s3cret",
                "https://h/?apiKey=(masked);PASSWORD=(masked)",
            ),
            ("user=bank&pass=s3cret", "user=bank&pass=(masked)"),
            (
                r#"{"user": "bank", "password" : "s3\"cret", "to": "{{ address }}"}"#,
                r#"{"user": "bank", "password" : "(masked)", "to": "{{ address }}"}"#,
            ),
            (
                r#"{"auth": {"name": "bank", "api-key": "s3cret"}, "pin": 1234}"#,
                r#"{"auth": {"name": "bank", "api-key": "(masked)"}, "pin": (masked)}"#,
            ),
            (
                r#"{"url": "https://u:s3cret@h/?sig=s3cret"}"#,
                r#"{"url": "https://u:(masked)@h/?sig=(masked)"}"#,
            ),
            (
                "<sms><user>bank</user><ns:Password kind='x'>s3cret</ns:Password></sms>",
                "<sms><user>bank</user><ns:Password kind='x'>(masked)</ns:Password></sms>",
            ),
        ] {
            assert_eq!(text(given), shown, "{given}");
        }
        for (name, value) in [
            ("Authorization", "Basic czNjcmV0"),
            ("X-API-Key", "s3cret"),
            ("Ocp-Apim-Subscription-Key", "s3cret"),
            ("password", "{{ text }}s3cret{{ code }}"),
        ] {
            assert_eq!(field(name, value), MASKED, "{name}");
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for given in [
            "https://h/send?to={{ address }}&text={{ text }}",
            "rediss-sentinel://countersign@a:1,b:2/main",
            r#"{"to": ["{{ address }}"], "token": "{{ code }}", "n": 1}"#,
            "?token={{ code }}",
            "Example Bank <no-reply@example.org>",
            "/etc/countersign/token",
            "a = b",
            "\"",
            "{\"password",
            "<password",
            "",
        ] {
            assert_eq!(text(given), given);
        }
        assert_eq!(field("content-type", "text/plain"), "text/plain");
        assert_eq!(field("token", "{{ code }}"), "{{ code }}");
    }
}
