//! Reads the source tree, and parses Rust just far enough to find the paths that a file uses.

use std::{fs, path::Path};

/// A file of the tree: its path from the root, and its text.
#[derive(Clone, Debug)]
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }
}

/// All files below these places whose names end with this, sorted by path.
pub fn tree(places: &[&str], ending: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open: Vec<_> = places.iter().map(|place| root.join(place)).collect();
    let mut found = Vec::new();
    while let Some(place) = open.pop() {
        if place.is_dir() {
            // A virtual environment of the Python tests contains foreign files.
            let hidden = place
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if !hidden {
                open.extend(
                    fs::read_dir(&place)
                        .expect("a folder is read")
                        .map(|entry| entry.expect("an entry is read").path()),
                );
            }
        } else if place.to_string_lossy().ends_with(ending) && place.is_file() {
            let path = place
                .strip_prefix(root)
                .expect("it is below the root")
                .to_string_lossy()
                .replace('\\', "/");
            found.push(Source {
                path,
                text: fs::read_to_string(&place).expect("a file is read"),
            });
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// The module path of a file of `src`: `domain::decide` for `src/domain/decide.rs`; empty for the crate's roots.
pub fn module(path: &str) -> Vec<&str> {
    let inner = path
        .strip_prefix("src/")
        .and_then(|path| path.strip_suffix(".rs"))
        .unwrap_or_default();
    let roots = ["lib", "main", ""];
    if roots.contains(&inner) {
        Vec::new()
    } else {
        inner.split('/').collect()
    }
}

/// The layer of a file of `src`: its folder, or its name if it lies directly in `src`.
pub fn layer_of(path: &str) -> &str {
    path.strip_prefix("src/")
        .unwrap_or(path)
        .split(['/', '.'])
        .next()
        .unwrap_or_default()
}

/// Whether this file is compiled only for tests: by its place, or because a module above it is declared so.
pub fn is_test(path: &str, all: &[Source]) -> bool {
    let module = module(path);
    let declared = |depth: usize| {
        let parent = module[..depth - 1].join("/");
        let parent = if parent.is_empty() {
            "src/lib.rs".to_owned()
        } else {
            format!("src/{parent}.rs")
        };
        let text = all
            .iter()
            .find(|source| source.path == parent)
            .map_or("", |source| &source.text);
        let mut lines = text.lines().map(str::trim);
        let mut after_cfg = false;
        lines.any(|line| {
            let here = after_cfg && line.ends_with(&format!("mod {};", module[depth - 1]));
            after_cfg = line == "#[cfg(test)]";
            here
        })
    };
    !path.starts_with("src/") || (1..=module.len()).any(declared)
}

/// Where the tests within a file begin: at `#[cfg(test)]` followed by `mod ... {`.
fn tests_begin(text: &str) -> usize {
    let opens = |(at, _): &(usize, &str)| {
        let next = text[*at..].lines().nth(1).unwrap_or_default();
        next.contains("mod ") && next.ends_with('{')
    };
    text.match_indices("#[cfg(test)]")
        .find(opens)
        .map_or(text.len(), |(at, _)| at)
}

/// The tests within a file.
pub fn inner_tests(text: &str) -> &str {
    &text[tests_begin(text)..]
}

/// The text before the tests, without declarations of test modules.
pub fn production(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text[..tests_begin(text)].lines().peekable();
    while let Some(line) = lines.next() {
        let declares = |next: &&str| next.contains("mod ") && next.ends_with(';');
        if line.trim() == "#[cfg(test)]" && lines.next_if(declares).is_some() {
            continue;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// The code without comments, and with empty literals.
pub fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r#\"") {
            rest.find("\"#").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("r\"") {
            rest.match_indices('"')
                .nth(1)
                .map_or(rest.len(), |(end, _)| end + 1)
        } else if first == '"' {
            end_of_string(rest)
        } else {
            end_of_char(rest)
        };
        if skipped == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.push(' ');
            rest = &rest[skipped..];
        }
    }
    out
}

fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The length of a character literal; 0 for a lifetime and for everything else.
fn end_of_char(text: &str) -> usize {
    let mut chars = text.char_indices();
    match (chars.next(), chars.next(), chars.next()) {
        (Some((_, '\'')), Some((_, '\\')), _) => text[2..].find('\'').map_or(0, |end| end + 3),
        (Some((_, '\'')), Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// Every path that the code uses, with the trees of `use` expanded.
pub fn paths(code: &str) -> Vec<Vec<String>> {
    let tokens = tokens(code);
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = if is_name(&tokens[at]) {
            path(&tokens, at, &[], &mut paths)
        } else {
            at + 1
        };
    }
    paths
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut in_name = false;
    for c in code.chars() {
        let part_of_name = c.is_alphanumeric() || c == '_';
        match tokens.last_mut() {
            Some(last) if (part_of_name && in_name) || (c == ':' && last == ":") => last.push(c),
            _ if c.is_whitespace() => {}
            _ => tokens.push(c.to_string()),
        }
        in_name = part_of_name;
    }
    tokens
}

/// Reads one path from `at` on; also returns the position after it.
fn path(
    tokens: &[String],
    mut at: usize,
    prefix: &[String],
    paths: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = prefix.to_vec();
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    while is_name(token(at)) {
        path.push(token(at).to_owned());
        if token(at + 1) != "::" {
            at += 1;
            break;
        }
        at += 2;
    }
    if at > 0 && token(at - 1) == "::" && token(at) == "{" {
        at += 1;
        while at < tokens.len() && token(at) != "}" {
            at = if is_name(token(at)) {
                self::path(tokens, at, &path, paths)
            } else {
                at + 1
            };
        }
        return at + 1;
    }
    paths.push(path);
    at
}

#[test]
fn a_tree_of_uses_is_spread_out() {
    let text = "use a::{b, c::{d as e, *}};\nfn f() -> g::H { x.collect::<I>(\"j::k\", 'l', '\\'') } // m::n";
    let found: Vec<_> = paths(&code(text))
        .into_iter()
        .map(|path| path.join("::"))
        .collect();
    for path in ["a::b", "a::c::d", "g::H"] {
        assert!(found.iter().any(|p| p == path), "{path} in {found:?}");
    }
    assert!(
        !found
            .iter()
            .any(|path| path.contains('j') || path.contains('m')),
        "{found:?}"
    );
}

#[test]
fn production_ends_where_the_tests_begin() {
    let text = "a\n#[cfg(test)]\nmod tests;\nb\n#[cfg(test)]\nmod more {\nc\n}\n";
    assert_eq!(production(text), "a\nb\n");
}

#[test]
fn a_file_below_a_test_module_is_a_test() {
    let all = [Source::new(
        "src/a.rs",
        "#[cfg(test)]\nmod tests;\nmod other;\n",
    )];
    assert!(
        is_test("src/a/tests/deep.rs", &all)
            && is_test("src/a/tests.rs", &all)
            && is_test("tests/it/main.rs", &all)
    );
    assert!(!is_test("src/a/other.rs", &all) && !is_test("src/a.rs", &all));
}
