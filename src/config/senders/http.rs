//! `kind = "http"`: any provider's HTTP API, described completely by settings.

use std::{collections::BTreeMap, sync::Arc};

use super::{super::Table, ConfiguredSender, Section, channels, connection, receipts::Receipts};
use crate::{
    domain::{delivery::callback::Scheme, recipient::Channel},
    format::secret::SecretText,
    http::callbacks::{Dialect, Receiver},
    message::canonical_tag,
    sender::{
        http::{
            AnswerForm, AnswerRules, Auth, Body, Charset, HttpSettings, Method, Pattern,
            RequestSettings, is_place_holder,
        },
        transport::addresses::Addresses,
    },
};

pub(super) fn read(section: &mut Section<'_>) -> ConfiguredSender {
    let row = &mut section.row;
    let (mut channels, url) = (channels(row), row.required("url"));
    let request = request(row, url.unwrap_or_default());
    let secrets = secrets(row);
    let (auth, answers, connection) = (auth(row), answers(row), connection(row));
    let languages = languages(row);
    if channels.is_empty() {
        // Which channel is meant is unknown; the request is checked all the same.
        channels.push(Channel::Sms);
    }
    let receipts = Receipts::of_provider(section);
    let requests = channels
        .into_iter()
        .map(|channel| (channel, request.clone()));
    let settings = HttpSettings {
        requests: requests.collect(),
        missing: BTreeMap::new(),
        url_key: "url",
        parameters: BTreeMap::new(),
        languages,
        secrets,
        auth: auth.unwrap_or(Auth::None),
        answers,
        addresses: None,
        connection,
    };
    configured(section, settings, receipts)
}

/// Combines a sender with its receipts. A provider that makes voice calls also asks us what to say.
pub(super) fn configured(
    section: &Section<'_>,
    settings: HttpSettings,
    receipts: Option<Receipts>,
) -> ConfiguredSender {
    let makes_calls = settings.requests.contains_key(&Channel::Voice);
    let scheme = receipts.as_ref().map(|receipts| receipts.scheme);
    let dialect = scheme.filter(|_| makes_calls).and_then(dialect);
    // Receipts with a mistake are meant to be there.
    let is_broken = receipts.is_none() && section.row.is_mistaken_within("receipts");
    let addresses = section.addresses(
        receipts.is_some() || is_broken,
        dialect.is_some() || is_broken,
    );
    let login = receipts
        .as_ref()
        .and_then(|receipts| receipts.login.clone());
    let addresses = addresses.map(|addresses| Addresses { login, ..addresses });
    ConfiguredSender {
        settings: Arc::new(HttpSettings {
            addresses,
            ..settings
        }),
        receiver: receipts.map(|receipts| Receiver {
            dialect,
            ..receipts.receiver
        }),
    }
}

/// The format of a provider's instructions for voice calls; `None` if it makes none.
const fn dialect(scheme: Scheme) -> Option<Dialect> {
    match scheme {
        Scheme::Twilio => Some(Dialect::Twiml),
        Scheme::Vonage => Some(Dialect::Ncco),
        Scheme::Messagebird | Scheme::Meta | Scheme::Basic | Scheme::StandardWebhooks => None,
    }
}

/// Reads the provider's own names of languages, by tag in the spelling that messages have.
pub(super) fn languages(row: &mut Table<'_>) -> BTreeMap<String, String> {
    let mut languages = BTreeMap::new();
    for (tag, name) in row.texts("languages") {
        match canonical_tag(&tag) {
            Some(tag) => drop(languages.insert(tag, name)),
            None => row.mistake(
                "languages",
                format!("has {tag:?}, which is not a language tag such as nl or pt-BR"),
            ),
        }
    }
    languages
}

