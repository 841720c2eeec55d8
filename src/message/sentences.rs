//! Files of named sentences, one per line: `name: sentence`.

/// All names and sentences of a file, in the order of its lines.
pub(super) fn all(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    file.lines().filter_map(|line| line.split_once(": "))
}

/// The sentence with this name; `None` if the file has none.
pub(super) fn find(file: &'static str, name: &str) -> Option<&'static str> {
    all(file).find_map(|(found, sentence)| (found == name).then_some(sentence))
}
