//! `kind = "http"`: any provider's HTTP API, described completely by settings.

use std::{collections::BTreeMap, sync::Arc};

use super::{super::Table, ConfiguredSender, Section, channels, connection, receipts::Receipts};
use crate::{
    domain::{delivery::callback::Scheme, recipient::Channel},
    http::callbacks::{Dialect, Receiver},
    sender::http::{AnswerRules, Auth, Body, HttpSettings, Method, RequestSettings},
};

pub(super) fn read(section: &mut Section<'_>) -> Option<ConfiguredSender> {
    let row = &mut section.row;
    // Read all keys before returning, so that every mistake is reported.
    let (channels, url) = (channels(row), row.required("url"));
    let request = request(row, url.unwrap_or_default());
    let (auth, answers, connection) = (auth(row), answers(row), connection(row));
    let receipts = Receipts::of_provider(section);
    let (auth, request) = (auth?, request?);
    let requests = channels
        .into_iter()
        .map(|channel| (channel, request.clone()));
    let settings = HttpSettings {
        requests: requests.collect(),
        missing: BTreeMap::new(),
        url_key: "url",
        parameters: BTreeMap::new(),
        auth,
        answers,
        addresses: None,
        connection,
    };
    Some(configured(section, settings, receipts))
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
    let addresses = section.addresses(receipts.is_some(), dialect.is_some());
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

/// Reads everything of a request except its URL.
pub(super) fn request(row: &mut Table<'_>, url: String) -> Option<RequestSettings> {
    let methods = [("POST", Method::Post), ("PUT", Method::Put)];
    let method = row.word("method", &methods, Method::Post);
    let (headers, form, json) = (row.texts("headers"), row.texts("form"), row.text("json"));
    let body = match (form.is_empty(), json) {
        (false, None) => Body::Form(form),
        (true, Some(json)) => Body::Json(json),
        (false, Some(_)) => {
            row.mistake("form", "and json are both set; a request has one of them");
            return None;
        }
        (true, None) => {
            row.mistake("form", "or json is required");
            return None;
        }
    };
    Some(RequestSettings {
        method,
        url,
        headers,
        body,
    })
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
        success_status: statuses(row, "success_status"),
        retry_status: statuses(row, "retry_status"),
        give_up_status: statuses(row, "give_up_status"),
        code_pointer: row.parsed_if_any("code_pointer", pointer),
        success_codes: row.list("success_codes").unwrap_or_default(),
        retry_codes: row.list("retry_codes").unwrap_or_default(),
        next_codes: row.list("next_codes").unwrap_or_default(),
        login_codes: row.list("login_codes").unwrap_or_default(),
        give_up_codes: row.list("give_up_codes").unwrap_or_default(),
        state_pointer: row.parsed_if_any("state_pointer", pointer),
        failed_states: row.list("failed_states").unwrap_or_default(),
        state_code_pointer: row.parsed_if_any("state_code_pointer", pointer),
        reference_pointer: row.parsed_if_any("reference_pointer", pointer),
    };
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
    answers
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
