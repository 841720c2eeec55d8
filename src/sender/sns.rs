//! Sends SMS through Amazon SNS: its query API, signed with Signature Version 4.

mod signature;

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use url::form_urlencoded::Serializer;

use self::signature::{Credentials, date};
use super::{
    http::{busy, is_busy, refusal},
    settings::{SenderParts, SenderSettings, SettingError, distinct},
    transport::http::{
        Call, ConnectionSettings, HttpClient, Reply, Targets, again, give_up, host_and_port, later,
        login_refused, next_sender, ours,
    },
};
use crate::{
    domain::{delivery::reason::Reason, ids::ProviderReference, recipient::Channel},
    format::secret::SecretText,
    ports::{
        sender::{Message, SendError, Sender, Sent},
        system::Clock,
    },
};

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// The longest text that SNS accepts, in characters.
const TEXT_CHARS_MAX: usize = 1600;

/// The settings of an account of Amazon SNS.
#[derive(Clone, Debug)]
pub struct SnsSettings {
    /// The region that sends, such as `eu-central-1`.
    pub region: String,
    /// The id of the access key.
    pub access_key_id: SecretText,
    /// The secret of the access key, read from a file.
    pub secret_access_key: SecretText,
    /// The session token of temporary credentials; `None` for a permanent access key.
    pub session_token: Option<SecretText>,
    /// Originator of the messages, where networks show it: 1 to 11 letters and digits. `None`:
    /// that of the account.
    pub sender_id: Option<String>,
    /// The base URL of the API.
    pub base_url: String,
    /// The connection to the API.
    pub connection: ConnectionSettings,
}

impl SenderSettings for SnsSettings {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Sms
    }

    fn build(&self, parts: &SenderParts) -> Result<Arc<dyn Sender>, SettingError> {
        Ok(Arc::new(Sns::new(self, parts.clock.clone())?))
    }

    fn problems(&self, parts: &SenderParts) -> Vec<SettingError> {
        distinct([self.build(parts).err(), self.connection.problem()])
    }
}

/// Sends SMS through Amazon SNS.
pub struct Sns {
    url: String,
    /// The host as it is signed: with its port, if that is not the default.
    host: String,
    sender_id: Option<String>,
    credentials: Credentials,
    session_token: Option<HeaderValue>,
    outgoing: HttpClient,
    clock: Arc<dyn Clock>,
}

impl Sns {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn new(settings: &SnsSettings, clock: Arc<dyn Clock>) -> Result<Self, SettingError> {
        let url = format!("{}/", settings.base_url.trim_end_matches('/'));
        let targets = Targets::of("base_url", &url, &settings.connection)?;
        let host = host_and_port(&url).map_err(|refused| SettingError::new("base_url", refused))?;
        let session_token = settings.session_token.as_ref();
        // The id is part of a header too.
        header("access_key_id_file", &settings.access_key_id)?;
        Ok(Self {
            host,
            url,
            sender_id: settings.sender_id.clone(),
            credentials: Credentials {
                key_id: settings.access_key_id.clone(),
                secret: settings.secret_access_key.clone(),
                region: settings.region.clone(),
                service: "sns",
            },
            session_token: session_token
                .map(|token| header("session_token_file", token))
                .transpose()?,
            outgoing: HttpClient::new(targets, &settings.connection)?,
            clock,
        })
    }

