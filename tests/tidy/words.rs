//! Words that must not be used in texts that people read.

/// Says nothing that `channel`, `route`, `path` or `connection` does not say better. Written in two parts, because this
/// file is checked too.
const BANNED: [&str; 2] = [concat!("ro", "ad"), concat!("ro", "ads")];

/// No line contains a banned word, alone or as a part of a name: `last_x`, `X_MAX`, `XSign`.
pub fn banned(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, line) in (1..).zip(text.lines()) {
        if let Some(word) = words(line)
            .into_iter()
            .find(|word| BANNED.contains(&word.as_str()))
        {
            wrong.push(format!(
                "{path}:{at}: `{word}`; write channel, route, path or connection, whichever it is"
            ));
        }
    }
    wrong
}

/// The words of a line in lower case, with names split into their words.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in line.chars() {
        let begins = c.is_uppercase() && before.is_lowercase();
        if begins || !c.is_alphabetic() {
            words.push(String::new());
        }
        if c.is_alphabetic() {
            let word = words.last_mut().expect("there is always one");
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn a_banned_word_is_refused_in_text_and_in_names() {
    let [one, many] = BANNED;
    let upper = one.to_uppercase();
    let title = format!("{}{}", &upper[..1], &one[1..]);
    for line in [
        format!("the {one} it takes"),
        format!("on all {many}."),
        format!("fn last_{one}()"),
        format!("const {upper}_MAX: u8"),
        format!("struct {title}Sign;"),
        format!("enum My{title} {{}}"),
        format!("`{title}`: 2 {many}"),
    ] {
        assert_eq!(banned("README.md", &line).len(), 1, "{line}");
    }
    for line in [
        format!("a b{one} table, ab{one}, {one}map"),
        "a route, a path".to_owned(),
        String::new(),
    ] {
        assert_eq!(banned("README.md", &line), Vec::<String>::new(), "{line}");
    }
}
