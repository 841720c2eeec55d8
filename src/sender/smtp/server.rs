//! Opens connections: connects, encrypts, sends EHLO and logs in.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::{
    super::transport::tls::{Tls, is_refusal},
    connection::Connection,
    login_refused, next_sender,
    refusal::{Step, judge},
    retry,
    wire::{Lost, ServerReply, Stream, Wire},
};
use crate::{
    domain::delivery::reason::Reason, format::secret::SecretText, ports::sender::SendError,
};

/// How the connection is encrypted, with the TLS client if it is.
pub(super) enum Encryption {
    None,
    StartTls(Tls),
    Implicit(Tls),
}

/// The address of a server, the encryption and the login.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    /// User name and password; `None` for no login.
    pub(super) credentials: Option<(String, SecretText)>,
    /// The name that EHLO gives.
    pub(super) hello: String,
}

/// The extensions that a server offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Abilities {
    starttls: bool,
    pipelining: bool,
    login: Option<Mechanism>,
}

/// How user name and password are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    Plain,
    Login,
}

impl Server {
    /// Opens a connection that is ready for mail.
    pub(super) async fn connect(&self) -> Result<Connection, SendError> {
        let stream: Box<dyn Stream> = match &self.encryption {
            Encryption::None | Encryption::StartTls(_) => Box::new(self.dial().await?),
            Encryption::Implicit(tls) => Box::new(
                tls.encrypt(self.dial().await?)
                    .await
                    .map_err(|error| broken(&error))?,
            ),
        };
        let mut wire = Wire::new(stream);
        let greeting = wire
            .hear()
            .await
            .map_err(|Lost| retry(Reason::Unreachable))?;
        if !greeting.is(2) {
            return Err(judge(Step::Connect, &greeting));
        }
        let mut abilities = self.hello(&mut wire).await?;
        if let Encryption::StartTls(tls) = &self.encryption {
            wire = upgrade(wire, abilities, tls).await?;
            // What the server said in plaintext may be forged, so it is asked again.
            abilities = self.hello(&mut wire).await?;
        }
        if let Some((user, password)) = &self.credentials {
            log_in(&mut wire, abilities, user, password).await?;
        }
        Ok(Connection {
            wire,
            pipelining: abilities.pipelining,
        })
    }

    async fn dial(&self) -> Result<TcpStream, SendError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|_| retry(Reason::Unreachable))?;
        // With Nagle's algorithm each mail waits 40 ms for a delayed acknowledgement.
        stream
            .set_nodelay(true)
            .map_err(|_| retry(Reason::Unreachable))?;
        Ok(stream)
    }

    async fn hello(&self, wire: &mut Wire) -> Result<Abilities, SendError> {
        let reply = wire
            .ask(&format!("EHLO {}\r\n", self.hello))
            .await
            .map_err(|Lost| retry(Reason::Unreachable))?;
        if reply.is(2) {
            Ok(abilities(&reply))
        } else {
            Err(judge(Step::Connect, &reply))
        }
    }
}

/// What to do after a failed handshake: a refusal is permanent, a broken connection may work later.
fn broken(error: &std::io::Error) -> SendError {
    if is_refusal(error) {
        next_sender(Reason::TlsFailed)
    } else {
        retry(Reason::Unreachable)
    }
}

/// The encrypted connection. Nothing is sent in the clear whatever went wrong, because an attacker in between can hide
/// the offer of STARTTLS; only a server that says so itself can be encrypted to later (454, RFC 3207).
async fn upgrade(mut wire: Wire, abilities: Abilities, tls: &Tls) -> Result<Wire, SendError> {
    let failed = || next_sender(Reason::TlsFailed);
    if !abilities.starttls {
        return Err(failed());
    }
    let reply = wire.ask("STARTTLS\r\n").await.map_err(|Lost| failed())?;
    if reply.is(4) {
        return Err(retry(Reason::TlsFailed));
    }
    let stream = wire.into_stream().filter(|_| reply.is(2));
    let encrypted = tls.encrypt(stream.ok_or_else(failed)?).await;
    Ok(Wire::new(Box::new(encrypted.map_err(|_| failed())?)))
}

fn abilities(reply: &ServerReply) -> Abilities {
    let mut abilities = Abilities::default();
    for line in reply.lines.iter().skip(1) {
        let line = line.to_ascii_uppercase();
        let mut words = line.split([' ', '=']);
        match words.next().unwrap_or_default() {
            "STARTTLS" => abilities.starttls = true,
            "PIPELINING" => abilities.pipelining = true,
            "AUTH" => {
                let offered: Vec<&str> = words.collect();
                let known = [("PLAIN", Mechanism::Plain), ("LOGIN", Mechanism::Login)];
                let found = known
                    .into_iter()
                    .find(|(name, _)| offered.contains(name))
                    .map(|(_, mechanism)| mechanism);
                abilities.login = abilities.login.or(found);
            }
            _ => {}
        }
    }
    abilities
}

async fn log_in(
    wire: &mut Wire,
    abilities: Abilities,
    user: &str,
    password: &SecretText,
) -> Result<(), SendError> {
    let coded = |text: &str| Zeroizing::new(BASE64_STANDARD.encode(text));
    let lines: Vec<Zeroizing<String>> = match abilities.login {
        None => return Err(login_refused()),
        Some(Mechanism::Plain) => {
            let both = Zeroizing::new(format!("\0{user}\0{}", password.expose()));
            vec![Zeroizing::new(format!("AUTH PLAIN {}\r\n", *coded(&both)))]
        }
        Some(Mechanism::Login) => {
            let line = |text: &str| Zeroizing::new(format!("{}\r\n", *coded(text)));
            vec![
                Zeroizing::new("AUTH LOGIN\r\n".to_owned()),
                line(user),
                line(password.expose()),
            ]
        }
    };
    let last = lines.len() - 1;
    for (at, line) in lines.iter().enumerate() {
        let reply = wire
            .ask(line)
            .await
            .map_err(|Lost| retry(Reason::Unreachable))?;
        if !reply.is(if at == last { 2 } else { 3 }) {
            return Err(judge(Step::Login, &reply));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_can_do_is_read_from_its_hello() {
        let read = |lines: &[&str]| {
            let lines = lines.iter().map(|&line| line.to_owned()).collect();
            abilities(&ServerReply { code: 250, lines })
        };
        assert_eq!(
            read(&["STARTTLS PIPELINING"]),
            Abilities::default(),
            "its name comes first"
        );
        let all = Abilities {
            starttls: true,
            pipelining: true,
            login: Some(Mechanism::Plain),
        };
        assert_eq!(
            read(&["mx", "SIZE 1", "Pipelining", "starttls", "AUTH LOGIN PLAIN"]),
            all
        );
        assert_eq!(
            read(&["mx", "AUTH CRAM-MD5", "AUTH=LOGIN"]).login,
            Some(Mechanism::Login)
        );
        assert_eq!(read(&["mx", "AUTH CRAM-MD5 XOAUTH2"]).login, None);
    }
}
