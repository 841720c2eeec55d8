//! A small SMTP server for tests. It records what it gets and gives the configured replies.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// Everything that the sink received.
#[derive(Clone, Debug, Default)]
pub(in crate::sender) struct Record {
    pub(in crate::sender) connections: usize,
    pub(in crate::sender) commands: Vec<String>,
    /// Each message, with `\r
    /// ` after each line and without dot stuffing.
    pub(in crate::sender) mails: Vec<String>,
}

impl Record {
    /// The commands that begin with this text.
    pub(in crate::sender) fn commands(&self, begin: &str) -> Vec<&str> {
        self.commands
            .iter()
            .map(String::as_str)
            .filter(|command| command.starts_with(begin))
            .collect()
    }
}

/// A running sink, which stops with the test's runtime.
pub(in crate::sender) struct Sink {
    pub(in crate::sender) port: u16,
    record: Arc<Mutex<Record>>,
}

impl Sink {
    /// Starts a sink. `answers` holds replies to commands (and to `HELLO` and `MESSAGE`) by their
    /// beginnings. `HANG` sends no reply, `CLOSE` ends the connection, and a reply that ends in `
    /// CLOSE` ends it afterwards.
    pub(in crate::sender) async fn start(answers: &'static [(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let record = Arc::<Mutex<Record>>::default();
        let shared = Arc::clone(&record);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, answers, Arc::clone(&shared)));
            }
        });
        Self { port, record }
    }

    pub(in crate::sender) fn record(&self) -> Record {
        self.record.lock().unwrap().clone()
    }
}

async fn serve(
    stream: TcpStream,
    answers: &'static [(&'static str, &'static str)],
    record: Arc<Mutex<Record>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    reply(&mut stream, answers, "HELLO", "220 sink").await?;
    loop {
        let line = read_line(&mut stream).await?;
        record.lock().unwrap().commands.push(line.clone());
        let usual = match line.split(' ').next().unwrap_or_default() {
            "EHLO" => "250-sink\r\n250 AUTH PLAIN",
            "AUTH" => "235 welcome",
            "DATA" => "354 go",
            "STARTTLS" => "220 go",
            _ => "250 fine",
        };
        reply(&mut stream, answers, &line, usual).await?;
        if line == "DATA" {
            let mut mail = String::new();
            loop {
                let line = read_line(&mut stream).await?;
                if line == "." {
                    break;
                }
                mail.push_str(line.strip_prefix('.').unwrap_or(&line));
                mail.push_str("\r\n");
            }
            record.lock().unwrap().mails.push(mail);
            reply(&mut stream, answers, "MESSAGE", "250 taken").await?;
        }
    }
}

async fn reply(
    stream: &mut BufReader<TcpStream>,
    answers: &[(&str, &'static str)],
    line: &str,
    usual: &'static str,
) -> Option<()> {
    match answers
        .iter()
        .find(|(begin, _)| line.starts_with(begin))
        .map_or(usual, |(_, answer)| answer)
    {
        "HANG" => Some(()),
        "CLOSE" => None,
        answer => {
            let (words, is_last) = answer
                .strip_suffix(" CLOSE")
                .map_or((answer, false), |words| (words, true));
            stream
                .get_mut()
                .write_all(format!("{words}\r\n").as_bytes())
                .await
                .ok()
                .filter(|()| !is_last)
        }
    }
}

/// Reads a line that ends in CR LF, as RFC 5321 requires; a lone LF does not end it.
async fn read_line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let before = line.len();
        stream
            .read_until(b'\n', &mut line)
            .await
            .ok()
            .filter(|_| line.len() > before)?;
    }
    String::from_utf8(line)
        .ok()
        .map(|line| line.trim_end_matches("\r\n").to_owned())
}
