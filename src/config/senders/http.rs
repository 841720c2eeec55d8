//! `kind = "http"`: any provider's API, by settings alone.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{super::Table, receipts::Receipts};
use crate::domain::recipient::Channel;

/// The verb of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMethod {
    /// POST.
    Post,
    /// PUT.
    Put,
}

/// What a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpBody {
    /// Fields of a form, each value a template.
    Form(Vec<(String, String)>),
    /// JSON in which each text is a template.
    Json(String),
}

/// The templates of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// The verb.
    pub method: HttpMethod,
    /// Where to.
    pub url: String,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// What it carries.
    pub body: HttpBody,
}

/// How the provider knows us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpAuth {
    /// It does not.
    None,
    /// User name and password.
    Basic {
        /// The user name.
        username: String,
        /// The file of the password.
        password_file: PathBuf,
    },
    /// A header with a token.
    Header {
        /// Its name.
        name: String,
        /// What stands before the token.
        prefix: String,
        /// The file of the token.
        token_file: PathBuf,
    },
    /// A JWT (RS256) of an application, made for each call. Of presets only.
    Application {
        /// The application's id.
        id: String,
        /// The file of its private key.
        private_key_file: PathBuf,
    },
}

/// What the answers mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpAnswers {
    /// Statuses of success. Empty: 200 to 299.
    pub success_status: Vec<u16>,
    /// More statuses that pass by themselves.
    pub retry_status: Vec<u16>,
    /// Statuses that no sender can do anything about.
    pub give_up_status: Vec<u16>,
    /// Where the provider's code stands.
    pub code_pointer: Option<String>,
    /// Codes of success.
    pub success_codes: Vec<String>,
    /// Codes that pass by themselves.
    pub retry_codes: Vec<String>,
    /// Codes of what is wrong with us.
    pub next_codes: Vec<String>,
    /// Codes of what is wrong with the recipient.
    pub give_up_codes: Vec<String>,
    /// Where the provider's name for the message stands.
    pub reference_pointer: Option<String>,
}

/// A provider's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSender {
    /// The request of each channel that it carries.
    pub requests: BTreeMap<Channel, HttpRequest>,
    /// What the templates may name.
    pub parameters: BTreeMap<String, String>,
    /// How it knows us.
    pub auth: HttpAuth,
    /// What its answers mean.
    pub answers: HttpAnswers,
    /// How it is reached.
    pub connection: Connection,
    /// How it tells us what became of a message, if it does.
    pub receipts: Option<Receipts>,
    /// Channels of a preset that are not carried, each with what is missing.
    pub lacks: BTreeMap<Channel, Vec<String>>,
}

/// How a provider is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Inner hosts and other ports.
    pub allow_hosts: Vec<String>,
    /// More certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Of one hand-over.
    pub timeout: Duration,
}

impl Connection {
    pub(super) fn read(row: &mut Table<'_>) -> Self {
        Self {
            allow_hosts: row.list("allow_hosts").unwrap_or_default(),
            ca_file: row.text("ca_file").map(PathBuf::from),
            // A customer waits: whoever takes longer is not waited for.
            timeout: row.millis("timeout_ms", 10_000, &(100..=15_000)),
        }
    }
}

pub(super) fn http(row: &mut Table<'_>, public: bool) -> Option<HttpSender> {
    let all = Channel::ALL.map(|channel| (channel.as_str(), channel));
    let channels = row.required_words("channels", &all);
    let url = row.required("url");
    let request = request(row, url.unwrap_or_default());
    // All is read before anything is given up, so that no key is taken for one that is not known.
    let (auth, answers, connection) = (auth(row), answers(row), Connection::read(row));
    let receipts = Receipts::of_operator(row, public);
    let (auth, request) = (auth?, request?);
    let requests = channels
        .into_iter()
        .map(|channel| (channel, request.clone()))
        .collect();
    let (parameters, lacks) = (BTreeMap::new(), BTreeMap::new());
    Some(HttpSender {
        requests,
        parameters,
        auth,
        answers,
        connection,
        receipts,
        lacks,
    })
}