    fn call(&self, message: &Message) -> Option<Call> {
        let (now, body) = (self.clock.now(), self.body(message));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        headers.insert("x-amz-date", HeaderValue::from_str(&date(now)).ok()?);
        if let Some(token) = &self.session_token {
            headers.insert("x-amz-security-token", token.clone());
        }
        let mut signed = vec![("host", self.host.as_str())];
        for (name, value) in &headers {
            signed.push((name.as_str(), value.to_str().ok()?));
        }
        let authorization = self.credentials.authorization(now, signed, body.as_bytes());
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&authorization).ok()?);
        Some(Call {
            method: Method::POST,
            url: self.url.clone(),
            headers,
            body: body.into_bytes(),
        })
    }

    fn body(&self, message: &Message) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("Action", "Publish")
            .append_pair("Version", "2010-03-31")
            .append_pair("PhoneNumber", message.recipient.expose())
            .append_pair("Message", &message.content.text);
        // Transactional messages get the best chance of arriving, instead of the lowest cost.
        let attributes = [
            ("AWS.SNS.SMS.SMSType", Some("Transactional")),
            ("AWS.SNS.SMS.SenderID", self.sender_id.as_deref()),
        ];
        for (at, (name, value)) in attributes
            .into_iter()
            .enumerate()
            .filter_map(|(at, (name, value))| Some((at, (name, value?))))
        {
            let entry = format!("MessageAttributes.entry.{}", at + 1);
            form.append_pair(&format!("{entry}.Name"), name)
                .append_pair(&format!("{entry}.Value.DataType"), "String")
                .append_pair(&format!("{entry}.Value.StringValue"), value);
        }
        form.finish()
    }
}

#[async_trait]
impl Sender for Sns {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        if message.recipient.channel() != Channel::Sms {
            return Err(ours(Reason::WrongChannel));
        }
        if message.content.text.chars().count() > TEXT_CHARS_MAX {
            return Err(ours(Reason::OversizedMessage));
        }
        let call = self.call(message).ok_or_else(|| ours(Reason::BadMessage))?;
        judge(&self.outgoing.call(call).await?)
    }
}

fn header(key: &str, secret: &SecretText) -> Result<HeaderValue, SettingError> {
    let mut value = HeaderValue::from_str(secret.expose())
        .map_err(|_| SettingError::new(key, "holds characters that a header cannot carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn judge(reply: &Reply) -> Result<Sent, SendError> {
    let body = reply
        .body
        .as_ref()
        .ok_or_else(|| next_sender(Reason::OversizedReply))?;
    let xml = std::str::from_utf8(body).unwrap_or_default();
    if reply.status.is_success() {
        // A success without a message id is not Amazon's.
        let id = element(xml, "PublishResponse", "MessageId")
            .ok_or_else(|| next_sender(Reason::MalformedReply))?;
        return Ok(Sent {
            reference: ProviderReference::parse(id).ok(),
            ..Sent::default()
        });
    }
    Err(
        match element(xml, "ErrorResponse", "Code").unwrap_or_default() {
            "Throttling" | "ThrottlingException" | "Throttled" => {
                later(Reason::Busy, reply.retry_after)
            }
            "InternalError" | "InternalFailure" | "ServiceUnavailable" => {
                again(Reason::Busy, reply.retry_after)
            }
            // Only the telephone number is the recipient's; the other parameters come from the
            // settings.
            "InvalidParameter" | "InvalidParameterValue" | "ParameterValueInvalid"
                if xml.contains("PhoneNumber") =>
            {
                give_up(Reason::Refused)
            }
            "OptedOut" => give_up(Reason::OptedOut),
            "AuthorizationError"
            | "AccessDenied"
            | "ExpiredToken"
            | "InvalidClientTokenId"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "RequestExpired"
            | "OptInRequired" => login_refused(),
            _ if is_busy(reply.status) => busy(reply),
            _ => refusal(reply.status),
        },
    )
}

/// The text of the only element of this name in a document with this root; `None` unless it is exactly one plain text.
fn element<'a>(xml: &'a str, root: &str, name: &str) -> Option<&'a str> {
    let document = xml.trim_start();
    let document = if document.starts_with("<?xml") {
        document.split_once("?>")?.1.trim_start()
    } else {
        document
    };
    let after = document.strip_prefix('<')?.strip_prefix(root)?;
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let (_, rest) = after.split_once(&begin)?;
    let (text, rest) = rest.split_once(&end)?;
    let is_plain =
        after.starts_with([' ', '>']) && !text.contains(['<', '&']) && !rest.contains(&begin);
    (is_plain && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
