//! Sends over any provider's HTTP API: requests from templates, and rules that read the answers.

mod answer;
mod application;
mod request;
mod template;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

pub(super) use self::answer::{is_busy, judge, refusal};
pub use self::{
    answer::AnswerRules,
    application::Application,
    request::{Body, Method, RequestError, RequestSettings},
};
use self::{
    request::Request,
    template::{Place, Values},
};
use super::transport::{
    addresses::Addresses,
    http::{Outgoing, OutgoingError, Settings, Targets, give_up, next_sender},
};
use crate::{
    domain::recipient::Channel,
    format::secret::SecretText,
    ports::sender::{Capabilities, Message, ReceiptPath, SendError, Sender, Sent},
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
    /// `Authorization: Bearer` and a JWT of an application, made for each call.
    Application(Application),
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
    /// Where it reaches us; `None`: nowhere.
    pub addresses: Option<Addresses>,
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
    #[error(
        "a request for voice must carry {{{{ greeting }}}}, to be said before a key is pressed"
    )]
    Greeting,
    /// The code would never arrive.
    #[error(
        "a request for push must carry {{{{ opened_text }}}} or {{{{ code }}}}: the text is an alert without it"
    )]
    Alert,
    /// The provider could not ask what to say.
    #[error(
        "a request with {{{{ call }}}} needs http.public_url and receipts of scheme twilio or vonage"
    )]
    Call,
    /// The credentials do not fit into a header.
    #[error("the credentials hold characters that a header cannot carry")]
    Credentials,
}

/// Sends over a provider's API.
#[derive(Debug)]
pub struct Http {
    endpoints: BTreeMap<Channel, Endpoint>,
    credentials: Credentials,
    answers: AnswerRules,
    addresses: Option<Addresses>,
}

/// How each call shows who we are.
#[derive(Debug)]
enum Credentials {
    None,
    Fixed(HeaderName, HeaderValue),
    Application(Application),
}

/// The request of a channel, and the client that may call its host and no other.
#[derive(Debug)]
struct Endpoint {
    request: Request,
    outgoing: Outgoing,
}

impl Http {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: HttpSettings) -> Result<Self, HttpError> {
        let mut endpoints = BTreeMap::new();
        for (channel, request) in &settings.requests {
            let request = Request::new(request, &settings.parameters)?;
            if *channel == Channel::Voice && !request.has(Place::Greeting) {
                return Err(HttpError::Greeting);
            }
            if *channel == Channel::Push
                && !request.has(Place::OpenedText)
                && !request.has(Place::Code)
            {
                return Err(HttpError::Alert);
            }
            if request.has(Place::Call)
                && settings
                    .addresses
                    .as_ref()
                    .is_none_or(|addresses| addresses.calls.is_none())
            {
                return Err(HttpError::Call);
            }
            let targets = Targets::of(
                request.sample_url(),
                settings.allow_hosts.clone(),
                settings.plain,
            );
            let (targets, ca_file) = (
                targets.map_err(OutgoingError::Url)?,
                settings.ca_file.clone(),
            );
            let outgoing = Outgoing::new(Settings {
                targets,
                ca_file,
                timeout: settings.timeout,
            })?;
            endpoints.insert(*channel, Endpoint { request, outgoing });
        }
        let credentials = credentials(settings.auth)?;
        Ok(Self {
            endpoints,
            credentials,
            answers: settings.answers,
            addresses: settings.addresses,
        })
    }
}

#[async_trait]
impl Sender for Http {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let endpoint = self
            .endpoints
            .get(&message.recipient.channel())
            .ok_or_else(|| give_up("wrong_channel"))?;
        let mut call = endpoint.request.call(&Values {
            message,
            addresses: self.addresses.as_ref(),
        })?;
        match &self.credentials {
            Credentials::None => {}
            Credentials::Fixed(name, value) => drop(call.headers.insert(name, value.clone())),
            Credentials::Application(application) => {
                let value = application
                    .authorization()
                    .ok_or_else(|| next_sender("login_failed"))?;
                call.headers.insert(AUTHORIZATION, value);
            }
        }
        judge(&self.answers, &endpoint.outgoing.call(call).await?)
    }

    fn capabilities(&self) -> Capabilities {
        let brings_token = self
            .endpoints
            .values()
            .any(|endpoint| endpoint.request.has(Place::Callback));
        let receipts = match (&self.addresses, brings_token) {
            (None, _) => ReceiptPath::None,
            (Some(_), true) => ReceiptPath::ByToken,
            (Some(_), false) => ReceiptPath::ByReference,
        };
        Capabilities {
            receipts,
            ..Capabilities::default()
        }
    }
}

fn credentials(auth: Auth) -> Result<Credentials, HttpError> {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    let (name, text) = match auth {
        Auth::None => return Ok(Credentials::None),
        Auth::Application(application) => return Ok(Credentials::Application(application)),
        Auth::Basic { username, password } => {
            let pair = format!("{username}:{}", password.expose());
            (
                "authorization".to_owned(),
                format!("Basic {}", BASE64_STANDARD.encode(pair)),
            )
        }
        Auth::Header {
            name,
            prefix,
            token,
        } => (name, format!("{prefix}{}", token.expose())),
    };
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HttpError::Credentials)?;
    let mut value = HeaderValue::from_str(&text).map_err(|_| HttpError::Credentials)?;
    value.set_sensitive(true);
    Ok(Credentials::Fixed(name, value))
}

#[cfg(test)]
mod tests;