/// Reads everything of a request except its URL. Where it is not known which body is meant, the first is checked.
pub(super) fn request(row: &mut Table<'_>, url: String) -> RequestSettings {
    let method = row.word("method", &METHODS, Method::Post);
    let (headers, query) = (row.texts("headers"), row.texts("query"));
    let content_type = row.text("content_type");
    let charset = row.word("charset", &CHARSETS, Charset::Utf8);
    let form = row.texts("form");
    let has_form = !form.is_empty();
    let bodies = [
        Some(Body::Form(form)).filter(|_| has_form),
        row.text("json").map(Body::Json),
        row.text("xml").map(Body::Xml),
        row.text("text").map(Body::Text),
    ];
    let mut bodies = bodies.into_iter().flatten();
    let mut body = bodies.next().unwrap_or(Body::None);
    let others: Vec<&str> = bodies.map(|other| other.key()).collect();
    if !others.is_empty() {
        let what = format!(
            "is set together with {}; a request has one of them",
            others.join(" and ")
        );
        row.mistake(body.key(), what);
    }
    if charset != Charset::Utf8 && matches!(body, Body::Json(_)) {
        row.mistake("charset", "is set, but JSON is always in UTF-8");
    }
    match (method, &body) {
        (Method::Get, Body::None) if query.is_empty() => {
            row.mistake("query", "is required with GET, for it has no body");
        }
        (Method::Get, Body::None) => {}
        (Method::Get, _) => row.mistake(body.key(), "is set, but GET has no body; use query"),
        (Method::Post | Method::Put, Body::None) if query.is_empty() => {
            row.mistake("form", "is required, or json, xml, text or query");
            body = Body::Form(Vec::new());
        }
        (Method::Post | Method::Put, _) => {}
    }
    RequestSettings {
        method,
        url,
        query,
        headers,
        body,
        charset,
        content_type,
    }
}

const CHARSETS: [(&str, Charset); 2] = [("utf-8", Charset::Utf8), ("latin1", Charset::Latin1)];

const METHODS: [(&str, Method); 3] = [
    ("GET", Method::Get),
    ("POST", Method::Post),
    ("PUT", Method::Put),
];

/// Reads the secrets that templates may use, each from a file.
fn secrets(row: &mut Table<'_>) -> BTreeMap<String, SecretText> {
    let secrets = row.named_secrets("secrets");
    for name in secrets.keys() {
        if is_place_holder(name) {
            let what = format!("has {name:?}, which is the name of a value of the message");
            row.mistake("secrets", what);
        }
    }
    secrets
}

#[derive(Clone, Copy)]
enum AuthKind {
    None,
    Basic,
    Bearer,
    Header,
}

fn auth(row: &mut Table<'_>) -> Option<Auth> {
    let kinds = [
        ("none", AuthKind::None),
        ("basic", AuthKind::Basic),
        ("bearer", AuthKind::Bearer),
        ("header", AuthKind::Header),
    ];
    match row.word("auth", &kinds, AuthKind::None) {
        AuthKind::None => Some(Auth::None),
        AuthKind::Basic => {
            let (username, password) = (
                row.required("username"),
                row.required_secret("password_file"),
            );
            Some(Auth::Basic {
                username: username?,
                password: password?,
            })
        }
        AuthKind::Bearer => Some(Auth::Header {
            name: "authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
            token: row.required_secret("token_file")?,
        }),
        AuthKind::Header => {
            let (name, token) = (
                row.required("auth_header"),
                row.required_secret("token_file"),
            );
            let prefix = row.text("auth_prefix").unwrap_or_default();
            Some(Auth::Header {
                name: name?,
                prefix,
                token: token?,
            })
        }
    }
}