/// All of a request but its URL.
pub(super) fn request(row: &mut Table<'_>, url: String) -> Option<HttpRequest> {
    let method = row.word(
        "method",
        &[("POST", HttpMethod::Post), ("PUT", HttpMethod::Put)],
        HttpMethod::Post,
    );
    let (headers, form, json) = (row.texts("headers"), row.texts("form"), row.text("json"));
    let body = match (form.is_empty(), json) {
        (false, None) => Some(HttpBody::Form(form)),
        (true, Some(json)) => Some(HttpBody::Json(json)),
        (false, Some(_)) | (true, None) => {
            row.mistake("form", "or json must be there, and not both");
            None
        }
    };
    Some(HttpRequest {
        method,
        url,
        headers,
        body: body?,
    })
}

#[derive(Clone, Copy)]
enum Kind {
    None,
    Basic,
    Bearer,
    Header,
}

fn auth(row: &mut Table<'_>) -> Option<HttpAuth> {
    let kinds = [
        ("none", Kind::None),
        ("basic", Kind::Basic),
        ("bearer", Kind::Bearer),
        ("header", Kind::Header),
    ];
    let file = |row: &mut Table<'_>, key| row.required(key).map(PathBuf::from);
    Some(match row.word("auth", &kinds, Kind::None) {
        Kind::None => HttpAuth::None,
        Kind::Basic => {
            let (username, password_file) = (row.required("username"), file(row, "password_file"));
            HttpAuth::Basic {
                username: username?,
                password_file: password_file?,
            }
        }
        Kind::Bearer => HttpAuth::Header {
            name: "authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
            token_file: file(row, "token_file")?,
        },
        Kind::Header => {
            let (name, token_file) = (row.required("auth_header"), file(row, "token_file"));
            HttpAuth::Header {
                name: name?,
                prefix: row.text("auth_prefix").unwrap_or_default(),
                token_file: token_file?,
            }
        }
    })
}

pub(super) fn answers(row: &mut Table<'_>) -> HttpAnswers {
    let pointer = |row: &mut Table<'_>, key| {
        let pointer = row.text(key);
        if pointer
            .as_ref()
            .is_some_and(|pointer| !pointer.starts_with('/'))
        {
            row.mistake(key, "must be a JSON pointer such as /messages/0/id");
        }
        pointer
    };
    let answers = HttpAnswers {
        success_status: statuses(row, "success_status"),
        retry_status: statuses(row, "retry_status"),
        give_up_status: statuses(row, "give_up_status"),
        code_pointer: pointer(row, "code_pointer"),
        success_codes: row.list("success_codes").unwrap_or_default(),
        retry_codes: row.list("retry_codes").unwrap_or_default(),
        next_codes: row.list("next_codes").unwrap_or_default(),
        give_up_codes: row.list("give_up_codes").unwrap_or_default(),
        reference_pointer: pointer(row, "reference_pointer"),
    };
    let lists = [
        &answers.success_codes,
        &answers.retry_codes,
        &answers.next_codes,
        &answers.give_up_codes,
    ];
    if answers.code_pointer.is_none() && lists.iter().any(|codes| !codes.is_empty()) {
        row.mistake("code_pointer", "must say where the codes stand");
    }
    answers
}

fn statuses(row: &mut Table<'_>, key: &'static str) -> Vec<u16> {
    let texts = row.list(key).unwrap_or_default();
    let statuses: Option<Vec<u16>> = texts
        .iter()
        .map(|text| {
            text.parse()
                .ok()
                .filter(|status| (100..=599).contains(status))
        })
        .collect();
    if statuses.is_none() {
        row.mistake(key, "must be a list of statuses within 100 to 599");
    }
    statuses.unwrap_or_default()
}
