//! The only reader of files that settings name: passwords, tokens, signing keys, and the keys for records and TLS.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::Profile;
use crate::format::secret::SecretText;

/// The largest secret file. A service account's JSON file has 2.5 KB; an RSA private key of 8192 bits has 6.5 KB.
const BYTES_MAX: u64 = 64 * 1024;
/// The largest file that is not secret. All certificate authorities of a system together have 0.2 MB.
const PUBLIC_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The permission bits that no secret file may have: all of others, and writing for the group.
const NEVER: u32 = 0o027;
/// The permission to read for the group.
const GROUP_READS: u32 = 0o040;
/// The group of the superuser, who can read every file anyway.
const ROOT: u32 = 0;

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
    /// Users other than the owner can change it, or users outside its group can read it; production refuses that.
    #[error("{path} has mode {mode:03o}, so other users can read or change it; run chmod 600")]
    Open {
        /// The path of the file, as configured.
        path: PathBuf,
        /// The permission bits of the file.
        mode: u32,
    },
    /// A group that is none of this process can read it; production refuses that.
    #[error(
        "{path} has mode {mode:03o}, so group {gid} can read it, which is no group of this process; run chmod 600, or \
         chgrp to a group of the service"
    )]
    OpenToGroup {
        /// The path of the file, as configured.
        path: PathBuf,
        /// The permission bits of the file.
        mode: u32,
        /// The number of the group that the file belongs to.
        gid: u32,
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
    /// The text has characters that an editor or another system added, and that are no part of the secret.
    #[error("{path} {flaw}")]
    Flawed {
        /// The path of the file, as configured.
        path: PathBuf,
        /// What was found, and what to do.
        flaw: Flaw,
    },
}

/// Characters in a secret file that are no part of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A byte order mark at the beginning, as some editors write it.
    #[error("begins with a byte order mark; save it as UTF-8 without one")]
    ByteOrderMark,
    /// A NUL character, as in text of two bytes per character.
    #[error("has a NUL character; save it as plain UTF-8 text")]
    Nul,
    /// A carriage return, as at the end of a line on Windows.
    #[error("has a carriage return; save it with Unix line ends")]
    CarriageReturn,
    /// Another control character, such as a tab.
    #[error("has a control character; it must hold the secret alone")]
    Control,
    /// White space before or after the secret.
    #[error("begins or ends with a blank; it must hold the secret alone")]
    Blank,
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
/// [`SecretFileError`]; production also refuses files that others can read or change.
pub fn read_document(path: &Path, profile: Profile) -> Result<SecretText, SecretFileError> {
    let mut text = read(path, profile)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(SecretText::new(text))
}

/// Reads a secret of one line, such as a password or a token, without the line break at its end.
///
/// # Errors
/// As [`read_document`], and if the file has several lines, or anything beside the secret.
pub fn read_line(path: &Path, profile: Profile) -> Result<SecretText, SecretFileError> {
    let mut text = read(path, profile)?;
    if text.ends_with('\n') {
        text.pop();
    }
    let flawed = |flaw| SecretFileError::Flawed {
        path: path.to_owned(),
        flaw,
    };
    if text.contains('\r') {
        return Err(flawed(Flaw::CarriageReturn));
    }
    match text.split('\n').count() {
        1 => {}
        lines => {
            return Err(SecretFileError::Lines {
                path: path.to_owned(),
                lines,
            });
        }
    }
    if text.trim() != text {
        Err(flawed(Flaw::Blank))
    } else if text.contains(char::is_control) {
        Err(flawed(Flaw::Control))
    } else {
        Ok(SecretText::new(text))
    }
}

fn read(path: &Path, profile: Profile) -> Result<String, SecretFileError> {
    let unreadable = |error| SecretFileError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let file = open(path).map_err(unreadable)?;
    let file = file.ok_or_else(|| SecretFileError::NotAFile(path.to_owned()))?;
    if profile == Profile::Production {
        let metadata = file.metadata().map_err(unreadable)?;
        check_mode(path, (metadata.mode() & 0o777, metadata.gid()), &groups())?;
    }
    // Read directly as text: buffers dropped on the way are freed, and so wiped, by the wiping allocator.
    let mut text = String::new();
    let flawed = |flaw| SecretFileError::Flawed {
        path: path.to_owned(),
        flaw,
    };
    match file.take(BYTES_MAX + 1).read_to_string(&mut text) {
        Ok(bytes) if bytes as u64 > BYTES_MAX => Err(SecretFileError::TooLarge(path.to_owned())),
        Ok(_) if text.trim().is_empty() => Err(SecretFileError::Empty(path.to_owned())),
        Ok(_) if text.starts_with('\u{feff}') => Err(flawed(Flaw::ByteOrderMark)),
        Ok(_) if text.contains('\0') => Err(flawed(Flaw::Nul)),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(SecretFileError::NotText(path.to_owned()))
        }
        Err(error) => Err(unreadable(error)),
    }
}

