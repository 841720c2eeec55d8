//! Key files: read, checked, and made.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::{
    config::{Profile, Settings},
    domain::{
        caller::api_key_hash,
        crypto::keyring::{Keyring, Kid, RingError, SECRET_BYTES, Secret},
    },
};

/// The file of the development caller's key, in `data_dir`.
const DEVELOPMENT_KEY_FILE: &str = "development.key";

/// Why a key file cannot be used. None of these shows what is in it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system refused.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It does not hold a key.
    #[error("{0}: must hold 64 hex digits, which are 32 random bytes")]
    Form(PathBuf),
    /// Others can read it.
    #[error("{0}: can be read by others; chmod 600 it")]
    Open(PathBuf),
    /// Anybody can guess it.
    #[error("{0}: holds a sample key; `countersign keys generate` makes a real one")]
    Sample(PathBuf),
    /// The ring cannot be.
    #[error("keys.ring: {0}")]
    Ring(#[from] RingError),
}

/// The keyring of the settings. In development missing files are made.
///
/// # Errors
/// [`KeyError`].
pub fn load(settings: &Settings) -> Result<Keyring, KeyError> {
    let keys = &settings.keys;
    let read = |path: &Path| {
        if keys.make_missing && !path.exists() {
            make_secret(path)?;
        }
        read_secret(path, settings.profile)
    };
    let names = read(&keys.names_file)?;
    let ring: Result<Vec<_>, KeyError> = keys
        .ring
        .iter()
        .map(|entry| Ok((entry.kid.clone(), read(&entry.file)?)))
        .collect();
    Ok(Keyring::new(&names, &ring?)?)
}

/// Makes `names.key` and `KID.key` in a directory; gives their paths.
///
/// # Errors
/// A file exists already, or cannot be written.
pub fn generate(dir: &Path, kid: &Kid) -> Result<Vec<PathBuf>, KeyError> {
    let files = [
        dir.join("names.key"),
        dir.join(format!("{}.key", kid.as_str())),
    ];
    if let Some(existing) = files.iter().find(|file| file.exists()) {
        return Err(KeyError::Io {
            path: existing.clone(),
            error: io::ErrorKind::AlreadyExists.into(),
        });
    }
    for file in &files {
        make_secret(file)?;
    }
    Ok(files.to_vec())
}

/// A fresh API key, and the hash that goes into the settings.
#[must_use]
pub fn api_key() -> (String, String) {
    let key = format!("csk_{}", bs58::encode(random().as_slice()).into_string());
    let hash = hex::encode(api_key_hash(&key));
    (key, hash)
}

/// The development caller's key, made at the first start.
///
/// # Errors
/// Its file cannot be read or written.
pub fn development_api_key(data_dir: &Path) -> Result<String, KeyError> {
    let path = data_dir.join(DEVELOPMENT_KEY_FILE);
    if !path.exists() {
        let key = format!(
            "csk_dev_{}",
            bs58::encode(random().as_slice()).into_string()
        );
        write_new(&path, &key)?;
    }
    let text = fs::read_to_string(&path).map_err(|error| KeyError::Io { path, error })?;
    Ok(text.trim().to_owned())
}

fn read_secret(path: &Path, profile: Profile) -> Result<Secret, KeyError> {
    let io = |error| KeyError::Io {
        path: path.to_owned(),
        error,
    };
    let text = Zeroizing::new(fs::read_to_string(path).map_err(io)?);
    let mut secret = Secret::new([0; SECRET_BYTES]);
    hex::decode_to_slice(text.trim_end(), &mut *secret)
        .map_err(|_| KeyError::Form(path.to_owned()))?;
    if profile == Profile::Production {
        if fs::metadata(path).map_err(io)?.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Open(path.to_owned()));
        }
        if is_sample(&secret) {
            return Err(KeyError::Sample(path.to_owned()));
        }
    }
    Ok(secret)
}

/// All bytes equal, or each one more than the one before: what people type into examples.
fn is_sample(secret: &Secret) -> bool {
    let step = secret[1].wrapping_sub(secret[0]);
    step <= 1
        && secret
            .windows(2)
            .all(|pair| pair[1].wrapping_sub(pair[0]) == step)
}

fn make_secret(path: &Path) -> Result<(), KeyError> {
    write_new(path, &Zeroizing::new(hex::encode(random())))
}

fn random() -> Zeroizing<[u8; SECRET_BYTES]> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    rand::fill(&mut *bytes).expect("the system's random generator works");
    bytes
}

/// Writes a file that only its owner can read, and never over an existing one.
fn write_new(path: &Path, text: &str) -> Result<(), KeyError> {
    let write = || {
        if let Some(dir) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)?;
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        writeln!(file, "{text}")?;
        file.sync_all()
    };
    write().map_err(|error| KeyError::Io {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path, text: &str, mode: u32) -> PathBuf {
        let path = dir.join("k.key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn generated_keys_are_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let kid = Kid::parse("k1").unwrap();
        let files = generate(&dir.path().join("keys"), &kid).unwrap();
        for file in &files {
            assert_eq!(
                fs::metadata(file).unwrap().permissions().mode() & 0o777,
                0o600
            );
            assert!(read_secret(file, Profile::Production).is_ok());
        }
        assert_ne!(fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
        assert!(generate(&dir.path().join("keys"), &kid).is_err());
    }

    #[test]
    fn role_05_sample_and_open_keys_are_refused_in_production() {
        let dir = tempfile::tempdir().unwrap();
        let sequence = hex::encode((0..32).collect::<Vec<u8>>());
        for sample in ["00".repeat(32), "ab".repeat(32), sequence] {
            let path = file(dir.path(), &sample, 0o600);
            assert!(matches!(
                read_secret(&path, Profile::Production),
                Err(KeyError::Sample(_))
            ));
            assert!(read_secret(&path, Profile::Development).is_ok());
        }
        let real = hex::encode(random());
        let path = file(dir.path(), &format!("{real}\n"), 0o640);
        assert!(matches!(
            read_secret(&path, Profile::Production),
            Err(KeyError::Open(_))
        ));
        let path = file(dir.path(), &real, 0o600);
        assert!(read_secret(&path, Profile::Production).is_ok());
    }

    #[test]
    fn a_key_file_holds_sixty_four_hex_digits() {
        let dir = tempfile::tempdir().unwrap();
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(66), &"x".repeat(64)] {
            let error =
                read_secret(&file(dir.path(), wrong, 0o600), Profile::Development).unwrap_err();
            assert!(
                matches!(error, KeyError::Form(_))
                    && (wrong.is_empty() || !error.to_string().contains(wrong))
            );
        }
    }

    #[test]
    fn an_api_key_is_known_by_its_hash() {
        let (key, hash) = api_key();
        assert!(key.starts_with("csk_") && key.len() > 40);
        assert_eq!(hex::encode(api_key_hash(&key)), hash);
        assert_ne!(api_key().0, key);
    }

    #[test]
    fn the_development_key_stays() {
        let dir = tempfile::tempdir().unwrap();
        let key = development_api_key(dir.path()).unwrap();
        assert_eq!(development_api_key(dir.path()).unwrap(), key);
    }
}
