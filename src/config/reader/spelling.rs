//! Writes values as TOML, and recognises misspelled keys.

use std::fmt::Write as _;

/// A text as a TOML string with its quotes.
pub(in crate::config) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The name that was probably meant, as the end of a sentence; empty if none is near.
pub(in crate::config) fn hint<'a>(known: impl Iterator<Item = &'a str>, given: &str) -> String {
    let ranked = known.filter_map(|known| Some((rank(known, given)?, known)));
    let nearest = ranked.min_by_key(|(rank, _)| *rank);
    nearest.map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"))
}

/// How far the name that was given is from a known one; `None` if too far. Other separators and letter case are the
/// nearest, then one typing error, then a part such as `_file` that is missing or too many, then two typing errors.
fn rank(known: &str, given: &str) -> Option<usize> {
    let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    let has_part = |long: &str, short: &str| {
        let rest = long.strip_prefix(short);
        let other = long.strip_suffix(short);
        rest.is_some_and(|rest| rest.starts_with('_'))
            || other.is_some_and(|other| other.ends_with('_'))
    };
    if plain(known) == plain(given) {
        Some(0)
    } else if is_near(known, given) {
        // Two errors are as likely as another name: 1 and 3.
        Some(2 * distance(known.as_bytes(), given.as_bytes()) - 1)
    } else {
        (has_part(known, given) || has_part(given, known)).then_some(2)
    }
}

/// Whether two names differ by one typing error, or by two in a name that is longer than four characters.
pub(in crate::config) fn is_near(known: &str, given: &str) -> bool {
    let errors_max = if known.len().min(given.len()) > 4 {
        2
    } else {
        1
    };
    known.len().abs_diff(given.len()) <= errors_max
        && distance(known.as_bytes(), given.as_bytes()) <= errors_max
}

/// The number of typing errors between two texts: a character added, missing or changed, or two exchanged (optimal
/// string alignment).
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut before = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let changed = row[j] + usize::from(a != b);
            let mut least = changed.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_recognised() {
        for (known, given) in [
            ("profile", "profil"),
            ("profile", "profille"),
            ("listen", "lisTen"),
            ("url", "ur1"),
        ] {
            assert!(is_near(known, given), "{known} {given}");
        }
        assert!(!is_near("profile", "profound") && !is_near("url", "uri2"));
    }

    #[test]
    fn conf_04_an_unknown_name_is_answered_with_the_one_that_was_meant() {
        let known = [
            "password_file",
            "code_lifetime_s",
            "tls_cert_file",
            "tls_key_file",
            "timeout_ms",
            "listen",
            "grpc_listens",
        ];
        for (given, meant) in [
            ("password", "password_file"),
            ("code_lifetime", "code_lifetime_s"),
            ("code_lifetime_ms", "code_lifetime_s"),
            ("cert_file", "tls_cert_file"),
            ("tlsCertFile", "tls_cert_file"),
            ("tls-key-file", "tls_key_file"),
            ("tls_kye_file", "tls_key_file"),
            ("timeout_s", "timeout_ms"),
            ("listens", "listen"),
            ("lisetn", "listen"),
            ("listen_address", "listen"),
        ] {
            let told = hint(known.into_iter(), given);
            assert_eq!(told, format!("; did you mean {meant}?"), "{given}");
        }
        for given in ["colour", "address", "l", ""] {
            assert_eq!(hint(known.into_iter(), given), "", "{given}");
        }
    }

    #[test]
    fn a_literal_can_be_read_back() {
        let text = "a\"b\\c\nd\u{1b}é";
        let table = config::Config::builder()
            .add_source(config::File::from_str(
                &format!("x = {}", literal(text)),
                config::FileFormat::Toml,
            ))
            .build()
            .unwrap();
        assert_eq!(table.get_string("x").unwrap(), text);
    }
}
