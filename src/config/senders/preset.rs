//! Presets: providers known by name. A preset describes requests and answers as data; the operator adds account data.

use std::collections::BTreeMap;

use config::{Config, File, FileFormat};

use super::{
    super::{Profile, Table, reader::book::Book},
    ConfiguredSender, Section, connection,
    http::{answers, configured, languages, request},
    receipts::Receipts,
};
use crate::{
    domain::recipient::Channel,
    format::secret::SecretText,
    sender::http::{Auth, HttpSettings, RequestSettings},
};

/// The value in `needs` of a channel whose provider calls us during a voice call; such callbacks must be verified.
const RECEIPTS: &str = "receipts";

pub(super) fn twilio(section: &mut Section<'_>) -> ConfiguredSender {
    preset(include_str!("presets/twilio.toml"), section)
}

pub(super) fn vonage(section: &mut Section<'_>) -> ConfiguredSender {
    preset(include_str!("presets/vonage.toml"), section)
}

pub(super) fn vonage_voice(section: &mut Section<'_>) -> ConfiguredSender {
    preset(include_str!("presets/vonage_voice.toml"), section)
}

pub(super) fn messagebird(section: &mut Section<'_>) -> ConfiguredSender {
    preset(include_str!("presets/messagebird.toml"), section)
}

pub(super) fn infobip(section: &mut Section<'_>) -> ConfiguredSender {
    preset(include_str!("presets/infobip.toml"), section)
}

pub(super) fn whatsapp_cloud(section: &mut Section<'_>) -> ConfiguredSender {
    preset(include_str!("presets/whatsapp_cloud.toml"), section)
}

/// Reads an operator's section for a preset.
fn preset(source: &str, section: &mut Section<'_>) -> ConfiguredSender {
    let built = Config::builder().add_source(File::from_str(source, FileFormat::Toml));
    let values = built.build().and_then(|read| read.cache.into_table());
    // Presets are embedded in the program, and a test reads them all.
    let values = values.expect("the preset is TOML");
    let book = Book::new(Profile::Production);
    let sender = read(Table::root(values, &book), section);
    debug_assert!(book.into_mistakes().is_empty(), "the preset is right");
    sender
}

fn read(mut preset: Table<'_>, section: &mut Section<'_>) -> ConfiguredSender {
    let row = &mut section.row;
    let base_url = match preset.text("base_url") {
        Some(default) => Some(row.text("base_url").unwrap_or(default)),
        None => row.required("base_url"),
    };
    let parameters = parameters(&mut preset, row);
    let auth = auth(&mut preset, row, &parameters);
    let mut of_answers = preset.table("answers");
    let answers = answers(&mut of_answers);
    of_answers.finish();
    let connection = connection(row);
    let languages = languages(row);
    let secret = auth.as_ref().and_then(secret);
    let receipts = Receipts::of_preset(preset.table("receipts"), section, secret);
    // Receipts with a mistake are meant to be there.
    let has_receipts = receipts.is_some() || section.row.is_mistaken_within("receipts");
    let channels = channels(preset.table("channels"));
    preset.finish();
    let base_url = base_url.unwrap_or_default();
    let (mut requests, mut missing) = (BTreeMap::new(), BTreeMap::new());
    for (name, PresetChannel { needs, mut request }) in channels {
        let lacking = lacking(needs, &parameters, has_receipts);
        if lacking.is_empty() {
            request.url.insert_str(0, base_url.trim_end_matches('/'));
            requests.insert(name, request);
        } else {
            missing.insert(name, lacking);
        }
    }
    if requests.is_empty() {
        let keys: Vec<&str> = missing.values().map(String::as_str).collect();
        let what = format!("carries no channel; set {}", keys.join(", or "));
        section.row.mistake_here(what);
    }
    let settings = HttpSettings {
        requests,
        missing,
        url_key: "base_url",
        parameters,
        languages,
        secrets: BTreeMap::new(),
        auth: auth.unwrap_or(Auth::None),
        answers,
        addresses: None,
        connection,
    };
    configured(section, settings, receipts)
}

/// The keys that are missing for a channel with these needs; empty if none is.
fn lacking(needs: Vec<String>, set: &BTreeMap<String, String>, receipts: bool) -> String {
    let mut lacking = Vec::new();
    for key in needs {
        if key != RECEIPTS && !set.contains_key(&key) {
            lacking.push(key);
        } else if key == RECEIPTS && !receipts {
            lacking.push("http.public_url and receipts".to_owned());
        }
    }
    lacking.join(", ")
}

/// Reads the operator's own values, which the preset's templates use.
fn parameters(preset: &mut Table<'_>, row: &mut Table<'_>) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for key in preset.list("required").unwrap_or_default() {
        // A template that uses a missing value is no mistake of its own.
        let value = row.required(&key).unwrap_or_default();
        parameters.insert(key, value);
    }
    for key in preset.list("optional").unwrap_or_default() {
        parameters.extend(row.text(&key).map(|value| (key, value)));
    }
    parameters
}

/// Reads how we authenticate to the provider: by user name, by the key of an application, or by a header.
fn auth(
    preset: &mut Table<'_>,
    row: &mut Table<'_>,
    parameters: &BTreeMap<String, String>,
) -> Option<Auth> {
    let file = preset.required("secret")?;
    let (username, application) = (preset.text("username"), preset.text("application"));
    let (name, prefix) = (preset.text("auth_header"), preset.text("auth_prefix"));
    if let Some(key) = application {
        let private_key = row.required_document(&file);
        return Some(Auth::Application {
            id: parameters.get(&key).cloned()?,
            private_key: private_key?,
        });
    }
    let secret = row.required_secret(&file);
    if let Some(key) = username {
        return Some(Auth::Basic {
            username: parameters.get(&key).cloned()?,
            password: secret?,
        });
    }
    Some(Auth::Header {
        name: name?,
        prefix: prefix.unwrap_or_default(),
        token: secret?,
    })
}

fn secret(auth: &Auth) -> Option<SecretText> {
    match auth {
        Auth::Basic { password, .. } => Some(password.clone()),
        Auth::Header { token, .. } => Some(token.clone()),
        Auth::Application { private_key, .. } => Some(private_key.clone()),
        Auth::None => None,
    }
}

/// A channel that a preset supports.
struct PresetChannel {
    /// The keys that the operator must set to use the channel.
    needs: Vec<String>,
    /// The request; its URL is only the path.
    request: RequestSettings,
}

fn channels(mut table: Table<'_>) -> BTreeMap<Channel, PresetChannel> {
    let mut channels = BTreeMap::new();
    for (name, mut row) in table.named() {
        let needs = row.list("needs").unwrap_or_default();
        let path = row.required("path").unwrap_or_default();
        let request = request(&mut row, path);
        row.finish();
        if let Some(channel) = Channel::from_name(&name) {
            channels.insert(channel, PresetChannel { needs, request });
        }
    }
    channels
}
