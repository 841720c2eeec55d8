//! The layers of the settings: embedded defaults, one file, and environment variables.

use std::path::Path;

use config::{Config, ConfigError, Environment, File, FileFormat, Map, Value, ValueKind};

use super::{Mistake, Profile};

pub(super) const DEFAULT: &str = include_str!("default.toml");
const DEVELOPMENT: &str = include_str!("development.toml");

/// What all variables that are settings begin with, and what stands between the parts of a key.
const PREFIX: &str = "COUNTERSIGN";
const SEPARATOR: &str = "__";

/// The key of the profile.
pub(super) const PROFILE: &str = "profile";

/// Merges the layers into one table. The development profile adds a layer between the defaults and the file.
pub(super) fn layered(
    file: Option<&Path>,
    env: &Map<String, String>,
) -> Result<(Profile, Map<String, Value>), ConfigError> {
    let production = merged(file, env, &[DEFAULT])?;
    let profile = production.get_string(PROFILE);
    if profile.is_ok_and(|profile| profile == "development") {
        return Ok((Profile::Development, with_development(file, env)?));
    }
    Ok((Profile::Production, production.cache.into_table()?))
}

pub(super) fn with_development(
    file: Option<&Path>,
    env: &Map<String, String>,
) -> Result<Map<String, Value>, ConfigError> {
    merged(file, env, &[DEFAULT, DEVELOPMENT])?
        .cache
        .into_table()
}

fn merged(
    file: Option<&Path>,
    env: &Map<String, String>,
    embedded: &[&str],
) -> Result<Config, ConfigError> {
    let mut builder = Config::builder();
    for text in embedded {
        builder = builder.add_source(File::from_str(text, FileFormat::Toml));
    }
    if let Some(file) = file {
        builder = builder.add_source(File::from(file).format(FileFormat::Toml));
    }
    let variables = Environment::with_prefix(PREFIX)
        .prefix_separator(SEPARATOR)
        .separator(SEPARATOR)
        .source(Some(env.clone()));
    builder.add_source(variables).build()
}

/// The environment variables that are settings, and mistakes: names that are written almost like one, because a variable
/// that is silently not read may be the one that was to make the service safe.
pub(super) fn of_environment(
    all: impl Iterator<Item = (String, String)>,
) -> (Map<String, String>, Vec<Mistake>) {
    let known = known_variables();
    let (mut settings, mut mistakes) = (Map::new(), Vec::new());
    for (name, value) in all {
        let meant = known.iter().find(|known| plain(known) == plain(&name));
        let parts = name.strip_prefix(PREFIX);
        let parts = parts.and_then(|rest| rest.strip_prefix(SEPARATOR));
        let what = match (meant, parts) {
            (Some(meant), _) if *meant != name => format!("is not read; write {meant}"),
            (None, Some(parts)) if parts.split(SEPARATOR).any(str::is_empty) => {
                "names no setting; write COUNTERSIGN__SECTION__KEY".to_owned()
            }
            (_, Some(_)) => {
                settings.insert(name, value);
                continue;
            }
            (_, None) => continue,
        };
        mistakes.push(Mistake { key: name, what });
    }
    (settings, mistakes)
}

/// A name without what is easily mistaken in it: the number of underscores, and letter case.
fn plain(name: &str) -> String {
    name.replace('_', "").to_ascii_uppercase()
}

/// The variables of all settings that have a default.
fn known_variables() -> Vec<String> {
    let embedded = Config::builder().add_source(File::from_str(DEFAULT, FileFormat::Toml));
    let values = embedded.build().and_then(|read| read.cache.into_table());
    let mut variables = Vec::new();
    // The embedded file can be read: each start reads it.
    collect(PREFIX, &values.unwrap_or_default(), &mut variables);
    variables
}

fn collect(path: &str, values: &Map<String, Value>, variables: &mut Vec<String>) {
    for (key, value) in values {
        let path = format!("{path}{SEPARATOR}{}", key.to_ascii_uppercase());
        match &value.kind {
            ValueKind::Table(values) => collect(&path, values, variables),
            _ => variables.push(path),
        }
    }
}

/// Why the layers cannot be merged, with its place. The line itself is not shown, because it may hold a secret.
pub(super) fn unreadable(file: Option<&Path>, error: &ConfigError) -> String {
    let text = error.to_string();
    let ConfigError::FileParse { cause, .. } = error else {
        return text;
    };
    let name = file.map_or_else(String::new, |file| format!("{}: ", file.display()));
    let cause = cause.to_string();
    let told = cause.lines().filter(|line| {
        let after_number = line.trim_start().trim_start_matches(char::is_numeric);
        !line.is_empty() && !after_number.trim_start().starts_with('|')
    });
    let told = told.collect::<Vec<_>>().join(": ");
    match file.and_then(too_large) {
        Some((line, key)) if !told.contains("line ") => {
            format!("{name}line {line}: the number of {key} is too large")
        }
        _ => format!("{name}{told}"),
    }
}

/// The first line with a number that does not fit into 64 bits, which the reader reports without its place.
fn too_large(file: &Path) -> Option<(usize, String)> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().enumerate().find_map(|(at, line)| {
        let (key, value) = line.split_once('=')?;
        let digits = value.split('#').next()?.trim().replace('_', "");
        let is_number = digits
            .bytes()
            .all(|b| b.is_ascii_digit() || b == b'-' || b == b'+');
        let fits = digits.parse::<i64>().is_ok();
        (is_number && !digits.is_empty() && !fits).then(|| (at + 1, key.trim().to_owned()))
    })
}