/// Only the owner may change the file, and only the owner and a group of `ours` may read it. Orchestrators give mounted
/// secrets to such a group, as Kubernetes does by `fsGroup`; systemd gives them to root.
fn check_mode(path: &Path, (mode, gid): (u32, u32), ours: &[u32]) -> Result<(), SecretFileError> {
    let path = || path.to_owned();
    if mode & NEVER != 0 {
        return Err(SecretFileError::Open { path: path(), mode });
    }
    let is_ours = gid == ROOT || ours.contains(&gid);
    if mode & GROUP_READS != 0 && !is_ours {
        return Err(SecretFileError::OpenToGroup {
            path: path(),
            mode,
            gid,
        });
    }
    Ok(())
}

/// The groups of this process.
#[cfg(target_os = "linux")]
fn groups() -> Vec<u32> {
    let status = procfs::process::Process::myself().and_then(|process| process.status());
    status.map_or_else(
        |_| Vec::new(),
        |status| [vec![status.egid], status.groups].concat(),
    )
}

/// Unknown on other systems, where only the owner may read a secret.
#[cfg(not(target_os = "linux"))]
fn groups() -> Vec<u32> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

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
        for text in ["s3c ret", "s3c ret\n"] {
            let path = file(&dir, text.as_bytes(), 0o600);
            let secret = read_line(&path, Profile::Production).unwrap();
            assert_eq!(secret.expose(), "s3c ret", "{text:?}");
        }
    }

    #[test]
    fn conf_04_what_is_no_part_of_a_secret_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for (text, told) in [
            ("\u{feff}s3cret\n", "begins with a byte order mark"),
            ("s3\0cret", "has a NUL character"),
            ("s3cret\r\n", "has a carriage return"),
            ("s3cret\rs3cret", "has a carriage return"),
            ("s3cret\n\n", "has 2 lines"),
            ("\ns3cret", "has 2 lines"),
            ("s3cret\ns3cret\n", "has 2 lines"),
            (" s3cret", "begins or ends with a blank"),
            ("s3cret \n", "begins or ends with a blank"),
            ("s3cret\t\n", "begins or ends with a blank"),
            ("s3cret\u{a0}", "begins or ends with a blank"),
            ("s3\tcret", "has a control character"),
        ] {
            let path = file(&dir, text.as_bytes(), 0o600);
            for profile in [Profile::Development, Profile::Production] {
                let error = read_line(&path, profile).unwrap_err().to_string();
                let expected = format!("{} {told}", path.display());
                assert!(error.starts_with(&expected), "{text:?}: {error}");
                assert!(!error.contains("s3"), "{error}");
            }
        }
        for (text, told) in [
            (
                "\u{feff}-----BEGIN\nAA\n-----END\n",
                "begins with a byte order mark",
            ),
            ("-----BEGIN\n\0\n-----END\n", "has a NUL character"),
        ] {
            let path = file(&dir, text.as_bytes(), 0o600);
            let error = read_document(&path, Profile::Production).unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn a_document_keeps_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, b"-----BEGIN\r\nAA\r\n-----END\r\n", 0o600);
        let document = read_document(&path, Profile::Production).unwrap();
        assert_eq!(document.expose(), "-----BEGIN\r\nAA\r\n-----END");
        let path = file(&dir, b"-----BEGIN\nAA\n-----END\n", 0o600);
        let error = read_line(&path, Profile::Production).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("has 3 lines; it must hold the secret on one line")
        );
    }

    #[test]
    fn role_05_production_refuses_a_secret_that_others_can_read_or_change() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o604, 0o660, 0o622, 0o644, 0o444, 0o601] {
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
    fn conf_04_a_group_of_ours_may_read_a_secret_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o440] {
            // A new file belongs to a group of this process.
            let path = file(&dir, b"s3cret", mode);
            assert!(read_line(&path, Profile::Production).is_ok(), "{mode:o}");
            let link = dir.path().join(format!("link-{mode}"));
            symlink(&path, &link).unwrap();
            assert!(read_line(&link, Profile::Production).is_ok());
            let check = |gid, ours: &[u32]| check_mode(&path, (mode, gid), ours);
            assert!(check(4242, &[100, 4242]).is_ok() && check(0, &[100]).is_ok());
            let error = check(4242, &[100]).unwrap_err().to_string();
            assert!(error.contains("so group 4242 can read it"), "{error}");
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
