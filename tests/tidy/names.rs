//! Names and doc comments of types: one meaning per name in a layer, and comments that say something.

use std::collections::BTreeMap;

use super::source::{Source, code, inner_tests, layer_of, production};

/// A doc comment of this many words or fewer only repeats the name.
const WORDS_MIN: usize = 4;
const TYPES: [&str; 5] = ["struct", "enum", "trait", "type", "union"];

/// The item that a line declares for other files, as its kind and its name: `("struct", "Store")`.
fn declares(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start().strip_prefix("pub")?;
    let item = match line.strip_prefix('(') {
        Some(scope) => scope.split_once(") ")?.1,
        None => line.strip_prefix(' ')?,
    };
    kind_and_name(item)
}

fn kind_and_name(line: &str) -> Option<(&str, &str)> {
    let mut words = line
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty());
    let kind = words.find(|word| !["async", "const", "unsafe", "extern", "C"].contains(word))?;
    (TYPES.contains(&kind) || kind == "fn").then_some((kind, words.next()?))
}

/// No public type name occurs twice within a layer.
pub fn types(shipped: &[Source]) -> Vec<String> {
    let mut seen: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for source in shipped
        .iter()
        .filter(|source| layer_of(&source.path) != "pb")
    {
        let text = code(&production(&source.text));
        for (kind, name) in text.lines().filter_map(declares) {
            if TYPES.contains(&kind) {
                let key = (layer_of(&source.path), name.to_owned());
                seen.entry(key).or_default().push(&source.path);
            }
        }
    }
    seen.iter()
        .filter(|(_, paths)| paths.len() > 1)
        .map(|((layer, name), paths)| {
            format!(
                "`{name}` names two types of `{layer}` ({}); give each its own name",
                paths.join(", ")
            )
        })
        .collect()
}

/// A public type, function or trait, and a function of a public trait, has a comment that says more than its name.
pub fn doc_comments(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut comment = None;
    let mut in_trait = false;
    let shipped = &text[..text.len() - inner_tests(text).len()];
    for (at, line) in (1..).zip(shipped.lines()) {
        let trimmed = line.trim_start();
        if let Some(words) = trimmed.strip_prefix("///") {
            comment = Some(comment.unwrap_or(0) + words.split_whitespace().count());
            continue;
        }
        // Attributes between a comment and its item.
        let is_attribute =
            trimmed.starts_with('#') || trimmed.starts_with(')') || trimmed.starts_with("reason");
        if is_attribute && comment.is_some() {
            continue;
        }
        in_trait = line.starts_with("pub trait ") || (in_trait && line != "}");
        let public = trimmed.strip_prefix("pub ").or_else(|| {
            let is_function = ["fn ", "async fn "]
                .iter()
                .any(|word| trimmed.starts_with(word));
            (in_trait && line.starts_with("    ") && !line.starts_with("     ") && is_function)
                .then_some(trimmed)
        });
        let found = comment.take();
        let (Some((kind, name)), Some(words)) = (public.and_then(kind_and_name), found) else {
            continue;
        };
        if words < WORDS_MIN {
            wrong.push(format!(
                "{path}:{at}: the comment of `{kind} {name}` has {words} words; say what the name cannot say, \
                 or make it pub(crate)"
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_type_name_twice_in_a_layer_is_refused() {
        let file = |path, text| Source::new(path, text);
        let one = file("src/sender/smtp/wire.rs", "/// A.\npub struct Reply {\n}");
        for other in [
            file("src/sender/http.rs", "pub enum Reply {}"),
            file("src/sender/http.rs", "pub(crate) type Reply = u8;"),
            file("src/sender/http.rs", "pub(super) struct Reply;"),
            file(
                "src/sender/http.rs",
                "    pub(in crate::sender) trait Reply {}",
            ),
        ] {
            assert_eq!(types(&[one.clone(), other.clone()]).len(), 1, "{other:?}");
        }
        for other in [
            file("src/store/redis.rs", "pub struct Reply;"),
            file("src/sender/http.rs", "struct Reply;"),
            file("src/sender/http.rs", "    type Reply = u8;"),
            file(
                "src/sender/http.rs",
                "pub struct Replied; // pub struct Reply",
            ),
            file(
                "src/sender/http.rs",
                "#[cfg(test)]\nmod tests {\n    pub struct Reply;\n}",
            ),
        ] {
            assert_eq!(types(&[one.clone(), other]), Vec::<String>::new());
        }
    }

    #[test]
    fn a_comment_of_three_words_is_refused() {
        for text in [
            "/// The channel.\npub struct A;",
            "/// Three words only.\n#[derive(Debug)]\npub enum A {}",
            "impl A {\n    /// Why.\n    #[must_use]\n    pub const fn why(&self) {}\n}",
            "/// Tells the time of the machine.\npub trait Clock {\n    /// The time now.\n    fn now(&self);\n}",
            "/// Reads.\npub async fn read() {}",
        ] {
            assert_eq!(doc_comments("src/a.rs", text).len(), 1, "{text}");
        }
        for text in [
            "/// A member of the committee.\npub struct A;",
            "/// One two\n/// three four.\npub struct A;",
            "/// Which.\npub(crate) fn a() {}",
            "/// Which.\nfn a() {}",
            "/// A member of it.\npub struct A {\n    /// Which.\n    pub b: u8,\n}",
            "/// Tells the time of it.\ntrait Clock {\n    /// The time now.\n    fn now(&self);\n}",
            "pub fn a() {}",
        ] {
            assert_eq!(
                doc_comments("src/a.rs", text),
                Vec::<String>::new(),
                "{text}"
            );
        }
    }
}
