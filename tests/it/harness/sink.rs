//! A mail server that keeps every mail, answers as late as configured, and refuses recipients of some domains.
#![allow(dead_code, reason = "each target uses a part of it")]
#![allow(clippy::unwrap_used, reason = "what fails here is to fail the test")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::rig::PATIENCE;

/// When a mail is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Immediately after the mail.
    Prompt,
    /// A little after the mail, which is accepted immediately.
    Late,
    /// Never, although the mail is accepted.
    WithholdReply,
    /// Never; there is not even a greeting.
    Silent,
}

/// Long compared to the rest of a hand-over, so that a kill at a random moment mostly interrupts one.
const LATE: Duration = Duration::from_millis(50);

pub struct Sink {
    pub address: SocketAddr,
    mails: Arc<Mutex<Vec<String>>>,
    count: watch::Sender<usize>,
    pace: watch::Sender<Pace>,
    /// Endings of recipients that are refused, each with the reply.
    refused: Mutex<Vec<(String, String)>>,
    /// The recipients that were refused.
    refusals: watch::Sender<Vec<String>>,
}

impl Sink {
    pub async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sink = Arc::new(Self {
            address,
            mails: Arc::default(),
            count: watch::Sender::new(0),
            pace: watch::Sender::new(Pace::Prompt),
            refused: Mutex::default(),
            refusals: watch::Sender::default(),
        });
        let accepting = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = accepting.clone();
                // Some tests kill the client in the middle of a mail.
                tokio::spawn(async move { sink.talk(stream).await.ok() });
            }
        });
        sink
    }

    pub fn set(&self, pace: Pace) {
        self.pace.send_replace(pace);
    }

    /// Recipients whose address ends like this get this reply; `CLOSE` ends the connection.
    pub fn refuse(&self, ending: &str, reply: &str) {
        let row = (ending.to_owned(), format!("{reply}\r\n"));
        self.refused.lock().unwrap().push(row);
    }

    /// Waits until this many commands with this ending were refused.
    pub async fn wait_for_refusals(&self, ending: &str, count: usize) {
        let mut refusals = self.refusals.subscribe();
        let is_ending = |address: &&String| address.ends_with(ending);
        let enough = |seen: &Vec<String>| seen.iter().filter(is_ending).count() >= count;
        let arrived = tokio::time::timeout(PATIENCE, refusals.wait_for(enough)).await;
        arrived.expect("they are refused").unwrap();
    }

    fn refusal_of(&self, command: &str) -> Option<String> {
        let address = command.trim_end().trim_end_matches('>');
        let refused = self.refused.lock().unwrap();
        let row = refused
            .iter()
            .find(|(ending, _)| address.ends_with(ending))?;
        self.refusals
            .send_modify(|seen| seen.push(address.to_owned()));
        Some(row.1.clone())
    }

    pub fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }

    pub async fn wait_for(&self, count: usize) -> Vec<String> {
        let mut counts = self.count.subscribe();
        let arrived = tokio::time::timeout(PATIENCE, counts.wait_for(|have| *have >= count)).await;
        arrived.expect("the mails arrive").unwrap();
        self.mails()
    }

    /// Waits for mails beyond this many, and returns them.
    pub async fn after(&self, seen: usize) -> Vec<String> {
        let mut counts = self.count.subscribe();
        counts.wait_for(|have| *have > seen).await.unwrap();
        self.mails.lock().unwrap()[seen..].to_vec()
    }

    async fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut pace = self.pace.subscribe();
        let _ = pace.wait_for(|pace| *pace != Pace::Silent).await;
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 sink\r\n").await?;
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let _ = pace.wait_for(|pace| *pace != Pace::Silent).await;
            let answer: &[u8] = match line
                .get(..4)
                .unwrap_or_default()
                .to_ascii_uppercase()
                .as_str()
            {
                "EHLO" | "HELO" => b"250 sink\r\n",
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").await?;
                    self.keep(&mut stream).await?;
                    let now = pace
                        .wait_for(|pace| matches!(pace, Pace::Prompt | Pace::Late))
                        .await
                        .map(|pace| *pace);
                    if now.is_ok_and(|pace| pace == Pace::Late) {
                        tokio::time::sleep(LATE).await;
                    }
                    b"250 kept\r\n"
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").await?;
                    return Ok(());
                }
                "RCPT" => match self.refusal_of(&line) {
                    Some(reply) if reply == "CLOSE\r\n" => return Ok(()),
                    Some(reply) => {
                        stream.write_all(reply.as_bytes()).await?;
                        continue;
                    }
                    None => b"250 ok\r\n",
                },
                _ => b"250 ok\r\n",
            };
            stream.write_all(answer).await?;
        }
    }

    async fn keep(&self, stream: &mut BufReader<TcpStream>) -> std::io::Result<()> {
        let mut mail = String::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line == ".\r\n" {
                self.mails.lock().unwrap().push(mail);
                self.count.send_modify(|count| *count += 1);
                return Ok(());
            }
            mail.push_str(&line);
        }
    }
}

/// The value of a header.
pub fn header(mail: &str, name: &str) -> String {
    let line = mail.lines().find(|line| {
        line.to_ascii_lowercase()
            .starts_with(&format!("{}:", name.to_ascii_lowercase()))
    });
    line.and_then(|line| line.split_once(':'))
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}

/// The code in a mail: the first line of its text that is nothing but a grouped code.
pub fn code(mail: &str) -> String {
    let digits = |line: &str| {
        line.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    let is_code = |line: &&str| {
        (6..=8).contains(&digits(line).len())
            && line.trim().chars().all(|c| c.is_ascii_digit() || c == ' ')
    };
    mail.lines()
        .find(is_code)
        .map_or_else(|| panic!("a mail without a code:\n{mail}"), digits)
}
