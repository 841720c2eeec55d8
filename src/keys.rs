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
    config::{API_KEY_PREFIX, Profile, SecretFileError, Settings, read_line},
    domain::{
        caller::api_key_hash,
        crypto::keyring::{Keyring, Kid, RingError, SECRET_BYTES, Secret, is_same},
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
    /// The key is an example that anybody can guess, or no random bytes.
    #[error("{0} holds a sample key; `countersign keys generate` makes a real one")]
    Sample(PathBuf),
    /// Another key of the settings has the same secret.
    #[error(
        "{path} holds the secret of {other} too; each key needs a file of its own, made by `countersign keys generate`"
    )]
    Twice {
        /// The path of the file.
        path: PathBuf,
        /// The path of the other key in the settings.
        other: String,
    },
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
    if keys.make_missing {
        let files = named_files(settings);
        let missing = files.iter().filter(|(_, path)| !path.exists());
        let made = missing.filter_map(|(key, path)| {
            let error = make_secret(path).err()?;
            Some((key.clone(), error))
        });
        errors.extend(made);
    }
    let read = read_all(settings, &mut errors);
    let Some((names, ring)) = read.split_first().filter(|_| errors.is_empty()) else {
        return Err(KeyErrors(errors));
    };
    let ring: Vec<_> = keys
        .ring
        .iter()
        .zip(ring)
        .map(|(entry, one)| (entry.kid.clone(), one.secret.clone()))
        .collect();
    Keyring::new(&names.secret, &ring)
        .map_err(|error| KeyErrors(vec![("keys.ring".to_owned(), error.into())]))
}

/// Every key file of the settings that cannot be used, with the path of its key in the settings.
#[must_use]
pub fn problems(settings: &Settings) -> Vec<(String, KeyError)> {
    let mut errors = Vec::new();
    read_all(settings, &mut errors);
    errors
}

/// A secret that was read from a key file.
struct ReadSecret {
    key: String,
    secret: Secret,
}

/// The path of each key in the settings, and its file; the names secret first.
fn named_files(settings: &Settings) -> Vec<(String, PathBuf)> {
    let keys = &settings.keys;
    let names = ("keys.names_file".to_owned(), keys.names_file.clone());
    let ring = keys
        .ring
        .iter()
        .map(|entry| (entry.key.clone(), entry.file.clone()));
    [names].into_iter().chain(ring).collect()
}

/// Reads all key files. No two may hold the same secret: whoever learned one would have the other too.
fn read_all(settings: &Settings, errors: &mut Vec<(String, KeyError)>) -> Vec<ReadSecret> {
    let mut read: Vec<ReadSecret> = Vec::new();
    for (key, path) in named_files(settings) {
        // A missing key of the settings is another mistake.
        if path.as_os_str().is_empty() {
            continue;
        }
        match read_secret(&path, settings.profile) {
            Err(error) => errors.push((key, error)),
            Ok(secret) => match read.iter().find(|other| is_same(&other.secret, &secret)) {
                Some(other) => {
                    let other = other.key.clone();
                    errors.push((key, KeyError::Twice { path, other }));
                }
                None => read.push(ReadSecret { key, secret }),
            },
        }
    }
    read
}

/// Generates `KID.key` in a directory, and `names.key` unless it exists; returns the paths of the new files.
///
/// # Errors
/// [`KeyError::Write`] if `KID.key` already exists or a file cannot be written.
pub fn generate(dir: &Path, kid: &Kid) -> Result<Vec<PathBuf>, KeyError> {
    let names = dir.join("names.key");
    let mut files = vec![dir.join(format!("{}.key", kid.as_str()))];
    if !names.exists() {
        files.insert(0, names);
    }
    for file in &files {
        make_secret(file)?;
    }
    Ok(files)
}

/// Generates an API key; returns the key, and its hash for the settings.
#[must_use]
pub fn api_key() -> (String, String) {
    let key = random_key(API_KEY_PREFIX);
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
    Ok(key.expose().to_owned())
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
    hex::decode_to_slice(text.expose(), &mut *secret)
        .map_err(|_| KeyError::Form(path.to_owned()))?;
    if profile == Profile::Production && is_sample(&secret) {
        return Err(KeyError::Sample(path.to_owned()));
    }
    Ok(secret)
}

/// Fewer different bytes than any 32 random ones have: fewer than 16 are met once in 10^15 keys.
const DIFFERENT_MIN: usize = 16;

/// Whether these are no random bytes: they repeat, count by equal steps, or are text, as keys in examples do.
fn is_sample(secret: &Secret) -> bool {
    let step = secret[1].wrapping_sub(secret[0]);
    let counts = secret
        .windows(2)
        .all(|pair| pair[1].wrapping_sub(pair[0]) == step);
    let mut different = Zeroizing::new(secret.to_vec());
    different.sort_unstable();
    different.dedup();
    let is_text = secret.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    counts || different.len() < DIFFERENT_MIN || is_text
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
    fn conf_04_a_ring_key_is_added_beside_existing_names() {
        let dir = tempfile::tempdir().unwrap();
        let kid = |kid| Kid::parse(kid).unwrap();
        generate(dir.path(), &kid("a")).unwrap();
        let names = fs::read(dir.path().join("names.key")).unwrap();
        let made = generate(dir.path(), &kid("b")).unwrap();
        assert_eq!(made, [dir.path().join("b.key")]);
        assert_eq!(fs::read(dir.path().join("names.key")).unwrap(), names);
    }

    #[test]
    fn role_05_sample_and_open_keys_are_refused_in_production() {
        let dir = tempfile::tempdir().unwrap();
        let sequence = hex::encode((0..32).collect::<Vec<u8>>());
        let down = hex::encode((100..132).rev().collect::<Vec<u8>>());
        let by_17 = hex::encode((0..32_u8).map(|n| n.wrapping_mul(0x11)).collect::<Vec<_>>());
        let text = hex::encode("correct horse battery staple 123");
        for sample in [
            "00".repeat(32),
            "ab".repeat(32),
            "deadbeef".repeat(8),
            "0123456789abcdef".repeat(4),
            sequence,
            down,
            by_17,
            text,
        ] {
            let path = file(dir.path(), &sample, 0o600);
            assert!(matches!(
                read_secret(&path, Profile::Production),
                Err(KeyError::Sample(_))
            ));
            assert!(read_secret(&path, Profile::Development).is_ok());
        }
        let real = hex::encode(random());
        let path = file(dir.path(), &format!("{real}\n"), 0o644);
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
