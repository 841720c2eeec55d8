//! Sends replies to a client in the order of its requests.

use std::{collections::VecDeque, io, sync::atomic::Ordering};

use tokio::{
    net::tcp::OwnedWriteHalf,
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    super::resp::Reply,
    link::{Link, write},
    rules::{Fate, name},
};

const SUBSCRIPTIONS: [&str; 6] = [
    "SUBSCRIBE",
    "SSUBSCRIBE",
    "PSUBSCRIBE",
    "UNSUBSCRIBE",
    "SUNSUBSCRIBE",
    "PUNSUBSCRIBE",
];
const MESSAGES: [&str; 3] = ["MESSAGE", "SMESSAGE", "PMESSAGE"];

/// The events of one connection, in order.
pub enum Event {
    Asked(Slot),
    Answered {
        frame: Reply,
        bytes: Vec<u8>,
        came: Instant,
    },
    Opaque {
        bytes: Vec<u8>,
        came: Instant,
    },
    Ended,
}

/// A request that waits for its reply.
pub struct Slot {
    name: String,
    fate: Fate,
    /// The number of replies: a subscription is answered once for each channel.
    replies: usize,
    came: Instant,
}

impl Slot {
    pub fn new(arguments: &[Vec<u8>], fate: Fate) -> Self {
        let name = name(arguments);
        let replies = if SUBSCRIPTIONS.contains(&name.as_str()) {
            arguments.len().saturating_sub(1).max(1)
        } else {
            1
        };
        Self {
            name,
            fate,
            replies,
            came: Instant::now(),
        }
    }
}

/// Handles events until the connection must be closed.
pub async fn deliver(
    link: &Link,
    to: OwnedWriteHalf,
    mut events: mpsc::Receiver<Event>,
) -> io::Result<()> {
    let mut delivery = Delivery {
        link,
        to,
        waiting: VecDeque::new(),
        subscribed: false,
    };
    while let Some(event) = events.recv().await {
        let goes_on = match event {
            Event::Asked(slot) => {
                delivery.subscribed |= SUBSCRIPTIONS.contains(&slot.name.as_str());
                delivery.waiting.push_back(slot);
                true
            }
            Event::Answered { frame, bytes, came } => delivery.answer(&frame, &bytes, came).await?,
            Event::Opaque { bytes, came } => delivery.hand_over(&bytes, came).await?,
            Event::Ended => false,
        };
        if !goes_on || !delivery.settle().await? {
            break;
        }
    }
    Ok(())
}

struct Delivery<'a> {
    link: &'a Link,
    to: OwnedWriteHalf,
    waiting: VecDeque<Slot>,
    subscribed: bool,
}

impl Delivery<'_> {
    /// Returns whether the connection stays open.
    async fn answer(&mut self, frame: &Reply, bytes: &[u8], came: Instant) -> io::Result<bool> {
        let answered = match self.unasked(frame) {
            Some(kind) => self.waiting.iter().position(|slot| slot.name == kind),
            None => (!self.waiting.is_empty()).then_some(0),
        };
        if let Some(slot) = answered {
            let done = &mut self.waiting[slot];
            if matches!(done.fate, Fate::DropReply) {
                return Ok(false);
            }
            done.replies -= 1;
            if done.replies == 0 || frame.error().is_some() {
                self.waiting.remove(slot);
                self.link.outstanding.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.hand_over(bytes, came).await
    }

    /// The kind of a frame that answers no request, or a subscription; `None` for a normal reply.
    fn unasked(&self, frame: &Reply) -> Option<String> {
        let unmarked = self.subscribed && !self.link.marks_pushes.load(Ordering::SeqCst);
        let kind = |list: &[Reply]| {
            list.first()
                .map(|kind| kind.text().to_ascii_uppercase())
                .unwrap_or_default()
        };
        match frame {
            Reply::Push(list) => Some(kind(list)),
            // In RESP2 only its first word distinguishes it from a reply.
            Reply::List(list) if unmarked => Some(kind(list)).filter(|kind| {
                SUBSCRIPTIONS.contains(&kind.as_str()) || MESSAGES.contains(&kind.as_str())
            }),
            _ => None,
        }
    }

    /// Sends the answers that the proxy itself gives, up to the first request that waits for Redis.
    async fn settle(&mut self) -> io::Result<bool> {
        while let Some(slot) = self.waiting.front() {
            match &slot.fate {
                Fate::Pass | Fate::DropReply => return Ok(true),
                Fate::DropRequest => return Ok(false),
                Fate::Error(error) => {
                    let (bytes, came) = (format!("-{error}\r\n"), slot.came);
                    self.waiting.pop_front();
                    self.link.outstanding.fetch_sub(1, Ordering::SeqCst);
                    self.hand_over(bytes.as_bytes(), came).await?;
                }
            }
        }
        Ok(true)
    }

    async fn hand_over(&mut self, bytes: &[u8], came: Instant) -> io::Result<bool> {
        let control = self.link.open_gate().await?;
        sleep_until(came + control.delay).await;
        self.link.open_gate().await?;
        write(&self.to, bytes).await.map(|()| true)
    }
}
