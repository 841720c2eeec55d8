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

/// Whether two keys differ by one character: added, missing or changed.
pub(in crate::config) fn is_near(known: &str, given: &str) -> bool {
    let (short, long) = if known.len() <= given.len() {
        (known, given)
    } else {
        (given, known)
    };
    let same = short
        .bytes()
        .zip(long.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let tail = |text: &str, skip: usize| text.bytes().skip(skip).collect::<Vec<_>>();
    long.len() - short.len() <= 1
        && tail(long, same + 1) == tail(short, same + usize::from(short.len() == long.len()))
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
