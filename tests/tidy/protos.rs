//! The protos: every name has a comment, and every error reason a test.

use super::source::{Source, inner_tests, is_test};

/// The lines that declare a name: a message, an enum, a service, a call, a oneof, a field or a value.
fn declares(line: &str) -> bool {
    let begins = ["message ", "enum ", "service ", "rpc ", "oneof "]
        .iter()
        .any(|word| line.starts_with(word));
    let is_setting = ["syntax", "option ", "package ", "import "]
        .iter()
        .any(|word| line.starts_with(word));
    let number = line.split_once(" = ").map(|(_, after)| {
        after
            .trim_end_matches(';')
            .split(' ')
            .next()
            .unwrap_or_default()
    });
    begins || (!is_setting && number.is_some_and(|number| number.parse::<u32>().is_ok()))
}

/// Every name has a comment directly above it.
pub fn comments(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut above = "";
    for (at, line) in (1..).zip(text.lines().map(str::trim)) {
        if declares(line) && !above.starts_with("//") {
            wrong.push(format!("{path}:{at}: `{line}` has no comment above it; say what it is and what its absence means"));
        }
        above = line;
    }
    wrong
}

/// The reasons that can be sent, without their prefix.
pub fn reasons(errors_proto: &str) -> Vec<&str> {
    let name = |line: &'_ str| {
        line.trim()
            .strip_prefix("ERROR_REASON_")?
            .split(' ')
            .next()
            .map(str::len)
    };
    let names = errors_proto.lines().filter_map(|line| {
        let len = name(line)?;
        Some(&line.trim()["ERROR_REASON_".len()..][..len])
    });
    names.filter(|name| *name != "UNSPECIFIED").collect()
}

/// `CodeMalformed` for `CODE_MALFORMED`.
fn camel(reason: &str) -> String {
    let word = |word: &str| format!("{}{}", &word[..1], word[1..].to_lowercase());
    reason.split('_').map(word).collect()
}

/// Every reason is named by a test over the API: in `tests/it`, or in a test of an adapter or of the service.
pub fn untested(errors_proto: &str, all: &[Source]) -> Vec<String> {
    let of_tests = |source: &Source| {
        if source.path.starts_with("tests/it/")
            || (!source.path.starts_with("src/domain/") && is_test(&source.path, all))
        {
            source.text.clone()
        } else if source.path.starts_with("src/") && !source.path.starts_with("src/domain/") {
            inner_tests(&source.text).to_owned()
        } else {
            String::new()
        }
    };
    let tests: Vec<_> = all
        .iter()
        .filter(|source| !source.path.starts_with("tests/tidy"))
        .map(of_tests)
        .collect();
    let is_named = |reason: &str| {
        let forms = [
            format!("\"{reason}\""),
            format!("ErrorReason::{}", camel(reason)),
        ];
        tests
            .iter()
            .any(|text| forms.iter().any(|form| text.contains(form)))
    };
    let missing = reasons(errors_proto)
        .into_iter()
        .filter(|reason| !is_named(reason));
    missing
        .map(|reason| {
            format!(
                "{reason}: no test names it; add one to tests/it that makes the service send it"
            )
        })
        .collect()
}

#[test]
fn a_name_without_a_comment_is_refused() {
    let text = "syntax = \"proto3\";\n// A.\nmessage A {\n  // B.\n  string b = 1;\n  string c = 2;\n}\nenum D {\n  D_UNSPECIFIED = 0;\n}\n";
    assert_eq!(comments("proto/x.proto", text).len(), 3);
}

#[test]
fn a_reason_without_a_test_is_refused() {
    let proto = "enum ErrorReason {\n  ERROR_REASON_UNSPECIFIED = 0;\n  ERROR_REASON_START_AGAIN = 1;\n  ERROR_REASON_INTERNAL = 2;\n}\n";
    assert_eq!(reasons(proto), ["START_AGAIN", "INTERNAL"]);
    let tests = |text: &str| [Source::new("tests/it/errors.rs", text)];
    assert_eq!(
        untested(proto, &tests("assert(ErrorReason::StartAgain)")).len(),
        1
    );
    assert_eq!(
        untested(proto, &tests("[\"START_AGAIN\", \"INTERNAL\"]")),
        Vec::<String>::new()
    );
    assert_eq!(
        untested(
            proto,
            &[Source::new(
                "src/grpc/status.rs",
                "\"START_AGAIN\" \"INTERNAL\""
            )]
        )
        .len(),
        2,
        "code is no test"
    );
}
