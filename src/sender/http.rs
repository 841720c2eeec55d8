//! Sends over any provider's HTTP API: requests from templates, and rules that read the answers.

mod answer;
mod request;
mod template;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use async_trait::async_trait;
use reqwest::header::{HeaderName, HeaderValue};

pub(super) use self::answer::{is_busy, judge, refusal};
use self::request::Request;
pub use self::{
    answer::AnswerRules,
    request::{Body, Method, RequestError, RequestSettings},
};
use super::{
    outgoing::{Outgoing, OutgoingError, Settings, Targets, give_up},
    secret::SecretText,
};
use crate::{
    domain::recipient::Channel,
    ports::sender::{Message, SendError, Sender, Sent},
};

/// How the provider knows us.
#[derive(Clone, Debug)]
pub enum Auth {
    /// It does not.
    None,
    /// User name and password, RFC 7617.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: SecretText,
    },
    /// A header with a token: `Authorization: Bearer ...`, `X-API-Key: ...`.
    Header {
        /// Its name.
        name: String,
        /// What stands before the token.
        prefix: String,
        /// The token.
        token: SecretText,
    },
}

/// A provider and how to talk to it.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The request of each channel that the provider carries.
    pub requests: BTreeMap<Channel, RequestSettings>,
    /// What the templates may name beside the message's own values.
    pub parameters: BTreeMap<String, String>,
    /// How the provider knows us.
    pub auth: Auth,
    /// What its answers mean.
    pub answers: AnswerRules,
    /// Hosts that may be in an inner network or on another port than the usual one.
    pub allow_hosts: Vec<String>,
    /// May it be called without encryption?
    pub plain: bool,
    /// PEM file of certificate authorities to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Deadline of one hand-over.
    pub timeout: Duration,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// A template has another form.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// No calls can be made.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
    /// An answering machine would be told the code.
    #[error("a request for voice must carry {{{{ greeting }}}}, to be said before a key is pressed")]
    Greeting,
    /// The credentials do not fit into a header.
    #[error("the credentials hold characters that a header cannot carry")]
    Credentials,
}

/// Sends over a provider's API.
#[derive(Debug)]
pub struct Http {
    roads: BTreeMap<Channel, Road>,
    credentials: Option<(HeaderName, HeaderValue)>,
    answers: AnswerRules,
}

/// The request of a channel, and the client that may call its host and no other.
#[derive(Debug)]
struct Road {
    request: Request,
    outgoing: Outgoing,
}

impl Http {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: HttpSettings) -> Result<Self, HttpError> {
        let mut roads = BTreeMap::new();
        for (channel, request) in &settings.requests {
            let request = Request::new(request, &settings.parameters)?;
            if *channel == Channel::Voice && !request.has_greeting() {
                return Err(HttpError::Greeting);
            }
            let targets = Targets::of(request.sample_url(), settings.allow_hosts.clone(), settings.plain);
            let (targets, ca_file) = (targets.map_err(OutgoingError::Url)?, settings.ca_file.clone());
            let outgoing = Outgoing::new(Settings { targets, ca_file, timeout: settings.timeout })?;
            roads.insert(*channel, Road { request, outgoing });
        }
        Ok(Self { roads, credentials: credentials(settings.auth)?, answers: settings.answers })
    }
}

#[async_trait]
impl Sender for Http {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let road = self.roads.get(&message.recipient.channel()).ok_or_else(|| give_up("wrong_channel"))?;
        let mut call = road.request.call(message)?;
        if let Some((name, value)) = &self.credentials {
            call.headers.insert(name, value.clone());
        }
        judge(&self.answers, &road.outgoing.call(call).await?)
    }
}

fn credentials(auth: Auth) -> Result<Option<(HeaderName, HeaderValue)>, HttpError> {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    let (name, text) = match auth {
        Auth::None => return Ok(None),
        Auth::Basic { username, password } => {
            let pair = format!("{username}:{}", password.expose());
            ("authorization".to_owned(), format!("Basic {}", BASE64_STANDARD.encode(pair)))
        }
        Auth::Header { name, prefix, token } => (name, format!("{prefix}{}", token.expose())),
    };
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HttpError::Credentials)?;
    let mut value = HeaderValue::from_str(&text).map_err(|_| HttpError::Credentials)?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

#[cfg(test)]
mod tests;
