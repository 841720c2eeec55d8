//! A mistake in a template or in the settings of messages, with its place.

/// A mistake in a template or a setting of messages, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateMistake {
    /// The file or folder, or the name of a setting.
    pub path: String,
    /// The line, counted from 1; `None` if the mistake is not in one line.
    pub line: Option<usize>,
    /// What is wrong, as the end of a sentence that begins with the path.
    pub problem: String,
}

impl std::fmt::Display for TemplateMistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.problem),
            None => write!(f, "{}: {}", self.path, self.problem),
        }
    }
}

impl std::error::Error for TemplateMistake {}
