//! A provider that can be killed: a small HTTP server that keeps the messages it gets and answers as configured.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::harness::PATIENCE;

/// The answer to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Accepts it: 201 and an id.
    Taken,
    /// Accepts it, but closes the connection of the first this many messages without an answer.
    TakenAndDropped(usize),
    /// Refuses it with this status and body.
    Status(u16, &'static str, String),
    /// Does not answer until the setting changes, then gives the new answer.
    Silent,
}

/// A message that the provider got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub delivery: String,
    pub code: String,
}

#[derive(Default)]
struct Desk {
    got: Mutex<Vec<Got>>,
    count: watch::Sender<usize>,
}

pub struct Provider {
    pub port: u16,
    desk: Arc<Desk>,
    answer: watch::Sender<Answer>,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl Provider {
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let provider = Self {
            port,
            desk: Arc::default(),
            answer: watch::Sender::new(answer),
            server: Mutex::default(),
        };
        provider.serve(listener);
        provider
    }

    fn serve(&self, listener: TcpListener) {
        let (desk, answer) = (self.desk.clone(), self.answer.subscribe());
        let server = tokio::spawn(async move {
            // Dropped together with this task, which closes every connection.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(converse(stream, desk.clone(), answer.clone()));
            }
        });
        *self.server.lock().unwrap() = Some(server);
    }

    /// Closes the listener and every connection.
    pub async fn kill(&self) {
        let server = self.server.lock().unwrap().take().expect("it lives");
        server.abort();
        let _ = server.await;
    }

    /// Listens again on the same port.
    pub async fn revive(&self) {
        self.serve(
            TcpListener::bind(("127.0.0.1", self.port))
                .await
                .expect("nobody took its port"),
        );
    }

    pub fn answer(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }

    /// All messages that reached it, in order.
    pub fn got(&self) -> Vec<Got> {
        self.desk.got.lock().unwrap().clone()
    }

    pub async fn wait_for(&self, count: usize) {
        let mut counts = self.desk.count.subscribe();
        let arrived = tokio::time::timeout(PATIENCE, counts.wait_for(|have| *have >= count)).await;
        arrived
            .expect("the messages arrive")
            .expect("the provider is not dropped");
    }

    /// The settings of a sender that uses this provider.
    pub fn section(&self, name: &str) -> String {
        section(
            name,
            &format!("http://127.0.0.1:{}", self.port),
            &format!("127.0.0.1:{}", self.port),
        )
    }
}

/// The settings of a sender for which success is 201 with the provider's id of the message.
pub fn section(name: &str, base: &str, allowed: &str) -> String {
    format!(
        "[senders.{name}]\nkind = \"http\"\nchannels = [\"email\"]\nurl = \"{base}/send\"\nallow_hosts = [\"{allowed}\"]\n\
         json = '{{\"to\": \"{{{{ address }}}}\", \"code\": \"{{{{ code }}}}\", \"id\": \"{{{{ delivery }}}}\"}}'\n\
         success_status = [201]\nreference_pointer = \"/id\"\ntimeout_ms = 1000\n"
    )
}

/// Serves one connection, request after request, until either side closes it.
async fn converse(
    mut stream: TcpStream,
    desk: Arc<Desk>,
    mut answer: watch::Receiver<Answer>,
) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let message: Value =
            serde_json::from_slice(&request(&mut stream, &mut buffer).await?).unwrap();
        let text = |name: &str| message[name].as_str().unwrap().to_owned();
        let got = Got {
            delivery: text("id"),
            code: text("code"),
        };
        let name = got.delivery.clone();
        desk.got.lock().unwrap().push(got);
        let mut number = 0;
        desk.count.send_modify(|count| {
            *count += 1;
            number = *count;
        });
        let answer = answer
            .wait_for(|answer| *answer != Answer::Silent)
            .await
            .ok()?
            .clone();
        let reply = match answer {
            Answer::TakenAndDropped(first) if number <= first => return None,
            Answer::Taken | Answer::TakenAndDropped(_) => {
                reply(201, "", &format!("{{\"id\": \"{name}\"}}"))
            }
            Answer::Status(status, headers, body) => reply(status, headers, &body),
            Answer::Silent => return None,
        };
        stream.write_all(reply.as_bytes()).await.ok()?;
    }
}

fn reply(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// Reads the body of the next request; later bytes stay in the buffer.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        let head = buffer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .map(|at| at + 4);
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
            let length: usize = text
                .split("content-length: ")
                .nth(1)?
                .lines()
                .next()?
                .parse()
                .ok()?;
            if buffer.len() >= head + length {
                let rest = buffer.split_off(head + length);
                return Some(std::mem::replace(buffer, rest).split_off(head));
            }
        }
        let mut chunk = [0; 4096];
        let count = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut chunk))
            .await
            .ok()?
            .ok()?;
        buffer.extend_from_slice(chunk.get(..count).filter(|chunk| !chunk.is_empty())?);
    }
}
