//! A message centre (SMPP 3.4) that answers and sends octets exactly as a test wants them: right, odd or broken.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::harness::PATIENCE;

pub const BIND_TRANSCEIVER: u32 = 9;
pub const SUBMIT_SM: u32 = 4;
pub const DELIVER_SM: u32 = 5;
pub const DATA_SM: u32 = 0x103;
const UNBIND: u32 = 6;
const ENQUIRE_LINK: u32 = 0x15;
const RESPONSE: u32 = 0x8000_0000;

/// A command, or the answer to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pdu {
    pub id: u32,
    pub status: u32,
    pub sequence: u32,
    pub body: Vec<u8>,
}

impl Pdu {
    /// A command whose status is zero.
    pub fn new(id: u32, sequence: u32, body: &[u8]) -> Self {
        Self {
            id,
            status: 0,
            sequence,
            body: body.to_vec(),
        }
    }

    pub fn octets(&self) -> Vec<u8> {
        let length = u32::try_from(16 + self.body.len()).unwrap();
        let head = [length, self.id, self.status, self.sequence].map(u32::to_be_bytes);
        [head.as_flattened(), &self.body].concat()
    }
}

#[derive(Default)]
struct Desk {
    heard: Mutex<Vec<Pdu>>,
    count: watch::Sender<usize>,
    /// The body of the answer to each message; the last one is used again and again.
    answers: Mutex<Vec<Vec<u8>>>,
}

pub struct Centre {
    pub port: u16,
    desk: Arc<Desk>,
    out: mpsc::UnboundedSender<Vec<u8>>,
    server: JoinHandle<()>,
}

impl Centre {
    /// A message centre that answers messages with these bodies, in this order.
    pub async fn start(answers: &[&[u8]]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let desk = Arc::<Desk>::default();
        let mut bodies: Vec<_> = answers.iter().map(|body| body.to_vec()).collect();
        bodies.reverse();
        *desk.answers.lock().unwrap() = bodies;
        let (out, waiting) = mpsc::unbounded_channel();
        let server = tokio::spawn(serve(listener, desk.clone(), waiting));
        Self {
            port,
            desk,
            out,
            server,
        }
    }

    /// Sends these octets over the session that is open, or over the next one.
    pub fn send(&self, octets: Vec<u8>) {
        self.out.send(octets).unwrap();
    }

    /// What it heard with this id.
    pub fn heard(&self, id: u32) -> Vec<Pdu> {
        let heard = self.desk.heard.lock().unwrap();
        heard.iter().filter(|pdu| pdu.id == id).cloned().collect()
    }

    pub async fn wait_for(&self, id: u32, count: usize) -> Vec<Pdu> {
        let mut counts = self.desk.count.subscribe();
        let arrived =
            tokio::time::timeout(PATIENCE, counts.wait_for(|_| self.heard(id).len() >= count));
        arrived
            .await
            .unwrap_or_else(|_| panic!("{id:#x} came {} times", self.heard(id).len()))
            .unwrap();
        self.heard(id)
    }

    /// The answers to what it sent, by the id of its command.
    pub async fn answered(&self, id: u32, count: usize) -> Vec<Pdu> {
        self.wait_for(id | RESPONSE, count).await
    }

    /// The settings of a sender that uses it.
    pub fn section(&self, name: &str, password_file: &str) -> String {
        format!(
            "[senders.{name}]\nkind = \"smpp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nsystem_id = \"bank\"\n\
             password_file = \"{password_file}\"\nfrom = \"Bank\"\n",
            self.port
        )
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Serves one session after another.
async fn serve(
    listener: TcpListener,
    desk: Arc<Desk>,
    mut waiting: mpsc::UnboundedReceiver<Vec<u8>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = attend(stream, &desk, &mut waiting).await;
    }
}

async fn attend(
    stream: TcpStream,
    desk: &Desk,
    waiting: &mut mpsc::UnboundedReceiver<Vec<u8>>,
) -> std::io::Result<()> {
    let (mut from, mut to) = stream.into_split();
    let (heard, mut hearing) = mpsc::unbounded_channel();
    let reader = tokio::spawn(async move {
        while let Ok(pdu) = read(&mut from).await {
            if heard.send(pdu).is_err() {
                return;
            }
        }
    });
    let mut is_bound = false;
    loop {
        tokio::select! {
            pdu = hearing.recv() => {
                let Some(pdu) = pdu else { break };
                is_bound |= pdu.id == BIND_TRANSCEIVER;
                let answer = desk.answer(&pdu);
                desk.heard.lock().unwrap().push(pdu);
                desk.count.send_modify(|count| *count += 1);
                if let Some(answer) = answer {
                    to.write_all(&answer.octets()).await?;
                }
            }
            Some(octets) = waiting.recv(), if is_bound => to.write_all(&octets).await?,
        }
    }
    reader.abort();
    Ok(())
}

async fn read(from: &mut OwnedReadHalf) -> std::io::Result<Pdu> {
    let mut head = [[0; 4]; 4];
    from.read_exact(head.as_flattened_mut()).await?;
    let [length, id, status, sequence] = head.map(u32::from_be_bytes);
    let mut body = vec![0; usize::try_from(length).unwrap() - 16];
    from.read_exact(&mut body).await?;
    Ok(Pdu {
        id,
        status,
        sequence,
        body,
    })
}

impl Desk {
    fn answer(&self, pdu: &Pdu) -> Option<Pdu> {
        let body = match pdu.id {
            BIND_TRANSCEIVER => b"centre\0".to_vec(),
            SUBMIT_SM => {
                let mut answers = self.answers.lock().unwrap();
                let last = answers.last().cloned().unwrap_or_default();
                if answers.len() > 1 {
                    answers.pop();
                }
                last
            }
            UNBIND | ENQUIRE_LINK => Vec::new(),
            _ => return None,
        };
        Some(Pdu::new(pdu.id | RESPONSE, pdu.sequence, &body))
    }
}
