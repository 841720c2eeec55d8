//! Hands messages to a process of the operator's own over gRPC, in whatever language it is written.

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use async_trait::async_trait;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel as Connection, ClientTlsConfig, Endpoint},
};

use super::{
    addresses::Addresses,
    outgoing::{again, give_up, next_sender, unfit, unknown},
    secret::SecretText,
};
use crate::{
    domain::{ids::ProviderReference, recipient::Channel},
    pb::v1::{self, send_message_response::Outcome, sender_service_client::SenderServiceClient},
    ports::sender::{Capabilities, Message, ReceiptRoad, SendError, Sender, Sent},
};

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Longest word for machines.
const REASON_CHARS_MAX: usize = 64;

/// Where the process is, and how it knows us.
#[derive(Clone, Debug)]
pub struct PluginSettings {
    /// `http://127.0.0.1:PORT` or `unix:PATH` on this machine, `https://HOST:PORT` elsewhere.
    pub address: String,
    /// Sent as `authorization: Bearer TOKEN`.
    pub token: Option<SecretText>,
    /// PEM file of the certificate authorities that vouch for it; `https` needs it.
    pub ca_file: Option<PathBuf>,
    /// Deadline of one hand-over.
    pub timeout: Duration,
    /// Where it tells us what became of a message; `None`: nowhere.
    pub addresses: Option<Addresses>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The address has another form, or would send codes in the clear.
    #[error("address must be http:// on loopback, unix:PATH, or https:// with ca_file")]
    Address,
    /// The certificate authorities cannot be read.
    #[error("ca_file {} cannot be read: {source}", path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up with ca_file")]
    Tls,
    /// The token does not fit into a header.
    #[error("the token holds characters that a header cannot carry")]
    Token,
}

/// Sends by a process of the operator's own.
pub struct Plugin {
    endpoint: Endpoint,
    /// Made at the first message: it needs a runtime, and settings are also checked without one.
    connection: OnceLock<Connection>,
    authorization: Option<MetadataValue<Ascii>>,
    timeout: Duration,
    addresses: Option<Addresses>,
}

impl Plugin {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: &PluginSettings) -> Result<Self, PluginError> {
        let endpoint = endpoint(settings)?.connect_timeout(settings.timeout);
        let bearer = |token: &SecretText| {
            let mut value = MetadataValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| PluginError::Token)?;
            value.set_sensitive(true);
            Ok::<_, PluginError>(value)
        };
        let authorization = settings.token.as_ref().map(bearer).transpose()?;
        Ok(Self {
            endpoint,
            connection: OnceLock::new(),
            authorization,
            timeout: settings.timeout,
            addresses: settings.addresses.clone(),
        })
    }

    async fn call(&self, message: &Message) -> Result<v1::SendMessageResponse, SendError> {
        let connection = self.connection.get_or_init(|| self.endpoint.connect_lazy()).clone();
        let mut client = SenderServiceClient::new(connection).max_decoding_message_size(ANSWER_BYTES_MAX);
        let receipt_url = self.addresses.as_ref().map(|addresses| addresses.callback(&message.receipt));
        let mut request = Request::new(request(message, receipt_url.unwrap_or_default()));
        // The process can stop, too, once nobody waits any more.
        request.set_timeout(self.timeout);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        let answer = tokio::time::timeout(self.timeout, client.send_message(request)).await;
        answer.map_err(|_| unknown("timeout"))?.map(tonic::Response::into_inner).map_err(|status| failure(&status))
    }
}

#[async_trait]
impl Sender for Plugin {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        match self.call(message).await?.outcome {
            Some(Outcome::Sent(sent)) => Ok(Sent { reference: ProviderReference::parse(&sent.reference).ok() }),
            Some(Outcome::Retry(retry)) => {
                let after = retry.after.and_then(|after| Duration::try_from(after).ok());
                Err(again(word(&retry.reason), after))
            }
            Some(Outcome::NextSender(next)) => Err(unfit(word(&next.reason))),
            Some(Outcome::GiveUp(none)) => Err(give_up(word(&none.reason))),
            None => Err(next_sender("malformed_reply")),
        }
    }

    fn capabilities(&self) -> Capabilities {
        let receipts = if self.addresses.is_some() { ReceiptRoad::ByToken } else { ReceiptRoad::None };
        Capabilities { receipts, ..Capabilities::default() }
    }
}

fn endpoint(settings: &PluginSettings) -> Result<Endpoint, PluginError> {
    let is_local = settings.address.starts_with("unix:")
        || ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"].iter().any(|begin| settings.address.starts_with(begin));
    // A user part would hide the host that is called.
    if settings.address.contains('@') {
        return Err(PluginError::Address);
    }
    let endpoint = Endpoint::from_shared(settings.address.clone()).map_err(|_| PluginError::Address)?;
    match (&settings.ca_file, is_local) {
        (None, true) => Ok(endpoint),
        (Some(path), false) if settings.address.starts_with("https://") => {
            let pem = match std::fs::read(path) {
                Ok(pem) => pem,
                Err(source) => return Err(PluginError::CaFile { path: path.clone(), source }),
            };
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
            endpoint.tls_config(tls).map_err(|_| PluginError::Tls)
        }
        (Some(_) | None, _) => Err(PluginError::Address),
    }
}

fn request(message: &Message, receipt_url: String) -> v1::SendMessageRequest {
    let (content, speech) = (&message.content, message.content.speech.as_ref());
    let channel = match message.recipient.channel() {
        Channel::Sms => v1::Channel::Sms,
        Channel::Email => v1::Channel::Email,
        Channel::Voice => v1::Channel::Voice,
        Channel::Whatsapp => v1::Channel::Whatsapp,
        Channel::Push => v1::Channel::Push,
    };
    v1::SendMessageRequest {
        delivery_id: message.delivery.to_string(),
        verification_id: message.verification.to_string(),
        channel: channel.into(),
        address: message.recipient.expose().to_owned(),
        language: content.language.to_owned(),
        subject: content.subject.clone(),
        text: content.text.clone(),
        html: content.html.clone().unwrap_or_default(),
        greeting: speech.map(|speech| speech.greeting.clone()).unwrap_or_default(),
        ssml: speech.map(|speech| speech.ssml.clone()).unwrap_or_default(),
        code: message.code.expose().to_owned(),
        opened_text: content.opened.clone().unwrap_or_default(),
        receipt_url,
    }
}

/// What to do after a call without an answer. The words of the process stay here: they may hold the address.
fn failure(status: &Status) -> SendError {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => next_sender("login_refused"),
        Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition | Code::OutOfRange => {
            unfit("sender_refused")
        }
        Code::Unimplemented | Code::DataLoss => next_sender("sender_refused"),
        Code::ResourceExhausted | Code::Aborted => again("busy", None),
        // The library calls its own timer a cancellation.
        Code::DeadlineExceeded | Code::Cancelled => unknown("timeout"),
        Code::Ok | Code::Unknown | Code::Internal | Code::Unavailable => again("unreachable", None),
    }
}

/// A word that may be stored and logged.
fn word(reason: &str) -> &str {
    let plain = reason.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    // A word of digits alone could be the code.
    let is_word = reason.starts_with(|c: char| c.is_ascii_lowercase()) && reason.len() <= REASON_CHARS_MAX && plain;
    if is_word { reason } else { "refused" }
}

#[cfg(test)]
mod tests;
