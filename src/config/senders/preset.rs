//! Providers that are known by name: requests and answers are data, and an operator gives what is their own.

use std::{collections::BTreeMap, path::PathBuf};

use config::{Config, File, FileFormat};

use super::{
    super::{Table, reader::book::Book},
    http::{Connection, HttpAuth, HttpRequest, HttpSender, answers, request},
    receipts::Receipts,
};
use crate::domain::recipient::Channel;

/// The name of each, and its file.
pub(super) const PRESETS: [(&str, &str); 6] = [
    ("twilio", include_str!("presets/twilio.toml")),
    ("vonage", include_str!("presets/vonage.toml")),
    ("vonage_voice", include_str!("presets/vonage_voice.toml")),
    ("messagebird", include_str!("presets/messagebird.toml")),
    ("infobip", include_str!("presets/infobip.toml")),
    (
        "whatsapp_cloud",
        include_str!("presets/whatsapp_cloud.toml"),
    ),
];

/// Reads an operator's section for a preset.
pub(super) fn preset(source: &str, row: &mut Table<'_>, public: bool) -> Option<HttpSender> {
    let values = Config::builder()
        .add_source(File::from_str(source, FileFormat::Toml))
        .build()
        .ok()?
        .cache
        .into_table()
        .ok()?;
    let book = Book::default();
    let read = read(Table::root(values, &book), row, public);
    // They are part of the program, and a test reads them all.
    debug_assert!(book.into_mistakes().is_empty(), "the preset is right");
    read
}

fn read(mut preset: Table<'_>, row: &mut Table<'_>, public: bool) -> Option<HttpSender> {
    let base_url = match preset.text("base_url") {
        Some(default) => Some(row.text("base_url").unwrap_or(default)),
        None => row.required("base_url"),
    };
    let parameters = parameters(&mut preset, row);
    let auth = auth(&mut preset, row, &parameters);
    let mut of_answers = preset.table("answers");
    let answers = answers(&mut of_answers);
    of_answers.finish();
    let connection = Connection::read(row);
    let receipts = Receipts::of_preset(
        preset.table("receipts"),
        row,
        public,
        auth.as_ref().and_then(secret_file),
    );
    let has = |key: &str| parameters.contains_key(key) || (key == RECEIPTS && receipts.is_some());
    let (requests, lacks) = requests(
        preset.table("channels"),
        base_url?.trim_end_matches('/'),
        has,
    );
    preset.finish();
    if requests.is_empty() {
        row.mistake_here("has not all keys of any channel; see the comments of its preset");
    }
    Some(HttpSender {
        requests,
        parameters,
        auth: auth?,
        answers,
        connection,
        receipts,
        lacks,
    })
}

/// What a channel needs whose provider calls us in the middle: a proof of who calls.
const RECEIPTS: &str = "receipts";

fn secret_file(auth: &HttpAuth) -> Option<PathBuf> {
    match auth {
        HttpAuth::Basic { password_file, .. } => Some(password_file.clone()),
        HttpAuth::Header { token_file, .. } => Some(token_file.clone()),
        HttpAuth::Application {
            private_key_file, ..
        } => Some(private_key_file.clone()),
        HttpAuth::None => None,
    }
}

/// The operator's own values, which the templates name.
fn parameters(preset: &mut Table<'_>, row: &mut Table<'_>) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for key in preset.list("required").unwrap_or_default() {
        parameters.extend(row.required(&key).map(|value| (key, value)));
    }
    for key in preset.list("optional").unwrap_or_default() {
        parameters.extend(row.text(&key).map(|value| (key, value)));
    }
    parameters
}

fn auth(
    preset: &mut Table<'_>,
    row: &mut Table<'_>,
    parameters: &BTreeMap<String, String>,
) -> Option<HttpAuth> {
    let secret = preset.required("secret")?;
    let file = row.required(&secret).map(PathBuf::from);
    let username = preset
        .text("username")
        .map(|key| parameters.get(&key).cloned());
    let application = preset
        .text("application")
        .map(|key| parameters.get(&key).cloned());
    let (name, prefix) = (preset.text("auth_header"), preset.text("auth_prefix"));
    match (username, application, name) {
        (Some(username), ..) => Some(HttpAuth::Basic {
            username: username?,
            password_file: file?,
        }),
        (None, Some(id), _) => Some(HttpAuth::Application {
            id: id?,
            private_key_file: file?,
        }),
        (None, None, Some(name)) => Some(HttpAuth::Header {
            name,
            prefix: prefix.unwrap_or_default(),
            token_file: file?,
        }),
        (None, None, None) => None,
    }
}

type Requests = BTreeMap<Channel, HttpRequest>;
type Lacks = BTreeMap<Channel, Vec<String>>;

/// The requests of the channels whose keys are all there, and what the others lack.
fn requests(
    mut channels: Table<'_>,
    base_url: &str,
    has: impl Fn(&str) -> bool,
) -> (Requests, Lacks) {
    let (mut requests, mut lacks) = (Requests::new(), Lacks::new());
    for (name, mut road) in channels.named() {
        let needs = road.list("needs").unwrap_or_default();
        let path = road.required("path").unwrap_or_default();
        let request = request(&mut road, format!("{base_url}{path}"));
        road.finish();
        let missing: Vec<String> = needs.into_iter().filter(|key| !has(key)).collect();
        match (Channel::from_name(&name), request) {
            (Some(channel), Some(request)) if missing.is_empty() => {
                drop(requests.insert(channel, request))
            }
            (Some(channel), _) => drop(lacks.insert(channel, missing)),
            (None, _) => {}
        }
    }
    (requests, lacks)
}
