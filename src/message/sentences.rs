//! Sentences by name, as files hold them: one a line, `name: sentence`.

/// All sentences of a file, in its order.
pub(super) fn all(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    file.lines().filter_map(|line| line.split_once(": "))
}

/// The sentence of a name.
pub(super) fn find(file: &'static str, name: &str) -> Option<&'static str> {
    all(file).find_map(|(found, sentence)| (found == name).then_some(sentence))
}
