//! Sends through any provider's HTTP API: requests are made from templates, and answers are read by
//! rules.

mod answer;
mod application;
mod body;
mod problems;
mod reply;
mod request;
mod template;
mod xml;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

pub(super) use self::answer::{busy, is_busy, judge, refusal};
pub use self::{
    answer::AnswerRules,
    body::{Body, Charset},
    reply::{AnswerForm, Pattern},
    request::{Method, RequestSettings},
};
use self::{
    application::Application,
    request::Request,
    template::{Fixed, Place, Values},
};
use super::{
    settings::{SenderParts, SenderSettings, SettingError},
    transport::{
        addresses::Addresses,
        http::{ConnectionSettings, HttpClient, Targets, always_ours, ours},
    },
};
use crate::{
    domain::{delivery::reason::Reason, recipient::Channel},
    format::secret::SecretText,
    ports::sender::{Capabilities, Message, ReceiptPath, SendError, Sender, Sent},
};

/// How this service authenticates to the provider.
#[derive(Clone, Debug)]
pub enum Auth {
    /// No authentication, for a provider that recognises this service in another way.
    None,
    /// HTTP basic authentication, RFC 7617.
    Basic {
        /// The user name, as the provider issued it.
        username: String,
        /// The password, read from a file.
        password: SecretText,
    },
    /// A header with a token: `Authorization: Bearer ...`, `X-API-Key: ...`.
    Header {
        /// The name of the header that carries the token.
        name: String,
        /// Text before the token, such as `Bearer ` with its space.
        prefix: String,
        /// The token, read from a file.
        token: SecretText,
    },
    /// `Authorization: Bearer` with a JWT of an application of the account, made for each call.
    Application {
        /// The application's id, as the provider issued it.
        id: String,
        /// The application's private RSA key in PEM form.
        private_key: SecretText,
    },
}

/// The settings of a provider's API.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The request of each channel that the provider carries.
    pub requests: BTreeMap<Channel, RequestSettings>,
    /// The keys that are missing before channels that the provider also offers could be carried.
    pub missing: BTreeMap<Channel, String>,
    /// The key whose value holds the host of all requests, for error messages: `url`, or `base_url` of a preset.
    pub url_key: &'static str,
    /// Values that templates may use in addition to those of the message.
    pub parameters: BTreeMap<String, String>,
    /// The provider's own names of languages, by the tag of each; a language that is not listed has its tag.
    pub languages: BTreeMap<String, String>,
    /// Secrets that templates may use in the same way, for providers that take credentials among the other values.
    pub secrets: BTreeMap<String, SecretText>,
    /// How this service authenticates to the provider.
    pub auth: Auth,
    /// The rules for reading the provider's answers.
    pub answers: AnswerRules,
    /// The URLs for the provider's callbacks; `None` if it makes none.
    pub addresses: Option<Addresses>,
    /// The connection to the provider.
    pub connection: ConnectionSettings,
}

impl SenderSettings for HttpSettings {
    fn carries(&self, channel: Channel) -> bool {
        self.requests.contains_key(&channel)
    }

    fn missing_for(&self, channel: Channel) -> Option<String> {
        self.missing.get(&channel).cloned()
    }

    fn warnings(&self) -> Vec<SettingError> {
        let tells = self
            .requests
            .values()
            .any(RequestSettings::tells_code_in_query);
        let what = "carries the code in the URL, which servers and proxies write to their logs; \
                    use a body if the provider takes one";
        let warning = tells.then(|| SettingError::new("query", what));
        warning.into_iter().collect()
    }

    fn build(&self, parts: &SenderParts) -> Result<Arc<dyn Sender>, SettingError> {
        Ok(Arc::new(Http::new(self, parts)?))
    }

    fn problems(&self, parts: &SenderParts) -> Vec<SettingError> {
        problems::all(self, parts)
    }
}

/// Whether templates use this name for a value of the message.
#[must_use]
pub fn is_place_holder(name: &str) -> bool {
    Place::is_known(name)
}

/// A sender that uses a provider's API.
#[derive(Debug)]
pub struct Http {
    endpoints: BTreeMap<Channel, Endpoint>,
    credentials: Credentials,
    answers: AnswerRules,
    addresses: Option<Addresses>,
    languages: BTreeMap<String, String>,
}

/// The credentials that are added to each call.
#[derive(Debug)]
enum Credentials {
    None,
    Fixed(HeaderName, HeaderValue),
    Application(Application),
}

/// The request of a channel, and a client that may call only its host.
#[derive(Debug)]
struct Endpoint {
    request: Request,
    outgoing: HttpClient,
}

