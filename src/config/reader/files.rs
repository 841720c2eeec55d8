//! Reads the files named in the settings, by way of `secret_file`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::Table;
use crate::{
    config::{
        Profile,
        secret_file::{SecretFileError, read_document, read_line, read_public},
    },
    format::secret::SecretText,
};

type Reader = fn(&Path, Profile) -> Result<SecretText, SecretFileError>;

impl Table<'_> {
    /// Reads the path of a file; `None` if absent.
    pub(in crate::config) fn file(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// Reads the bytes of an optional file that is not secret, such as a certificate.
    pub(in crate::config) fn contents(&mut self, key: &str) -> Option<Vec<u8>> {
        let path = self.file(key)?;
        match read_public(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let what = format!("{} cannot be read: {error}", path.display());
                self.mistake(key, what);
                None
            }
        }
    }

    /// Reads a one-line secret from an optional file.
    pub(in crate::config) fn secret(&mut self, key: &str) -> Option<SecretText> {
        let path = self.file(key)?;
        self.read(key, &path, read_line)
    }

    /// Reads a one-line secret from a required file.
    pub(in crate::config) fn required_secret(&mut self, key: &str) -> Option<SecretText> {
        let path = PathBuf::from(self.required(key)?);
        self.read(key, &path, read_line)
    }

    /// Reads a secret text from an optional file, such as a private key in PEM form.
    pub(in crate::config) fn document(&mut self, key: &str) -> Option<SecretText> {
        let path = self.file(key)?;
        self.read(key, &path, read_document)
    }

    /// Reads a secret text from a required file.
    pub(in crate::config) fn required_document(&mut self, key: &str) -> Option<SecretText> {
        let path = PathBuf::from(self.required(key)?);
        self.read(key, &path, read_document)
    }

    /// Reads one-line secrets from a table of names and files; files that cannot be read are mistakes and are left out.
    pub(in crate::config) fn named_secrets(&mut self, key: &str) -> BTreeMap<String, SecretText> {
        let files = self.files(key);
        let read = files.into_iter().filter_map(|(name, file)| {
            let secret = self.read(key, Path::new(&file), read_line)?;
            Some((name, secret))
        });
        read.collect()
    }

    /// Reads one-line secrets from a list of files; files that cannot be read are mistakes and are left out.
    pub(in crate::config) fn secrets(&mut self, key: &str) -> Vec<SecretText> {
        let files = self.list(key).unwrap_or_default();
        files
            .iter()
            .filter_map(|file| self.read(key, Path::new(file), read_line))
            .collect()
    }

    /// As [`Table::secrets`], with at least one file.
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
