//! Checks what a machine can check of the architecture: layers, rooms, names, crates, cycles, files, protos, the lock file.

#[path = "tidy/cycles.rs"]
mod cycles;
#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/logs.rs"]
mod logs;
#[path = "tidy/metrics.rs"]
mod metrics;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/permissions.rs"]
mod permissions;
#[path = "tidy/protos.rs"]
mod protos;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/secrets.rs"]
mod secrets;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/words.rs"]
mod words;

use source::{Source, is_test, tree};

/// All files of `src`, and those of them that are not compiled for tests alone.
fn rust() -> (Vec<Source>, Vec<Source>) {
    let all = tree(&["src"], ".rs");
    assert!(all.len() > 20, "the tree was read");
    let shipped = all
        .iter()
        .filter(|source| !is_test(&source.path, &all))
        .cloned()
        .collect();
    (all, shipped)
}

/// Applies a rule to each file, and fails with all that is wrong.
fn hold(sources: &[Source], rule: impl Fn(&str, &str) -> Vec<String>) {
    tell(
        &sources
            .iter()
            .flat_map(|source| rule(&source.path, &source.text))
            .collect::<Vec<_>>(),
    );
}

fn tell(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn read(path: &str) -> String {
    tree(&[path], "").remove(0).text
}

#[test]
fn layers_see_only_what_they_may() {
    hold(&rust().1, layers::edges);
}

#[test]
fn layers_name_only_their_crates() {
    let dependencies = layers::dependencies(&read("Cargo.toml"));
    assert!(dependencies.len() > 20, "the manifest was read");
    hold(&rust().1, |path, text| {
        layers::crates(path, text, &dependencies)
    });
}

#[test]
fn one_file_makes_statuses() {
    hold(&rust().1, layers::statuses);
}

#[test]
fn no_files_name_each_other_in_a_ring() {
    tell(&cycles::cycles(&rust().1));
}

#[test]
fn no_folders_name_each_other_in_a_ring() {
    tell(&cycles::folders(&rust().1));
}

#[test]
fn the_domain_has_few_rooms() {
    tell(&rooms::few_rooms(&rust().1));
}

#[test]
fn folders_bear_the_names_of_the_rooms_of_the_domain() {
    let mut sources = rust().1;
    sources.extend(tree(&["tests/it"], ".rs"));
    tell(&rooms::folder_names(&sources));
}

#[test]
fn no_room_has_one_base_name_twice() {
    let mut sources = rust().1;
    sources.extend(tree(&["tests/it"], ".rs"));
    tell(&rooms::base_names(&sources));
}

#[test]
fn no_layer_has_one_type_name_twice() {
    tell(&names::types(&rust().1));
}

#[test]
fn every_file_opens_with_its_sentence() {
    hold(
        &tree(&["src", "tests", "benches", "build.rs"], ".rs"),
        files::first_line,
    );
}

#[test]
fn no_doc_comment_is_too_short() {
    let mut shipped = rust().1;
    // There, doc comments are the help of the command line: "Manage the store."
    shipped.retain(|source| source.path != "src/cli.rs");
    hold(&shipped, docs::short);
}

#[test]
fn no_banned_word_is_used() {
    let places = [
        ("src", ".rs"),
        ("src", ".lua"),
        ("src", ".toml"),
        ("src", ".html"),
        ("src", ".txt"),
        ("tests", ".rs"),
        ("benches", ".rs"),
        ("build.rs", ".rs"),
        ("proto", ".proto"),
        ("deploy", ".md"),
        ("README.md", ".md"),
        ("CHANGELOG.md", ".md"),
        ("CONTRIBUTING.md", ".md"),
        ("SECURITY.md", ".md"),
    ];
    for (place, ending) in places {
        hold(&tree(&[place], ending), words::banned);
    }
}

#[test]
fn no_file_is_too_long_before_its_tests() {
    hold(&rust().1, files::length);
    hold(&tree(&["build.rs"], ".rs"), files::length);
}

#[test]
fn no_module_hides_in_a_mod_rs() {
    hold(&tree(&["src", "tests", "benches"], ".rs"), |path, _| {
        files::no_mod_rs(path)
    });
}

#[test]
fn every_name_of_the_protos_has_a_comment() {
    let protos = tree(&["proto/countersign"], ".proto");
    assert!(protos.len() > 4, "the protos were read");
    hold(&protos, protos::comments);
}

#[test]
fn every_metric_has_a_help_text_and_is_moved() {
    tell(&metrics::differences(&rust().1));
}

#[test]
fn every_log_message_has_a_row_in_the_operations_guide() {
    tell(&logs::differences(&rust().1, &read(logs::GUIDE)));
}

#[test]
fn every_rpc_has_a_row_in_the_permission_table() {
    let protos = tree(&["proto/countersign/v1"], ".proto");
    let texts: Vec<&str> = protos.iter().map(|proto| proto.text.as_str()).collect();
    let rpcs = texts.iter().flat_map(|text| permissions::rpcs(text));
    assert!(rpcs.count() > 6, "the protos were read");
    let table = read("src/domain/caller/permission.rs");
    tell(&permissions::differences(&texts, &table));
}

#[test]
fn every_error_reason_has_a_test() {
    let all = tree(&["src", "tests"], ".rs");
    tell(&protos::untested(
        &read("proto/countersign/v1/errors.proto"),
        &all,
    ));
}

#[test]
fn conf_03_every_package_is_locked_to_the_registry() {
    let lock = read("Cargo.lock");
    assert!(lock.len() > 10_000, "the lock file was read");
    tell(&files::locked(&lock));
}

#[test]
fn seal_08_secrets_are_compared_in_constant_time() {
    let shipped = rust().1;
    tell(&secrets::found(&shipped));
    hold(&shipped, secrets::comparisons);
}
