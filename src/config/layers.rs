//! The layers of the settings: embedded defaults, one file, and environment variables.

use std::path::Path;

use config::{Config, ConfigError, Environment, File, FileFormat, Map, Value};

use super::Profile;

pub(super) const DEFAULT: &str = include_str!("default.toml");
const DEVELOPMENT: &str = include_str!("development.toml");

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
    let variables = Environment::with_prefix("COUNTERSIGN")
        .prefix_separator("__")
        .separator("__")
        .source(Some(env.clone()));
    builder.add_source(variables).build()
}
