//! The log lines: the table of the operations guide lists every line that the code can write, with its levels and
//! fields, and no other.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, production};

/// The page with the table, and the heading above the table.
pub const GUIDE: &str = "deploy/guide/operations.md";
const HEADING: &str = "### Log messages";

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// The macro that writes an event whose level is known only at run time.
const ANY_LEVEL: &str = "event_at";

/// The levels and fields of a message.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    levels: BTreeSet<String>,
    fields: BTreeSet<String>,
}

type Lines = BTreeMap<String, Line>;

/// The arguments of a macro, up to its closing bracket, split at commas outside of brackets and strings.
fn arguments(rest: &str) -> Vec<&str> {
    let (mut depth, mut in_text, mut escaped, mut begin) = (0, false, false, 0);
    let mut found = Vec::new();
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            _ if in_text => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth > 0 => depth -= 1,
            ',' | ')' if depth == 0 => {
                found.push(rest[begin..at].trim());
                begin = at + 1;
                if c == ')' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// The macro calls that write a log line: name and arguments.
fn calls(text: &str) -> Vec<(&str, Vec<&str>)> {
    let names = LEVELS.iter().chain([&ANY_LEVEL]);
    let of_name = |name: &&'static str| {
        let opening = format!("{name}!(");
        let found = text.match_indices(&opening).map(|(at, _)| at);
        let alone =
            found.filter(|at| !text[..*at].ends_with(|c: char| c == '_' || c.is_alphanumeric()));
        let with_arguments = alone.map(|at| (*name, arguments(&text[at + opening.len()..])));
        with_arguments.collect::<Vec<_>>()
    };
    names.flat_map(of_name).collect()
}

/// The messages that the code writes; an error for each that cannot be parsed.
fn written(shipped: &[Source], wrong: &mut Vec<String>) -> Lines {
    let mut lines = Lines::new();
    for source in shipped {
        // Comments may contain examples.
        let text: Vec<_> = production(&source.text)
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .map(str::to_owned)
            .collect();
        for (name, arguments) in calls(&text.join("\n")) {
            // The macro that passes its arguments on.
            if arguments.iter().any(|argument| argument.starts_with('$')) {
                continue;
            }
            let message = arguments
                .iter()
                .find_map(|argument| argument.strip_prefix('"')?.strip_suffix('"'));
            let Some(message) = message.filter(|text| !text.contains(['{', '|', '`'])) else {
                wrong.push(format!(
                    "{}: `{name}!({})` has no fixed message; put what varies into fields",
                    source.path,
                    arguments.join(", ")
                ));
                continue;
            };
            let before_fields = usize::from(name == ANY_LEVEL);
            let fields = arguments
                .iter()
                .skip(before_fields)
                .take_while(|argument| !argument.starts_with('"'))
                .map(|field| field.split('=').next().unwrap_or_default())
                .map(|field| field.trim().trim_start_matches(['%', '?']).to_owned());
            let line = lines.entry(message.to_owned()).or_default();
            line.levels.insert(name.to_uppercase());
            line.fields.extend(fields);
        }
    }
    lines
}

/// The rows of the table: `message`, levels, `fields`, and two cells of prose.
fn listed(guide: &str, wrong: &mut Vec<String>) -> Lines {
    let table = guide.split_once(HEADING).map_or("", |(_, rest)| {
        rest.split("\n## ").next().unwrap_or_default()
    });
    let mut lines = Lines::new();
    for row in table.lines().filter(|row| row.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [message, levels, fields, means, todo] = cells[..] else {
            wrong.push(format!("{GUIDE}: {row}: not five cells"));
            continue;
        };
        if means.is_empty() || todo.is_empty() {
            wrong.push(format!("{GUIDE}: {message}: an empty cell"));
        }
        let line = Line {
            levels: match levels {
                "by reason" => [ANY_LEVEL.to_uppercase()].into(),
                levels => levels.split(", ").map(str::to_owned).collect(),
            },
            fields: fields
                .split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect(),
        };
        if lines
            .insert(message.trim_matches('`').to_owned(), line)
            .is_some()
        {
            wrong.push(format!("{GUIDE}: {message} has two rows"));
        }
    }
    lines
}

/// The differences between code and table.
pub fn differences(shipped: &[Source], guide: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let (written, listed) = (written(shipped, &mut wrong), listed(guide, &mut wrong));
    let messages: BTreeSet<_> = written.keys().chain(listed.keys()).collect();
    for message in messages {
        match (written.get(message), listed.get(message)) {
            (Some(line), None) => wrong.push(format!("{GUIDE}: no row for `{message}`: {line:?}")),
            (None, Some(_)) => wrong.push(format!("{GUIDE}: nothing logs `{message}`")),
            (Some(code), Some(row)) if code != row => {
                wrong.push(format!(
                    "{GUIDE}: `{message}`: the code has {code:?}, the row {row:?}"
                ));
            }
            (_, _) => {}
        }
    }
    wrong
}

#[cfg(test)]
const CODE: &str = "fn f() {\n    tracing::warn!(\n        %error, count = list(a, \"b, c\").len(),\n        reason = \"x\",\n        \
                    \"one, or (two)\"\n    );\n    event_at!(level(f), %peer, \"three\");\n    let span = tracing::info_span!(\"call\");\n}\n\
                    #[cfg(test)]\nmod tests {\n    info!(\"four\");\n}\n";

#[test]
fn what_the_code_logs_and_the_table_does_not_have_is_refused_and_the_other_way_round() {
    let code = [Source::new("src/a.rs", CODE)];
    let good = format!(
        "{HEADING}\n\n| message | level | fields | means | what to do |\n|---|---|---|---|---|\n\
         | `one, or (two)` | WARN | `error`, `count`, `reason` | it | that |\n| `three` | by reason | `peer` | it | that |\n"
    );
    assert_eq!(differences(&code, &good), Vec::<String>::new());
    for (old, new, told) in [
        ("`three`", "`four`", 2),
        ("| `one, or", "| one, or", 1),
        ("WARN", "WARN, INFO", 1),
        ("`count`, ", "", 1),
        ("by reason", "INFO", 1),
        ("| that |\n| `three`", "| |\n| `three`", 1),
    ] {
        let wrong = differences(&code, &good.replace(old, new));
        assert_eq!(wrong.len(), told, "{old} -> {new}: {wrong:?}");
    }
    let loose = [Source::new("src/a.rs", "error!(word, \"{text}\");")];
    assert_eq!(differences(&loose, "").len(), 1);
}
