//! Reads the files that settings name, secrets by the one reader of secret files.

use std::path::{Path, PathBuf};

use super::Table;
use crate::{
    config::{
        Profile,
        secret_file::{SecretFileError, read_document, read_line},
    },
    format::secret::SecretText,
};

type Reader = fn(&Path, Profile) -> Result<SecretText, SecretFileError>;

impl Table<'_> {
    /// The path that a key names, if there is one.
    pub(in crate::config) fn file(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// The bytes of an optional file that is no secret, such as a certificate.
    pub(in crate::config) fn contents(&mut self, key: &str) -> Option<Vec<u8>> {
        let path = self.file(key)?;
        match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let what = format!("{} cannot be read: {error}", path.display());
                self.mistake(key, what);
                None
            }
        }
    }

    /// The secret in an optional file, on one line.
    pub(in crate::config) fn secret(&mut self, key: &str) -> Option<SecretText> {
        let path = self.file(key)?;
        self.read(key, &path, read_line)
    }

    /// The secret in a required file, on one line.
    pub(in crate::config) fn required_secret(&mut self, key: &str) -> Option<SecretText> {
        let path = PathBuf::from(self.required(key)?);
        self.read(key, &path, read_line)
    }

    /// The secret text of an optional file, such as a private key in PEM form.
    pub(in crate::config) fn document(&mut self, key: &str) -> Option<SecretText> {
        let path = self.file(key)?;
        self.read(key, &path, read_document)
    }

    /// The secret text of a required file.
    pub(in crate::config) fn required_document(&mut self, key: &str) -> Option<SecretText> {
        let path = PathBuf::from(self.required(key)?);
        self.read(key, &path, read_document)
    }

    /// The secrets in a list of files, each on one line; of the files that can be read.
    pub(in crate::config) fn secrets(&mut self, key: &str) -> Vec<SecretText> {
        let files = self.list(key).unwrap_or_default();
        files
            .iter()
            .filter_map(|file| self.read(key, Path::new(file), read_line))
            .collect()
    }

    /// The same, with at least one.
    pub(in crate::config) fn required_secrets(&mut self, key: &str) -> Vec<SecretText> {
        let secrets = self.secrets(key);
        if secrets.is_empty() && !self.is_mistaken(key) {
            self.mistake(key, "must name at least one file");
        }
        secrets
    }

    fn read(&self, key: &str, path: &Path, reader: Reader) -> Option<SecretText> {
        match reader(path, self.book.profile()) {
            Ok(secret) => Some(secret),
            Err(error) => {
                self.mistake(key, error);
                None
            }
        }
    }
}
