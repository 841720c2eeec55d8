//! Names of types: one meaning per name in a layer.

use std::collections::BTreeMap;

use super::source::{Source, code, layer_of, production};

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
}