impl Http {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn new(settings: &HttpSettings, parts: &SenderParts) -> Result<Self, SettingError> {
        let mut endpoints = BTreeMap::new();
        for (channel, request) in &settings.requests {
            endpoints.insert(*channel, endpoint(*channel, request, settings)?);
        }
        Ok(Self {
            endpoints,
            credentials: credentials(&settings.auth, parts)?,
            answers: settings.answers.clone(),
            addresses: settings.addresses.clone(),
            languages: settings.languages.clone(),
        })
    }
}

/// The values by one of which a customer learns the code.
const TELLING: [Place; 5] = [
    Place::Text,
    Place::OpenedText,
    Place::Code,
    Place::Ssml,
    Place::Call,
];

fn endpoint(
    channel: Channel,
    request: &RequestSettings,
    settings: &HttpSettings,
) -> Result<Endpoint, SettingError> {
    let body_key = request.body.key();
    let fixed = Fixed {
        parameters: &settings.parameters,
        secrets: &settings.secrets,
    };
    let request = Request::new(request, fixed)?;
    if channel == Channel::Voice && !request.has(Place::Greeting) {
        // Without a greeting, an answering machine would be told the code.
        return Err(SettingError::new(
            body_key,
            "must contain {{ greeting }} for voice, which is said before a key is pressed",
        ));
    }
    if !TELLING.iter().any(|place| request.has(*place)) {
        return Err(SettingError::new(
            body_key,
            "must contain {{ text }} or {{ code }}, or customers get no code",
        ));
    }
    if channel == Channel::Push && !request.has(Place::OpenedText) && !request.has(Place::Code) {
        // The text of a push message is an alert for the locked screen, without the code.
        return Err(SettingError::new(
            body_key,
            "must contain {{ opened_text }} or {{ code }} for push, because {{ text }} holds no code",
        ));
    }
    let may_ask = |addresses: &Addresses| addresses.calls.is_some();
    if request.has(Place::Call) && !settings.addresses.as_ref().is_some_and(may_ask) {
        return Err(SettingError::new(
            body_key,
            "contains {{ call }}, which needs http.public_url and receipts of scheme twilio or vonage",
        ));
    }
    let targets = Targets::of(settings.url_key, request.sample_url(), &settings.connection)?;
    let outgoing = HttpClient::new(targets, &settings.connection)?;
    Ok(Endpoint { request, outgoing })
}

fn credentials(auth: &Auth, parts: &SenderParts) -> Result<Credentials, SettingError> {
    match auth {
        Auth::None => Ok(Credentials::None),
        Auth::Basic { username, password } => {
            let pair = format!("{username}:{}", password.expose());
            let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
            Ok(Credentials::Fixed(AUTHORIZATION, secret_header(&value)?))
        }
        Auth::Header {
            name,
            prefix,
            token,
        } => {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                SettingError::new(
                    "auth_header",
                    format!("is {name:?}, which is no name of a header"),
                )
            })?;
            let value = secret_header(&format!("{prefix}{}", token.expose()))?;
            Ok(Credentials::Fixed(name, value))
        }
        Auth::Application { id, private_key } => {
            let application = Application::new(id, private_key, parts)
                .map_err(|wrong| SettingError::new("private_key_file", wrong))?;
            Ok(Credentials::Application(application))
        }
    }
}

fn secret_header(text: &str) -> Result<HeaderValue, SettingError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        SettingError::new(
            "token_file",
            "(or auth_prefix) holds characters that a header cannot carry",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[async_trait]
impl Sender for Http {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let endpoint = self
            .endpoints
            .get(&message.recipient.channel())
            .ok_or_else(|| ours(Reason::WrongChannel))?;
        let mut call = endpoint.request.call(&Values {
            message,
            addresses: self.addresses.as_ref(),
            languages: &self.languages,
        })?;
        match &self.credentials {
            Credentials::None => {}
            Credentials::Fixed(name, value) => drop(call.headers.insert(name, value.clone())),
            Credentials::Application(application) => {
                let value = application
                    .authorization()
                    .ok_or_else(|| always_ours(Reason::LoginFailed))?;
                call.headers.insert(AUTHORIZATION, value);
            }
        }
        judge(&self.answers, &endpoint.outgoing.call(call).await?)
    }

    fn capabilities(&self) -> Capabilities {
        let brings_token = |endpoint: &Endpoint| endpoint.request.has(Place::Callback);
        let receipts = if self.addresses.is_none() {
            ReceiptPath::None
        } else if self.endpoints.values().all(brings_token) {
            ReceiptPath::ByToken
        } else {
            // Receipts of the other channels carry no token. Those with one find their delivery all the same.
            ReceiptPath::ByReference
        };
        Capabilities {
            receipts,
            ..Capabilities::default()
        }
    }
}

#[cfg(test)]
mod tests;
