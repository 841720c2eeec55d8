//! The canonical form in which mail is signed: `relaxed` of RFC 6376 §3.4, which tolerates changes
//! of white space.

const WHITE: [char; 2] = [' ', '\t'];

/// A header field: the name in lower case; the value unfolded, trimmed, with single spaces, and
/// without its line end.
pub(super) fn field(name: &str, value: &str) -> String {
    let words: Vec<&str> = value
        .split([' ', '\t', '\r', '\n'])
        .filter(|word| !word.is_empty())
        .collect();
    format!(
        "{}:{}",
        name.trim_end_matches(WHITE).to_ascii_lowercase(),
        words.join(" ")
    )
}

/// The body: white space is reduced to single spaces within lines and removed at their ends; empty
/// lines at the end are removed.
pub(super) fn body(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    let mut kept = 0;
    for line in body.split("\r\n") {
        let begin = out.len();
        for (index, word) in line.trim_end_matches(WHITE).split(WHITE).enumerate() {
            // White space at the beginning of a line is kept as one space.
            if index > 0 && !out[begin..].ends_with(' ') {
                out.push(' ');
            }
            out.push_str(word);
        }
        let is_empty = out.len() == begin;
        out.push_str("\r\n");
        if !is_empty {
            kept = out.len();
        }
    }
    out.truncate(kept);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_6376_is_as_printed() {
        // The example of RFC 6376 §3.4.5.
        assert_eq!(field("A", " X"), "a:X");
        assert_eq!(field("B ", " Y\t\r\n\tZ  "), "b:Y Z");
        assert_eq!(body(" C \r\nD \t E\r\n\r\n\r\n"), " C\r\nD E\r\n");
        assert_eq!(body(""), "");
        assert_eq!(body("\r\n\r\n"), "");
        assert_eq!(body("no end"), "no end\r\n");
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec(
            prop_oneof![
                Just("\r\n"),
                Just(" "),
                Just("\t"),
                Just("a"),
                Just("."),
                Just("=20")
            ],
            0..40,
        )
        .prop_map(|pieces| pieces.concat())
    }

    /// The same form by successive replacements, following the text of the RFC word for word.
    fn by_the_letter(body: &str) -> String {
        let mut text = body.replace('\t', " ");
        while text.contains("  ") {
            text = text.replace("  ", " ");
        }
        text = format!("{text}\r\n").replace(" \r\n", "\r\n");
        while text.ends_with("\r\n\r\n") {
            text.truncate(text.len() - 2);
        }
        if text == "\r\n" { String::new() } else { text }
    }

    proptest! {
        #[test]
        fn the_body_is_as_the_letter_of_the_rfc_makes_it(text in text()) {
            let canonical = body(&text);
            prop_assert_eq!(&canonical, &by_the_letter(&text));
            prop_assert_eq!(&body(&canonical), &canonical, "nothing is left to do");
        }

        #[test]
        fn white_space_that_servers_change_changes_nothing(text in text(), blanks in "[ \t]{1,5}", ends in 0_usize..4) {
            let wider = text.replace(' ', &blanks).replace("\r\n", &format!("{blanks}\r\n"));
            prop_assert_eq!(body(&format!("{wider}{}", "\r\n".repeat(ends))), body(&text));
        }

        #[test]
        fn a_folded_field_is_the_unfolded_one(words in prop::collection::vec("[!-~]{1,10}", 0..8), fold in "(\r\n)?[ \t]{1,3}") {
            prop_assert_eq!(field("Subject", &format!("{fold}{}{fold}", words.join(&fold))), format!("subject:{}", words.join(" ")));
        }

        #[test]
        fn any_other_change_is_seen(text in "[a-z.= ]{1,30}", at in any::<prop::sample::Index>()) {
            let mut bytes = text.clone().into_bytes();
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != b' ');
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert_ne!(body(&changed), body(&text));
        }
    }
}
