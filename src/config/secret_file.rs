//! The only reader of files that settings name: passwords, tokens, signing keys, and the keys for records and TLS.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::Profile;
use crate::format::secret::SecretText;

/// The largest secret file. A service account's JSON file has 2.5 KB; an RSA private key of 8192 bits has 6.5 KB.
const BYTES_MAX: u64 = 64 * 1024;
/// The largest file that is not secret. All certificate authorities of a system together have 0.2 MB.
const PUBLIC_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The permission bits of everybody except the file's owner.
const OTHERS: u32 = 0o077;

/// Why a secret file cannot be used. The message names the file and the cure, and never shows the content.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The operating system refused to open or read the file.
    #[error("{path} cannot be read: {error}")]
    Unreadable {
        /// The path of the file, as configured.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// Not a regular file, but a directory, a pipe or a device. Reading a pipe could wait for ever.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// Users other than the owner can read or change it; production refuses that.
    #[error("{path} has mode {mode:03o}, so other users can read or change it; run chmod 600")]
    Open {
        /// The path of the file, as configured.
        path: PathBuf,
        /// The permission bits of the file.
        mode: u32,
    },
    /// The file contains only white space.
    #[error("{0} is empty")]
    Empty(PathBuf),
    /// The file is larger than any secret.
    #[error("{0} is larger than 64 KiB, so it is not a secret")]
    TooLarge(PathBuf),
    /// The file is not UTF-8.
    #[error("{0} is not a text file")]
    NotText(PathBuf),
    /// The file has several lines, but a password, token or hexadecimal key is one line.
    #[error("{path} has {lines} lines; it must hold the secret on one line")]
    Lines {
        /// The path of the file, as configured.
        path: PathBuf,
        /// The number of lines found.
        lines: usize,
    },
}

/// Opens a regular file; `None` if it is of another kind, which is not opened: that could wait for ever.
fn open(path: &Path) -> io::Result<Option<File>> {
    if std::fs::metadata(path)?.is_file() {
        File::open(path).map(Some)
    } else {
        Ok(None)
    }
}

/// Reads the bytes of a file that is not secret, such as certificates.
///
/// # Errors
/// [`io::Error`]; also if it is not a regular file, or larger than 4 MiB.
pub fn read_public(path: &Path) -> io::Result<Vec<u8>> {
    let file = open(path)?.ok_or_else(|| io::Error::other("it is not a regular file"))?;
    let mut bytes = Vec::new();
    file.take(PUBLIC_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PUBLIC_BYTES_MAX {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    Ok(bytes)
}

/// Reads the whole text of a file, such as a private key in PEM form, without the line breaks at its end.
///
/// # Errors
/// [`SecretFileError`]; production also refuses files that users other than their owner can read or change.
pub fn read_document(path: &Path, profile: Profile) -> Result<SecretText, SecretFileError> {
    let unreadable = |error| SecretFileError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let file = open(path).map_err(unreadable)?;
    let file = file.ok_or_else(|| SecretFileError::NotAFile(path.to_owned()))?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    if profile == Profile::Production && mode & OTHERS != 0 {
        let path = path.to_owned();
        return Err(SecretFileError::Open { path, mode });
    }
    // Read directly as text: buffers dropped on the way are freed, and so wiped, by the wiping allocator.
    let mut text = String::new();
    match file.take(BYTES_MAX + 1).read_to_string(&mut text) {
        Ok(bytes) if bytes as u64 > BYTES_MAX => Err(SecretFileError::TooLarge(path.to_owned())),
        Ok(_) if text.trim().is_empty() => Err(SecretFileError::Empty(path.to_owned())),
        Ok(_) => {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
            Ok(SecretText::new(text))
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(SecretFileError::NotText(path.to_owned()))
        }
        Err(error) => Err(unreadable(error)),
    }
}

/// Reads a secret of one line, such as a password or a token.
///
/// # Errors
/// As [`read_document`], and if the file has several lines.
pub fn read_line(path: &Path, profile: Profile) -> Result<SecretText, SecretFileError> {
    let secret = read_document(path, profile)?;
    match secret.expose().lines().count() {
        1 => Ok(secret),
        lines => Err(SecretFileError::Lines {
            path: path.to_owned(),
            lines,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(dir: &tempfile::TempDir, bytes: &[u8], mode: u32) -> PathBuf {
        let path = dir.path().join("secret");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_secret_is_the_line_without_its_line_break() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["s3cret", "s3cret\n", "s3cret\r\n", "s3cret\n\n"] {
            let path = file(&dir, text.as_bytes(), 0o600);
            let secret = read_line(&path, Profile::Production).unwrap();
            assert_eq!(secret.expose(), "s3cret", "{text:?}");
        }
        let spaced = file(&dir, b" s3cret \n", 0o600);
        let secret = read_line(&spaced, Profile::Production).unwrap();
        assert_eq!(secret.expose(), " s3cret ", "spaces belong to a password");
    }

    #[test]
    fn a_document_keeps_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, b"-----BEGIN\nAA\n-----END\n", 0o600);
        let document = read_document(&path, Profile::Production).unwrap();
        assert_eq!(document.expose(), "-----BEGIN\nAA\n-----END");
        let error = read_line(&path, Profile::Production).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("has 3 lines; it must hold the secret on one line")
        );
    }

    #[test]
    fn role_05_production_refuses_a_secret_that_others_can_read() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o660, 0o622, 0o644] {
            let path = file(&dir, b"s3cret", mode);
            let error = read_line(&path, Profile::Production)
                .unwrap_err()
                .to_string();
            let expected = format!(
                "{} has mode {mode:03o}, so other users can read or change it; run chmod 600",
                path.display()
            );
            assert_eq!(error, expected);
            assert!(read_line(&path, Profile::Development).is_ok(), "{mode:o}");
        }
        for mode in [0o600, 0o400] {
            assert!(read_line(&file(&dir, b"s3cret", mode), Profile::Production).is_ok());
        }
    }

    #[test]
    fn every_other_fault_of_a_file_is_told_with_its_path_and_without_its_text() {
        let dir = tempfile::tempdir().unwrap();
        let large = vec![b'x'; 64 * 1024 + 1];
        for (bytes, part) in [
            (b"".as_slice(), "is empty"),
            (b" \n", "is empty"),
            (b"\xff\xfes3cret", "is not a text file"),
            (&large, "is larger than 64 KiB"),
        ] {
            let path = file(&dir, bytes, 0o600);
            let error = read_document(&path, Profile::Development)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(part) && error.contains(path.to_str().unwrap()),
                "{error}"
            );
            assert!(!error.contains("s3cret"), "{error}");
        }
        for no_file in [dir.path(), Path::new("/dev/null")] {
            let error = read_document(no_file, Profile::Development).unwrap_err();
            assert!(
                error.to_string().ends_with("is not a regular file"),
                "{error}"
            );
            assert!(read_public(no_file).is_err());
        }
        let absent = read_document(&dir.path().join("absent"), Profile::Development).unwrap_err();
        assert!(
            absent
                .to_string()
                .contains("absent cannot be read: No such file"),
            "{absent}"
        );
    }
}
