//! Opens sessions: connects, encrypts and logs in.

use std::time::Duration;

use rusmpp::{CommandId, CommandStatus, Pdu, types::AnyOctetString};
use tokio::{net::TcpStream, time::timeout};

use super::{
    super::transport::tls::{Tls, is_refusal},
    status::{judge_bind, next_sender, retry},
    wire::{CommandReader, CommandWriter, SessionLost, SessionStream, open},
};
use crate::{
    domain::delivery::reason::Reason, format::secret::SecretText, ports::sender::SendError,
};

/// The sequence number of the login; later commands continue from it.
pub(super) const BIND: u32 = 1;

/// The address of a message centre, and the login.
pub(super) struct Centre {
    pub(super) host: String,
    pub(super) port: u16,
    /// The TLS client; `None` for plaintext.
    pub(super) tls: Option<Tls>,
    pub(super) login: Login,
    /// Time limit of the whole login, and of each write after it.
    pub(super) timeout: Duration,
}

/// The login. It is written here and not by the codec, which has no room for the long passwords that many message
/// centres give.
pub(super) struct Login {
    pub(super) system_id: String,
    pub(super) password: SecretText,
    pub(super) system_type: String,
}

/// `interface_version` of SMPP 3.4.
const VERSION: u8 = 0x34;

impl Login {
    /// The body of `bind_transceiver` (SMPP 3.4 §4.1.5), for all addresses of the account.
    fn body(&self) -> Vec<u8> {
        let texts = [
            self.system_id.as_str(),
            self.password.expose(),
            &self.system_type,
        ];
        let mut body: Vec<u8> = texts
            .iter()
            .flat_map(|text| text.bytes().chain([0]))
            .collect();
        // addr_ton, addr_npi, address_range: unknown.
        body.extend([VERSION, 0, 0, 0]);
        body
    }
}

impl Centre {
    /// Opens a session that accepts messages and delivers receipts.
    pub(super) async fn connect(&self) -> Result<(CommandReader, CommandWriter), SendError> {
        timeout(self.timeout, self.open())
            .await
            .unwrap_or_else(|_| Err(retry(Reason::Timeout)))
    }

    async fn open(&self) -> Result<(CommandReader, CommandWriter), SendError> {
        let stream = self.dial().await.map_err(|_| retry(Reason::Unreachable))?;
        let stream: Box<dyn SessionStream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => match tls.encrypt(stream).await {
                Ok(stream) => Box::new(stream),
                Err(error) if is_refusal(&error) => return Err(next_sender(Reason::TlsFailed)),
                Err(_) => return Err(retry(Reason::Unreachable)),
            },
        };
        let (mut reader, mut writer) = open(stream, self.timeout);
        let bind = Pdu::Other {
            command_id: CommandId::BindTransceiver,
            body: AnyOctetString::from_vec(self.login.body()),
        };
        let lost = |SessionLost| retry(Reason::Unreachable);
        writer
            .write(CommandStatus::EsmeRok, BIND, bind)
            .await
            .map_err(lost)?;
        // This loop ends: the whole login has a time limit.
        loop {
            let answer = reader.read().await.map_err(lost)?;
            match (answer.id, answer.status) {
                (CommandId::BindTransceiverResp, CommandStatus::EsmeRok) => {
                    return Ok((reader, writer));
                }
                (CommandId::BindTransceiverResp | CommandId::GenericNack, status) => {
                    return Err(judge_bind(status));
                }
                _ => {}
            }
        }
    }

    async fn dial(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // With Nagle's algorithm each message waits for the acknowledgement of the one before it.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
