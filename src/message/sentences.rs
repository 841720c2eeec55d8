//! Files of named sentences, one per line: `name: sentence`. Lines that begin with `#` are comments.

use std::collections::BTreeMap;

use super::template::Flaw;

/// Named sentences. A sentence may have place-holders such as `{count}`.
pub(super) type Sentences = BTreeMap<String, String>;

/// A line of a file: its number, its name and its sentence.
pub(super) type Named<'a> = (usize, &'a str, &'a str);

/// Parses a file that has no mistakes.
pub(super) fn parse(source: &str) -> Result<Vec<Named<'_>>, Vec<Flaw>> {
    let (found, flaws) = read(source);
    if flaws.is_empty() {
        Ok(found)
    } else {
        Err(flaws)
    }
}

/// The named sentences of a file, and all lines that are not a name and a sentence, and all names that come twice.
pub(super) fn read(source: &str) -> (Vec<Named<'_>>, Vec<Flaw>) {
    let (mut found, mut flaws) = (Vec::<Named<'_>>::new(), Vec::new());
    let is_text = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    // Editors of some systems begin a file with a byte order mark.
    let lines = source.trim_start_matches('\u{feff}').lines().enumerate();
    for (at, line) in lines.filter(|(_, line)| is_text(line)) {
        let mut flaw = |problem: String| {
            let line = Some(at + 1);
            flaws.push(Flaw { line, problem });
        };
        match line
            .split_once(": ")
            .map(|(name, text)| (name.trim(), text.trim()))
        {
            Some((name, _)) if found.iter().any(|(_, other, _)| *other == name) => {
                flaw(format!("has {name} a second time"));
            }
            Some((name, text)) if !name.is_empty() && !text.is_empty() => {
                found.push((at + 1, name, text));
            }
            Some(_) | None => flaw("is not a name, a colon, a space and a text".to_owned()),
        }
    }
    (found, flaws)
}

/// The names of the place-holders of a sentence, sorted.
pub(super) fn places(sentence: &str) -> Vec<&str> {
    let mut places: Vec<&str> = sentence
        .split('{')
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap_or_default().trim())
        .collect();
    places.sort_unstable();
    places
}

/// Fills in the place-holders of a sentence. Values are copied and never parsed, so a brace in an
/// address stays a brace.
pub(super) fn fill(sentence: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = sentence;
    while let Some((before, (name, after))) = rest
        .split_once('{')
        .and_then(|(before, after)| Some((before, after.split_once('}')?)))
    {
        let value = values.iter().find(|(known, _)| *known == name);
        filled.push_str(before);
        filled.push_str(value.map_or("", |(_, value)| value));
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_name_and_a_sentence_on_each_line_that_is_no_comment() {
        let file = "\u{feff}# a comment\na: b: c\r\n\n  \nd:  e {f} \n";
        let expected = vec![(2, "a", "b: c"), (5, "d", "e {f}")];
        assert_eq!(parse(file).ok(), Some(expected));
        let flaws = parse("a b\na: x\nb:x\na: y\n: z\n").unwrap_err();
        let lines: Vec<_> = flaws.iter().map(|flaw| flaw.line.unwrap()).collect();
        assert_eq!(lines, [1, 3, 4, 5], "{flaws:?}");
    }

    #[test]
    fn values_are_copied_and_never_parsed() {
        assert_eq!(fill("{a}-{b}-{c}", &[("a", "{b}"), ("b", "2")]), "{b}-2-");
        assert_eq!(places("{b} x {a} {{ c }}"), ["", "a", "b", "c"]);
    }
}
