//! SEAL-08: secrets are compared in constant time. No test can time a comparison on a busy machine, so the code is
//! checked.

use super::source::{code, production};

/// Types that hold a secret, each with its own comparison.
pub const SECRETS: [&str; 3] = ["Digits", "LinkSecret", "BrowserMark"];
/// Types with their own comparison for another reason.
const OTHERS: [&str; 1] = ["Recipient"];
/// Functions that compare a secret with untrusted input, as the type and the function.
pub const COMPARERS: [(&str, &str); 3] = [
    ("MacKey", "verifies"),
    ("SharedText", "is"),
    ("ReceiptToken", "open"),
];

/// The text from `begin` to the line that closes the block with this indentation.
fn block<'a>(text: &'a str, begin: &str, indent: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    rest.split(&format!("\n{indent}}}\n")).next()
}

/// A comparison that always reads all bytes.
fn is_constant(body: &str) -> bool {
    let early = [
        "==", "!=", "&&", "||", "if ", "match ", "return", "?", ".iter()", "for ", "memcmp",
        ".cmp(",
    ];
    body.contains("ct_eq(") && early.iter().all(|way| !body.contains(way))
}

/// Whether it compares anything but a length, which is not secret.
fn compares_early(body: &str) -> bool {
    let with = |rest: &str| {
        rest.trim_start()
            .starts_with(|c: char| c.is_ascii_uppercase())
    };
    body.contains("!=") || body.split("==").skip(1).any(|rest| !with(rest))
}

/// Every comparison that is not derived takes constant time, or is of a type without a secret; and no secret derives
/// its comparison.
pub fn comparisons(path: &str, text: &str) -> Vec<String> {
    let text = code(&production(text));
    let mut wrong = Vec::new();
    for part in text.split("impl PartialEq for ").skip(1) {
        let name = part.split([' ', '{']).next().unwrap_or_default();
        let body = part.split("\n}\n").next().unwrap_or_default();
        if !OTHERS.contains(&name) && !is_constant(body) {
            wrong.push(format!("{path}: `{name}` is compared with an early exit; compare with `ct_eq` alone (SEAL-08)"));
        }
    }
    for name in SECRETS {
        let declared = text
            .split_once(&format!("pub struct {name}"))
            .map(|(before, _)| before);
        let attributes = declared
            .and_then(|before| before.rsplit("\n\n").next())
            .unwrap_or_default();
        if attributes.contains("PartialEq") {
            wrong.push(format!("{path}: `{name}` is a secret and derives `PartialEq`; compare it with `ct_eq` (SEAL-08)"));
        }
    }
    for (name, function) in COMPARERS {
        let body = block(&text, &format!("\nimpl {name} {{"), "")
            .and_then(|body| block(body, &format!("fn {function}("), "    "));
        if body.is_some_and(|body| !body.contains("ct_eq(") || compares_early(body)) {
            wrong.push(format!("{path}: `{name}::{function}` compares with an early exit; compare with `ct_eq` (SEAL-08)"));
        }
    }
    wrong
}

/// Each type and each function of these lists exists exactly once.
pub fn found(all: &[super::Source]) -> Vec<String> {
    let texts: Vec<_> = all
        .iter()
        .map(|source| code(&production(&source.text)))
        .collect();
    let count = |begin: &str| {
        texts
            .iter()
            .map(|text| text.matches(begin).count())
            .sum::<usize>()
    };
    let secrets = SECRETS
        .iter()
        .map(|name| (format!("impl PartialEq for {name} "), *name));
    let comparers = COMPARERS
        .iter()
        .map(|(name, _)| (format!("\nimpl {name} {{"), *name));
    let missing = secrets
        .chain(comparers)
        .filter(|(begin, _)| count(begin) != 1);
    missing
        .map(|(begin, name)| {
            format!(
                "`{name}` was looked for by `{}`: name it anew in tests/tidy/secrets.rs",
                begin.trim()
            )
        })
        .collect()
}

#[test]
fn an_early_exit_and_a_derived_comparison_are_refused() {
    let by = |body: &str| {
        format!(
            "impl PartialEq for Digits {{\n    fn eq(&self, other: &Self) -> bool {{\n        {body}\n    }}\n}}\n"
        )
    };
    for body in [
        "self.0 == other.0",
        "bool::from(self.1.ct_eq(&other.1)) && self.0 == other.0",
        "self.0.eq(&other.0)",
    ] {
        assert_eq!(comparisons("src/a.rs", &by(body)).len(), 1, "{body}");
    }
    assert_eq!(
        comparisons(
            "src/a.rs",
            &by("(self.0.ct_eq(&other.0) & self.1.ct_eq(&other.1)).into()")
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        comparisons(
            "src/a.rs",
            "\n\n#[derive(Clone, PartialEq)]\npub struct LinkSecret([u8; 16]);\n"
        )
        .len(),
        1
    );
    let early = "\nimpl SharedText {\n    pub fn is(&self, text: &str) -> bool {\n        self.0 == sha_256(text)\n    }\n}\n";
    assert_eq!(comparisons("src/a.rs", early).len(), 1);
}
