//! Key files: reads, checks and generates them.

use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::{
    config::{Profile, SecretFileError, Settings, read_line},
    domain::{
        caller::api_key_hash,
        crypto::keyring::{Keyring, Kid, RingError, SECRET_BYTES, Secret},
    },
    format::base58,
};

/// The file in `data_dir` with the API key of the development caller.
const DEVELOPMENT_KEY_FILE: &str = "development.key";
/// The number of base58 digits for 32 bytes.
const API_KEY_DIGITS: usize = 44;

/// Why a key file cannot be used. The message never shows the content of the file.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read, or is also accessible to others than its owner.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The file cannot be created or written.
    #[error("{path} cannot be written: {error}")]
    Write {
        /// The path of the file that was to be written.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The file does not contain a key in hexadecimal.
    #[error("{0} must hold 64 hex digits, which are 32 random bytes")]
    Form(PathBuf),
    /// The key is an example that anybody can guess.
    #[error("{0} holds a sample key; `countersign keys generate` makes a real one")]
    Sample(PathBuf),
    /// The keys do not form a ring: there is none, or two have the same id.
    #[error(transparent)]
    Ring(#[from] RingError),
}

/// All keys in the settings whose files cannot be used, each with its path in the settings.
#[derive(Debug)]
pub struct KeyErrors(pub Vec<(String, KeyError)>);

impl fmt::Display for KeyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (key, error)) in self.0.iter().enumerate() {
            let gap = if at == 0 { "" } else { "; " };
            write!(f, "{gap}{key}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for KeyErrors {}

/// Loads the key ring that the settings describe. In development, missing files are generated.
///
/// # Errors
/// [`KeyErrors`] lists every key whose file cannot be used.
pub fn load(settings: &Settings) -> Result<Keyring, KeyErrors> {
    let keys = &settings.keys;
    let mut errors = Vec::new();
    let mut read = |key: String, path: &Path| {
        if keys.make_missing && !path.exists() {
            make_secret(path)
                .map_err(|error| errors.push((key.clone(), error)))
                .ok()?;
        }
        let secret = read_secret(path, settings.profile);
        secret.map_err(|error| errors.push((key, error))).ok()
    };
    let names = read("keys.names_file".to_owned(), &keys.names_file);
    let mut ring = Vec::new();
    for (at, entry) in keys.ring.iter().enumerate() {
        let secret = read(format!("keys.ring.{at}.file"), &entry.file);
        ring.extend(secret.map(|secret| (entry.kid.clone(), secret)));
    }
    let names = match names {
        Some(names) if errors.is_empty() => names,
        Some(_) | None => return Err(KeyErrors(errors)),
    };
    Keyring::new(&names, &ring)
        .map_err(|error| KeyErrors(vec![("keys.ring".to_owned(), error.into())]))
}

/// Generates `names.key` and `KID.key` in a directory; returns their paths.
///
/// # Errors
/// [`KeyError::Write`] if a file already exists or cannot be written.
pub fn generate(dir: &Path, kid: &Kid) -> Result<Vec<PathBuf>, KeyError> {
    let files = [
        dir.join("names.key"),
        dir.join(format!("{}.key", kid.as_str())),
    ];
    if let Some(existing) = files.iter().find(|file| file.exists()) {
        return Err(KeyError::Write {
            path: existing.clone(),
            error: io::ErrorKind::AlreadyExists.into(),
        });
    }
    for file in &files {
        make_secret(file)?;
    }
    Ok(files.to_vec())
}

/// Generates an API key; returns the key, and its hash for the settings.
#[must_use]
pub fn api_key() -> (String, String) {
    let key = random_key("csk_");
    let hash = hex::encode(api_key_hash(&key));
    (key, hash)
}

/// The API key of the development caller; generated at the first start.
///
/// # Errors
/// [`KeyError`] if its file cannot be read or written.
pub fn development_api_key(data_dir: &Path) -> Result<String, KeyError> {
    let path = data_dir.join(DEVELOPMENT_KEY_FILE);
    if !path.exists() {
        write_new(&path, &random_key("csk_dev_"))?;
    }
    let key = read_line(&path, Profile::Development)?;
    Ok(key.expose().trim().to_owned())
}

/// Generates an API key: a prefix for its kind, and 32 random bytes in base58.
fn random_key(prefix: &str) -> String {
    let digits = base58::encode::<API_KEY_DIGITS>(random().as_slice());
    let digits: String = digits.into_iter().map(char::from).collect();
    format!("{prefix}{digits}")
}

fn read_secret(path: &Path, profile: Profile) -> Result<Secret, KeyError> {
    let text = read_line(path, profile)?;
    let mut secret = Secret::new([0; SECRET_BYTES]);
    hex::decode_to_slice(text.expose().trim_end(), &mut *secret)
        .map_err(|_| KeyError::Form(path.to_owned()))?;
    if profile == Profile::Production && is_sample(&secret) {
        return Err(KeyError::Sample(path.to_owned()));
    }
    Ok(secret)
}

/// Whether all bytes are equal or count upwards, as keys in examples do.
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

/// Writes a new file that only its owner can read; never overwrites one.
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
    write().map_err(|error| KeyError::Write {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

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
            Err(KeyError::File(SecretFileError::Open { .. }))
        ));
        let path = file(dir.path(), &real, 0o600);
        assert!(read_secret(&path, Profile::Production).is_ok());
    }

    #[test]
    fn a_key_file_holds_sixty_four_hex_digits() {
        let dir = tempfile::tempdir().unwrap();
        for wrong in ["00", &"0".repeat(63), &"0".repeat(66), &"x".repeat(64)] {
            let error =
                read_secret(&file(dir.path(), wrong, 0o600), Profile::Development).unwrap_err();
            assert!(matches!(error, KeyError::Form(_)) && !error.to_string().contains(wrong));
        }
    }

    #[test]
    fn an_api_key_is_known_by_its_hash() {
        let (key, hash) = api_key();
        let digits = key.strip_prefix("csk_").unwrap().as_bytes();
        assert_eq!(digits.len(), API_KEY_DIGITS);
        assert!(base58::decode::<SECRET_BYTES>(digits).is_some());
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
