//! SMS by Amazon SNS: its query API, signed with Signature Version 4.

mod signature;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use url::form_urlencoded::Serializer;

use self::signature::{Credentials, date};
use super::{
    http::{is_busy, refusal},
    transport::http::{
        Call, Outgoing, OutgoingError, Reply, Settings, Targets, again, give_up, host_and_port,
        next_sender,
    },
};
use crate::{
    domain::{ids::ProviderReference, recipient::Channel},
    format::secret::SecretText,
    ports::{
        sender::{Message, SendError, Sender, Sent},
        system::Clock,
    },
};

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// The longest text that SNS takes.
const TEXT_CHARS_MAX: usize = 1600;

/// The account, and how it knows us.
#[derive(Clone, Debug)]
pub struct SnsSettings {
    /// The region that sends: `eu-central-1`.
    pub region: String,
    /// The name of the access key.
    pub access_key_id: SecretText,
    /// The access key.
    pub secret_access_key: SecretText,
    /// Of credentials that end by themselves.
    pub session_token: Option<SecretText>,
    /// Who the message is from, where networks show it: 1 to 11 letters and digits.
    pub sender_id: Option<String>,
    /// Where the API is.
    pub base_url: String,
    /// Hosts that may be in an inner network or on another port than the usual one.
    pub allow_hosts: Vec<String>,
    /// May it be called without encryption?
    pub plain: bool,
    /// PEM file of certificate authorities to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Deadline of one call.
    pub timeout: Duration,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnsError {
    /// A credential does not fit into a header.
    #[error("{0} holds characters that a header cannot carry")]
    Credentials(&'static str),
    /// No calls can be made.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
}

/// Sends SMS by Amazon SNS.
pub struct Sns {
    url: String,
    /// As it is signed: with its port, if that is not the usual one.
    host: String,
    sender_id: Option<String>,
    credentials: Credentials,
    session_token: Option<HeaderValue>,
    outgoing: Outgoing,
    clock: Arc<dyn Clock>,
}

impl Sns {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: SnsSettings, clock: Arc<dyn Clock>) -> Result<Self, SnsError> {
        let url = format!("{}/", settings.base_url.trim_end_matches('/'));
        let targets =
            Targets::of(&url, settings.allow_hosts, settings.plain).map_err(OutgoingError::Url)?;
        let session_token = settings.session_token.map(|token| {
            let mut value = HeaderValue::from_str(token.expose())
                .map_err(|_| SnsError::Credentials("session_token_file"))?;
            value.set_sensitive(true);
            Ok::<_, SnsError>(value)
        });
        if HeaderValue::from_str(settings.access_key_id.expose()).is_err() {
            return Err(SnsError::Credentials("access_key_id_file"));
        }
        Ok(Self {
            host: host_and_port(&url).map_err(OutgoingError::Url)?,
            url,
            sender_id: settings.sender_id,
            credentials: Credentials {
                key_id: settings.access_key_id,
                secret: settings.secret_access_key,
                region: settings.region,
                service: "sns",
            },
            session_token: session_token.transpose()?,
            outgoing: Outgoing::new(Settings {
                targets,
                ca_file: settings.ca_file,
                timeout: settings.timeout,
            })?,
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
        // Transactional: for the best chance of arriving, not for the least cost.
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
            return Err(give_up("wrong_channel"));
        }
        if message.content.text.chars().count() > TEXT_CHARS_MAX {
            return Err(give_up("oversized_message"));
        }
        let call = self.call(message).ok_or_else(|| give_up("bad_message"))?;
        judge(&self.outgoing.call(call).await?)
    }
}

fn judge(reply: &Reply) -> Result<Sent, SendError> {
    let body = reply
        .body
        .as_ref()
        .ok_or_else(|| next_sender("oversized_reply"))?;
    let xml = std::str::from_utf8(body).unwrap_or_default();
    if reply.status.is_success() {
        // An answer without an id is not Amazon's.
        let id = element(xml, "PublishResponse", "MessageId")
            .ok_or_else(|| next_sender("malformed_reply"))?;
        return Ok(Sent {
            reference: ProviderReference::parse(id).ok(),
        });
    }
    Err(
        match element(xml, "ErrorResponse", "Code").unwrap_or_default() {
            "Throttling"
            | "ThrottlingException"
            | "Throttled"
            | "InternalError"
            | "InternalFailure"
            | "ServiceUnavailable" => again("busy", reply.retry_after),
            // Of the other parameters the settings give the values.
            "InvalidParameter" | "InvalidParameterValue" | "ParameterValueInvalid"
                if xml.contains("PhoneNumber") =>
            {
                give_up("refused")
            }
            "OptedOut" => give_up("opted_out"),
            "AuthorizationError"
            | "AccessDenied"
            | "ExpiredToken"
            | "InvalidClientTokenId"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "RequestExpired"
            | "OptInRequired" => next_sender("login_refused"),
            _ if is_busy(reply.status) => again("busy", reply.retry_after),
            _ => refusal(reply.status),
        },
    )
}

/// The text of the one element of this name, in a document with this root; `None` where it is not exactly one plain text.
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
