//! The length of doc comments: a comment of a few words repeats the name of its item.

use super::source::production;

/// A shorter doc comment only repeats the name of its item.
const WORDS_MIN: usize = 4;

/// Finds doc comments of a few words, such as "Why." or "The keys." What comes below a heading, such as `# Errors`, does not
/// count.
pub fn short(path: &str, text: &str) -> Vec<String> {
    let production = production(text);
    let mut wrong = Vec::new();
    let mut said: Vec<&str> = Vec::new();
    let mut below_heading = false;
    for (at, line) in (1..).zip(production.lines().chain([""])) {
        if let Some(words) = line.trim_start().strip_prefix("///") {
            below_heading |= words.trim_start().starts_with('#');
            if !below_heading {
                said.extend(words.split_whitespace());
            }
        } else if !said.is_empty() {
            if said.len() < WORDS_MIN {
                let said = said.join(" ");
                wrong.push(format!(
                    "{path}:{at}: \"{said}\" says too little; say what the type cannot say (unit, bounds, who sets it, what \
                     absence means), or make the item private and let its name speak"
                ));
            }
            said.clear();
            below_heading = false;
        }
    }
    wrong
}

#[test]
fn a_doc_comment_of_three_words_is_refused() {
    for text in [
        "/// Why.\npub enum Cause {}\n",
        "    /// The keys.\n    #[must_use]\n    pub fn keys() {}\n",
        "struct A {\n    /// Which\n    /// of them.\n    pub a: u8,\n}\n",
        "pub fn a() {}\n/// At the end.",
        "/// Parses the setting.\n///\n/// # Errors\n/// One of the many mistakes.\npub fn a() {}\n",
    ] {
        assert_eq!(short("src/a.rs", text).len(), 1, "{text}");
    }
    for text in [
        "/// Longest life of a code.\npub const MAX: u8 = 1;\n",
        "/// One, two\n/// three, four.\npub fn a() {}\n",
        "//! Short.\n// Short.\nfn a() {}\n",
        "fn a() {}\n#[cfg(test)]\nmod tests {\n    /// Short.\n    fn b() {}\n}\n",
    ] {
        assert_eq!(short("src/a.rs", text), Vec::<String>::new(), "{text}");
    }
}
