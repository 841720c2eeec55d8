//! The form of files: their first line, length, names and origin.

use super::source::production;

/// The longest file, without its tests, in the default style of rustfmt.
const LINES_MAX: usize = 350;
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Every file opens with a sentence that says what it contains.
pub fn first_line(path: &str, text: &str) -> Vec<String> {
    let opens = text
        .lines()
        .next()
        .is_some_and(|line| line.starts_with("//! ") && line.len() > 8);
    if opens {
        Vec::new()
    } else {
        vec![format!(
            "{path}: open it with one `//!` sentence that says what it does"
        )]
    }
}

/// A file stays below the limit of lines.
pub fn length(path: &str, text: &str) -> Vec<String> {
    let lines = production(text).lines().count();
    if lines <= LINES_MAX {
        return Vec::new();
    }
    vec![format!(
        "{path}: {lines} lines before its tests, and {LINES_MAX} are the most; split it by concept"
    )]
}

/// A module is `x.rs` next to `x/`, never `x/mod.rs`.
pub fn no_mod_rs(path: &str) -> Vec<String> {
    if path.ends_with("/mod.rs") {
        vec![format!(
            "{path}: name it after its folder, and put it beside the folder"
        )]
    } else {
        Vec::new()
    }
}

/// CONF-03: every package comes from the registry, with its checksum.
pub fn locked(lock: &str) -> Vec<String> {
    let field = |package: &str, name: &str| {
        let line = package
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} = ")));
        line.map(|value| value.trim_matches('"').to_owned())
            .unwrap_or_default()
    };
    let foreign = |package: &&str| {
        let ours = field(package, "name") == env!("CARGO_PKG_NAME");
        !ours && (field(package, "source") != REGISTRY || field(package, "checksum").len() != 64)
    };
    let packages = lock.split("[[package]]\n").skip(1).filter(foreign);
    packages
        .map(|package| {
            format!(
                "Cargo.lock: `{}` is not from crates.io with a checksum",
                field(package, "name")
            )
        })
        .collect()
}

#[test]
fn a_file_without_its_sentence_is_refused() {
    assert_eq!(first_line("src/a.rs", "use std::fmt;\n").len(), 1);
    assert_eq!(first_line("src/a.rs", "//!\n").len(), 1);
    assert_eq!(
        first_line("src/a.rs", "//! Counts failures.\n"),
        Vec::<String>::new()
    );
}

#[test]
fn a_file_that_is_too_long_is_refused_and_its_tests_do_not_count() {
    let lines = |count| "x\n".repeat(count);
    assert_eq!(length("src/a.rs", &lines(351)).len(), 1);
    assert_eq!(
        length(
            "src/a.rs",
            &format!(
                "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
                lines(350),
                lines(350)
            )
        ),
        Vec::<String>::new()
    );
}

#[test]
fn a_mod_rs_is_refused() {
    assert_eq!(no_mod_rs("src/domain/mod.rs").len(), 1);
    assert_eq!(no_mod_rs("src/domain.rs"), Vec::<String>::new());
}

#[test]
fn a_package_from_elsewhere_is_refused() {
    let checksum = "0".repeat(64);
    let package = |source: &str| {
        format!(
            "[[package]]\nname = \"x\"\nversion = \"1.0.0\"\nsource = \"{source}\"\nchecksum = \"{checksum}\"\n"
        )
    };
    assert_eq!(locked(&package(REGISTRY)), Vec::<String>::new());
    assert_eq!(locked(&package("git+https://example.org/x")).len(), 1);
    assert_eq!(
        locked("[[package]]\nname = \"x\"\nversion = \"1.0.0\"\n").len(),
        1
    );
}