pub(super) fn answers(row: &mut Table<'_>) -> AnswerRules {
    let answers = AnswerRules {
        form: row.word("answer", &FORMS, AnswerForm::Json),
        success_status: statuses(row, "success_status"),
        retry_status: statuses(row, "retry_status"),
        give_up_status: statuses(row, "give_up_status"),
        code_pointer: row.parsed_if_any("code_pointer", pointer),
        success_codes: codes(row, "success_codes"),
        retry_codes: codes(row, "retry_codes"),
        next_codes: codes(row, "next_codes"),
        login_codes: codes(row, "login_codes"),
        give_up_codes: codes(row, "give_up_codes"),
        state_pointer: row.parsed_if_any("state_pointer", pointer),
        failed_states: row.list("failed_states").unwrap_or_default(),
        state_code_pointer: row.parsed_if_any("state_code_pointer", pointer),
        reference_pointer: row.parsed_if_any("reference_pointer", pointer),
        reference_pattern: row.parsed_if_any("reference_pattern", reference_pattern),
    };
    match answers.form {
        AnswerForm::Json | AnswerForm::Xml => check_pointers(row, &answers),
        AnswerForm::Text => check_lines(row, &answers),
    }
    answers
}

const FORMS: [(&str, AnswerForm); 3] = [
    ("json", AnswerForm::Json),
    ("xml", AnswerForm::Xml),
    ("text", AnswerForm::Text),
];

/// What belongs together where pointers lead to the values of an answer.
fn check_pointers(row: &Table<'_>, answers: &AnswerRules) {
    let codes = [
        ("success_codes", &answers.success_codes),
        ("retry_codes", &answers.retry_codes),
        ("next_codes", &answers.next_codes),
        ("login_codes", &answers.login_codes),
        ("give_up_codes", &answers.give_up_codes),
    ];
    let used = codes.iter().find(|(_, codes)| !codes.is_empty());
    let has_pointer = answers.code_pointer.is_some() || row.is_mistaken("code_pointer");
    if let (Some((key, _)), false) = (used, has_pointer) {
        row.mistake("code_pointer", format!("is required with {key}"));
    }
    let has_state = answers.state_pointer.is_some() || row.is_mistaken("state_pointer");
    if has_state == answers.failed_states.is_empty() {
        row.mistake("failed_states", "and state_pointer need each other");
    }
    if answers.state_code_pointer.is_some() && !has_state {
        row.mistake("state_pointer", "is required with state_code_pointer");
    }
    if answers.reference_pattern.is_some() {
        let what = "is for answer = \"text\"; use reference_pointer";
        row.mistake("reference_pattern", what);
    }
}

/// The same where the lines of a text are the values.
fn check_lines(row: &Table<'_>, answers: &AnswerRules) {
    if answers.success_codes.is_empty() {
        let what = "is required with answer = \"text\": such as [\"OK: *\"]";
        row.mistake("success_codes", what);
    }
    for (key, pointer) in [
        ("code_pointer", &answers.code_pointer),
        ("state_pointer", &answers.state_pointer),
        ("state_code_pointer", &answers.state_code_pointer),
        ("reference_pointer", &answers.reference_pointer),
    ] {
        if pointer.is_some() {
            let what = "is for json and xml; in answer = \"text\" each line is a code";
            row.mistake(key, what);
        }
    }
}

fn codes(row: &mut Table<'_>, key: &str) -> Vec<Pattern> {
    let codes = row.list(key).unwrap_or_default();
    codes.iter().map(|code| Pattern::new(code)).collect()
}

fn reference_pattern(text: &str) -> Result<Pattern, &'static str> {
    Pattern::with_id(text).ok_or(
        "must have one * where the id of the message stands, as in \"OK: *\", or {id} beside several, as in \"*|{id}\"",
    )
}

fn pointer(text: &str) -> Result<String, &'static str> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("must be a JSON pointer such as /messages/0/id")
    }
}

fn statuses(row: &mut Table<'_>, key: &'static str) -> Vec<u16> {
    let texts = row.list(key).unwrap_or_default();
    let mut statuses = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(status @ 100..=599) => statuses.push(status),
            Ok(_) | Err(_) => {
                row.mistake(
                    key,
                    format!("has {text:?}; each must be a status from 100 to 599"),
                );
            }
        }
    }
    statuses
}
